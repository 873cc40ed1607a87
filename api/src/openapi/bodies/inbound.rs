//! Mail that came back.

use super::common::Listing;
use utoipa::{IntoParams, ToSchema};

/// An e-mail that was kept.
#[derive(ToSchema)]
pub struct KeptInbound {
    /// Its row.
    #[schema(example = "1e000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// Whether the same bytes were there already.
    #[schema(example = false)]
    pub duplicate: bool,
}

/// An e-mail that came back, and what was made of it.
#[derive(ToSchema)]
pub struct Inbound {
    /// Its id.
    #[schema(example = "1e000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// `api` or `imap`.
    #[schema(example = "imap")]
    pub source: String,
    /// The profile whose mailbox it was read from.
    #[schema(example = "04000000-0000-8000-8000-000000000001")]
    pub sending_profile_id: Option<String>,
    /// `stored` until it is read; then `understood` or `failed`.
    #[schema(example = "understood")]
    pub status: String,
    /// What it is: `reply`, `bounce`, `delay`, `complaint`, `opt_out` or `other`.
    #[schema(example = "reply")]
    pub kind: Option<String>,
    /// The message that it answers.
    #[schema(example = "03000000-0000-8000-8000-000000000001")]
    pub message_id: Option<String>,
    /// That message's campaign.
    #[schema(example = "01000000-0000-8000-8000-000000000001")]
    pub campaign_id: Option<String>,
    /// Who wrote it.
    #[schema(example = "02000000-0000-8000-8000-000000000001")]
    pub lead_id: Option<String>,
    /// What it was matched by: `token`, `message_id` or `sender`.
    #[schema(example = "token")]
    pub matched_by: Option<String>,
    /// Who wrote it, by the header.
    #[schema(example = "ada@example.com")]
    pub from: Option<String>,
    /// Its subject.
    #[schema(example = "Re: Hello Ada")]
    pub subject: Option<String>,
    /// What a reply wants: `positive`, `negative`, `out_of_office`, `opt_out` or `other`.
    #[schema(example = "positive")]
    pub classification: Option<String>,
    /// Its mood: `positive`, `negative` or `neutral`.
    #[schema(example = "positive")]
    pub sentiment: Option<String>,
    /// The beginning of its own text.
    #[schema(example = "Sounds good. Tuesday?")]
    pub snippet: Option<String>,
    /// What else is to be said of it.
    #[schema(example = "it answers no message")]
    pub detail: Option<String>,
    /// When it came.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub received_at: String,
    /// When it was read.
    #[schema(format = DateTime, example = "2026-01-15T10:30:01Z")]
    pub understood_at: Option<String>,
}

/// E-mails that came back.
#[derive(ToSchema)]
pub struct InboundList {
    /// The rows.
    pub inbound: Vec<Inbound>,
    /// Where the list stands.
    #[serde(flatten)]
    pub listing: Listing,
}

/// In which order they come.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct InboundOrder {
    /// The order: `received_at`, or `-received_at` for the newest first.
    #[param(example = "-received_at")]
    pub sort: Option<String>,
}
