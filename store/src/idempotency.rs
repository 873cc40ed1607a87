//! `Idempotency-Key`: the answer of a mutation, stored in its own transaction, given again to its twin.

use crate::db::{Tx, execute, row};
use crate::error::Result;
use sendwright_workflows::clock::{DAY, Millis};
use std::time::Duration;

/// How long an answer is kept. Milliseconds.
pub const KEPT: Millis = DAY;

/// What a key was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nobody has used it: go on, and [`store`] the answer before the commit.
    New,
    /// A request with this key is under way (Postgres; on SQLite its answer is awaited).
    Busy,
    /// It was used for another request.
    Other,
    /// It was used for this request: its status and body.
    Answered(i64, String),
}

/// Takes a key for the rest of the transaction, of which it is the first statement. `request` is a hash of
/// all that makes the request what it is.
pub async fn take(tx: &mut Tx, account: i64, key: &str, request: &str, now: Millis) -> Result<Found> {
    if !lock(tx, account, key).await? {
        return Ok(Found::Busy);
    }
    let found = row!(
        tx,
        (String, i64, String),
        "SELECT request_hash, status, body FROM idempotency_keys
          WHERE account_id = $1 AND key = $2 AND created_at > $3",
        account,
        key,
        now - KEPT
    )?;
    Ok(match found {
        None => Found::New,
        Some((hash, ..)) if hash != request => Found::Other,
        Some((_, status, body)) => Found::Answered(status, body),
    })
}

/// Locks a key on Postgres; on SQLite the IMMEDIATE transaction is the lock. It is tried for a moment: a request
/// that was refused holds it until its rollback has reached the database.
async fn lock(tx: &mut Tx, account: i64, key: &str) -> Result<bool> {
    if !tx.is_postgres() {
        return Ok(true);
    }
    for wait in [5, 10, 20, 40, 80, 0] {
        let sql = "SELECT pg_try_advisory_xact_lock(hashtextextended($2, $1))";
        if row!(&mut *tx, (bool,), sql, account, key)?.is_some_and(|(free,)| free) {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    Ok(false)
}

/// Stores an answer under a key that was found [`Found::New`].
pub async fn store(
    tx: &mut Tx,
    account: i64,
    key: &str,
    request: &str,
    answer: (i64, &str),
    now: Millis,
) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO idempotency_keys (account_id, key, request_hash, status, body, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (account_id, key) DO UPDATE SET request_hash = excluded.request_hash,
             status = excluded.status, body = excluded.body, created_at = excluded.created_at",
        account,
        key,
        request,
        answer.0,
        answer.1,
        now
    )?;
    Ok(())
}
