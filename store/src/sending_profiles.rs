//! Sending profiles: how an account's messages leave, as whom, and how fast.

use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use crate::page::{Page, in_order};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::country::Country;
use sendwright_workflows::sequence::Channel;

pub mod standing;

/// The table's name, which sealed URLs are bound to.
pub const TABLE: &str = "sending_profiles";

/// What sealed DKIM keys are bound to: a secret of one column opens in no other.
pub const DKIM: &str = "sending_profiles.dkim";
/// What sealed URLs of mailboxes are bound to.
pub const IMAP: &str = "sending_profiles.imap";

/// What sealed tokens of Twilio accounts are bound to.
pub const TWILIO: &str = "sending_profiles.twilio";

/// A sending profile to be stored.
#[derive(Debug, Clone, Default)]
pub struct NewProfile {
    /// Its row.
    pub id: i64,
    /// Whose it is.
    pub account_id: i64,
    /// Unique in the account.
    pub name: String,
    /// The channel it serves.
    pub channel: Channel,
    /// `smtp` with a URL of its own, `twilio` with an account of its own, or `default`, which follows the process's transport.
    pub transport: String,
    /// The URL, sealed for this row.
    pub url_sealed: Option<String>,
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
    /// Where answers with a token come in.
    pub reply_domain: Option<String>,
    /// Whom messages are signed for.
    pub dkim_domain: Option<String>,
    /// The name of the key.
    pub dkim_selector: Option<String>,
    /// The key, sealed for this row under [`DKIM`].
    pub dkim_sealed: Option<String>,
    /// The mailbox's URL, sealed for this row under [`IMAP`].
    pub imap_sealed: Option<String>,
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
    /// That account's token, sealed for this row under [`TWILIO`].
    pub twilio_sealed: Option<String>,
    /// Where its text messages may go: a JSON list of countries; empty: the process's own list.
    pub allowed_countries: Option<String>,
    /// Campaigns that name no profile use it.
    pub is_default: bool,
}

impl NewProfile {
    /// An account's first profile of a channel: it follows the process's transport.
    pub fn default_of(id: i64, account_id: i64, channel: Channel) -> Self {
        let name = match channel {
            Channel::Email => "default".into(),
            phone => format!("default-{}", phone.as_str()),
        };
        Self {
            id,
            account_id,
            name,
            channel,
            transport: "default".into(),
            timezone: "UTC".into(),
            is_default: true,
            ..Self::default()
        }
    }
}

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

/// Inserts a profile with its gate; its name taken is [`crate::Error::Duplicate`].
pub async fn insert(tx: &mut Tx, new: &NewProfile, now: Millis) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO sending_profiles (id, account_id, name, transport, url_sealed, from_email, from_name, reply_to,
                per_second, per_minute, per_day, timezone, on_uncertain, is_default, created_at, updated_at,
                reply_domain, dkim_domain, dkim_selector, dkim_sealed, imap_sealed, track_opens, track_clicks,
                channel, from_phone, messaging_service_sid, twilio_account_sid, twilio_sealed, allowed_countries)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15, $16, $17, $18, $19, $20, $21,
                $22, $23, $24, $25, $26, $27, $28)",
        new.id,
        new.account_id,
        &new.name,
        &new.transport,
        &new.url_sealed,
        &new.from_email,
        &new.from_name,
        &new.reply_to,
        new.per_second,
        new.per_minute,
        new.per_day,
        &new.timezone,
        &new.on_uncertain,
        new.is_default,
        now,
        &new.reply_domain,
        &new.dkim_domain,
        &new.dkim_selector,
        &new.dkim_sealed,
        &new.imap_sealed,
        new.track_opens,
        new.track_clicks,
        new.channel.as_str(),
        &new.from_phone,
        &new.messaging_service_sid,
        &new.twilio_account_sid,
        &new.twilio_sealed,
        &new.allowed_countries
    )?;
    let gate = "INSERT INTO gates (owner, owner_id, account_id) VALUES ('profile', $1, $2)";
    execute!(tx, gate, new.id, new.account_id)?;
    Ok(())
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

/// The profile's sealed secrets.
#[derive(Debug, Clone, Default, sqlx::FromRow)]
pub struct Sealed {
    /// Its server's URL.
    pub url_sealed: Option<String>,
    /// Its key.
    pub dkim_sealed: Option<String>,
    /// Its mailbox's URL.
    pub imap_sealed: Option<String>,
    /// The token of its own Twilio account.
    pub twilio_sealed: Option<String>,
}

/// Reads a profile's sealed secrets, for whoever opens them.
pub async fn sealed(tx: &mut Tx, id: i64) -> Result<Sealed> {
    let sql =
        "SELECT url_sealed, dkim_sealed, imap_sealed, twilio_sealed FROM sending_profiles WHERE id = $1";
    Ok(row!(tx, Sealed, sql, id)?.unwrap_or_default())
}

