//! Campaigns, their steps, and their future.

use super::common::{Listing, Warning};
use super::edit::Effect;
use super::profile::ProfileInput;
use super::run::ExpandedCounts;
use serde_json::Value;
use std::collections::HashMap;
use utoipa::{IntoParams, ToSchema};

/// A campaign to be made or replaced.
#[derive(ToSchema)]
#[schema(example = json!({"name": "Launch", "timezone": "Europe/Paris", "quiet_hours_start": "22:00", "quiet_hours_end": "08:00", "rate_limit_per_second": 2.5,
    "steps": [{"step_number": 1, "name": "First contact", "subject": "Hello {{first_name}}", "template": "Hi {{first_name}}, …"}, {"step_number": 2, "name": "Reminder", "delay_days": 3, "ai_prompt": "A short reminder."}]}))]
pub struct CampaignInput {
    /// What people call it.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// The caller's own id, kept and echoed.
    pub external_id: Option<String>,
    /// The zone of leads that have none, an IANA name.
    pub timezone: Option<String>,
    /// When quiet hours begin, `HH:MM` in the lead's zone.
    pub quiet_hours_start: Option<String>,
    /// When quiet hours end.
    pub quiet_hours_end: Option<String>,
    /// Most messages a second.
    pub rate_limit_per_second: Option<f64>,
    /// When it starts by itself, with its offset.
    #[schema(format = DateTime)]
    pub schedule_time: Option<String>,
    /// A stored sending profile.
    pub sending_profile_id: Option<String>,
    /// A sending profile given here.
    pub sending_profile: Option<ProfileInput>,
    /// A stored sending profile for its text messages; the account's default where it is left out.
    pub sms_profile_id: Option<String>,
    /// A stored sending profile for its WhatsApp messages; the account's default where it is left out.
    pub whatsapp_profile_id: Option<String>,
    /// Whether a person approves each message before it is sent.
    pub requires_approval: Option<bool>,
    /// `hold` or `template`: what becomes of a step for a model where there is none.
    pub without_model: Option<String>,
    /// `verify`, `park` or `resend`.
    pub on_uncertain: Option<String>,
    /// `continue` or `hold`.
    pub after_uncertain: Option<String>,
    /// Seconds after its planned instant when a message is no longer sent.
    pub max_lateness_seconds: Option<i64>,
    /// Hosts that a model may link to.
    pub allowed_links: Option<Vec<String>>,
    /// What kind of businesses it is for, such as `Dentists`.
    pub business_type: Option<String>,
    /// A strategy by its name, or in the caller's own words; it makes the one step where no steps are given.
    pub strategy: Option<String>,
    /// Whether openings are counted; as the sending profile has it where it is left out.
    pub track_opens: Option<bool>,
    /// Whether clicks are counted; as the sending profile has it where it is left out.
    pub track_clicks: Option<bool>,
    /// A template whose text its one step copies, instead of `steps`; what is changed of the template later, the campaign
    /// does not see.
    pub template_id: Option<String>,
    /// How the template's text is sent: `sms`, `whatsapp` or `email`; as the template says where it is left out.
    pub channel: Option<String>,
    /// The segment whose people are enrolled when it is triggered or starts.
    pub segment_id: Option<String>,
    /// `snapshot` for those who are in the segment then, `live` for those who come to be in it while the campaign runs as
    /// well, which it does until it is paused or archived; `snapshot` where it is left out.
    pub audience: Option<String>,
    /// Its steps, numbered from 1; required unless a `template_id`, a `business_type` or a `strategy` makes one.
    pub steps: Option<Vec<StepInput>>,
}

