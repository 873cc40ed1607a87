//! What a mutation answers: text from here on, so that it can be stored and given again byte for byte.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// A status and a JSON body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, as it goes out.
    pub body: String,
}

impl Answer {
    /// 200 with this body.
    pub fn ok(body: &Value) -> Self {
        Self { status: 200, body: body.to_string() }
    }

    /// 201 with this body.
    pub fn created(body: &Value) -> Self {
        Self { status: 201, body: body.to_string() }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}
