//! Webhooks and their deliveries.

use super::common::Listing;
use utoipa::{IntoParams, ToSchema};

/// A webhook to be registered.
#[derive(ToSchema)]
#[schema(example = json!({"url": "https://example.com/hooks/sendwright", "events": ["email.*", "reply.received"], "description": "CRM"}))]
pub struct WebhookInput {
    /// Where deliveries go: https, to a public address.
    #[schema(max_length = 4096)]
    pub url: String,
    /// What it is told of: names of events (`lead.created`, `campaign.completed`, `email.sent`, `reply.received`,
    /// `message.uncertain`, `contact.opted_out`, `profile.paused`, …), families such as `email.*`, or `*` for everything.
    #[schema(min_items = 1, max_items = 100)]
    pub events: Vec<String>,
    /// What people call it.
    #[schema(max_length = 500)]
    pub description: Option<String>,
    /// Whether it is delivered to; yes where it is left out.
    pub enabled: Option<bool>,
    /// Another word for `enabled`.
    pub is_active: Option<bool>,
    /// `short` (4 attempts in 11 minutes; where it is left out) or `long` (10 attempts in 75 hours).
    pub schedule: Option<String>,
    /// The waits between attempts in seconds, instead of a named schedule.
    #[schema(max_items = 20)]
    pub retry_schedule: Option<Vec<i64>>,
    /// A secret of one's own, `whsec_` and 24 to 64 bytes in base64; made where it is left out.
    pub secret: Option<String>,
}

/// What of a webhook is to change; what is not named stays.
#[derive(ToSchema)]
#[schema(example = json!({"events": ["*"], "enabled": true}))]
pub struct WebhookChange {
    /// Where deliveries go: https, to a public address.
    #[schema(max_length = 4096)]
    pub url: Option<String>,
    /// What it is told of: names of events (`lead.created`, `campaign.completed`, `email.sent`, `reply.received`,
    /// `message.uncertain`, `contact.opted_out`, `profile.paused`, …), families such as `email.*`, or `*` for everything.
    #[schema(min_items = 1, max_items = 100)]
    pub events: Option<Vec<String>>,
    /// What people call it.
    #[schema(max_length = 500)]
    pub description: Option<String>,
    /// Whether it is delivered to. What waits for one that is enabled again goes out.
    pub enabled: Option<bool>,
    /// Another word for `enabled`.
    pub is_active: Option<bool>,
    /// `short` or `long`.
    pub schedule: Option<String>,
    /// The waits between attempts in seconds, instead of a named schedule.
    #[schema(max_items = 20)]
    pub retry_schedule: Option<Vec<i64>>,
}

/// A webhook, without its secret.
#[derive(ToSchema)]
pub struct Webhook {
    /// Its id.
    #[schema(example = "05000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// Where deliveries go.
    #[schema(example = "https://example.com/hooks/sendwright")]
    pub url: String,
    /// What people call it.
    #[schema(example = "CRM")]
    pub description: Option<String>,
    /// What it is told of.
    #[schema(example = json!(["email.*", "reply.received"]))]
    pub events: Vec<String>,
    /// Whether it is delivered to.
    #[schema(example = true)]
    pub enabled: bool,
    /// The same.
    #[schema(example = true)]
    pub is_active: bool,
    /// `enabled` or `disabled`; `deleted` in the answer that deletes it.
    #[schema(example = "enabled")]
    pub status: String,
    /// Why it is disabled: `hand`, or what its receiver did.
    #[schema(example = "hand")]
    pub disabled_reason: Option<String>,
    /// `short`, `long` or `own`.
    #[schema(example = "short")]
    pub schedule: String,
    /// The waits between attempts, in seconds.
    #[schema(example = json!([10, 60, 600]))]
    pub retry_schedule: Vec<i64>,
    /// Since when nothing has arrived.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub failing_since: Option<String>,
    /// Until when the secret before the last rotation signs as well.
    #[schema(format = DateTime, example = "2026-01-16T10:30:00Z")]
    pub previous_secret_expires_at: Option<String>,
    /// When it was made.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub created_at: String,
    /// When it last changed.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub updated_at: String,
}

/// A webhook whose secret was just made.
#[derive(ToSchema)]
pub struct NewWebhook {
    /// What its receiver verifies signatures with; an answer that is given again has none. (sometimes)
    #[schema(example = "whsec_…")]
    pub secret: Option<String>,
    /// What is known of it.
    #[serde(flatten)]
    pub row: Webhook,
}

/// A webhook and how it fares.
#[derive(ToSchema)]
pub struct WebhookDetail {
    /// How it fares.
    pub health: WebhookHealth,
    /// What is known of it.
    #[serde(flatten)]
    pub row: Webhook,
}

/// How a webhook fares, over its last attempts.
#[derive(ToSchema)]
pub struct WebhookHealth {
    /// Attempts that were looked at.
    #[schema(example = 200)]
    pub attempts: i64,
    /// The part of them that was taken, 0 to 1; null where there was none.
    #[schema(example = 0.995)]
    pub success_rate: Option<f64>,
    /// How long its receiver takes.
    pub latency_ms: Latency,
    /// When something last arrived.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub last_success_at: Option<String>,
    /// What last went wrong.
    pub last_error: Option<LastError>,
    /// Failed attempts in a row.
    #[schema(example = 0)]
    pub consecutive_failures: i64,
    /// Deliveries that wait.
    #[schema(example = 0)]
    pub pending: i64,
    /// Deliveries that were given up.
    #[schema(example = 0)]
    pub dead: i64,
}

/// How long a receiver takes, in milliseconds.
#[derive(ToSchema)]
pub struct Latency {
    /// Half of its answers are faster.
    #[schema(example = 38)]
    pub median: Option<i64>,
    /// 95 of 100 answers are faster.
    #[schema(example = 120)]
    pub p95: Option<i64>,
}

/// What last went wrong with a webhook.
#[derive(ToSchema)]
pub struct LastError {
    /// In words.
    #[schema(example = "it answered 503")]
    pub error: String,
    /// When.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub at: String,
}

/// Webhooks.
#[derive(ToSchema)]
pub struct WebhookList {
    /// The rows.
    pub webhooks: Vec<Webhook>,
    /// Where the list stands.
    #[serde(flatten)]
    pub listing: Listing,
}

/// Which deliveries a list shows, and in which order.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeliveryFilter {
    /// Those in this state: `pending`, `delivered` or `dead` (another word for it: `failed`).
    #[param(example = "dead")]
    pub status: Option<String>,
    /// The order: `-number`, the newest first, where it is left out; or `number`.
    #[param(example = "number")]
    pub sort: Option<String>,
}
