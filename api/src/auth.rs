//! Keys at the door: who calls, whether they may, and how often.

use crate::dialects::{Dialect, Door};
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::request::RequestId;
use crate::state::ApiState;
use crate::work::Actor;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sendwright_queue::{Allowance, Rule};
use sendwright_store::keys::{self, Holder};
use sendwright_store::tiers;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::signing::ApiKey;
use std::time::Duration;

/// Bad keys an address may try a minute before it is told to wait (A3).
const MOST_FAILURES: Rule = Rule::per_minute(20);

/// Who calls: a handler that takes one is behind the door.
#[derive(Debug, Clone)]
pub struct Caller {
    /// On whose behalf.
    pub actor: Actor,
    /// The user the key belongs to (S1-07).
    pub user_email: String,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        parts.extensions.get::<Caller>().cloned().ok_or(Refusal::Unauthorized)
    }
}

/// Lets a request in by its key, within the key's limits for this dialect, whose state goes on the answer.
pub async fn guard(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    let state = &door.state;
    let peer = Peer::of(request.extensions());
    let (now, holder) = match admit(state, request.headers(), request.method(), peer).await {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal.into_response(),
    };
    let allowance = match allowance(state, door.dialect, &holder).await {
        Ok(allowance) => allowance,
        Err(refusal) => return refusal.into_response(),
    };
    let mut response = match allowance.as_ref().filter(|a| !a.allowed) {
        Some(refused) => Refusal::TooMany(refused.retry_after_seconds).into_response(),
        None => {
            let request_id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
            let who = format!("key:{}", holder.key_id);
            let actor = Actor { account: holder.account_id, who, source: "api", request_id };
            request.extensions_mut().insert(Caller { actor, user_email: holder.user_email });
            next.run(request).await
        }
    };
    if let Some(allowance) = allowance {
        tell(response.headers_mut(), &allowance, now);
    }
    response
}

/// The key's holder. Every key that does not open is refused alike; an inactive user only where the key is right.
pub(crate) async fn admit(
    state: &ApiState,
    headers: &HeaderMap,
    method: &Method,
    peer: Peer,
) -> Result<(Millis, Holder), Refusal> {
    let now = state.core.now()?;
    let key = given(headers).and_then(|text| ApiKey::parse(&text));
    let mut tx = state.core.store.read().await?;
    // A key of no shape is looked up as well: it must not be told apart by the time it takes.
    let found = keys::find(&mut tx, key.as_ref().map_or("", ApiKey::prefix)).await?;
    tx.rollback().await?;
    let hash = key.map(|key| key.hash()).unwrap_or_default();
    let Some(holder) = found.filter(|holder| holder.opens(&hash, now)) else {
        let failures = format!("bad-key:{}", peer.0);
        let counted = state.limiter.check(&failures, &[MOST_FAILURES]).await;
        return Err(match counted.allowed {
            true => Refusal::Unauthorized,
            false => Refusal::TooMany(counted.retry_after_seconds),
        });
    };
    if !holder.active {
        return Err(Refusal::Inactive);
    }
    check_scope(&holder, method)?;
    if holder.is_stale(now) {
        touch(state.clone(), holder.key_id, now);
    }
    Ok((now, holder))
}

/// The one key of a request: `X-API-Key`, or `Authorization: Bearer`; both only if they say the same.
fn given(headers: &HeaderMap) -> Option<String> {
    let named = headers.get_all("x-api-key").iter().map(|v| v.to_str().ok());
    let bearers = headers.get_all(header::AUTHORIZATION).iter().map(|v| {
        let (scheme, token) = v.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    });
    let mut keys = named.chain(bearers);
    let first = keys.next()??;
    keys.all(|other| other == Some(first)).then(|| first.trim().to_owned())
}

/// A key without scopes may do what its user may; `read` and `write` narrow it.
pub(crate) fn check_scope(holder: &Holder, method: &Method) -> Result<(), Refusal> {
    let scopes: Vec<String> = serde_json::from_str(&holder.scopes).unwrap_or_default();
    let needed = if method.is_safe() { "read" } else { "write" };
    let may = scopes.is_empty() || scopes.iter().any(|scope| scope == needed);
    if may { Ok(()) } else { Err(Refusal::Scope(needed)) }
}

/// Counts the call under every limit the key's tier has for the dialect; none where it has none.
async fn allowance(
    state: &ApiState,
    dialect: Dialect,
    holder: &Holder,
) -> Result<Option<Allowance>, Refusal> {
    let limits = tiers::limits(&holder.limits, dialect.name())?;
    let rules: Vec<Rule> = limits
        .iter()
        .map(|l| Rule { limit: l.limit, window: Duration::from_secs(l.seconds.into()) })
        .collect();
    if rules.is_empty() {
        return Ok(None);
    }
    Ok(Some(state.limiter.check(&format!("{}:{}", dialect.name(), holder.key_id), &rules).await))
}

fn tell(headers: &mut HeaderMap, allowance: &Allowance, now: Millis) {
    let reset = now.div_euclid(1_000) as u64 + allowance.reset_seconds;
    headers.insert("x-ratelimit-limit", HeaderValue::from(allowance.limit));
    headers.insert("x-ratelimit-remaining", HeaderValue::from(allowance.remaining));
    headers.insert("x-ratelimit-reset", HeaderValue::from(reset));
}

/// Notes the use of a key beside the request: who calls does not wait for it, and its loss is no harm.
fn touch(state: ApiState, key: i64, now: Millis) {
    tokio::spawn(async move {
        let noted = async {
            let mut tx = state.core.store.begin().await?;
            keys::touch(&mut tx, key, now).await?;
            tx.commit().await
        };
        if let Err(error) = noted.await {
            tracing::warn!(%error, "the use of a key was not noted");
        }
    });
}
