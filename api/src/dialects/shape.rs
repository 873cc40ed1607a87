//! Errors in the words of their prefix, whoever made them: a handler, the door, the router, a panic.

use super::{external, v1};
use crate::refusal::Refusal;
use crate::request::RequestId;
use crate::state::ApiState;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::sync::Arc;

/// A face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `/api/external`.
    External,
    /// `/api/v1`, `/v1`, and every path that is nobody's.
    V1,
}

impl Dialect {
    fn status(self, refusal: &Refusal, method: &Method) -> u16 {
        let external = self == Dialect::External;
        match refusal {
            // What a GET asks for stands in its query: that is form.
            Refusal::Invalid(_) if *method == Method::GET => 400,
            Refusal::Malformed(..) => 400,
            Refusal::Invalid(_) if external => 400,
            Refusal::Invalid(errors) if v1::is_shape(errors) => 400,
            Refusal::Invalid(_) | Refusal::OtherRequest => 422,
            Refusal::Unauthorized | Refusal::WhichAccount => 401,
            Refusal::Inactive | Refusal::Scope(_) | Refusal::Signature => 403,
            Refusal::NotFound(_) => 404,
            Refusal::Method => 405,
            Refusal::Conflict("idempotency_key_busy", _) => 409,
            Refusal::Duplicate(_) | Refusal::Conflict(..) => 400 + if external { 0 } else { 9 },
            Refusal::TooLarge(_) => 413,
            Refusal::MediaType | Refusal::NotMail | Refusal::NotForm | Refusal::NotUpload => 415,
            Refusal::TooMany(_) => 429,
            Refusal::Unavailable | Refusal::Crossed | Refusal::TooSlow(_) => 503,
            Refusal::Internal => 500,
            Refusal::Replayed(answer) => answer.status,
        }
    }

    fn body(self, refusal: &Refusal, told: &Told) -> Value {
        match self {
            Dialect::External => external::error(refusal, told),
            Dialect::V1 => v1::error(refusal, told),
        }
    }
}

/// A prefix: its state and its face.
#[derive(Clone)]
pub struct Door {
    /// What the process holds.
    pub state: ApiState,
    /// How it speaks.
    pub dialect: Dialect,
}

/// What an error body tells of its request.
pub struct Told {
    /// The request's id.
    pub request_id: String,
    /// Method and route template.
    pub asked: (Method, String),
    /// The present instant, where it is known.
    pub at: Option<i64>,
}

/// Renders every refusal that comes out of a prefix, and whatever error the router itself made.
pub async fn shape(State(door): State<Door>, request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    let told = Told {
        request_id: extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
        asked: (
            request.method().clone(),
            extensions.get::<MatchedPath>().map_or_else(String::new, |m| m.as_str().to_owned()),
        ),
        at: door.state.core.clock.now(),
    };
    let made = next.run(request).await;
    let refusal = match made.extensions().get::<Arc<Refusal>>() {
        Some(refusal) => refusal.clone(),
        None if is_of_router(&made) => Arc::new(of_router(made.status())),
        None => return made,
    };
    if let Refusal::Replayed(answer) = &*refusal {
        let mut again = answer.clone().into_response();
        again.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
        return carry(made, again);
    }
    let body = door.dialect.body(&refusal, &told).to_string();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(door.dialect.status(&refusal, &told.asked.0))
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    match &*refusal {
        Refusal::TooMany(seconds) => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
        }
        Refusal::Unavailable | Refusal::Crossed => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        Refusal::Unauthorized | Refusal::WhichAccount => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        _ => {}
    }
    carry(made, response)
}

/// Headers that inner layers set (`Allow`, the limits' state) go with the new body.
fn carry(made: Response, mut response: Response) -> Response {
    for (name, value) in made.headers() {
        let is_kept = *name == header::ALLOW
            || ["x-", "ratelimit"].iter().any(|beginning| name.as_str().starts_with(beginning));
        if is_kept {
            response.headers_mut().insert(name.clone(), value.clone());
        }
    }
    response
}

/// An error without a body of ours: neither JSON nor a page.
fn is_of_router(made: &Response) -> bool {
    let kind = made.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let is_ours = kind.starts_with("application/json") || kind.starts_with("text/html");
    (made.status().is_client_error() || made.status().is_server_error()) && !is_ours
}

fn of_router(status: StatusCode) -> Refusal {
    match status {
        StatusCode::NOT_FOUND => Refusal::NotFound("there is nothing at this path".into()),
        StatusCode::METHOD_NOT_ALLOWED => Refusal::Method,
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::TooLarge(crate::intake::MOST_BYTES),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Refusal::MediaType,
        status if status.is_client_error() => {
            Refusal::Malformed("bad_request", "the path or the query does not read".into())
        }
        _ => Refusal::Internal,
    }
}
