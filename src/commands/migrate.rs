//! `migrate`: the schema to this program's version. Safe to run twice and beside another.

use super::open;
use crate::config::Config;
use crate::failure::Failure;
use crate::lock::RoleLock;
use sendwright_store::migrate;

/// Runs it. On SQLite it takes both roles' locks: nobody works while the schema changes.
///
/// # Errors
/// The database is not reached, a role runs beside it, or a step of the schema fails.
pub fn run(config: &Config) -> Result<(), Failure> {
    open::block_on(async {
        let db = open::connect(config).await?;
        let locks = match config.database.is_embedded() {
            true => vec![RoleLock::take(&config.data, "worker")?, RoleLock::take(&config.data, "scheduler")?],
            false => Vec::new(),
        };
        migrate::migrate(&db).await?;
        db.close().await;
        drop(locks);
        eprintln!("the schema is up to date");
        Ok(())
    })
}
