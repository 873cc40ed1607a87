//! What an account's texts cost: its cap, and what a campaign's texts will cost before it is started.

use crate::refusal::Refusal;
use crate::state::Core;
use crate::work::{Barrier, Work};
use sendwright_queue::Job;
use sendwright_store::campaigns;
use sendwright_store::spending::{self, Spending};
use sendwright_workflows::spend::{Period, Prices};
use serde_json::json;

/// Most that a cap can be, in millionths.
pub const MOST_CAP: i64 = 1_000_000_000_000_000;

/// What the texts of a campaign will cost, and what is left to spend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Texts that a model has yet to write for the people who are under way.
    pub texts: i64,
    /// What they will cost, estimated, in millionths.
    pub estimate: i64,
    /// Where the account stands.
    pub spending: Spending,
}

impl Cost {
    /// Whether what is left will do.
    pub fn is_within_cap(&self) -> bool {
        self.spending.left().is_none_or(|left| self.estimate <= left)
    }
}

/// Prices a campaign.
pub async fn cost(core: &Core, account: i64, campaign: i64, prices: &Prices) -> Result<Cost, Refusal> {
    let mut tx = core.store.snapshot().await?;
    let found = campaigns::get(&mut tx, account, campaign).await?;
    let found = found.ok_or_else(|| Refusal::no_campaign(campaign))?;
    let sequence = campaigns::sequence(&mut tx, account, campaign, found.version).await?;
    let ahead = spending::texts_ahead(&mut tx, campaign, found.round, found.version).await?;
    let spending = spending::of(&mut tx, account, core.now()?).await?;
    tx.rollback().await?;
    let price = |number: i64| sequence.step(number as u32).map_or(0, |step| prices.estimate(step));
    Ok(Cost {
        texts: ahead.iter().map(|(_, n)| n).sum(),
        estimate: ahead.iter().map(|(step, n)| n.saturating_mul(price(*step))).sum(),
        spending,
    })
}

/// Where the account stands.
pub async fn get(core: &Core, account: i64) -> Result<Spending, Refusal> {
    let mut tx = core.store.read().await?;
    let found = spending::of(&mut tx, account, core.now()?).await?;
    tx.rollback().await?;
    Ok(found)
}

/// Sets the account's cap, or lifts it; without a period the cap's own stays. Texts that the old one held, or put off
/// to its next period, are written again by hand.
pub async fn set_cap(
    work: &mut Work<'_>,
    cap: Option<i64>,
    period: Option<Period>,
) -> Result<Spending, Refusal> {
    work.begin(Barrier::None).await?;
    let (account, now) = (work.account(), work.now());
    let before = spending::of(work.tx()?, account, now).await?;
    let period = period.unwrap_or(before.period);
    spending::set_cap(work.tx()?, account, cap, period, now).await?;
    let stands = spending::of(work.tx()?, account, now).await?;
    work.audit("set_cap", "account", Some(account), &json!({ "cap": cap, "period": period.as_str() }));
    work.hint(Job::Write { account });
    Ok(stands)
}
