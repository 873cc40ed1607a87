//! Sending profiles on the native face.

use super::{Asked, view};
use crate::answer::Answer;
use crate::auth::Caller;
use crate::intake::Json;
use crate::openapi::bodies::common::{ByTime, Part, Shown};
use crate::openapi::bodies::profile::{ProfileChange, ProfileInput, SendingProfile, SendingProfileList};
use crate::operations::sending_profiles;
use crate::refusal::{Refusal, printable};
use crate::state::ApiState;
use crate::work::Work;
use axum::extract::{Path, Query, State};
use sendwright_workflows::ids::{self, Kind};
use sendwright_workflows::spec::ProfileBody;
use std::collections::HashMap;

type Answered = Result<Answer, Refusal>;

/// Creates a sending profile.
#[utoipa::path(
    post, path = "/sending-profiles", operation_id = "create_sending_profile", tag = "Sending profiles",
    request_body = ProfileInput,
    responses((status = 201, body = SendingProfile)),
    security(("key" = ["profiles:write"])),
)]
pub async fn create(State(state): State<ApiState>, caller: Caller, body: Json) -> Answered {
    let profile = ProfileBody::from_json(&body.value).map_err(Refusal::faults)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let stored = sending_profiles::create(&mut work, &profile).await?;
    work.answer(Answer::created(&view::profile(&stored))).await
}

/// Lists sending profiles.
#[utoipa::path(
    get, path = "/sending-profiles", operation_id = "list_sending_profiles", tag = "Sending profiles",
    params(Part, ByTime),
    responses((status = 200, body = SendingProfileList)),
    security(("key" = ["profiles:read"])),
)]
pub async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<HashMap<String, String>>,
) -> Answered {
    let asked = Asked::read(&query)?;
    let (found, total) = sending_profiles::list(&state.core, caller.actor.account, asked.page).await?;
    let last = found.last().map(|profile| (profile.created_at, profile.id));
    let rows = found.iter().map(view::profile).collect();
    Ok(Answer::ok(&asked.envelope("sending_profiles", rows, total, last)))
}

/// Shows a sending profile; its URL never comes out.
#[utoipa::path(
    get, path = "/sending-profiles/{id}", operation_id = "get_sending_profile", tag = "Sending profiles",
    params(Shown),
    responses((status = 200, body = SendingProfile)),
    security(("key" = ["profiles:read"])),
)]
pub async fn get(State(state): State<ApiState>, caller: Caller, Path(face): Path<String>) -> Answered {
    let found = sending_profiles::get(&state.core, caller.actor.account, id(&face)?).await?;
    Ok(Answer::ok(&view::profile(&found)))
}

/// Changes a sending profile.
///
/// What is named changes, `null` clears. Once `"state": "paused"` is answered, nothing more of it is handed over.
#[utoipa::path(
    patch, path = "/sending-profiles/{id}", operation_id = "change_sending_profile", tag = "Sending profiles",
    request_body = ProfileChange,
    responses((status = 200, body = SendingProfile)),
    security(("key" = ["profiles:write"])),
)]
pub async fn change(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    body: Json,
) -> Answered {
    let id = id(&face)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let stored = sending_profiles::change(&mut work, id, &body.value).await?;
    work.answer(Answer::ok(&view::profile(&stored))).await
}

fn id(face: &str) -> Result<i64, Refusal> {
    ids::parse(Kind::Profile, face).ok_or_else(|| sending_profiles::missing(printable(face)))
}
