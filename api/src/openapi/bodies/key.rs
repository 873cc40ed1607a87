//! Keys, and what was done with them.

use super::common::Listing;
use utoipa::{IntoParams, ToSchema};

/// A key to be made.
#[derive(ToSchema)]
#[schema(example = json!({"name": "CRM", "scopes": ["leads:read", "leads:write"], "expires_at": "2027-01-15T10:30:00Z"}))]
pub struct KeyInput {
    /// What people call it.
    pub name: String,
    /// What it may do; everything its user may where it is left out. A key gives away no scope that it lacks.
    pub scopes: Option<Vec<String>>,
    /// The limits it lives under; those of the calling key where it is left out.
    pub tier: Option<String>,
    /// When it stops working, with its offset.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// Whether it is a key of the account's test twin: its messages only ever go to the mailbox.
    pub test: Option<bool>,
}

/// How a key is rotated.
#[derive(ToSchema)]
#[schema(example = json!({"overlap_seconds": 3600}))]
pub struct RotateInput {
    /// How long the old key still opens, at most 30 days; a day where it is left out.
    pub overlap_seconds: Option<i64>,
}

/// A key.
#[derive(ToSchema)]
pub struct Key {
    /// Its id.
    #[schema(example = "08000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// What people call it.
    #[schema(example = "CRM")]
    pub name: String,
    /// Its beginning, to tell it by.
    #[schema(example = "sk_live_4fJ9xT2b")]
    pub prefix: String,
    /// The user whose rights it inherits.
    #[schema(example = "owner@localhost")]
    pub user: String,
    /// What it may do; empty for everything its user may.
    #[schema(example = json!(["leads:read"]))]
    pub scopes: Vec<String>,
    /// The limits it lives under.
    #[schema(example = "standard")]
    pub tier: String,
    /// `live` or `test`.
    #[schema(example = "live")]
    pub mode: String,
    /// `active`, `expired` or `revoked`.
    #[schema(example = "active")]
    pub status: String,
    /// When it stops working.
    #[schema(format = DateTime, example = "2027-01-15T10:30:00Z")]
    pub expires_at: Option<String>,
    /// When it was revoked.
    #[schema(format = DateTime, example = "2026-06-15T10:30:00Z")]
    pub revoked_at: Option<String>,
    /// When it was last used, to the minute.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub last_used_at: Option<String>,
    /// When it was made.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub created_at: String,
}

/// A key that was just made.
#[derive(ToSchema)]
pub struct NewKey {
    /// The whole key. It is shown this once; null where an answer is given again.
    #[schema(example = "sk_live_…")]
    pub key: Option<String>,
    /// What is known of it.
    #[serde(flatten)]
    pub row: Key,
}

/// Keys.
#[derive(ToSchema)]
pub struct KeyList {
    /// The rows.
    pub keys: Vec<Key>,
    /// Where the list stands.
    #[serde(flatten)]
    pub listing: Listing,
}

/// A period, from the first instant up to the last.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UsageParams {
    /// The first day or instant; the last 30 days where it is left out.
    #[param(example = "2026-01-01")]
    pub from: Option<String>,
    /// The day or instant after the last; now where it is left out.
    #[param(example = "2026-02-01")]
    pub until: Option<String>,
    /// A key's id, to see that key alone.
    #[param(example = "08000000-0000-8000-8000-000000000001")]
    pub key_id: Option<String>,
}

/// Requests of one key to one endpoint.
#[derive(ToSchema)]
pub struct EndpointUsage {
    /// The key.
    #[schema(example = "08000000-0000-8000-8000-000000000001")]
    pub key_id: String,
    /// What people call it.
    #[schema(example = "CRM")]
    pub key: String,
    /// The method.
    #[schema(example = "GET")]
    pub method: String,
    /// The route.
    #[schema(example = "/api/v1/leads/{id}")]
    pub route: String,
    /// All of them.
    #[schema(example = 120)]
    pub requests: i64,
    /// Those answered with an error (400 and above).
    #[schema(example = 2)]
    pub errors: i64,
}

/// Messages of a period.
#[derive(ToSchema)]
pub struct MessageUsage {
    /// Taken by a provider.
    #[schema(example = 800)]
    pub sent: i64,
}

/// Model tokens of a period.
#[derive(ToSchema)]
pub struct TokenUsage {
    /// Read by the model.
    #[schema(example = 120000)]
    pub prompt: i64,
    /// Written by it.
    #[schema(example = 30000)]
    pub completion: i64,
    /// Both.
    #[schema(example = 150000)]
    pub total: i64,
}

/// What was used in a period.
#[derive(ToSchema)]
pub struct Usage {
    /// From when.
    #[schema(format = DateTime, example = "2026-01-01T00:00:00Z")]
    pub from: String,
    /// Until when.
    #[schema(format = DateTime, example = "2026-02-01T00:00:00Z")]
    pub until: String,
    /// All requests.
    #[schema(example = 120)]
    pub requests: i64,
    /// Those answered with an error.
    #[schema(example = 2)]
    pub errors: i64,
    /// By key and endpoint, the busiest first, at most 1,000.
    pub endpoints: Vec<EndpointUsage>,
    /// Messages.
    pub messages: MessageUsage,
    /// Tokens of the model.
    pub model_tokens: TokenUsage,
}

/// A message that only went to the mailbox.
#[derive(ToSchema)]
pub struct Captured {
    /// Its number.
    #[schema(example = 1)]
    pub id: i64,
    /// The message.
    #[schema(example = "03000000-0000-8000-8000-000000000001")]
    pub message_id: String,
    /// `email`, `sms` or `whatsapp`.
    #[schema(example = "email")]
    pub channel: String,
    /// Who sends.
    #[schema(example = "sender@localhost.localdomain")]
    pub from: String,
    /// Who would have got it.
    #[schema(example = "ada@example.com")]
    pub to: String,
    /// Its subject.
    #[schema(example = "Hello Ada")]
    pub subject: String,
    /// When it was captured.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub received_at: String,
    /// The whole message as it would have gone over the wire; where one is asked for. (sometimes)
    pub raw: Option<String>,
}

/// Captured messages, the newest first.
#[derive(ToSchema)]
pub struct CapturedList {
    /// The rows.
    pub mailbox: Vec<Captured>,
    /// All rows, counted up to 100,000.
    #[schema(example = 1)]
    pub total: i64,
    /// Where the list goes on; null at its end.
    #[schema(example = "17")]
    pub next_cursor: Option<String>,
}

/// Which captured messages a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MailboxParams {
    /// Those to this address.
    #[param(example = "ada@example.com")]
    pub to: Option<String>,
    /// Where to go on.
    #[param(example = "17")]
    pub cursor: Option<String>,
    /// Rows to give.
    #[param(minimum = 1, maximum = 100, default = 20, example = 20)]
    pub limit: Option<i64>,
}
