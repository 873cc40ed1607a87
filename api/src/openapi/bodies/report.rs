//! Reports: what became of messages. Every message has one status, and every number is a sum of them.

use super::common::Listing;
use std::collections::HashMap;
use utoipa::{IntoParams, ToSchema};

/// Messages by status.
#[derive(ToSchema)]
pub struct StatusBreakdown {
    /// It arrived.
    #[serde(rename = "DELIVERED")]
    #[schema(example = 950)]
    pub delivered: i64,
    /// Refused for good, or given up by the provider before it left.
    #[serde(rename = "FAILED")]
    #[schema(example = 30)]
    pub failed: i64,
    /// Taken by the provider, and it came back.
    #[serde(rename = "UNDELIVERED")]
    #[schema(example = 15)]
    pub undelivered: i64,
    /// Taken by the provider, which has not said that it arrived.
    #[serde(rename = "SENT")]
    #[schema(example = 5)]
    pub sent: i64,
    /// Planned, being written, or about to be handed over.
    #[serde(rename = "PENDING")]
    #[schema(example = 0)]
    pub pending: i64,
    /// Waits for a person.
    #[serde(rename = "HELD")]
    #[schema(example = 0)]
    pub held: i64,
    /// Perhaps taken by the provider: nobody knows.
    #[serde(rename = "UNCERTAIN")]
    #[schema(example = 0)]
    pub uncertain: i64,
    /// Not sent: the address is suppressed.
    #[serde(rename = "SUPPRESSED")]
    #[schema(example = 12)]
    pub suppressed: i64,
    /// Not sent: cancelled.
    #[serde(rename = "CANCELLED")]
    #[schema(example = 0)]
    pub cancelled: i64,
}

/// Messages in the four numbers that reports have of them.
#[derive(ToSchema)]
pub struct Performance {
    /// Handed over, whatever came of it: DELIVERED, UNDELIVERED, FAILED and SENT.
    #[schema(example = 1000)]
    pub messages_sent: i64,
    /// DELIVERED.
    #[schema(example = 950)]
    pub messages_delivered: i64,
    /// UNDELIVERED and FAILED: known never to arrive.
    #[schema(example = 45)]
    pub messages_failed: i64,
    /// SENT, PENDING, HELD and UNCERTAIN: more may be heard of them.
    #[schema(example = 5)]
    pub pending: i64,
    /// SUPPRESSED and CANCELLED: they never went.
    #[schema(example = 12)]
    pub unsent: i64,
}

/// How a campaign did.
#[derive(ToSchema)]
pub struct PerformanceMetrics {
    /// In numbers.
    #[serde(flatten)]
    pub counts: Performance,
    /// Of what was handed over by SMS and WhatsApp, what arrived, in percent; null where nothing was. No server tells of an
    /// e-mail's arrival.
    #[schema(example = 95.0)]
    pub delivery_rate: Option<f64>,
    /// From the hand-over to the delivery, on average; null where none is known.
    #[schema(example = 2.3)]
    pub average_delivery_time_minutes: Option<f64>,
}

/// One channel's messages.
#[derive(ToSchema)]
pub struct ChannelPerformance {
    /// `email`, `sms` or `whatsapp`.
    #[schema(example = "sms")]
    pub channel: String,
    /// In numbers.
    #[serde(flatten)]
    pub counts: Performance,
}

/// From when to when it ran.
#[derive(ToSchema)]
pub struct ExecutionTimeline {
    /// When it was first started.
    #[schema(format = DateTime, example = "2026-01-25T09:00:00Z")]
    pub started_at: Option<String>,
    /// When everybody was through; null while it runs.
    #[schema(format = DateTime, example = "2026-01-25T09:45:00Z")]
    pub completed_at: Option<String>,
    /// Between the two.
    #[schema(example = 45)]
    pub duration_minutes: Option<i64>,
}

