//! What came back, by mail or by text: kept as it came, claimed by a worker, and what was made of it.

use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use crate::page::Page;
use sendwright_workflows::clock::{MINUTE, Millis};
use std::collections::HashMap;

/// A message is looked at so often; what is never understood is left as `failed`.
pub const MOST_TRIES: i64 = 5;

/// A message to be kept.
#[derive(Debug, Clone)]
pub struct NewInbound {
    /// Its row.
    pub id: i64,
    /// Whose it is.
    pub account_id: i64,
    /// SHA-256 of `raw`, hex.
    pub hash: String,
    /// `api` or `imap`.
    pub source: &'static str,
    /// The polled profile.
    pub profile_id: Option<i64>,
    /// The whole message.
    pub raw: Vec<u8>,
    /// When it came.
    pub received_at: Millis,
}

/// A message that a worker has taken to understand it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Waiting {
    /// Its row.
    pub id: i64,
    /// Whose it is.
    pub account_id: i64,
    /// The whole message.
    pub raw: Vec<u8>,
    /// When it came.
    pub received_at: Millis,
    /// `email`, `sms` or `whatsapp`.
    pub channel: String,
    /// Of a text: the sender that it was addressed to, who wrote it, and what it says.
    pub profile_id: Option<i64>,
    /// See `profile_id`.
    pub sender: Option<String>,
    /// See `profile_id`.
    pub body: Option<String>,
}

/// What was made of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "columns of inbound by their own names")]
pub struct Understood {
    pub kind: &'static str,
    pub message_id: Option<i64>,
    pub campaign_id: Option<i64>,
    pub enrolment_id: Option<i64>,
    pub contact_id: Option<i64>,
    pub matched_by: Option<&'static str>,
    pub sender: Option<String>,
    pub subject: Option<String>,
    pub classification: Option<&'static str>,
    pub sentiment: Option<&'static str>,
    pub snippet: Option<String>,
    pub detail: Option<String>,
}

/// A kept message, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns of inbound by their own names")]
pub struct Inbound {
    pub id: i64,
    pub channel: String,
    pub source: String,
    pub profile_id: Option<i64>,
    pub state: String,
    pub kind: Option<String>,
    pub message_id: Option<i64>,
    pub campaign_id: Option<i64>,
    pub contact_id: Option<i64>,
    pub matched_by: Option<String>,
    pub sender: Option<String>,
    pub recipient: Option<String>,
    pub body: Option<String>,
    pub provider_id: Option<String>,
    pub subject: Option<String>,
    pub classification: Option<String>,
    pub sentiment: Option<String>,
    pub snippet: Option<String>,
    pub detail: Option<String>,
    pub received_at: Millis,
    pub understood_at: Option<Millis>,
}

macro_rules! columns {
    () => {
        "id, channel, source, profile_id, state, kind, message_id, campaign_id, contact_id, matched_by, sender,
         recipient, body, provider_id, subject, classification, sentiment, snippet, detail, received_at, understood_at"
    };
}

/// Keeps a message. Answers the row it is kept in and whether that is new: the same bytes twice are one row.
pub async fn keep(tx: &mut Tx, new: &NewInbound) -> Result<(i64, bool)> {
    let kept = execute!(
        &mut *tx,
        "INSERT INTO inbound (id, account_id, hash, source, profile_id, raw, look_at, received_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (account_id, hash) DO NOTHING",
        new.id,
        new.account_id,
        &new.hash,
        new.source,
        new.profile_id,
        &new.raw,
        new.received_at
    )?;
    if kept == 1 {
        return Ok((new.id, true));
    }
    let sql = "SELECT id FROM inbound WHERE account_id = $1 AND hash = $2";
    let found = row!(tx, (i64,), sql, new.account_id, &new.hash)?;
    Ok((found.map_or(new.id, |r| r.0), false))
}

