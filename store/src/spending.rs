//! What an account's texts cost, and may cost. Amounts are millionths of the currency that the prices are in.

use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::quiet_hours::date_of;
use sendwright_workflows::spend::Period;

/// Where an account stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spending {
    /// The most that may be spent in a period; none where there is no cap.
    pub cap: Option<i64>,
    /// What the cap is counted over.
    pub period: Period,
    /// When the next period begins; none where there is but one.
    pub renews_at: Option<Millis>,
    /// What has been spent in the present period.
    pub spent: i64,
    /// What has been spent ever.
    pub total: i64,
    /// What texts that are being written may cost at most.
    pub reserved: i64,
}

impl Spending {
    /// What is left of the cap; none where there is none.
    pub fn left(&self) -> Option<i64> {
        self.cap.map(|cap| (cap - self.spent - self.reserved).max(0))
    }
}

/// Where an account stands now.
pub async fn of(tx: &mut Tx, account: i64, now: Millis) -> Result<Spending> {
    type Row = (Option<i64>, String, String, i64, i64);
    let found = row!(
        &mut *tx,
        Row,
        "SELECT a.spend_cap, a.spend_period, a.timezone, COALESCE(s.spent, 0),
                CAST(COALESCE((SELECT SUM(r.amount) FROM spend_reserves r WHERE r.account_id = a.id), 0) AS BIGINT)
         FROM accounts a LEFT JOIN spending s ON s.account_id = a.id WHERE a.id = $1",
        account
    )?;
    let Some((cap, period, zone, total, reserved)) = found else { return Ok(Spending::default()) };
    let period = Period::parse(&period).unwrap_or_default();
    let span = period.at(now, zone.parse().unwrap_or_default());
    let spent = match span {
        Some((first, _)) => since(tx, account, &first.to_string()).await?,
        None => total,
    };
    Ok(Spending { cap, period, renews_at: span.map(|(_, end)| end), spent, total, reserved })
}

async fn since(tx: &mut Tx, account: i64, day: &str) -> Result<i64> {
    let sql = "SELECT CAST(COALESCE(SUM(spent), 0) AS BIGINT) FROM spending_days
         WHERE account_id = $1 AND day >= $2";
    Ok(row!(tx, (i64,), sql, account, day)?.map_or(0, |r| r.0))
}

/// Sets or lifts the cap, and says what it is counted over. What is spent already stays spent; whatever is reserved
/// after this commits goes by the new cap.
pub async fn set_cap(tx: &mut Tx, account: i64, cap: Option<i64>, period: Period, now: Millis) -> Result<()> {
    add(tx, account, 0, now).await?; // As in `reserve`: nobody reserves meanwhile by the old one.
    let sql = "UPDATE accounts SET spend_cap = $2, spend_period = $3 WHERE id = $1";
    execute!(tx, sql, account, cap, period.as_str())?;
    Ok(())
}

/// What became of a reserve that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserve {
    /// It stands.
    Taken,
    /// Only what other texts may cost stands in the way: ask again when one of them is written.
    Later {
        /// When the next period begins.
        until: Option<Millis>,
    },
    /// The cap would be passed.
    Over {
        /// When the next period begins; none where that does not help.
        until: Option<Millis>,
    },
}

/// Takes `amount` for a message's text before it is asked for. A reserve of the same message that still stands belongs
/// to a call whose end nobody knows: it counts as spent.
pub async fn reserve(tx: &mut Tx, account: i64, message: i64, amount: i64, now: Millis) -> Result<Reserve> {
    let lost = give_back(tx, message).await?;
    add(tx, account, lost, now).await?; // What the account has spent is locked from here on.
    let found = of(tx, account, now).await?;
    let until = found.renews_at;
    match found.cap {
        Some(cap) if amount > cap => return Ok(Reserve::Over { until: None }),
        Some(cap) if found.spent + amount > cap => return Ok(Reserve::Over { until }),
        Some(cap) if found.spent + found.reserved + amount > cap => return Ok(Reserve::Later { until }),
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
pub async fn settle(tx: &mut Tx, account: i64, message: i64, spent: i64, now: Millis) -> Result<()> {
    give_back(tx, message).await?;
    add(tx, account, spent, now).await
}

async fn give_back(tx: &mut Tx, message: i64) -> Result<i64> {
    let sql = "DELETE FROM spend_reserves WHERE message_id = $1 RETURNING amount";
    Ok(rows!(tx, (i64,), sql, message)?.first().map_or(0, |r| r.0))
}

async fn add(tx: &mut Tx, account: i64, amount: i64, now: Millis) -> Result<()> {
    execute!(
        &mut *tx,
        "INSERT INTO spending (account_id, spent) VALUES ($1, $2)
         ON CONFLICT (account_id) DO UPDATE SET spent = spending.spent + excluded.spent",
        account,
        amount
    )?;
    if amount == 0 {
        return Ok(());
    }
    let zone = row!(&mut *tx, (String,), "SELECT timezone FROM accounts WHERE id = $1", account)?;
    let zone = zone.and_then(|r| r.0.parse().ok()).unwrap_or_default();
    let day = date_of(now, zone).map(|day| day.to_string()).unwrap_or_default();
    execute!(
        tx,
        "INSERT INTO spending_days (account_id, day, spent) VALUES ($1, $2, $3)
         ON CONFLICT (account_id, day) DO UPDATE SET spent = spending_days.spent + excluded.spent",
        account,
        day,
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
