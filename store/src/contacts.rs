//! Contacts: people. One row per person and account, whichever of its addresses it is known by; a deleted one that comes back is revived, not re-made.

mod known;
mod people;

pub use known::{Known, known, release};
pub use people::{by_phone, count_by_consent, counts_by_consent, list_by_consent};

use crate::consents::standing;
use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use crate::page::{Page, in_order};
use crate::values;
use sendwright_workflows::clock::Millis;
use serde_json::json;
use std::collections::HashSet;

/// What a contact says of itself: the columns a caller may set.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Details {
    /// The caller's own id, echoed.
    pub external_id: Option<String>,
    /// The address as it goes on the wire.
    pub email: Option<String>,
    /// The normalised address, unique in the account.
    pub email_key: Option<String>,
    /// The salted hash that suppressions and messages carry.
    pub email_hash: Option<String>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Company.
    pub company: Option<String>,
    /// Job title.
    pub title: Option<String>,
    /// As it was given (S1-23).
    pub phone: Option<String>,
    /// The same in E.164, unique in the account; none where it is not, or is another contact's.
    pub phone_key: Option<String>,
    /// The salted hash of that.
    pub phone_hash: Option<String>,
    /// As it was given.
    pub website: Option<String>,
    /// Line of business.
    pub industry: Option<String>,
    /// IANA zone.
    pub timezone: Option<String>,
    /// A JSON object: every field that has no column.
    pub attributes: String,
}

/// A stored contact.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Contact {
    /// Its row.
    pub id: i64,
    /// Whose contact it is.
    pub account_id: i64,
    /// What it says of itself.
    #[sqlx(flatten)]
    pub details: Details,
    /// What was last said of its number, the strictest of its channels: `opt_in`, `opt_out` or `stop`.
    pub consent: Option<String>,
    /// `active` or `deleted`.
    pub state: String,
    /// When it was made, or came back.
    pub created_at: Millis,
    /// When it was last changed.
    pub updated_at: Millis,
}

macro_rules! columns {
    () => {
        "id, account_id, external_id, email, email_key, email_hash, first_name, last_name, company, title,
         phone, phone_key, phone_hash, website, industry, timezone, attributes, consent, state, created_at, updated_at"
    };
}

use columns;

/// Inserts contacts by their rows' ids in one statement. Those whose address the account has already, also in
/// a deleted contact, are passed over: the ids that went in come back.
pub async fn insert(tx: &mut Tx, account: i64, new: &[(i64, &Details)], now: Millis) -> Result<HashSet<i64>> {
    if new.is_empty() {
        return Ok(HashSet::new());
    }
    let inserted = rows!(
        &mut *tx,
        (i64,),
        concat!(
            "INSERT INTO contacts (",
            columns!(),
            ") SELECT CAST(e.value ->> 0 AS BIGINT), $2, e.value ->> 1, e.value ->> 2, e.value ->> 3,
                      e.value ->> 4, e.value ->> 5, e.value ->> 6, e.value ->> 7, e.value ->> 8, e.value ->> 9,
                      e.value ->> 10, e.value ->> 11, e.value ->> 12, e.value ->> 13, e.value ->> 14,
                      e.value ->> 15, ",
            standing!("(e.value ->> 11)", "$2"),
            ", 'active', $3, $3
                 FROM json_each($1) AS e WHERE TRUE
             ON CONFLICT DO NOTHING RETURNING id"
        ),
        as_rows(new),
        account,
        now
    )?;
    indexed(tx, account, inserted).await
}

/// Brings deleted contacts back with new details, in one statement; the ids that came back. One that is not
/// deleted any more is passed over.
pub async fn revive(
    tx: &mut Tx,
    account: i64,
    back: &[(i64, &Details)],
    now: Millis,
) -> Result<HashSet<i64>> {
    rewrite(tx, account, back, ("deleted", Some(now)), now).await
}

/// Has what conditions compare of these contacts written anew.
async fn indexed(tx: &mut Tx, account: i64, rows: Vec<(i64,)>) -> Result<HashSet<i64>> {
    let ids: Vec<i64> = rows.into_iter().map(|r| r.0).collect();
    values::index(tx, account, &ids).await?;
    Ok(ids.into_iter().collect())
}

/// Changes what contacts say of themselves, addresses included, in one statement; the ids that were there to be changed.
/// An address that is another contact's is [`crate::Error::Duplicate`].
pub async fn update(
    tx: &mut Tx,
    account: i64,
    changed: &[(i64, &Details)],
    now: Millis,
) -> Result<HashSet<i64>> {
    rewrite(tx, account, changed, ("active", None), now).await
}

async fn rewrite(
    tx: &mut Tx,
    account: i64,
    contacts: &[(i64, &Details)],
    (was, made): (&str, Option<Millis>),
    now: Millis,
) -> Result<HashSet<i64>> {
    if contacts.is_empty() {
        return Ok(HashSet::new());
    }
    let rewritten = rows!(
        &mut *tx,
        (i64,),
        concat!(
            "UPDATE contacts SET external_id = r.external_id, email = r.email, email_key = r.email_key,
                    email_hash = r.email_hash, first_name = r.first_name, last_name = r.last_name,
                    company = r.company, title = r.title, phone = r.phone, phone_key = r.phone_key,
                    phone_hash = r.phone_hash, website = r.website, industry = r.industry, timezone = r.timezone,
                    attributes = r.attributes, consent = ",
            standing!("r.phone_hash", "$2"),
            ",      state = 'active', created_at = COALESCE($4, created_at), updated_at = $5
               FROM (SELECT CAST(e.value ->> 0 AS BIGINT) AS id, e.value ->> 1 AS external_id, e.value ->> 2 AS email,
                            e.value ->> 3 AS email_key, e.value ->> 4 AS email_hash, e.value ->> 5 AS first_name,
                            e.value ->> 6 AS last_name, e.value ->> 7 AS company, e.value ->> 8 AS title,
                            e.value ->> 9 AS phone, e.value ->> 10 AS phone_key, e.value ->> 11 AS phone_hash,
                            e.value ->> 12 AS website, e.value ->> 13 AS industry, e.value ->> 14 AS timezone,
                            e.value ->> 15 AS attributes
                       FROM json_each($1) AS e) AS r
              WHERE contacts.id = r.id AND contacts.account_id = $2 AND contacts.state = $3
              RETURNING contacts.id"
        ),
        as_rows(contacts),
        account,
        was,
        made,
        now
    )?;
    indexed(tx, account, rewritten).await
}

