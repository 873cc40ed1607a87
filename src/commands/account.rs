//! `account create|list` and `user create|disable`: tenants and their people.

use super::open;
use crate::cli::{AccountArgs, AccountCommand, UserCommand};
use crate::config::Config;
use crate::failure::Failure;
use crate::table;
use sendwright_api::operations::spending::{self, MOST_CAP};
use sendwright_api::{Actor, Work};
use sendwright_store::users::User;
use sendwright_store::{Error, Store, accounts, users};
use sendwright_workflows::clock::rfc3339;
use sendwright_workflows::spend::Period;
use sendwright_workflows::{spec, spend};
use serde_json::json;
use std::io::{self, Write};

/// Runs `account …`.
///
/// # Errors
/// The name is taken or does not read, or the database is not reached.
pub fn account(config: &Config, command: AccountCommand) -> Result<(), Failure> {
    open::block_on(async {
        let store = open::store(config).await?;
        match command {
            AccountCommand::Create { name, owner, timezone } => {
                create(&store, &name, &owner, &timezone).await
            }
            AccountCommand::List { json } => list(&store, json).await,
            AccountCommand::Cap { amount, period, account } => {
                let period = period.as_deref().and_then(Period::parse);
                cap(config, amount.as_deref(), period, &account).await
            }
        }
    })
}

async fn cap(
    config: &Config,
    amount: Option<&str>,
    period: Option<Period>,
    args: &AccountArgs,
) -> Result<(), Failure> {
    let refused = || Failure::input(vec!["the cap must be an amount of 0 or more, or none".to_owned()]);
    let cap = match amount {
        None | Some("none") => None,
        Some(text) => {
            let cap = text.parse().ok().map(|cap: f64| cap * 1_000_000.0);
            let cap = cap.filter(|cap| (0.0..=MOST_CAP as f64).contains(cap)).ok_or_else(refused)?;
            Some(cap as i64)
        }
    };
    let (core, account) = open::core_in(config, args).await?;
    if amount.is_some() {
        let mut work = Work::new(&core, Actor::command(account.id))?;
        spending::set_cap(&mut work, cap, period).await?;
        work.commit().await?;
    }
    let now = spending::get(&core, account.id).await?;
    let over = match now.period {
        Period::Total => "",
        Period::Monthly => " a month",
        Period::Daily => " a day",
    };
    let cap = now.cap.map_or_else(|| "none".to_owned(), |cap| format!("{}{over}", spend::amount(cap)));
    Ok(writeln!(
        io::stdout(),
        "cap {cap}, spent {}, reserved {}",
        spend::amount(now.spent),
        spend::amount(now.reserved)
    )?)
}

async fn create(store: &Store, name: &str, owner: &str, timezone: &str) -> Result<(), Failure> {
    let now = open::now(store).await?;
    let refused = |what: &str| Failure::input(vec![what.to_owned()]);
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 200 || name.contains(char::is_control) {
        return Err(refused("the account's name must be one line of 1 to 200 characters"));
    }
    let owner = user_name(owner)?;
    let zone = spec::zone(timezone).map_err(|why| refused(&format!("--timezone: {why}")))?;
    let made =
        accounts::create(store, name, &owner, zone.name(), now).await.map_err(|error| match error {
            Error::Duplicate => refused(&format!("there is an account {name:?} already")),
            other => other.into(),
        })?;
    let audit = store.ids.one("audits").await?;
    let mut tx = store.begin().await?;
    open::audit(&mut tx, audit, made.id, ("create", "account", made.id), now).await?;
    tx.commit().await?;
    writeln!(io::stdout(), "{}", made.id)?;
    Ok(())
}

async fn list(store: &Store, json: bool) -> Result<(), Failure> {
    let mut tx = store.read().await?;
    let accounts = accounts::list(&mut tx, 0, 10_000).await?;
    tx.rollback().await?;
    let mut out = io::stdout().lock();
    if json {
        for a in &accounts {
            let created = rfc3339(a.created_at);
            let line = json!({"id": a.id, "name": a.name, "mode": a.mode, "timezone": a.timezone,
                              "active": a.active, "created_at": created});
            writeln!(out, "{line}")?;
        }
        return Ok(());
    }
    let rows: Vec<Vec<String>> = accounts
        .into_iter()
        .map(|a| vec![a.id.to_string(), a.name, a.mode, a.timezone, yes(a.active), rfc3339(a.created_at)])
        .collect();
    Ok(table::write(&mut out, &["id", "name", "mode", "timezone", "active", "created"], &rows)?)
}

/// Runs `user …`.
///
/// # Errors
/// The address is taken, unknown or does not read, or the database is not reached.
pub fn user(config: &Config, command: UserCommand) -> Result<(), Failure> {
    open::block_on(async {
        let store = open::store(config).await?;
        let now = open::now(&store).await?;
        let audit = store.ids.one("audits").await?;
        match command {
            UserCommand::Create { email, account } => {
                let account = open::account(&store, &account, now).await?;
                let id = store.ids.one("users").await?;
                let email = user_name(&email)?;
                let role = "owner".to_owned();
                let user = User { id, account_id: account.id, email, role, active: true, created_at: now };
                let mut tx = store.begin().await?;
                users::insert(&mut tx, &user).await.map_err(|error| match error {
                    Error::Duplicate => Failure::input(vec!["the account has this user already".to_owned()]),
                    other => other.into(),
                })?;
                open::audit(&mut tx, audit, account.id, ("create", "user", id), now).await?;
                tx.commit().await?;
                writeln!(io::stdout(), "{id}")?;
            }
            UserCommand::Disable { email, account } => {
                let account = open::account(&store, &account, now).await?;
                let mut tx = store.begin().await?;
                let user = users::by_email(&mut tx, account.id, &user_name(&email)?).await?;
                let missing = || Failure::new(format!("account {:?} has no such user", account.name));
                let user = user.ok_or_else(missing)?;
                users::set_active(&mut tx, account.id, user.id, false).await?;
                open::audit(&mut tx, audit, account.id, ("disable", "user", user.id), now).await?;
                tx.commit().await?;
                eprintln!("disabled: every key of this user is answered with 403 from now on");
            }
        }
        Ok(())
    })
}

/// A user's name is an address, or like one: `owner@localhost` has never received mail.
pub fn user_name(text: &str) -> Result<String, Failure> {
    let text = text.trim().to_lowercase();
    let halves = text.split_once('@').is_some_and(|(local, host)| !local.is_empty() && !host.is_empty());
    match halves && text.len() <= 254 && !text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        true => Ok(text),
        false => Err(Failure::input(vec![
            "a user is named by an e-mail address, such as owner@example.com".to_owned(),
        ])),
    }
}

fn yes(flag: bool) -> String {
    if flag { "yes" } else { "no" }.to_owned()
}
