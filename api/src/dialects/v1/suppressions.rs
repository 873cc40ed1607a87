//! Suppressions on the native face.

use super::{Asked, view};
use crate::answer::Answer;
use crate::auth::Caller;
use crate::intake::Json;
use crate::openapi::bodies::common::{ByTime, Part};
use crate::openapi::bodies::lead::{Suppression, SuppressionInput, SuppressionList};
use crate::operations::messages::Recipient;
use crate::operations::suppressions;
use crate::refusal::Refusal;
use crate::state::ApiState;
use crate::work::Work;
use axum::extract::{Query, State};
use sendwright_workflows::address::Email;
use sendwright_workflows::phone::{EXPECTED, Phone, PhoneError};
use sendwright_workflows::spec::FieldError;
use serde_json::{Map, Value};
use std::collections::HashMap;

type Answered = Result<Answer, Refusal>;

/// Suppresses an address.
///
/// Once this is answered, no hand-over to it starts. A number is suppressed on SMS and WhatsApp, a row each; the answer shows
/// the first.
#[utoipa::path(
    post, path = "/suppressions", operation_id = "suppress_address", tag = "Suppressions",
    request_body = SuppressionInput,
    responses((status = 201, body = Suppression)),
    security(("key" = ["suppressions:write"])),
)]
pub async fn create(State(state): State<ApiState>, caller: Caller, body: Json) -> Answered {
    let (address, why) = read(&body.value)?;
    let account = caller.actor.account;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let stored = suppressions::add(&mut work, &address, &why).await?;
    let answer = work.answer(Answer::created(&view::suppression(&stored))).await?;
    suppressions::settle(&state.core, account, std::slice::from_ref(&stored.address_hash)).await;
    Ok(answer)
}

fn read(body: &Value) -> Result<(Recipient, String), Refusal> {
    let mut errors = Vec::new();
    let object =
        body.as_object().ok_or_else(|| Refusal::field("body", "invalid_type", "must be an object"))?;
    for name in object.keys().filter(|name| !["email", "phone", "why"].contains(&name.as_str())) {
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
    let address = read_address(object).map_err(|fault| errors.insert(0, fault)).ok();
    match address.filter(|_| errors.is_empty()) {
        Some(address) => Ok((address, why.to_owned())),
        None => Err(Refusal::faults_of(body, errors)),
    }
}

/// Either an `email` or a `phone`.
fn read_address(body: &Map<String, Value>) -> Result<Recipient, FieldError> {
    let given = |name: &str| body.get(name).filter(|value| !value.is_null());
    let text = |name: &str, value: &'_ Value| match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(FieldError::new(name, "invalid_type", "must be a string")),
    };
    match (given("email"), given("phone")) {
        (Some(email), None) => match Email::parse(&text("email", email)?) {
            Ok(email) => Ok(Recipient::Email(email)),
            Err(why) => Err(FieldError::new("email", "invalid_email", why.to_string())),
        },
        (None, Some(phone)) => {
            let text = text("phone", phone)?;
            let fault = |why: PhoneError| FieldError::new("phone", "invalid_phone", why.to_string());
            Phone::parse(&text).map(Recipient::Phone).map_err(|why| fault(why).instead(&text, EXPECTED))
        }
        (Some(_), Some(_)) => Err(FieldError::new("phone", "conflict", "give either email or phone")),
        (None, None) => Err(FieldError::new("email", "required", "is required, or phone")),
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