/// A step to be made: a template, or a prompt for a model.
#[derive(ToSchema)]
#[schema(example = json!({"step_number": 1, "subject": "Hello {{first_name}}", "template": "Hi {{first_name}}, …"}))]
pub struct StepInput {
    /// Its number, from 1.
    pub step_number: i64,
    /// What people call it.
    pub name: Option<String>,
    /// `email`, `sms` or `whatsapp`; `email` where it is left out.
    pub channel: Option<String>,
    /// The subject's template.
    pub subject: Option<String>,
    /// The text's template.
    pub template: Option<String>,
    /// How both are written: `handlebars`, or `brace` for `{name}`; `handlebars` where it is left out.
    pub syntax: Option<String>,
    /// What a model is asked to write.
    pub ai_prompt: Option<String>,
    /// Calendar days after the step before.
    pub delay_days: Option<i64>,
    /// Hours after it.
    pub delay_hours: Option<i64>,
    /// Minutes after it.
    pub delay_minutes: Option<i64>,
    /// Seconds after it.
    pub delay_seconds: Option<i64>,
    /// Whether a model sees what was sent before.
    pub include_previous_emails: Option<bool>,
    /// A content template of Twilio's that stands for the text, `HX…`; of a step for `sms` or `whatsapp`.
    pub content_sid: Option<String>,
    /// Its variables by name; each value is a template.
    pub content_variables: Option<HashMap<String, String>>,
    /// Addresses of media, https alone: at most ten by SMS, one by WhatsApp.
    pub media_urls: Option<Vec<String>>,
    /// Whether it is sent at all.
    pub is_active: Option<bool>,
}

/// A step.
#[derive(ToSchema)]
pub struct Step {
    /// Its id.
    #[schema(example = "0c000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// Its number, from 1.
    #[schema(example = 1)]
    pub step_number: i64,
    /// What people call it.
    #[schema(example = "Step 1")]
    pub name: String,
    /// `email`, `sms` or `whatsapp`.
    #[schema(example = "email")]
    pub channel: String,
    /// The subject's template.
    #[schema(example = "Hello {{first_name}}")]
    pub subject: Option<String>,
    /// The text's template.
    #[schema(example = "Hi {{first_name}}, …")]
    pub template: Option<String>,
    /// How both are written: `handlebars` or `brace`.
    #[schema(example = "handlebars")]
    pub syntax: String,
    /// What a model is asked to write.
    #[schema(example = "A short reminder.")]
    pub ai_prompt: Option<String>,
    /// Calendar days after the step before.
    #[schema(example = 0)]
    pub delay_days: i64,
    /// Hours after it.
    #[schema(example = 0)]
    pub delay_hours: i64,
    /// Minutes after it.
    #[schema(example = 0)]
    pub delay_minutes: i64,
    /// Seconds after it.
    #[schema(example = 0)]
    pub delay_seconds: i64,
    /// Whether a model sees what was sent before.
    #[schema(example = false)]
    pub include_previous_emails: bool,
    /// A content template of Twilio's that stands for the text.
    #[schema(example = "HX0123456789abcdef0123456789abcdef")]
    pub content_sid: Option<String>,
    /// Its variables by name; each value is a template.
    #[schema(example = json!({"1": "{{first_name}}"}))]
    pub content_variables: HashMap<String, String>,
    /// Addresses of media.
    #[schema(example = json!(["https://example.com/a.png"]))]
    pub media_urls: Vec<String>,
    /// Whether it is sent at all.
    #[schema(example = true)]
    pub is_active: bool,
}

