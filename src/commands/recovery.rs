//! `recovery begin|status|release`: a backup was restored (docs/recovery.md).

use super::{campaign, open};
use crate::cli::{AccountArgs, ListArgs, RecoveryCommand, ReleaseArgs};
use crate::config::Config;
use crate::failure::Failure;
use crate::lock::RoleLock;
use crate::table;
use sendwright_api::operations::recovery;
use sendwright_api::{Actor, Core, Work};
use sendwright_store::restored::{self, Anew, HeldCampaign, Released, STRIDE, Terms};
use sendwright_store::{Db, Store, accounts, migrate};
use sendwright_worker::latest::Latest;
use sendwright_workflows::clock::rfc3339;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{self, Write};

/// Random beginnings of a line of time: so many times [`STRIDE`] stays far below what JavaScript counts exactly.
const LINES: u64 = 10_000;

/// Runs it.
///
/// # Errors
/// A role runs, the campaign is not held, or the database is not reached.
pub fn run(config: &Config, command: &RecoveryCommand) -> Result<(), Failure> {
    open::block_on(async {
        match command {
            RecoveryCommand::Begin => begin(config).await,
            RecoveryCommand::Status(args) => status(config, args).await,
            RecoveryCommand::Release(args) => release(config, args).await,
        }
    })
}

async fn begin(config: &Config) -> Result<(), Failure> {
    if config.database.sqlite_path().is_some_and(|path| !path.exists()) {
        return Err(Failure::new(format!("{} holds no database: restore it first", config.data.display())));
    }
    let _locks = [RoleLock::of(config, "worker")?, RoleLock::of(config, "scheduler")?];
    // One connection: whatever else is connected is somebody else.
    let db = Db::connect(config.database.url.reveal(), 1).await?;
    if config.database.is_embedded() {
        migrate::migrate(&db).await?;
    }
    let store = Store::open(db).await?;
    let now = open::now(&store).await?;
    let anew = anew(config, &store)?;
    let mut tx = store.begin().await?;
    match restored::others(&mut tx).await? {
        0 => {}
        others => {
            return Err(Failure::new(format!(
                "{others} other connections of sendwright are open on this database; stop every role first"
            )));
        }
    }
    let begun = restored::begin(&mut tx, &anew, now).await?;
    tx.commit().await?;
    let mut tx = store.read().await?;
    let held = restored::held(&mut tx, None).await?;
    tx.rollback().await?;
    store.db.close().await;
    let what = if begun.is_some() { "held" } else { "held already, and nothing has run since" };
    eprintln!("{} campaigns are {what}; `recovery status` lists them", held.len());
    eprintln!("start the roles as ever: nothing goes out before `recovery release`");
    Ok(())
}

/// What is random about it, and what the data directory knows that the backup cannot.
fn anew(config: &Config, store: &Store) -> Result<Anew, Failure> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).map_err(|error| Failure::new(format!("no randomness: {error}")))?;
    let (epoch, line) = random.split_at(8);
    let line = line.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)) % LINES;
    let latest = if config.has_data() { Latest::read(&config.data.join("latest")) } else { None };
    let lost = latest.map(|latest| latest.epochs_with(store.epoch())).unwrap_or_default();
    Ok(Anew { epoch: hex::encode(epoch), jump: STRIDE * (1 + line as i64), lost })
}

async fn status(config: &Config, args: &ListArgs) -> Result<(), Failure> {
    let store = open::store(config).await?;
    let mut tx = store.read().await?;
    let begun = restored::last(&mut tx).await?;
    let account = match &args.account.account {
        Some(name) => Some(accounts::by_name(&mut tx, name).await?.ok_or_else(|| no_account(name))?.id),
        None => None,
    };
    let held = restored::held(&mut tx, account).await?;
    tx.rollback().await?;
    match &begun {
        Some(begun) => {
            eprintln!("a recovery began at {}; {} campaigns are held", rfc3339(begun.at), held.len())
        }
        None => eprintln!("no backup was restored"),
    }
    let mut out = io::stdout().lock();
    if args.json {
        for c in held {
            let line = json!({"account": c.account, "campaign": c.id, "name": c.name, "was": c.held_from,
                "messages": c.messages, "people": c.people});
            writeln!(out, "{line}")?;
        }
        return Ok(());
    }
    let rows: Vec<Vec<String>> = held.into_iter().map(row).collect();
    if !rows.is_empty() {
        table::write(&mut out, &["account", "campaign", "name", "was", "messages", "people"], &rows)?;
    }
    Ok(())
}

fn row(c: HeldCampaign) -> Vec<String> {
    vec![c.account, c.id.to_string(), c.name, c.held_from, c.messages.to_string(), c.people.to_string()]
}

fn no_account(name: &str) -> Failure {
    Failure::new(format!("there is no account {name:?}; `account list` shows them"))
}

async fn release(config: &Config, args: &ReleaseArgs) -> Result<(), Failure> {
    let terms = args.until.map_or(Terms::All, Terms::Until);
    is_begun(config).await?;
    let mut sum = Released::default();
    let mut add = |done: Released| {
        sum.let_go += done.let_go;
        sum.uncertain += done.uncertain;
    };
    if let Some(face) = &args.campaign {
        let id = campaign::id(face)?;
        let named = AccountArgs { account: args.account.clone() };
        let (core, account) = open::core_in(config, &named).await?;
        add(release_one(&core, account.id, id, terms).await?);
        eprintln!("campaign {id} is released");
    } else {
        let core = open::core(config).await?;
        for (account, id) in all_held(&core, args.account.as_deref()).await? {
            add(release_one(&core, account, id, terms).await?);
        }
        eprintln!("nothing is held any more by the recovery");
    }
    let Released { let_go, uncertain } = sum;
    eprintln!("{let_go} messages may go, {uncertain} are uncertain: `messages list --state uncertain`");
    Ok(())
}

/// Refuses where no recovery has begun.
async fn is_begun(config: &Config) -> Result<(), Failure> {
    let store = open::store(config).await?;
    let mut tx = store.read().await?;
    let begun = restored::last(&mut tx).await?;
    tx.rollback().await?;
    store.db.close().await;
    begun.map(drop).ok_or_else(|| Failure::new("no backup was restored: nothing is held"))
}

/// Every campaign that is held, and 0 for the test sends of each account, as (account, campaign).
async fn all_held(core: &Core, account: Option<&str>) -> Result<BTreeSet<(i64, i64)>, Failure> {
    let mut tx = core.store.read().await?;
    let mut all = BTreeSet::new();
    for found in accounts::list(&mut tx, 0, i64::MAX).await? {
        if account.is_none_or(|name| name == found.name) {
            all.insert((found.id, 0));
            all.extend(restored::held(&mut tx, Some(found.id)).await?.iter().map(|c| (c.account_id, c.id)));
        }
    }
    tx.rollback().await?;
    match (account, all.is_empty()) {
        (Some(name), true) => Err(no_account(name)),
        _ => Ok(all),
    }
}

async fn release_one(core: &Core, account: i64, campaign: i64, terms: Terms) -> Result<Released, Failure> {
    let mut work = Work::new(core, Actor::command(account))?;
    let done = match campaign {
        0 => recovery::release_tests(&mut work, terms).await?,
        campaign => recovery::release(&mut work, campaign, terms).await?,
    };
    work.commit().await?;
    Ok(done)
}
