//! One SQL text, two databases: pools, transactions, and the macros that run a statement on either driver.

use crate::error::{Error, Result};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, PgPool, SqlitePool};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

mod postgres;
mod sqlite;

pub use postgres::PostgresTx;
pub(crate) use postgres::in_time;
pub use sqlite::SqliteTx;

/// The class of the accounts' barriers among advisory locks.
const BARRIER: i64 = 7_301;
/// How long a caller waits for a connection before it is told that the database is not available.
const ACQUIRE: Duration = Duration::from_secs(3);

/// A connection that rested longer is asked whether it lives before it is used: the server may be another by now.
const RESTED: Duration = Duration::from_secs(1);
/// How long its answer may take: a new connection still fits into what a caller waits.
const PING: Duration = Duration::from_secs(1);

/// Runs one statement of a transaction on Postgres, and does not wait for ever.
macro_rules! ask {
    ($tx:expr, $query:expr, $how:ident) => {{
        let patience = $tx.patience();
        let answer = $crate::db::in_time(patience, $query.$how($tx.asked())).await;
        $tx.answered(answer)
    }};
}

/// Runs a statement with its parameters on either driver: `execute!(tx, SQL, a, b)? -> rows affected`.
macro_rules! execute {
    ($tx:expr, $sql:expr $(, $bind:expr)* $(,)?) => {
        match $tx {
            $crate::db::Tx::Postgres(t) => $crate::db::ask!(t, sqlx::query($sql)$(.bind($bind))*, execute)
                .map(|done| done.rows_affected()),
            $crate::db::Tx::Sqlite(t) => sqlx::query($sql)$(.bind($bind))*.execute(&mut **t).await
                .map(|done| done.rows_affected()),
        }.map_err($crate::error::Error::from)
    };
}

