//! `key create|list|revoke`. A key is shown once; the database knows its hash.

use super::account::user_name;
use super::open;
use crate::cli::{AccountArgs, KeyCommand, KeyCreateArgs, ListArgs};
use crate::config::Config;
use crate::failure::Failure;
use crate::table;
use sendwright_api::scope;
use sendwright_store::accounts::{self, Account};
use sendwright_store::keys::{self, Key, NewKey};
use sendwright_store::users::User;
use sendwright_store::{Store, tiers, users};
use sendwright_workflows::clock::{Millis, rfc3339};
use sendwright_workflows::ids::{self, Kind};
use sendwright_workflows::signing::{ApiKey, Mode};
use serde_json::json;
use std::io::{self, Write};

/// Runs it.
///
/// # Errors
/// The tier, user or key is unknown, or the database is not reached.
pub fn run(config: &Config, command: KeyCommand) -> Result<(), Failure> {
    open::block_on(async {
        let store = open::store(config).await?;
        let now = open::now(&store).await?;
        match command {
            KeyCommand::Create(args) => {
                let key = create(&store, &args, now).await?;
                writeln!(io::stdout(), "{key}")?;
                Ok(())
            }
            KeyCommand::List(args) => list(&store, &args, now).await,
            KeyCommand::Revoke { key, account } => revoke(&store, &key, &account, now).await,
        }
    })
}

/// Makes a key and gives its one and only copy.
///
/// # Errors
/// As [`run`].
pub async fn create(store: &Store, args: &KeyCreateArgs, now: Millis) -> Result<String, Failure> {
    let name = args.name.trim();
    if name.is_empty() || name.chars().count() > 200 || name.contains(char::is_control) {
        return Err(Failure::input(vec!["--name must be one line of 1 to 200 characters".to_owned()]));
    }
    if let Some(wrong) = args.scopes.iter().find(|word| !scope::known().contains(word)) {
        let known = scope::known().join(", ");
        return Err(Failure::input(vec![format!("--scope: there is no scope {wrong:?}; there are {known}")]));
    }
    let main = open::account(store, &args.account, now).await?;
    let account = if args.test { accounts::twin(store, &main, now).await? } else { main.clone() };
    let (id, audit) = (store.ids.one("keys").await?, store.ids.one("audits").await?);
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random).map_err(|error| Failure::new(format!("no randomness: {error}")))?;
    let mode = if account.mode == "test" { Mode::Test } else { Mode::Live };
    let key = ApiKey::generate(mode, random);
    let mut tx = store.begin().await?;
    if !tiers::exists(&mut tx, &args.tier).await? {
        let known = tiers::names(&mut tx).await?.join(", ");
        return Err(Failure::input(vec![format!("--tier: there is no such tier; there are {known}")]));
    }
    let user = find_user(&mut tx, &main, args.user.as_deref()).await?;
    let new = NewKey {
        id,
        account_id: account.id,
        user_id: user.id,
        name,
        prefix: key.prefix(),
        hash: &key.hash(),
        scopes: &args.scopes,
        tier: &args.tier,
        mode: &account.mode,
        expires_at: None,
    };
    keys::insert(&mut tx, &new, now).await?;
    open::audit(&mut tx, audit, main.id, ("create", "key", id), now).await?;
    tx.commit().await?;
    Ok(key.reveal().to_owned())
}

/// The user named, or the account's first active one.
async fn find_user(
    tx: &mut sendwright_store::Tx,
    account: &Account,
    email: Option<&str>,
) -> Result<User, Failure> {
    let found = match email {
        Some(email) => users::by_email(tx, account.id, &user_name(email)?).await?,
        None => users::list(tx, account.id, 0, 1_000).await?.into_iter().find(|user| user.active),
    };
    let missing = || {
        Failure::new(format!("account {:?} has no such active user; `user create` makes one", account.name))
    };
    found.filter(|user| user.active).ok_or_else(missing)
}

async fn all(store: &Store, account: &Account) -> Result<Vec<Key>, Failure> {
    let mut tx = store.read().await?;
    let keys = keys::list(&mut tx, account.id, 0, 100_000).await?;
    tx.rollback().await?;
    Ok(keys)
}

async fn list(store: &Store, args: &ListArgs, now: Millis) -> Result<(), Failure> {
    let account = open::account(store, &args.account, now).await?;
    let keys = all(store, &account).await?;
    let mut out = io::stdout().lock();
    if args.json {
        for key in &keys {
            let line = json!({"id": key.id, "name": key.name, "prefix": key.prefix, "user": key.user_email,
                "scopes": key.scopes(), "tier": key.tier, "mode": key.mode, "state": key.state(now),
                "last_used_at": key.last_used_at.map(rfc3339), "created_at": rfc3339(key.created_at)});
            writeln!(out, "{line}")?;
        }
        return Ok(());
    }
    let row = |key: Key| {
        let (state, used) = (key.state(now), key.last_used_at.map(rfc3339).unwrap_or_default());
        vec![key.id.to_string(), key.name, key.prefix, key.user_email, key.tier, state.to_owned(), used]
    };
    let rows: Vec<Vec<String>> = keys.into_iter().map(row).collect();
    Ok(table::write(&mut out, &["id", "name", "prefix", "user", "tier", "state", "last used"], &rows)?)
}

async fn revoke(store: &Store, key: &str, account: &AccountArgs, now: Millis) -> Result<(), Failure> {
    let account = open::account(store, account, now).await?;
    let id = ids::parse(Kind::Key, key);
    let found = all(store, &account).await?.into_iter().find(|row| Some(row.id) == id || row.prefix == key);
    let missing =
        || Failure::new(format!("account {:?} has no such key; `key list` shows them", account.name));
    let found = found.ok_or_else(missing)?;
    let audit = store.ids.one("audits").await?;
    let mut tx = store.begin().await?;
    keys::revoke(&mut tx, found.account_id, found.id, now).await?;
    open::audit(&mut tx, audit, account.id, ("revoke", "key", found.id), now).await?;
    tx.commit().await?;
    eprintln!("revoked: {} opens nothing from now on", found.prefix);
    Ok(())
}
