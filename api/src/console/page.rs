//! Pages as HTML: compiled-in templates, every value escaped, and headers that let a page do nothing but show.

use crate::refusal::Refusal;
use crate::state::ApiState;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use handlebars::Handlebars;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// What a page may load: what this server serves, nothing inline.
const POLICY: &str = "default-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

static TEMPLATES: LazyLock<Handlebars<'static>> = LazyLock::new(|| {
    let mut templates = Handlebars::new();
    templates.set_strict_mode(true);
    let pages = [
        ("layout", include_str!("../../../templates/pages/layout.hbs")),
        ("home", include_str!("../../../templates/pages/home.hbs")),
        ("analytics", include_str!("../../../templates/pages/analytics.hbs")),
        ("dashboard", include_str!("../../../templates/pages/dashboard.hbs")),
        ("login", include_str!("../../../templates/pages/login.hbs")),
        ("mailbox", include_str!("../../../templates/pages/mailbox.hbs")),
        ("mail", include_str!("../../../templates/pages/mail.hbs")),
        ("notice", include_str!("../../../templates/pages/notice.hbs")),
    ];
    for (name, text) in pages {
        if let Err(error) = templates.register_template_string(name, text) {
            tracing::error!(page = name, %error, "a compiled-in page does not read");
        }
    }
    templates
});

/// Renders a page.
pub fn render(status: StatusCode, name: &str, data: &Value) -> Response {
    let page = match TEMPLATES.render(name, data) {
        Ok(page) => page,
        Err(error) => {
            tracing::error!(page = name, %error, "a page could not be rendered");
            return Refusal::Internal.into_response();
        }
    };
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, Html(page)).into_response()
}

/// A page with one sentence.
pub fn notice(status: StatusCode, title: &str, text: &str) -> Response {
    render(status, "notice", &json!({ "title": title, "text": text }))
}

/// The page that asks for a key.
pub fn login(state: &ApiState, status: StatusCode, problem: Option<&str>) -> Response {
    let data = json!({ "problem": problem.unwrap_or_default(), "is_https": state.console.is_https });
    render(status, "login", &data)
}

/// A refusal as a page.
pub fn refused(refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::NotFound(_) => StatusCode::NOT_FOUND,
        Refusal::Unauthorized => StatusCode::UNAUTHORIZED,
        Refusal::Inactive | Refusal::Scope(_) => StatusCode::FORBIDDEN,
        Refusal::Conflict("stale_form", _) => StatusCode::FORBIDDEN,
        Refusal::Conflict(..) | Refusal::Duplicate(_) => StatusCode::CONFLICT,
        Refusal::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Unavailable | Refusal::Crossed => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Internal | Refusal::Replayed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    };
    notice(status, "Not done", &refusal.to_string())
}

/// `GET /console.css`.
pub async fn style() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "max-age=300"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, include_str!("../../../templates/pages/console.css")).into_response()
}

/// An instant for people, in UTC to the second.
pub fn at(millis: i64) -> String {
    let text = sendwright_workflows::clock::rfc3339(millis);
    text.get(..19).map_or(text.clone(), |whole| whole.replace('T', " "))
}
