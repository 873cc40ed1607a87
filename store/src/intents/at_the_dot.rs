//! The intent at the dot: for servers so slow that an intent before MAIL would be too old (SEND_PROTOCOL 3).

use super::{Going, Verdict, around, forbidden, look, mark};
use crate::claims::Claimed;
use crate::db::Tx;
use crate::error::Result;
use crate::gates;
use sendwright_workflows::clock::{Clock, Micros, Millis};
use sendwright_workflows::rate_limit::{Due, Gate, Rates, Seat, TOLERANCE, give_back, seat};
use sendwright_workflows::reason::{Cause, Owner, Reason};
use std::collections::{BTreeMap, HashMap};

/// What an intent at the dot came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AtTheDot {
    /// `sending` is committed with the transaction, in this slot.
    Go {
        /// Microseconds.
        slot: Micros,
    },
    /// Something forbids it now: [`super::put_back`] says so in the row.
    Back {
        /// The message's next state.
        state: &'static str,
        /// Why.
        reason: Reason,
    },
    /// The claim is not this worker's any more.
    Lost,
    /// No slot is free before this instant: ask again then.
    Wait {
        /// Unix milliseconds.
        until: Millis,
    },
}

/// Commits to hand over claimed messages of one profile whose bodies are written already; the answers are in the
/// rows' order. The slot of a claim is given back and the gates' next free one taken, if that is free at this instant.
/// Of a row that does not go nothing is written.
pub async fn intend_at_the_dot(
    tx: &mut Tx,
    worker: i64,
    rows: &[(&Claimed, i64)],
    rates: &Rates,
    clock: &dyn Clock,
) -> Result<Vec<AtTheDot>> {
    let Some((first, _)) = rows.first() else { return Ok(Vec::new()) };
    let (account, profile) = (first.account_id, first.profile_id);
    tx.barrier(account, false).await?;
    let Some(now) = clock.now() else {
        let back = AtTheDot::Back { state: "drafted", reason: Reason::Late { cause: Cause::Outage } };
        return Ok(vec![back; rows.len()]);
    };
    let mut came = judge(tx, worker, rows, now).await?;
    let permitted: Vec<usize> = (0..rows.len()).filter(|i| came[*i].is_none()).collect();
    let mut gates = Gates::lock(tx, profile, permitted.iter().map(|i| rows[*i].0.campaign_id)).await?;
    let mut going = Vec::new();
    for i in permitted {
        let (claimed, attempt) = rows[i];
        let got = gates.seat(claimed, rates, now);
        if let AtTheDot::Go { slot } = got {
            going.push(Going::at(attempt, claimed, slot));
        }
        came[i] = Some(got);
    }
    if !going.is_empty() {
        let marked = mark(tx, account, worker, going, now).await?;
        for ((claimed, _), came) in rows.iter().zip(&mut came) {
            if let Some(AtTheDot::Go { slot }) = came
                && !marked.contains(&claimed.id)
            {
                give_back(&mut gates.profile, rates, *slot);
                *came = Some(AtTheDot::Lost); // Given up by others since it was read.
            }
        }
        gates.save(tx, profile).await?;
    }
    Ok(came.into_iter().map(|came| came.unwrap_or(AtTheDot::Lost)).collect())
}

/// What stands against each row, whatever its slot; nothing: `None`.
async fn judge(
    tx: &mut Tx,
    worker: i64,
    rows: &[(&Claimed, i64)],
    now: Millis,
) -> Result<Vec<Option<AtTheDot>>> {
    let Some((first, _)) = rows.first() else { return Ok(Vec::new()) };
    let around = around(tx, worker, first.profile_id).await?;
    let seen: HashMap<i64, _> = look(tx, rows).await?.into_iter().map(|seen| (seen.id, seen)).collect();
    let judged = rows.iter().map(|(claimed, _)| {
        let Some((seen, around)) = seen.get(&claimed.id).zip(around.as_ref()) else {
            return Ok(Some(AtTheDot::Lost));
        };
        Ok(match forbidden(seen, around, claimed, worker, now)? {
            Some(Verdict::Back { state, reason }) => Some(AtTheDot::Back { state, reason }),
            Some(_) => Some(AtTheDot::Lost),
            None => None,
        })
    });
    judged.collect()
}

/// The gates of a profile and of the campaigns that leave by it, locked.
struct Gates {
    profile: Gate,
    campaigns: BTreeMap<i64, Gate>,
}

impl Gates {
    async fn lock(tx: &mut Tx, profile: i64, campaigns: impl Iterator<Item = i64>) -> Result<Self> {
        let profile = gates::lock(tx, Owner::Profile, profile).await?;
        let mut all: BTreeMap<i64, Gate> = campaigns.map(|id| (id, Gate::default())).collect();
        // Test sends belong to no campaign.
        for (id, gate) in all.iter_mut().filter(|(id, _)| **id > 0) {
            *gate = gates::lock(tx, Owner::Campaign, *id).await?;
        }
        Ok(Self { profile, campaigns: all })
    }

    /// The next free slot, in place of the claim's. Where there is none the gates stay as they were.
    fn seat(&mut self, claimed: &Claimed, rates: &Rates, now: Millis) -> AtTheDot {
        let own = self.campaigns.entry(claimed.campaign_id).or_default();
        let before = (self.profile, *own);
        give_back(&mut self.profile, rates, claimed.slot);
        let due = Due { planned: claimed.planned_at, zone: claimed.zone, quiet: claimed.policy.quiet_hours };
        let campaign_rates = claimed.policy.rates();
        // The planned instant is long past: it is the present one that the gates are asked for.
        let got = seat((&mut self.profile, rates), (own, &campaign_rates), &due, now - TOLERANCE, now);
        let refused = match got {
            Seat::At { slot, .. } => return AtTheDot::Go { slot },
            Seat::Moved { to, .. } => {
                AtTheDot::Back { state: "drafted", reason: Reason::QuietHours { until: to } }
            }
            Seat::Held(reason) => AtTheDot::Back { state: "held", reason },
            Seat::Beyond { at } => AtTheDot::Wait { until: at },
        };
        (self.profile, *own) = before;
        refused
    }

    async fn save(&self, tx: &mut Tx, profile: i64) -> Result<()> {
        let campaigns = self.campaigns.iter().filter(|(id, _)| **id > 0);
        let campaigns = campaigns.map(|(id, gate)| (Owner::Campaign, *id, *gate));
        let all: Vec<_> = [(Owner::Profile, profile, self.profile)].into_iter().chain(campaigns).collect();
        gates::save(tx, &all).await
    }
}

/// Returns the count of a claim's slot where the hand-over ended before its intent.
pub async fn give_count_back(tx: &mut Tx, claimed: &Claimed, rates: &Rates) -> Result<()> {
    let mut gate = gates::lock(tx, Owner::Profile, claimed.profile_id).await?;
    give_back(&mut gate, rates, claimed.slot);
    gates::save(tx, &[(Owner::Profile, claimed.profile_id, gate)]).await
}
