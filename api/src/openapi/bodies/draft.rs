//! Texts before they go.

use super::common::Listing;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// A message that was not tried yet, with its text once it is written.
#[derive(ToSchema)]
pub struct Draft {
    /// Its id: the message's.
    #[schema(example = "03000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// Where the message is.
    #[schema(example = "held")]
    pub state: String,
    /// Whether it waits for approval.
    #[schema(example = true)]
    pub waits_for_approval: bool,
    /// Whether a person approved or released it.
    #[schema(example = false)]
    pub approved: bool,
    /// Its campaign.
    #[schema(example = "01000000-0000-8000-8000-000000000001")]
    pub campaign_id: Option<String>,
    /// Who gets it.
    #[schema(example = "02000000-0000-8000-8000-000000000001")]
    pub lead_id: String,
    /// Its step.
    #[schema(example = 1)]
    pub step_number: i64,
    /// The address.
    #[schema(example = "ada@example.com")]
    pub to: String,
    /// The planned instant; null while it is not planned.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00.000Z")]
    pub planned_at: Option<String>,
    /// What moved or held it.
    pub reasons: Vec<Value>,
    /// Its subject.
    #[schema(example = "Hello Ada")]
    pub subject: Option<String>,
    /// Its text.
    #[schema(example = "Hi Ada, …")]
    pub body: Option<String>,
    /// `template`, `model`, `offline` or `hand`.
    #[schema(example = "model")]
    pub writer: Option<String>,
    /// When it was planned.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub created_at: String,
    /// When it last changed.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub updated_at: String,
}

/// Drafts.
#[derive(ToSchema)]
pub struct DraftList {
    /// The rows.
    pub drafts: Vec<Draft>,
    /// Where the list stands.
    #[serde(flatten)]
    pub listing: Listing,
}

/// Which drafts a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DraftFilter {
    /// `scheduled`, `writing`, `drafted` or `held`; `approval` for those that wait for approval.
    #[param(example = "approval")]
    pub state: Option<String>,
}

/// A text by hand: a subject, a body, or both. Nothing in it is filled in.
#[derive(ToSchema)]
#[schema(example = json!({"subject": "Hello Ada", "body": "Hi Ada,\n\na word about …"}))]
pub struct DraftEdit {
    /// One line.
    pub subject: Option<String>,
    /// Plain text, at most 256 KiB.
    pub body: Option<String>,
}

/// Which drafts are approved: these, or all that wait where `ids` is left out.
#[derive(ToSchema)]
#[schema(example = json!({"ids": ["03000000-0000-8000-8000-000000000001"]}))]
pub struct ApprovalInput {
    /// Drafts' ids, at most 10,000.
    #[schema(max_items = 10000)]
    pub ids: Option<Vec<String>>,
}

/// What became of many approvals.
#[derive(ToSchema)]
pub struct Approvals {
    /// How many were approved.
    #[schema(example = 1)]
    pub approved: i64,
    /// Those that did not wait for it.
    pub errors: Vec<NotApproved>,
}

/// A draft that was not approved.
#[derive(ToSchema)]
pub struct NotApproved {
    /// Its place in the list, from 0.
    #[schema(example = 0)]
    pub index: i64,
    /// `draft_state`.
    #[schema(example = "draft_state")]
    pub error: String,
    /// Why, for people.
    #[schema(example = "does not wait for approval in this campaign")]
    pub message: String,
}
