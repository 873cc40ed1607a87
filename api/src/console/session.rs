//! Sessions where a key is asked for: a signed cookie that names the key; the key itself is read again at every
//! request, so that a revocation holds at once.

use super::{Mode, form, page};
use crate::auth;
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::state::ApiState;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sendwright_store::keys::{self, Holder};
use sendwright_workflows::clock::{HOUR, Millis, SECOND};
use sendwright_workflows::signing;

const COOKIE: &str = "sendwright_session";
const PURPOSE: &str = "session";
/// How long a session lasts.
const LASTS: Millis = 12 * HOUR;

/// `GET /login`.
pub async fn login(State(state): State<ApiState>) -> Response {
    match state.console.mode {
        Mode::Loopback { .. } => home(),
        Mode::Keyed => page::login(&state, StatusCode::OK, None),
    }
}

/// `POST /login`: a key, once; the cookie it gives opens nothing but this console.
pub async fn enter(State(state): State<ApiState>, request: Request) -> Response {
    if let Mode::Loopback { .. } = state.console.mode {
        return home();
    }
    let peer = Peer::of(request.extensions());
    let form = match form::read(request).await {
        Ok(form) => form,
        Err(refusal) => return page::refused(&refusal),
    };
    let mut headers = HeaderMap::new();
    let key = form.get("key").and_then(|key| HeaderValue::from_str(key.trim()).ok());
    if let Some(key) = key {
        headers.insert("x-api-key", key);
    }
    match auth::admit(&state, &headers, "read", peer).await {
        Ok((now, holder)) => match state.secrets.first() {
            Some(secret) => {
                let ids = [holder.account_id, holder.key_id, now + LASTS];
                let token = signing::sign(secret, PURPOSE, state.core.store.epoch(), &ids);
                with_cookie(&state, &token, LASTS / SECOND)
            }
            None => page::refused(&Refusal::Internal),
        },
        Err(Refusal::Unauthorized) => {
            page::login(&state, StatusCode::UNAUTHORIZED, Some("This key does not open anything."))
        }
        Err(refusal) => page::refused(&refusal),
    }
}

/// `POST /logout`.
pub async fn leave(State(state): State<ApiState>) -> Response {
    with_cookie(&state, "", 0)
}

fn home() -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, "/")]).into_response()
}

fn with_cookie(state: &ApiState, token: &str, seconds: i64) -> Response {
    let secure = if state.console.is_https { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    let mut response = home();
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

/// The holder of the key that a request's session was opened with, if all of it still stands.
pub async fn holder(state: &ApiState, headers: &HeaderMap, method: &Method) -> Result<Holder, Refusal> {
    let now = state.core.now()?;
    let ids = cookie(headers)
        .and_then(|token| signing::verify(&state.secrets, PURPOSE, state.core.store.epoch(), token));
    let Some([account, key, until]) = ids.and_then(|ids| <[i64; 3]>::try_from(ids).ok()) else {
        return Err(Refusal::Unauthorized);
    };
    if now >= until {
        return Err(Refusal::Unauthorized);
    }
    let mut tx = state.core.store.read().await?;
    let row = keys::list(&mut tx, account, key - 1, 1).await?.into_iter().find(|row| row.id == key);
    let stands = row.filter(|row| row.revoked_at.is_none() && row.expires_at.is_none_or(|at| now < at));
    let found = match &stands {
        Some(row) => keys::find(&mut tx, &row.prefix).await?,
        None => None,
    };
    tx.rollback().await?;
    let holder = found.ok_or(Refusal::Unauthorized)?;
    auth::may(&holder, auth::umbrella(method))?;
    Ok(holder)
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    pairs.flat_map(|line| line.split(';')).find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then_some(value)
    })
}
