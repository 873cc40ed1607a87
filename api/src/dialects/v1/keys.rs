//! Keys on the native face.

use super::{Asked, seconds};
use crate::answer::Answer;
use crate::auth::Caller;
use crate::intake::{Json, MaybeJson, NoBody};
use crate::openapi::bodies::common::{ByTime, Part, Shown};
use crate::openapi::bodies::key::{Key as KeyShown, KeyInput, KeyList, NewKey, RotateInput};
use crate::operations::keys::{self, KeyBody};
use crate::refusal::{Refusal, printable};
use crate::state::ApiState;
use crate::work::Work;
use axum::extract::{Path, Query, State};
use sendwright_store::keys::Key;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::ids::{self, Kind, uuid};
use sendwright_workflows::signing::ApiKey;
use sendwright_workflows::spec::{KeySpec, overlap};
use serde_json::{Value, json};
use std::collections::HashMap;

type Answered = Result<Answer, Refusal>;

fn id(face: &str) -> Result<i64, Refusal> {
    ids::parse(Kind::Key, face).ok_or_else(|| keys::missing(printable(face)))
}

/// Creates a key; the whole of it is shown this once.
///
/// It may do no more than the key that makes it, and lasts no longer.
#[utoipa::path(
    post, path = "/keys", operation_id = "create_key", tag = "Keys",
    request_body = KeyInput,
    responses((status = 201, body = NewKey)),
    security(("key" = ["keys:write"])),
)]
pub async fn create(State(state): State<ApiState>, caller: Caller, body: Json) -> Answered {
    let spec = KeySpec::from_json(&body.value).map_err(Refusal::Invalid)?;
    let rights = caller.rights;
    let key = KeyBody {
        name: spec.name,
        user: Some(caller.user_email),
        scopes: spec.scopes.unwrap_or_else(|| rights.scopes.clone()),
        tier: spec.tier.unwrap_or_else(|| rights.tier.clone()),
        expires_at: spec.expires_at.or(rights.expires_at),
        test: spec.test,
    };
    let faults = rights.faults(&key.scopes, &key.tier, key.expires_at);
    if !faults.is_empty() {
        return Err(Refusal::Invalid(faults));
    }
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let (row, made) = keys::create(&mut work, &key).await?;
    let now = work.now();
    let row = keys::made(&mut work, row).await?;
    once(work, &row, &made, now).await
}

/// The answer with the key in it, and the one without that is kept.
async fn once(work: Work<'_>, row: &Key, made: &ApiKey, now: Millis) -> Answered {
    let with = |key: Value| {
        let mut shown = shown(row, now);
        shown["key"] = key;
        Answer::created(&shown)
    };
    work.answer_once(with(Value::Null), with(json!(made.reveal()))).await
}

/// Lists the account's keys, and those of its test twin.
#[utoipa::path(
    get, path = "/keys", operation_id = "list_keys", tag = "Keys",
    params(Part, ByTime),
    responses((status = 200, body = KeyList)),
    security(("key" = ["keys:read"])),
)]
pub async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<HashMap<String, String>>,
) -> Answered {
    let asked = Asked::read(&query)?;
    let now = state.core.now()?;
    let (found, total) = keys::list(&state.core, caller.actor.account, asked.page).await?;
    let last = found.last().map(|key| (key.created_at, key.id));
    let rows = found.iter().map(|key| shown(key, now)).collect();
    Ok(Answer::ok(&asked.envelope("keys", rows, total, last)))
}

/// Shows a key, without its secret.
#[utoipa::path(
    get, path = "/keys/{id}", operation_id = "get_key", tag = "Keys",
    params(Shown),
    responses((status = 200, body = KeyShown)),
    security(("key" = ["keys:read"])),
)]
pub async fn get(State(state): State<ApiState>, caller: Caller, Path(face): Path<String>) -> Answered {
    let found = keys::get(&state.core, caller.actor.account, id(&face)?).await?;
    Ok(Answer::ok(&shown(&found, state.core.now()?)))
}

/// Rotates a key: makes its successor, and lets the old one open for a while yet.
#[utoipa::path(
    post, path = "/keys/{id}/rotate", operation_id = "rotate_key", tag = "Keys",
    request_body = RotateInput,
    responses((status = 201, body = NewKey)),
    security(("key" = ["keys:write"])),
)]
pub async fn rotate(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    MaybeJson(body): MaybeJson,
) -> Answered {
    let id = id(&face)?;
    let overlap = overlap(&body.value, keys::MOST_OVERLAP).map_err(Refusal::Invalid)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let (row, made) = keys::rotate(&mut work, id, overlap.unwrap_or(keys::OVERLAP), &caller.rights).await?;
    let now = work.now();
    once(work, &row, &made, now).await
}

/// Revokes a key: it opens nothing from now on.
#[utoipa::path(
    delete, path = "/keys/{id}", operation_id = "revoke_key", tag = "Keys",
    responses((status = 200, body = KeyShown)),
    security(("key" = ["keys:write"])),
)]
pub async fn revoke(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    NoBody(once): NoBody,
) -> Answered {
    let id = id(&face)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(once);
    let key = keys::revoke(&mut work, id).await?;
    let now = work.now();
    work.answer(Answer::ok(&shown(&key, now))).await
}

fn shown(key: &Key, now: Millis) -> Value {
    json!({
        "id": uuid(Kind::Key, key.id),
        "name": key.name,
        "prefix": key.prefix,
        "user": key.user_email,
        "scopes": key.scopes(),
        "tier": key.tier,
        "mode": key.mode,
        "status": key.state(now),
        "expires_at": key.expires_at.map(seconds),
        "revoked_at": key.revoked_at.map(seconds),
        "last_used_at": key.last_used_at.map(seconds),
        "created_at": seconds(key.created_at),
    })
}
