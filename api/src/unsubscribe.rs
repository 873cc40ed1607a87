//! The unsubscribe link: GET shows a page and does nothing, since mail scanners follow links; POST opts out,
//! from the page's button or by RFC 8058's one click, without login, cookie or redirect.

use crate::intake;
use crate::operations::suppressions::{self, Link};
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::state::ApiState;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use sendwright_queue::Rule;
use sendwright_workflows::signing;

/// What tokens of these links are signed for; their ids are `[account, contact]` or
/// `[account, contact, message]`.
pub const PURPOSE: &str = "unsubscribe";

/// Most bytes of a form.
const MOST_BYTES: usize = 16 * 1024;
/// Wrong links an address may follow a minute.
const MOST_WRONG: Rule = Rule::per_minute(30);
const STYLE: &str = "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem}\
    button{font:inherit;padding:.6rem 1.2rem}";

/// `GET /u/{token}`.
pub async fn page(State(state): State<ApiState>, Path(token): Path<String>, peer: Peer) -> Response {
    let Some((account, link)) = read(&state, &token) else { return wrong(&state, peer).await };
    match suppressions::hint(&state.core, account, &link).await {
        Ok(Some(hint)) => shown(
            StatusCode::OK,
            "Unsubscribe",
            &format!(
                "<p>Stop all messages to <b>{}</b>?</p><form method=\"post\">\
                 <input type=\"hidden\" name=\"List-Unsubscribe\" value=\"One-Click\">\
                 <button>Unsubscribe</button></form>",
                escaped(&hint)
            ),
        ),
        Ok(None) => wrong(&state, peer).await,
        Err(_) => unable(),
    }
}

/// `POST /u/{token}`. Answered once the opt-out is committed and no hand-over to the address is under way;
/// where it could not be committed the answer is an error, so that the sender's provider tries again.
pub async fn act(
    State(state): State<ApiState>,
    Path(token): Path<String>,
    peer: Peer,
    request: Request,
) -> Response {
    let Some((account, link)) = read(&state, &token) else { return wrong(&state, peer).await };
    let (parts, body) = request.into_parts();
    let is_one_click = match intake::read(&parts.headers, body, MOST_BYTES).await {
        Ok(bytes) => says_one_click(&String::from_utf8_lossy(&bytes)),
        Err(_) => false,
    };
    if !is_one_click {
        let text = "<p>This form is not complete. Go back and try again.</p>";
        return shown(StatusCode::BAD_REQUEST, "Not done", text);
    }
    match suppressions::opt_out(&state.core, account, &link).await {
        Ok(true) => shown(StatusCode::OK, "Unsubscribed", "<p>Done. Nothing more will be sent to you.</p>"),
        // A link of ours, and nobody there: a restored backup has lost whom it was for.
        Ok(false) => {
            tracing::error!(
                account,
                contact = link.contact,
                "an opt-out came for somebody who is not known any more"
            );
            unable()
        }
        Err(_) => unable(),
    }
}

fn read(state: &ApiState, token: &str) -> Option<(i64, Link)> {
    let ids = signing::verify_in(&state.secrets, PURPOSE, state.core.store.epochs(), token)?;
    suppressions::of_token(&ids)
}

/// RFC 8058, 3.2: the pair, in a form of either encoding.
fn says_one_click(body: &str) -> bool {
    let form = body.split('&').any(|pair| pair.trim() == "List-Unsubscribe=One-Click");
    let multipart = || {
        let part = body.split_once("name=\"List-Unsubscribe\"").map_or("", |(_, rest)| rest);
        part.lines().skip(1).find(|line| !line.is_empty()).is_some_and(|line| line == "One-Click")
    };
    form || multipart()
}

async fn wrong(state: &ApiState, peer: Peer) -> Response {
    let counted = state.limiter.check(&format!("bad-link:{}", peer.0), &[MOST_WRONG]).await;
    let status = if counted.allowed { StatusCode::NOT_FOUND } else { StatusCode::TOO_MANY_REQUESTS };
    shown(status, "Not found", "<p>This link is not valid. Take the one from the newest message.</p>")
}

fn unable() -> Response {
    tracing::warn!(code = Refusal::Unavailable.code(), "an opt-out was not committed");
    let text = "<p>That did not work just now, and nothing was changed. Please try again in a minute.</p>";
    shown(StatusCode::SERVICE_UNAVAILABLE, "Not done", text)
}

fn shown(status: StatusCode, title: &str, body: &str) -> Response {
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"robots\" content=\"noindex\">\
         <title>{title}</title><style>{STYLE}</style><h1>{title}</h1>{body}</html>"
    );
    let policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'";
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, Html(page)).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_click_is_read_from_both_forms_and_from_nothing_else() {
        assert!(says_one_click("List-Unsubscribe=One-Click"));
        assert!(says_one_click("a=b&List-Unsubscribe=One-Click"));
        let part =
            "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n";
        assert!(says_one_click(part));
        for other in
            ["", "List-Unsubscribe=", "List-Unsubscribe=Two", "one-click", &part.replace("One", "No")]
        {
            assert!(!says_one_click(other), "{other}");
        }
    }
}
