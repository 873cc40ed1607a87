//! Rows that a dead worker had in hand, and attempts whose end a journal knows (SEND_PROTOCOL 9, 10, 15).

use crate::claims::with_reasons;
use crate::db::{Tx, execute, rows};
use crate::error::Result;
use crate::gates;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::outcome::{POISON, suspects};
use sendwright_workflows::rate_limit::{Rates, give_back};
use sendwright_workflows::reason::{Owner, Reason};
use serde_json::{Value, json};

/// An attempt that is open, with what its outcome needs.
#[derive(Debug, Clone, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns of attempts and messages by their own names")]
pub struct OpenAttempt {
    pub attempt_id: i64,
    pub message_id: i64,
    pub account_id: i64,
    pub campaign_id: i64,
    pub profile_id: i64,
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
        "SELECT a.id AS attempt_id, m.id AS message_id, m.account_id, m.campaign_id, m.profile_id, m.kind, m.contact_id,
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

/// A worker's attempts that were given up as uncertain: its journal may know more of them.
pub async fn uncertain_attempts(tx: &mut Tx, worker: i64) -> Result<Vec<OpenAttempt>> {
    const SQL: &str = concat!(
        open_sql!(),
        " WHERE m.state = 'uncertain' AND a.worker_id = $1 AND a.state = 'uncertain' ORDER BY a.id"
    );
    rows!(tx, OpenAttempt, SQL, worker)
}

/// Attempts of a worker that lives and began them before this instant: none takes so long, their hand-overs
/// ended without a word.
pub async fn forgotten_attempts(tx: &mut Tx, worker: i64, before: Millis) -> Result<Vec<OpenAttempt>> {
    const SQL: &str = concat!(
        open_sql!(),
        " WHERE a.worker_id = $1 AND a.state = 'sending' AND a.intent_at < $2 ORDER BY a.id"
    );
    rows!(tx, OpenAttempt, SQL, worker, before)
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

/// Marks what a worker that has just died had in hand. Call it once, with the row that says it is dead.
pub async fn suspect(tx: &mut Tx, worker: i64) -> Result<()> {
    let held = rows!(
        &mut *tx,
        (i64, i64),
        "SELECT id, crashes FROM messages WHERE worker_id = $1 AND waits IN ('writing', 'claimed')
         UNION
         SELECT m.id, m.crashes FROM attempts a JOIN messages m ON m.id = a.message_id
         WHERE a.worker_id = $1 AND a.state = 'sending' AND m.worker_id = $1 AND m.state = 'sending' ORDER BY 1",
        worker
    )?;
    let marks: Vec<_> = suspects(&held).into_iter().map(|(id, crashes)| json!([id, crashes])).collect();
    execute!(
        tx,
        "UPDATE messages SET crashes = CAST(e.value ->> 1 AS BIGINT) FROM json_each($1) AS e
         WHERE messages.id = CAST(e.value ->> 0 AS BIGINT)",
        Value::from(marks).to_string()
    )?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct InHand {
    id: i64,
    profile_id: i64,
    timezone: String,
    state: String,
    slot: Option<i64>,
    crashes: i64,
    reasons: String,
}

/// Puts back what a worker has claimed, or is having written, but for messages that it `holds`: where it is dead it holds
/// none. Whoever goes on with such a row after all finds its claim lost. Answers how many.
pub async fn release(tx: &mut Tx, worker: i64, holds: impl Fn(i64) -> bool, now: Millis) -> Result<usize> {
    let mut found = in_hand(tx, worker, false).await?;
    found.retain(|row| !holds(row.id));
    if found.is_empty() {
        return Ok(0);
    }
    let mut profiles: Vec<(i64, String)> = found.into_iter().map(|r| (r.profile_id, r.timezone)).collect();
    profiles.dedup();
    let mut gates = Vec::with_capacity(profiles.len());
    for (profile, zone) in profiles {
        let rates = Rates { zone: zone.parse().unwrap_or_default(), ..Rates::default() };
        gates.push((profile, rates, gates::lock(tx, Owner::Profile, profile).await?));
    }
    let mut changes = Vec::new();
    for row in in_hand(tx, worker, true).await? {
        // Asked again behind the lock: it may have been claimed anew since.
        if holds(row.id) {
            continue;
        }
        let Some((_, rates, gate)) = gates.iter_mut().find(|g| g.0 == row.profile_id) else { continue };
        if let Some(slot) = row.slot.filter(|_| row.state == "claimed") {
            give_back(gate, rates, slot);
        }
        changes.push(match (row.crashes >= POISON, row.state.as_str()) {
            (true, _) => json!([row.id, "held", with_reasons(&row.reasons, vec![Reason::Poison])]),
            (false, "writing") => json!([row.id, "scheduled", row.reasons]),
            (false, _) => json!([row.id, "drafted", row.reasons]),
        });
    }
    for (profile, _, gate) in &gates {
        gates::save(tx, &[(Owner::Profile, *profile, *gate)]).await?;
    }
    let done = execute!(
        tx,
        "UPDATE messages SET state = e.value ->> 1, reasons = e.value ->> 2, worker_id = NULL, slot = NULL,
             updated_at = $2
         FROM json_each($1) AS e WHERE messages.id = CAST(e.value ->> 0 AS BIGINT)",
        Value::from(changes).to_string(),
        now
    )?;
    Ok(done as usize)
}

async fn in_hand(tx: &mut Tx, worker: i64, lock: bool) -> Result<Vec<InHand>> {
    macro_rules! sql {
        ($lock:literal) => {
            concat!(
                "SELECT m.id, m.profile_id, p.timezone, m.state, m.slot, m.crashes, m.reasons
                 FROM messages m JOIN sending_profiles p ON p.id = m.profile_id
                 WHERE m.worker_id = $1 AND m.waits IN ('writing', 'claimed')
                 ORDER BY m.profile_id, m.id",
                $lock
            )
        };
    }
    match lock && tx.is_postgres() {
        true => rows!(tx, InHand, sql!(" FOR UPDATE OF m"), worker),
        false => rows!(tx, InHand, sql!(""), worker),
    }
}
