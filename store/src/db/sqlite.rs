//! A transaction on SQLite. SQLite itself undoes one when the disk fails beneath it, at its end as well: whatever is left of
//! it is undone here, and a connection that does not take even that is closed. There is one that writes; it must not be lost.

use sqlx::pool::PoolConnection;
use sqlx::{Result, Sqlite, SqliteConnection, SqlitePool};
use std::ops::{Deref, DerefMut};

/// A transaction. Dropped, it is undone.
pub struct SqliteTx {
    /// Until the end.
    connection: Option<PoolConnection<Sqlite>>,
    is_over: bool,
}

impl SqliteTx {
    /// Begins one by a statement of its own, `BEGIN` or `BEGIN IMMEDIATE`.
    pub(super) async fn begin(pool: &SqlitePool, statement: &'static str) -> Result<Self> {
        let mut tx = Self { connection: Some(pool.acquire().await?), is_over: false };
        tx.say(statement).await?;
        Ok(tx)
    }

    pub(super) async fn commit(mut self) -> Result<()> {
        self.say("COMMIT").await?;
        self.is_over = true;
        Ok(())
    }

    pub(super) async fn rollback(mut self) -> Result<()> {
        self.say("ROLLBACK").await?;
        self.is_over = true;
        Ok(())
    }

    async fn say(&mut self, statement: &'static str) -> Result<()> {
        sqlx::raw_sql(statement).execute(&mut **self).await.map(drop)
    }
}

impl Deref for SqliteTx {
    type Target = SqliteConnection;

    #[allow(clippy::expect_used, reason = "it is taken by Drop alone")]
    fn deref(&self) -> &SqliteConnection {
        self.connection.as_ref().expect("a transaction has its connection until its end")
    }
}

impl DerefMut for SqliteTx {
    #[allow(clippy::expect_used, reason = "it is taken by Drop alone")]
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.connection.as_mut().expect("a transaction has its connection until its end")
    }
}

impl Drop for SqliteTx {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take().filter(|_| !self.is_over) else { return };
        tokio::spawn(async move {
            // Nothing to undo is an error too, and a new connection costs little.
            if sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await.is_err() {
                connection.close_on_drop();
            }
        });
    }
}
