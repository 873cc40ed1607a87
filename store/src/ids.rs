//! Numbers for rows: one i64 per row, per table from 1, taken in blocks.

use crate::db::{Db, execute, row};
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::timeout;

/// How long whoever finds a block used up waits for another who fetches the next: as long as for a connection.
const PATIENCE: Duration = Duration::from_secs(3);

/// The present block of a table; held while the next is fetched.
type Block = Arc<tokio::sync::Mutex<Range<i64>>>;

/// Allocates ids. A block is reserved in its own committed transaction, before the work's transaction begins:
/// a crash loses numbers, never doubles them.
#[derive(Clone)]
pub struct Ids {
    db: Db,
    blocks: Arc<Mutex<HashMap<&'static str, Block>>>,
}

impl Ids {
    /// An allocator with no block yet.
    pub fn new(db: Db) -> Self {
        Self { db, blocks: Arc::default() }
    }

    /// `count` ascending, adjoining numbers for `table`. Call it before `begin`: on SQLite the one writing
    /// connection may not be held already.
    pub async fn take(&self, table: &'static str, count: usize) -> Result<Range<i64>> {
        let count = count as i64;
        let block = self.block(table);
        let waited = timeout(PATIENCE, block.lock()).await;
        let mut block = waited.map_err(|_| Error::Unavailable(sqlx::Error::PoolTimedOut))?;
        if block.end - block.start < count {
            let size = (count - (block.end - block.start)).max(block_size(table));
            let fresh = self.reserve(table, size).await?;
            *block = match fresh.start == block.end && !block.is_empty() {
                true => block.start..fresh.end,
                // Another process took the numbers between: a run must adjoin, so the rest is let go.
                false if fresh.end - fresh.start >= count => fresh,
                false => self.reserve(table, count.max(block_size(table))).await?,
            };
        }
        let taken = block.start..block.start + count;
        block.start = taken.end;
        Ok(taken)
    }

    fn block(&self, table: &'static str) -> Block {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).entry(table).or_default().clone()
    }

    /// One number for `table`.
    pub async fn one(&self, table: &'static str) -> Result<i64> {
        Ok(self.take(table, 1).await?.start)
    }

    async fn reserve(&self, table: &'static str, size: i64) -> Result<Range<i64>> {
        let mut tx = self.db.begin().await?;
        tx.answer_within(PATIENCE);
        execute!(
            &mut tx,
            // A table that is first used after a recovery may have been used in what was lost.
            "INSERT INTO id_blocks (name, next)
             VALUES ($1, COALESCE((SELECT CAST(value AS BIGINT) FROM meta WHERE name = 'first_id'), 1))
             ON CONFLICT (name) DO NOTHING",
            table
        )?;
        let next = row!(
            &mut tx,
            (i64,),
            "UPDATE id_blocks SET next = next + $2 WHERE name = $1 RETURNING next",
            table,
            size
        )?;
        tx.commit().await?;
        let end = next.map(|n| n.0).unwrap_or(1 + size);
        Ok(end - size..end)
    }
}

/// Busy tables take large blocks; what people number by hand stays dense.
fn block_size(table: &str) -> i64 {
    match table {
        "messages" | "attempts" | "events" | "audits" | "consents" | "mailbox" | "deliveries"
        | "callbacks" => 1_024,
        "contacts" | "enrolments" | "inbound" => 64,
        _ => 1,
    }
}
