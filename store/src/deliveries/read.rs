//! What people see of deliveries.

use crate::db::{Tx, row, rows};
use crate::error::Result;
use crate::page::Page;
use sendwright_workflows::clock::Millis;
use serde_json::{Value, json};

/// A delivery as it is listed, with its event's kind and its last attempt.
#[derive(Debug, Clone, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns of deliveries, events and delivery_attempts by their own names")]
pub struct Listed {
    pub id: i64,
    pub endpoint_id: i64,
    pub event_id: i64,
    pub kind: String,
    pub number: i64,
    pub state: String,
    pub attempts: i64,
    pub next_at: i64,
    pub created_at: i64,
    pub ended_at: Option<i64>,
    pub status: Option<i64>,
    pub error: Option<String>,
}

/// One attempt.
#[derive(Debug, Clone, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns of delivery_attempts by their own names")]
pub struct AttemptRow {
    pub delivery_id: i64,
    pub fence: i64,
    pub status: Option<i64>,
    pub duration_ms: i64,
    pub answer: Option<String>,
    pub error: Option<String>,
    pub at: i64,
}

macro_rules! select {
    () => {
        "SELECT d.id, d.endpoint_id, d.event_id, v.kind, d.number, d.state, d.attempts, d.next_at, d.created_at,
                d.ended_at,
                (SELECT a.status FROM delivery_attempts a WHERE a.delivery_id = d.id ORDER BY a.fence DESC LIMIT 1)
                    AS status,
                (SELECT a.error FROM delivery_attempts a WHERE a.delivery_id = d.id ORDER BY a.fence DESC LIMIT 1)
                    AS error
         FROM deliveries d JOIN events v ON v.id = d.event_id"
    };
}

/// Each state is named as the partial index that answers it names it.
macro_rules! of_state {
    ($state:expr, $head:expr, $tail:literal) => {
        match $state {
            None => concat!($head, $tail),
            Some("dead") => concat!($head, " AND d.state = 'dead'", $tail),
            Some("pending") => concat!($head, " AND d.state = 'pending'", $tail),
            Some(_) => concat!($head, " AND d.state = 'delivered'", $tail),
        }
    };
}

/// An endpoint's deliveries in the order of their numbers; of one state, or of all.
pub async fn list(tx: &mut Tx, endpoint: i64, state: Option<&str>, page: Page) -> Result<Vec<Listed>> {
    let sql = match page.descending {
        true => of_state!(
            state,
            concat!(select!(), " WHERE d.endpoint_id = $1 AND d.number < $2"),
            " ORDER BY d.number DESC LIMIT $3 OFFSET $4"
        ),
        false => of_state!(
            state,
            concat!(select!(), " WHERE d.endpoint_id = $1 AND d.number > $2"),
            " ORDER BY d.number LIMIT $3 OFFSET $4"
        ),
    };
    rows!(tx, Listed, sql, endpoint, page.after.1, page.limit, page.skip)
}

/// How many deliveries an endpoint has, of one state or of all, counted up to `most`.
pub async fn count(tx: &mut Tx, endpoint: i64, state: Option<&str>, most: i64) -> Result<i64> {
    let sql = of_state!(
        state,
        "SELECT COUNT(*) FROM (SELECT 1 AS one FROM deliveries d WHERE d.endpoint_id = $1",
        " LIMIT $2) AS found"
    );
    Ok(row!(tx, (i64,), sql, endpoint, most)?.map_or(0, |r| r.0))
}

/// One delivery of an endpoint.
pub async fn get(tx: &mut Tx, endpoint: i64, id: i64) -> Result<Option<Listed>> {
    const SQL: &str = concat!(select!(), " WHERE d.endpoint_id = $1 AND d.id = $2");
    row!(tx, Listed, SQL, endpoint, id)
}

/// Every attempt of deliveries, in order.
pub async fn attempts(tx: &mut Tx, deliveries: &[i64]) -> Result<Vec<AttemptRow>> {
    let ids = Value::from(deliveries.iter().map(|id| json!([id])).collect::<Vec<_>>()).to_string();
    rows!(
        tx,
        AttemptRow,
        "SELECT a.delivery_id, a.fence, a.status, a.duration_ms, a.answer, a.error, a.at
         FROM json_each($1) AS e JOIN delivery_attempts a ON a.delivery_id = CAST(e.value ->> 0 AS BIGINT)
         ORDER BY a.delivery_id, a.fence",
        ids
    )
}

/// How an endpoint fares: over the attempts of its last thousand deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Attempts that are counted.
    pub attempts: i64,
    /// Those with a 2xx.
    pub successes: i64,
    /// What half of them took at most, milliseconds.
    pub median_ms: Option<i64>,
    /// What nineteen of twenty took at most, milliseconds.
    pub p95_ms: Option<i64>,
    /// What the last failure said, and when it was.
    pub last_error: Option<(String, Millis)>,
    /// When it last answered with a 2xx.
    pub last_success: Option<Millis>,
    /// Deliveries that wait, counted up to 100,000.
    pub pending: i64,
    /// Deliveries that were given up, counted up to 100,000.
    pub dead: i64,
}

/// Reads it.
pub async fn health(tx: &mut Tx, endpoint: i64) -> Result<Health> {
    let mut recent = rows!(
        &mut *tx,
        (Option<i64>, i64, Option<String>, i64),
        "SELECT a.status, a.duration_ms, a.error, a.at FROM (
             SELECT id FROM deliveries WHERE endpoint_id = $1 ORDER BY number DESC LIMIT 1000) AS d
         JOIN delivery_attempts a ON a.delivery_id = d.id",
        endpoint
    )?;
    let open = row!(
        &mut *tx,
        (i64, i64),
        "SELECT (SELECT COUNT(*) FROM (SELECT 1 AS one FROM deliveries
                    WHERE endpoint_id = $1 AND state = 'pending' LIMIT 100000) AS p),
                (SELECT COUNT(*) FROM (SELECT 1 AS one FROM deliveries
                    WHERE endpoint_id = $1 AND state = 'dead' LIMIT 100000) AS d)",
        endpoint
    )?;
    let (pending, dead) = open.unwrap_or_default();
    let ok = |row: &&(Option<i64>, i64, Option<String>, i64)| row.2.is_none();
    let failed = recent.iter().filter(|row| row.2.is_some()).max_by_key(|row| row.3);
    let mut health = Health {
        attempts: recent.len() as i64,
        successes: recent.iter().filter(ok).count() as i64,
        last_error: failed.map(|row| (row.2.clone().unwrap_or_default(), row.3)),
        last_success: recent.iter().filter(ok).map(|row| row.3).max(),
        pending,
        dead,
        ..Health::default()
    };
    recent.sort_unstable_by_key(|row| row.1);
    let at =
        |share: usize| recent.get((recent.len() * share / 100).min(recent.len().max(1) - 1)).map(|row| row.1);
    (health.median_ms, health.p95_ms) = (at(50), at(95));
    Ok(health)
}
