//! Messages whose text is to be written, and the texts.

use crate::claims::with_reasons;
use crate::db::{Tx, execute, rows};
use crate::drafts;
use crate::error::Result;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::reason::Reason;

/// A message that waits for its text.
#[derive(Debug, Clone, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns of messages by their own names")]
pub struct Unwritten {
    pub id: i64,
    pub account_id: i64,
    pub campaign_id: i64,
    pub kind: String,
    pub enrolment_id: i64,
    pub contact_id: i64,
    pub profile_id: i64,
    pub step_id: i64,
    pub step_number: i64,
    pub version: i64,
    pub fence: i64,
    pub planned_at: i64,
    pub reasons: String,
}

/// Accounts with texts to write by `until`, or asked for by a run.
pub async fn accounts_with_unwritten(tx: &mut Tx, until: Millis, now: Millis) -> Result<Vec<i64>> {
    let found = rows!(
        tx,
        (i64,),
        "SELECT a.id FROM accounts a WHERE EXISTS (
             SELECT 1 FROM messages m WHERE m.account_id = a.id AND m.waits = 'scheduled' AND m.planned_at <= $1)
            OR EXISTS (SELECT 1 FROM messages m WHERE m.account_id = a.id AND m.waits = 'scheduled'
                AND m.write_at IS NOT NULL AND m.write_at <= $2)
         ORDER BY a.id",
        until,
        now
    )?;
    Ok(found.into_iter().map(|r| r.0).collect())
}

macro_rules! columns {
    () => {
        "m.id, m.account_id, m.campaign_id, m.kind, m.enrolment_id, m.contact_id, m.profile_id, m.step_id,
         m.step_number, m.version, m.fence, m.planned_at, m.reasons"
    };
}

/// Claims up to `most` texts of an account to write, the earliest first. Messages of a campaign that neither
/// runs nor is about to, or that was edited since, are left alone: nothing is spent on them.
pub async fn claim(
    tx: &mut Tx,
    account: i64,
    worker: i64,
    until: Millis,
    most: i64,
    now: Millis,
) -> Result<Vec<Unwritten>> {
    macro_rules! sql {
        ($lock:literal) => {
            concat!(
                "WITH due AS MATERIALIZED (
                    SELECT m.id FROM messages m LEFT JOIN campaigns c ON c.id = m.campaign_id
                    WHERE m.account_id = $1 AND m.waits = 'scheduled' AND m.planned_at <= $3
                      AND (m.kind = 'test' OR (m.kind = 'step' AND c.state IN ('running', 'scheduled') AND c.version = m.version))
                    ORDER BY m.planned_at, m.id LIMIT $4",
                $lock,
                ") UPDATE messages AS m SET state = 'writing', worker_id = $2, fence = fence + 1, updated_at = $5
                 FROM due WHERE m.id = due.id RETURNING ",
                columns!()
            )
        };
    }
    match tx.is_postgres() {
        true => rows!(tx, Unwritten, sql!(" FOR UPDATE OF m SKIP LOCKED"), account, worker, until, most, now),
        // SQLite names the row in RETURNING by the table's own name only.
        false => {
            const SQL: &str = "UPDATE messages SET state = 'writing', worker_id = $2, fence = fence + 1,
                    updated_at = $5
                 WHERE id IN (
                    SELECT m.id FROM messages m LEFT JOIN campaigns c ON c.id = m.campaign_id
                    WHERE m.account_id = $1 AND m.waits = 'scheduled' AND m.planned_at <= $3
                      AND (m.kind = 'test' OR (m.kind = 'step' AND c.state IN ('running', 'scheduled') AND c.version = m.version))
                    ORDER BY m.planned_at, m.id LIMIT $4)
                 RETURNING id, account_id, campaign_id, kind, enrolment_id, contact_id, profile_id, step_id,
                    step_number, version, fence, planned_at, reasons";
            rows!(tx, Unwritten, SQL, account, worker, until, most, now)
        }
    }
}

