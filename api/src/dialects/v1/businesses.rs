//! Businesses of a campaign (S0-21): leads by S0's names, each alone taken or refused.

use super::{campaigns, view};
use crate::answer::Answer;
use crate::auth::Caller;
use crate::intake::{Json, MOST_BULK_BYTES};
use crate::openapi::bodies::business::{BusinessesInput, ImportedBusinesses};
use crate::operations::leads::{self, Import, Known};
use crate::refusal::Refusal;
use crate::state::ApiState;
use crate::work::Work;
use axum::extract::{Path, State};
use sendwright_store::contacts::Contact;
use sendwright_workflows::spec::{FieldError, LeadBody, business};
use serde_json::{Value, json};

/// Enrols businesses in a campaign (S0-21).
///
/// Each is taken or refused alone. Who is known by the address is enrolled as it stands.
#[utoipa::path(
    post, path = "/campaigns/{id}/businesses", operation_id = "add_businesses", tag = "Campaigns",
    request_body = BusinessesInput,
    responses((status = 201, body = ImportedBusinesses)),
    security(("key" = ["campaigns:write"])),
)]
pub async fn add(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    body: Json<MOST_BULK_BYTES>,
) -> Result<Answer, Refusal> {
    let id = campaigns::id(&face)?;
    let list = match &body.value {
        Value::Array(list) => Some(list),
        other => other.get("businesses").and_then(Value::as_array),
    };
    let wrong = || Refusal::field("businesses", "invalid_type", "must be a list of businesses");
    let parsed = list.ok_or_else(wrong)?.iter().take(leads::MOST_LEADS + 1).map(|value| {
        let lead = business(value)?;
        match lead.campaign_id.is_none_or(|other| other == id) {
            true => Ok(LeadBody { campaign_id: Some(id), ..lead }),
            false => Err(vec![FieldError::new("campaign_id", "conflict", "must be the path's campaign")]),
        }
    });
    let parsed = parsed.collect();
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    crate::operations::campaigns::get(&state.core, work.account(), id).await?;
    let import = leads::import(&mut work, parsed, Known::Take).await?;
    work.answer(Answer::created(&shown(&import))).await
}

fn shown(import: &Import) -> Value {
    let mut shown = view::import(import);
    shown["businesses"] = import.taken.iter().map(|taken| one(&taken.contact)).collect();
    if let Some(object) = shown.as_object_mut() {
        object.remove("leads");
    }
    shown
}

fn one(contact: &Contact) -> Value {
    let lead = view::lead(contact);
    json!({
        "id": lead["id"],
        "business_id": contact.details.external_id,
        "business_name": contact.details.company,
        "email": contact.details.email,
        "attributes": lead["attributes"],
        "status": contact.state,
    })
}
