//! Messages, and what explains them.

use super::common::Listing;
use super::lead::Lead;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// A message.
#[derive(ToSchema)]
pub struct Message {
    /// Its id.
    #[schema(example = "03000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// `step`, or `test` for a test send.
    #[schema(example = "step")]
    pub kind: String,
    /// Where it is.
    #[schema(example = "accepted")]
    pub state: String,
    /// Its campaign.
    #[schema(example = "01000000-0000-8000-8000-000000000001")]
    pub campaign_id: Option<String>,
    /// Who gets it.
    #[schema(example = "02000000-0000-8000-8000-000000000001")]
    pub lead_id: Option<String>,
    /// The profile it is sent with.
    #[schema(example = "04000000-0000-8000-8000-000000000001")]
    pub sending_profile_id: Option<String>,
    /// Its step.
    #[schema(example = 1)]
    pub step_number: i64,
    /// The campaign's round.
    #[schema(example = 1)]
    pub round: Option<i64>,
    /// The campaign's version it was planned under.
    #[schema(example = 1)]
    pub version: i64,
    /// `email`.
    #[schema(example = "email")]
    pub channel: String,
    /// The address.
    #[schema(example = "ada@example.com")]
    pub to: String,
    /// The zone it was planned in.
    #[schema(example = "Europe/Paris")]
    pub timezone: String,
    /// The planned instant; null where it is not planned yet.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00.000Z")]
    pub planned_at: Option<String>,
    /// The instant a limit gave it.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00.400Z")]
    pub slot: Option<String>,
    /// How often it was tried.
    #[schema(example = 1)]
    pub attempt_count: i64,
    /// Whether a person released it.
    #[schema(example = false)]
    pub released: bool,
    /// What moved or held it.
    pub reasons: Vec<Value>,
    /// When the provider took it.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00.512Z")]
    pub accepted_at: Option<String>,
    /// When a person first opened it, where that is told.
    #[schema(format = DateTime, example = "2026-01-15T10:42:00.000Z")]
    pub opened_at: Option<String>,
    /// When a person first followed a link of it, where that is told.
    #[schema(format = DateTime, example = "2026-01-15T10:43:00.000Z")]
    pub clicked_at: Option<String>,
    /// When it was planned.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub created_at: String,
    /// When it last changed.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub updated_at: String,
    /// Its subject; where one message is asked for. (sometimes)
    #[schema(example = "Hello Ada")]
    pub subject: Option<String>,
    /// Its text. (sometimes)
    #[schema(example = "Hi Ada, …")]
    pub body: Option<String>,
    /// `template`, `model`, `offline` or `hand`. (sometimes)
    #[schema(example = "template")]
    pub writer: Option<String>,
    /// How a model wrote it: model, tokens, tries. (sometimes)
    pub writing: Option<Value>,
    /// Every try. (sometimes)
    pub attempts: Option<Vec<Attempt>>,
}

/// One try to hand a message over.
#[derive(ToSchema)]
pub struct Attempt {
    /// Its number.
    #[schema(example = 1)]
    pub id: i64,
    /// How it ended.
    #[schema(example = "accepted")]
    pub state: String,
    /// How far it came.
    #[schema(example = "data")]
    pub stage: Option<String>,
    /// The provider's code.
    #[schema(example = 250)]
    pub reply: Option<i64>,
    /// The provider's words.
    #[schema(example = "2.0.0 Ok")]
    pub detail: Option<String>,
    /// The instant a limit gave it.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00.400Z")]
    pub slot: String,
    /// When its intent was committed.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00.402Z")]
    pub intent_at: String,
    /// When it ended.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00.512Z")]
    pub ended_at: Option<String>,
}

/// Messages; `total` stops counting at 100,000.
#[derive(ToSchema)]
pub struct MessageList {
    /// The rows.
    pub messages: Vec<Message>,
    /// Where the list stands.
    #[serde(flatten)]
    pub listing: Listing,
}

/// Which messages a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MessageFilter {
    /// Those in this state.
    #[param(example = "uncertain")]
    pub state: Option<String>,
    /// Those of this campaign.
    #[param(example = "01000000-0000-8000-8000-000000000001")]
    pub campaign_id: Option<String>,
}

/// Why a message went, waits or was held.
#[derive(ToSchema)]
pub struct Explanation {
    /// The message.
    #[schema(example = "03000000-0000-8000-8000-000000000001")]
    pub message_id: String,
    /// Where it is.
    #[schema(example = "drafted")]
    pub state: String,
    /// In one sentence.
    #[schema(example = "Waits for quiet hours to end.")]
    pub summary: String,
    /// The planned instant; none before the campaign has a start.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00.000Z")]
    pub planned_at: Option<String>,
    /// What holds now.
    pub reasons: Vec<Value>,
    /// What held before.
    pub history: Vec<Value>,
    /// The planner's decision with its inputs, as it was taken.
    pub decision: Value,
    /// Every try.
    pub attempts: Vec<Attempt>,
    /// What happened around it.
    pub events: Vec<Value>,
    /// When it is looked at next.
    #[schema(format = DateTime, example = "2026-01-15T10:31:00.000Z")]
    pub next_look_at: Option<String>,
}

/// Where a lead stands in every campaign, and why.
#[derive(ToSchema)]
pub struct LeadExplanation {
    /// The lead.
    pub lead: Lead,
    /// In one sentence.
    #[schema(example = "Waits for step 2 of Launch.")]
    pub summary: String,
    /// Why nothing is sent to it, where that is so.
    pub suppressed: Value,
    /// Its enrolments, each with its reasons and messages.
    pub enrolments: Vec<Value>,
    /// When it is looked at next.
    #[schema(format = DateTime, example = "2026-01-15T10:31:00.000Z")]
    pub next_look_at: Option<String>,
}

/// A test send.
#[derive(ToSchema)]
#[schema(example = json!({"to": "me@example.com", "step": 1}))]
pub struct TestSendInput {
    /// Who gets it.
    pub to: String,
    /// The step; every step where it is left out.
    pub step: Option<i64>,
    /// The lead whose text it is.
    pub lead_id: Option<String>,
}

/// Test sends that are under way.
#[derive(ToSchema)]
pub struct TestSends {
    /// Their messages.
    #[schema(example = json!(["03000000-0000-8000-8000-000000000001"]))]
    pub message_ids: Vec<String>,
    /// `scheduled`.
    #[schema(example = "scheduled")]
    pub status: String,
}
