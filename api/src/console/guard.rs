//! Who is let in. On loopback: whoever asks this machine by its own name. Elsewhere: whoever has a key, or a
//! session that a key opened.

use super::{Mode, page, session};
use crate::auth;
use crate::refusal::Refusal;
use crate::request::RequestId;
use crate::state::ApiState;
use crate::work::Actor;
use axum::extract::{FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sendwright_store::accounts;
use std::collections::HashMap;
use std::net::IpAddr;

/// Who looks at a page.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// On whose behalf a form acts.
    pub actor: Actor,
    /// The key that let them in; 0 on loopback.
    pub key: i64,
    /// Accounts there are to choose from, by number and name; more than one on loopback alone.
    pub accounts: Vec<(i64, String)>,
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        parts.extensions.get::<Visitor>().cloned().ok_or(Refusal::Unauthorized)
    }
}

/// Refuses requests that some other web site sent through the visitor's browser: by a name of its own for this
/// machine, or from a page of its own.
pub async fn locate(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    match located(state.console.mode, request.headers()) {
        (true, true) => next.run(request).await,
        (false, _) => page::notice(
            StatusCode::FORBIDDEN,
            "Not here",
            "This console answers to this machine's own name.",
        ),
        (_, false) => {
            page::notice(StatusCode::FORBIDDEN, "Not from there", "Another web site sent this request.")
        }
    }
}

/// Whether a request came by a name that is this machine's own where that is asked for, and from no other web site.
pub(crate) fn located(mode: Mode, headers: &HeaderMap) -> (bool, bool) {
    let host = one(headers, header::HOST.as_str());
    let is_here = match mode {
        Mode::Loopback { port } => host.is_some_and(|host| is_loopback(host, port)),
        Mode::Keyed => true,
    };
    let origin = headers.get_all(header::ORIGIN).iter().count();
    let is_own = match (origin, one(headers, header::ORIGIN.as_str())) {
        (0, _) => true,
        (1, Some(origin)) => origin.split_once("://").map(|(_, rest)| rest) == host,
        _ => false,
    };
    (is_here, is_own)
}

/// What a proxy adds to a request: who asked it sits elsewhere.
const FROM_AFAR: [&str; 5] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

/// Whether a request is that of the person in front of this machine, who needs no key (C-10): it came by this machine's
/// own name, through no proxy, and no page of another site made it.
pub(crate) fn is_at_home(state: &ApiState, headers: &HeaderMap) -> bool {
    let is_direct = FROM_AFAR.iter().all(|name| !headers.contains_key(*name));
    let mut sites = headers.get_all("sec-fetch-site").iter();
    let is_own = sites.all(|site| site == "same-origin" || site == "none");
    state.console.is_loopback() && is_direct && is_own && located(state.console.mode, headers) == (true, true)
}

fn one<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(first)
}

/// `localhost`, `127.0.0.0/8` or `[::1]`, at our own port.
fn is_loopback(host: &str, port: u16) -> bool {
    let (name, given) = match host.rsplit_once(':') {
        Some((name, digits)) if !digits.ends_with(']') => (name, digits.parse().ok()),
        _ => (host, Some(80)),
    };
    let name = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
    let is_local = name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_local && given == Some(port)
}

/// Lets visitors in, with who they are; others are shown where to give a key.
pub async fn admit(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let visitor = match state.console.mode {
        Mode::Loopback { .. } => at_home(&state, &parts).await,
        Mode::Keyed => with_key(&state, &parts).await,
    };
    match visitor {
        Ok(visitor) => {
            parts.extensions.insert(visitor);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(Refusal::Unauthorized) if wants_page(&parts.headers) => {
            page::login(&state, StatusCode::UNAUTHORIZED, None)
        }
        Err(refusal) => refusal.into_response(),
    }
}

fn wants_page(headers: &HeaderMap) -> bool {
    let accepts = one(headers, header::ACCEPT.as_str()).unwrap_or_default();
    accepts.contains("text/html")
}

/// The account of `?account=`, or the first one.
async fn at_home(state: &ApiState, parts: &Parts) -> Result<Visitor, Refusal> {
    let mut tx = state.core.store.read().await?;
    let all = accounts::list(&mut tx, 0, 100).await?;
    tx.rollback().await?;
    let query = Query::<HashMap<String, String>>::try_from_uri(&parts.uri).unwrap_or_default();
    let wanted = query.get("account").and_then(|text| text.parse::<i64>().ok());
    let chosen = match wanted {
        Some(id) => all.iter().find(|account| account.id == id),
        None => all.first(),
    };
    let account = chosen.map(|account| account.id);
    let account = account.ok_or_else(|| Refusal::NotFound("there is no such account".into()))?;
    Ok(Visitor {
        actor: actor(parts, account, "console".into()),
        key: 0,
        accounts: all.into_iter().map(|account| (account.id, account.name)).collect(),
    })
}

async fn with_key(state: &ApiState, parts: &Parts) -> Result<Visitor, Refusal> {
    let headers = &parts.headers;
    let holder = match headers.contains_key("x-api-key") || headers.contains_key(header::AUTHORIZATION) {
        true => {
            let peer = crate::peer::Peer::of(&parts.extensions);
            auth::admit(state, headers, auth::umbrella(&parts.method), peer).await?.1
        }
        false => session::holder(state, headers, &parts.method).await?,
    };
    let actor = actor(parts, holder.account_id, format!("key:{}", holder.key_id));
    Ok(Visitor { actor, key: holder.key_id, accounts: Vec::new() })
}

fn actor(parts: &Parts, account: i64, who: String) -> Actor {
    let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.clone());
    Actor { account, who, source: "console", request_id }
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_this_machines_own_names_at_our_port_are_loopback() {
        for host in ["127.0.0.1:8080", "localhost:8080", "LOCALHOST:8080", "[::1]:8080", "127.9.9.9:8080"] {
            assert!(is_loopback(host, 8080), "{host}");
        }
        for host in [
            "evil.example:8080",
            "127.0.0.1:8081",
            "127.0.0.1",
            "localhost.evil.example:8080",
            "127.0.0.1.evil.example:8080",
            "0.0.0.0:8080",
            "[::1]",
            "",
        ] {
            assert!(!is_loopback(host, 8080), "{host}");
        }
        assert!(is_loopback("localhost", 80) && is_loopback("[::1]", 80));
    }
}
