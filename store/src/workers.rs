//! Worker processes and their leases. A worker lives while its beat moves, as the observer's own boot-time
//! clock sees it; no stored instant is ever compared.

use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use sendwright_workflows::clock::Millis;

/// A worker as an observer sees it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Worker {
    /// The row, unique per process and start.
    pub id: i64,
    /// Host and process number, for people.
    pub name: String,
    /// Counts up while the process lives.
    pub beat: i64,
    /// D: most hand-overs it has open at once.
    pub open_limit: i64,
}

/// Enters a process that is about to claim.
pub async fn register(tx: &mut Tx, id: i64, name: &str, open_limit: i64, now: Millis) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO workers (id, name, version, open_limit, started_at) VALUES ($1, $2, $3, $4, $5)",
        id,
        name,
        env!("CARGO_PKG_VERSION"),
        open_limit,
        now
    )?;
    Ok(())
}

/// Moves the beat and says how far it is. `None`: the worker was declared dead and must claim nothing more under this id.
pub async fn beat(tx: &mut Tx, id: i64) -> Result<Option<i64>> {
    let sql = "UPDATE workers SET beat = beat + 1 WHERE id = $1 AND state = 'alive' RETURNING beat";
    Ok(row!(tx, (i64,), sql, id)?.map(|r| r.0))
}

/// How far a worker's beat is known to have come; `None` where its number was never given out.
pub async fn beat_of(tx: &mut Tx, id: i64) -> Result<Option<i64>> {
    let sql = "SELECT COALESCE((SELECT beat FROM workers WHERE id = $1), CAST(9223372036854775807 AS BIGINT))
               FROM id_blocks WHERE name = 'workers' AND next > $1";
    Ok(row!(tx, (i64,), sql, id)?.map(|r| r.0))
}

/// Every worker that is thought to live.
pub async fn alive(tx: &mut Tx) -> Result<Vec<Worker>> {
    rows!(tx, Worker, "SELECT id, name, beat, open_limit FROM workers WHERE state = 'alive' ORDER BY id")
}

/// Whether a worker is still thought to live.
pub async fn lives(tx: &mut Tx, id: i64) -> Result<bool> {
    Ok(row!(tx, (i64,), "SELECT id FROM workers WHERE id = $1 AND state = 'alive'", id)?.is_some())
}

/// Declares a worker dead whose beat still reads as it did when its lease began. `false`: it moved.
pub async fn bury(tx: &mut Tx, id: i64, seen: i64) -> Result<bool> {
    let sql = "UPDATE workers SET state = 'dead' WHERE id = $1 AND beat = $2 AND state = 'alive'";
    Ok(execute!(tx, sql, id, seen)? == 1)
}

/// Ends a worker whose death or orderly end is proven: its journal's lock was free, or it says so itself.
/// `false`: it was declared dead before.
pub async fn end(tx: &mut Tx, id: i64) -> Result<bool> {
    Ok(execute!(tx, "UPDATE workers SET state = 'dead' WHERE id = $1 AND state = 'alive'", id)? == 1)
}

/// Dead workers that still have rows in hand: a recovery that was cut short goes on from here.
pub async fn dead_with_rows(tx: &mut Tx) -> Result<Vec<i64>> {
    let found = rows!(
        tx,
        (i64,),
        "SELECT DISTINCT m.worker_id FROM messages m JOIN workers w ON w.id = m.worker_id
         WHERE m.waits IN ('writing', 'claimed') AND w.state = 'dead'
         UNION SELECT DISTINCT a.worker_id FROM attempts a JOIN workers w ON w.id = a.worker_id
         WHERE a.state = 'sending' AND w.state = 'dead'"
    )?;
    Ok(found.into_iter().map(|r| r.0).collect())
}
