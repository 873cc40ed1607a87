//! T2, the intent: the last look before a hand-over, and the promise that it begins (SEND_PROTOCOL 3, 4, 8).

use crate::claims::{Claimed, with_reasons};
use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use crate::gates;
use crate::heads::policy_of;
use sendwright_workflows::clock::{Clock, Millis};
use sendwright_workflows::intent::{self, Sight, StepSight};
use sendwright_workflows::message::State;
use sendwright_workflows::rate_limit::{Rates, give_back};
use sendwright_workflows::reason::{Cause, Owner, Reason};
use serde_json::{Value, json};
use std::collections::HashMap;

mod at_the_dot;
mod mark;

use mark::{Going, mark};

pub use at_the_dot::{AtTheDot, give_count_back, intend_at_the_dot};

/// What a row became at its intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// `sending` is committed with the transaction; the hand-over begins.
    Go,
    /// Something forbids it now: [`put_back`] says so in the row.
    Back {
        /// The message's next state.
        state: &'static str,
        /// Why.
        reason: Reason,
    },
    /// The claim is not this worker's any more: nothing is written.
    Lost,
}

/// What may forbid one message's hand-over, as it was read behind the barrier. It is true until that transaction ends
/// and never after: whatever changes it takes the barrier exclusively.
#[derive(Debug, sqlx::FromRow)]
pub struct Seen {
    pub(crate) id: i64,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) fence: i64,
    pub(crate) worker_id: Option<i64>,
    pub(crate) version: i64,
    pub(crate) approved: bool,
    pub(crate) campaign_state: Option<String>,
    pub(crate) campaign_version: Option<i64>,
    /// None: the claim's own, read behind the barrier as well.
    pub(crate) policy: Option<String>,
    pub(crate) enrolment_state: Option<String>,
    pub(crate) replied_at: Option<i64>,
    /// The person asked in words of their own to be left alone.
    pub(crate) asked_at: Option<i64>,
    pub(crate) contact_state: Option<String>,
    pub(crate) suppressed: Option<String>,
    /// What the address's owner said, where the channel needs it.
    pub(crate) consent: Option<String>,
}

/// The same for all messages of one profile in one worker's hands.
#[derive(sqlx::FromRow)]
struct Around {
    worker_state: Option<String>,
    profile_state: String,
    paused_until: Option<i64>,
    account_active: bool,
}

/// Commits to hand over: `rows` are messages of one profile, claimed before or given a slot in this very
/// transaction ([`crate::claims::claim_at_once`]), with the attempt id each will have. Takes the account's barrier
/// shared as its first statement, re-reads everything that may forbid (`seen` is what that very claim, behind the
/// barrier that it took, has read of them), and marks those that may go `sending`. Nothing has been handed over until the caller
/// commits. The intent's instant comes back with the verdicts: it is read behind the barrier, however long that took,
/// since limits and quiet hours are promised at that instant.
pub async fn intend(
    tx: &mut Tx,
    account: i64,
    worker: i64,
    rows: &[(&Claimed, i64)],
    seen: Vec<Seen>,
    clock: &dyn Clock,
) -> Result<(Millis, Vec<Verdict>)> {
    // With what the claim has seen came its barrier: this transaction holds it already.
    if seen.is_empty() {
        tx.barrier(account, false).await?;
    }
    let Some(now) = clock.now() else {
        let back = Verdict::Back { state: "drafted", reason: Reason::Late { cause: Cause::Outage } };
        return Ok((0, vec![back; rows.len()]));
    };
    let Some((first, _)) = rows.first() else { return Ok((now, Vec::new())) };
    let around = around(tx, worker, first.profile_id).await?;
    let seen = if seen.is_empty() { look(tx, rows).await? } else { seen };
    let seen: HashMap<i64, Seen> = seen.into_iter().map(|s| (s.id, s)).collect();
    let mut verdicts = Vec::with_capacity(rows.len());
    for (claimed, _) in rows {
        let (seen, around) = (seen.get(&claimed.id), around.as_ref());
        let forbidden = seen.zip(around).map_or(Ok(Some(Verdict::Lost)), |(seen, around)| {
            forbidden(seen, around, claimed, worker, now)
        })?;
        let off_slot = || intent::off_slot(claimed.slot, now).map_or(Verdict::Go, Verdict::back);
        verdicts.push(forbidden.unwrap_or_else(off_slot));
    }
    let going: Vec<Going<'_>> = rows
        .iter()
        .zip(&verdicts)
        .filter(|(_, verdict)| **verdict == Verdict::Go)
        .map(|((claimed, attempt), _)| Going::at(*attempt, claimed, claimed.slot))
        .collect();
    if !going.is_empty() {
        let marked = mark(tx, account, worker, going, now).await?;
        for ((claimed, _), verdict) in rows.iter().zip(&mut verdicts) {
            if *verdict == Verdict::Go && !marked.contains(&claimed.id) {
                *verdict = Verdict::Lost; // Given up by others since it was read.
            }
        }
    }
    Ok((now, verdicts))
}

async fn around(tx: &mut Tx, worker: i64, profile: i64) -> Result<Option<Around>> {
    row!(
        tx,
        Around,
        "SELECT w.state AS worker_state, p.state AS profile_state, p.paused_until, a.active AS account_active
         FROM sending_profiles p JOIN accounts a ON a.id = p.account_id LEFT JOIN workers w ON w.id = $1
         WHERE p.id = $2",
        worker,
        profile
    )
}

