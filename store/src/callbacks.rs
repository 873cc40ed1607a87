//! What a provider says of messages on their way: kept as it comes, and what it does to the message it is about.

use crate::claims::with_reasons;
use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use sendwright_workflows::callback::{Meaning, meaning, takes};
use sendwright_workflows::clock::{DAY, MINUTE, Millis, SECOND};
use sendwright_workflows::reason::Reason;
use serde_json::{Value, json};

/// How long a callback waits for the message that it is about (FAULTS F64).
pub const KEPT: Millis = DAY;
/// What stands in a proof for the process's own token.
pub const PROCESS: i64 = 0;

/// A callback to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCallback {
    /// The attempt that the called URL was signed for.
    pub attempt_id: Option<i64>,
    /// What the provider calls the message.
    pub provider_id: String,
    /// Its word.
    pub status: String,
    /// The code of its error.
    pub code: Option<i64>,
    /// The form as it was posted.
    pub raw: String,
    /// The profiles whose token it was signed with; [`PROCESS`] is the process's own.
    pub proof: Vec<i64>,
}

/// A callback that a worker has taken.
#[derive(Debug, Clone, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns of callbacks by their own names")]
pub struct Waiting {
    pub id: i64,
    pub attempt_id: Option<i64>,
    pub provider_id: String,
    pub status: String,
    pub code: Option<i64>,
    pub proof: String,
    pub received_at: Millis,
}

impl Waiting {
    /// Whether its signature speaks for a profile; one that follows the process's settings is the process's.
    pub fn speaks_for(&self, profile: i64, transport: &str) -> bool {
        let proof: Vec<i64> = serde_json::from_str(&self.proof).unwrap_or_default();
        proof.contains(&profile) || (transport == "default" && proof.contains(&PROCESS))
    }
}

/// Keeps callbacks, one row each, in this order from row `first` on.
pub async fn keep(tx: &mut Tx, first: i64, new: &[NewCallback], now: Millis) -> Result<()> {
    let rows: Vec<Value> = (first..)
        .zip(new)
        .map(|(id, c)| {
            json!([id, c.attempt_id, c.provider_id, c.status, c.code, c.raw, json!(c.proof).to_string()])
        })
        .collect();
    execute!(
        tx,
        "INSERT INTO callbacks (id, attempt_id, provider_id, status, code, raw, proof, look_at, received_at)
         SELECT CAST(e.value ->> 0 AS BIGINT), CAST(e.value ->> 1 AS BIGINT), e.value ->> 2, e.value ->> 3,
                CAST(e.value ->> 4 AS BIGINT), e.value ->> 5, e.value ->> 6, $2, $2
         FROM json_each($1) AS e",
        Value::from(rows).to_string(),
        now
    )?;
    Ok(())
}

/// Takes up to `most` callbacks that wait, in the order they came. Each is looked at again, later each time, unless it is
/// gone by then: the message that it is about may not be known yet, and a worker may die.
pub async fn take(tx: &mut Tx, most: i64, now: Millis) -> Result<Vec<Waiting>> {
    macro_rules! sql {
        ($skip:literal) => {
            concat!(
                "WITH due AS MATERIALIZED (
                     SELECT id FROM callbacks WHERE look_at <= $1 ORDER BY look_at, id LIMIT $2",
                $skip,
                ") UPDATE callbacks SET tries = tries + 1,
                       look_at = $1 + CASE WHEN (tries + 1) * (tries + 1) * $3 < $4
                                           THEN (tries + 1) * (tries + 1) * $3 ELSE $4 END
                   FROM due WHERE callbacks.id = due.id
                   RETURNING callbacks.id, attempt_id, provider_id, status, code, proof, received_at"
            )
        };
    }
    let mut taken = match tx.is_postgres() {
        true => rows!(tx, Waiting, sql!(" FOR UPDATE SKIP LOCKED"), now, most, SECOND, 10 * MINUTE)?,
        false => rows!(tx, Waiting, sql!(""), now, most, SECOND, 10 * MINUTE)?,
    };
    taken.sort_by_key(|waiting| (waiting.received_at, waiting.id));
    Ok(taken)
}

/// Removes callbacks that are done with; which of them were still there, and so are the caller's to act on.
pub async fn remove(tx: &mut Tx, ids: &[i64]) -> Result<Vec<i64>> {
    let ids = Value::from(ids.iter().map(|id| json!([id])).collect::<Vec<_>>()).to_string();
    let gone = rows!(
        tx,
        (i64,),
        "DELETE FROM callbacks WHERE id IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM json_each($1) AS e)
         RETURNING id",
        ids
    )?;
    Ok(gone.into_iter().map(|r| r.0).collect())
}

