//! The audit: one row a mutation, in its own transaction. Rows are only added.

use crate::db::{Tx, execute, rows};
use crate::error::Result;
use sendwright_workflows::clock::Millis;

/// Who did what to which row.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Audit {
    /// Its row.
    pub id: i64,
    /// In which account.
    pub account_id: i64,
    /// `key:12`, `user:3`, `command`, `recipient`.
    pub actor: String,
    /// `create`, `update`, `pause`.
    pub action: String,
    /// `campaign`, `contact`.
    pub noun: String,
    /// The row; none where it is about many.
    pub noun_id: Option<i64>,
    /// The request's id, where there was a request.
    pub request_id: Option<String>,
    /// A JSON object: counts and versions, never an address or a secret.
    pub data: String,
    /// When.
    pub at: Millis,
}

macro_rules! columns {
    () => {
        "id, account_id, actor, action, noun, noun_id, request_id, data, at"
    };
}

/// Adds a row.
pub async fn add(tx: &mut Tx, line: &Audit) -> Result<()> {
    execute!(
        tx,
        concat!("INSERT INTO audits (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"),
        line.id,
        line.account_id,
        &line.actor,
        &line.action,
        &line.noun,
        line.noun_id,
        &line.request_id,
        &line.data,
        line.at
    )?;
    Ok(())
}

/// The account's audit, those above `after` by number.
pub async fn list(tx: &mut Tx, account: i64, after: i64, limit: i64) -> Result<Vec<Audit>> {
    rows!(
        tx,
        Audit,
        concat!("SELECT ", columns!(), " FROM audits WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3"),
        account,
        after,
        limit
    )
}
