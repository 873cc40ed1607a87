//! Keys at the door: who calls, whether they may, and how often.

use crate::dialects::{Dialect, Door};
use crate::openapi;
use crate::operations::keys::Rights;
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::request::RequestId;
use crate::scope;
use crate::state::ApiState;
use crate::work::Actor;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sendwright_queue::{Allowance, Rule};
use sendwright_store::keys::{self, Holder};
use sendwright_store::tiers;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::signing::ApiKey;
use std::sync::Arc;
use std::time::Duration;

/// Bad keys an address may try a minute before it is told to wait (A3).
const MOST_FAILURES: Rule = Rule::per_minute(20);
/// What a route asks for that the document does not name: only a key without scopes has it.
const EVERYTHING: &str = "all";

/// Calls an address may make a minute where no key is asked for.
const MOST_OPEN: Rule = Rule::per_minute(300);

/// Who calls: a handler that takes one is behind the door.
#[derive(Debug, Clone)]
pub struct Caller {
    /// On whose behalf.
    pub actor: Actor,
    /// The user the key belongs to (S1-07).
    pub user_email: String,
    /// What the key may give away: as much as it has.
    pub rights: Rights,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        parts.extensions.get::<Caller>().cloned().ok_or(Refusal::Unauthorized)
    }
}

/// Calls counted under rules: what goes on the answer.
struct Counted {
    rules: Vec<Rule>,
    allowance: Allowance,
}

/// Lets a request in by its key, within the key's limits for this dialect, whose state goes on the answer.
pub async fn guard(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    let state = &door.state;
    let now = match state.core.now() {
        Ok(now) => now,
        Err(refusal) => return refusal.into_response(),
    };
    let template = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let needed = openapi::scope_of(request.method().as_str(), template).unwrap_or(EVERYTHING);
    let peer = Peer::of(request.extensions());
    let (holder, counted) = match enter(&door, request.headers(), peer, needed, now).await {
        Ok(entered) => entered,
        Err((refusal, counted)) => return told(refusal.into_response(), counted.as_ref(), now),
    };
    let template = openapi::native(template);
    let method = known_method(request.method());
    let (key, account) = (holder.key_id, holder.account_id);
    let request_id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
    let actor = Actor { account, who: format!("key:{key}"), source: "api", request_id };
    let rights = Rights::of(&holder);
    request.extensions_mut().insert(Caller { actor, user_email: holder.user_email, rights });
    let response = next.run(request).await;
    let is_error = response.extensions().get::<Arc<Refusal>>().is_some() || response.status().as_u16() >= 400;
    state.meter.count(account, key, (method, &template), is_error, now);
    told(response, counted.as_ref(), now)
}

/// The method as usage names it: anybody can invent one.
fn known_method(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
    known.into_iter().find(|name| *name == method.as_str()).unwrap_or("OTHER")
}

/// Counts a call that asks for no key under its address.
pub async fn per_address(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let peer = Peer::of(request.extensions());
    let allowance = state.limiter.check(&format!("open:{}", peer.0), &[MOST_OPEN]).await;
    let response = match allowance.allowed {
        true => next.run(request).await,
        false => Refusal::TooMany(allowance.retry_after_seconds).into_response(),
    };
    let counted = Counted { rules: vec![MOST_OPEN], allowance };
    told(response, Some(&counted), state.core.clock.now().unwrap_or_default())
}

/// The holder of a request's key, its call counted; whatever the key may not do is refused after it is counted.
async fn enter(
    door: &Door,
    headers: &HeaderMap,
    peer: Peer,
    needed: &'static str,
    now: Millis,
) -> Result<(Holder, Option<Counted>), (Refusal, Option<Counted>)> {
    let state = &door.state;
    let holder = identify(state, headers, peer, now).await?;
    let counted = count(state, door.dialect, &holder).await.map_err(|refusal| (refusal, None))?;
    if let Some(refused) = counted.as_ref().filter(|counted| !counted.allowance.allowed) {
        return Err((Refusal::TooMany(refused.allowance.retry_after_seconds), counted));
    }
    match may(&holder, needed) {
        Ok(()) => Ok((holder, counted)),
        Err(refusal) => Err((refusal, counted)),
    }
}

