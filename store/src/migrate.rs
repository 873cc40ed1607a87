//! The schema: one set of migrations for both databases, and a sub-folder for what one alone needs.

use crate::db::Db;
use crate::error::{Error, Result};
use crate::values;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr};

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
];
const POSTGRES: &[(i64, &str, &str)] = &[
    (2, "create json_each", include_str!("../../migrations/postgres/0002_create_json_each.sql")),
    (4, "replace json_each", include_str!("../../migrations/postgres/0004_replace_json_each.sql")),
    (11, "tune deliveries", include_str!("../../migrations/postgres/0011_tune_deliveries.sql")),
    (101, "index changes", include_str!("../../migrations/postgres/0101_index_changes.sql")),
];

fn migrator(postgres: bool) -> Migrator {
    let mut all: Vec<_> = SHARED.iter().chain(if postgres { POSTGRES } else { &[] }).collect();
    all.sort_by_key(|m| m.0);
    let migrations = all
        .into_iter()
        .map(|&(version, name, text)| {
            // On SQLite only the exact words INTEGER PRIMARY KEY make the id the row's own address; BIGINT would
            // cost a second index on every table; and so would a key of several columns.
            let text = if postgres {
                text.to_owned()
            } else {
                text.replace("id BIGINT PRIMARY", "id INTEGER PRIMARY")
                    .replace("/* in the order of its key */", "WITHOUT ROWID")
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

/// Brings the schema to this program's version. Safe to run twice and beside another: the second waits.
pub async fn migrate(db: &Db) -> Result<()> {
    let done = match db {
        Db::Postgres(pool) => migrator(true).run(pool).await,
        Db::Sqlite { write, .. } => migrator(false).run(write).await,
    };
    done.map_err(|error| Error::Schema(format!("the schema could not be migrated: {error}")))?;
    values::index_all(db).await
}

/// Refuses a schema that is older or newer than this program.
pub async fn check(db: &Db) -> Result<()> {
    let sql = "SELECT version FROM _sqlx_migrations WHERE success = TRUE ORDER BY version";
    let found: std::result::Result<Vec<(i64,)>, _> = match db {
        Db::Postgres(pool) => sqlx::query_as(sql).fetch_all(pool).await,
        Db::Sqlite { read, .. } => sqlx::query_as(sql).fetch_all(read).await,
    };
    let found: Vec<i64> = match found {
        Ok(rows) => rows.into_iter().map(|r| r.0).collect(),
        Err(sqlx::Error::Database(_)) => Vec::new(),
        Err(other) => return Err(other.into()),
    };
    let wanted: Vec<i64> = migrator(db.is_postgres()).iter().map(|m| m.version).collect();
    if let Some(newer) = found.iter().find(|v| !wanted.contains(v)) {
        return Err(Error::Schema(format!(
            "the database's schema has version {newer}, which this program does not know: run a newer sendwright"
        )));
    }
    match wanted.iter().find(|v| !found.contains(v)) {
        Some(missing) => Err(Error::Schema(format!(
            "the database's schema lacks version {missing}: run `sendwright migrate` first"
        ))),
        None => Ok(()),
    }
}
