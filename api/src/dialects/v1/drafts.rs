//! Drafts on the native face.

use super::{Asked, campaigns, told};
use crate::answer::Answer;
use crate::auth::Caller;
use crate::intake::{Json, NoBody};
use crate::openapi::bodies::common::{ById, Part, Shown as Fields};
use crate::openapi::bodies::draft::{
    ApprovalInput, Approvals, Draft as DraftShown, DraftEdit, DraftFilter, DraftList,
};
use crate::operations::drafts::{self, Draft, Shown};
use crate::operations::messages;
use crate::refusal::{Refusal, printable};
use crate::state::ApiState;
use crate::work::Work;
use axum::extract::{Path, Query, State};
use sendwright_store::drafts::UNSENT;
use sendwright_workflows::ids::{self, Kind, uuid};
use sendwright_workflows::message::State as MessageState;
use sendwright_workflows::spec::{DraftBody, FieldError};
use serde_json::{Value, json};
use std::collections::HashMap;

type Answered = Result<Answer, Refusal>;

fn id(face: &str) -> Result<i64, Refusal> {
    ids::parse(Kind::Message, face).ok_or_else(|| messages::missing(printable(face)))
}

/// Lists a campaign's messages that were not tried yet, with their texts.
#[utoipa::path(
    get, path = "/campaigns/{id}/drafts", operation_id = "list_drafts", tag = "Drafts",
    params(DraftFilter, Part, ById),
    responses((status = 200, body = DraftList)),
    security(("key" = ["drafts:read"])),
)]
pub async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Answered {
    let campaign = campaigns::id(&face)?;
    let asked = Asked::by("id", &query)?;
    let shown = shown(query.get("state").filter(|word| !word.is_empty()))?;
    let found = drafts::list(&state.core, caller.actor.account, campaign, shown, asked.page).await?;
    let last = found.0.last().map(|draft| (draft.message.created_at, draft.message.id));
    let rows = found.0.iter().map(draft).collect();
    Ok(Answer::ok(&asked.envelope("drafts", rows, found.1, last)))
}

fn shown(word: Option<&String>) -> Result<Shown, Refusal> {
    let Some(word) = word.map(|word| word.to_lowercase()) else { return Ok(Shown::All) };
    if word == "approval" {
        return Ok(Shown::ForApproval);
    }
    let state = MessageState::parse(&word).filter(|state| UNSENT.contains(state));
    state.map(Shown::In).ok_or_else(|| {
        let words = UNSENT.map(MessageState::as_str).join(", ");
        Refusal::field("state", "invalid_choice", format!("must be one of {words}, approval"))
    })
}

/// Shows a draft.
#[utoipa::path(
    get, path = "/drafts/{id}", operation_id = "get_draft", tag = "Drafts",
    params(Fields),
    responses((status = 200, body = DraftShown)),
    security(("key" = ["drafts:read"])),
)]
pub async fn get(State(state): State<ApiState>, caller: Caller, Path(face): Path<String>) -> Answered {
    let found = drafts::get(&state.core, caller.actor.account, id(&face)?).await?;
    Ok(Answer::ok(&draft(&found)))
}

/// Replaces a text by hand.
///
/// Where texts are approved, this one is to be approved again. After the first hand-over it is refused.
#[utoipa::path(
    patch, path = "/drafts/{id}", operation_id = "edit_draft", tag = "Drafts",
    request_body = DraftEdit,
    responses((status = 200, body = DraftShown)),
    security(("key" = ["drafts:write"])),
)]
pub async fn edit(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    body: Json,
) -> Answered {
    let id = id(&face)?;
    let edit = DraftBody::from_json(&body.value).map_err(Refusal::faults)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let edited = drafts::edit(&mut work, id, &edit).await?;
    work.answer(Answer::ok(&draft(&edited))).await
}

/// Approves a draft.
///
/// It is sent at its instant.
#[utoipa::path(
    post, path = "/drafts/{id}/approve", operation_id = "approve_draft", tag = "Drafts",
    responses((status = 200, body = DraftShown)),
    security(("key" = ["drafts:write"])),
)]
pub async fn approve(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    NoBody(once): NoBody,
) -> Answered {
    let id = id(&face)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(once);
    let approved = drafts::approve(&mut work, id).await?;
    work.answer(Answer::ok(&draft(&approved))).await
}

