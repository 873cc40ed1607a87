//! What texts cost, on the native face. Amounts are in the currency that the configured prices are in.

use crate::answer::Answer;
use crate::auth::Caller;
use crate::intake::Json;
use crate::openapi::bodies::spending::{CapInput, Spending as SpendingShown};
use crate::operations::spending::{self, Cost, MOST_CAP};
use crate::refusal::Refusal;
use crate::state::ApiState;
use crate::work::Work;
use axum::extract::State;
use sendwright_store::spending::Spending;
use sendwright_workflows::clock::rfc3339;
use sendwright_workflows::spec::FieldError;
use sendwright_workflows::spend::{Period, Prices, amount};
use serde_json::{Value, json};

type Answered = Result<Answer, Refusal>;

/// Shows what texts have cost, and the cap.
#[utoipa::path(
    get, path = "/spending", operation_id = "get_spending", tag = "Spending",
    responses((status = 200, body = SpendingShown)),
    security(("key" = ["spending:read"])),
)]
pub async fn get(State(state): State<ApiState>, caller: Caller) -> Answered {
    let found = spending::get(&state.core, caller.actor.account).await?;
    Ok(Answer::ok(&spending(&found, &state.prices)))
}

/// Sets the most that texts may cost.
#[utoipa::path(
    put, path = "/spending", operation_id = "set_spending_cap", tag = "Spending",
    request_body = CapInput,
    responses((status = 200, body = SpendingShown)),
    security(("key" = ["spending:write"])),
)]
pub async fn set_cap(State(state): State<ApiState>, caller: Caller, body: Json) -> Answered {
    let (cap, period) = match (cap(body.value.get("cap")), period(body.value.get("period"))) {
        (Ok(cap), Ok(period)) => (cap, period),
        (cap, period) => {
            return Err(Refusal::Invalid(cap.err().into_iter().chain(period.err()).collect()));
        }
    };
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let now = spending::set_cap(&mut work, cap, period).await?;
    work.answer(Answer::ok(&spending(&now, &state.prices))).await
}

fn cap(given: Option<&Value>) -> Result<Option<i64>, FieldError> {
    let wrong = |code, text| Err(FieldError::new("cap", code, text));
    match given {
        None => wrong("required", "is required: an amount, or null for no cap"),
        Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => {
            let cap = number.as_f64().map(|cap| cap * 1_000_000.0);
            match cap.filter(|cap| (0.0..=MOST_CAP as f64).contains(cap)) {
                Some(cap) => Ok(Some(cap as i64)),
                None => wrong("out_of_range", "must be 0 or more, and at most 1000000000"),
            }
        }
        Some(_) => wrong("invalid_type", "must be an amount, or null for no cap"),
    }
}

fn period(given: Option<&Value>) -> Result<Option<Period>, FieldError> {
    let Some(given) = given.filter(|given| !given.is_null()) else { return Ok(None) };
    let period = given.as_str().and_then(Period::parse);
    period
        .map(Some)
        .ok_or_else(|| FieldError::new("period", "invalid_choice", "must be total, monthly or daily"))
}

fn spending(found: &Spending, prices: &Prices) -> Value {
    json!({
        "cap": found.cap.map(amount),
        "period": found.period.as_str(),
        "renews_at": found.renews_at.map(rfc3339),
        "spent": amount(found.spent),
        "spent_total": amount(found.total),
        "reserved": amount(found.reserved),
        "left": found.left().map(amount),
        "prices_per_million_tokens": { "in": prices.input, "out": prices.output },
    })
}

/// What a campaign's texts will cost.
pub(super) fn cost(cost: &Cost) -> Value {
    json!({
        "texts": cost.texts,
        "estimate": amount(cost.estimate),
        "cap": cost.spending.cap.map(amount),
        "period": cost.spending.period.as_str(),
        "left": cost.spending.left().map(amount),
        "within_cap": cost.is_within_cap(),
    })
}
