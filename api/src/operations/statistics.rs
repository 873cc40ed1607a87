//! What campaigns have done, from the ledger.

use crate::refusal::Refusal;
use crate::state::Core;
use sendwright_store::campaigns::{self, Campaign};
use sendwright_store::statistics::{self, Scope};
use sendwright_workflows::clock::{DAY, HOUR, Millis};
use sendwright_workflows::sequence::Channel;
use sendwright_workflows::statistics::Totals;
use std::collections::BTreeMap;

/// How wide the intervals over time are; in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// 24 hours.
    Day,
    /// One hour.
    Hour,
}

impl Interval {
    /// The word in queries and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Interval::Day => "day",
            Interval::Hour => "hour",
        }
    }

    /// Its width.
    pub fn millis(self) -> Millis {
        match self {
            Interval::Day => DAY,
            Interval::Hour => HOUR,
        }
    }
}

/// Numbers, all read at one instant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Statistics {
    /// Everything.
    pub totals: Totals,
    /// By step, ascending; step 0 has what belongs to none.
    pub steps: BTreeMap<i64, Totals>,
    /// By channel; what belongs to no message is of none.
    pub channels: BTreeMap<Option<Channel>, Totals>,
    /// Why messages are held, the most first.
    pub held: Vec<(String, i64)>,
    /// What happened in each interval that anything happened in, by its first instant.
    pub series: BTreeMap<Millis, BTreeMap<&'static str, i64>>,
}

/// One campaign's numbers, over all of its rounds.
pub async fn of_campaign(
    core: &Core,
    account: i64,
    campaign: i64,
    interval: Interval,
) -> Result<(Campaign, Statistics), Refusal> {
    let mut tx = core.store.read().await?;
    let found = campaigns::get(&mut tx, account, campaign).await?;
    let found = found.ok_or_else(|| Refusal::no_campaign(campaign))?;
    tx.rollback().await?;
    let read = read(core, Scope { account, campaign: Some(campaign), round: None }, interval).await?;
    Ok((found, read))
}

/// The account's numbers, over all campaigns.
pub async fn of_account(core: &Core, account: i64, interval: Interval) -> Result<Statistics, Refusal> {
    read(core, Scope { account, campaign: None, round: None }, interval).await
}

async fn read(core: &Core, scope: Scope, interval: Interval) -> Result<Statistics, Refusal> {
    let mut tx = core.store.snapshot().await?;
    let parts = statistics::parts(&mut tx, scope).await?;
    let held = statistics::held(&mut tx, scope).await?;
    let points = statistics::over_time(&mut tx, scope, interval.millis()).await?;
    tx.rollback().await?;
    let (mut steps, mut channels) = (BTreeMap::new(), BTreeMap::new());
    for ((step, channel), part) in &parts {
        add(steps.entry(*step).or_default(), part);
        add(channels.entry(*channel).or_default(), part);
    }
    let mut series: BTreeMap<Millis, BTreeMap<&'static str, i64>> = BTreeMap::new();
    for (first, what, n) in points {
        *series.entry(first).or_default().entry(what).or_default() += n;
    }
    let totals = parts.values().fold(Totals::default(), |sum, part| sum.plus(part));
    Ok(Statistics { totals, steps, channels, held, series })
}

fn add(sum: &mut Totals, part: &Totals) {
    *sum = sum.plus(part);
}
