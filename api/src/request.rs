//! Around every request: its id, its line in the log, its count.

use axum::extract::{MatchedPath, Request};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use std::time::Instant;

const HEADER: &str = "x-request-id";

/// The id of a request: the caller's own, where it is a plain word, else one of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub String);

/// Gives a request its id, logs it by route and never by path or query, and counts it.
pub async fn observe(mut request: Request, next: Next) -> Response {
    let id = given(&request).unwrap_or_else(made);
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = method(&request);
    let route = request.extensions().get::<MatchedPath>().map_or("none", |m| m.as_str()).to_owned();
    let began = Instant::now();
    let mut response = next.run(request).await;
    let (status, took) = (response.status().as_u16(), began.elapsed());
    tracing::info!(method, route, status, took_ms = took.as_millis() as u64, request_id = id, "request");
    let status = status.to_string();
    metrics::counter!("sendwright_http_requests_total",
        "method" => method, "route" => route.clone(), "status" => status)
    .increment(1);
    metrics::histogram!("sendwright_http_request_seconds", "route" => route).record(took.as_secs_f64());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

/// The method as logs and metrics name it: anybody can invent one.
fn method(request: &Request) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    known.into_iter().find(|name| *name == request.method().as_str()).unwrap_or("other")
}

fn given(request: &Request) -> Option<String> {
    let id = request.headers().get(HEADER)?.to_str().ok()?;
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    ((1..=128).contains(&id.len()) && id.bytes().all(is_plain)).then(|| id.to_owned())
}

fn made() -> String {
    let mut random = [0_u8; 12];
    // Without randomness an id is merely not unique; the request itself is served.
    let _ = getrandom::fill(&mut random);
    format!("req_{}", hex::encode(random))
}
