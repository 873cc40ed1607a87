//! A transaction on a Postgres that may fall silent. A network can lose a connection without telling anybody: nothing here
//! waits for ever, and a connection of which nobody knows what it is at is closed and never used again.

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Result, SqlSafeStr};
use std::future::Future;
use std::io::{Error, ErrorKind};
use std::ops::{Deref, DerefMut};
use std::time::Duration;
use tokio::time::timeout;

/// The longest that an answer is waited for, if nobody says less: the server itself ends a statement before that.
const PATIENCE: Duration = Duration::from_secs(35);
/// The same for what a server that lives does at once: the beginning of a transaction, and its undoing.
const AT_ONCE: Duration = Duration::from_secs(3);

/// A transaction. Dropped, it is undone.
pub struct PostgresTx {
    /// Until the end.
    connection: Option<PoolConnection<Postgres>>,
    patience: Duration,
    /// Something was asked and its answer has not been taken: what the connection is at is not known.
    is_asked: bool,
    is_over: bool,
}

impl PostgresTx {
    /// Begins one by a statement of its own, `BEGIN` or a longer one.
    pub(super) async fn begin(pool: &PgPool, statement: &'static str) -> Result<Self> {
        let mut tx = Self::unbegun(pool).await?;
        tx.say(statement, AT_ONCE).await?;
        Ok(tx)
    }

    /// Begins one and waits for a lock as its first statement, in one question.
    pub(super) async fn begin_behind(pool: &PgPool, lock: &str, patience: Duration) -> Result<Self> {
        let mut tx = Self::unbegun(pool).await?;
        tx.set_patience(patience);
        tx.say(AssertSqlSafe(format!("BEGIN; {lock}")), patience).await?;
        Ok(tx)
    }

    async fn unbegun(pool: &PgPool) -> Result<Self> {
        let connection = Some(pool.acquire().await?);
        Ok(Self { connection, patience: PATIENCE, is_asked: false, is_over: false })
    }

    pub(super) async fn commit(mut self) -> Result<()> {
        self.say("COMMIT", self.patience).await?;
        self.is_over = true;
        Ok(())
    }

    pub(super) async fn rollback(mut self) -> Result<()> {
        self.say("ROLLBACK", AT_ONCE).await?;
        self.is_over = true;
        Ok(())
    }

    async fn say(&mut self, statement: impl SqlSafeStr, patience: Duration) -> Result<()> {
        let answer = in_time(patience, sqlx::raw_sql(statement).execute(self.asked())).await;
        self.answered(answer).map(drop)
    }

    /// How long an answer may take.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    pub(super) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// The connection, for one statement. Whoever takes it hands the answer to [`PostgresTx::answered`], and is otherwise
    /// taken to have left in the middle of it.
    pub(crate) fn asked(&mut self) -> &mut PgConnection {
        self.is_asked = true;
        self
    }

    /// The answer; one that did not come in time leaves nothing to be asked.
    pub(crate) fn answered<T>(&mut self, answer: Result<T>) -> Result<T> {
        let is_late = matches!(&answer, Err(sqlx::Error::Io(error)) if error.kind() == ErrorKind::TimedOut);
        self.is_asked = is_late;
        answer
    }
}

/// An answer, or that it did not come in time.
pub(crate) async fn in_time<T>(patience: Duration, answer: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| Err(sqlx::Error::Io(Error::new(ErrorKind::TimedOut, "the database does not answer")));
    timeout(patience, answer).await.unwrap_or_else(late)
}

impl Deref for PostgresTx {
    type Target = PgConnection;

    #[allow(clippy::expect_used, reason = "it is taken by Drop alone")]
    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect("a transaction has its connection until its end")
    }
}

impl DerefMut for PostgresTx {
    #[allow(clippy::expect_used, reason = "it is taken by Drop alone")]
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("a transaction has its connection until its end")
    }
}

impl Drop for PostgresTx {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if self.is_asked {
            connection.close_on_drop();
        } else if !self.is_over {
            tokio::spawn(async move {
                let undone = in_time(AT_ONCE, sqlx::raw_sql("ROLLBACK").execute(&mut *connection)).await;
                if undone.is_err() {
                    connection.close_on_drop();
                }
            });
        }
    }
}
