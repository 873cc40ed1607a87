//! The lines of the ledger, and the chains they are.

use crate::db::{Tx, row, rows};
use crate::error::Result;
use crate::page::{Page, in_order};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::consent::Line;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A line of the ledger; as JSON, a line of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Consent {
    /// Its row.
    pub id: i64,
    /// Whose ledger it is.
    pub account_id: i64,
    /// The contact, where one was known.
    pub contact_id: Option<i64>,
    /// `email`, `sms` or `whatsapp`.
    pub channel: String,
    /// The salted hash of the address: the line outlives the contact.
    pub address_hash: String,
    /// Its place in the chain of this address on this channel, from 1; not above 0 for a line from before the chain.
    pub place: i64,
    /// `opt_in`, `opt_out` or `stop`.
    pub state: String,
    /// Where it was said.
    pub source: String,
    /// Who wrote it down, as in the audit.
    pub actor: String,
    /// The words it was asked or said in.
    pub wording: Option<String>,
    /// A JSON object with what proves it.
    pub evidence: String,
    /// When.
    pub at: Millis,
    /// The hash of the line before; empty for the first.
    pub previous: String,
    /// SHA-256 of all of this but `id`.
    pub hash: String,
}

impl Consent {
    /// What its hash should be.
    pub fn hashed(&self) -> String {
        let line = Line {
            account_id: self.account_id,
            contact_id: self.contact_id,
            channel: &self.channel,
            address_hash: &self.address_hash,
            place: self.place,
            state: &self.state,
            source: &self.source,
            actor: &self.actor,
            wording: self.wording.as_deref(),
            evidence: &self.evidence,
            at: self.at,
            previous: &self.previous,
        };
        line.hash()
    }
}

macro_rules! columns {
    () => {
        "id, account_id, contact_id, channel, address_hash, place, state, source, actor, wording, evidence, at,
         previous, hash"
    };
}

/// What the ledger says about an address on a channel, oldest first.
pub async fn chain(tx: &mut Tx, account: i64, channel: &str, address_hash: &str) -> Result<Vec<Consent>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM consents WHERE account_id = $1 AND channel = $2 AND address_hash = $3 ORDER BY place"
    );
    rows!(tx, Consent, SQL, account, channel, address_hash)
}

/// What the ledger says about addresses, on all channels, by time.
pub async fn list(tx: &mut Tx, account: i64, hashes: &[&str], page: Page) -> Result<Vec<Consent>> {
    let hashes: Vec<[&str; 1]> = hashes.iter().map(|hash| [*hash]).collect();
    rows!(
        tx,
        Consent,
        in_order!(
            page,
            "",
            "SELECT ",
            columns!(),
            " FROM (SELECT c.*, c.at AS created_at FROM consents c) AS c
              WHERE account_id = $1 AND channel IN ('email', 'sms', 'whatsapp')
                AND address_hash IN (SELECT e.value ->> 0 FROM json_each($6) AS e)"
        ),
        account,
        page.after.0,
        page.after.1,
        page.limit,
        page.skip,
        json!(hashes).to_string()
    )
}

/// How many lines those are.
pub async fn count(tx: &mut Tx, account: i64, hashes: &[&str]) -> Result<i64> {
    let hashes: Vec<[&str; 1]> = hashes.iter().map(|hash| [*hash]).collect();
    let sql =
        "SELECT COUNT(*) FROM consents WHERE account_id = $1 AND channel IN ('email', 'sms', 'whatsapp')
                  AND address_hash IN (SELECT e.value ->> 0 FROM json_each($2) AS e)";
    Ok(row!(tx, (i64,), sql, account, json!(hashes).to_string())?.map_or(0, |r| r.0))
}

/// The account's lines chain by chain, each in the order of its places: those behind `after`, a channel, an
/// address and a place.
pub async fn walk(tx: &mut Tx, account: i64, after: (&str, &str, i64), limit: i64) -> Result<Vec<Consent>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM consents WHERE account_id = $1 AND (channel, address_hash, place) > ($2, $3, $4)
          ORDER BY channel, address_hash, place LIMIT $5"
    );
    rows!(tx, Consent, SQL, account, after.0, after.1, after.2, limit)
}

/// The account's chains, as (channel, address), that do not end with the line that `consent_states` know: lines were taken
/// from their end or put there, or their state was taken away. The first `limit` of them.
pub async fn torn(tx: &mut Tx, account: i64, limit: i64) -> Result<Vec<(String, String)>> {
    rows!(
        tx,
        (String, String),
        "SELECT s.channel, s.address_hash FROM consent_states s
           LEFT JOIN consents c ON c.account_id = s.account_id AND c.channel = s.channel
                AND c.address_hash = s.address_hash AND c.place = s.place
           LEFT JOIN consents n ON n.account_id = s.account_id AND n.channel = s.channel
                AND n.address_hash = s.address_hash AND n.place = s.place + 1
          WHERE s.account_id = $1 AND ((s.place > 0 AND (c.hash IS NULL OR c.hash <> s.hash)) OR n.id IS NOT NULL)
         UNION ALL
         SELECT c.channel, c.address_hash FROM consents c
           LEFT JOIN consent_states s ON s.account_id = c.account_id AND s.channel = c.channel
                AND s.address_hash = c.address_hash
          WHERE c.account_id = $1 AND c.place = 1 AND s.state IS NULL
         LIMIT $2",
        account,
        limit
    )
}
