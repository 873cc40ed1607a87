//! Sending profiles as they are written.

use super::default_of;
use crate::db::{Tx, execute, row};
use crate::error::Result;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::sequence::Channel;

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
    /// The key, sealed for this row under [`DKIM`](super::DKIM).
    pub dkim_sealed: Option<String>,
    /// The mailbox's URL, sealed for this row under [`IMAP`](super::IMAP).
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
    /// That account's token, sealed for this row under [`TWILIO`](super::TWILIO).
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

/// Whether the account has a profile of this name.
pub async fn is_named(tx: &mut Tx, account: i64, name: &str) -> Result<bool> {
    let sql = "SELECT id FROM sending_profiles WHERE account_id = $1 AND name = $2";
    Ok(row!(tx, (i64,), sql, account, name)?.is_some())
}

/// The profile of a channel that campaigns without one use; an account that has none gets one, in row `spare`.
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
