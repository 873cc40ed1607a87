//! Messages that were written before their campaign had a start: once it has one, they are planned anew.

use crate::db::{Tx, execute, rows};
use crate::error::Result;
use crate::heads::Head;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::message::UNPLANNED;
use serde_json::{Value, json};

/// A message without an instant.
#[derive(Debug, Clone, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns of messages by their own names")]
pub struct Unplanned {
    pub id: i64,
    pub enrolment_id: i64,
    pub reasons: String,
}

/// Has the planner look at everybody of a campaign whose message has no instant. The caller has locked it, and
/// starts it in this transaction.
pub async fn wake(tx: &mut Tx, campaign: i64, now: Millis) -> Result<u64> {
    execute!(
        tx,
        "UPDATE enrolments SET next_run_at = $2, updated_at = $2
         WHERE campaign_id = $1 AND state = 'active' AND next_run_at IS NULL AND EXISTS (
             SELECT 1 FROM messages m WHERE m.enrolment_id = enrolments.id AND m.planned_at = $3
               AND m.state IN ('scheduled', 'writing', 'drafted', 'held'))",
        campaign,
        now,
        UNPLANNED
    )
}

/// The messages of these enrolments that have no instant.
pub async fn unplanned(tx: &mut Tx, head: &Head, enrolments: &[i64]) -> Result<Vec<Unplanned>> {
    rows!(
        tx,
        Unplanned,
        "SELECT m.id, m.enrolment_id, m.reasons
         FROM json_each($1) AS e
         JOIN messages m ON m.enrolment_id = CAST(e.value ->> 0 AS BIGINT)
         WHERE m.campaign_id = $2 AND m.version = $3 AND m.planned_at = $4 AND m.attempts = 0
           AND m.state IN ('scheduled', 'writing', 'drafted', 'held')",
        Value::from(enrolments.iter().map(|id| json!([id])).collect::<Vec<_>>()).to_string(),
        head.id,
        head.version,
        UNPLANNED
    )
}

/// A message's instant as it was planned: (message, planned instant, decision, reasons).
pub type Planned<'a> = (i64, Millis, &'a str, String);

/// Gives messages their instants; their texts and states stay.
pub async fn save(tx: &mut Tx, planned: &[Planned<'_>], now: Millis) -> Result<()> {
    if planned.is_empty() {
        return Ok(());
    }
    execute!(
        tx,
        "UPDATE messages SET planned_at = CAST(e.value ->> 1 AS BIGINT), decision = e.value ->> 2,
             reasons = e.value ->> 3, updated_at = $2
         FROM json_each($1) AS e
         WHERE messages.id = CAST(e.value ->> 0 AS BIGINT)
           AND messages.state IN ('scheduled', 'writing', 'drafted', 'held')",
        json!(planned).to_string(),
        now
    )?;
    Ok(())
}

/// Cancels messages without an instant whose step the planner has passed over.
pub async fn drop_passed(tx: &mut Tx, enrolments: &[i64], now: Millis) -> Result<()> {
    execute!(
        tx,
        "UPDATE messages SET state = 'cancelled', fence = fence + 1, worker_id = NULL, updated_at = $2
         WHERE planned_at = $3 AND state IN ('scheduled', 'writing', 'drafted', 'held')
           AND enrolment_id IN (SELECT n.id FROM json_each($1) AS e
               JOIN enrolments n ON n.id = CAST(e.value ->> 0 AS BIGINT)
               WHERE n.settled >= messages.step_number OR n.state <> 'active')",
        Value::from(enrolments.iter().map(|id| json!([id])).collect::<Vec<_>>()).to_string(),
        now,
        UNPLANNED
    )?;
    Ok(())
}
