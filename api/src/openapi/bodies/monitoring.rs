//! How an account stands, and what people write.

use utoipa::{IntoParams, ToSchema};

/// What there is.
#[derive(ToSchema)]
pub struct SystemHealth {
    /// Campaigns that run.
    #[schema(example = 5)]
    pub active_campaigns: i64,
    /// People with a number: the sum of the three behind it.
    #[schema(example = 15000)]
    pub total_users: i64,
    /// Who has opted in.
    #[schema(example = 14250)]
    pub opted_in_users: i64,
    /// Who has opted out, or said STOP.
    #[schema(example = 750)]
    pub opted_out_users: i64,
    /// Who has said nothing.
    #[schema(example = 0)]
    pub unasked_users: i64,
}

/// What happened in the last 24 hours.
#[derive(ToSchema)]
pub struct DayActivity {
    /// Messages handed over, whatever came of it.
    #[schema(example = 2500)]
    pub messages_sent: i64,
    /// Of those, what arrived.
    #[schema(example = 2375)]
    pub messages_delivered: i64,
    /// Of those, what is known never to arrive.
    #[schema(example = 50)]
    pub messages_failed: i64,
    /// Messages of which more may be heard.
    #[schema(example = 75)]
    pub pending: i64,
    /// Messages that never went: suppressed, or cancelled.
    #[schema(example = 0)]
    pub unsent: i64,
    /// What people wrote, by whichever channel.
    #[schema(example = 150)]
    pub inbound_messages: i64,
    /// Of that, texts.
    #[schema(example = 150)]
    pub inbound_texts: i64,
    /// Of those, STOP and its like.
    #[schema(example = 3)]
    pub stop_commands: i64,
    /// Of what was handed over by SMS and WhatsApp, what arrived, in percent; null where nothing was.
    #[schema(example = 95.0)]
    pub delivery_rate: Option<f64>,
}

/// How well it goes.
#[derive(ToSchema)]
pub struct DayMetrics {
    /// From the hand-over to the delivery, on average; null where none is known.
    #[schema(example = 2.1)]
    pub average_delivery_time_minutes: Option<f64>,
    /// How long the answering process has served.
    #[schema(example = 720.0)]
    pub system_uptime_hours: f64,
    /// Of what was handed over, what failed; null where nothing was.
    #[schema(example = 2.0)]
    pub error_rate_percent: Option<f64>,
}

/// What messages failed by.
#[derive(ToSchema)]
pub struct RecentError {
    /// When it last happened.
    #[schema(format = DateTime, example = "2026-01-25T14:30:00Z")]
    pub timestamp: String,
    /// Twilio's code, or a mail server's reply; null where there was no answer.
    #[schema(example = 21211)]
    pub error_code: Option<i64>,
    /// What that means, in the provider's words.
    #[schema(example = "Invalid 'To' phone number")]
    pub message: String,
    /// How many messages.
    #[schema(example = 5)]
    pub count: i64,
    /// The channel they went by.
    #[schema(example = "sms")]
    pub channel: String,
    /// The group that a campaign's summary counts it in.
    #[schema(example = "invalid_phone_number")]
    pub group: String,
}

/// How an account stands, read at one instant.
#[derive(ToSchema)]
pub struct Dashboard {
    /// What there is.
    pub system_health: SystemHealth,
    /// What happened in the last 24 hours.
    pub activity_24h: DayActivity,
    /// How well it went.
    pub performance_metrics: DayMetrics,
    /// What messages of the last 24 hours failed by; the last first, at most ten.
    pub recent_errors: Vec<RecentError>,
}

/// How far back, and how much.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct InboundParams {
    /// Hours to look back; 24 where it is left out.
    #[param(minimum = 1, maximum = 720, example = 24)]
    pub hours: Option<i64>,
    /// Messages to give; 100 where it is left out.
    #[param(minimum = 1, maximum = 1000, example = 100)]
    pub limit: Option<i64>,
}

/// Something that somebody wrote.
#[derive(ToSchema)]
pub struct InboundEvent {
    /// Its id.
    #[schema(example = "1e000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// `sms`, `whatsapp` or `email`.
    #[schema(example = "sms")]
    pub channel: String,
    /// The number it came from; null for an e-mail.
    #[schema(example = "+14155551234")]
    pub from_phone: Option<String>,
    /// The address it came from; null for a text.
    #[schema(example = "ada@example.com")]
    pub from_email: Option<String>,
    /// The number it was sent to; null for an e-mail.
    #[schema(example = "+15551234567")]
    pub to_phone: Option<String>,
    /// An e-mail's subject.
    #[schema(example = "Re: Hello Ada")]
    pub subject: Option<String>,
    /// What a text says; the beginning of what an e-mail does.
    #[schema(example = "Hello, I need help with my order")]
    pub body: Option<String>,
    /// What it was read as: `reply`, `opt_out`, `opt_in`, `help` or `other`; null before it is read.
    #[schema(example = "reply")]
    pub kind: Option<String>,
    /// When it came.
    #[schema(format = DateTime, example = "2026-01-25T15:30:00Z")]
    pub received_at: String,
    /// What the provider calls it; null for an e-mail.
    #[schema(example = "SM1234567890abcdef")]
    pub message_sid: Option<String>,
    /// The campaign whose message it answers.
    #[schema(example = "01000000-0000-8000-8000-000000000001")]
    pub campaign_id: Option<String>,
    /// Who wrote it.
    #[schema(example = "02000000-0000-8000-8000-000000000001")]
    pub lead_id: Option<String>,
}

/// How much was written.
#[derive(ToSchema)]
pub struct InboundSummary {
    /// The hours that were asked for.
    #[schema(example = 24)]
    pub hours: i64,
    /// In the last 24 hours.
    #[schema(example = 150)]
    pub total_inbound_24h: i64,
    /// In all the hours that were asked for, as everything behind it.
    #[schema(example = 150)]
    pub total_inbound: i64,
    /// Of that, texts.
    #[schema(example = 150)]
    pub texts: i64,
    /// By how many senders.
    #[schema(example = 125)]
    pub unique_senders: i64,
    /// Messages an hour.
    #[schema(example = 6.25)]
    pub average_per_hour: f64,
    /// Texts that were a STOP or its like.
    #[schema(example = 3)]
    pub stop_commands: i64,
}

/// What people wrote.
#[derive(ToSchema)]
pub struct InboundActivity {
    /// The newest of it.
    pub inbound_events: Vec<InboundEvent>,
    /// How much there was.
    pub summary: InboundSummary,
}
