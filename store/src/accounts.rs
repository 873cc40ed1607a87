//! Accounts: tenants. Every other row names one.

use crate::Store;
use crate::db::{Tx, execute, row, rows};
use crate::error::{Error, Result};
use crate::sending_profiles::{self, NewProfile};
use crate::users::{self, User};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::sequence::Channel;

/// The account that a first start makes.
pub const DEFAULT: &str = "default";
/// The user that a first start makes.
pub const OWNER: &str = "owner@localhost";

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Account {
    /// Its row.
    pub id: i64,
    /// The account above it: of an agency's client, of a test twin.
    pub parent_id: Option<i64>,
    /// Unique over all accounts.
    pub name: String,
    /// `live` or `test`.
    pub mode: String,
    /// The zone of contacts and campaigns that have none.
    pub timezone: String,
    /// An account that is not active sends nothing and answers nobody.
    pub active: bool,
    /// When it was made.
    pub created_at: Millis,
}

macro_rules! columns {
    () => {
        "id, parent_id, name, mode, timezone, active, created_at"
    };
}

/// Inserts an account; its name taken is [`Error::Duplicate`].
pub async fn insert(tx: &mut Tx, account: &Account) -> Result<()> {
    execute!(
        tx,
        concat!("INSERT INTO accounts (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7)"),
        account.id,
        account.parent_id,
        &account.name,
        &account.mode,
        &account.timezone,
        account.active,
        account.created_at
    )?;
    Ok(())
}

/// The account with this number.
pub async fn get(tx: &mut Tx, id: i64) -> Result<Option<Account>> {
    row!(tx, Account, concat!("SELECT ", columns!(), " FROM accounts WHERE id = $1"), id)
}

/// The account with this name.
pub async fn by_name(tx: &mut Tx, name: &str) -> Result<Option<Account>> {
    row!(tx, Account, concat!("SELECT ", columns!(), " FROM accounts WHERE name = $1"), name)
}

/// Accounts by number, those above `after`.
pub async fn list(tx: &mut Tx, after: i64, limit: i64) -> Result<Vec<Account>> {
    rows!(
        tx,
        Account,
        concat!("SELECT ", columns!(), " FROM accounts WHERE id > $1 ORDER BY id LIMIT $2"),
        after,
        limit
    )
}

/// The account's test twin, made where there is none: a child account with rows and a sending profile of its own,
/// whose messages only ever go to the mailbox. A twin is its own twin. Its keys belong to the parent's users.
pub async fn twin(store: &Store, account: &Account, now: Millis) -> Result<Account> {
    if account.mode == "test" {
        return Ok(account.clone());
    }
    for _ in 0..2 {
        let mut tx = store.read().await?;
        let found = twin_of(&mut tx, account.id).await?;
        tx.rollback().await?;
        if let Some(found) = found {
            return Ok(found);
        }
        let (id, profile) = (store.ids.one("accounts").await?, store.ids.one("sending_profiles").await?);
        let made = Account {
            id,
            parent_id: Some(account.id),
            name: format!("{} (test)", account.name),
            mode: "test".to_owned(),
            created_at: now,
            ..account.clone()
        };
        let mut tx = store.begin().await?;
        match insert(&mut tx, &made).await {
            Ok(()) => {
                sending_profiles::insert(&mut tx, &NewProfile::default_of(profile, id, Channel::Email), now)
                    .await?;
                tx.commit().await?;
                return Ok(made);
            }
            // Another process made it in between: look again.
            Err(Error::Duplicate) => tx.rollback().await?,
            Err(other) => return Err(other),
        }
    }
    Err(Error::Duplicate)
}

/// The account's test twin.
pub async fn twin_of(tx: &mut Tx, account: i64) -> Result<Option<Account>> {
    let sql = concat!("SELECT ", columns!(), " FROM accounts WHERE parent_id = $1 AND mode = 'test'");
    row!(tx, Account, sql, account)
}

/// Accounts that are nobody's twin, at most two.
async fn own(tx: &mut Tx) -> Result<Vec<Account>> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM accounts WHERE parent_id IS NULL OR mode = 'live' ORDER BY id LIMIT 2"
    );
    rows!(tx, Account, sql)
}

/// The only account there is, test twins aside; `None` where there are several.
pub async fn only(tx: &mut Tx) -> Result<Option<Account>> {
    let mut found = own(tx).await?;
    Ok(if found.len() == 1 { found.pop() } else { None })
}

/// Makes an account with its owner and its default sending profile, which follows the process's transport.
/// Its name taken is [`Error::Duplicate`].
pub async fn create(store: &Store, name: &str, owner: &str, timezone: &str, now: Millis) -> Result<Account> {
    let (id, user, profile) = (
        store.ids.one("accounts").await?,
        store.ids.one("users").await?,
        store.ids.one("sending_profiles").await?,
    );
    let account = Account {
        id,
        parent_id: None,
        name: name.to_owned(),
        mode: "live".to_owned(),
        timezone: timezone.to_owned(),
        active: true,
        created_at: now,
    };
    let mut tx = store.begin().await?;
    insert(&mut tx, &account).await?;
    let user = User {
        id: user,
        account_id: id,
        email: owner.to_owned(),
        role: "owner".into(),
        active: true,
        created_at: now,
    };
    users::insert(&mut tx, &user).await?;
    sending_profiles::insert(&mut tx, &NewProfile::default_of(profile, id, Channel::Email), now).await?;
    tx.commit().await?;
    Ok(account)
}

/// The first start: makes account [`DEFAULT`] with user [`OWNER`] where there is no account at all, and
/// gives the only account otherwise. `None`: there are several, and the caller must name one.
pub async fn first_or_only(store: &Store, now: Millis) -> Result<Option<Account>> {
    for _ in 0..2 {
        let mut tx = store.read().await?;
        let mut found = own(&mut tx).await?;
        tx.rollback().await?;
        if found.len() > 1 {
            return Ok(None);
        }
        if let Some(only) = found.pop() {
            return Ok(Some(only));
        }
        match create(store, DEFAULT, OWNER, "UTC", now).await {
            Ok(made) => return Ok(Some(made)),
            // Another process made it in between: look again.
            Err(Error::Duplicate) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(None)
}
