//! Segments on the native face (S2-23 to S2-28).

use super::{Asked, seconds};
use crate::answer::Answer;
use crate::auth::Caller;
use crate::intake::{Json, NoBody};
use crate::openapi::bodies::common::{ByTime, Deletion, Part, Shown};
use crate::openapi::bodies::segment::{
    Evaluation, Segment as SegmentShown, SegmentChange, SegmentInput, SegmentList,
};
use crate::operations::segments;
use crate::refusal::{Refusal, printable};
use crate::state::ApiState;
use crate::work::Work;
use axum::extract::{Path, Query, State};
use sendwright_store::segments::Segment;
use sendwright_workflows::ids::{self, Kind, uuid};
use sendwright_workflows::spec::SegmentBody;
use serde_json::{Value, json};
use std::collections::HashMap;

type Answered = Result<Answer, Refusal>;

fn id(face: &str) -> Result<i64, Refusal> {
    ids::parse(Kind::Segment, face).ok_or_else(|| segments::missing(printable(face)))
}

/// Creates a segment.
#[utoipa::path(
    post, path = "/segments", operation_id = "create_segment", tag = "Segments",
    request_body = SegmentInput,
    responses((status = 201, body = SegmentShown)),
    security(("key" = ["segments:write"])),
)]
pub async fn create(State(state): State<ApiState>, caller: Caller, body: Json) -> Answered {
    let segment =
        SegmentBody::from_json(&body.value).map_err(|errors| Refusal::faults_of(&body.value, errors))?;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let (made, warnings) = segments::create(&mut work, segment).await?;
    let mut shown = show(&made);
    shown["warnings"] = json!(warnings);
    work.answer(Answer::created(&shown)).await
}

/// Lists segments, with how many people are in each.
#[utoipa::path(
    get, path = "/segments", operation_id = "list_segments", tag = "Segments",
    params(Part, ByTime),
    responses((status = 200, body = SegmentList)),
    security(("key" = ["segments:read"])),
)]
pub async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<HashMap<String, String>>,
) -> Answered {
    let asked = Asked::read(&query)?;
    let (found, total) = segments::list(&state.core, caller.actor.account, asked.page).await?;
    let last = found.last().map(|segment| (segment.created_at, segment.id));
    let rows = found.iter().map(show).collect();
    Ok(Answer::ok(&asked.envelope("segments", rows, total, last)))
}

/// Shows a segment.
#[utoipa::path(
    get, path = "/segments/{id}", operation_id = "get_segment", tag = "Segments",
    params(Shown),
    responses((status = 200, body = SegmentShown)),
    security(("key" = ["segments:read"])),
)]
pub async fn get(State(state): State<ApiState>, caller: Caller, Path(face): Path<String>) -> Answered {
    let mut found = [segments::get(&state.core, caller.actor.account, id(&face)?).await?];
    segments::count(&state.core, &mut found, state.core.now()?).await?;
    Ok(Answer::ok(&show(&found[0])))
}

/// Changes a segment.
///
/// What is left out stays as it is. Whoever a campaign has taken on already stays in it.
#[utoipa::path(
    put, path = "/segments/{id}", operation_id = "update_segment", tag = "Segments",
    request_body = SegmentChange,
    responses((status = 200, body = SegmentShown)),
    security(("key" = ["segments:write"])),
)]
pub async fn update(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    body: Json,
) -> Answered {
    let id = id(&face)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let (made, warnings) = segments::update(&mut work, id, &body.value).await?;
    let mut shown = show(&made);
    shown["warnings"] = json!(warnings);
    work.answer(Answer::ok(&shown)).await
}

/// Deletes a segment.
///
/// Refused while a campaign that is not over has it.
#[utoipa::path(
    delete, path = "/segments/{id}", operation_id = "delete_segment", tag = "Segments",
    responses((status = 200, body = Deletion)),
    security(("key" = ["segments:write"])),
)]
pub async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    NoBody(once): NoBody,
) -> Answered {
    let id = id(&face)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(once);
    segments::delete(&mut work, id).await?;
    let shown = json!({ "message": "Segment deleted successfully", "id": uuid(Kind::Segment, id) });
    work.answer(Answer::ok(&shown)).await
}

/// Evaluates a segment: how many people are in it now, and some of them.
///
/// One that takes longer than five seconds is given up (503).
#[utoipa::path(
    post, path = "/segments/{id}/evaluate", operation_id = "evaluate_segment", tag = "Segments",
    responses((status = 200, body = Evaluation)),
    security(("key" = ["segments:read"])),
)]
pub async fn evaluate(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    NoBody(once): NoBody,
) -> Answered {
    let id = id(&face)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(once);
    let found = segments::evaluate(&mut work, id).await?;
    let shown = json!({
        "segment_id": uuid(Kind::Segment, id),
        "matching_users": found.size,
        "sample_users": found.sample,
        "evaluation_time_ms": found.took,
    });
    work.answer(Answer::ok(&shown)).await
}

fn show(segment: &Segment) -> Value {
    json!({
        "id": uuid(Kind::Segment, segment.id),
        "name": segment.name,
        "description": segment.description,
        "filter_criteria": serde_json::from_str::<Value>(&segment.criteria).unwrap_or_default(),
        "estimated_audience_size": segment.size,
        "created_at": seconds(segment.created_at),
        "updated_at": seconds(segment.updated_at),
    })
}