/// What became of a campaign's messages over all of its rounds, read at one instant.
#[derive(ToSchema)]
pub struct Summary {
    /// The campaign.
    #[schema(example = "01000000-0000-8000-8000-000000000001")]
    pub campaign_id: String,
    /// Its name.
    #[schema(example = "Welcome Campaign")]
    pub campaign_name: String,
    /// Its state, as everywhere.
    #[schema(example = "COMPLETED")]
    pub status: String,
    /// How it did.
    pub performance_metrics: PerformanceMetrics,
    /// Its messages by status.
    pub status_breakdown: StatusBreakdown,
    /// Its messages by channel.
    pub channels: Vec<ChannelPerformance>,
    /// What messages failed by: groups of codes, the sum of which is `messages_failed`. Three are always there; a code
    /// without a group is `error_` and the code.
    #[schema(example = json!({"invalid_phone_number": 25, "network_error": 15, "rate_limit_exceeded": 5}))]
    pub error_analysis: HashMap<String, i64>,
    /// From when to when it ran.
    pub execution_timeline: ExecutionTimeline,
}

/// Which messages are meant.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MessageStatusFilter {
    /// Those of this campaign.
    #[param(example = "01000000-0000-8000-8000-000000000001")]
    pub campaign_id: Option<String>,
    /// Those of this day or instant and later.
    #[param(example = "2026-01-15")]
    pub start_date: Option<String>,
    /// Those up to the end of this day, or before this instant.
    #[param(example = "2026-01-31")]
    pub end_date: Option<String>,
    /// Those of this status: DELIVERED, FAILED, UNDELIVERED, SENT, PENDING, HELD, UNCERTAIN, SUPPRESSED or CANCELLED.
    #[param(example = "DELIVERED")]
    pub status: Option<String>,
}

/// In which order they come.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MessageStatusOrder {
    /// The order: `-id` as where it is left out, or `id` for the lowest first.
    #[param(example = "id")]
    pub sort: Option<String>,
}

/// A message and what became of it.
#[derive(ToSchema)]
pub struct MessageStatus {
    /// Its id.
    #[schema(example = "03000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// The number it goes to; null for an e-mail.
    #[schema(example = "+14155551234")]
    pub recipient_phone: Option<String>,
    /// The address it goes to; null for a text.
    #[schema(example = "ada@example.com")]
    pub recipient_email: Option<String>,
    /// `email`, `sms` or `whatsapp`.
    #[schema(example = "sms")]
    pub channel: String,
    /// Its campaign.
    #[schema(example = "01000000-0000-8000-8000-000000000001")]
    pub campaign_id: String,
    /// The campaign's name.
    #[schema(example = "Welcome Campaign")]
    pub campaign_name: String,
    /// What became of it.
    #[schema(example = "DELIVERED")]
    pub status: String,
    /// When the provider took it.
    #[schema(format = DateTime, example = "2026-01-25T10:15:00Z")]
    pub sent_at: Option<String>,
    /// When it arrived, as the provider says.
    #[schema(format = DateTime, example = "2026-01-25T10:17:00Z")]
    pub delivered_at: Option<String>,
    /// Between the two.
    #[schema(example = 120)]
    pub delivery_time_seconds: Option<i64>,
    /// What it failed by: Twilio's code, or a mail server's reply.
    #[schema(example = 30005)]
    pub error_code: Option<i64>,
    /// What that means, in the provider's words.
    #[schema(example = "Unknown destination handset")]
    pub error_message: Option<String>,
}

/// What became of every message of a list. `total_messages` is the sum of the four numbers behind it.
#[derive(ToSchema)]
pub struct MessageStatusSummary {
    /// All of them.
    #[schema(example = 5000)]
    pub total_messages: i64,
    /// DELIVERED.
    #[schema(example = 4750)]
    pub delivered: i64,
    /// UNDELIVERED and FAILED.
    #[schema(example = 200)]
    pub failed: i64,
    /// SENT, PENDING, HELD and UNCERTAIN: more may be heard of them.
    #[schema(example = 50)]
    pub pending: i64,
    /// SUPPRESSED and CANCELLED: they never went.
    #[schema(example = 0)]
    pub unsent: i64,
    /// Of what was handed over by SMS and WhatsApp, what arrived, in percent; null where nothing was.
    #[schema(example = 95.0)]
    pub delivery_rate: Option<f64>,
    /// By status.
    pub status_breakdown: StatusBreakdown,
}

/// Messages and what became of them.
#[derive(ToSchema)]
pub struct MessageStatusList {
    /// The rows.
    pub messages: Vec<MessageStatus>,
    /// Over the whole list.
    pub summary: MessageStatusSummary,
    /// Where the list stands.
    #[serde(flatten)]
    pub listing: Listing,
}
