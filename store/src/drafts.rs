//! Texts before they go: listed, edited, approved, written again.

use crate::db::{Tx, execute, rows};
use crate::error::Result;
use crate::messages::{Message, columns};
use crate::page::Page;
use crate::writing::Written;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::message::State;
use serde_json::json;

/// States of a message that nobody has begun to hand over.
pub const UNSENT: [State; 4] = [State::Scheduled, State::Writing, State::Drafted, State::Held];

/// How the reasons of a message end that waits for approval.
const FOR_APPROVAL: &str = "%{\"code\":\"approval\"}]";

macro_rules! listed {
    ($head:expr, $tail:literal) => {
        concat!(
            "SELECT ",
            $head,
            " FROM messages WHERE account_id = $1 AND campaign_id = $2 AND kind = 'step' AND attempts = 0
                AND state IN (SELECT e.value ->> 0 FROM json_each($3) AS e)
                AND (CAST($4 AS TEXT) IS NULL OR reasons LIKE $4)",
            $tail
        )
    };
}

fn words(states: &[State]) -> String {
    json!(states.iter().map(|s| [s.as_str()]).collect::<Vec<_>>()).to_string()
}

/// A campaign's messages that were never tried, in these states, by number; those alone that wait for approval
/// where `for_approval` says so.
pub async fn list(
    tx: &mut Tx,
    account: i64,
    campaign: i64,
    (states, for_approval): (&[State], bool),
    page: Page,
) -> Result<Vec<Message>> {
    let sql = match page.descending {
        false => listed!(columns!(), " AND id > $5 ORDER BY id LIMIT $6 OFFSET $7"),
        true => listed!(columns!(), " AND id < $5 ORDER BY id DESC LIMIT $6 OFFSET $7"),
    };
    let like = for_approval.then_some(FOR_APPROVAL);
    rows!(tx, Message, sql, account, campaign, words(states), like, page.after.1, page.limit, page.skip)
}

/// How many there are.
pub async fn count(
    tx: &mut Tx,
    account: i64,
    campaign: i64,
    (states, for_approval): (&[State], bool),
) -> Result<i64> {
    const SQL: &str = listed!("COUNT(*)", "");
    let like = for_approval.then_some(FOR_APPROVAL);
    let found = rows!(tx, (i64,), SQL, account, campaign, words(states), like)?;
    Ok(found.first().map_or(0, |r| r.0))
}

/// The texts of these messages, as (message, subject, body, writer).
pub async fn texts(tx: &mut Tx, messages: &[i64]) -> Result<Vec<(i64, String, String, String)>> {
    rows!(
        tx,
        (i64, String, String, String),
        "SELECT d.message_id, d.subject, d.body, d.writer FROM json_each($1) AS e
         JOIN drafts d ON d.message_id = CAST(e.value ->> 0 AS BIGINT)",
        json!(messages.iter().map(|id| [id]).collect::<Vec<_>>()).to_string()
    )
}

/// Approves texts that wait for it: all of the campaign's, or those of a list. They are sent at their instants.
/// Which they were.
pub async fn approve(
    tx: &mut Tx,
    account: i64,
    campaign: i64,
    only: Option<&[i64]>,
    now: Millis,
) -> Result<Vec<i64>> {
    let list = only.map(|ids| json!(ids.iter().map(|id| [id]).collect::<Vec<_>>()).to_string());
    let approved = rows!(
        tx,
        (i64,),
        "UPDATE messages SET state = 'drafted', approved = TRUE, fence = fence + 1, updated_at = $5
         WHERE account_id = $1 AND campaign_id = $2 AND kind = 'step' AND state = 'held' AND attempts = 0
           AND reasons LIKE $3 AND EXISTS (SELECT 1 FROM drafts d WHERE d.message_id = messages.id)
           AND ($6 OR id IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM json_each($4) AS e))
         RETURNING id",
        account,
        campaign,
        FOR_APPROVAL,
        list.unwrap_or_else(|| "[]".into()),
        now,
        only.is_none()
    )?;
    Ok(approved.into_iter().map(|r| r.0).collect())
}

/// Where a message goes when a person has seen to its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The next state.
    pub to: State,
    /// Every reason from now on, JSON.
    pub reasons: String,
    /// A person has approved the text as it is now.
    pub approved: bool,
    /// The text is to be written at once, however far its instant.
    pub write: bool,
}

/// Turns a message that was never tried and is in nobody's hands but a writer's, who loses it. `false`: it moved since
/// it was read.
pub async fn turn(tx: &mut Tx, message: &Message, turn: &Turn, now: Millis) -> Result<bool> {
    let done = execute!(
        tx,
        "UPDATE messages SET state = $4, reasons = $5, approved = $6, fence = fence + 1, worker_id = NULL,
             write_at = CASE WHEN $7 THEN $8 ELSE NULL END, updated_at = $8
         WHERE id = $1 AND fence = $2 AND state = $3 AND attempts = 0",
        message.id,
        message.fence,
        &message.state,
        turn.to.as_str(),
        &turn.reasons,
        turn.approved,
        turn.write,
        now
    )?;
    Ok(done == 1)
}

/// Stores a message's text, in place of the one it had.
pub async fn write(tx: &mut Tx, (message, account): (i64, i64), text: &Written, now: Millis) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO drafts (message_id, account_id, subject, body, writer, writing, created_at, enclosed)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (message_id) DO UPDATE SET subject = excluded.subject, body = excluded.body,
             writer = excluded.writer, writing = excluded.writing, created_at = excluded.created_at,
             enclosed = CASE WHEN excluded.writer = 'hand' THEN drafts.enclosed ELSE excluded.enclosed END",
        message,
        account,
        &text.subject,
        &text.body,
        text.writer,
        &text.writing,
        now,
        &text.enclosed
    )?;
    Ok(())
}
