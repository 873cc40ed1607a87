//! Keys at the door: who calls, whether they may, and how often.

mod keyless;
mod limits;

pub use limits::{Class, per_address};

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
use axum::http::{Extensions, HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use limits::{Counted, told};
use sendwright_queue::Rule;
use sendwright_store::keys::{self, Holder};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::signing::ApiKey;
use std::sync::Arc;
use std::time::Duration;

/// Bad keys an address may try a minute before it is told to wait (A3).
const MOST_FAILURES: Rule = Rule::per_minute(20);
/// The longest that a look-up of a key may take, as a connection to the database is waited for.
const LOOK_UP: Duration = Duration::from_secs(3);
/// What a route asks for that the document does not name: only a key without scopes has it.
const EVERYTHING: &str = "all";

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

/// A way in: the face that speaks there, and the limits its routes are under.
#[derive(Clone)]
pub struct Entrance {
    /// What the process holds.
    pub state: ApiState,
    /// The limits.
    pub class: Class,
}

/// Why somebody is not let in, and what was counted.
type Refused = (Refusal, Option<Counted>);

/// Lets a request in by its key, or without one where that is enough, within the limits there are for it, whose state
/// goes on the answer.
pub async fn guard(State(entrance): State<Entrance>, mut request: Request, next: Next) -> Response {
    let state = &entrance.state;
    let now = match state.core.now() {
        Ok(now) => now,
        Err(refusal) => return refusal.into_response(),
    };
    let template = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let needed = openapi::scope_of(request.method().as_str(), template).unwrap_or(EVERYTHING);
    let entered = match keyless::is_open(state, entrance.class, request.headers()) {
        true => {
            keyless::enter(state, request.extensions()).await.map(|(caller, counted)| (caller, None, counted))
        }
        false => enter(&entrance, request.headers(), request.extensions(), needed, now).await,
    };
    let (caller, key, counted) = match entered {
        Ok(entered) => entered,
        Err((refusal, counted)) => return told(refusal.into_response(), counted.as_ref(), now),
    };
    let template = openapi::native(template);
    let (method, account) = (known_method(request.method()), caller.actor.account);
    request.extensions_mut().insert(caller);
    let response = next.run(request).await;
    let is_error = response.extensions().get::<Arc<Refusal>>().is_some() || response.status().as_u16() >= 400;
    if let Some(key) = key {
        state.meter.count(account, key, (method, &template), is_error, now);
    }
    told(response, counted.as_ref(), now)
}

fn actor(extensions: &Extensions, account: i64, who: String) -> Actor {
    let request_id = extensions.get::<RequestId>().map(|id| id.0.clone());
    Actor { account, who, source: "api", request_id }
}

/// The method as usage names it: anybody can invent one.
fn known_method(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
    known.into_iter().find(|name| *name == method.as_str()).unwrap_or("OTHER")
}

/// Whoever a request's key belongs to, the key and the call counted; whatever the key may not do is refused after it is
/// counted.
async fn enter(
    entrance: &Entrance,
    headers: &HeaderMap,
    extensions: &Extensions,
    needed: &'static str,
    now: Millis,
) -> Result<(Caller, Option<i64>, Option<Counted>), Refused> {
    let (state, class) = (&entrance.state, entrance.class);
    let holder = identify(state, headers, Peer::of(extensions), now).await?;
    let key = holder.key_id;
    let counted = Counted::by_tier(state, &holder.limits, class, &format!("{}:{key}", class.name())).await?;
    if let Some(refusal) = counted.as_ref().and_then(Counted::refused) {
        return Err((refusal, counted));
    }
    if let Err(refusal) = may(&holder, needed) {
        return Err((refusal, counted));
    }
    let actor = actor(extensions, holder.account_id, format!("key:{key}"));
    let rights = Rights::of(&holder);
    Ok((Caller { actor, user_email: holder.user_email, rights }, Some(key), counted))
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
async fn identify(state: &ApiState, headers: &HeaderMap, peer: Peer, now: Millis) -> Result<Holder, Refused> {
    let key = given(headers).and_then(|text| ApiKey::parse(&text));
    // A key of no shape is looked up as well: it must not be told apart by the time it takes.
    let prefix = key.as_ref().map_or("", ApiKey::prefix).to_owned();
    let looked = tokio::time::timeout(LOOK_UP, state.holders.add(&state.core, prefix)).await;
    let found = looked.unwrap_or(Err(Refusal::Unavailable)).map_err(|refusal| (refusal, None))?;
    let hash = key.map(|key| key.hash()).unwrap_or_default();
    let Some(holder) = found.filter(|holder| holder.opens(&hash, now)) else {
        let counted = Counted::under(state, &format!("bad-key:{}", peer.0), vec![MOST_FAILURES]).await;
        let refusal = counted.as_ref().and_then(Counted::refused).unwrap_or(Refusal::Unauthorized);
        return Err((refusal, counted));
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