/// Claims up to `most` texts of an account that a run asked for, however far ahead their instants lie; of
/// campaigns that have not begun, or rest, as well: nothing of those is sent.
pub async fn claim_early(
    tx: &mut Tx,
    account: i64,
    worker: i64,
    most: i64,
    now: Millis,
) -> Result<Vec<Unwritten>> {
    macro_rules! sql {
        ($lock:literal) => {
            concat!(
                "SELECT m.id FROM messages m JOIN campaigns c ON c.id = m.campaign_id
                 WHERE m.account_id = $1 AND m.waits = 'scheduled' AND m.write_at IS NOT NULL AND m.write_at <= $2
                   AND m.kind = 'step' AND c.state IN ('draft', 'scheduled', 'running', 'paused')
                   AND c.version = m.version
                 ORDER BY m.write_at, m.id LIMIT $3",
                $lock
            )
        };
    }
    let due = match tx.is_postgres() {
        true => rows!(&mut *tx, (i64,), sql!(" FOR UPDATE OF m SKIP LOCKED"), account, now, most)?,
        false => rows!(&mut *tx, (i64,), sql!(""), account, now, most)?,
    };
    if due.is_empty() {
        return Ok(Vec::new());
    }
    rows!(
        tx,
        Unwritten,
        "UPDATE messages SET state = 'writing', worker_id = $2, fence = fence + 1, updated_at = $3
         WHERE state = 'scheduled' AND id IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM json_each($1) AS e)
         RETURNING id, account_id, campaign_id, kind, enrolment_id, contact_id, profile_id, step_id,
            step_number, version, fence, planned_at, reasons",
        serde_json::json!(due.iter().map(|r| [r.0]).collect::<Vec<_>>()).to_string(),
        worker,
        now
    )
}

/// A text as written.
#[derive(Debug, Clone)]
pub struct Written {
    /// The subject.
    pub subject: String,
    /// The body, without any footer.
    pub body: String,
    /// `template`, `model`, `offline` or `hand`.
    pub writer: &'static str,
    /// Model, prompt hash, tokens, attempts: a JSON object.
    pub writing: String,
    /// What goes with a text message, a JSON object; a person's hand changes nothing of it.
    pub enclosed: Option<String>,
}

/// Stores a text, once: the message becomes `drafted`, or `held` for approval. `false`: the claim was lost and
/// nothing is stored.
pub async fn save(
    tx: &mut Tx,
    message: &Unwritten,
    text: &Written,
    hold: Option<Reason>,
    now: Millis,
) -> Result<bool> {
    let state = if hold.is_some() { "held" } else { "drafted" };
    if !finish(tx, message, state, None, hold.into_iter().collect(), now).await? {
        return Ok(false);
    }
    drafts::write(tx, (message.id, message.account_id), text, now).await?;
    Ok(true)
}

/// Ends the writing without a text: the message is held for a person.
pub async fn hold(tx: &mut Tx, message: &Unwritten, why: Reason, now: Millis) -> Result<bool> {
    finish(tx, message, "held", None, vec![why], now).await
}

/// Ends the writing for now: it is tried again at `at`, and nothing is sent before `planned`.
pub async fn put_off(
    tx: &mut Tx,
    message: &Unwritten,
    (at, planned): (Millis, Millis),
    why: Reason,
    now: Millis,
) -> Result<bool> {
    finish(tx, message, "scheduled", Some((at, planned)), vec![why], now).await
}

/// The planned instant only ever moves later here: a start may have planned the message meanwhile.
async fn finish(
    tx: &mut Tx,
    message: &Unwritten,
    state: &str,
    again: Option<(Millis, Millis)>,
    why: Vec<Reason>,
    now: Millis,
) -> Result<bool> {
    let done = execute!(
        tx,
        "UPDATE messages SET state = $3, reasons = $4, worker_id = NULL, updated_at = $5,
             planned_at = CASE WHEN planned_at < $6 THEN $6 ELSE planned_at END,
             write_at = CASE WHEN write_at IS NULL THEN NULL ELSE CAST($7 AS BIGINT) END
         WHERE id = $1 AND fence = $2 AND state = 'writing'",
        message.id,
        message.fence,
        state,
        with_reasons(&message.reasons, why),
        now,
        again.map_or(0, |(_, planned)| planned),
        again.map(|(at, _)| at)
    )?;
    Ok(done == 1)
}

/// An accepted message of an enrolment, for quoting and threading.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Earlier {
    /// The enrolment.
    pub enrolment_id: i64,
    /// The message, which its Message-ID carries.
    pub message_id: i64,
    /// Its subject.
    pub subject: String,
    /// Its body.
    pub body: String,
    /// When the provider took it.
    pub accepted_at: Millis,
}

/// The accepted messages of enrolments, oldest first.
pub async fn earlier(tx: &mut Tx, enrolments: &[i64]) -> Result<Vec<Earlier>> {
    let ids = serde_json::json!(enrolments.iter().map(|id| [id]).collect::<Vec<_>>()).to_string();
    rows!(
        tx,
        Earlier,
        "SELECT m.enrolment_id, m.id AS message_id, d.subject, d.body, COALESCE(m.accepted_at, 0) AS accepted_at
         FROM json_each($1) AS e
         JOIN messages m ON m.enrolment_id = CAST(e.value ->> 0 AS BIGINT)
         JOIN drafts d ON d.message_id = m.id
         WHERE m.state IN ('accepted', 'delivered')
         ORDER BY m.enrolment_id, m.step_number",
        ids
    )
}