/// Every row of a query: `rows!(tx, Type, SQL, a, b)? -> Vec<Type>`; a tuple is a type too.
macro_rules! rows {
    ($tx:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => {
        match $tx {
            $crate::db::Tx::Postgres(t) => $crate::db::ask!(t, sqlx::query_as::<_, $row>($sql)$(.bind($bind))*, fetch_all),
            $crate::db::Tx::Sqlite(t) => sqlx::query_as::<_, $row>($sql)$(.bind($bind))*.fetch_all(&mut **t).await,
        }.map_err($crate::error::Error::from)
    };
}

/// At most one row: `row!(tx, Type, SQL, a, b)? -> Option<Type>`.
macro_rules! row {
    ($tx:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => {
        match $tx {
            $crate::db::Tx::Postgres(t) => {
                $crate::db::ask!(t, sqlx::query_as::<_, $row>($sql)$(.bind($bind))*, fetch_optional)
            }
            $crate::db::Tx::Sqlite(t) => sqlx::query_as::<_, $row>($sql)$(.bind($bind))*.fetch_optional(&mut **t).await,
        }.map_err($crate::error::Error::from)
    };
}

pub(crate) use {ask, execute, row, rows};

/// The database by its URL's scheme.
#[derive(Debug, Clone)]
pub enum Db {
    /// `postgres://`: any number of processes.
    Postgres(PgPool),
    /// `sqlite://`: one writing connection per process, so that writers queue here and not in SQLITE_BUSY.
    Sqlite {
        /// One connection; every transaction is IMMEDIATE from its first read.
        write: SqlitePool,
        /// Readers; WAL lets them run beside the writer.
        read: SqlitePool,
    },
}

/// A transaction on either database.
pub enum Tx {
    /// On Postgres.
    Postgres(PostgresTx),
    /// On SQLite.
    Sqlite(SqliteTx),
}

impl Db {
    /// Opens the pools. `postgres://…` or `sqlite://PATH`; a SQLite file is created where it is missing.
    pub async fn connect(url: &str, connections: u32) -> Result<Self> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url)
                .map_err(|_| {
                    Error::Schema("DATABASE_URL does not read as postgres://user:password@host/name".into())
                })?
                .application_name("sendwright")
                .options([
                    ("synchronous_commit", "on"),
                    ("statement_timeout", "30s"),
                    ("lock_timeout", "5s"),
                    // A process that is stopped within a transaction keeps nobody else waiting for its locks.
                    ("idle_in_transaction_session_timeout", "4s"),
                    // Every statement is made for an index. A plan that was cached while a table was small would scan
                    // it for ever after, and compiling plans costs more than running them.
                    ("enable_seqscan", "off"),
                    ("random_page_cost", "1.1"),
                    ("jit", "off"),
                ])
                .statement_cache_capacity(300);
            let pool = PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(ACQUIRE)
                .test_before_acquire(false)
                .before_acquire(|connection, meta| {
                    Box::pin(async move {
                        if meta.idle_for > RESTED {
                            in_time(PING, connection.ping()).await?;
                        }
                        Ok(true)
                    })
                });
            return Ok(Db::Postgres(pool.connect_with(options).await?));
        }
        match url.strip_prefix("sqlite://") {
            Some(path) => Self::open_sqlite(Path::new(path), connections).await,
            None => Err(Error::Schema("DATABASE_URL must start with postgres:// or sqlite://".into())),
        }
    }

    async fn open_sqlite(path: &Path, connections: u32) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // FULL: a commit that was answered is on the disk (promise 1).
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            .foreign_keys(true)
            .pragma("cache_size", "-65536")
            .pragma("temp_store", "memory")
            .statement_cache_capacity(300);
        let pool = || {
            SqlitePoolOptions::new()
                .acquire_timeout(Duration::from_secs(10))
                .idle_timeout(None)
                .test_before_acquire(false)
        };
        let write = pool().max_connections(1).connect_with(options.clone()).await?;
        let read = pool().max_connections(connections.max(2)).connect_with(options).await?;
        Ok(Db::Sqlite { write, read })
    }

    /// A writing transaction.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(match self {
            Db::Postgres(pool) => Tx::Postgres(PostgresTx::begin(pool, "BEGIN").await?),
            Db::Sqlite { write, .. } => Tx::Sqlite(SqliteTx::begin(write, "BEGIN IMMEDIATE").await?),
        })
    }

    /// A writing transaction behind an account's shared barrier, each answer of which may take so long. On Postgres that is
    /// one question, where [`Db::begin`] and [`Tx::barrier`] are two.
    pub async fn begin_behind(&self, account: i64, patience: Duration) -> Result<Tx> {
        let Db::Postgres(pool) = self else { return self.begin().await };
        let lock = format!("SELECT pg_advisory_xact_lock_shared({BARRIER}, {})", key(account));
        Ok(Tx::Postgres(PostgresTx::begin_behind(pool, &lock, patience).await?))
    }

    /// A transaction that only reads: one snapshot on SQLite, beside the writer.
    pub async fn read(&self) -> Result<Tx> {
        Ok(match self {
            Db::Postgres(pool) => Tx::Postgres(PostgresTx::begin(pool, "BEGIN").await?),
            Db::Sqlite { read, .. } => Tx::Sqlite(SqliteTx::begin(read, "BEGIN").await?),
        })
    }

    /// The same, and every statement of it sees the database at one instant, on Postgres too.
    pub async fn snapshot(&self) -> Result<Tx> {
        Ok(match self {
            Db::Postgres(pool) => {
                let statement = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
                Tx::Postgres(PostgresTx::begin(pool, statement).await?)
            }
            Db::Sqlite { read, .. } => Tx::Sqlite(SqliteTx::begin(read, "BEGIN").await?),
        })
    }

    /// Copies an SQLite database into a new file, as it was at one instant, while others write. Postgres has its own
    /// ways: [`Error::Schema`].
    pub async fn copy_to(&self, file: &Path) -> Result<()> {
        let Db::Sqlite { read, .. } = self else {
            return Err(Error::Schema("Postgres is copied by pg_dump".into()));
        };
        sqlx::query("VACUUM INTO $1").bind(file.to_string_lossy().into_owned()).execute(read).await?;
        Ok(())
    }

    /// Whether this is Postgres: several processes, advisory locks, row locks.
    pub fn is_postgres(&self) -> bool {
        matches!(self, Db::Postgres(_))
    }

    /// Closes every connection; the WAL is checkpointed by the last one.
    pub async fn close(&self) {
        match self {
            Db::Postgres(pool) => pool.close().await,
            Db::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
        }
    }
}

impl Tx {
    /// Makes it durable. An error leaves the outcome unknown: the caller re-reads before it acts on it.
    pub async fn commit(self) -> Result<()> {
        match self {
            Tx::Postgres(tx) => tx.commit().await?,
            Tx::Sqlite(tx) => tx.commit().await?,
        }
        Ok(())
    }

