//! Webhook endpoints: where an account's events go.

use crate::db::{Tx, execute, row, rows};
use crate::error::{Error, Result};
use crate::page::{Page, in_order};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::webhook::Schedule;

/// The table's name, to which sealed secrets are bound.
pub const TABLE: &str = "endpoints";

/// An endpoint.
#[derive(Debug, Clone, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns of endpoints by their own names")]
pub struct Endpoint {
    pub id: i64,
    pub account_id: i64,
    pub url: String,
    pub description: Option<String>,
    pub events: String,
    pub state: String,
    pub why: Option<String>,
    pub schedule: String,
    pub retry_schedule: String,
    pub secret_sealed: String,
    pub previous_sealed: Option<String>,
    pub previous_until: Option<i64>,
    pub failing_since: Option<i64>,
    pub failures: i64,
    pub last_number: i64,
    pub created_at: i64,
    pub updated_at: i64,
}

impl Endpoint {
    /// The names it chose events by.
    pub fn choices(&self) -> Vec<String> {
        serde_json::from_str(&self.events).unwrap_or_default()
    }

    /// When it is tried again.
    pub fn schedule(&self) -> Schedule {
        Schedule::read(&self.schedule, &self.waits())
    }

    /// The waits of an own schedule, in seconds.
    pub fn waits(&self) -> Vec<i64> {
        serde_json::from_str(&self.retry_schedule).unwrap_or_default()
    }

    /// Whether it is delivered to.
    pub fn is_enabled(&self) -> bool {
        self.state == "enabled"
    }
}

macro_rules! columns {
    () => {
        "id, account_id, url, description, events, state, why, schedule, retry_schedule, secret_sealed,
         previous_sealed, previous_until, failing_since, failures, last_number, created_at, updated_at"
    };
}

/// Inserts an endpoint.
pub async fn insert(tx: &mut Tx, new: &Endpoint) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO endpoints (id, account_id, url, description, events, state, why, schedule, retry_schedule,
             secret_sealed, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)",
        new.id,
        new.account_id,
        &new.url,
        &new.description,
        &new.events,
        &new.state,
        &new.why,
        &new.schedule,
        &new.retry_schedule,
        &new.secret_sealed,
        new.created_at
    )?;
    Ok(())
}

/// Writes what people change of an endpoint: everything but its counts. An endpoint that is enabled again begins
/// without a history of failures.
pub async fn update(tx: &mut Tx, endpoint: &Endpoint, now: Millis) -> Result<()> {
    execute!(
        tx,
        "UPDATE endpoints SET url = $2, description = $3, events = $4, state = $5, why = $6, schedule = $7,
             retry_schedule = $8, secret_sealed = $9, previous_sealed = $10, previous_until = $11,
             failing_since = $12, failures = $13, updated_at = $14
         WHERE id = $1",
        endpoint.id,
        &endpoint.url,
        &endpoint.description,
        &endpoint.events,
        &endpoint.state,
        &endpoint.why,
        &endpoint.schedule,
        &endpoint.retry_schedule,
        &endpoint.secret_sealed,
        &endpoint.previous_sealed,
        endpoint.previous_until,
        endpoint.failing_since,
        endpoint.failures,
        now
    )?;
    Ok(())
}

/// One endpoint of an account.
pub async fn get(tx: &mut Tx, account: i64, id: i64) -> Result<Option<Endpoint>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM endpoints WHERE account_id = $1 AND id = $2 AND state <> 'deleted'"
    );
    row!(tx, Endpoint, SQL, account, id)
}

/// One endpoint of an account, held against the sequencer and every other change.
pub async fn lock(tx: &mut Tx, account: i64, id: i64) -> Result<Option<Endpoint>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM endpoints WHERE account_id = $1 AND id = $2 AND state <> 'deleted' FOR UPDATE"
    );
    if tx.is_postgres() { row!(tx, Endpoint, SQL, account, id) } else { get(tx, account, id).await }
}

/// An endpoint that is delivered to, by its row.
pub async fn enabled(tx: &mut Tx, id: i64) -> Result<Option<Endpoint>> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM endpoints WHERE id = $1 AND state = 'enabled'");
    row!(tx, Endpoint, SQL, id)
}

/// The account's endpoints, in their order.
pub async fn list(tx: &mut Tx, account: i64, page: Page) -> Result<Vec<Endpoint>> {
    let sql = in_order!(
        page,
        "",
        "SELECT ",
        columns!(),
        " FROM endpoints WHERE account_id = $1 AND state <> 'deleted'"
    );
    rows!(tx, Endpoint, sql, account, page.after.0, page.after.1, page.limit, page.skip)
}

/// How many endpoints an account has.
pub async fn count(tx: &mut Tx, account: i64) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM endpoints WHERE account_id = $1 AND state <> 'deleted'";
    Ok(row!(tx, (i64,), sql, account)?.map_or(0, |r| r.0))
}

/// Takes an endpoint's next delivery number, under its lock.
pub async fn next_number(tx: &mut Tx, id: i64) -> Result<i64> {
    let sql = "UPDATE endpoints SET last_number = last_number + 1 WHERE id = $1 RETURNING last_number";
    row!(tx, (i64,), sql, id)?.map(|r| r.0).ok_or(Error::Duplicate)
}

/// An attempt of it succeeded: it is failing no more.
pub async fn succeeded(tx: &mut Tx, id: i64) -> Result<()> {
    let sql = "UPDATE endpoints SET failing_since = NULL, failures = 0 WHERE id = $1 AND failures > 0";
    execute!(tx, sql, id)?;
    Ok(())
}

/// So many attempts failed and none succeeded. Answers since when, and how many in a row.
pub async fn failed(tx: &mut Tx, id: i64, count: i64, now: Millis) -> Result<(Millis, i64)> {
    let found = row!(
        tx,
        (i64, i64),
        "UPDATE endpoints SET failing_since = COALESCE(failing_since, $3), failures = failures + $2 WHERE id = $1
         RETURNING failing_since, failures",
        id,
        count,
        now
    )?;
    Ok(found.unwrap_or((now, 0)))
}

/// Disables an endpoint by itself. `false`: it was not enabled any more.
pub async fn disable(tx: &mut Tx, id: i64, why: &str, now: Millis) -> Result<bool> {
    let sql = "UPDATE endpoints SET state = 'disabled', why = $2, updated_at = $3 WHERE id = $1 AND state = 'enabled'";
    Ok(execute!(tx, sql, id, why, now)? == 1)
}
