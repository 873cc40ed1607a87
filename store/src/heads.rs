//! A campaign as those who plan and send see it.

use crate::campaigns::Profiles;
use crate::db::{Tx, row};
use crate::error::{Error, Result};
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::Millis;

/// A campaign, as much as planning and sending need.
#[derive(Debug, Clone)]
pub struct Head {
    /// The row.
    pub id: i64,
    /// Whose.
    pub account_id: i64,
    /// What people call it.
    pub name: String,
    /// `workflows::campaign::State` as its word.
    pub state: String,
    /// The present version of its steps.
    pub version: i64,
    /// The present round.
    pub round: i64,
    /// What sends it.
    pub profiles: Profiles,
    /// Its settings.
    pub policy: Policy,
    /// When it was started.
    pub started_at: Option<Millis>,
}

#[derive(sqlx::FromRow)]
struct HeadRow {
    id: i64,
    account_id: i64,
    name: String,
    state: String,
    version: i64,
    round: i64,
    #[sqlx(flatten)]
    profiles: Profiles,
    policy: String,
    started_at: Option<i64>,
}

/// Reads a campaign's head.
pub async fn head(tx: &mut Tx, campaign: i64) -> Result<Option<Head>> {
    let found = row!(
        tx,
        HeadRow,
        "SELECT id, account_id, name, state, version, round, profile_id, sms_profile_id, whatsapp_profile_id,
                policy, started_at
         FROM campaigns WHERE id = $1",
        campaign
    )?;
    found.map(head_of).transpose()
}

/// The same, and no edit, pause or completion of it commits before this transaction ends. On SQLite the
/// IMMEDIATE transaction sees to that.
pub async fn hold(tx: &mut Tx, campaign: i64) -> Result<Option<Head>> {
    if tx.is_postgres() {
        row!(&mut *tx, (i64,), "SELECT id FROM campaigns WHERE id = $1 FOR SHARE", campaign)?;
    }
    head(tx, campaign).await
}

fn head_of(row: HeadRow) -> Result<Head> {
    Ok(Head {
        policy: policy_of(row.id, &row.policy)?,
        id: row.id,
        account_id: row.account_id,
        name: row.name,
        state: row.state,
        version: row.version,
        round: row.round,
        profiles: row.profiles,
        started_at: row.started_at,
    })
}

/// Reads the settings column of campaign `id`.
pub fn policy_of(id: i64, text: &str) -> Result<Policy> {
    serde_json::from_str(text).map_err(|e| Error::Stored {
        table: "campaigns",
        column: "policy",
        id,
        detail: e.to_string(),
    })
}

/// The campaign that a step belongs to.
pub async fn campaign_of_step(tx: &mut Tx, step: i64) -> Result<Option<i64>> {
    Ok(row!(tx, (i64,), "SELECT campaign_id FROM steps WHERE id = $1", step)?.map(|r| r.0))
}

/// The campaign whose step a message is, also of a test send, which is in no campaign itself.
pub async fn campaign_of_message(tx: &mut Tx, message: i64) -> Result<Option<i64>> {
    let sql = "SELECT s.campaign_id FROM messages m JOIN steps s ON s.id = m.step_id WHERE m.id = $1";
    Ok(row!(tx, (i64,), sql, message)?.map(|r| r.0))
}