    /// Undoes it.
    pub async fn rollback(self) -> Result<()> {
        match self {
            Tx::Postgres(tx) => tx.rollback().await?,
            Tx::Sqlite(tx) => tx.rollback().await?,
        }
        Ok(())
    }

    /// How long each answer of the server may take from now on, COMMIT's included: less than the usual, for whoever has
    /// something better to do than to wait for a connection that is dead. On SQLite there is no such thing.
    pub fn answer_within(&mut self, patience: Duration) {
        if let Tx::Postgres(tx) = self {
            tx.set_patience(patience);
        }
    }

    /// Whether this runs on Postgres.
    pub fn is_postgres(&self) -> bool {
        matches!(self, Tx::Postgres(_))
    }

    /// Lets Postgres read tables in the order in which they lie, up to the end of this transaction: for statements over
    /// most of an account's rows. All others are made for an index ([`Db::connect`]).
    pub async fn read_widely(&mut self) -> Result<()> {
        if !self.is_postgres() {
            return Ok(());
        }
        // Planned anew each time: a plan from when a table was small is none for later.
        let sql =
            "SELECT set_config('enable_seqscan', 'on', TRUE), set_config('random_page_cost', '4', TRUE),
                          set_config('plan_cache_mode', 'force_custom_plan', TRUE)";
        execute!(self, sql)?;
        Ok(())
    }

    /// The account's barrier (SEND_PROTOCOL 4): shared by intents, exclusive for whatever forbids. Always a
    /// statement of its own, before anything is read.
    pub async fn barrier(&mut self, account: i64, exclusive: bool) -> Result<()> {
        self.wait_for(BARRIER, account, exclusive).await
    }

    /// The lock of an account's addresses: whoever writes consent, or whose contact a number is, takes it before it
    /// reads either, behind the barrier and campaigns and before contacts.
    pub async fn lock_addresses(&mut self, account: i64) -> Result<()> {
        self.wait_for(7_302, account, true).await
    }

    /// The door of a campaign: whoever comes in holds it together with others, whoever changes the campaign holds it alone, and
    /// takes it before the row. It is no lock of the row, because Postgres lets those who share a row pass whoever waits to have
    /// it alone, for ever; here nobody passes.
    pub(crate) async fn door(&mut self, campaign: i64, exclusive: bool) -> Result<()> {
        self.wait_for(7_303, campaign, exclusive).await
    }

    /// An advisory lock up to the end of the transaction, in turn. On SQLite the IMMEDIATE transaction is it.
    async fn wait_for(&mut self, class: i64, of: i64, exclusive: bool) -> Result<()> {
        if !self.is_postgres() {
            return Ok(());
        }
        let sql = match exclusive {
            true => "SELECT pg_advisory_xact_lock(CAST($1 AS INT), CAST($2 AS INT))",
            false => "SELECT pg_advisory_xact_lock_shared(CAST($1 AS INT), CAST($2 AS INT))",
        };
        execute!(self, sql, class, key(of))?;
        Ok(())
    }
}

/// An id as an advisory lock names it beside its class.
fn key(id: i64) -> i64 {
    id % i64::from(i32::MAX)
}

/// While it lives, statements of its transaction end when their time is over.
#[must_use]
pub struct Deadline(Arc<AtomicBool>);

impl Drop for Deadline {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Tx {
    /// Ends statements of this transaction, and so itself, that are at work at `until`: [`Error::TooSlow`].
    pub async fn until(&mut self, until: Instant) -> Result<Deadline> {
        let counts = Arc::new(AtomicBool::new(true));
        let deadline = Deadline(counts.clone());
        match self {
            Tx::Postgres(_) => {
                let left = until.saturating_duration_since(Instant::now()).as_millis().max(1);
                execute!(self, "SELECT set_config('statement_timeout', $1, TRUE)", left.to_string())?;
            }
            Tx::Sqlite(tx) => {
                // The handler stays on the connection, and says yes to everything once the deadline is dropped.
                let may_go_on = move || !counts.load(Ordering::Relaxed) || Instant::now() < until;
                tx.lock_handle().await?.set_progress_handler(50_000, may_go_on);
            }
        }
        Ok(deadline)
    }
}
