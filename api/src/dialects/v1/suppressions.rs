//! Suppressions on the native face.

use super::{Asked, view};
use crate::answer::Answer;
use crate::auth::Caller;
use crate::intake::Json;
use crate::openapi::bodies::common::{ByTime, Part};
use crate::openapi::bodies::lead::{Suppression, SuppressionInput, SuppressionList};
use crate::operations::suppressions;
use crate::refusal::Refusal;
use crate::state::ApiState;
use crate::work::Work;
use axum::extract::{Query, State};
use sendwright_workflows::address::Email;
use sendwright_workflows::spec::FieldError;
use serde_json::Value;
use std::collections::HashMap;

type Answered = Result<Answer, Refusal>;

/// Suppresses an address.
///
/// Once this is answered, no hand-over to it starts.
#[utoipa::path(
    post, path = "/suppressions", operation_id = "suppress_address", tag = "Suppressions",
    request_body = SuppressionInput,
    responses((status = 201, body = Suppression)),
    security(("key" = ["suppressions:write"])),
)]
pub async fn create(State(state): State<ApiState>, caller: Caller, body: Json) -> Answered {
    let (email, why) = read(&body.value)?;
    let account = caller.actor.account;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let stored = suppressions::add(&mut work, &email, &why).await?;
    let answer = work.answer(Answer::created(&view::suppression(&stored))).await?;
    suppressions::settle(&state.core, account, std::slice::from_ref(&stored.address_hash)).await;
    Ok(answer)
}

fn read(body: &Value) -> Result<(Email, String), Refusal> {
    let mut errors = Vec::new();
    let object =
        body.as_object().ok_or_else(|| Refusal::field("body", "invalid_type", "must be an object"))?;
    for name in object.keys().filter(|name| !["email", "why"].contains(&name.as_str())) {
        errors.push(FieldError::new(
            name.chars().take(64).collect::<String>(),
            "unknown_field",
            "is not known",
        ));
    }
    let why = match body.get("why").filter(|why| !why.is_null()) {
        None => "manual",
        Some(Value::String(word)) if ["manual", "opt_out", "complained"].contains(&word.as_str()) => word,
        Some(_) => {
            errors.push(FieldError::new("why", "invalid_choice", "must be manual, opt_out or complained"));
            ""
        }
    };
    let email = match body.get("email").map(|email| email.as_str().map(Email::parse)) {
        None => Err(FieldError::new("email", "required", "is required")),
        Some(None) => Err(FieldError::new("email", "invalid_type", "must be a string")),
        Some(Some(Err(why))) => Err(FieldError::new("email", "invalid_email", why.to_string())),
        Some(Some(Ok(email))) => Ok(email),
    };
    match email {
        Ok(email) if errors.is_empty() => Ok((email, why.to_owned())),
        Ok(_) => Err(Refusal::Invalid(errors)),
        Err(fault) => {
            errors.insert(0, fault);
            Err(Refusal::Invalid(errors))
        }
    }
}

/// Lists suppressed addresses, masked.
#[utoipa::path(
    get, path = "/suppressions", operation_id = "list_suppressions", tag = "Suppressions",
    params(Part, ByTime),
    responses((status = 200, body = SuppressionList)),
    security(("key" = ["suppressions:read"])),
)]
pub async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<HashMap<String, String>>,
) -> Answered {
    let asked = Asked::read(&query)?;
    let (found, total) = suppressions::list(&state.core, caller.actor.account, asked.page).await?;
    let last = found.last().map(|row| (row.created_at, row.id));
    let rows = found.iter().map(view::suppression).collect();
    Ok(Answer::ok(&asked.envelope("suppressions", rows, total, last)))
}
