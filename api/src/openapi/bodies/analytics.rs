//! What campaigns have done, in numbers. Openings, clicks and answers are people's: machines are not counted.

use utoipa::{IntoParams, ToSchema};

/// How wide the intervals over time are.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AnalyticsParams {
    /// `day` (as where it is left out) or `hour`, in UTC.
    #[param(example = "day")]
    pub interval: Option<String>,
}

/// Counts of messages. `messages` is the sum of `pending`, `held`, `uncertain`, `sent`, `refused`, `failed`,
/// `suppressed` and `cancelled`.
#[derive(ToSchema)]
pub struct Totals {
    /// All there are.
    #[schema(example = 100)]
    pub messages: i64,
    /// Of all, those with a text.
    #[schema(example = 90)]
    pub written: i64,
    /// On their way: planned, being written, drafted, or being handed over.
    #[schema(example = 8)]
    pub pending: i64,
    /// Waiting for a person.
    #[schema(example = 1)]
    pub held: i64,
    /// Perhaps accepted: nobody knows.
    #[schema(example = 0)]
    pub uncertain: i64,
    /// Accepted by a provider, whatever became of them.
    #[schema(example = 88)]
    pub sent: i64,
    /// Bounced before they were ever accepted.
    #[schema(example = 1)]
    pub refused: i64,
    /// Failed for good, without a bounce.
    #[schema(example = 1)]
    pub failed: i64,
    /// Not sent: the address is suppressed.
    #[schema(example = 1)]
    pub suppressed: i64,
    /// Not sent: cancelled by hand, by an edit, by a deletion.
    #[schema(example = 0)]
    pub cancelled: i64,
    /// Of `sent`: they arrived, as the provider says or a complaint shows; for e-mail no provider says it.
    #[schema(example = 0)]
    pub delivered: i64,
    /// Bounced: all of `refused`, and of `sent` what came back.
    #[schema(example = 2)]
    pub bounced: i64,
    /// Of `sent`: the recipient complained.
    #[schema(example = 0)]
    pub complained: i64,
    /// Messages that a person opened; what machines fetch ahead (`by` other than `person`) is not in it.
    #[schema(example = 30)]
    pub opened: i64,
    /// Messages with a link that a person followed; machines are not in it.
    #[schema(example = 7)]
    pub clicked: i64,
    /// Messages that a person answered; automatic answers are not in it.
    #[schema(example = 4)]
    pub replied: i64,
    /// Opt-outs.
    #[schema(example = 1)]
    pub opted_out: i64,
}

/// Counts of one step.
#[derive(ToSchema)]
pub struct StepTotals {
    /// The step; 0 for what belongs to none.
    #[schema(example = 1)]
    pub step_number: i64,
    /// Its counts.
    #[serde(flatten)]
    pub totals: Totals,
}

/// Counts of one channel.
#[derive(ToSchema)]
pub struct ChannelTotals {
    /// `email`, `sms` or `whatsapp`; null for what belongs to no message.
    #[schema(example = "sms")]
    pub channel: Option<String>,
    /// Its counts.
    #[serde(flatten)]
    pub totals: Totals,
}

/// Shares of what was sent, 0 to 1 to four digits; null where nothing was.
#[derive(ToSchema)]
pub struct Rates {
    /// That arrived, as far as the provider says.
    #[schema(example = 0.9)]
    pub delivered: Option<f64>,
    /// That a person opened.
    #[schema(example = 0.3409)]
    pub opened: Option<f64>,
    /// With a link that a person followed.
    #[schema(example = 0.0795)]
    pub clicked: Option<f64>,
    /// That a person answered.
    #[schema(example = 0.0455)]
    pub replied: Option<f64>,
    /// Opt-outs.
    #[schema(example = 0.0114)]
    pub opted_out: Option<f64>,
}

/// Why messages are held.
#[derive(ToSchema)]
pub struct HeldCount {
    /// The reason's code.
    #[schema(example = "approval")]
    pub reason: String,
    /// How many.
    #[schema(example = 1)]
    pub count: i64,
}

/// What happened in one interval.
#[derive(ToSchema)]
pub struct SeriesPoint {
    /// Its first instant.
    #[schema(format = DateTime, example = "2026-01-15T00:00:00Z")]
    pub from: String,
    /// Messages accepted.
    #[schema(example = 40)]
    pub sent: i64,
    /// Messages that a person opened, first then.
    #[schema(example = 12)]
    pub opened: i64,
    /// Messages with a link that a person followed, first then.
    #[schema(example = 3)]
    pub clicked: i64,
    /// Messages that a person answered, first then.
    #[schema(example = 1)]
    pub replied: i64,
    /// Messages that bounced.
    #[schema(example = 0)]
    pub bounced: i64,
    /// Messages that failed for good.
    #[schema(example = 0)]
    pub failed: i64,
    /// Opt-outs.
    #[schema(example = 0)]
    pub opted_out: i64,
}

/// An account's numbers, all read at one instant.
#[derive(ToSchema)]
pub struct Analytics {
    /// Everything.
    pub totals: Totals,
    /// Shares of what was sent.
    pub rates: Rates,
    /// Why messages are held, the most first.
    pub held: Vec<HeldCount>,
    /// The same by step, ascending; step 0 has what belongs to none.
    pub steps: Vec<StepTotals>,
    /// The same by channel.
    pub channels: Vec<ChannelTotals>,
    /// `day` or `hour`.
    #[schema(example = "day")]
    pub interval: String,
    /// What happened in each interval that anything happened in; a message counts once per kind, when it happened first.
    pub series: Vec<SeriesPoint>,
}

/// A campaign's numbers over all of its rounds, all read at one instant.
#[derive(ToSchema)]
pub struct CampaignAnalytics {
    /// The campaign.
    #[schema(example = "01000000-0000-8000-8000-000000000001")]
    pub campaign_id: String,
    /// Its name.
    #[schema(example = "Launch")]
    pub campaign_name: String,
    /// Its state, as everywhere.
    #[schema(example = "RUNNING")]
    pub status: String,
    /// The numbers.
    #[serde(flatten)]
    pub numbers: Analytics,
}
