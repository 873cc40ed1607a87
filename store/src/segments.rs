//! Segments: who is meant, and how many they are.

mod query;
mod sql;

pub use query::{Reached, in_window, people};

use crate::db::{Tx, execute, row, rows};
use crate::error::{Error, Result};
use crate::page::{Page, in_order};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::segment::Filter;
use sendwright_workflows::sequence::Channel;
use sendwright_workflows::spec::{self, SegmentBody};
use serde_json::Value;

/// A stored segment.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Segment {
    /// Its row.
    pub id: i64,
    /// Whose it is.
    pub account_id: i64,
    /// What people call it.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// The tree of conditions as it was given: a JSON object.
    pub criteria: String,
    /// How many people were in it when it was last evaluated.
    pub size: i64,
    /// When it was made.
    pub created_at: Millis,
    /// When it was last changed.
    pub updated_at: Millis,
}

impl Segment {
    /// The tree of conditions, understood.
    pub fn filter(&self) -> Result<Filter> {
        filter_of("segments", self.id, &self.criteria)
    }
}

/// Reads a stored tree of conditions.
pub(crate) fn filter_of(table: &'static str, id: i64, criteria: &str) -> Result<Filter> {
    let misread = |detail| Error::Stored { table, column: "criteria", id, detail };
    let value: Value = serde_json::from_str(criteria).map_err(|e| misread(e.to_string()))?;
    spec::filter(&value).map_err(|faults| misread(spec::sentence(&faults)))
}

macro_rules! columns {
    () => {
        "id, account_id, name, description, criteria, size, created_at, updated_at"
    };
}

/// Inserts a segment.
pub async fn insert(tx: &mut Tx, (account, id): (i64, i64), body: &SegmentBody, now: Millis) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO segments (id, account_id, name, description, criteria, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $6)",
        id,
        account,
        &body.name,
        &body.description,
        body.criteria.to_string(),
        now
    )?;
    Ok(())
}

/// Replaces what a segment says; whether the account has it.
pub async fn update(tx: &mut Tx, (account, id): (i64, i64), body: &SegmentBody, now: Millis) -> Result<bool> {
    let changed = execute!(
        tx,
        "UPDATE segments SET name = $3, description = $4, criteria = $5, updated_at = $6
          WHERE account_id = $1 AND id = $2 AND deleted_at IS NULL",
        account,
        id,
        &body.name,
        &body.description,
        body.criteria.to_string(),
        now
    )?;
    Ok(changed == 1)
}

/// Keeps how many people are in a segment.
pub async fn resize(tx: &mut Tx, id: i64, size: i64) -> Result<()> {
    execute!(tx, "UPDATE segments SET size = $2 WHERE id = $1", id, size)?;
    Ok(())
}

/// The account's segment with this number; a deleted one is not there.
pub async fn get(tx: &mut Tx, account: i64, id: i64) -> Result<Option<Segment>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM segments WHERE account_id = $1 AND id = $2 AND deleted_at IS NULL"
    );
    row!(tx, Segment, SQL, account, id)
}

/// The same, and nobody deletes it before this transaction ends.
pub async fn hold(tx: &mut Tx, account: i64, id: i64) -> Result<Option<Segment>> {
    if !tx.is_postgres() {
        return get(tx, account, id).await;
    }
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM segments WHERE account_id = $1 AND id = $2 AND deleted_at IS NULL FOR SHARE"
    );
    row!(tx, Segment, SQL, account, id)
}

/// The account's segments by age.
pub async fn list(tx: &mut Tx, account: i64, page: Page) -> Result<Vec<Segment>> {
    rows!(
        tx,
        Segment,
        in_order!(
            page,
            "",
            "SELECT ",
            columns!(),
            " FROM segments WHERE account_id = $1 AND deleted_at IS NULL"
        ),
        account,
        page.after.0,
        page.after.1,
        page.limit,
        page.skip
    )
}

/// How many segments the account has.
pub async fn count(tx: &mut Tx, account: i64) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM segments WHERE account_id = $1 AND deleted_at IS NULL";
    Ok(row!(tx, (i64,), sql, account)?.map_or(0, |r| r.0))
}

/// A campaign that is not over and has this segment: its number and name.
pub async fn user(tx: &mut Tx, account: i64, id: i64) -> Result<Option<(i64, String)>> {
    let sql = "SELECT id, name FROM campaigns WHERE account_id = $1 AND segment_id = $2
                AND state IN ('draft', 'scheduled', 'running', 'paused') ORDER BY id LIMIT 1";
    row!(tx, (i64, String), sql, account, id)
}

/// Deletes a segment; whether the account had it. Campaigns that are over keep its name.
pub async fn delete(tx: &mut Tx, account: i64, id: i64, now: Millis) -> Result<bool> {
    if tx.is_postgres() {
        let held = "SELECT id FROM segments WHERE account_id = $1 AND id = $2 FOR UPDATE";
        row!(&mut *tx, (i64,), held, account, id)?;
    }
    let sql = "UPDATE segments SET deleted_at = $3 WHERE account_id = $1 AND id = $2 AND deleted_at IS NULL";
    Ok(execute!(tx, sql, account, id, now)? == 1)
}

/// How many contacts are meant.
pub async fn size(tx: &mut Tx, account: i64, filter: &Filter, now: Millis) -> Result<i64> {
    people(account, filter, now).count(tx).await
}

/// Some of those who are meant, at most `most`: their numbers, or addresses where they have none.
pub async fn sample(
    tx: &mut Tx,
    account: i64,
    filter: &Filter,
    now: Millis,
    most: i64,
) -> Result<Vec<String>> {
    people(account, filter, now).sample(tx, most).await
}

/// How many of those who are meant can be reached on one of these channels.
pub async fn reach(
    tx: &mut Tx,
    account: i64,
    filter: &Filter,
    channels: &[Channel],
    now: Millis,
) -> Result<i64> {
    people(account, filter, now).reachable(tx, channels).await
}
