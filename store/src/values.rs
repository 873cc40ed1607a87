//! What conditions of segments compare: a row a contact and name, written anew whenever the contact is written.

use crate::db::{Db, Tx, execute, row, rows};
use crate::error::{Error, Result};
use sendwright_workflows::segment::Indexed;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Contacts written in one statement.
const BATCH: usize = 1_000;
/// Where `meta` keeps the last contact that was indexed when the table came.
const PROGRESS: &str = "indexed_contacts";

#[derive(sqlx::FromRow)]
struct Known {
    id: i64,
    email_key: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    company: Option<String>,
    title: Option<String>,
    website: Option<String>,
    industry: Option<String>,
    timezone: Option<String>,
    attributes: String,
}

/// Writes anew what conditions compare of these contacts, from their rows; of a deleted one nothing is left. Whoever
/// writes a contact calls it in the same transaction.
pub async fn index(tx: &mut Tx, account: i64, contacts: &[i64]) -> Result<()> {
    for part in contacts.chunks(BATCH) {
        let once: BTreeSet<i64> = part.iter().copied().collect();
        let ids = json!(once.into_iter().map(|id| [id]).collect::<Vec<_>>()).to_string();
        execute!(
            &mut *tx,
            "DELETE FROM contact_values WHERE account_id = $1
                AND contact_id IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM json_each($2) AS e)",
            account,
            &ids
        )?;
        let found = rows!(
            &mut *tx,
            Known,
            // Joined, as in `contacts::known`.
            "SELECT c.id, c.email_key, c.first_name, c.last_name, c.company, c.title, c.website, c.industry, c.timezone,
                    c.attributes
               FROM json_each($2) AS e CROSS JOIN contacts c
              WHERE c.id = CAST(e.value ->> 0 AS BIGINT) AND c.account_id = $1 AND c.state <> 'deleted'",
            account,
            &ids
        )?;
        insert(tx, account, &found).await?;
    }
    Ok(())
}

async fn insert(tx: &mut Tx, account: i64, contacts: &[Known]) -> Result<()> {
    let mut values = Vec::new();
    for contact in contacts {
        for (name, value) in contact.values()? {
            values.push(json!([contact.id, name, value.text, value.number, value.instant]));
        }
    }
    if values.is_empty() {
        return Ok(());
    }
    execute!(
        tx,
        "INSERT INTO contact_values (account_id, contact_id, name, text, number, instant)
         SELECT $2, CAST(e.value ->> 0 AS BIGINT), e.value ->> 1, e.value ->> 2,
                CAST(e.value ->> 3 AS DOUBLE PRECISION), CAST(e.value ->> 4 AS BIGINT)
           FROM json_each($1) AS e",
        Value::Array(values).to_string(),
        account
    )?;
    Ok(())
}

impl Known {
    /// Its attributes, and the fields that have no index of their own; a field wins over an attribute of its name.
    fn values(&self) -> Result<Vec<(String, Indexed)>> {
        let attributes: Map<String, Value> = serde_json::from_str(&self.attributes).map_err(|e| {
            Error::Stored { table: "contacts", column: "attributes", id: self.id, detail: e.to_string() }
        })?;
        let domain = self.email_key.as_deref().and_then(|key| key.rsplit_once('@')).map(|(_, domain)| domain);
        let fields = [
            ("email_domain", domain),
            ("first_name", self.first_name.as_deref()),
            ("last_name", self.last_name.as_deref()),
            ("company", self.company.as_deref()),
            ("title", self.title.as_deref()),
            ("website", self.website.as_deref()),
            ("industry", self.industry.as_deref()),
            ("timezone", self.timezone.as_deref()),
        ];
        let fields: Vec<(String, Indexed)> = fields
            .into_iter()
            .filter_map(|(name, text)| Some((name.to_owned(), Indexed::text(text?)?)))
            .collect();
        let own = attributes.into_iter().filter(|(name, _)| !fields.iter().any(|(field, _)| field == name));
        let own: Vec<(String, Indexed)> =
            own.filter_map(|(name, value)| Some((name, Indexed::of(&value)?))).collect();
        Ok(fields.into_iter().chain(own).collect())
    }
}

/// Whether [`index_all`] has come to its end.
pub async fn all_indexed(db: &Db) -> Result<bool> {
    let mut tx = db.read().await?;
    let found = row!(&mut tx, (String,), "SELECT value FROM meta WHERE name = $1", PROGRESS)?;
    tx.rollback().await?;
    Ok(found.is_some_and(|(value,)| value == "done"))
}

/// Indexes the contacts that were there before the table was, in transactions of their own; goes on where an earlier
/// call was stopped.
pub async fn index_all(db: &Db) -> Result<()> {
    let mut after = {
        let mut tx = db.begin().await?;
        let start = "INSERT INTO meta (name, value) VALUES ($1, '0') ON CONFLICT (name) DO NOTHING";
        execute!(&mut tx, start, PROGRESS)?;
        let found = row!(&mut tx, (String,), "SELECT value FROM meta WHERE name = $1", PROGRESS)?;
        tx.commit().await?;
        found.and_then(|(value,)| value.parse::<i64>().ok())
    };
    while let Some(reached) = after {
        let mut tx = db.begin().await?;
        let next = rows!(
            &mut tx,
            (i64, i64),
            "SELECT account_id, id FROM contacts WHERE id > $1 ORDER BY id LIMIT $2",
            reached,
            BATCH as i64
        )?;
        let mut accounts: Vec<i64> = next.iter().map(|(account, _)| *account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        for account in accounts {
            let own: Vec<i64> = next.iter().filter(|(of, _)| *of == account).map(|(_, id)| *id).collect();
            index(&mut tx, account, &own).await?;
        }
        after = next.last().map(|(_, id)| *id);
        let mark = after.map_or_else(|| "done".to_owned(), |id| id.to_string());
        execute!(&mut tx, "UPDATE meta SET value = $2 WHERE name = $1", PROGRESS, mark)?;
        tx.commit().await?;
    }
    Ok(())
}
