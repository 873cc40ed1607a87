//! Figures of the whole store for those who watch it: each is bounded, so that watching costs the same whatever
//! the backlog.

use crate::db::{Tx, row, rows};
use crate::error::Result;
use sendwright_workflows::clock::Millis;

/// Rows are counted up to this many.
pub const MOST: i64 = 100_000;

/// What there is to do, over all accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Messages in each state that is not an end, counted up to [`MOST`].
    pub open: Vec<(String, i64)>,
    /// Messages whose planned instant has come, counted up to [`MOST`].
    pub due: i64,
    /// The planned instant of the first of them.
    pub oldest_due: Option<Millis>,
    /// Worker processes that are thought to live.
    pub workers: i64,
}

/// Reads them.
pub async fn read(tx: &mut Tx, now: Millis) -> Result<Gauges> {
    // Each arm names its states as the partial index does that it is answered from.
    let open = rows!(
        &mut *tx,
        (String, i64),
        "SELECT 'scheduled', COUNT(*) FROM (SELECT 1 AS one FROM messages WHERE waits = 'scheduled' LIMIT $1) AS a
         UNION ALL
         SELECT 'drafted', COUNT(*) FROM (SELECT 1 AS one FROM messages WHERE waits = 'drafted' LIMIT $1) AS b
         UNION ALL
         SELECT waits, COUNT(*) FROM (SELECT waits FROM messages
             WHERE waits IN ('writing', 'claimed') LIMIT $1) AS c GROUP BY waits
         UNION ALL
         SELECT state, COUNT(*) FROM (SELECT m.state FROM attempts a JOIN messages m ON m.id = a.message_id AND m.worker_id = a.worker_id
             WHERE a.state = 'sending' AND m.state = 'sending' LIMIT $1) AS d GROUP BY state
         UNION ALL
         SELECT waits, COUNT(*) FROM (SELECT waits FROM messages
             WHERE waits IN ('held', 'uncertain') LIMIT $1) AS e GROUP BY waits",
        MOST
    )?;
    let due = row!(
        &mut *tx,
        (i64,),
        "SELECT COUNT(*) FROM (SELECT 1 AS one FROM campaigns c JOIN messages m ON m.campaign_id = c.id
             AND m.profile_id IN (c.profile_id, c.sms_profile_id, c.whatsapp_profile_id) AND m.waits = 'drafted' AND m.planned_at <= $1
             WHERE c.state = 'running' LIMIT $2) AS due",
        now,
        MOST
    )?;
    let oldest = row!(
        &mut *tx,
        (Option<i64>,),
        "SELECT MIN(planned_at) FROM (SELECT (SELECT MIN(m.planned_at) FROM messages m
             WHERE m.profile_id IN (c.profile_id, c.sms_profile_id, c.whatsapp_profile_id) AND m.campaign_id = c.id AND m.waits = 'drafted') AS planned_at
             FROM campaigns c WHERE c.state = 'running') AS first"
    )?;
    let workers = row!(tx, (i64,), "SELECT COUNT(*) FROM workers WHERE state = 'alive'")?;
    Ok(Gauges {
        open,
        due: due.map_or(0, |r| r.0),
        oldest_due: oldest.and_then(|r| r.0).filter(|at| *at <= now),
        workers: workers.map_or(0, |r| r.0),
    })
}
