//! Rows that a dead worker had in hand, and attempts whose end a journal knows (SEND_PROTOCOL 9, 10, 15).

use crate::db::{Tx, execute, rows};
use crate::error::Result;
use crate::gates;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::rate_limit::{Rates, give_back};
use sendwright_workflows::reason::Owner;
use serde_json::{Value, json};

/// An attempt that is open, with what its outcome needs.
#[derive(Debug, Clone, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns of attempts and messages by their own names")]
pub struct OpenAttempt {
    pub attempt_id: i64,
    pub message_id: i64,
    pub account_id: i64,
    pub campaign_id: i64,
    pub kind: String,
    pub contact_id: i64,
    pub enrolment_id: i64,
    pub step_number: i64,
    pub version: i64,
    pub fence: i64,
    pub slot: i64,
    pub zone: String,
    pub address: String,
    pub address_hash: String,
    pub subject: Option<String>,
    pub planned_at: i64,
    pub attempts: i64,
    pub created_at: i64,
    pub attempt_state: String,
    pub worker_id: i64,
}

macro_rules! open_sql {
    () => {
        "SELECT a.id AS attempt_id, m.id AS message_id, m.account_id, m.campaign_id, m.kind, m.contact_id,
            m.enrolment_id, m.step_number, m.version, a.fence, a.slot, m.zone, m.address, m.address_hash,
            d.subject, m.planned_at, m.attempts, m.created_at, a.state AS attempt_state, a.worker_id
         FROM attempts a JOIN messages m ON m.id = a.message_id LEFT JOIN drafts d ON d.message_id = m.id"
    };
}

/// The open attempts of a worker.
pub async fn open_attempts(tx: &mut Tx, worker: i64) -> Result<Vec<OpenAttempt>> {
    const SQL: &str = concat!(open_sql!(), " WHERE a.worker_id = $1 AND a.state = 'sending' ORDER BY a.id");
    rows!(tx, OpenAttempt, SQL, worker)
}

/// Attempts by id, whatever their state.
pub async fn attempts(tx: &mut Tx, ids: &[i64]) -> Result<Vec<OpenAttempt>> {
    const SQL: &str = concat!(
        open_sql!(),
        " JOIN json_each($1) AS e ON a.id = CAST(e.value ->> 0 AS BIGINT) ORDER BY a.id"
    );
    let ids = Value::from(ids.iter().map(|id| json!([id])).collect::<Vec<_>>()).to_string();
    rows!(tx, OpenAttempt, SQL, ids)
}

/// Puts back what a dead worker had claimed or was having written. A row that was alone in the worker's hands
/// is suspected of having killed it; two such deaths park it.
pub async fn release_claims(tx: &mut Tx, worker: i64, now: Millis) -> Result<usize> {
    let slots = rows!(
        &mut *tx,
        (i64, i64, String),
        "SELECT m.profile_id, m.slot, p.timezone FROM messages m JOIN sending_profiles p ON p.id = m.profile_id
         WHERE m.worker_id = $1 AND m.state = 'claimed' AND m.slot IS NOT NULL ORDER BY m.profile_id",
        worker
    )?;
    for group in slots.chunk_by(|a, b| a.0 == b.0) {
        let mut gate = gates::lock(tx, Owner::Profile, group[0].0).await?;
        let rates = Rates { zone: group[0].2.parse().unwrap_or_default(), ..Rates::default() };
        group.iter().for_each(|(_, slot, _)| give_back(&mut gate, &rates, *slot));
        gates::save(tx, Owner::Profile, group[0].0, &gate).await?;
    }
    let held = rows!(
        &mut *tx,
        (i64,),
        "SELECT COUNT(*) FROM messages WHERE worker_id = $1 AND state IN ('writing', 'claimed', 'sending')",
        worker
    )?;
    let alone = held.first().is_some_and(|h| h.0 == 1);
    let done = execute!(
        tx,
        "UPDATE messages SET
             crashes = CASE WHEN $2 THEN crashes + 1 WHEN crashes = 0 THEN 1 ELSE crashes END,
             state = CASE WHEN state = 'writing' THEN 'scheduled' WHEN $2 AND crashes >= 2 THEN 'held'
                          ELSE 'drafted' END,
             reasons = CASE WHEN $2 AND crashes >= 2 THEN '[{\"code\":\"poison\"}]' ELSE reasons END,
             worker_id = NULL, slot = NULL, updated_at = $3
         WHERE worker_id = $1 AND state IN ('writing', 'claimed')",
        worker,
        alone,
        now
    )?;
    Ok(done as usize)
}
