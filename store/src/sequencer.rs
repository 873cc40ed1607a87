//! The sequencer: numbers events and makes their deliveries, in one commit.
//!
//! Events are found by their state, never behind a cursor: one that commits late is numbered late and missed by nobody.
//! What is numbered has no gap, because the account's counter row is held until the commit.

use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::event::chosen;
use serde_json::{Value, json};
use std::ops::Range;

/// Accounts with events that wait for their number.
pub async fn accounts_with_unnumbered(tx: &mut Tx) -> Result<Vec<i64>> {
    let sql = "SELECT a.id FROM accounts a WHERE EXISTS (
             SELECT 1 FROM events e WHERE e.account_id = a.id AND e.sequence IS NULL) ORDER BY a.id";
    Ok(rows!(tx, (i64,), sql)?.into_iter().map(|r| r.0).collect())
}

/// How many events of an account wait, up to `most`, and how many endpoints it has that are delivered to: what a pass
/// needs at most is their product of ids.
pub async fn waiting(tx: &mut Tx, account: i64, most: i64) -> Result<(i64, i64)> {
    let found = row!(
        tx,
        (i64, i64),
        "SELECT (SELECT COUNT(*) FROM (SELECT 1 AS one FROM events
                    WHERE account_id = $1 AND sequence IS NULL LIMIT $2) AS few),
                (SELECT COUNT(*) FROM endpoints WHERE account_id = $1 AND state = 'enabled')",
        account,
        most
    )?;
    Ok(found.unwrap_or_default())
}

/// What a pass did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbered {
    /// So many events have their number.
    pub events: usize,
    /// The endpoints that got deliveries.
    pub endpoints: Vec<i64>,
}

#[derive(sqlx::FromRow)]
struct Told {
    id: i64,
    sequence: i64,
    kind: String,
}

#[derive(sqlx::FromRow)]
struct Hearing {
    id: i64,
    events: String,
    last_number: i64,
}

/// Numbers up to `most` events of an account and makes a delivery of each for every endpoint that chose it. `ids` are
/// for deliveries; more endpoints than they are for leave it to the next pass. Nothing where another pass is at it.
pub async fn number(tx: &mut Tx, account: i64, most: i64, ids: Range<i64>, now: Millis) -> Result<Numbered> {
    let Some(last) = counter(tx, account).await? else { return Ok(Numbered::default()) };
    let hearing = hearing(tx, account).await?;
    let most = match hearing.len() as i64 {
        0 => most,
        several => most.min((ids.end - ids.start) / several),
    };
    let mut told = rows!(
        &mut *tx,
        Told,
        "WITH due AS MATERIALIZED (
             SELECT id, ROW_NUMBER() OVER (ORDER BY id) AS place FROM (
                 SELECT id FROM events WHERE account_id = $1 AND sequence IS NULL ORDER BY id LIMIT $2) AS first)
         UPDATE events SET sequence = $3 + due.place FROM due WHERE events.id = due.id
         RETURNING events.id, events.sequence, events.kind",
        account,
        most,
        last
    )?;
    if told.is_empty() {
        return Ok(Numbered::default());
    }
    told.sort_unstable_by_key(|event| event.sequence);
    let sql = "UPDATE event_counters SET last = $2 WHERE account_id = $1";
    execute!(&mut *tx, sql, account, last + told.len() as i64)?;
    let endpoints = deliver(tx, account, &told, hearing, ids, now).await?;
    Ok(Numbered { events: told.len(), endpoints })
}

/// The account's counter, held until the commit; `None`: another sequencer holds it.
async fn counter(tx: &mut Tx, account: i64) -> Result<Option<i64>> {
    const LOCKED: &str = "SELECT last FROM event_counters WHERE account_id = $1 FOR UPDATE SKIP LOCKED";
    const ALONE: &str = "SELECT last FROM event_counters WHERE account_id = $1";
    let sql = if tx.is_postgres() { LOCKED } else { ALONE };
    if let Some(found) = row!(&mut *tx, (i64,), sql, account)? {
        return Ok(Some(found.0));
    }
    let new = "INSERT INTO event_counters (account_id) VALUES ($1) ON CONFLICT (account_id) DO NOTHING";
    let is_first = execute!(&mut *tx, new, account)? == 1;
    Ok(is_first.then_some(0))
}

/// The endpoints that are delivered to, held so that none is switched off or counted on meanwhile.
async fn hearing(tx: &mut Tx, account: i64) -> Result<Vec<Hearing>> {
    const ALONE: &str = "SELECT id, events, last_number FROM endpoints
         WHERE account_id = $1 AND state = 'enabled' ORDER BY id";
    const LOCKED: &str = "SELECT id, events, last_number FROM endpoints
         WHERE account_id = $1 AND state = 'enabled' ORDER BY id FOR NO KEY UPDATE";
    match tx.is_postgres() {
        true => rows!(tx, Hearing, LOCKED, account),
        false => rows!(tx, Hearing, ALONE, account),
    }
}

async fn deliver(
    tx: &mut Tx,
    account: i64,
    told: &[Told],
    hearing: Vec<Hearing>,
    mut ids: Range<i64>,
    now: Millis,
) -> Result<Vec<i64>> {
    let (mut deliveries, mut counts) = (Vec::new(), Vec::new());
    for endpoint in hearing {
        let choices: Vec<String> = serde_json::from_str(&endpoint.events).unwrap_or_default();
        let mut number = endpoint.last_number;
        for (event, id) in told.iter().filter(|event| chosen(&choices, &event.kind).is_some()).zip(&mut ids) {
            number += 1;
            deliveries.push(json!([id, endpoint.id, event.id, number]));
        }
        if number > endpoint.last_number {
            counts.push(json!([endpoint.id, number]));
        }
    }
    let endpoints = counts.iter().filter_map(|count| count[0].as_i64()).collect();
    if deliveries.is_empty() {
        return Ok(endpoints);
    }
    execute!(
        &mut *tx,
        "INSERT INTO deliveries (id, account_id, endpoint_id, event_id, number, next_at, created_at)
         SELECT CAST(e.value ->> 0 AS BIGINT), $2, CAST(e.value ->> 1 AS BIGINT), CAST(e.value ->> 2 AS BIGINT),
                CAST(e.value ->> 3 AS BIGINT), $3, $3
         FROM json_each($1) AS e",
        Value::from(deliveries).to_string(),
        account,
        now
    )?;
    execute!(
        &mut *tx,
        "UPDATE endpoints SET last_number = CAST(e.value ->> 1 AS BIGINT) FROM json_each($1) AS e
         WHERE endpoints.id = CAST(e.value ->> 0 AS BIGINT)",
        Value::from(counts).to_string()
    )?;
    Ok(endpoints)
}