/// Rejects a draft.
///
/// It is never sent; the sequence goes on with its next step.
#[utoipa::path(
    post, path = "/drafts/{id}/reject", operation_id = "reject_draft", tag = "Drafts",
    responses((status = 200, body = DraftShown)),
    security(("key" = ["drafts:write"])),
)]
pub async fn reject(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    NoBody(once): NoBody,
) -> Answered {
    let id = id(&face)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(once);
    let rejected = drafts::reject(&mut work, id).await?;
    work.answer(Answer::ok(&draft(&rejected))).await
}

/// Has a text written anew, at once.
#[utoipa::path(
    post, path = "/drafts/{id}/regenerate", operation_id = "regenerate_draft", tag = "Drafts",
    responses((status = 202, body = DraftShown)),
    security(("key" = ["drafts:write"])),
)]
pub async fn regenerate(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    NoBody(once): NoBody,
) -> Answered {
    let id = id(&face)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(once);
    let found = drafts::regenerate(&mut work, id).await?;
    work.answer(Answer { status: 202, body: draft(&found).to_string() }).await
}

/// Approves a list of drafts, or everything of a campaign that waits.
#[utoipa::path(
    post, path = "/campaigns/{id}/drafts/approve", operation_id = "approve_drafts", tag = "Drafts",
    request_body = ApprovalInput,
    responses((status = 200, body = Approvals)),
    security(("key" = ["drafts:write"])),
)]
pub async fn approve_many(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    body: Json,
) -> Answered {
    let campaign = campaigns::id(&face)?;
    let only = read_ids(&body.value)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let (approved, others) = drafts::approve_many(&mut work, campaign, only.as_deref()).await?;
    let message = "does not wait for approval in this campaign";
    let error = |index: usize| json!({ "index": index, "error": "draft_state", "message": message });
    let errors: Vec<Value> = others.into_iter().map(error).collect();
    work.answer(Answer::ok(&json!({ "approved": approved, "errors": errors }))).await
}

fn read_ids(body: &Value) -> Result<Option<Vec<i64>>, Refusal> {
    let Value::Object(object) = body else {
        return Err(Refusal::field("body", "invalid_type", "must be {} or {\"ids\": […]}"));
    };
    let unknown = object.keys().find(|name| *name != "ids");
    if let Some(name) = unknown {
        let name = printable(name);
        return Err(Refusal::field(&name, "unknown_field", "is not known; leave ids out to approve all"));
    }
    let faces = match object.get("ids") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(faces)) => faces,
        Some(_) => return Err(Refusal::field("ids", "invalid_type", "must be a list of drafts' ids")),
    };
    let mut faults = Vec::new();
    let mut read = Vec::with_capacity(faces.len());
    for (index, face) in faces.iter().enumerate().take(drafts::MOST_LISTED + 1) {
        let text = face.as_str().map_or_else(|| face.to_string(), str::to_owned);
        match ids::parse(Kind::Message, &text) {
            Some(id) => read.push(id),
            None => {
                faults.push(FieldError::new(format!("ids[{index}]"), "invalid_format", "is no draft's id"))
            }
        }
    }
    if faults.is_empty() { Ok(Some(read)) } else { Err(Refusal::Invalid(faults)) }
}

/// A draft with its text.
pub fn draft(draft: &Draft) -> Value {
    let m = &draft.message;
    let message = told::message(m);
    let (subject, body, writer) = match &draft.text {
        Some((subject, body, writer)) => (Some(subject), Some(body), Some(writer)),
        None => (None, None, None),
    };
    json!({
        "id": message["id"],
        "state": m.state,
        "waits_for_approval": draft.waits_for_approval(),
        "approved": m.approved,
        "campaign_id": message["campaign_id"],
        "lead_id": uuid(Kind::Contact, m.contact_id),
        "step_number": m.step_number,
        "to": m.address,
        "planned_at": message["planned_at"],
        "reasons": message["reasons"],
        "subject": subject,
        "body": body,
        "writer": writer,
        "created_at": message["created_at"],
        "updated_at": message["updated_at"],
    })
}
