//! Webhooks on the native face (S0-25 to S0-27, S3-23 to S3-25).

mod shown;

use super::Asked;
use crate::answer::Answer;
use crate::auth::Caller;
use crate::intake::{Json, NoBody};
use crate::openapi::bodies::common::{ByTime, Part, Shown};
use crate::openapi::bodies::delivery::{Delivery, DeliveryList, PendingTest, ReplayInput, Replayed};
use crate::openapi::bodies::webhook::{
    DeliveryFilter, NewWebhook, Webhook, WebhookChange, WebhookDetail, WebhookInput, WebhookList,
};
use crate::operations::webhooks::{self, From};
use crate::refusal::{Refusal, printable};
use crate::state::ApiState;
use crate::work::Work;
use axum::extract::{Path, Query, State};
use sendwright_workflows::clock::parse_rfc3339;
use sendwright_workflows::ids::{self, Kind, uuid};
use sendwright_workflows::spec::{EndpointBody, FieldError};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

type Answered = Result<Answer, Refusal>;

/// How long a test is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

fn id(face: &str) -> Result<i64, Refusal> {
    ids::parse(Kind::Endpoint, face).ok_or_else(|| webhooks::missing(printable(face)))
}

/// Registers a webhook.
///
/// The answer has its secret, this once. An account has at most 50.
#[utoipa::path(
    post, path = "/webhooks", operation_id = "create_webhook", tag = "Webhooks",
    request_body = WebhookInput,
    responses((status = 201, body = NewWebhook)),
    security(("key" = ["webhooks:write"])),
)]
pub async fn create(State(state): State<ApiState>, caller: Caller, body: Json) -> Answered {
    let endpoint =
        EndpointBody::create(&body.value, state.webhooks_allow_private).map_err(Refusal::faults)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let (made, secret) = webhooks::create(&mut work, endpoint).await?;
    let told = shown::with_secret(&made, &secret);
    work.answer_once(Answer::created(&shown::endpoint(&made)), Answer::created(&told)).await
}

/// Lists webhooks.
#[utoipa::path(
    get, path = "/webhooks", operation_id = "list_webhooks", tag = "Webhooks",
    params(Part, ByTime),
    responses((status = 200, body = WebhookList)),
    security(("key" = ["webhooks:read"])),
)]
pub async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<HashMap<String, String>>,
) -> Answered {
    let asked = Asked::read(&query)?;
    let (found, total) = webhooks::list(&state.core, caller.actor.account, asked.page).await?;
    let last = found.last().map(|endpoint| (endpoint.created_at, endpoint.id));
    let rows = found.iter().map(shown::endpoint).collect();
    Ok(Answer::ok(&asked.envelope("webhooks", rows, total, last)))
}

/// Shows a webhook, and how it fares.
#[utoipa::path(
    get, path = "/webhooks/{id}", operation_id = "get_webhook", tag = "Webhooks",
    params(Shown),
    responses((status = 200, body = WebhookDetail)),
    security(("key" = ["webhooks:read"])),
)]
pub async fn get(State(state): State<ApiState>, caller: Caller, Path(face): Path<String>) -> Answered {
    let endpoint = webhooks::get(&state.core, caller.actor.account, id(&face)?).await?;
    let health = webhooks::health(&state.core, endpoint.id).await?;
    Ok(Answer::ok(&shown::with_health(&endpoint, &health)))
}

/// Changes a webhook.
///
/// What is not named stays. One that is enabled again begins without a history of failures.
#[utoipa::path(
    patch, path = "/webhooks/{id}", operation_id = "change_webhook", tag = "Webhooks",
    request_body = WebhookChange,
    responses((status = 200, body = Webhook)),
    security(("key" = ["webhooks:write"])),
)]
pub async fn change(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    body: Json,
) -> Answered {
    let id = id(&face)?;
    let change = EndpointBody::change(&body.value, state.webhooks_allow_private).map_err(Refusal::faults)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let changed = webhooks::change(&mut work, id, change).await?;
    work.answer(Answer::ok(&shown::endpoint(&changed))).await
}

/// Changes a webhook: the same as PATCH.
#[utoipa::path(
    put, path = "/webhooks/{id}", operation_id = "update_webhook", tag = "Webhooks",
    request_body = WebhookChange,
    responses((status = 200, body = Webhook)),
    security(("key" = ["webhooks:write"])),
)]
pub async fn update(state: State<ApiState>, caller: Caller, face: Path<String>, body: Json) -> Answered {
    change(state, caller, face, body).await
}

/// Deletes a webhook.
///
/// Nothing more is delivered to it.
#[utoipa::path(
    delete, path = "/webhooks/{id}", operation_id = "delete_webhook", tag = "Webhooks",
    responses((status = 200, body = Webhook)),
    security(("key" = ["webhooks:write"])),
)]
pub async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    NoBody(once): NoBody,
) -> Answered {
    let id = id(&face)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(once);
    let gone = webhooks::delete(&mut work, id).await?;
    work.answer(Answer::ok(&shown::endpoint(&gone))).await
}

/// Gives a webhook a new secret.
///
/// The answer has it, this once; the old one signs as well for a day.
#[utoipa::path(
    post, path = "/webhooks/{id}/rotate-secret", operation_id = "rotate_webhook_secret", tag = "Webhooks",
    responses((status = 200, body = NewWebhook)),
    security(("key" = ["webhooks:write"])),
)]
pub async fn rotate(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    NoBody(once): NoBody,
) -> Answered {
    let id = id(&face)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(once);
    let (endpoint, secret) = webhooks::rotate(&mut work, id).await?;
    let told = shown::with_secret(&endpoint, &secret);
    work.answer_once(Answer::ok(&shown::endpoint(&endpoint)), Answer::ok(&told)).await
}

