//! The ledger of events on the native face: what closes a receiver's gap.

use crate::answer::Answer;
use crate::auth::Caller;
use crate::intake::Json;
use crate::openapi::bodies::delivery::{EventInput, EventList, EventParams, TakenEvent};
use crate::operations::events::{self, Own};
use crate::refusal::Refusal;
use crate::state::ApiState;
use crate::work::Work;
use axum::extract::{Query, State};
use sendwright_workflows::event::{self, canonical};
use sendwright_workflows::ids::{Kind, uuid};
use sendwright_workflows::spec::FieldError;
use sendwright_workflows::webhook::body;
use serde_json::{Value, json};
use std::collections::HashMap;

type Answered = Result<Answer, Refusal>;

/// Most events of an answer, and as many where the caller does not say.
const LIMIT: (i64, i64) = (1_000, 100);

/// Lists events in the order of their numbers, which have no gap.
///
/// What closes a receiver's gap: ask behind the last number that it has seen.
#[utoipa::path(
    get, path = "/events", operation_id = "list_events", tag = "Events",
    params(EventParams),
    responses((status = 200, body = EventList)),
    security(("key" = ["events:read"])),
)]
pub async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<HashMap<String, String>>,
) -> Answered {
    let place = if query.contains_key("cursor") { "cursor" } else { "after" };
    if place == "cursor" && query.contains_key("after") {
        return Err(Refusal::field("after", "conflict", "give either cursor or after"));
    }
    let after = number(&query, place, 0, (0, i64::MAX))?;
    let limit = number(&query, "limit", LIMIT.1, (1, LIMIT.0))?;
    let types = query.get("types").filter(|types| !types.trim().is_empty() && types.trim() != "*");
    let kinds: Option<Vec<&str>> =
        types.map(|types| types.split(',').flat_map(|name| event::kinds(name.trim())).collect());
    let account = caller.actor.account;
    let ledger = events::list(&state.core, account, after, kinds.as_deref(), limit).await?;
    let rows: Vec<Value> = ledger.events.iter().map(|e| body(&e.about(canonical(&e.kind), None))).collect();
    let has_more = ledger.next_after < ledger.last;
    Ok(Answer::ok(&json!({
        "events": rows,
        "next_after": ledger.next_after,
        "next_cursor": has_more.then(|| ledger.next_after.to_string()),
        "has_more": has_more,
        "last": ledger.last,
    })))
}

/// A whole number of the query, within its range.
fn number(
    query: &HashMap<String, String>,
    name: &str,
    default: i64,
    (least, most): (i64, i64),
) -> Result<i64, Refusal> {
    let Some(text) = query.get(name) else { return Ok(default) };
    let read = text.parse().ok().filter(|n| (least..=most).contains(n));
    let text = match most {
        i64::MAX => format!("must be a whole number of at least {least}"),
        most => format!("must be a whole number from {least} to {most}"),
    };
    read.ok_or_else(|| Refusal::field(name, "out_of_range", text))
}

/// Adds an event of the caller's own.
///
/// Webhooks that chose it are told of it. It is on disk once this is answered.
#[utoipa::path(
    post, path = "/events", operation_id = "create_event", tag = "Events",
    request_body = EventInput,
    responses((status = 202, body = TakenEvent)),
    security(("key" = ["events:write"])),
)]
pub async fn create(State(state): State<ApiState>, caller: Caller, body: Json) -> Answered {
    let (kind, data) = read(&body.value)?;
    let shown = |id| json!({ "id": uuid(Kind::Event, id), "type": kind }).to_string();
    if body.once.is_none() {
        let own = Own { account: caller.actor.account, kind: kind.to_owned(), data };
        let id = state.intake.add(&state.core, own).await?;
        return Ok(Answer { status: 202, body: shown(id) });
    }
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let id = events::create(&mut work, kind, &data).await?;
    work.answer(Answer { status: 202, body: shown(id) }).await
}

fn read(body: &Value) -> Result<(&str, String), Refusal> {
    let object = body.as_object();
    let object = object.ok_or_else(|| Refusal::field("body", "invalid_type", "must be an object"))?;
    let mut errors: Vec<FieldError> = Vec::new();
    for name in object.keys().filter(|name| !["type", "data"].contains(&name.as_str())) {
        let name: String = name.chars().take(64).collect();
        errors.push(FieldError::new(name, "unknown_field", "is not known"));
    }
    let kind = match object.get("type") {
        None | Some(Value::Null) => Err(("required", "is required")),
        Some(Value::String(kind)) if event::is_custom(kind) => Ok(kind.as_str()),
        Some(Value::String(_)) => {
            Err(("invalid_format", "must be custom. and words of a-z, 0-9 and _ between dots"))
        }
        Some(_) => Err(("invalid_type", "must be a string")),
    };
    let data = match object.get("data") {
        None | Some(Value::Null) => "{}".to_owned(),
        Some(data @ Value::Object(_)) if data.to_string().len() <= MOST_DATA => data.to_string(),
        Some(Value::Object(_)) => {
            errors.push(FieldError::new("data", "too_long", "must have at most 16384 bytes"));
            String::new()
        }
        Some(_) => {
            errors.push(FieldError::new("data", "invalid_type", "must be an object"));
            String::new()
        }
    };
    match kind {
        Ok(kind) if errors.is_empty() => Ok((kind, data)),
        Ok(_) => Err(Refusal::Invalid(errors)),
        Err((code, text)) => {
            errors.insert(0, FieldError::new("type", code, text));
            Err(Refusal::Invalid(errors))
        }
    }
}

/// Most bytes of an own event's data: a webhook stays below the 20 kB that Standard Webhooks ask for.
const MOST_DATA: usize = 16_384;