/// A campaign.
#[derive(ToSchema)]
pub struct Campaign {
    /// Its id.
    #[schema(example = "01000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// The caller's own id.
    #[schema(example = "spring")]
    pub external_id: Option<String>,
    /// `broadcast` where it was made of a template or for a segment, else `outreach`.
    #[schema(example = "outreach")]
    pub kind: String,
    /// Who of its segment is in it: `snapshot` or `live`; null where it has none.
    #[schema(example = json!(null))]
    pub audience: Option<String>,
    /// What people call it.
    #[schema(example = "Launch")]
    pub name: String,
    /// For people.
    #[schema(example = "Everybody new")]
    pub description: Option<String>,
    /// `DRAFT`, `SCHEDULED`, `RUNNING`, `PAUSED`, `COMPLETED` or `ARCHIVED`.
    #[schema(example = "DRAFT")]
    pub status: String,
    /// Counts its edits.
    #[schema(example = 1)]
    pub version: i64,
    /// Counts its runs.
    #[schema(example = 1)]
    pub round: i64,
    /// The sending profile it sends with.
    #[schema(example = "04000000-0000-8000-8000-000000000001")]
    pub sending_profile_id: String,
    /// The sending profile of its text messages, where it has any.
    pub sms_profile_id: Option<String>,
    /// The sending profile of its WhatsApp messages, where it has any.
    pub whatsapp_profile_id: Option<String>,
    /// The zone of leads that have none.
    #[schema(example = "Europe/Paris")]
    pub timezone: Option<String>,
    /// When quiet hours begin.
    #[schema(example = "22:00")]
    pub quiet_hours_start: Option<String>,
    /// When quiet hours end.
    #[schema(example = "08:00")]
    pub quiet_hours_end: Option<String>,
    /// Most messages a second.
    #[schema(example = 2.5)]
    pub rate_limit_per_second: Option<f64>,
    /// Whether a person approves each message.
    #[schema(example = false)]
    pub requires_approval: bool,
    /// `hold` or `template`.
    #[schema(example = "hold")]
    pub without_model: String,
    /// `verify`, `park` or `resend`.
    #[schema(example = "verify")]
    pub on_uncertain: String,
    /// `continue` or `hold`.
    #[schema(example = "continue")]
    pub after_uncertain: String,
    /// Seconds after its planned instant when a message is no longer sent.
    #[schema(example = 86400)]
    pub max_lateness_seconds: Option<i64>,
    /// Hosts that a model may link to.
    #[schema(example = json!(["www.example.com"]))]
    pub allowed_links: Vec<String>,
    /// What kind of businesses it is for.
    #[schema(example = "Dentists")]
    pub business_type: Option<String>,
    /// A strategy by its name, or in the caller's own words.
    #[schema(example = "specific_automation")]
    pub strategy: Option<String>,
    /// Whether openings are counted; null: as the sending profile has it.
    #[schema(example = true)]
    pub track_opens: Option<bool>,
    /// Whether clicks are counted; null: as the sending profile has it.
    #[schema(example = true)]
    pub track_clicks: Option<bool>,
    /// When it starts by itself.
    #[schema(format = DateTime, example = "2026-02-01T08:00:00Z")]
    pub schedule_time: Option<String>,
    /// When it started.
    #[schema(format = DateTime, example = "2026-02-01T08:00:00Z")]
    pub started_at: Option<String>,
    /// When it was completed.
    #[schema(format = DateTime, example = "2026-02-09T08:00:00Z")]
    pub completed_at: Option<String>,
    /// When it was made.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub created_at: String,
    /// When it was last changed.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub updated_at: String,
    /// Its steps; where they are shown. (sometimes)
    pub steps: Option<Vec<Step>>,
    /// The template it was made of, with the text that it copied and sends. (sometimes)
    pub template: Option<CampaignTemplate>,
    /// The segment it is for. (sometimes)
    pub segment: Option<CampaignSegment>,
    /// What was odd about its body and did no harm; where it was just given. (sometimes)
    pub warnings: Option<Vec<Warning>>,
    /// Messages handed over; where one campaign, or a list, is asked for, and in a list only if counting them does not
    /// take too long. (sometimes)
    #[schema(example = 12)]
    pub messages_sent: Option<i64>,
    /// Messages that failed for good or came back. (sometimes)
    #[schema(example = 0)]
    pub messages_failed: Option<i64>,
    /// Messages by state. (sometimes)
    #[schema(example = json!({"accepted": 12}))]
    pub messages: Option<HashMap<String, i64>>,
    /// Enrolments by state. (sometimes)
    #[schema(example = json!({"active": 3}))]
    pub enrolments: Option<HashMap<String, i64>>,
    /// What its texts will cost; where it was just started. (sometimes)
    pub cost: Option<Cost>,
    /// What the edit did; where it was just replaced. (sometimes)
    pub effect: Option<Effect>,
}

/// The template that a campaign was made of.
#[derive(ToSchema)]
pub struct CampaignTemplate {
    /// Its id.
    #[schema(example = "0b000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// What people call it.
    #[schema(example = "Welcome Template")]
    pub name: Option<String>,
    /// The text that the campaign copied.
    #[schema(example = "Welcome {name}! Thanks for joining us.")]
    pub content: Option<String>,
}

/// The segment that a campaign is for.
#[derive(ToSchema)]
pub struct CampaignSegment {
    /// Its id.
    #[schema(example = "0a000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// What people call it.
    #[schema(example = "New Users")]
    pub name: Option<String>,
}

