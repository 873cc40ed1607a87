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
use sendwright_workflows::spend::{Prices, amount};
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
    let cap = match body.value.get("cap") {
        None => return Err(Refusal::field("cap", "required", "is required: an amount, or null for no cap")),
        Some(Value::Null) => None,
        Some(Value::Number(number)) => {
            let cap = number
                .as_f64()
                .map(|cap| cap * 1_000_000.0)
                .filter(|cap| (0.0..=MOST_CAP as f64).contains(cap));
            let wrong = || Refusal::field("cap", "out_of_range", "must be 0 or more, and at most 1000000000");
            Some(cap.ok_or_else(wrong)? as i64)
        }
        Some(_) => {
            return Err(Refusal::field("cap", "invalid_type", "must be an amount, or null for no cap"));
        }
    };
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let now = spending::set_cap(&mut work, cap).await?;
    work.answer(Answer::ok(&spending(&now, &state.prices))).await
}

fn spending(found: &Spending, prices: &Prices) -> Value {
    let left = Cost { spending: *found, ..Cost::default() }.left();
    json!({
        "cap": found.cap.map(amount),
        "spent": amount(found.spent),
        "reserved": amount(found.reserved),
        "left": left.map(amount),
        "prices_per_million_tokens": { "in": prices.input, "out": prices.output },
    })
}

/// What a campaign's texts will cost.
pub(super) fn cost(cost: &Cost) -> Value {
    json!({
        "texts": cost.texts,
        "estimate": amount(cost.estimate),
        "cap": cost.spending.cap.map(amount),
        "left": cost.left().map(amount),
        "within_cap": cost.is_within_cap(),
    })
}
