//! Sending profiles.

use super::common::Listing;
use utoipa::ToSchema;

/// A sending profile to be made.
#[derive(ToSchema)]
#[schema(example = json!({"name": "Sales", "smtp_url": "smtps://user:password@mail.example.com:465", "from_email": "sales@example.com", "from_name": "Sales", "rate_limit_per_second": 5}))]
pub struct ProfileInput {
    /// What people call it, unique in the account; needed but for a profile inside a campaign.
    pub name: Option<String>,
    /// `email` where it is left out, `sms` or `whatsapp`.
    pub channel: Option<String>,
    /// `smtp://` or `smtps://` with user and password; stored sealed, never shown.
    pub smtp_url: Option<String>,
    /// The sender's address.
    pub from_email: Option<String>,
    /// The sender's name.
    pub from_name: Option<String>,
    /// Where answers go.
    pub reply_to: Option<String>,
    /// Most messages a second.
    pub rate_limit_per_second: Option<f64>,
    /// Most messages a minute.
    pub rate_limit_per_minute: Option<i64>,
    /// Most messages a calendar day.
    pub rate_limit_per_day: Option<i64>,
    /// The zone its days are counted in.
    pub timezone: Option<String>,
    /// `verify`, `park` or `resend`.
    pub on_uncertain: Option<String>,
    /// Where answers with a token come in: `reply+<token>@` of this domain is the `Reply-To` then.
    pub reply_domain: Option<String>,
    /// Whom messages are signed for; the sender's own domain where it is left out.
    pub dkim_domain: Option<String>,
    /// Under which name the key is published; needed with a key.
    pub dkim_selector: Option<String>,
    /// The private key in PEM, RSA of 2,048 bits or more, or Ed25519; stored sealed, never shown.
    pub dkim_private_key: Option<String>,
    /// `imaps://user:password@host/mailbox`, where answers are read; stored sealed, never shown.
    pub imap_url: Option<String>,
    /// Whether opens are told, unless a campaign says otherwise; not where it is left out.
    pub track_opens: Option<bool>,
    /// Whether clicks are told, unless a campaign says otherwise; not where it is left out.
    pub track_clicks: Option<bool>,
    /// The number that sends, in E.164; of a profile for `sms` or `whatsapp`.
    pub from_phone: Option<String>,
    /// The messaging service that sends, `MG…`, in place of a number.
    pub messaging_service_sid: Option<String>,
    /// A Twilio account of its own, `AC…`; the installation's where it is left out.
    pub twilio_account_sid: Option<String>,
    /// That account's token; stored sealed, never shown.
    pub twilio_auth_token: Option<String>,
    /// Where messages may go, two-letter countries by the number's calling code; the installation's list where it is left out.
    pub allowed_countries: Option<Vec<String>>,
}

/// What of a sending profile is to change: what is not named stays, `null` clears.
#[derive(ToSchema)]
#[schema(example = json!({"from_name": "Ada", "rate_limit_per_second": 2.5, "track_opens": true, "state": "active"}))]
pub struct ProfileChange {
    /// `paused` or `active`.
    pub state: Option<String>,
    /// `smtp://` or `smtps://` with user and password; stored sealed, never shown.
    pub smtp_url: Option<String>,
    /// The sender's address.
    pub from_email: Option<String>,
    /// The sender's name.
    pub from_name: Option<String>,
    /// Where answers go.
    pub reply_to: Option<String>,
    /// Most messages a second.
    pub rate_limit_per_second: Option<f64>,
    /// Most messages a minute.
    pub rate_limit_per_minute: Option<i64>,
    /// Most messages a calendar day.
    pub rate_limit_per_day: Option<i64>,
    /// The zone its days are counted in.
    pub timezone: Option<String>,
    /// `verify`, `park` or `resend`.
    pub on_uncertain: Option<String>,
    /// Where answers with a token come in: `reply+<token>@` of this domain is the `Reply-To` then.
    pub reply_domain: Option<String>,
    /// Whom messages are signed for; the sender's own domain where it is left out.
    pub dkim_domain: Option<String>,
    /// Under which name the key is published; needed with a key.
    pub dkim_selector: Option<String>,
    /// The private key in PEM, RSA of 2,048 bits or more, or Ed25519; stored sealed, never shown.
    pub dkim_private_key: Option<String>,
    /// `imaps://user:password@host/mailbox`, where answers are read; stored sealed, never shown.
    pub imap_url: Option<String>,
    /// Whether opens are told, unless a campaign says otherwise; not where it is left out.
    pub track_opens: Option<bool>,
    /// Whether clicks are told, unless a campaign says otherwise; not where it is left out.
    pub track_clicks: Option<bool>,
    /// The number that sends, in E.164; of a profile for `sms` or `whatsapp`.
    pub from_phone: Option<String>,
    /// The messaging service that sends, `MG…`, in place of a number.
    pub messaging_service_sid: Option<String>,
    /// A Twilio account of its own, `AC…`; the installation's where it is left out.
    pub twilio_account_sid: Option<String>,
    /// That account's token; stored sealed, never shown.
    pub twilio_auth_token: Option<String>,
    /// Where messages may go, two-letter countries by the number's calling code; the installation's list where it is left out.
    pub allowed_countries: Option<Vec<String>>,
}

