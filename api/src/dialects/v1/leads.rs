//! Leads on the native face.

use super::{Asked, view};
use crate::answer::Answer;
use crate::auth::Caller;
use crate::intake::{Json, MOST_BULK_BYTES, NoBody};
use crate::openapi::bodies::common::{ByTime, Part, Shown};
use crate::openapi::bodies::lead::{Deleted, Imported, Lead, LeadFilter, LeadInput, LeadList, LeadsInput};
use crate::operations::leads::{self, Known};
use crate::refusal::{Refusal, printable};
use crate::state::ApiState;
use crate::work::Work;
use axum::extract::{Path, Query, State};
use sendwright_workflows::ids::{self, Kind, uuid};
use sendwright_workflows::spec::LeadBody;
use serde_json::json;
use std::collections::HashMap;

type Answered = Result<Answer, Refusal>;

fn missing(face: &str) -> Refusal {
    let printable = printable(face);
    Refusal::NotFound(format!("Lead {printable} not found"))
}

/// Creates a lead.
#[utoipa::path(
    post, path = "/leads", operation_id = "create_lead", tag = "Leads",
    request_body = LeadInput,
    responses((status = 201, body = Lead)),
    security(("key" = ["leads:write"])),
)]
pub async fn create(State(state): State<ApiState>, caller: Caller, body: Json) -> Answered {
    let lead = LeadBody::from_json(&body.value).map_err(Refusal::faults)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let taken = leads::create(&mut work, lead).await?;
    let mut shown = view::lead(&taken.contact);
    shown["suppressed"] = taken.suppressed.into();
    work.answer(Answer::created(&shown)).await
}

/// Creates many leads.
///
/// Each is taken or refused by itself; one that is known is refused.
#[utoipa::path(
    post, path = "/leads/bulk", operation_id = "create_leads", tag = "Leads",
    request_body = LeadsInput,
    responses((status = 201, body = Imported)),
    security(("key" = ["leads:write"])),
)]
pub async fn create_many(
    State(state): State<ApiState>,
    caller: Caller,
    body: Json<MOST_BULK_BYTES>,
) -> Answered {
    let parsed = leads::read(&body.value)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let import = leads::import(&mut work, parsed, Known::Refuse).await?;
    work.answer(Answer::created(&view::import(&import))).await
}

/// Lists leads.
///
/// `external_id` (or `business_id`) narrows to the caller's own id.
#[utoipa::path(
    get, path = "/leads", operation_id = "list_leads", tag = "Leads",
    params(LeadFilter, Part, ByTime),
    responses((status = 200, body = LeadList)),
    security(("key" = ["leads:read"])),
)]
pub async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<HashMap<String, String>>,
) -> Answered {
    let asked = Asked::read(&query)?;
    let own = query.get("external_id").or_else(|| query.get("business_id")).map(String::as_str);
    let (found, total) = leads::list(&state.core, caller.actor.account, own, asked.page).await?;
    let last = found.last().map(|lead| (lead.created_at, lead.id));
    let rows = found.iter().map(view::lead).collect();
    Ok(Answer::ok(&asked.envelope("leads", rows, total, last)))
}

/// Shows a lead.
#[utoipa::path(
    get, path = "/leads/{id}", operation_id = "get_lead", tag = "Leads",
    params(Shown),
    responses((status = 200, body = Lead)),
    security(("key" = ["leads:read"])),
)]
pub async fn get(State(state): State<ApiState>, caller: Caller, Path(face): Path<String>) -> Answered {
    let id = ids::parse(Kind::Contact, &face).ok_or_else(|| missing(&face))?;
    let found = leads::get(&state.core, caller.actor.account, id).await?;
    Ok(Answer::ok(&view::lead(&found.ok_or_else(|| missing(&face))?)))
}

/// Deletes a lead.
///
/// What is under way to it stops; an opt-out stays.
#[utoipa::path(
    delete, path = "/leads/{id}", operation_id = "delete_lead", tag = "Leads",
    responses((status = 200, body = Deleted)),
    security(("key" = ["leads:write"])),
)]
pub async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    NoBody(once): NoBody,
) -> Answered {
    let id = ids::parse(Kind::Contact, &face).ok_or_else(|| missing(&face))?;
    let mut work = Work::new(&state.core, caller.actor)?.once(once);
    leads::delete(&mut work, id).await?;
    let shown = json!({ "message": "Lead deleted successfully", "id": uuid(Kind::Contact, id) });
    work.answer(Answer::ok(&shown)).await
}
