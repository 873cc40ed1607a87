//! The external dialect (S1): integers as ids, bare arrays, `detail` in refusals.

use super::common::Fault;
use utoipa::{IntoParams, ToSchema};

/// Why a request was not done.
#[derive(ToSchema)]
pub struct ExternalError {
    /// One sentence for people.
    #[schema(example = "Invalid API key")]
    pub detail: String,
    /// The stable code.
    #[schema(example = "invalid_api_key")]
    pub code: String,
    /// Every field that was wrong.
    pub errors: Vec<Fault>,
    /// The request's id, as in `X-Request-Id`.
    #[schema(example = "req_5f2b8c1d9e3a4f60718293a4")]
    pub request_id: String,
}

/// Whether a key works.
#[derive(ToSchema)]
pub struct ExternalStatus {
    /// `active`.
    #[schema(example = "active")]
    pub status: String,
    /// For people.
    #[schema(example = "External API is operational")]
    pub message: String,
    /// The key's user.
    #[schema(example = "owner@localhost")]
    pub authenticated_user: String,
    /// When.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00.000Z")]
    pub timestamp: String,
}

/// A lead.
#[derive(ToSchema)]
pub struct ExternalLead {
    /// Its number.
    #[schema(example = 1)]
    pub id: i64,
    /// The address.
    #[schema(example = "ada@example.com")]
    pub email: String,
    /// First name. (sometimes)
    #[schema(example = "Ada")]
    pub first_name: Option<String>,
    /// Last name. (sometimes)
    #[schema(example = "Lovelace")]
    pub last_name: Option<String>,
    /// Company. (sometimes)
    #[schema(example = "Example")]
    pub company: Option<String>,
    /// Job title. (sometimes)
    #[schema(example = "Engineer")]
    pub title: Option<String>,
    /// Telephone number. (sometimes)
    #[schema(example = "+33 1 23 45 67 89")]
    pub phone: Option<String>,
    /// Website. (sometimes)
    #[schema(example = "https://example.com")]
    pub website: Option<String>,
    /// Industry. (sometimes)
    #[schema(example = "Computing")]
    pub industry: Option<String>,
    /// `active`.
    #[schema(example = "active")]
    pub status: String,
    /// When it was made.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00.000Z")]
    pub created_at: String,
    /// Told where its address is suppressed. (sometimes)
    #[schema(example = true)]
    pub suppressed: Option<bool>,
}

/// A lead that was not taken.
#[derive(ToSchema)]
pub struct ExternalRefusedLead {
    /// Its place in the list, from 0.
    #[schema(example = 2)]
    pub index: i64,
    /// Why, for programs.
    #[schema(example = "duplicate")]
    pub code: String,
    /// Why, for people.
    #[schema(example = "Lead with email ada@example.com already exists")]
    pub detail: String,
    /// Its address, as given. (sometimes)
    #[schema(example = "ada@example.com")]
    pub email: Option<String>,
    /// Its fields that are wrong. (sometimes)
    pub errors: Option<Vec<Fault>>,
}

/// What became of many leads.
#[derive(ToSchema)]
pub struct ExternalImported {
    /// How many were taken.
    #[schema(example = 2)]
    pub created: i64,
    /// Those not taken.
    pub errors: Vec<ExternalRefusedLead>,
    /// Those taken.
    pub leads: Vec<ExternalLead>,
}

/// A step.
#[derive(ToSchema)]
pub struct ExternalStep {
    /// Its number among all steps.
    #[schema(example = 1)]
    pub id: i64,
    /// Its number in the campaign, from 1.
    #[schema(example = 1)]
    pub step_number: i64,
    /// What people call it.
    #[schema(example = "First contact")]
    pub name: String,
    /// The subject's template.
    #[schema(example = "Hello {{first_name}}")]
    pub subject: Option<String>,
    /// The text's template.
    #[schema(example = "Hi {{first_name}}, …")]
    pub template: Option<String>,
    /// What a model is asked to write.
    #[schema(example = "Introduce us.")]
    pub ai_prompt: Option<String>,
    /// Calendar days after the step before.
    #[schema(example = 0)]
    pub delay_days: i64,
    /// Hours after it.
    #[schema(example = 0)]
    pub delay_hours: i64,
    /// Minutes after it, where there are some. (sometimes)
    #[schema(example = 5)]
    pub delay_minutes: Option<i64>,
    /// Seconds after it, where there are some. (sometimes)
    #[schema(example = 5)]
    pub delay_seconds: Option<i64>,
    /// Whether it is sent at all.
    #[schema(example = true)]
    pub is_active: bool,
    /// Whether a model sees what was sent before.
    #[schema(example = false)]
    pub include_previous_emails: bool,
}

/// A campaign.
#[derive(ToSchema)]
pub struct ExternalCampaign {
    /// Its number.
    #[schema(example = 1)]
    pub id: i64,
    /// What people call it.
    #[schema(example = "Launch")]
    pub name: String,
    /// For people.
    #[schema(example = "Everybody new")]
    pub description: Option<String>,
    /// `active`, `paused` or `inactive`.
    #[schema(example = "active")]
    pub status: String,
    /// When it was made.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00.000Z")]
    pub created_at: String,
    /// Its steps; where they are shown. (sometimes)
    pub steps: Option<Vec<ExternalStep>>,
}

/// A campaign whose state was changed.
#[derive(ToSchema)]
pub struct ExternalChanged {
    /// For people.
    #[schema(example = "Campaign paused successfully")]
    pub message: String,
    /// Its number.
    #[schema(example = 1)]
    pub campaign_id: i64,
    /// `active`, `paused` or `inactive`.
    #[schema(example = "paused")]
    pub status: String,
}

/// Which campaigns a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExternalFilter {
    /// `active`, `paused` or `inactive`.
    #[param(example = "active")]
    pub status: Option<String>,
    /// Where to go on: `X-Next-After` of the answer before.
    #[param(example = "1768473000000-1000")]
    pub after: Option<String>,
}
