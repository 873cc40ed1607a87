//! Pixels and links of letters that tell of them. Answered at once: what was seen is written down beside the
//! answer, and judged by a worker. A link leads where its letter says and nowhere else, and opts nobody out.

use crate::operations::tracking::{self, Seen};
use crate::peer::Peer;
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use sendwright_queue::Rule;
use sendwright_workflows::signing;
use sendwright_workflows::tracking::{CLICK, OPEN};
use std::net::IpAddr;

/// The smallest picture there is: one transparent pixel.
const PIXEL: &[u8] =
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\
    \x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01D\x00;";
/// Wrong links an address may follow a minute, as of the unsubscribe link.
const MOST_WRONG: Rule = Rule::per_minute(30);
/// Hits of one message that are written down in a minute.
const MOST_SEEN: Rule = Rule::per_minute(30);
/// Most characters of a program's name that are kept.
const AGENT: usize = 200;

/// `GET /o/{token}.gif`.
pub async fn open(
    State(state): State<ApiState>,
    Path(file): Path<String>,
    peer: Peer,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let token = file.strip_suffix(".gif").unwrap_or_default();
    let Some(&[message]) = ids(&state, OPEN, token).as_deref() else { return wrong(&state, peer).await };
    note(&state, seen(message, "open", None, &peer, &method, &headers)).await;
    let headers = [
        (header::CONTENT_TYPE, "image/gif"),
        (header::CACHE_CONTROL, "no-store, private"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, PIXEL).into_response()
}

/// `GET /c/{token}`: 302 to the link of that name in the message's own text.
pub async fn click(
    State(state): State<ApiState>,
    Path(token): Path<String>,
    peer: Peer,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let Some(&[message, link]) = ids(&state, CLICK, &token).as_deref() else {
        return wrong(&state, peer).await;
    };
    let url = match tracking::link(&state.core, message, link).await {
        Ok(Some(url)) => url,
        Ok(None) => return wrong(&state, peer).await,
        Err(_) => {
            return page(StatusCode::SERVICE_UNAVAILABLE, "That did not work just now. Please try again.");
        }
    };
    let Ok(location) = HeaderValue::from_str(&url) else { return wrong(&state, peer).await };
    note(&state, seen(message, "click", Some(url), &peer, &method, &headers)).await;
    let quiet = [(header::CACHE_CONTROL, "no-store, private"), (header::REFERRER_POLICY, "no-referrer")];
    (StatusCode::FOUND, [(header::LOCATION, location)], quiet).into_response()
}

fn ids(state: &ApiState, purpose: &str, token: &str) -> Option<Vec<i64>> {
    signing::verify_in(&state.secrets, purpose, state.core.store.epochs(), token)
}

fn seen(
    message: i64,
    kind: &'static str,
    url: Option<String>,
    peer: &Peer,
    method: &Method,
    headers: &HeaderMap,
) -> Seen {
    let agent = headers.get(header::USER_AGENT).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    let agent = agent.unwrap_or_default().chars().filter(|c| !c.is_control()).take(AGENT).collect();
    Seen { message, kind, url, method: method.as_str().to_owned(), agent, prefix: prefix(peer.0) }
}

/// The network that an address is in: enough to tell a data centre, too little to tell a person.
fn prefix(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(ip) => {
            let [a, b, c, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    }
}

/// Writes it down beside the answer; the answer waits for nothing but the count.
async fn note(state: &ApiState, seen: Seen) {
    let counted = state.limiter.check(&format!("hit:{}", seen.message), &[MOST_SEEN]).await;
    let Ok(permit) = state.noting.clone().try_acquire_owned() else { return };
    if !counted.allowed {
        return;
    }
    let core = state.core.clone();
    tokio::spawn(async move {
        if let Err(error) = tracking::note(&core, seen).await {
            tracing::warn!(code = error.code(), "a hit was not written down");
        }
        drop(permit);
    });
}

async fn wrong(state: &ApiState, peer: Peer) -> Response {
    let counted = state.limiter.check(&format!("bad-link:{}", peer.0), &[MOST_WRONG]).await;
    let status = if counted.allowed { StatusCode::NOT_FOUND } else { StatusCode::TOO_MANY_REQUESTS };
    page(status, "This link is not valid.")
}

fn page(status: StatusCode, text: &'static str) -> Response {
    let policy =
        [(header::CONTENT_SECURITY_POLICY, "default-src 'none'"), (header::CACHE_CONTROL, "no-store")];
    (
        status,
        policy,
        Html(format!("<!doctype html><meta charset=\"utf-8\"><title>{text}</title><p>{text}</p>")),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_as_its_network() {
        let of = |address: &str| prefix(address.parse().unwrap());
        assert_eq!(of("192.0.2.77"), "192.0.2.0/24");
        assert_eq!(of("::ffff:192.0.2.77"), "192.0.2.0/24");
        assert_eq!(of("2001:db8:1:2::3"), "2001:db8:1::/48");
    }
}