/// One JSON array a contact; the order that [`insert`] and [`rewrite`] read. Sorted by address, so that two
/// imports of the same people never wait for each other crosswise.
fn as_rows(contacts: &[(i64, &Details)]) -> String {
    let mut sorted: Vec<_> = contacts.iter().collect();
    sorted.sort_by(|a, b| (&a.1.email_key, &a.1.phone_key).cmp(&(&b.1.email_key, &b.1.phone_key)));
    let row = |(id, d): &(i64, &Details)| {
        json!([
            id,
            d.external_id,
            d.email,
            d.email_key,
            d.email_hash,
            d.first_name,
            d.last_name,
            d.company,
            d.title,
            d.phone,
            d.phone_key,
            d.phone_hash,
            d.website,
            d.industry,
            d.timezone,
            d.attributes
        ])
    };
    serde_json::Value::Array(sorted.into_iter().map(row).collect()).to_string()
}

/// The account's contact with this number; a deleted one is not there.
pub async fn get(tx: &mut Tx, account: i64, id: i64) -> Result<Option<Contact>> {
    row!(
        tx,
        Contact,
        concat!(
            "SELECT ",
            columns!(),
            " FROM contacts WHERE account_id = $1 AND id = $2 AND state <> 'deleted'"
        ),
        account,
        id
    )
}

/// The account's contacts by their rows, those that are not deleted.
pub async fn by_ids(tx: &mut Tx, account: i64, ids: &[i64]) -> Result<Vec<Contact>> {
    let ids: Vec<[i64; 1]> = ids.iter().map(|id| [*id]).collect();
    rows!(
        tx,
        Contact,
        concat!(
            "SELECT ",
            columns!(),
            " FROM contacts WHERE account_id = $1 AND state <> 'deleted'
                AND id IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM json_each($2) AS e)"
        ),
        account,
        json!(ids).to_string()
    )
}

/// The account's contact with this address key; a deleted one is not there.
pub async fn by_email(tx: &mut Tx, account: i64, key: &str) -> Result<Option<Contact>> {
    row!(
        tx,
        Contact,
        concat!(
            "SELECT ",
            columns!(),
            " FROM contacts WHERE account_id = $1 AND email_key = $2 AND state <> 'deleted'"
        ),
        account,
        key
    )
}

/// Which of these contacts the account has, of those that are not deleted.
pub async fn existing(tx: &mut Tx, account: i64, ids: &[i64]) -> Result<HashSet<i64>> {
    let ids: Vec<[i64; 1]> = ids.iter().map(|id| [*id]).collect();
    let found = rows!(
        tx,
        (i64,),
        "SELECT id FROM contacts WHERE account_id = $1 AND state <> 'deleted'
            AND id IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM json_each($2) AS e)",
        account,
        json!(ids).to_string()
    )?;
    Ok(found.into_iter().map(|r| r.0).collect())
}

/// The account's contacts; deleted ones are not there. An `external_id` narrows to it.
pub async fn list(tx: &mut Tx, account: i64, external_id: Option<&str>, page: Page) -> Result<Vec<Contact>> {
    rows!(
        tx,
        Contact,
        in_order!(
            page,
            "",
            "SELECT ",
            columns!(),
            " FROM contacts
              WHERE account_id = $1 AND state <> 'deleted' AND (CAST($6 AS TEXT) IS NULL OR external_id = $6)"
        ),
        account,
        page.after.0,
        page.after.1,
        page.limit,
        page.skip,
        external_id
    )
}

/// How many contacts the account has.
pub async fn count(tx: &mut Tx, account: i64) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM contacts WHERE account_id = $1 AND state <> 'deleted'";
    Ok(row!(tx, (i64,), sql, account)?.map_or(0, |r| r.0))
}

/// Deletes a contact softly: it is in no list, nothing is sent to it, and its address may come back.
/// Whether there was such a contact.
pub async fn delete(tx: &mut Tx, account: i64, id: i64, now: Millis) -> Result<bool> {
    let sql = "UPDATE contacts SET state = 'deleted', updated_at = $3
                WHERE account_id = $1 AND id = $2 AND state <> 'deleted'";
    let deleted = execute!(&mut *tx, sql, account, id, now)?;
    values::index(tx, account, &[id]).await?;
    Ok(deleted == 1)
}

/// A contact's address and its hash, also of a deleted one.
pub async fn address(tx: &mut Tx, account: i64, id: i64) -> Result<Option<(String, String)>> {
    let sql =
        "SELECT email, email_hash FROM contacts WHERE account_id = $1 AND id = $2 AND email IS NOT NULL";
    row!(tx, (String, String), sql, account, id)
}
