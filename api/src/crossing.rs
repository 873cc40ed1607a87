//! Requests whose transaction crossed another's (a deadlock, a failed serialization): nothing was done, and they are begun anew
//! before their caller hears of it.

use crate::intake::{self, MOST_BYTES};
use crate::refusal::Refusal;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often one is begun anew.
const TIMES: u32 = 3;
/// Who has waited longer already, for a lock, is told to come again.
const WITHIN: Duration = Duration::from_secs(2);
/// The longest pause before the first new beginning, doubled for each further one.
const PAUSE: Duration = Duration::from_millis(20);

/// Begins a request anew where it crossed another; one whose body is large, or comes piece by piece, is begun once.
pub async fn begin_anew(request: Request, next: Next) -> Response {
    let only_reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if only_reads || request.body().size_hint().upper().is_none_or(|size| size > MOST_BYTES as u64) {
        return next.run(request).await;
    }
    let begun = Instant::now();
    let (parts, body) = request.into_parts();
    let bytes = match intake::read(&parts.headers, body, MOST_BYTES).await {
        Ok(bytes) => bytes,
        Err(refusal) => return refusal.into_response(),
    };
    let request = |bytes: Bytes| Request::from_parts(parts.clone(), Body::from(bytes));
    let mut tries = 0;
    loop {
        let response = next.clone().run(request(bytes.clone())).await;
        let refusal = response.extensions().get::<Arc<Refusal>>();
        let is_crossed = refusal.is_some_and(|refusal| matches!(**refusal, Refusal::Crossed));
        if !is_crossed || tries == TIMES || begun.elapsed() > WITHIN {
            return response;
        }
        tokio::time::sleep((PAUSE * 2_u32.pow(tries)).mul_f64(random_unit())).await;
        tries += 1;
    }
}

/// A random number in 0..1.
fn random_unit() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX)
}
