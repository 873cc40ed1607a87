//! What an answer of the recipient, or of a server on the way, does to a message and its enrolment.

use crate::claims::with_reasons;
use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::reason::Reason;
use serde_json::{Value, json};

/// A message that something came back for.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns of messages, drafts and contacts by their own names")]
pub struct Answered {
    pub id: i64,
    pub account_id: i64,
    pub kind: String,
    pub channel: String,
    pub campaign_id: i64,
    pub enrolment_id: i64,
    pub contact_id: i64,
    pub step_number: i64,
    pub address: String,
    pub address_hash: String,
    pub state: String,
    pub accepted_at: Option<Millis>,
    pub opened_at: Option<Millis>,
    pub clicked_at: Option<Millis>,
    pub subject: Option<String>,
    pub company: Option<String>,
}

macro_rules! sql {
    () => {
        "SELECT m.id, m.account_id, m.kind, m.channel, m.campaign_id, m.enrolment_id, m.contact_id, m.step_number, m.address,
                m.address_hash, m.state, m.accepted_at, m.opened_at, m.clicked_at, d.subject, c.company
         FROM messages m LEFT JOIN drafts d ON d.message_id = m.id LEFT JOIN contacts c ON c.id = m.contact_id
         WHERE m.account_id = $1 AND (m.attempts > 0 OR m.reasons LIKE '%\"code\":\"recovery\"%')"
    };
}

/// The account's message with this number, if it was ever handed over, or may have been before a backup was restored.
pub async fn message(tx: &mut Tx, account: i64, id: i64) -> Result<Option<Answered>> {
    row!(tx, Answered, concat!(sql!(), " AND m.id = $2"), account, id)
}

/// Ends an enrolment because its person has answered: nothing that waits of it goes out any more. The caller holds
/// the account's barrier exclusively (SEND_PROTOCOL 4). Answers whether it was still under way.
pub async fn stop_replied(tx: &mut Tx, enrolment: i64, now: Millis) -> Result<bool> {
    let reason = serde_json::to_string(&Reason::Replied).unwrap_or_default();
    execute!(
        &mut *tx,
        "UPDATE enrolments SET replied_at = COALESCE(replied_at, $2), updated_at = $2 WHERE id = $1",
        enrolment,
        now
    )?;
    let stopped = execute!(
        &mut *tx,
        "UPDATE enrolments SET state = 'stopped', reason = $2, next_run_at = NULL WHERE id = $1 AND state = 'active'",
        enrolment,
        reason
    )?;
    set_aside(tx, &[enrolment], "cancelled", &Reason::Replied, now).await?;
    Ok(stopped == 1)
}

/// Keeps whatever is still to be sent to a person for somebody to decide on: they asked in words of their own to be left
/// alone. The caller holds the account's barrier exclusively (SEND_PROTOCOL 4).
pub async fn hold_asked(tx: &mut Tx, account: i64, contact: i64, now: Millis) -> Result<()> {
    let asked = rows!(
        &mut *tx,
        (i64,),
        "UPDATE enrolments SET asked_at = COALESCE(asked_at, $3), updated_at = $3
         WHERE account_id = $1 AND contact_id = $2 AND state = 'active' RETURNING id",
        account,
        contact,
        now
    )?;
    let enrolments: Vec<i64> = asked.into_iter().map(|r| r.0).collect();
    set_aside(tx, &enrolments, "held", &Reason::AskedToStop, now).await
}

/// Moves what waits of enrolments out of the way; what is claimed is stopped by its intent.
async fn set_aside(
    tx: &mut Tx,
    enrolments: &[i64],
    state: &'static str,
    reason: &Reason,
    now: Millis,
) -> Result<()> {
    let enrolments: Vec<[i64; 1]> = enrolments.iter().map(|id| [*id]).collect();
    let waiting = rows!(
        &mut *tx,
        (i64, String),
        "SELECT id, reasons FROM messages
         WHERE enrolment_id IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM json_each($1) AS e)
           AND state IN ('scheduled', 'writing', 'drafted', 'held') ORDER BY id",
        json!(enrolments).to_string()
    )?;
    let rows: Vec<_> =
        waiting.iter().map(|(id, so_far)| json!([id, with_reasons(so_far, vec![reason.clone()])])).collect();
    execute!(
        tx,
        "UPDATE messages SET state = $3, approved = approved AND $3 <> 'held', reasons = e.value ->> 1, fence = fence + 1, worker_id = NULL,
             updated_at = $2
         FROM json_each($1) AS e
         WHERE messages.id = CAST(e.value ->> 0 AS BIGINT)
           AND messages.state IN ('scheduled', 'writing', 'drafted', 'held')",
        Value::from(rows).to_string(),
        now,
        state
    )?;
    Ok(())
}

/// Marks a message that was accepted and came back. `false`: it was so marked before, or never accepted.
pub async fn bounce(tx: &mut Tx, message: i64, reason: &Reason, now: Millis) -> Result<bool> {
    let sql = "SELECT reasons FROM messages WHERE id = $1";
    let Some((so_far,)) = row!(&mut *tx, (String,), sql, message)? else { return Ok(false) };
    let done = execute!(
        tx,
        "UPDATE messages SET state = 'bounced', reasons = $2, updated_at = $3
         WHERE id = $1 AND state IN ('accepted', 'delivered')",
        message,
        with_reasons(&so_far, vec![reason.clone()]),
        now
    )?;
    Ok(done == 1)
}

/// Marks a message whose recipient complained. `false`: it was so marked before, or never accepted.
pub async fn complain(tx: &mut Tx, message: i64, now: Millis) -> Result<bool> {
    let sql = "UPDATE messages SET state = 'complained', updated_at = $2
         WHERE id = $1 AND state IN ('accepted', 'delivered')";
    Ok(execute!(tx, sql, message, now)? == 1)
}

/// Ends an enrolment whose address is bad.
pub async fn stop_bounced(tx: &mut Tx, enrolment: i64, reason: &Reason, now: Millis) -> Result<()> {
    execute!(
        tx,
        "UPDATE enrolments SET state = 'stopped', reason = $2, next_run_at = NULL, updated_at = $3
         WHERE id = $1 AND state = 'active'",
        enrolment,
        serde_json::to_string(reason).unwrap_or_default(),
        now
    )?;
    Ok(())
}

/// The newest attempt of a message whose end is open or unknown: a later proof of acceptance is its own.
pub async fn unproven_attempt(tx: &mut Tx, message: i64) -> Result<Option<i64>> {
    let sql = "SELECT id FROM attempts WHERE message_id = $1 AND state IN ('sending', 'uncertain')
                ORDER BY id DESC LIMIT 1";
    Ok(row!(tx, (i64,), sql, message)?.map(|r| r.0))
}
