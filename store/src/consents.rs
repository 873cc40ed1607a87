//! The ledger of consent: who said yes or no on a channel, when, how, and on whose word. Rows are only added.

use crate::db::{Tx, execute, rows};
use crate::error::Result;
use sendwright_workflows::clock::Millis;

/// A line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Consent {
    /// Its row.
    pub id: i64,
    /// Whose ledger it is.
    pub account_id: i64,
    /// The contact, where one is known.
    pub contact_id: Option<i64>,
    /// `email`, `sms` or `whatsapp`.
    pub channel: String,
    /// The salted hash of the address: the line outlives the contact.
    pub address_hash: String,
    /// `opt_in` or `opt_out`.
    pub state: String,
    /// Where it was said: `unsubscribe_link`, `api`, `command`, `import`.
    pub source: String,
    /// Who wrote it down, as in the audit.
    pub actor: String,
    /// A JSON object with what proves it.
    pub evidence: String,
    /// When.
    pub at: Millis,
}

/// Adds a line.
pub async fn add(tx: &mut Tx, line: &Consent) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO consents (id, account_id, contact_id, channel, address_hash, state, source, actor, evidence, at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        line.id,
        line.account_id,
        line.contact_id,
        &line.channel,
        &line.address_hash,
        &line.state,
        &line.source,
        &line.actor,
        &line.evidence,
        line.at
    )?;
    Ok(())
}

/// What the ledger says about an address, oldest first.
pub async fn of_address(
    tx: &mut Tx,
    account: i64,
    channel: &str,
    address_hash: &str,
) -> Result<Vec<Consent>> {
    rows!(
        tx,
        Consent,
        "SELECT id, account_id, contact_id, channel, address_hash, state, source, actor, evidence, at
           FROM consents WHERE account_id = $1 AND channel = $2 AND address_hash = $3 ORDER BY at, id",
        account,
        channel,
        address_hash
    )
}