/// A sending profile; its URL never comes out.
#[derive(ToSchema)]
pub struct SendingProfile {
    /// Its id.
    #[schema(example = "04000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// What people call it.
    #[schema(example = "Sales")]
    pub name: String,
    /// `email`, `sms` or `whatsapp`.
    #[schema(example = "email")]
    pub channel: String,
    /// `smtp` or `twilio` with a server or account of its own, `default` for the installation's.
    #[schema(example = "smtp")]
    pub transport: String,
    /// The sender's address.
    #[schema(example = "sales@example.com")]
    pub from_email: Option<String>,
    /// The sender's name.
    #[schema(example = "Sales")]
    pub from_name: Option<String>,
    /// Where answers go.
    #[schema(example = "sales@example.com")]
    pub reply_to: Option<String>,
    /// Most messages a second.
    #[schema(example = 5.0)]
    pub rate_limit_per_second: Option<f64>,
    /// Most messages a minute.
    #[schema(example = 100)]
    pub rate_limit_per_minute: Option<i64>,
    /// Most messages a calendar day.
    #[schema(example = 1000)]
    pub rate_limit_per_day: Option<i64>,
    /// The zone its days are counted in.
    #[schema(example = "UTC")]
    pub timezone: String,
    /// `verify`, `park` or `resend`.
    #[schema(example = "verify")]
    pub on_uncertain: Option<String>,
    /// Where answers with a token come in.
    #[schema(example = "reply.example.com")]
    pub reply_domain: Option<String>,
    /// Whom messages are signed for; null for the sender's own domain.
    #[schema(example = "example.com")]
    pub dkim_domain: Option<String>,
    /// Under which name the key is published.
    #[schema(example = "sw1")]
    pub dkim_selector: Option<String>,
    /// Whether it has a key that messages are signed with.
    #[schema(example = true)]
    pub signs: bool,
    /// Whether answers are read over IMAP.
    #[schema(example = true)]
    pub polls: bool,
    /// What last went wrong with that.
    #[schema(example = "the server refused the password")]
    pub imap_why: Option<String>,
    /// Whether opens are told, unless a campaign says otherwise.
    #[schema(example = false)]
    pub track_opens: bool,
    /// Whether clicks are told, unless a campaign says otherwise.
    #[schema(example = false)]
    pub track_clicks: bool,
    /// The number that sends, in E.164.
    #[schema(example = "+14155550100")]
    pub from_phone: Option<String>,
    /// The messaging service that sends.
    #[schema(example = "MG0123456789abcdef0123456789abcdef")]
    pub messaging_service_sid: Option<String>,
    /// Its own Twilio account.
    #[schema(example = "AC0123456789abcdef0123456789abcdef")]
    pub twilio_account_sid: Option<String>,
    /// Where its messages may go; null for the installation's list.
    #[schema(example = json!(["US", "CA"]))]
    pub allowed_countries: Option<Vec<String>>,
    /// `active`, or why it rests.
    #[schema(example = "active")]
    pub status: String,
    /// Until when it rests.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub paused_until: Option<String>,
    /// Why it rests.
    #[schema(example = "the server refused the password")]
    pub why: Option<String>,
    /// Whether campaigns without a profile send with it.
    #[schema(example = false)]
    pub is_default: bool,
    /// When it was made.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub created_at: String,
}

/// Sending profiles.
#[derive(ToSchema)]
pub struct SendingProfileList {
    /// The rows.
    pub sending_profiles: Vec<SendingProfile>,
    /// Where the list stands.
    #[serde(flatten)]
    pub listing: Listing,
}