/// The holder of a key that opens, and may do what is asked; the same door for whoever is not a route.
pub(crate) async fn admit(
    state: &ApiState,
    headers: &HeaderMap,
    needed: &'static str,
    peer: Peer,
) -> Result<(Millis, Holder), Refusal> {
    let now = state.core.now()?;
    let holder = identify(state, headers, peer, now).await.map_err(|(refusal, _)| refusal)?;
    may(&holder, needed)?;
    Ok((now, holder))
}

/// The key's holder. Every key that does not open is refused alike, and counted under its address.
async fn identify(
    state: &ApiState,
    headers: &HeaderMap,
    peer: Peer,
    now: Millis,
) -> Result<Holder, (Refusal, Option<Counted>)> {
    let key = given(headers).and_then(|text| ApiKey::parse(&text));
    // A key of no shape is looked up as well: it must not be told apart by the time it takes.
    let prefix = key.as_ref().map_or("", ApiKey::prefix).to_owned();
    let found = state.holders.add(&state.core, prefix).await.map_err(|refusal| (refusal, None))?;
    let hash = key.map(|key| key.hash()).unwrap_or_default();
    let Some(holder) = found.filter(|holder| holder.opens(&hash, now)) else {
        let allowance = state.limiter.check(&format!("bad-key:{}", peer.0), &[MOST_FAILURES]).await;
        let refusal = match allowance.allowed {
            true => Refusal::Unauthorized,
            false => Refusal::TooMany(allowance.retry_after_seconds),
        };
        return Err((refusal, Some(Counted { rules: vec![MOST_FAILURES], allowance })));
    };
    if holder.active && holder.is_stale(now) {
        touch(state.clone(), holder.key_id, now);
    }
    Ok(holder)
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

/// Whether a key's user is active and the key has the scope.
pub(crate) fn may(holder: &Holder, needed: &'static str) -> Result<(), Refusal> {
    if !holder.active {
        return Err(Refusal::Inactive);
    }
    match scope::grants(&holder.scopes(), needed) {
        true => Ok(()),
        false => Err(Refusal::Scope(needed)),
    }
}

/// What the console asks for: as much as it shows or does.
pub(crate) fn umbrella(method: &Method) -> &'static str {
    if method.is_safe() { "read" } else { "write" }
}

/// Counts the call under every limit the key's tier has for the dialect; none where it has none.
async fn count(state: &ApiState, dialect: Dialect, holder: &Holder) -> Result<Option<Counted>, Refusal> {
    let limits = tiers::limits(&holder.limits, dialect.name())?;
    let rules: Vec<Rule> = limits
        .iter()
        .map(|l| Rule { limit: l.limit, window: Duration::from_secs(l.seconds.into()) })
        .collect();
    if rules.is_empty() {
        return Ok(None);
    }
    let allowance = state.limiter.check(&format!("{}:{}", dialect.name(), holder.key_id), &rules).await;
    Ok(Some(Counted { rules, allowance }))
}

/// Puts the limits' state on an answer: by the names in use, and by those of the IETF's draft
/// (draft-ietf-httpapi-ratelimit-headers).
fn told(mut response: Response, counted: Option<&Counted>, now: Millis) -> Response {
    let Some(Counted { rules, allowance }) = counted else { return response };
    let headers = response.headers_mut();
    let reset = now.div_euclid(1_000) as u64 + allowance.reset_seconds;
    headers.insert("x-ratelimit-limit", HeaderValue::from(allowance.limit));
    headers.insert("x-ratelimit-remaining", HeaderValue::from(allowance.remaining));
    headers.insert("x-ratelimit-reset", HeaderValue::from(reset));
    let policies: Vec<String> = rules
        .iter()
        .map(|rule| {
            let seconds = rule.window.as_secs();
            format!("\"{seconds}s\";q={};w={seconds}", rule.limit)
        })
        .collect();
    let wait = allowance.reset_seconds.max(allowance.retry_after_seconds);
    let state = format!("\"{}s\";r={};t={wait}", allowance.window_seconds, allowance.remaining);
    for (name, text) in [("ratelimit-policy", policies.join(", ")), ("ratelimit", state)] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    }
    response
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
