//! The ledger of consent: who said yes or no on a channel, when, how, and on whose word. Rows are only added.

use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use crate::suppressions::{self, Suppression};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::consent::State;

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

/// What the owner of a number has said, for both channels that reach it.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "columns of consents by their own names")]
pub struct Said {
    pub account_id: i64,
    pub contact_id: Option<i64>,
    pub address_hash: String,
    pub hint: String,
    pub state: State,
    pub source: &'static str,
    pub actor: String,
    pub evidence: String,
    pub at: Millis,
}

/// Writes it down; whether it was not so before. The rows are two of `consents` and two of `suppressions`.
pub async fn record(tx: &mut Tx, said: &Said, consents: i64, suppressions: i64) -> Result<bool> {
    let mut is_new = false;
    for (n, channel) in (0..).zip(["sms", "whatsapp"]) {
        let sql =
            "SELECT state FROM consent_states WHERE account_id = $1 AND channel = $2 AND address_hash = $3";
        let before = row!(&mut *tx, (String,), sql, said.account_id, channel, &said.address_hash)?;
        is_new |= before.is_none_or(|b| b.0 != said.state.as_str());
        let line = Consent {
            id: consents + n,
            account_id: said.account_id,
            contact_id: said.contact_id,
            channel: channel.into(),
            address_hash: said.address_hash.clone(),
            state: said.state.as_str().into(),
            source: said.source.into(),
            actor: said.actor.clone(),
            evidence: said.evidence.clone(),
            at: said.at,
        };
        add(tx, &line).await?;
        execute!(
            &mut *tx,
            "INSERT INTO consent_states (account_id, channel, address_hash, state, at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (account_id, channel, address_hash) DO UPDATE SET state = $4, at = $5",
            said.account_id,
            channel,
            &said.address_hash,
            said.state.as_str(),
            said.at
        )?;
        match said.state.forbids() {
            true => {
                let new = Suppression {
                    id: suppressions + n,
                    account_id: said.account_id,
                    channel: channel.into(),
                    address_hash: said.address_hash.clone(),
                    hint: said.hint.clone(),
                    why: said.state.as_str().into(),
                    source: said.source.into(),
                    created_at: said.at,
                };
                suppressions::add(tx, &new).await?;
            }
            false => {
                execute!(
                    &mut *tx,
                    "DELETE FROM suppressions WHERE account_id = $1 AND channel = $2 AND address_hash = $3
                       AND why IN ('opt_out', 'stop')",
                    said.account_id,
                    channel,
                    &said.address_hash
                )?;
            }
        }
    }
    Ok(is_new)
}
