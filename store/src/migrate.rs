//! The schema: one set of migrations for both databases, and a sub-folder for what one alone needs.

use crate::db::Db;
use crate::error::{Error, Result};
use crate::values;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, SqlSafeStr};
use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

/// How long somebody else's turn, or a table in use, is left alone before it is asked for again.
const AGAIN: Duration = Duration::from_millis(200);
/// How often a table in use is asked for again: each time it is waited for some seconds.
const TIMES: u32 = 12;

/// (version, name, text); a version is used once over all folders.
const SHARED: &[(i64, &str, &str)] = &[
    (1, "create core", include_str!("../../migrations/0001_create_core.sql")),
    (3, "index told events", include_str!("../../migrations/0003_index_told_events.sql")),
    (5, "slim indexes", include_str!("../../migrations/0005_slim_indexes.sql")),
    (10, "create webhooks", include_str!("../../migrations/0010_create_webhooks.sql")),
    (30, "create inbound", include_str!("../../migrations/0030_create_inbound.sql")),
    (31, "extend sending_profiles", include_str!("../../migrations/0031_extend_sending_profiles.sql")),
    (20, "create runs", include_str!("../../migrations/0020_create_runs.sql")),
    (21, "index reactions", include_str!("../../migrations/0021_index_reactions.sql")),
    (22, "add spending", include_str!("../../migrations/0022_add_spending.sql")),
    (32, "create hits", include_str!("../../migrations/0032_create_hits.sql")),
    (40, "index test twins", include_str!("../../migrations/0040_index_test_twins.sql")),
    (41, "create usage", include_str!("../../migrations/0041_create_usage.sql")),
    (50, "add phones", include_str!("../../migrations/0050_add_phones.sql")),
    (60, "chain consents", include_str!("../../migrations/0060_chain_consents.sql")),
    (61, "create imports", include_str!("../../migrations/0061_create_imports.sql")),
    (70, "create audience", include_str!("../../migrations/0070_create_audience.sql")),
    (80, "extend inbound", include_str!("../../migrations/0080_extend_inbound.sql")),
    (81, "create callbacks", include_str!("../../migrations/0081_create_callbacks.sql")),
    (90, "extend phones", include_str!("../../migrations/0090_extend_phones.sql")),
    (100, "index reactions by channel", include_str!("../../migrations/0100_index_reactions_by_channel.sql")),
    (110, "add spend period", include_str!("../../migrations/0110_add_spend_period.sql")),
    (111, "index prunable", include_str!("../../migrations/0111_index_prunable.sql")),
    (130, "extend tiers", include_str!("../../migrations/0130_extend_tiers.sql")),
    (140, "add recovery", include_str!("../../migrations/0140_add_recovery.sql")),
    (150, "add waits", include_str!("../../migrations/0150_add_waits.sql")),
];
const POSTGRES: &[(i64, &str, &str)] = &[
    (2, "create json_each", include_str!("../../migrations/postgres/0002_create_json_each.sql")),
    (4, "replace json_each", include_str!("../../migrations/postgres/0004_replace_json_each.sql")),
    (11, "tune deliveries", include_str!("../../migrations/postgres/0011_tune_deliveries.sql")),
    (101, "index changes", include_str!("../../migrations/postgres/0101_index_changes.sql")),
    (151, "fill messages", include_str!("../../migrations/postgres/0151_fill_messages.sql")),
];

fn migrator(postgres: bool) -> Migrator {
    let mut all: Vec<_> = SHARED.iter().chain(if postgres { POSTGRES } else { &[] }).collect();
    all.sort_by_key(|m| m.0);
    let migrations = all
        .into_iter()
        .map(|&(version, name, text)| {
            // On SQLite only the exact words INTEGER PRIMARY KEY make the id the row's own address; BIGINT would
            // cost a second index on every table; and so would a key of several columns. A column that is added to a table
            // can only be reckoned there when it is read.
            let text = if postgres {
                text.to_owned()
            } else {
                text.replace("id BIGINT PRIMARY", "id INTEGER PRIMARY")
                    .replace("/* in the order of its key */", "WITHOUT ROWID")
                    .replace(") STORED", ") VIRTUAL")
            };
            Migration::new(
                version,
                name.into(),
                MigrationType::Simple,
                AssertSqlSafe(text).into_sql_str(),
                false,
            )
        })
        .collect();
    Migrator::with_migrations(migrations)
}

/// Brings the schema to this program's version. It may be killed and run again, and beside another: the second waits for
/// its turn.
///
/// # Errors
/// [`Error::Schema`]: the schema is newer than this program, or a step of it fails. [`Error::Again`]: somebody uses a table
/// for longer than is waited for.
pub async fn migrate(db: &Db) -> Result<()> {
    if let Some(version) = look(db).await?.newer {
        return Err(newer(version));
    }
    match db {
        Db::Postgres(pool) => on_postgres(pool).await?,
        Db::Sqlite { write, .. } => {
            let _turn = turn(write.connect_options().get_filename()).await?;
            migrator(false).run(write).await.map_err(failed)?;
        }
    }
    values::index_all(db).await
}

