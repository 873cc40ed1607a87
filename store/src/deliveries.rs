//! Deliveries: an event on its way to one endpoint, every attempt kept.

mod read;
mod replay;

pub use read::{AttemptRow, Health, Listed, attempts, count, get, health, list};
pub use replay::{Which, replay};

use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use sendwright_workflows::clock::Millis;
use serde_json::{Value, json};

/// A delivery that this worker holds.
#[derive(Debug, Clone, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns of deliveries by their own names")]
pub struct Claimed {
    pub id: i64,
    pub event_id: i64,
    pub number: i64,
    pub attempts: i64,
    pub fence: i64,
}

/// What came of one attempt.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "columns of delivery_attempts by their own names")]
pub struct Ended {
    pub delivery_id: i64,
    pub fence: i64,
    pub end: End,
    pub status: Option<u16>,
    pub duration_ms: i64,
    pub answer: Option<String>,
    pub error: Option<String>,
    pub at: Millis,
}

/// Where a delivery goes after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A 2xx.
    Delivered,
    /// Tried again then.
    Again(Millis),
    /// That was the last.
    Dead,
}

/// Endpoints with deliveries due by `until`.
pub async fn endpoints_with_due(tx: &mut Tx, until: Millis) -> Result<Vec<i64>> {
    let sql = "SELECT p.id FROM endpoints p WHERE p.state = 'enabled' AND EXISTS (
             SELECT 1 FROM deliveries d WHERE d.endpoint_id = p.id AND d.state = 'pending' AND d.next_at <= $1)
         ORDER BY p.id";
    Ok(rows!(tx, (i64,), sql, until)?.into_iter().map(|r| r.0).collect())
}

/// When an endpoint's next delivery is due, if it has any.
pub async fn next_due(tx: &mut Tx, endpoint: i64, after: Millis) -> Result<Option<Millis>> {
    let sql =
        "SELECT MIN(next_at) FROM deliveries WHERE endpoint_id = $1 AND state = 'pending' AND next_at > $2";
    Ok(row!(tx, (Option<i64>,), sql, endpoint, after)?.and_then(|r| r.0))
}

/// Claims up to `most` due deliveries of an endpoint, the earliest first, but for those `in_hand`. A row is free where
/// no worker has it, where its worker is dead, or where it is this worker's own: a claim whose COMMIT had no answer.
pub async fn claim(
    tx: &mut Tx,
    endpoint: i64,
    worker: i64,
    in_hand: &[i64],
    most: i64,
    now: Millis,
) -> Result<Vec<Claimed>> {
    macro_rules! sql {
        ($lock:literal) => {
            concat!(
                "WITH due AS MATERIALIZED (
                    SELECT d.id FROM deliveries d
                    WHERE d.endpoint_id = $1 AND d.state = 'pending' AND d.next_at <= $4
                      AND d.id NOT IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM json_each($3) AS e)
                      AND (d.worker_id IS NULL OR d.worker_id = $2 OR NOT EXISTS (
                            SELECT 1 FROM workers w WHERE w.id = d.worker_id AND w.state = 'alive'))
                    ORDER BY d.next_at, d.number LIMIT $5",
                $lock,
                ") UPDATE deliveries SET worker_id = $2, fence = fence + 1 FROM due WHERE deliveries.id = due.id
                 RETURNING deliveries.id, deliveries.event_id, deliveries.number, deliveries.attempts,
                     deliveries.fence"
            )
        };
    }
    let held = Value::from(in_hand.iter().map(|id| json!([id])).collect::<Vec<_>>()).to_string();
    let mut found = match tx.is_postgres() {
        true => rows!(tx, Claimed, sql!(" FOR UPDATE OF d SKIP LOCKED"), endpoint, worker, held, now, most)?,
        false => rows!(tx, Claimed, sql!(""), endpoint, worker, held, now, most)?,
    };
    found.sort_unstable_by_key(|delivery| delivery.number);
    Ok(found)
}

