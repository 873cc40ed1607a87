//! API keys: a public prefix to find the row, and the hash of the secret. The secret itself is never stored.

use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use crate::page::{Page, in_order};
use sendwright_workflows::clock::{MINUTE, Millis};
use serde_json::json;
use std::collections::BTreeSet;
use subtle::ConstantTimeEq;

/// A key to be stored.
#[derive(Debug, Clone)]
pub struct NewKey<'a> {
    /// Its row.
    pub id: i64,
    /// Whose key it is.
    pub account_id: i64,
    /// The user whose rights it inherits.
    pub user_id: i64,
    /// What people call it.
    pub name: &'a str,
    /// The public part, unique.
    pub prefix: &'a str,
    /// SHA-256 of the whole key, hex.
    pub hash: &'a str,
    /// What it may do; empty means everything its user may.
    pub scopes: &'a [String],
    /// The limits it lives under.
    pub tier: &'a str,
    /// `live` or `test`.
    pub mode: &'a str,
    /// When it stops working.
    pub expires_at: Option<Millis>,
}

/// A key as it is listed: nothing of it opens anything.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Key {
    /// Its row.
    pub id: i64,
    /// Its account: the one that asks, or that one's test twin.
    pub account_id: i64,
    /// The user whose rights it inherits.
    pub user_id: i64,
    /// What people call it.
    pub name: String,
    /// The public part.
    pub prefix: String,
    /// The user whose rights it inherits.
    pub user_email: String,
    /// A JSON array.
    scopes: String,
    /// The limits it lives under.
    pub tier: String,
    /// `live` or `test`.
    pub mode: String,
    /// When it stops working.
    pub expires_at: Option<Millis>,
    /// When it was revoked.
    pub revoked_at: Option<Millis>,
    /// About when it was last used: moved at most once a minute.
    pub last_used_at: Option<Millis>,
    /// When it was made.
    pub created_at: Millis,
}

impl Key {
    /// What it may do; empty means everything its user may.
    pub fn scopes(&self) -> Vec<String> {
        serde_json::from_str(&self.scopes).unwrap_or_default()
    }

    /// `active`, `expired` or `revoked`.
    pub fn state(&self, now: Millis) -> &'static str {
        match (self.revoked_at, self.expires_at) {
            (Some(_), _) => "revoked",
            (None, Some(at)) if at <= now => "expired",
            _ => "active",
        }
    }
}

/// A key with all that decides whether it is let in: one row, read anew at every request, so that a
/// revocation holds at once in every process.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Holder {
    /// The key's row.
    pub key_id: i64,
    /// Its account.
    pub account_id: i64,
    /// Its user.
    pub user_id: i64,
    /// Its user's e-mail (S1-07, `authenticated_user`).
    pub user_email: String,
    /// A JSON array.
    scopes: String,
    /// The tier's name.
    pub tier: String,
    /// `live` or `test`.
    pub mode: String,
    /// The tier's limits, a JSON object by dialect.
    pub limits: String,
    /// Whether user and account are active.
    pub active: bool,
    prefix: String,
    hash: String,
    /// When it stops working.
    pub expires_at: Option<Millis>,
    revoked_at: Option<Millis>,
    last_used_at: Option<Millis>,
}

impl Holder {
    /// The key's public part.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether `hash` is the key's, neither revoked nor expired; compared in constant time.
    pub fn opens(&self, hash: &str, now: Millis) -> bool {
        let same: bool = self.hash.as_bytes().ct_eq(hash.as_bytes()).into();
        same && self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }

    /// What it may do; empty means everything its user may.
    pub fn scopes(&self) -> Vec<String> {
        serde_json::from_str(&self.scopes).unwrap_or_default()
    }

    /// Whether `last_used_at` is old enough to be moved.
    pub fn is_stale(&self, now: Millis) -> bool {
        self.last_used_at.is_none_or(|at| now - at >= MINUTE)
    }
}

/// Inserts a key.
pub async fn insert(tx: &mut Tx, key: &NewKey<'_>, now: Millis) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO keys (id, account_id, user_id, name, prefix, hash, scopes, tier, mode, expires_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        key.id,
        key.account_id,
        key.user_id,
        key.name,
        key.prefix,
        key.hash,
        json!(key.scopes).to_string(),
        key.tier,
        key.mode,
        key.expires_at,
        now
    )?;
    Ok(())
}

