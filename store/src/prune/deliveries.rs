//! Old deliveries, endpoint by endpoint in the order of their numbers, which is that of time.

use super::{Keep, MOST, Piece, Place};
use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use sendwright_workflows::clock::Millis;
use serde_json::{Value, json};

/// Looks at the next piece of a walk. What waits, or was given up not long enough ago, is passed over, and so are the
/// thousand last of an endpoint, by which its health is told; of an endpoint that was deleted all goes.
pub(super) async fn piece(tx: &mut Tx, keep: &Keep, place: Place, now: Millis) -> Result<Piece> {
    let before = |kept: Option<Millis>| kept.map_or(0, |kept| now - kept);
    let (arrived, dead) = (before(keep.deliveries), before(keep.dead_deliveries));
    let walk = "SELECT MAX(w.number), MAX(w.created_at), COUNT(*) FROM (
             SELECT d.number, d.created_at FROM deliveries d WHERE d.endpoint_id = $1 AND d.number > $2
             ORDER BY d.number LIMIT $3) AS w";
    type Window = (Option<i64>, Option<i64>, i64);
    let window = row!(&mut *tx, Window, walk, place.endpoint, place.number, MOST)?;
    let Some((Some(last), Some(created), count)) = window else { return next(tx, place, 0).await };
    let old = old(tx, (place, last), arrived, dead).await?;
    let ids = Value::from(old.iter().map(|id| json!([id])).collect::<Vec<_>>()).to_string();
    for sql in [
        "DELETE FROM deliveries WHERE id IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM json_each($1) AS e)",
        "DELETE FROM delivery_attempts
         WHERE delivery_id IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM json_each($1) AS e)",
    ] {
        execute!(&mut *tx, sql, &ids)?;
    }
    let gone = old.len() as u64;
    match count < MOST || created > arrived.max(dead) {
        true => next(tx, place, gone).await,
        false => Ok(Piece { gone, next: Some(Place { number: last, ..place }) }),
    }
}

/// Those of a window that go, locked: a replay that is under way keeps its own.
async fn old(tx: &mut Tx, (place, last): (Place, i64), arrived: Millis, dead: Millis) -> Result<Vec<i64>> {
    macro_rules! sql {
        ($lock:literal) => {
            concat!(
                "SELECT d.id FROM deliveries d JOIN endpoints p ON p.id = d.endpoint_id
                 WHERE d.endpoint_id = $1 AND d.number > $2 AND d.number <= $3 AND (
                     (p.state = 'deleted' AND d.created_at <= $4)
                     OR (d.number <= p.last_number - 1000 AND (
                         (d.state = 'delivered' AND d.ended_at <= $4) OR (d.state = 'dead' AND d.ended_at <= $5))))
                 ORDER BY d.id",
                $lock
            )
        };
    }
    let sql = if tx.is_postgres() { sql!(" FOR UPDATE OF d SKIP LOCKED") } else { sql!("") };
    let found = rows!(tx, (i64,), sql, place.endpoint, place.number, last, arrived, dead)?;
    Ok(found.into_iter().map(|r| r.0).collect())
}

/// Goes on with the next endpoint, if there is one.
async fn next(tx: &mut Tx, place: Place, gone: u64) -> Result<Piece> {
    let found = row!(tx, (Option<i64>,), "SELECT MIN(id) FROM endpoints WHERE id > $1", place.endpoint)?;
    Ok(Piece { gone, next: found.and_then(|r| r.0).map(|endpoint| Place { endpoint, number: 0 }) })
}