async fn look(tx: &mut Tx, claimed: &[(&Claimed, i64)]) -> Result<Vec<Seen>> {
    let ids = Value::from(claimed.iter().map(|(c, _)| json!([c.id])).collect::<Vec<_>>()).to_string();
    rows!(
        tx,
        Seen,
        "SELECT m.id, m.kind, m.state, m.fence, m.worker_id, m.version, m.approved, c.state AS campaign_state,
                c.version AS campaign_version, c.policy, n.state AS enrolment_state, n.replied_at, n.asked_at,
                k.state AS contact_state,
                s.why AS suppressed, y.state AS consent
         FROM json_each($1) AS e
         JOIN messages m ON m.id = CAST(e.value ->> 0 AS BIGINT)
         LEFT JOIN campaigns c ON c.id = m.campaign_id
         LEFT JOIN enrolments n ON n.id = m.enrolment_id
         LEFT JOIN contacts k ON k.id = m.contact_id
         LEFT JOIN suppressions s ON s.account_id = m.account_id AND s.channel = m.channel
              AND s.address_hash = m.address_hash
         LEFT JOIN consent_states y ON y.account_id = m.account_id AND y.channel = m.channel
              AND y.address_hash = m.address_hash",
        ids
    )
}

/// What stands against a hand-over at `now`, beside its slot.
fn forbidden(
    seen: &Seen,
    around: &Around,
    claimed: &Claimed,
    worker: i64,
    now: Millis,
) -> Result<Option<Verdict>> {
    let state = State::parse(&seen.state).unwrap_or(State::Held);
    let ours = intent::is_ours(state, seen.fence, claimed.fence, seen.worker_id == Some(worker));
    if !ours || around.worker_state.as_deref() != Some("alive") {
        return Ok(Some(Verdict::Lost));
    }
    let read = seen.policy.as_deref().map(|stored| policy_of(claimed.campaign_id, stored)).transpose()?;
    let step = StepSight {
        contact_active: seen.contact_state.as_deref() == Some("active"),
        replied: seen.replied_at.is_some(),
        lacks_consent: claimed.channel.needs_consent() && seen.consent.as_deref() != Some("opt_in"),
        enrolment_open: matches!(seen.enrolment_state.as_deref(), Some("active" | "completed")),
        is_present: seen.campaign_version == Some(seen.version),
        campaign_runs: seen.campaign_state.as_deref() == Some("running"),
        asked_to_stop: seen.asked_at.is_some(),
        approved: seen.approved,
        policy: read.as_ref().unwrap_or(&claimed.policy),
        zone: claimed.zone,
    };
    let sight = Sight {
        suppressed: seen.suppressed.as_deref(),
        account_active: around.account_active,
        profile_rests: (around.profile_state != "active").then_some(around.paused_until),
        step: (seen.kind == "step").then_some(step),
    };
    Ok(intent::forbids(&sight, now).map(Verdict::back))
}

impl Verdict {
    fn back((state, reason): intent::Back) -> Self {
        Verdict::Back { state: state.as_str(), reason }
    }
}

/// Gives claimed rows back: their state and reason are written, their count returns to the profile's limits.
/// Only rows that are still claimed under the same fence change.
pub async fn put_back(
    tx: &mut Tx,
    profile: i64,
    rates: &Rates,
    rows: &[(&Claimed, &'static str, Reason)],
    now: Millis,
) -> Result<()> {
    let mut gate = gates::lock(tx, Owner::Profile, profile).await?;
    let mut counted = false;
    for (claimed, state, reason) in rows {
        let planned = match reason {
            Reason::QuietHours { until } => *until,
            _ => claimed.planned_at,
        };
        let done = execute!(
            &mut *tx,
            "UPDATE messages SET state = $3, planned_at = $4, reasons = $5, slot = NULL, worker_id = NULL,
                 updated_at = $6
             WHERE id = $1 AND ((fence = $2 AND state = 'claimed') OR (fence = $2 - 1 AND state = 'drafted'))",
            claimed.id,
            claimed.fence,
            *state,
            planned,
            with_reasons(&claimed.reasons, vec![reason.clone()]),
            now
        )?;
        if done == 1 {
            give_back(&mut gate, rates, claimed.slot);
            counted = true;
            if *state == "suppressed" {
                stop(tx, claimed, reason, now).await?;
            }
        }
    }
    if counted {
        gates::save(tx, &[(Owner::Profile, profile, gate)]).await?;
    }
    Ok(())
}

/// Ends the enrolment; where a later step goes by another channel, the planner passes over this one instead.
async fn stop(tx: &mut Tx, claimed: &Claimed, reason: &Reason, now: Millis) -> Result<()> {
    let step = i64::from(claimed.step_number);
    let later = row!(
        &mut *tx,
        (i64,),
        "SELECT id FROM steps WHERE account_id = $1 AND campaign_id = $2 AND version = $3 AND step_number > $4
           AND channel <> $5 LIMIT 1",
        claimed.account_id,
        claimed.campaign_id,
        claimed.version,
        step,
        claimed.channel.as_str()
    )?;
    match later {
        Some(_) => execute!(
            tx,
            "UPDATE enrolments SET settled = $2, base_at = $3, next_run_at = $4, updated_at = $4
             WHERE id = $1 AND state = 'active' AND settled < $2",
            claimed.enrolment_id,
            step,
            claimed.planned_at,
            now
        )?,
        None => execute!(
            tx,
            "UPDATE enrolments SET state = 'stopped', reason = $2, next_run_at = NULL, updated_at = $3
             WHERE id = $1 AND state = 'active'",
            claimed.enrolment_id,
            serde_json::to_string(reason).unwrap_or_default(),
            now
        )?,
    };
    Ok(())
}
