//! Opening the database for a command.

use crate::cli::AccountArgs;
use crate::compose;
use crate::config::{Config, secret};
use crate::failure::Failure;
use sendwright_api::Core;
use sendwright_queue::Queue;
use sendwright_store::accounts::{self, Account};
use sendwright_store::audits::{self, Audit};
use sendwright_store::clock::DatabaseClock;
use sendwright_store::secrets::Seals;
use sendwright_store::{Db, Store, Tx, migrate};
use sendwright_workflows::clock::{Clock, Millis};
use std::future::Future;
use std::sync::Arc;

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
        config.need_data()?;
    }
    Ok(Db::connect(config.database.url.reveal(), config.database.connections).await?)
}

/// The database as commands use it, beside a running `up`; a new SQLite file gets its schema first.
///
/// # Errors
/// The database is not reached, or its schema is not this program's.
pub async fn store(config: &Config) -> Result<Store, Failure> {
    let db = connect(config).await?;
    if migrate::is_unborn(&db).await? {
        migrate::migrate(&db).await?;
    }
    Ok(Store::open(db).await?)
}

/// What operations need, beside a running `up` or alone. Hints go nowhere: the workers ask the database themselves
/// within a second.
///
/// # Errors
/// As [`store`]; or the secret cannot be read.
pub async fn core(config: &Config) -> Result<Core, Failure> {
    let store = store(config).await?;
    let clock = DatabaseClock::new(store.db.clone());
    clock.sample().await?;
    tokio::spawn(compose::keep_time(clock.clone()));
    // On Postgres most commands need none; what seals something asks for it.
    let may = config.secret.is_some() || config.database.is_embedded();
    let secrets = if may { secret::load(config)? } else { Vec::new() };
    Ok(Core { store, queue: Queue::embedded().0, clock: Arc::new(clock), seals: Seals::new(&secrets) })
}

/// [`core`], and the account the command works in.
///
/// # Errors
/// As [`core`] and [`account`].
pub async fn core_in(config: &Config, args: &AccountArgs) -> Result<(Core, Account), Failure> {
    let core = core(config).await?;
    let account = account(&core.store, args, core.now()?).await?;
    Ok((core, account))
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

/// The account a command works in: the one named, or the only one there is. An empty store gets its first.
///
/// # Errors
/// There is no such account; or there are several and none is named, and they are listed.
pub async fn account(store: &Store, args: &AccountArgs, now: Millis) -> Result<Account, Failure> {
    if let Some(name) = &args.account {
        let mut tx = store.read().await?;
        let found = accounts::by_name(&mut tx, name).await?;
        tx.rollback().await?;
        return found
            .ok_or_else(|| Failure::new(format!("there is no account {name:?}; `account list` shows them")));
    }
    if let Some(only) = accounts::first_or_only(store, now).await? {
        return Ok(only);
    }
    let mut tx = store.read().await?;
    let names: Vec<String> = accounts::list(&mut tx, 0, 50).await?.into_iter().map(|a| a.name).collect();
    Err(Failure::new(format!("there are several accounts, say which with --account: {}", names.join(", "))))
}

/// One line of the audit: what a person did by command.
///
/// # Errors
/// The database's own.
pub async fn audit(
    tx: &mut Tx,
    id: i64,
    account: i64,
    what: (&str, &str, i64),
    at: Millis,
) -> Result<(), Failure> {
    let (action, noun, noun_id) = what;
    let line = Audit {
        id,
        account_id: account,
        actor: "command".to_owned(),
        action: action.to_owned(),
        noun: noun.to_owned(),
        noun_id: Some(noun_id),
        request_id: None,
        data: "{}".to_owned(),
        at,
    };
    Ok(audits::add(tx, &line).await?)
}
