//! Usage on the native face (S0-29).

use super::{instant, seconds};
use crate::answer::Answer;
use crate::auth::Caller;
use crate::openapi::bodies::key::{Usage as UsageShown, UsageParams};
use crate::operations::{keys, usage};
use crate::refusal::Refusal;
use crate::state::ApiState;
use axum::extract::{Query, State};
use sendwright_store::usage::{Endpoint, Period};
use sendwright_workflows::clock::{DAY, Millis};
use sendwright_workflows::ids::{self, Kind, uuid};
use sendwright_workflows::spec::FieldError;
use serde_json::{Value, json};
use std::collections::HashMap;

/// How far back where the caller does not say.
const PERIOD: Millis = 30 * DAY;

/// Tells what was used in a period: requests by key and endpoint, messages, model tokens.
///
/// Requests are counted by the hour; an hour counts whole that the period begins in.
#[utoipa::path(
    get, path = "/usage", operation_id = "get_usage", tag = "Usage",
    params(UsageParams),
    responses((status = 200, body = UsageShown)),
    security(("key" = ["usage:read"])),
)]
pub async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Answer, Refusal> {
    let account = caller.actor.account;
    let period = period(&query, state.core.now()?)?;
    if let Some(key) = period.key {
        let found = keys::get(&state.core, account, key).await;
        found.map_err(|_| Refusal::field("key_id", "reference_not_found", "is no key of this account"))?;
    }
    // What this process has counted is there to be seen; others add theirs within seconds.
    state.meter.flush(&state.core.store).await?;
    let used = usage::read(&state.core, account, period).await?;
    Ok(Answer::ok(&json!({
        "from": seconds(period.from),
        "until": seconds(period.until),
        "requests": used.requests.0,
        "errors": used.requests.1,
        "endpoints": used.endpoints.iter().map(endpoint).collect::<Value>(),
        "messages": { "sent": used.sent },
        "model_tokens": {
            "prompt": used.tokens.0, "completion": used.tokens.1, "total": used.tokens.0 + used.tokens.1,
        },
    })))
}

fn endpoint(row: &Endpoint) -> Value {
    json!({
        "key_id": uuid(Kind::Key, row.key_id),
        "key": row.key_name,
        "method": row.method,
        "route": row.route,
        "requests": row.requests,
        "errors": row.errors,
    })
}

fn period(query: &HashMap<String, String>, now: Millis) -> Result<Period, Refusal> {
    let mut errors = Vec::new();
    let mut at = |name: &str| {
        let text = query.get(name).filter(|text| !text.is_empty())?;
        let read = instant(name, text).map_err(|fault| errors.push(fault));
        read.ok().map(|(at, _)| at)
    };
    let (from, until) = (at("from"), at("until").unwrap_or(now + 1));
    let from = from.unwrap_or(until - PERIOD);
    if errors.is_empty() && from >= until {
        errors.push(FieldError::new("from", "out_of_range", "must lie before until"));
    }
    let key = query.get("key_id").filter(|face| !face.is_empty()).map(|face| ids::parse(Kind::Key, face));
    if key == Some(None) {
        errors.push(FieldError::new("key_id", "reference_not_found", "is no key of this account"));
    }
    if errors.is_empty() {
        Ok(Period { from, until, key: key.flatten() })
    } else {
        Err(Refusal::Invalid(errors))
    }
}
