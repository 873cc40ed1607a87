//! What an account's texts cost, and may cost. Amounts are millionths of the currency that the prices are in.

use crate::db::{Tx, execute, row, rows};
use crate::error::Result;

/// Where an account stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Spending {
    /// The most that may be spent; none where there is no cap.
    pub cap: Option<i64>,
    /// What has been spent.
    pub spent: i64,
    /// What texts that are being written may cost at most.
    pub reserved: i64,
}

/// Where an account stands now.
pub async fn of(tx: &mut Tx, account: i64) -> Result<Spending> {
    let found = row!(
        tx,
        Spending,
        "SELECT a.spend_cap AS cap, COALESCE(s.spent, 0) AS spent,
                CAST(COALESCE((SELECT SUM(r.amount) FROM spend_reserves r WHERE r.account_id = a.id), 0) AS BIGINT)
                    AS reserved
         FROM accounts a LEFT JOIN spending s ON s.account_id = a.id WHERE a.id = $1",
        account
    )?;
    Ok(found.unwrap_or_default())
}

/// Sets or lifts the cap. What is spent already stays spent.
pub async fn set_cap(tx: &mut Tx, account: i64, cap: Option<i64>) -> Result<()> {
    execute!(tx, "UPDATE accounts SET spend_cap = $2 WHERE id = $1", account, cap)?;
    Ok(())
}

/// What became of a reserve that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserve {
    /// It stands.
    Taken,
    /// Only what other texts may cost stands in the way: ask again when one of them is written.
    Later,
    /// The cap would be passed.
    Over,
}

/// Takes `amount` for a message's text before it is asked for. A reserve of the same message that still stands belongs to a call whose end nobody knows: it counts as
/// spent.
pub async fn reserve(tx: &mut Tx, account: i64, message: i64, amount: i64) -> Result<Reserve> {
    let lost = give_back(tx, message).await?;
    add(tx, account, lost).await?; // The account's row is locked from here on.
    let now = of(tx, account).await?;
    match now.cap {
        Some(cap) if now.spent + amount > cap => return Ok(Reserve::Over),
        Some(cap) if now.spent + now.reserved + amount > cap => return Ok(Reserve::Later),
        _ => {}
    }
    execute!(
        tx,
        "INSERT INTO spend_reserves (message_id, account_id, amount) VALUES ($1, $2, $3)",
        message,
        account,
        amount
    )?;
    Ok(Reserve::Taken)
}

/// Ends a message's reserve with what was really spent.
pub async fn settle(tx: &mut Tx, account: i64, message: i64, spent: i64) -> Result<()> {
    give_back(tx, message).await?;
    add(tx, account, spent).await
}

async fn give_back(tx: &mut Tx, message: i64) -> Result<i64> {
    let sql = "DELETE FROM spend_reserves WHERE message_id = $1 RETURNING amount";
    Ok(rows!(tx, (i64,), sql, message)?.first().map_or(0, |r| r.0))
}

async fn add(tx: &mut Tx, account: i64, amount: i64) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO spending (account_id, spent) VALUES ($1, $2)
         ON CONFLICT (account_id) DO UPDATE SET spent = spending.spent + excluded.spent",
        account,
        amount
    )?;
    Ok(())
}

/// How many texts a model has yet to write for the people under way in a campaign: each of its steps that wants a model,
/// for everybody who has not settled it and has no text for it.
pub async fn texts_ahead(tx: &mut Tx, campaign: i64, round: i64, version: i64) -> Result<Vec<(i64, i64)>> {
    rows!(
        tx,
        (i64, i64),
        "SELECT s.step_number, COUNT(*) FROM steps s JOIN enrolments e ON e.campaign_id = s.campaign_id
         WHERE s.campaign_id = $1 AND s.version = $3 AND s.active AND s.ai_prompt IS NOT NULL
           AND e.round = $2 AND e.state = 'active' AND e.settled < s.step_number
           AND NOT EXISTS (SELECT 1 FROM messages m JOIN drafts d ON d.message_id = m.id
               WHERE m.enrolment_id = e.id AND m.step_number = s.step_number)
         GROUP BY s.step_number ORDER BY s.step_number",
        campaign,
        round,
        version
    )
}
