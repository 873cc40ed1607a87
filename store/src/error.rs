//! What can go wrong with the truth, by what the caller should do.

use sqlx::sqlite::SqliteError;

/// An error of the database or of what it holds.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A row with the same unique name, address or key is there.
    #[error("already exists")]
    Duplicate,
    /// Two transactions crossed (40001, 40P01, SQLITE_BUSY): the same call may succeed when repeated.
    #[error("the database asks to try again")]
    Again(#[source] sqlx::Error),
    /// The database is away, full or overloaded: answered with 503, repeated later.
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// A statement took longer than it may, and was ended.
    #[error("the database took too long")]
    TooSlow(#[source] sqlx::Error),
    /// A row does not read as it should, or a statement is wrong: a defect.
    #[error("the database answered what it should not")]
    Defect(#[source] sqlx::Error),
    /// A stored value does not parse: a defect, or a hand in the database.
    #[error("{table}.{column} of row {id} does not read: {detail}")]
    Stored {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row.
        id: i64,
        /// What the parser said.
        detail: String,
    },
    /// A sealed secret does not open with the configured `SENDWRIGHT_SECRET`.
    #[error("a stored secret does not open: SENDWRIGHT_SECRET is not the one it was sealed with")]
    Sealed,
    /// The schema is not the one this program was built for.
    #[error("{0}")]
    Schema(String),
}

/// The result of every store function.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        if let E::Database(database) = &error {
            if database.is_unique_violation() {
                return Error::Duplicate;
            }
            let code = database.code().unwrap_or_default().into_owned();
            return counted(match database.try_downcast_ref::<SqliteError>() {
                Some(_) => of_sqlite(&code, error),
                None => of_postgres(&code, error),
            });
        }
        counted(match error {
            E::Io(_) | E::Tls(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::Protocol(_) => {
                Error::Unavailable(error)
            }
            other => Error::Defect(other),
        })
    }
}

/// What a database did not do shows in the metrics, whoever repeats it.
fn counted(error: Error) -> Error {
    let kind = match &error {
        Error::Again(_) => "again",
        Error::Unavailable(_) => "unavailable",
        Error::TooSlow(_) => "too_slow",
        _ => "defect",
    };
    metrics::counter!("sendwright_database_errors_total", "kind" => kind).increment(1);
    error
}

fn of_postgres(code: &str, error: sqlx::Error) -> Error {
    match code {
        // Serialization failure, deadlock, lock timeout.
        "40001" | "40P01" | "55P03" => Error::Again(error),
        // A statement timeout.
        "57014" => Error::TooSlow(error),
        // A read-only server, and a transaction that stood idle for too long.
        "25006" | "25P03" => Error::Unavailable(error),
        // Connection, resources, operator intervention, the system beneath it.
        code if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => {
            Error::Unavailable(error)
        }
        _ => Error::Defect(error),
    }
}

/// SQLite tells with each kind of error which of its kin it was: 778 is an IOERR (10) while it wrote.
fn of_sqlite(code: &str, error: sqlx::Error) -> Error {
    match code.parse().unwrap_or(0) & 0xff {
        // BUSY, LOCKED, PROTOCOL.
        5 | 6 | 15 => Error::Again(error),
        // INTERRUPT.
        9 => Error::TooSlow(error),
        // NOMEM, READONLY, IOERR, FULL, CANTOPEN.
        7 | 8 | 10 | 13 | 14 => Error::Unavailable(error),
        _ => Error::Defect(error),
    }
}

impl Error {
    /// Whether the same call may succeed later without anybody mending anything.
    pub fn passes(&self) -> bool {
        matches!(self, Error::Again(_) | Error::Unavailable(_) | Error::TooSlow(_))
    }
}