/// Writes a profile anew as `new` has it, but for its name, its account and whether it is the default.
/// `state`: by a person's hand, which clears what was wrong.
pub async fn change(tx: &mut Tx, new: &NewProfile, state: Option<&str>, now: Millis) -> Result<()> {
    execute!(
        tx,
        "UPDATE sending_profiles SET transport = $2, url_sealed = $3, from_email = $4, from_name = $5, reply_to = $6,
                per_second = $7, per_minute = $8, per_day = $9, timezone = $10, on_uncertain = $11,
                reply_domain = $12, dkim_domain = $13, dkim_selector = $14, dkim_sealed = $15, imap_sealed = $16,
                track_opens = $17, track_clicks = $18, updated_at = $19, state = COALESCE($20, state),
                from_phone = $21, messaging_service_sid = $22, twilio_account_sid = $23, twilio_sealed = $24,
                allowed_countries = $25,
                paused_until = CASE WHEN CAST($20 AS TEXT) IS NULL THEN paused_until END,
                why = CASE WHEN CAST($20 AS TEXT) IS NULL THEN why END
         WHERE id = $1",
        new.id,
        &new.transport,
        &new.url_sealed,
        &new.from_email,
        &new.from_name,
        &new.reply_to,
        new.per_second,
        new.per_minute,
        new.per_day,
        &new.timezone,
        &new.on_uncertain,
        &new.reply_domain,
        &new.dkim_domain,
        &new.dkim_selector,
        &new.dkim_sealed,
        &new.imap_sealed,
        new.track_opens,
        new.track_clicks,
        now,
        state,
        &new.from_phone,
        &new.messaging_service_sid,
        &new.twilio_account_sid,
        &new.twilio_sealed,
        &new.allowed_countries
    )?;
    Ok(())
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

/// Whether the account has a profile of this name.
pub async fn is_named(tx: &mut Tx, account: i64, name: &str) -> Result<bool> {
    let sql = "SELECT id FROM sending_profiles WHERE account_id = $1 AND name = $2";
    Ok(row!(tx, (i64,), sql, account, name)?.is_some())
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

/// The same; an account that has none for this channel gets one, in row `spare`.
pub async fn default_or_new(
    tx: &mut Tx,
    account: i64,
    channel: Channel,
    spare: i64,
    now: Millis,
) -> Result<i64> {
    if let Some(found) = default_of(tx, account, channel).await? {
        return Ok(found.id);
    }
    if tx.is_postgres() {
        // Of two that find none the second waits here, and finds the first one's.
        row!(&mut *tx, (i64,), "SELECT id FROM accounts WHERE id = $1 FOR NO KEY UPDATE", account)?;
        if let Some(found) = default_of(tx, account, channel).await? {
            return Ok(found.id);
        }
    }
    let mut new = NewProfile::default_of(spare, account, channel);
    if is_named(tx, account, &new.name).await? {
        new.name = format!("{}-{spare}", new.name);
    }
    insert(tx, &new, now).await?;
    Ok(spare)
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

/// A profile's sealed URL, for whoever connects: `None` where it follows the process's transport.
pub async fn sealed_url(tx: &mut Tx, id: i64) -> Result<Option<String>> {
    let sql = "SELECT url_sealed FROM sending_profiles WHERE id = $1";
    Ok(row!(tx, (Option<String>,), sql, id)?.and_then(|r| r.0))
}

/// What text messages leave by and answers come back to.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns of sending_profiles by their own names")]
pub struct Line {
    pub id: i64,
    pub account_id: i64,
    pub from_phone: Option<String>,
    pub messaging_service_sid: Option<String>,
    /// Its own token, sealed for this row under [`TWILIO`].
    pub twilio_sealed: Option<String>,
}

/// The profiles, of every account, that have this Twilio account of their own.
pub async fn of_twilio(tx: &mut Tx, account_sid: &str) -> Result<Vec<Line>> {
    rows!(
        tx,
        Line,
        "SELECT p.id, p.account_id, p.from_phone, p.messaging_service_sid, p.twilio_sealed
         FROM sending_profiles p JOIN accounts a ON a.id = p.account_id
         WHERE p.twilio_account_sid = $1 AND a.mode = 'live' ORDER BY p.id",
        account_sid
    )
}

/// The profiles, of every account but test twins, that send text messages as this process is set up.
pub async fn followers(tx: &mut Tx) -> Result<Vec<Line>> {
    rows!(
        tx,
        Line,
        "SELECT p.id, p.account_id, p.from_phone, p.messaging_service_sid, p.twilio_sealed
         FROM sending_profiles p JOIN accounts a ON a.id = p.account_id
         WHERE p.transport = 'default' AND p.channel IN ('sms', 'whatsapp') AND a.mode = 'live' ORDER BY p.id"
    )
}

/// Whether any profile has a Twilio account of its own.
pub async fn any_twilio(tx: &mut Tx) -> Result<bool> {
    let sql = "SELECT id FROM sending_profiles WHERE twilio_account_sid IS NOT NULL LIMIT 1";
    Ok(row!(tx, (i64,), sql)?.is_some())
}
