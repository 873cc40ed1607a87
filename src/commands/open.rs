//! Opening the database for a command.

use crate::config::Config;
use crate::failure::Failure;
use sendwright_store::clock::DatabaseClock;
use sendwright_store::{migrate, Db, Store};
use sendwright_workflows::clock::{Clock, Millis};
use std::future::Future;

/// Runs one command's future to its end.
///
/// # Errors
/// The command's own; or the runtime does not start.
pub fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build()?.block_on(future)
}

/// The pools alone, whatever schema they meet.
///
/// # Errors
/// The data directory cannot be made, or the database is not reached.
pub async fn connect(config: &Config) -> Result<Db, Failure> {
    if config.database.is_embedded() {
        let explain = |error| Failure::new(format!("{}: {error}", config.data.display()));
        std::fs::create_dir_all(&config.data).map_err(explain)?;
    }
    Ok(Db::connect(config.database.url.reveal(), config.database.connections).await?)
}

/// The database as commands use it, beside a running `up`; a new SQLite file gets its schema first.
///
/// # Errors
/// The database is not reached, or its schema is not this program's.
pub async fn store(config: &Config) -> Result<Store, Failure> {
    let is_new = match config.database.url.reveal().strip_prefix("sqlite://") {
        Some(path) => !std::path::Path::new(path).exists(),
        None => false,
    };
    let db = connect(config).await?;
    if is_new {
        migrate::migrate(&db).await?;
    }
    Ok(Store::open(db).await?)
}

/// The present business instant by the database's clock.
///
/// # Errors
/// The database is not reached.
pub async fn now(store: &Store) -> Result<Millis, Failure> {
    let clock = DatabaseClock::new(store.db.clone());
    clock.sample().await?;
    clock.now().ok_or_else(|| Failure::unavailable("the database did not tell its time"))
}
