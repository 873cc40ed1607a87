//! What may not be sent to. A suppression knows a hash and a hint, so that it outlives the contact.

use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use crate::page::{Page, in_order};
use sendwright_workflows::clock::Millis;
use serde_json::json;
use std::collections::HashSet;

/// An address that nothing is sent to.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Suppression {
    /// Its row.
    pub id: i64,
    /// Whose it is.
    pub account_id: i64,
    /// `email`, `sms` or `whatsapp`.
    pub channel: String,
    /// The salted hash of the address.
    pub address_hash: String,
    /// The masked address, for people.
    pub hint: String,
    /// `opt_out`, `bounced`, `complained` or `manual`.
    pub why: String,
    /// Where it came from: `unsubscribe_link`, `api`, `command`, `import`.
    pub source: String,
    /// When.
    pub created_at: Millis,
}

macro_rules! columns {
    () => {
        "id, account_id, channel, address_hash, hint, why, source, created_at"
    };
}

/// Suppresses an address; whether it was not suppressed before. The caller holds the account's barrier
/// exclusively where a promise rests on it (SEND_PROTOCOL 4).
pub async fn add(tx: &mut Tx, new: &Suppression) -> Result<bool> {
    let added = execute!(
        tx,
        concat!(
            "INSERT INTO suppressions (",
            columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (account_id, channel, address_hash) DO NOTHING"
        ),
        new.id,
        new.account_id,
        &new.channel,
        &new.address_hash,
        &new.hint,
        &new.why,
        &new.source,
        new.created_at
    )?;
    Ok(added == 1)
}

/// The suppression of an address, if there is one.
pub async fn find(
    tx: &mut Tx,
    account: i64,
    channel: &str,
    address_hash: &str,
) -> Result<Option<Suppression>> {
    row!(
        tx,
        Suppression,
        concat!(
            "SELECT ",
            columns!(),
            " FROM suppressions WHERE account_id = $1 AND channel = $2 AND address_hash = $3"
        ),
        account,
        channel,
        address_hash
    )
}

/// Which of these address hashes are suppressed on a channel.
pub async fn among(tx: &mut Tx, account: i64, channel: &str, hashes: &[&str]) -> Result<HashSet<String>> {
    let hashes: Vec<[&str; 1]> = hashes.iter().map(|h| [*h]).collect();
    let found = rows!(
        tx,
        (String,),
        "SELECT address_hash FROM suppressions WHERE account_id = $1 AND channel = $2
            AND address_hash IN (SELECT e.value ->> 0 FROM json_each($3) AS e)",
        account,
        channel,
        json!(hashes).to_string()
    )?;
    Ok(found.into_iter().map(|r| r.0).collect())
}

/// The account's suppressions.
pub async fn list(tx: &mut Tx, account: i64, page: Page) -> Result<Vec<Suppression>> {
    rows!(
        tx,
        Suppression,
        in_order!(page, "", "SELECT ", columns!(), " FROM suppressions WHERE account_id = $1"),
        account,
        page.after.0,
        page.after.1,
        page.limit,
        page.skip
    )
}

/// How many addresses the account has suppressed.
pub async fn count(tx: &mut Tx, account: i64) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM suppressions WHERE account_id = $1";
    Ok(row!(tx, (i64,), sql, account)?.map_or(0, |r| r.0))
}

/// Whom a message goes or went to.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Recipient {
    /// The address.
    pub address: String,
    /// Its hash.
    pub address_hash: String,
    /// The campaign and the enrolment it is in, 0 for a test.
    pub campaign_id: i64,
    /// See `campaign_id`.
    pub enrolment_id: i64,
    /// `step` or `test`; a test goes to somebody else than the contact whose text it is.
    pub kind: String,
}

/// Reads whom a message goes or went to.
pub async fn recipient(tx: &mut Tx, account: i64, message: i64) -> Result<Option<Recipient>> {
    let sql = "SELECT address, address_hash, campaign_id, enrolment_id, kind FROM messages WHERE account_id = $1 AND id = $2";
    row!(tx, Recipient, sql, account, message)
}

/// How many hand-overs to addresses are open whose intent is not older than `since` (SEND_PROTOCOL 4).
pub async fn open_hand_overs(tx: &mut Tx, account: i64, hashes: &[String], since: Millis) -> Result<i64> {
    let hashes: Vec<[&String; 1]> = hashes.iter().map(|hash| [hash]).collect();
    let sql = "SELECT COUNT(*) FROM attempts a JOIN messages m ON m.id = a.message_id
                WHERE a.state = 'sending' AND a.account_id = $1 AND a.intent_at >= $3
                  AND m.address_hash IN (SELECT e.value ->> 0 FROM json_each($2) AS e)";
    Ok(row!(tx, (i64,), sql, account, json!(hashes).to_string(), since)?.map_or(0, |r| r.0))
}