macro_rules! lines_sql {
    () => {
        "WITH e AS MATERIALIZED (
             SELECT CAST(l.value ->> 0 AS BIGINT) AS id, CAST(l.value ->> 1 AS BIGINT) AS fence,
                    l.value ->> 2 AS state, CAST(l.value ->> 3 AS BIGINT) AS next_at,
                    CAST(l.value ->> 4 AS BIGINT) AS at, CAST(l.value ->> 5 AS BIGINT) AS status,
                    CAST(l.value ->> 6 AS BIGINT) AS duration_ms, l.value ->> 7 AS answer, l.value ->> 8 AS error
             FROM json_each($1) AS l)"
    };
}

macro_rules! move_sql {
    () => {
        " UPDATE deliveries SET state = e.state, next_at = COALESCE(e.next_at, deliveries.next_at),
             attempts = attempts + 1, worker_id = NULL,
             ended_at = CASE WHEN e.state = 'pending' THEN NULL ELSE e.at END
         FROM e
         WHERE deliveries.id = e.id AND deliveries.state <> 'delivered'
           AND ((deliveries.fence = e.fence AND deliveries.worker_id IS NOT NULL) OR e.state = 'delivered')"
    };
}

macro_rules! keep_sql {
    () => {
        " INSERT INTO delivery_attempts (delivery_id, fence, account_id, status, duration_ms, answer, error, at)
         SELECT d.id, e.fence, d.account_id, e.status, e.duration_ms, e.answer, e.error, e.at
         FROM e JOIN deliveries d ON d.id = e.id
         WHERE TRUE ON CONFLICT DO NOTHING"
    };
}

/// Records attempts, all or none. A 2xx counts whoever's claim it was under; everything else only where that claim is
/// still the one that holds, so that recording it again after a COMMIT without an answer changes nothing.
pub async fn settle(tx: &mut Tx, ended: &[Ended]) -> Result<()> {
    let line = |e: &Ended| {
        let (state, next) = match e.end {
            End::Delivered => ("delivered", None),
            End::Again(at) => ("pending", Some(at)),
            End::Dead => ("dead", None),
        };
        json!([e.delivery_id, e.fence, state, next, e.at, e.status, e.duration_ms, e.answer, e.error])
    };
    let lines = Value::from(ended.iter().map(line).collect::<Vec<_>>()).to_string();
    // Postgres reads the lines once for both; SQLite writes in no WITH.
    const IN_ONE: &str = concat!(lines_sql!(), ", moved AS (", move_sql!(), ") ", keep_sql!());
    if tx.is_postgres() {
        execute!(tx, IN_ONE, lines)?;
        return Ok(());
    }
    execute!(&mut *tx, concat!(lines_sql!(), move_sql!()), &lines)?;
    execute!(tx, concat!(lines_sql!(), keep_sql!()), &lines)?;
    Ok(())
}

/// Gives back what was claimed and not begun.
pub async fn release(tx: &mut Tx, worker: i64, ids: &[i64]) -> Result<()> {
    let ids = Value::from(ids.iter().map(|id| json!([id])).collect::<Vec<_>>()).to_string();
    execute!(
        tx,
        "UPDATE deliveries SET worker_id = NULL FROM json_each($2) AS e
         WHERE deliveries.id = CAST(e.value ->> 0 AS BIGINT) AND deliveries.worker_id = $1
           AND deliveries.state = 'pending'",
        worker,
        ids
    )?;
    Ok(())
}

/// A delivery to be made now, outside the sequencer: a test's. Under the endpoint's lock.
pub async fn insert(
    tx: &mut Tx,
    (id, account, endpoint, event): (i64, i64, i64, i64),
    number: i64,
    now: Millis,
) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO deliveries (id, account_id, endpoint_id, event_id, number, next_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $6)",
        id,
        account,
        endpoint,
        event,
        number,
        now
    )?;
    Ok(())
}
