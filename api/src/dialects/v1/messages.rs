//! Messages on the native face, and what explains them.

use super::{Asked, campaigns, told};
use crate::answer::Answer;
use crate::auth::Caller;
use crate::intake::{Json, NoBody};
use crate::openapi::bodies::common::{ById, Part, Shown};
use crate::openapi::bodies::message::{
    Explanation, LeadExplanation, Message, MessageFilter, MessageList, TestSendInput, TestSends,
};
use crate::operations::messages::{self, Filter, Recipient, TestBody};
use crate::refusal::{Refusal, printable};
use crate::state::ApiState;
use crate::work::Work;
use axum::extract::{Path, Query, State};
use sendwright_workflows::address::Email;
use sendwright_workflows::ids::{self, Kind, uuid};
use sendwright_workflows::message::State as MessageState;
use sendwright_workflows::phone::{EXPECTED, Phone};
use sendwright_workflows::spec::FieldError;
use serde_json::{Value, json};
use std::collections::HashMap;

type Answered = Result<Answer, Refusal>;

fn id(face: &str) -> Result<i64, Refusal> {
    ids::parse(Kind::Message, face).ok_or_else(|| messages::missing(printable(face)))
}

/// Lists messages.
///
/// `total` stops counting at 100,000.
#[utoipa::path(
    get, path = "/messages", operation_id = "list_messages", tag = "Messages",
    params(MessageFilter, Part, ById),
    responses((status = 200, body = MessageList)),
    security(("key" = ["messages:read"])),
)]
pub async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<HashMap<String, String>>,
) -> Answered {
    let asked = Asked::by("id", &query)?;
    let filter = filter(&query)?;
    let (found, total) = messages::list(&state.core, caller.actor.account, filter, asked.page).await?;
    let last = found.last().map(|message| (message.created_at, message.id));
    let rows = found.iter().map(told::message).collect();
    Ok(Answer::ok(&asked.envelope("messages", rows, total, last)))
}

fn filter(query: &HashMap<String, String>) -> Result<Filter, Refusal> {
    let given = |name: &str| query.get(name).filter(|word| !word.is_empty());
    let state = match given("state") {
        None => None,
        Some(word) => Some(MessageState::parse(&word.to_lowercase()).ok_or_else(|| {
            let words = MessageState::ALL.map(MessageState::as_str).join(", ");
            Refusal::field("state", "invalid_choice", format!("must be one of {words}"))
        })?),
    };
    let campaign = given("campaign_id").map(|face| campaigns::id(face)).transpose()?;
    Ok(Filter { state, campaign })
}

/// Shows a message, with its text and its attempts.
#[utoipa::path(
    get, path = "/messages/{id}", operation_id = "get_message", tag = "Messages",
    params(Shown),
    responses((status = 200, body = Message)),
    security(("key" = ["messages:read"])),
)]
pub async fn get(State(state): State<ApiState>, caller: Caller, Path(face): Path<String>) -> Answered {
    let full = messages::get(&state.core, caller.actor.account, id(&face)?).await?;
    Ok(Answer::ok(&told::full_message(&full)))
}

/// Tells why a message went, waits or was held.
#[utoipa::path(
    get, path = "/messages/{id}/explain", operation_id = "explain_message", tag = "Messages",
    responses((status = 200, body = Explanation)),
    security(("key" = ["messages:read"])),
)]
pub async fn explain(State(state): State<ApiState>, caller: Caller, Path(face): Path<String>) -> Answered {
    let explained = messages::explain(&state.core, caller.actor.account, id(&face)?).await?;
    Ok(Answer::ok(&told::explanation(&explained)))
}

/// Tells where a lead stands in every campaign, and why.
#[utoipa::path(
    get, path = "/leads/{id}/explain", operation_id = "explain_lead", tag = "Leads",
    responses((status = 200, body = LeadExplanation)),
    security(("key" = ["leads:read"])),
)]
pub async fn explain_lead(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
) -> Answered {
    let lead = ids::parse(Kind::Contact, &face);
    let lead = lead.ok_or_else(|| Refusal::NotFound(format!("Lead {} not found", printable(&face))))?;
    let explained = messages::explain_lead(&state.core, caller.actor.account, lead, state.means).await?;
    Ok(Answer::ok(&told::lead_explained(&explained)))
}

