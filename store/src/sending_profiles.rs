//! Sending profiles: how an account's messages leave, as whom, and how fast.

use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use crate::page::{Page, in_order};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::country::Country;
use sendwright_workflows::sequence::Channel;

mod lines;
mod sealed;
pub mod standing;
mod stored;

pub use lines::{Line, any_twilio, followers, of_twilio};
pub use sealed::{DKIM, IMAP, Sealed, TABLE, TWILIO, sealed, sealed_url};
pub use stored::{NewProfile, change, default_or_new, insert, is_named};

/// A stored profile, without its URL.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Profile {
    /// Its row.
    pub id: i64,
    /// Whose it is.
    pub account_id: i64,
    /// Unique in the account.
    pub name: String,
    /// The channel it serves.
    pub channel: String,
    /// `smtp`, `twilio` or `default`.
    pub transport: String,
    /// The sender's address.
    pub from_email: Option<String>,
    /// The sender's name.
    pub from_name: Option<String>,
    /// Where answers go.
    pub reply_to: Option<String>,
    /// Most messages in any second.
    pub per_second: Option<f64>,
    /// Most messages in a clock minute.
    pub per_minute: Option<i64>,
    /// Most messages in a calendar day of `timezone`.
    pub per_day: Option<i64>,
    /// IANA zone.
    pub timezone: String,
    /// `verify`, `park` or `resend`.
    pub on_uncertain: Option<String>,
    /// `active`, `paused` or `disabled`.
    pub state: String,
    /// Until when it is paused, where that is known.
    pub paused_until: Option<Millis>,
    /// Why it is not active.
    pub why: Option<String>,
    /// Where answers with a token come in.
    pub reply_domain: Option<String>,
    /// Whom messages are signed for; empty: the sender's own domain.
    pub dkim_domain: Option<String>,
    /// The name of the key.
    pub dkim_selector: Option<String>,
    /// Whether there is a key.
    pub signs: bool,
    /// Whether a mailbox is read.
    pub polls: bool,
    /// Why its mailbox could not be read the last time.
    pub imap_why: Option<String>,
    /// Opens are told.
    pub track_opens: bool,
    /// Clicks are told.
    pub track_clicks: bool,
    /// The number that sends, in E.164.
    pub from_phone: Option<String>,
    /// The messaging service that sends.
    pub messaging_service_sid: Option<String>,
    /// Its own Twilio account.
    pub twilio_account_sid: Option<String>,
    /// Where its text messages may go: a JSON list of countries; empty: the process's own list.
    pub allowed_countries: Option<String>,
    /// Campaigns that name no profile use it.
    pub is_default: bool,
    /// When it was made.
    pub created_at: Millis,
}

impl Profile {
    /// The channel that it serves.
    pub fn channel(&self) -> Channel {
        Channel::parse(&self.channel).unwrap_or_default()
    }

    /// Where its text messages may go, if it says so itself.
    pub fn allowed_countries(&self) -> Option<Vec<Country>> {
        self.allowed_countries.as_deref().map(|list| serde_json::from_str(list).unwrap_or_default())
    }
}

macro_rules! columns {
    () => {
        "id, account_id, name, channel, transport, from_email, from_name, reply_to, per_second, per_minute, per_day,
         timezone, on_uncertain, state, paused_until, why, reply_domain, dkim_domain, dkim_selector,
         dkim_sealed IS NOT NULL AS signs, imap_sealed IS NOT NULL AS polls,
         (SELECT c.why FROM imap_cursors c WHERE c.profile_id = sending_profiles.id) AS imap_why, track_opens, track_clicks,
         from_phone, messaging_service_sid, twilio_account_sid, allowed_countries, is_default, created_at"
    };
}

/// The account's profile with this number.
pub async fn get(tx: &mut Tx, account: i64, id: i64) -> Result<Option<Profile>> {
    row!(
        tx,
        Profile,
        concat!("SELECT ", columns!(), " FROM sending_profiles WHERE account_id = $1 AND id = $2"),
        account,
        id
    )
}

/// A profile by its number alone, for those who send: no account's request names it.
pub async fn by_id(tx: &mut Tx, id: i64) -> Result<Option<Profile>> {
    row!(tx, Profile, concat!("SELECT ", columns!(), " FROM sending_profiles WHERE id = $1"), id)
}

/// What a profile's `why` says where its messages have no way out of the workers.
pub const NO_TRANSPORT: &str =
    "no transport: set SMTP_URL and SMTP_FROM for the workers, or smtp_url in this profile";

/// The same for messages to phones.
pub const NO_PHONE_TRANSPORT: &str = "no transport: set TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_FROM \
     (TWILIO_WHATSAPP_FROM) for the workers, or twilio_account_sid and from_phone in this profile";

/// Moves a profile that stands at `from` to `active`, `paused` or `disabled`, with the reason people read.
/// `false`: it stands elsewhere, by a person's hand, or is so marked already.
pub async fn mark(
    tx: &mut Tx,
    id: i64,
    (from, to): (&str, &str),
    until: Option<Millis>,
    why: Option<&str>,
    now: Millis,
) -> Result<bool> {
    let sql = "UPDATE sending_profiles SET state = $2, paused_until = $3, why = $4, updated_at = $5
         WHERE id = $1 AND state = $6 AND (state <> $2 OR why IS DISTINCT FROM $4)";
    Ok(execute!(tx, sql, id, to, until, why, now, from)? == 1)
}

/// The profile of a channel that campaigns without one use.
pub async fn default_of(tx: &mut Tx, account: i64, channel: Channel) -> Result<Option<Profile>> {
    row!(
        tx,
        Profile,
        concat!(
            "SELECT ",
            columns!(),
            " FROM sending_profiles WHERE account_id = $1 AND is_default AND channel = $2 ORDER BY id LIMIT 1"
        ),
        account,
        channel.as_str()
    )
}

/// Profiles of every account that say who sends, or that sign, up to `most`.
pub async fn senders(tx: &mut Tx, most: i64) -> Result<Vec<Profile>> {
    rows!(
        tx,
        Profile,
        concat!(
            "SELECT ",
            columns!(),
            " FROM sending_profiles WHERE from_email IS NOT NULL OR dkim_sealed IS NOT NULL ORDER BY id LIMIT $1"
        ),
        most
    )
}

/// The account's profiles.
pub async fn list(tx: &mut Tx, account: i64, page: Page) -> Result<Vec<Profile>> {
    rows!(
        tx,
        Profile,
        in_order!(page, "", "SELECT ", columns!(), " FROM sending_profiles WHERE account_id = $1"),
        account,
        page.after.0,
        page.after.1,
        page.limit,
        page.skip
    )
}

/// The account's senders of texts.
pub async fn of_phones(tx: &mut Tx, account: i64) -> Result<Vec<Profile>> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM sending_profiles WHERE account_id = $1 AND channel IN ('sms', 'whatsapp') ORDER BY id"
    );
    rows!(tx, Profile, sql, account)
}

/// How many profiles the account has.
pub async fn count(tx: &mut Tx, account: i64) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM sending_profiles WHERE account_id = $1";
    Ok(row!(tx, (i64,), sql, account)?.map_or(0, |r| r.0))
}