/// Sends a webhook a signed sample.
///
/// Shows what its receiver answered; 202 and where to look where that takes more than ten seconds, and always with an
/// `Idempotency-Key`. A webhook that is disabled is refused (`webhook_disabled`).
#[utoipa::path(
    post, path = "/webhooks/{id}/test", operation_id = "test_webhook", tag = "Webhooks",
    responses((status = 200, body = Delivery), (status = 202, body = PendingTest)),
    security(("key" = ["webhooks:write"])),
)]
pub async fn test(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    NoBody(once): NoBody,
) -> Answered {
    let id = id(&face)?;
    let is_repeatable = once.is_some();
    let mut work = Work::new(&state.core, caller.actor)?.once(once);
    let delivery = webhooks::test(&mut work, id).await?;
    let place = format!("/api/v1/webhooks/{}/deliveries", uuid(Kind::Endpoint, id));
    let shown =
        json!({ "delivery_id": uuid(Kind::Delivery, delivery), "status": "pending", "deliveries": place });
    let answer = work.answer(Answer { status: 202, body: shown.to_string() }).await?;
    if is_repeatable {
        // What is stored under the key is what every repetition is told.
        return Ok(answer);
    }
    match webhooks::outcome(&state.core, id, delivery, PATIENCE).await? {
        Some((listed, attempt)) => Ok(Answer::ok(&shown::delivery(&listed, &[attempt]))),
        None => Ok(answer),
    }
}

/// Lists a webhook's deliveries, the newest first, with every attempt of each.
///
/// `total` stops counting at 100,000.
#[utoipa::path(
    get, path = "/webhooks/{id}/deliveries", operation_id = "list_deliveries", tag = "Webhooks",
    params(DeliveryFilter, Part),
    responses((status = 200, body = DeliveryList)),
    security(("key" = ["webhooks:read"])),
)]
pub async fn deliveries(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Answered {
    let id = id(&face)?;
    let status = query.get("status").map(String::as_str).filter(|word| !word.is_empty());
    let state_of = match status {
        None => None,
        Some("failed") => Some("dead"),
        Some(word @ ("pending" | "delivered" | "dead")) => Some(word),
        Some(_) => {
            return Err(Refusal::field("status", "invalid_choice", "must be pending, delivered or dead"));
        }
    };
    let asked = Asked::newest_by("number", &query)?;
    let account = caller.actor.account;
    let (found, total) = webhooks::deliveries(&state.core, account, id, state_of, asked.page).await?;
    let last = found.last().map(|(delivery, _)| (delivery.created_at, delivery.number));
    let rows = found.iter().map(|(delivery, attempts)| shown::delivery(delivery, attempts)).collect();
    Ok(Answer::ok(&asked.envelope("deliveries", rows, total, last)))
}

/// Makes deliveries again.
///
/// One delivery, or those of every event from one or from an instant on.
#[utoipa::path(
    post, path = "/webhooks/{id}/replay", operation_id = "replay_deliveries", tag = "Webhooks",
    request_body = ReplayInput,
    responses((status = 202, body = Replayed)),
    security(("key" = ["webhooks:write"])),
)]
pub async fn replay(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    body: Json,
) -> Answered {
    let id = id(&face)?;
    let (from, all) = read_replay(&body.value)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let count = webhooks::replay(&mut work, id, from, all).await?;
    work.answer(Answer { status: 202, body: json!({ "replayed": count }).to_string() }).await
}

fn read_replay(body: &Value) -> Result<(From, bool), Refusal> {
    let object = body.as_object();
    let object = object.ok_or_else(|| Refusal::field("body", "invalid_type", "must be an object"))?;
    let mut errors = Vec::new();
    let known = ["delivery_id", "event_id", "since", "include"];
    for name in object.keys().filter(|name| !known.contains(&name.as_str())) {
        let name: String = name.chars().take(64).collect();
        errors.push(FieldError::new(name, "unknown_field", "is not known"));
    }
    let all = match object.get("include").and_then(Value::as_str) {
        Some("all") => true,
        None | Some("dead") => false,
        Some(_) => {
            errors.push(FieldError::new("include", "invalid_choice", "must be dead or all"));
            false
        }
    };
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let given = known[..3].iter().copied().filter(|name| object.contains_key(*name)).collect::<Vec<_>>();
    let from = match given.as_slice() {
        ["delivery_id"] => {
            text("delivery_id").and_then(|face| ids::parse(Kind::Delivery, face)).map(From::Delivery)
        }
        ["event_id"] => text("event_id").and_then(|face| ids::parse(Kind::Event, face)).map(From::Event),
        ["since"] => text("since").and_then(parse_rfc3339).map(From::Since),
        _ => {
            let rule = "give one of delivery_id, event_id and since";
            errors.push(FieldError::new("body", "required", rule));
            None
        }
    };
    match from {
        Some(from) if errors.is_empty() => return Ok((from, all)),
        None if given.len() == 1 => {
            let text = "must be the id of a delivery or event, or an instant such as 2026-03-15T09:00:00Z";
            errors.push(FieldError::new(given[0], "invalid_format", text));
        }
        _ => {}
    }
    Err(Refusal::Invalid(errors))
}