/// Releases a message that was held or is uncertain.
#[utoipa::path(
    post, path = "/messages/{id}/release", operation_id = "release_message", tag = "Messages",
    responses((status = 200, body = Message)),
    security(("key" = ["messages:write"])),
)]
pub async fn release(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    NoBody(once): NoBody,
) -> Answered {
    let id = id(&face)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(once);
    let message = messages::release(&mut work, id).await?;
    work.answer(Answer::ok(&told::message(&message))).await
}

/// Cancels a message that was not handed over.
#[utoipa::path(
    post, path = "/messages/{id}/cancel", operation_id = "cancel_message", tag = "Messages",
    responses((status = 200, body = Message)),
    security(("key" = ["messages:write"])),
)]
pub async fn cancel(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    NoBody(once): NoBody,
) -> Answered {
    let id = id(&face)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(once);
    let message = messages::cancel(&mut work, id).await?;
    work.answer(Answer::ok(&told::message(&message))).await
}

/// Sends a campaign's steps to an address of the caller's.
///
/// The messages go out by themselves, outside every count.
#[utoipa::path(
    post, path = "/campaigns/{id}/test", operation_id = "test_campaign", tag = "Campaigns",
    request_body = TestSendInput,
    responses((status = 202, body = TestSends)),
    security(("key" = ["messages:write"])),
)]
pub async fn test(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    body: Json,
) -> Answered {
    let id = campaigns::id(&face)?;
    let test = read_test(&body.value)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let sent = messages::test_send(&mut work, id, &test, &state.allowed_countries).await?;
    let sent: Vec<String> = sent.into_iter().map(|id| uuid(Kind::Message, id)).collect();
    let shown = json!({ "message_ids": sent, "status": "scheduled" });
    work.answer(Answer { status: 202, body: shown.to_string() }).await
}

/// A number begins with a plus sign, which no address of people does.
fn read_recipient(text: &str) -> Result<Recipient, FieldError> {
    if text.starts_with('+') && !text.contains('@') {
        let phone = Phone::parse(text).map_err(|_| format!("must be in {EXPECTED}"));
        return phone.map(Recipient::Phone).map_err(|why| FieldError::new("to", "invalid_phone", why));
    }
    let email = Email::parse(text).map_err(|why| FieldError::new("to", "invalid_email", why.to_string()));
    email.map(Recipient::Email)
}

fn read_test(body: &Value) -> Result<TestBody, Refusal> {
    let object =
        body.as_object().ok_or_else(|| Refusal::field("body", "invalid_type", "must be an object"))?;
    let given = |name: &str| body.get(name).filter(|value| !value.is_null());
    let mut errors = Vec::new();
    for name in object.keys().filter(|name| !["to", "step", "lead_id"].contains(&name.as_str())) {
        errors.push(FieldError::new(printable(name), "unknown_field", "is not known"));
    }
    let step = given("step").map(|value| value.as_u64().and_then(|n| u32::try_from(n).ok()));
    if step == Some(None) {
        errors.push(FieldError::new("step", "invalid_type", "must be a step's number"));
    }
    let lead = given("lead_id").map(|value| {
        let face = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        ids::parse(Kind::Contact, &face)
    });
    if lead == Some(None) {
        errors.push(FieldError::new("lead_id", "reference_not_found", "is no lead's id"));
    }
    let to = match given("to").map(Value::as_str) {
        None => Err(FieldError::new("to", "required", "is required")),
        Some(None) => Err(FieldError::new("to", "invalid_type", "must be a string")),
        Some(Some(text)) => read_recipient(text),
    };
    match to {
        Ok(to) if errors.is_empty() => Ok(TestBody { to, step: step.flatten(), lead: lead.flatten() }),
        Ok(_) => Err(Refusal::Invalid(errors)),
        Err(fault) => {
            errors.insert(0, fault);
            Err(Refusal::Invalid(errors))
        }
    }
}