/// Takes up to `most` messages that wait. Each is looked at again later unless it is understood by then, so that a
/// worker's death loses none; one that was tried [`MOST_TRIES`] times is `failed`.
pub async fn take(tx: &mut Tx, most: i64, now: Millis) -> Result<Vec<Waiting>> {
    execute!(
        &mut *tx,
        "UPDATE inbound SET state = 'failed', detail = 'it could not be understood' 
         WHERE state = 'stored' AND look_at <= $1 AND tries >= $2",
        now,
        MOST_TRIES
    )?;
    macro_rules! sql {
        ($skip:literal) => {
            concat!(
                "WITH due AS MATERIALIZED (
                     SELECT id FROM inbound WHERE state = 'stored' AND look_at <= $1 ORDER BY look_at, id LIMIT $2",
                $skip,
                ") UPDATE inbound SET tries = tries + 1, look_at = $1 + $3 * (tries + 1)
                   FROM due WHERE inbound.id = due.id
                   RETURNING inbound.id, inbound.account_id, inbound.raw, inbound.received_at,
                       inbound.channel, inbound.profile_id, inbound.sender, inbound.body"
            )
        };
    }
    match tx.is_postgres() {
        true => rows!(tx, Waiting, sql!(" FOR UPDATE SKIP LOCKED"), now, most, 2 * MINUTE),
        false => rows!(tx, Waiting, sql!(""), now, most, 2 * MINUTE),
    }
}

/// Writes down what was made of a message. `false`: another worker was first, and nothing else may be done.
pub async fn understand(tx: &mut Tx, id: i64, what: &Understood, now: Millis) -> Result<bool> {
    let done = execute!(
        tx,
        "UPDATE inbound SET state = 'understood', kind = $2, message_id = $3, campaign_id = $4, enrolment_id = $5,
             contact_id = COALESCE($6, contact_id), matched_by = $7, sender = $8, subject = $9, classification = $10,
             sentiment = $11, snippet = $12, detail = $13, understood_at = $14
         WHERE id = $1 AND state = 'stored'",
        id,
        what.kind,
        what.message_id,
        what.campaign_id,
        what.enrolment_id,
        what.contact_id,
        what.matched_by,
        &what.sender,
        &what.subject,
        what.classification,
        what.sentiment,
        &what.snippet,
        &what.detail,
        now
    )?;
    Ok(done == 1)
}

/// The account's inbound message with this number.
pub async fn get(tx: &mut Tx, account: i64, id: i64) -> Result<Option<Inbound>> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM inbound WHERE account_id = $1 AND id = $2");
    row!(tx, Inbound, SQL, account, id)
}

/// The account's inbound messages.
pub async fn list(tx: &mut Tx, account: i64, page: Page) -> Result<Vec<Inbound>> {
    let sql = match page.descending {
        false => concat!(
            "SELECT ",
            columns!(),
            " FROM inbound WHERE account_id = $1 AND (received_at, id) > ($2, $3)
              ORDER BY received_at, id LIMIT $4 OFFSET $5"
        ),
        true => concat!(
            "SELECT ",
            columns!(),
            " FROM inbound WHERE account_id = $1 AND (received_at, id) < ($2, $3)
              ORDER BY received_at DESC, id DESC LIMIT $4 OFFSET $5"
        ),
    };
    rows!(tx, Inbound, sql, account, page.after.0, page.after.1, page.limit, page.skip)
}

/// How many inbound messages the account has.
pub async fn count(tx: &mut Tx, account: i64) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM inbound WHERE account_id = $1";
    Ok(row!(tx, (i64,), sql, account)?.map_or(0, |r| r.0))
}

/// When the last message of contacts came; who wrote nothing is not there.
pub async fn last_of(tx: &mut Tx, account: i64, contacts: &[i64]) -> Result<HashMap<i64, Millis>> {
    let contacts: Vec<[i64; 1]> = contacts.iter().map(|id| [*id]).collect();
    let found = rows!(
        tx,
        (i64, i64),
        "SELECT contact_id, MAX(received_at) FROM inbound
          WHERE account_id = $1 AND contact_id IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM json_each($2) AS e)
          GROUP BY contact_id",
        account,
        serde_json::json!(contacts).to_string()
    )?;
    Ok(found.into_iter().collect())
}