/// The key with this public prefix.
pub async fn find(tx: &mut Tx, prefix: &str) -> Result<Option<Holder>> {
    Ok(find_all(tx, [prefix]).await?.pop())
}

/// The keys with these public prefixes, each once.
pub async fn find_all(tx: &mut Tx, prefixes: impl IntoIterator<Item = &str>) -> Result<Vec<Holder>> {
    let prefixes: Vec<[&str; 1]> = BTreeSet::from_iter(prefixes).into_iter().map(|prefix| [prefix]).collect();
    rows!(
        tx,
        Holder,
        "SELECT k.id AS key_id, k.account_id, k.user_id, u.email AS user_email, k.scopes, k.tier, k.mode, t.limits,
                u.active AND a.active AND COALESCE(p.active, TRUE) AS active,
                k.prefix, k.hash, k.expires_at, k.revoked_at, k.last_used_at
           FROM keys k
           JOIN users u ON u.id = k.user_id
           JOIN accounts a ON a.id = k.account_id
           LEFT JOIN accounts p ON p.id = a.parent_id
           JOIN tiers t ON t.name = k.tier
          WHERE k.prefix IN (SELECT e.value ->> 0 FROM json_each($1) AS e)",
        json!(prefixes).to_string()
    )
}

/// Notes that a key was used, unless another request did within the minute.
pub async fn touch(tx: &mut Tx, id: i64, now: Millis) -> Result<()> {
    execute!(
        tx,
        "UPDATE keys SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= $3)",
        id,
        now,
        now - MINUTE
    )?;
    Ok(())
}

macro_rules! selected {
    ($($where:literal)?) => {
        concat!(
            "SELECT k.id, k.account_id, k.user_id, k.name, k.prefix, u.email AS user_email, k.scopes, k.tier, k.mode,
                    k.expires_at, k.revoked_at, k.last_used_at, k.created_at
               FROM keys k JOIN users u ON u.id = k.user_id
              WHERE k.account_id IN (SELECT id FROM accounts WHERE id = $1
                                     UNION ALL SELECT id FROM accounts WHERE parent_id = $1 AND mode = 'test')",
            $($where)?
        )
    };
}

/// The keys of the account and of its test twin by number, those above `after`.
pub async fn list(tx: &mut Tx, account: i64, after: i64, limit: i64) -> Result<Vec<Key>> {
    rows!(tx, Key, selected!(" AND k.id > $2 ORDER BY k.id LIMIT $3"), account, after, limit)
}

/// The same, a page.
pub async fn page(tx: &mut Tx, account: i64, page: Page) -> Result<Vec<Key>> {
    rows!(
        tx,
        Key,
        in_order!(page, "k.", selected!()),
        account,
        page.after.0,
        page.after.1,
        page.limit,
        page.skip
    )
}

/// How many there are.
pub async fn count(tx: &mut Tx, account: i64) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM keys WHERE account_id IN (SELECT id FROM accounts WHERE id = $1
         UNION ALL SELECT id FROM accounts WHERE parent_id = $1 AND mode = 'test')";
    Ok(row!(tx, (i64,), sql, account)?.map_or(0, |r| r.0))
}

/// One key of the account or of its test twin.
pub async fn get(tx: &mut Tx, account: i64, id: i64) -> Result<Option<Key>> {
    row!(tx, Key, selected!(" AND k.id = $2"), account, id)
}

/// Lets a key of this account end at `at`, unless it ends before.
pub async fn expire(tx: &mut Tx, account: i64, id: i64, at: Millis) -> Result<()> {
    let sql = "UPDATE keys SET expires_at = CASE WHEN expires_at < $3 THEN expires_at ELSE $3 END
         WHERE account_id = $1 AND id = $2";
    execute!(tx, sql, account, id, at)?;
    Ok(())
}

/// Revokes a key of this account; again is no error. Whether there is such a key.
pub async fn revoke(tx: &mut Tx, account: i64, id: i64, now: Millis) -> Result<bool> {
    let sql = "UPDATE keys SET revoked_at = COALESCE(revoked_at, $3) WHERE account_id = $1 AND id = $2";
    Ok(execute!(tx, sql, account, id, now)? == 1)
}