/// On a connection of its own: an index over many rows takes longer than any statement of a role may. A table that
/// somebody uses is waited for as long as by everybody else, since whoever comes meanwhile waits behind, and asked for again.
async fn on_postgres(pool: &PgPool) -> Result<()> {
    let options = pool.connect_options().as_ref().clone().options([("statement_timeout", "0")]);
    let mut connection = PgConnection::connect_with(&options).await?;
    let mut migrator = migrator(true);
    // Waiting for it in the database would be cut short by the same limits.
    migrator.set_locking(false);
    const LOCK: &str = "SELECT pg_try_advisory_lock(7303, 0)";
    while !sqlx::query_as::<_, (bool,)>(LOCK).fetch_one(&mut connection).await?.0 {
        tokio::time::sleep(AGAIN).await;
    }
    let mut left = TIMES;
    let done = loop {
        match migrator.run(&mut connection).await.map_err(failed) {
            Err(Error::Again(cause)) if left > 0 => {
                tracing::info!(%cause, "a table is in use; the schema's step is tried again");
                left -= 1;
                tokio::time::sleep(AGAIN).await;
            }
            done => break done,
        }
    };
    connection.close().await?; // Which gives the lock back.
    done
}

/// SQLite has no lock beyond a transaction: a file beside the database is it, as long as it is held.
async fn turn(database: &Path) -> Result<File> {
    let path = database.with_file_name("migrate.lock");
    let explain = |error: std::io::Error| Error::Schema(format!("{}: {error}", path.display()));
    let file = File::options().write(true).create(true).truncate(false).open(&path).map_err(explain)?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(AGAIN).await,
            Err(TryLockError::Error(error)) => return Err(explain(error)),
        }
    }
}

/// What passes by itself stays what it is.
fn failed(error: MigrateError) -> Error {
    match error {
        MigrateError::Execute(cause) => cause.into(),
        MigrateError::ExecuteMigration(cause, version) => match Error::from(cause) {
            error if error.passes() => error,
            Error::Defect(cause) => Error::Schema(format!("version {version} of the schema: {cause}")),
            other => Error::Schema(format!("version {version} of the schema: {other}")),
        },
        other => Error::Schema(format!("the schema could not be migrated: {other}")),
    }
}

fn newer(version: i64) -> Error {
    Error::Schema(format!(
        "the database's schema has version {version}, which this program does not know: run a newer sendwright"
    ))
}

/// A database's schema against this program's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The first version that this program does not know: a newer one has migrated. What runs already goes on, since
    /// no version takes away what the last one reads or writes.
    pub newer: Option<i64>,
    /// The first version that it needs and that is not there.
    pub lacks: Option<i64>,
}

/// Compares them.
pub async fn look(db: &Db) -> Result<Found> {
    let sql = "SELECT version FROM _sqlx_migrations WHERE success = TRUE ORDER BY version";
    let found: std::result::Result<Vec<(i64,)>, _> = match db {
        Db::Postgres(pool) => sqlx::query_as(sql).fetch_all(pool).await,
        Db::Sqlite { read, .. } => sqlx::query_as(sql).fetch_all(read).await,
    };
    let found: Vec<i64> = match found {
        Ok(rows) => rows.into_iter().map(|r| r.0).collect(),
        Err(error) => none_yet(error)?,
    };
    let wanted: Vec<i64> = migrator(db.is_postgres()).iter().map(|m| m.version).collect();
    Ok(Found {
        newer: found.iter().copied().find(|version| !wanted.contains(version)),
        lacks: wanted.iter().copied().find(|version| !found.contains(version)),
    })
}

/// Nothing, where a table is not there.
fn none_yet<T: Default>(error: sqlx::Error) -> Result<T> {
    match Error::from(error) {
        Error::Defect(sqlx::Error::Database(_)) => Ok(T::default()),
        other => Err(other),
    }
}

/// Refuses a schema that is older or newer than this program, or not finished.
///
/// # Errors
/// [`Error::Schema`] says what to do.
pub async fn check(db: &Db) -> Result<()> {
    match look(db).await? {
        Found { newer: Some(version), .. } => Err(newer(version)),
        Found { lacks: Some(version), .. } => Err(Error::Schema(format!(
            "the database's schema lacks version {version}: run `sendwright migrate` first"
        ))),
        _ if values::all_indexed(db).await? => Ok(()),
        _ => Err(Error::Schema("a migration was cut short: run `sendwright migrate` first".into())),
    }
}

/// Whether no program has worked with this SQLite database yet: its first start was cut short, or is still under way.
/// Whoever comes to it makes its schema.
pub async fn is_unborn(db: &Db) -> Result<bool> {
    let Db::Sqlite { read, .. } = db else { return Ok(false) };
    let epoch = sqlx::query_as::<_, (String,)>("SELECT value FROM meta WHERE name = 'epoch'");
    Ok(epoch.fetch_optional(read).await.or_else(none_yet)?.is_none())
}
