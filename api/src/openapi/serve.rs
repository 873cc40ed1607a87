//! `/api/v1/openapi.json` and what is made from it, and `/docs`: the same to read and to try. No key is asked for;
//! an address may ask so often.

use crate::answer::Answer;
use crate::auth;
use crate::showing;
use crate::state::ApiState;
use axum::Router;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

const PAGE: &str = include_str!("../../../templates/docs/docs.html");
const SCRIPT: &str = include_str!("../../../templates/docs/docs.js");
const STYLE: &str = include_str!("../../../templates/docs/docs.css");
/// The page runs its own script, asks its own host, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
    form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// The document and its page.
pub fn routes(state: &ApiState) -> Router<ApiState> {
    let mut routes = Router::new()
        .route("/docs", get(async || file("text/html; charset=utf-8", PAGE)))
        .route("/docs/docs.js", get(async || file("text/javascript; charset=utf-8", SCRIPT)))
        .route("/docs/docs.css", get(async || file("text/css; charset=utf-8", STYLE)));
    for prefix in ["/api/v1", "/v1"] {
        routes = routes
            .route(&format!("{prefix}/openapi.json"), get(async || Answer::ok(super::document())))
            .route(&format!("{prefix}/openapi-3.0.json"), get(async || Answer::ok(super::document_3_0())))
            .route(&format!("{prefix}/postman.json"), get(async || Answer::ok(&super::postman())));
    }
    routes
        .route_layer(from_fn(showing::show))
        .route_layer(from_fn_with_state(state.clone(), auth::per_address))
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    (headers, text).into_response()
}
