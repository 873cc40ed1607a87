//! Who an address belongs to, deleted contacts included.

use crate::db::{Tx, execute, rows};
use crate::error::Result;
use serde_json::json;
use std::collections::BTreeSet;

/// A contact by its addresses.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Known {
    /// Its row.
    pub id: i64,
    /// Its e-mail key.
    pub email_key: Option<String>,
    /// Its number.
    pub phone_key: Option<String>,
    /// It is deleted.
    pub deleted: bool,
}

/// The account's contacts that have one of these e-mail keys or numbers, each once.
pub async fn known(tx: &mut Tx, account: i64, emails: &[&str], phones: &[&str]) -> Result<Vec<Known>> {
    // Each key once, and joined: Postgres plans an IN over all of the account's contacts while they are few, and that plan
    // stays for many. CROSS: SQLite turns any other join round, and then walks them all for every key.
    let list = |keys: &[&str]| {
        let once: BTreeSet<&str> = keys.iter().copied().collect();
        json!(once.into_iter().map(|key| [key]).collect::<Vec<_>>()).to_string()
    };
    let mut found = Vec::new();
    if !emails.is_empty() {
        found = rows!(
            &mut *tx,
            Known,
            "SELECT c.id, c.email_key, c.phone_key, c.state = 'deleted' AS deleted
             FROM json_each($2) AS e CROSS JOIN contacts c WHERE c.account_id = $1 AND c.email_key = e.value ->> 0",
            account,
            list(emails)
        )?;
    }
    if !phones.is_empty() {
        let by_phone = rows!(
            tx,
            Known,
            "SELECT c.id, c.email_key, c.phone_key, c.state = 'deleted' AS deleted
             FROM json_each($2) AS e CROSS JOIN contacts c WHERE c.account_id = $1 AND c.phone_key = e.value ->> 0",
            account,
            list(phones)
        )?;
        found.extend(by_phone);
        found.sort_unstable_by_key(|contact| contact.id);
        found.dedup();
    }
    Ok(found)
}

/// Takes addresses from deleted contacts, for whoever lives and has them now; what was written stays in `email` and
/// `phone`. The caller holds the lock of the account's addresses.
pub async fn release(tx: &mut Tx, account: i64, emails: &[i64], phones: &[i64]) -> Result<()> {
    let list = |ids: &[i64]| json!(ids.iter().map(|id| [*id]).collect::<Vec<_>>()).to_string();
    if !emails.is_empty() {
        execute!(
            &mut *tx,
            "UPDATE contacts SET email_key = NULL WHERE account_id = $1 AND state = 'deleted'
                AND id IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM json_each($2) AS e)",
            account,
            list(emails)
        )?;
    }
    if !phones.is_empty() {
        execute!(
            tx,
            "UPDATE contacts SET phone_key = NULL, phone_hash = NULL, consent = NULL
              WHERE account_id = $1 AND state = 'deleted'
                AND id IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM json_each($2) AS e)",
            account,
            list(phones)
        )?;
    }
    Ok(())
}
