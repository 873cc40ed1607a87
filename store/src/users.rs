//! Users: people of an account. A key inherits its user's rights and dies with them.

use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use sendwright_workflows::clock::Millis;

/// A person of an account.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct User {
    /// Its row.
    pub id: i64,
    /// Whose user it is.
    pub account_id: i64,
    /// Unique in the account, kept as given.
    pub email: String,
    /// `owner`.
    pub role: String,
    /// Keys of an inactive user are refused (S1-55).
    pub active: bool,
    /// When it was made.
    pub created_at: Millis,
}

macro_rules! columns {
    () => {
        "id, account_id, email, role, active, created_at"
    };
}

/// Inserts a user; the e-mail taken is [`crate::Error::Duplicate`].
pub async fn insert(tx: &mut Tx, user: &User) -> Result<()> {
    execute!(
        tx,
        concat!("INSERT INTO users (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6)"),
        user.id,
        user.account_id,
        &user.email,
        &user.role,
        user.active,
        user.created_at
    )?;
    Ok(())
}

/// The account's user with this e-mail.
pub async fn by_email(tx: &mut Tx, account: i64, email: &str) -> Result<Option<User>> {
    row!(
        tx,
        User,
        concat!("SELECT ", columns!(), " FROM users WHERE account_id = $1 AND email = $2"),
        account,
        email
    )
}

/// The account's users by number, those above `after`.
pub async fn list(tx: &mut Tx, account: i64, after: i64, limit: i64) -> Result<Vec<User>> {
    rows!(
        tx,
        User,
        concat!("SELECT ", columns!(), " FROM users WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3"),
        account,
        after,
        limit
    )
}

/// Enables or disables a user and with it every key of it, at once. Whether there is such a user.
pub async fn set_active(tx: &mut Tx, account: i64, id: i64, active: bool) -> Result<bool> {
    let sql = "UPDATE users SET active = $3 WHERE account_id = $1 AND id = $2";
    Ok(execute!(tx, sql, account, id, active)? == 1)
}
