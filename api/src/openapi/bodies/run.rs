//! Runs of campaigns, and their progress.

use super::campaign::{Campaign, Cost};
use super::common::Listing;
use utoipa::{IntoParams, ToSchema};

/// A run: a campaign's next texts written, its round sent, or the people of its segment enrolled.
#[derive(ToSchema)]
pub struct Run {
    /// Its id.
    #[schema(example = "0d000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// `generate`, `send` or `expand`.
    #[schema(example = "generate")]
    pub kind: String,
    /// `running`, `completed` or `cancelled`.
    #[schema(example = "running")]
    pub state: String,
    /// Its campaign.
    #[schema(example = "01000000-0000-8000-8000-000000000001")]
    pub campaign_id: String,
    /// The campaign's round it is about.
    #[schema(example = 1)]
    pub round: i64,
    /// What has become of it so far, by its kind.
    pub counts: RunCounts,
    /// How far it is.
    pub progress: RunProgress,
    /// Texts or messages a minute.
    #[schema(example = 41.5)]
    pub per_minute: f64,
    /// When it ends, as far as that can be told.
    #[schema(format = DateTime, example = "2026-01-15T10:42:00Z")]
    pub estimated_end: Option<String>,
    /// When it was asked for.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub created_at: String,
    /// When it ended.
    #[schema(format = DateTime, example = "2026-01-15T10:42:00Z")]
    pub ended_at: Option<String>,
    /// What the texts that are missing will cost; where it was just sent. (sometimes)
    pub cost: Option<Cost>,
    /// The campaign as it was started; where it was just sent. (sometimes)
    pub campaign: Option<Campaign>,
}

/// The counts of a run.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum RunCounts {
    /// Of a `generate`.
    Generated(GeneratedCounts),
    /// Of a `send`.
    Sent(SentCounts),
    /// Of an `expand`.
    Expanded(ExpandedCounts),
}

/// How far the texts of a run are: `total` is the sum of the rest.
#[derive(ToSchema)]
pub struct GeneratedCounts {
    /// People taken on so far.
    #[schema(example = 100)]
    pub total: i64,
    /// Whose next text was there, or was being written, before.
    #[schema(example = 3)]
    pub already: i64,
    /// Texts that were written.
    #[schema(example = 60)]
    pub written: i64,
    /// Messages held without a text.
    #[schema(example = 1)]
    pub held: i64,
    /// People not yet planned, and texts not yet written.
    #[schema(example = 34)]
    pub pending: i64,
    /// People whose sequence had no next text, or whose text is gone again.
    #[schema(example = 2)]
    pub none: i64,
}

/// How far the people of a segment are enrolled: `matched` is the sum of the rest. Of a live audience, in the present
/// look at its segment, but for `enrolled`, which counts them all.
#[derive(ToSchema)]
pub struct ExpandedCounts {
    /// People found in the segment so far.
    #[schema(example = 1300)]
    pub matched: i64,
    /// Who was enrolled.
    #[schema(example = 1250)]
    pub enrolled: i64,
    /// Who was in the round already.
    #[schema(example = 0)]
    pub already: i64,
    /// Whom no channel of the campaign may reach: no opt-in, or an opt-out.
    #[schema(example = 48)]
    pub without_consent: i64,
    /// Of whom no channel of the campaign has an address.
    #[schema(example = 2)]
    pub without_address: i64,
}

/// How far a round is since its run was asked for.
#[derive(ToSchema)]
pub struct SentCounts {
    /// People who were under way then: `active` and `through`.
    #[schema(example = 100)]
    pub total: i64,
    /// Of them, who still is.
    #[schema(example = 40)]
    pub active: i64,
    /// Of them, who is through or was stopped.
    #[schema(example = 60)]
    pub through: i64,
    /// Messages accepted since that have not bounced.
    #[schema(example = 58)]
    pub sent: i64,
    /// Messages that bounced since.
    #[schema(example = 1)]
    pub bounced: i64,
    /// Messages that failed for good since.
    #[schema(example = 1)]
    pub failed: i64,
    /// Messages cancelled or suppressed since.
    #[schema(example = 0)]
    pub dropped: i64,
    /// Messages whose hand-over has an unknown end since.
    #[schema(example = 0)]
    pub uncertain: i64,
    /// Messages that wait for a person, now.
    #[schema(example = 0)]
    pub held: i64,
    /// Messages on their way, now.
    #[schema(example = 40)]
    pub pending: i64,
}

/// How far a run is.
#[derive(ToSchema)]
pub struct RunProgress {
    /// What is done.
    #[schema(example = 66)]
    pub done: i64,
    /// What there is to do, as far as it is known.
    #[schema(example = 100)]
    pub of: i64,
    /// The share of it; null while nothing is known to do.
    #[schema(example = 66)]
    pub percent: Option<i64>,
}

/// Runs.
#[derive(ToSchema)]
pub struct RunList {
    /// The rows.
    pub runs: Vec<Run>,
    /// Where the list stands.
    #[serde(flatten)]
    pub listing: Listing,
}

/// Which runs a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RunFilter {
    /// Those of this campaign.
    #[param(example = "01000000-0000-8000-8000-000000000001")]
    pub campaign_id: Option<String>,
}
