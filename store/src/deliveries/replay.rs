//! Deliveries that are made again because a person says so.

use crate::db::{Tx, execute};
use crate::error::Result;
use sendwright_workflows::clock::Millis;

/// Which deliveries of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// This one, whatever its state.
    One(i64),
    /// Of events that happened at this instant or later.
    Since(Millis),
    /// Of events numbered so or later.
    From(i64),
}

/// Makes deliveries due now, with a whole schedule before them; those that were given up, or with `all` those that
/// arrived as well. Answers how many. Whoever has one in hand finds its claim lost, but for a 2xx.
pub async fn replay(tx: &mut Tx, endpoint: i64, which: Which, all: bool, now: Millis) -> Result<u64> {
    macro_rules! sql {
        ($which:literal) => {
            concat!(
                "UPDATE deliveries SET state = 'pending', next_at = $3, attempts = 0, fence = fence + 1,
                     worker_id = NULL, ended_at = NULL
                 WHERE endpoint_id = $1 AND ",
                $which
            )
        };
    }
    match (which, all) {
        (Which::One(id), _) => execute!(tx, sql!("id = $2"), endpoint, id, now),
        (Which::Since(at), false) => {
            const SQL: &str = sql!(
                "state = 'dead' AND EXISTS (
                SELECT 1 FROM events v WHERE v.id = deliveries.event_id AND v.at >= $2)"
            );
            execute!(tx, SQL, endpoint, at, now)
        }
        (Which::Since(at), true) => {
            const SQL: &str = sql!(
                "state IN ('dead', 'delivered') AND EXISTS (
                SELECT 1 FROM events v WHERE v.id = deliveries.event_id AND v.at >= $2)"
            );
            execute!(tx, SQL, endpoint, at, now)
        }
        (Which::From(sequence), false) => {
            const SQL: &str = sql!(
                "state = 'dead' AND EXISTS (
                SELECT 1 FROM events v WHERE v.id = deliveries.event_id AND v.sequence >= $2)"
            );
            execute!(tx, SQL, endpoint, sequence, now)
        }
        (Which::From(sequence), true) => {
            const SQL: &str = sql!(
                "state IN ('dead', 'delivered') AND EXISTS (
                SELECT 1 FROM events v WHERE v.id = deliveries.event_id AND v.sequence >= $2)"
            );
            execute!(tx, SQL, endpoint, sequence, now)
        }
    }
}