/// A campaign that was triggered.
#[derive(ToSchema)]
pub struct Triggered {
    /// For people.
    #[schema(example = "Campaign triggered successfully")]
    pub message: String,
    /// The campaign.
    #[schema(example = "01000000-0000-8000-8000-000000000001")]
    pub campaign_id: String,
    /// Who of its segment can be reached: by the address, the opt-ins and opt-outs that are there now.
    #[schema(example = 1250)]
    pub estimated_recipients: i64,
    /// Whether it goes out.
    #[schema(example = true)]
    pub execution_started: bool,
    /// The campaign's state.
    #[schema(example = "RUNNING")]
    pub status: String,
    /// The run that enrols them; null without a segment.
    #[schema(example = "09000000-0000-8000-8000-000000000001")]
    pub run_id: Option<String>,
    /// How far it is; null without a segment.
    pub counts: Option<ExpandedCounts>,
    /// What to look into; null where there is nothing.
    #[schema(example = json!(null))]
    pub warning: Option<String>,
}

/// What a campaign's texts will cost, in the currency that the configured prices are in.
#[derive(ToSchema)]
pub struct Cost {
    /// Texts that a model has yet to write for the people who are under way.
    #[schema(example = 120)]
    pub texts: i64,
    /// What they will cost, estimated.
    #[schema(example = 0.84)]
    pub estimate: f64,
    /// The account's cap; null for none.
    #[schema(example = 25.0)]
    pub cap: Option<f64>,
    /// What the cap is counted over: `total`, `monthly` or `daily`.
    #[schema(example = "total")]
    pub period: String,
    /// What is left of it; null where there is none.
    #[schema(example = 21.73)]
    pub left: Option<f64>,
    /// Whether the estimate is within what is left.
    #[schema(example = true)]
    pub within_cap: bool,
}

/// Campaigns.
#[derive(ToSchema)]
pub struct CampaignList {
    /// The rows.
    pub campaigns: Vec<Campaign>,
    /// Where the list stands.
    #[serde(flatten)]
    pub listing: Listing,
}

/// Which campaigns a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CampaignFilter {
    /// `draft`, `scheduled`, `running`, `paused`, `completed`, `held` (a backup was restored) or `archived`.
    #[param(example = "running")]
    pub status: Option<String>,
}

/// How a campaign is archived.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ArchiveParams {
    /// `true` stops whoever is under way; else a campaign with people under way is not archived.
    #[param(example = false)]
    pub force: Option<bool>,
}

/// How far ahead to look.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SimulationParams {
    /// Days to look ahead.
    #[param(minimum = 1, maximum = 3660, default = 30, example = 30)]
    pub days: Option<i64>,
    /// The instant to look from, with its offset; now where it is left out.
    #[param(format = DateTime, example = "2026-03-15T09:00:00Z")]
    pub from: Option<String>,
}

/// A message that is not written yet.
#[derive(ToSchema)]
pub struct PlannedMessage {
    /// Who gets it.
    #[schema(example = "ada@example.com")]
    pub email: String,
    /// The step.
    #[schema(example = 1)]
    pub step: i64,
    /// When.
    #[schema(format = DateTime, example = "2026-03-15T09:00:00.000Z")]
    pub at: String,
    /// When, on the clock of whoever gets it.
    #[schema(example = "2026-03-15T10:00:00+01:00")]
    pub local: String,
    /// What moved it.
    pub reasons: Vec<Value>,
    /// What the planner does instead of sending. (sometimes)
    #[schema(example = "skip")]
    pub action: Option<Value>,
}

/// What will happen if nothing else happens.
#[derive(ToSchema)]
pub struct Simulation {
    /// The campaign.
    #[schema(example = "01000000-0000-8000-8000-000000000001")]
    pub campaign_id: String,
    /// From when.
    #[schema(format = DateTime, example = "2026-03-15T09:00:00.000Z")]
    pub from: String,
    /// Until when.
    #[schema(format = DateTime, example = "2026-04-14T09:00:00.000Z")]
    pub until: String,
    /// People it is about.
    #[schema(example = 2)]
    pub leads: i64,
    /// What its texts will cost.
    pub cost: Cost,
    /// What was taken for granted.
    pub assumed: Value,
    /// Most lines that are given.
    #[schema(example = 100000)]
    pub limit: i64,
    /// Whether there are more.
    #[schema(example = false)]
    pub truncated: bool,
    /// What will be sent.
    pub messages: Vec<PlannedMessage>,
    /// What will not.
    pub not_sent: Vec<PlannedMessage>,
}
