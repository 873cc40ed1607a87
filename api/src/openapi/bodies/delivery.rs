//! Deliveries of webhooks, and the ledger of events that they are made from.

use super::common::Listing;
use utoipa::{IntoParams, ToSchema};

/// An event on its way to one webhook.
#[derive(ToSchema)]
pub struct Delivery {
    /// Its id.
    #[schema(example = "06000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// The webhook.
    #[schema(example = "05000000-0000-8000-8000-000000000001")]
    pub webhook_id: String,
    /// The event; the `webhook-id` header of every attempt.
    #[schema(example = "07000000-0000-8000-8000-000000000001")]
    pub event_id: String,
    /// The event's name.
    #[schema(example = "email.sent")]
    pub r#type: String,
    /// Its place among this webhook's deliveries, without gaps.
    #[schema(example = 17)]
    pub number: i64,
    /// `pending`, `delivered` or `dead`.
    #[schema(example = "delivered")]
    pub status: String,
    /// How often it was tried.
    #[schema(example = 1)]
    pub attempt_count: i64,
    /// When it is tried next.
    #[schema(format = DateTime, example = "2026-01-15T10:30:10.000Z")]
    pub next_attempt_at: Option<String>,
    /// The receiver's last status.
    #[schema(example = 200)]
    pub status_code: Option<i64>,
    /// What last went wrong.
    #[schema(example = "it answered 503")]
    pub error: Option<String>,
    /// When it was made.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub created_at: String,
    /// When it arrived.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub delivered_at: Option<String>,
    /// Every attempt, in their order.
    pub attempts: Vec<DeliveryAttempt>,
}

/// One try to deliver.
#[derive(ToSchema)]
pub struct DeliveryAttempt {
    /// When.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00.120Z")]
    pub at: String,
    /// What the receiver answered.
    #[schema(example = 200)]
    pub status_code: Option<i64>,
    /// How long it took, in milliseconds.
    #[schema(example = 38)]
    pub duration_ms: Option<i64>,
    /// The beginning of the receiver's answer.
    #[schema(example = "ok")]
    pub response: Option<String>,
    /// What went wrong.
    #[schema(example = "it answered 503")]
    pub error: Option<String>,
}

/// Deliveries, the newest first; `total` stops counting at 100,000.
#[derive(ToSchema)]
pub struct DeliveryList {
    /// The rows.
    pub deliveries: Vec<Delivery>,
    /// Where the list stands.
    #[serde(flatten)]
    pub listing: Listing,
}

/// A test whose receiver has not answered yet.
#[derive(ToSchema)]
pub struct PendingTest {
    /// The delivery.
    #[schema(example = "06000000-0000-8000-8000-000000000001")]
    pub delivery_id: String,
    /// `pending`.
    #[schema(example = "pending")]
    pub status: String,
    /// Where its outcome will stand.
    #[schema(example = "/api/v1/webhooks/05000000-0000-8000-8000-000000000001/deliveries")]
    pub deliveries: String,
}

/// Which deliveries are made again: give one of `delivery_id`, `event_id` and `since`.
#[derive(ToSchema)]
#[schema(example = json!({"since": "2026-01-15T09:00:00Z", "include": "dead"}))]
pub struct ReplayInput {
    /// This one, whatever its state.
    pub delivery_id: Option<String>,
    /// Those of this event and of every later one.
    pub event_id: Option<String>,
    /// Those of every event from this instant on.
    #[schema(format = DateTime)]
    pub since: Option<String>,
    /// `dead` for those that were given up (where it is left out), or `all`.
    pub include: Option<String>,
}

/// Deliveries that are made again.
#[derive(ToSchema)]
pub struct Replayed {
    /// How many.
    #[schema(example = 3)]
    pub replayed: i64,
}

/// An event of the caller's own.
#[derive(ToSchema)]
#[schema(example = json!({"type": "custom.order.paid", "data": {"order": 42}}))]
pub struct EventInput {
    /// `custom.` and words of a-z, 0-9 and `_` between dots.
    #[schema(max_length = 100, pattern = r"^custom(\.[a-z0-9_]+)+$")]
    pub r#type: String,
    /// What is told of it, at most 16,384 bytes.
    #[schema(value_type = Option<Object>)]
    pub data: Option<serde_json::Value>,
}

/// An event that was taken.
#[derive(ToSchema)]
pub struct TakenEvent {
    /// Its id.
    #[schema(example = "07000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// Its name.
    #[schema(example = "custom.order.paid")]
    pub r#type: String,
}

/// An event as webhooks are told of it.
#[derive(ToSchema)]
pub struct Event {
    /// Its id.
    #[schema(example = "07000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// Its name.
    #[schema(example = "email.sent")]
    pub r#type: String,
    /// The name that a webhook chose it by; in the ledger the same as `type`.
    #[schema(example = "email.sent")]
    pub event: String,
    /// When it happened.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub timestamp: String,
    /// The campaign, by its caller's own id or ours.
    #[schema(example = "01000000-0000-8000-8000-000000000001")]
    pub campaign_id: Option<String>,
    /// The lead, by its caller's own id or ours.
    #[schema(example = "02000000-0000-8000-8000-000000000001")]
    pub business_id: Option<String>,
    /// Its place among the account's events, without gaps.
    #[schema(example = 17)]
    pub sequence: Option<i64>,
    /// Its place among a webhook's deliveries; null in the ledger.
    #[schema(example = 17)]
    pub number: Option<i64>,
    /// What there is to tell of it.
    #[schema(value_type = Object, example = json!({"to": "ada@example.com"}))]
    pub data: serde_json::Value,
}

/// A part of the ledger, in the order of its numbers, which have no gap.
#[derive(ToSchema)]
pub struct EventList {
    /// The rows.
    pub events: Vec<Event>,
    /// Ask on behind this number, now or later.
    #[schema(example = 17)]
    pub next_after: i64,
    /// Where the list goes on; null at its end.
    #[schema(example = "17")]
    pub next_cursor: Option<String>,
    /// Whether there is more now.
    #[schema(example = false)]
    pub has_more: bool,
    /// The number of the account's last event.
    #[schema(example = 17)]
    pub last: i64,
}

/// Which part of the ledger is shown.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventParams {
    /// Events behind this number.
    #[param(minimum = 0, example = 0)]
    pub after: Option<i64>,
    /// Another word for `after`: the `next_cursor` of the answer before.
    #[param(example = "17")]
    pub cursor: Option<String>,
    /// Names of events, or families such as `email.*`, with commas between; all where it is left out.
    #[param(example = "email.*,reply.received")]
    pub types: Option<String>,
    /// Rows to give.
    #[param(minimum = 1, maximum = 1000, default = 100, example = 100)]
    pub limit: Option<i64>,
    /// The names to show of each row, with commas between; all where it is left out.
    #[param(example = "id,type")]
    pub fields: Option<String>,
}
