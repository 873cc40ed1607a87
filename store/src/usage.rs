//! What was used: requests by key and endpoint, in hours; messages and model tokens, counted from their own rows.

use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use sendwright_workflows::clock::{HOUR, Millis};
use serde::Serialize;

/// Requests of one key to one endpoint within an hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Whose key.
    pub account: i64,
    /// The key.
    pub key: i64,
    /// The hour's first instant.
    pub hour: Millis,
    /// The method.
    pub method: &'static str,
    /// The route's template.
    pub route: String,
    /// All of them.
    pub requests: i64,
    /// Those answered with 400 and above.
    pub errors: i64,
}

/// Requests of one key to one endpoint over a period.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Endpoint {
    /// The key.
    pub key_id: i64,
    /// What people call it.
    pub key_name: String,
    /// The method.
    pub method: String,
    /// The route's template.
    pub route: String,
    /// All of them.
    pub requests: i64,
    /// Those answered with 400 and above.
    pub errors: i64,
}

/// A period: from its first instant up to its last, and the key it is narrowed to.
#[derive(Debug, Clone, Copy)]
pub struct Period {
    /// The first instant.
    pub from: Millis,
    /// The instant behind the last.
    pub until: Millis,
    /// One key alone.
    pub key: Option<i64>,
}

/// Adds counts to what is there; in one order, so that two processes wait for each other and never cross.
pub async fn add(tx: &mut Tx, counts: &[Count]) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO usage (account_id, key_id, hour, method, route, requests, errors)
         SELECT CAST(e.value ->> 'account' AS BIGINT), CAST(e.value ->> 'key' AS BIGINT),
                CAST(e.value ->> 'hour' AS BIGINT), e.value ->> 'method', e.value ->> 'route',
                CAST(e.value ->> 'requests' AS BIGINT), CAST(e.value ->> 'errors' AS BIGINT)
           FROM json_each($1) AS e WHERE TRUE
          ORDER BY 1, 3, 2, 4, 5
         ON CONFLICT (account_id, hour, key_id, method, route) DO UPDATE
            SET requests = usage.requests + excluded.requests, errors = usage.errors + excluded.errors",
        serde_json::json!(counts).to_string()
    )?;
    Ok(())
}

/// The busiest endpoints of a period by key, at most `most`; an hour counts whole that begins within it.
pub async fn endpoints(tx: &mut Tx, account: i64, period: Period, most: i64) -> Result<Vec<Endpoint>> {
    rows!(
        tx,
        Endpoint,
        "SELECT u.key_id, k.name AS key_name, u.method, u.route, CAST(SUM(u.requests) AS BIGINT) AS requests,
                CAST(SUM(u.errors) AS BIGINT) AS errors
           FROM usage u JOIN keys k ON k.id = u.key_id
          WHERE u.account_id = $1 AND u.hour > $2 AND u.hour < $3 AND (CAST($4 AS BIGINT) IS NULL OR u.key_id = $4)
          GROUP BY u.key_id, k.name, u.method, u.route
          ORDER BY requests DESC, u.key_id, u.route, u.method LIMIT $5",
        account,
        period.from - HOUR,
        period.until,
        period.key,
        most
    )
}

/// All requests of a period, and those answered with an error.
pub async fn totals(tx: &mut Tx, account: i64, period: Period) -> Result<(i64, i64)> {
    let found = row!(
        tx,
        (i64, i64),
        "SELECT CAST(COALESCE(SUM(requests), 0) AS BIGINT), CAST(COALESCE(SUM(errors), 0) AS BIGINT) FROM usage
          WHERE account_id = $1 AND hour > $2 AND hour < $3 AND (CAST($4 AS BIGINT) IS NULL OR key_id = $4)",
        account,
        period.from - HOUR,
        period.until,
        period.key
    )?;
    Ok(found.unwrap_or_default())
}

/// Messages that a provider took within a period.
pub async fn sent(tx: &mut Tx, account: i64, period: Period) -> Result<i64> {
    let sql =
        "SELECT COUNT(*) FROM messages WHERE account_id = $1 AND accepted_at >= $2 AND accepted_at < $3";
    Ok(row!(tx, (i64,), sql, account, period.from, period.until)?.map_or(0, |r| r.0))
}

/// Tokens that a model read and wrote for texts of a period.
pub async fn tokens(tx: &mut Tx, account: i64, period: Period) -> Result<(i64, i64)> {
    let found = row!(
        tx,
        (i64, i64),
        "SELECT CAST(COALESCE(SUM(CAST(e.value -> 'tokens' ->> 'prompt' AS BIGINT)), 0) AS BIGINT),
                CAST(COALESCE(SUM(CAST(e.value -> 'tokens' ->> 'completion' AS BIGINT)), 0) AS BIGINT)
           FROM drafts d, json_each('[' || d.writing || ']') AS e
          WHERE d.account_id = $1 AND d.created_at >= $2 AND d.created_at < $3",
        account,
        period.from,
        period.until
    )?;
    Ok(found.unwrap_or_default())
}
