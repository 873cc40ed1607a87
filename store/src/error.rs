//! What can go wrong with the truth, by what the caller should do.

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
            return match code.as_str() {
                // Serialization failure, deadlock, lock timeout; SQLITE_BUSY and its kin.
                "40001" | "40P01" | "55P03" | "5" | "6" | "261" | "517" => Error::Again(error),
                // A statement timeout; SQLITE_INTERRUPT.
                "57014" | "9" => Error::TooSlow(error),
                // Connection, resources, operator intervention; SQLITE_FULL, IOERR, CANTOPEN; a read-only server, and
                // a transaction that stood idle for too long.
                code if code.starts_with("08") || code.starts_with("53") || code.starts_with("57") => {
                    Error::Unavailable(error)
                }
                "13" | "10" | "14" | "25006" | "25P03" => Error::Unavailable(error),
                _ => Error::Defect(error),
            };
        }
        match error {
            E::Io(_) | E::Tls(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::Protocol(_) => {
                Error::Unavailable(error)
            }
            other => Error::Defect(other),
        }
    }
}

impl Error {
    /// Whether the same call may succeed later without anybody mending anything.
    pub fn passes(&self) -> bool {
        matches!(self, Error::Again(_) | Error::Unavailable(_) | Error::TooSlow(_))
    }
}