/// The attempt that a callback is about, and its message.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns of attempts, messages, profiles and contacts by their own names")]
pub struct Subject {
    pub attempt_id: i64,
    pub attempt_state: String,
    pub message_id: i64,
    pub account_id: i64,
    pub kind: String,
    pub campaign_id: i64,
    pub enrolment_id: i64,
    pub contact_id: i64,
    pub step_number: i64,
    pub channel: String,
    pub address: String,
    pub address_hash: String,
    pub state: String,
    pub profile_id: i64,
    pub transport: String,
}

/// Finds it: by the attempt that the URL was signed for, else by what the provider calls the message.
pub async fn subject(tx: &mut Tx, of: &Waiting) -> Result<Option<Subject>> {
    macro_rules! sql {
        ($by:literal) => {
            concat!(
                "SELECT a.id AS attempt_id, a.state AS attempt_state, m.id AS message_id, m.account_id, m.kind,
                        m.campaign_id, m.enrolment_id, m.contact_id, m.step_number, m.channel, m.address,
                        m.address_hash, m.state, m.profile_id, p.transport
                 FROM attempts a JOIN messages m ON m.id = a.message_id
                 JOIN sending_profiles p ON p.id = m.profile_id WHERE ",
                $by
            )
        };
    }
    match of.attempt_id {
        Some(attempt) => row!(tx, Subject, sql!("a.id = $1"), attempt),
        None => row!(tx, Subject, sql!("a.provider_id = $1 ORDER BY a.id LIMIT 1"), &of.provider_id),
    }
}

/// What a callback has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// The message has arrived, which was not known before.
    pub delivered: bool,
    /// It came back, which was not known before.
    pub bounced: bool,
    /// It was read.
    pub read: bool,
}

#[derive(sqlx::FromRow)]
struct Standing {
    state: String,
    provider_status: Option<String>,
    reasons: String,
}

/// Moves a message on by a status, never back: what is not further than what is known changes nothing, and so a second
/// time is as good as once.
pub async fn advance(tx: &mut Tx, subject: &Subject, of: &Waiting, now: Millis) -> Result<Change> {
    let named = "UPDATE attempts SET provider_id = $2 WHERE id = $1 AND provider_id IS NULL";
    execute!(&mut *tx, named, subject.attempt_id, &of.provider_id)?;
    macro_rules! sql {
        ($lock:literal) => {
            concat!("SELECT state, provider_status, reasons FROM messages WHERE id = $1", $lock)
        };
    }
    let found = match tx.is_postgres() {
        true => row!(&mut *tx, Standing, sql!(" FOR UPDATE"), subject.message_id)?,
        false => row!(&mut *tx, Standing, sql!(""), subject.message_id)?,
    };
    let Some(standing) = found.filter(|s| takes(s.provider_status.as_deref(), &of.status)) else {
        return Ok(Change::default());
    };
    let (state, change) = next(&standing.state, &of.status);
    let reasons = match change.bounced {
        true => with_reasons(&standing.reasons, vec![reason(of.code)]),
        false => standing.reasons,
    };
    execute!(
        tx,
        "UPDATE messages SET state = $2, provider_status = $3, provider_code = COALESCE($4, provider_code),
             delivered_at = COALESCE(delivered_at, $5), reasons = $6, updated_at = $7
         WHERE id = $1",
        subject.message_id,
        state,
        &of.status,
        of.code,
        change.delivered.then_some(of.received_at),
        reasons,
        now
    )?;
    Ok(change)
}

/// The state that follows. Only what a provider has taken arrives or comes back; what has arrived stays so.
fn next(state: &str, status: &str) -> (String, Change) {
    let read = status == "read";
    let (state, change) = match (meaning(status), state) {
        (Meaning::Arrived, "accepted") => {
            ("delivered", Change { delivered: true, read, ..Change::default() })
        }
        (Meaning::Arrived, "bounced") if read => {
            ("delivered", Change { delivered: true, read, ..Change::default() })
        }
        (Meaning::Arrived, _) => (state, Change { read, ..Change::default() }),
        (Meaning::Lost, "accepted") => ("bounced", Change { bounced: true, ..Change::default() }),
        _ => (state, Change::default()),
    };
    (state.to_owned(), change)
}

/// Why a message came back, as reasons have it.
pub fn reason(code: Option<i64>) -> Reason {
    Reason::Refused { reply: code.and_then(|code| u16::try_from(code).ok()).unwrap_or_default(), until: None }
}
