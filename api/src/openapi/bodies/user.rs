//! Users and what they said of consent.

use super::common::Listing;
use serde_json::Value;
use std::collections::HashMap;
use utoipa::{IntoParams, ToSchema};

/// Which users a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UserFilter {
    /// Those who said so last: `OPT_IN`, `OPT_OUT` or `STOP`.
    #[param(example = "OPT_IN")]
    pub consent_state: Option<String>,
}

/// A user.
#[derive(ToSchema)]
pub struct User {
    /// The number.
    #[schema(example = "+14155551234")]
    pub phone_e164: String,
    /// When the contact was made, or came back.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub created_at: String,
    /// What was said last of SMS and WhatsApp, the strictest of the two: `OPT_IN`, `OPT_OUT` or `STOP`; null where
    /// nothing was, and nobody is written to.
    #[schema(example = "OPT_IN")]
    pub consent_state: Option<String>,
    /// When.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub consent_updated_at: Option<String>,
    /// What is known of them.
    #[schema(example = json!({"name": "Jane Smith", "city": "Austin"}))]
    pub attributes: HashMap<String, Value>,
    /// When their last message came.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub last_message_received: Option<String>,
}

/// Users.
#[derive(ToSchema)]
pub struct UserList {
    /// The rows.
    pub users: Vec<User>,
    /// Where the list stands.
    #[serde(flatten)]
    pub listing: Listing,
}

/// A user with all there is to tell.
#[derive(ToSchema)]
pub struct UserDetails {
    /// The user.
    #[serde(flatten)]
    pub user: User,
    /// The contact's id, which is the lead's as well.
    #[schema(example = "02000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// When the contact was last changed.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub updated_at: String,
    /// What was said last, by channel.
    pub channels: UserChannels,
}

/// What was said last, by channel; e-mail needs no opt-in.
#[derive(ToSchema)]
pub struct UserChannels {
    /// Of e-mail.
    #[schema(example = "OPT_OUT")]
    pub email: Option<String>,
    /// Of SMS.
    #[schema(example = "OPT_IN")]
    pub sms: Option<String>,
    /// Of WhatsApp.
    #[schema(example = "OPT_IN")]
    pub whatsapp: Option<String>,
}

/// What proves that somebody said yes.
#[derive(ToSchema)]
pub struct ConsentEvidence {
    /// The words they agreed to, or said.
    #[schema(example = "Text me about my orders")]
    pub wording: String,
    /// Where: a form, a call, a paper.
    #[schema(example = "web form /signup")]
    pub source: String,
    /// When, with its offset.
    #[schema(format = DateTime, example = "2026-01-15T10:29:00Z")]
    pub at: String,
}

/// A user to be made. Every field that is not named here becomes an attribute.
#[derive(ToSchema)]
#[schema(example = json!({"phone_e164": "+14155551234", "consent_state": "OPT_IN", "attributes": {"name": "Jane Smith", "city": "Austin", "signup_source": "website"}}))]
pub struct UserInput {
    /// The number, in E.164 and nothing else.
    pub phone_e164: String,
    /// What they said: `OPT_IN`, `OPT_OUT` or `STOP`.
    pub consent_state: Option<String>,
    /// Of which channel they said it: `sms`, `whatsapp` or `email`; SMS and WhatsApp alike where it is left out.
    pub channel: Option<String>,
    /// What proves it.
    pub consent_evidence: Option<ConsentEvidence>,
    /// What is known of them. `first_name`, `last_name`, `company`, `title`, `website`, `industry`, `timezone`,
    /// `external_id` and `email` are those of a lead.
    pub attributes: Option<HashMap<String, Value>>,
}

/// A change of a user. Every field that is not named here is an attribute.
#[derive(ToSchema)]
#[schema(example = json!({"consent_state": "OPT_OUT", "attributes": {"name": "Jane Smith Updated", "tier": "enterprise", "last_login": "2026-01-25"}}))]
pub struct UserChange {
    /// What they said: `OPT_IN`, `OPT_OUT` or `STOP`.
    pub consent_state: Option<String>,
    /// Of which channel they said it: `sms`, `whatsapp` or `email`; SMS and WhatsApp alike where it is left out.
    pub channel: Option<String>,
    /// What proves it; without it nothing lifts a STOP.
    pub consent_evidence: Option<ConsentEvidence>,
    /// Attributes to set; `null` takes one away, the others stay.
    pub attributes: Option<HashMap<String, Value>>,
}

/// A user that was made.
#[derive(ToSchema)]
pub struct UserCreated {
    /// The number.
    #[schema(example = "+14155551234")]
    pub phone_e164: String,
    /// When the contact was made, or came back.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub created_at: String,
    /// What holds for them now.
    #[schema(example = "OPT_IN")]
    pub consent_state: Option<String>,
    /// For people.
    #[schema(example = "User created successfully")]
    pub message: String,
}

/// A user that was deleted.
#[derive(ToSchema)]
pub struct DeletedUser {
    /// For people.
    #[schema(example = "User deleted successfully")]
    pub message: String,
    /// The number.
    #[schema(example = "+14155551234")]
    pub phone_e164: String,
}

/// A line of the ledger of consent.
#[derive(ToSchema)]
pub struct ConsentLine {
    /// `sms`, `whatsapp` or `email`.
    #[schema(example = "sms")]
    pub channel: String,
    /// What was said: `OPT_IN`, `OPT_OUT` or `STOP`.
    #[schema(example = "OPT_IN")]
    pub consent_state: Option<String>,
    /// When it was written down.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub at: String,
    /// Where it was said: `api`, `import`, `inbound`, `unsubscribe_link`, `reply` or `command`.
    #[schema(example = "api")]
    pub source: String,
    /// Who wrote it down.
    #[schema(example = "key:1")]
    pub actor: String,
    /// The words it was asked or said in.
    #[schema(example = "Text me about my orders")]
    pub wording: Option<String>,
    /// What proves it.
    #[schema(example = json!({"source": "web form /signup", "at": "2026-01-15T10:29:00.000Z"}))]
    pub evidence: HashMap<String, Value>,
    /// Its place in the chain of its channel, from 1; null for a line from before there was one.
    #[schema(example = 1)]
    pub place: Option<i64>,
    /// The hash of the line before; empty for the first.
    #[schema(example = "")]
    pub previous: String,
    /// Its own hash, SHA-256 in hex.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub hash: String,
}

/// What somebody said of consent.
#[derive(ToSchema)]
pub struct ConsentList {
    /// The lines.
    pub consents: Vec<ConsentLine>,
    /// Where the list stands.
    #[serde(flatten)]
    pub listing: Listing,
}
