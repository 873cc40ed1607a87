//! The intent at the dot: for servers so slow that an intent before MAIL would be too old (SEND_PROTOCOL 3).

use super::{Verdict, around, forbidden, look, mark};
use crate::claims::Claimed;
use crate::db::Tx;
use crate::error::Result;
use crate::gates;
use sendwright_workflows::clock::{Clock, Micros, Millis};
use sendwright_workflows::rate_limit::{Due, Gate, Rates, Seat, TOLERANCE, give_back, seat};
use sendwright_workflows::reason::{Cause, Owner, Reason};
use serde_json::json;

/// What an intent at the dot came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AtTheDot {
    /// `sending` is committed with the transaction, in this slot.
    Go {
        /// Microseconds.
        slot: Micros,
    },
    /// Something forbids it now; roll back, and [`super::put_back`] says so in the row.
    Back {
        /// The message's next state.
        state: &'static str,
        /// Why.
        reason: Reason,
    },
    /// The claim is not this worker's any more; roll back.
    Lost,
    /// No slot is free before this instant; roll back and ask again.
    Wait {
        /// Unix milliseconds.
        until: Millis,
    },
}

/// Commits to hand over one claimed message whose body is written already. The slot of its claim is given back
/// and the gates' next free one taken, if that is free at this instant.
pub async fn intend_at_the_dot(
    tx: &mut Tx,
    worker: i64,
    (claimed, attempt): (&Claimed, i64),
    rates: &Rates,
    clock: &dyn Clock,
) -> Result<AtTheDot> {
    tx.barrier(claimed.account_id, false).await?;
    let Some(now) = clock.now() else {
        return Ok(AtTheDot::Back { state: "drafted", reason: Reason::Late { cause: Cause::Outage } });
    };
    let around = around(tx, worker, claimed.profile_id).await?;
    let seen = look(tx, &[(claimed, attempt)]).await?;
    let Some((seen, around)) = seen.first().zip(around) else { return Ok(AtTheDot::Lost) };
    match forbidden(seen, &around, claimed, worker, now)? {
        Some(Verdict::Back { state, reason }) => return Ok(AtTheDot::Back { state, reason }),
        Some(_) => return Ok(AtTheDot::Lost),
        None => {}
    }
    let mut profile = gates::lock(tx, Owner::Profile, claimed.profile_id).await?;
    let mut campaign = match claimed.campaign_id {
        0 => Gate::default(),
        id => gates::lock(tx, Owner::Campaign, id).await?,
    };
    give_back(&mut profile, rates, claimed.slot);
    let due = Due { planned: claimed.planned_at, zone: claimed.zone, quiet: claimed.policy.quiet_hours };
    let campaign_rates = claimed.policy.rates();
    // The planned instant is long past: it is the present one that the gates are asked for.
    let got = seat((&mut profile, rates), (&mut campaign, &campaign_rates), &due, now - TOLERANCE, now);
    let slot = match got {
        Seat::At { slot, .. } => slot,
        Seat::Beyond { at } => return Ok(AtTheDot::Wait { until: at }),
        Seat::Moved { to, .. } => {
            return Ok(AtTheDot::Back { state: "drafted", reason: Reason::QuietHours { until: to } });
        }
        Seat::Held(reason) => return Ok(AtTheDot::Back { state: "held", reason }),
    };
    gates::save(tx, Owner::Profile, claimed.profile_id, &profile).await?;
    if claimed.campaign_id > 0 {
        gates::save(tx, Owner::Campaign, claimed.campaign_id, &campaign).await?;
    }
    let row = json!([attempt, claimed.id, claimed.fence, slot, claimed.reasons]);
    match mark(tx, claimed.account_id, worker, vec![row], now).await?.is_empty() {
        true => Ok(AtTheDot::Lost),
        false => Ok(AtTheDot::Go { slot }),
    }
}

/// Returns the count of a claim's slot where the hand-over ended before its intent.
pub async fn give_count_back(tx: &mut Tx, claimed: &Claimed, rates: &Rates) -> Result<()> {
    let mut gate = gates::lock(tx, Owner::Profile, claimed.profile_id).await?;
    give_back(&mut gate, rates, claimed.slot);
    gates::save(tx, Owner::Profile, claimed.profile_id, &gate).await
}
