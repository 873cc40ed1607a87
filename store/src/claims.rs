//! T1, the claim: the slot transaction of one sending profile (DESIGN, Limits; SEND_PROTOCOL).

/// The campaigns of a profile, such as `$1`, in a state: it serves one channel, so that one of the three finds them.
macro_rules! campaigns_of_profile {
    ($profile:literal, $columns:literal, $which:literal) => {
        concat!(
            campaigns_of_profile!(@ "c.profile_id = ", $profile, $columns, $which),
            " UNION ALL ",
            campaigns_of_profile!(@ "c.sms_profile_id = ", $profile, $columns, $which),
            " UNION ALL ",
            campaigns_of_profile!(@ "c.whatsapp_profile_id = ", $profile, $columns, $which)
        )
    };
    (@ $by:literal, $profile:literal, $columns:literal, $which:literal) => {
        concat!("SELECT ", $columns, " FROM campaigns c WHERE ", $by, $profile, " AND ", $which)
    };
}

mod lines;
mod waiting;

pub use waiting::{DueProfile, ahead, profiles_with_due};

use crate::db::{Tx, execute, row};
use crate::error::Result;
use crate::gates;
use crate::intents::Seen;
use lines::{DueMessage, Line, lines};
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{Clock, Micros, Millis};
use sendwright_workflows::rate_limit::{Due, Gate, HORIZON, Rates, Seat, TOLERANCE, seat, slot_millis};
use sendwright_workflows::reason::{Owner, Reason};
use sendwright_workflows::sequence::Channel;
use sendwright_workflows::simulate::extend;
use sendwright_workflows::zone::Zone;
use serde_json::{Value, json};

/// A claimed message: everything its hand-over needs.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "columns of messages and drafts by their own names")]
pub struct Claimed {
    pub id: i64,
    pub account_id: i64,
    pub campaign_id: i64,
    pub kind: String,
    pub round: i64,
    pub enrolment_id: i64,
    pub contact_id: i64,
    pub profile_id: i64,
    pub channel: Channel,
    pub step_number: u32,
    pub version: i64,
    pub address: String,
    pub address_hash: String,
    pub zone: Zone,
    pub planned_at: Millis,
    pub fence: i64,
    pub attempts: i64,
    pub slot: Micros,
    pub subject: String,
    pub body: String,
    /// What goes with a text message, a JSON object.
    pub enclosed: Option<String>,
    /// Every reason so far, JSON.
    pub reasons: String,
    /// The account of a provider's that it will go by.
    pub provider: Option<String>,
    /// The campaign's settings when it was claimed.
    pub policy: Policy,
}

/// The way out: a sending profile, as much of it as a claim needs.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// The profile.
    pub profile: i64,
    /// The channel that it serves.
    pub channel: Channel,
    /// Its limits.
    pub rates: &'a Rates,
}

/// What one slot transaction did.
#[derive(Debug, Default)]
pub struct Claim {
    /// Rows with a slot that is to come.
    pub claimed: Vec<Claimed>,
    /// Rows whose slot has come, from [`claim_at_once`]: locked, and not yet written.
    pub ready: Vec<Claimed>,
    /// What was read of these together with them, in their order.
    pub seen: Vec<Seen>,
    /// Rows planned anew or held: there may be more to claim at once.
    pub moved: usize,
    /// When the next slot is free, where rows wait for one.
    pub next: Option<Millis>,
    /// The instant that slots were given at.
    pub at: Millis,
}

/// When a claim gives slots that are used in its own transaction.
#[derive(Clone, Copy)]
pub struct Ahead<'a> {
    /// Asked once all is read: reading may take longer than a slot is wide.
    pub clock: &'a dyn Clock,
    /// How much later the intent comes.
    pub lead: Millis,
}

/// Gives slots to at most `most` due rows of a profile and claims them for `worker`.
pub async fn claim(tx: &mut Tx, way: Way<'_>, worker: i64, most: usize, now: Millis) -> Result<Claim> {
    let mut claim = take_slots(tx, way, worker, most, now, None).await?;
    claim.claimed.append(&mut claim.ready);
    claim.seen.clear(); // By the time of their intent it is old.
    Ok(claim)
}

/// The same, for a caller that commits the intent of those whose slot has come in this very transaction: they
/// come back as `ready` and are written once, by [`crate::intents::intend`] or [`crate::intents::put_back`].
pub async fn claim_at_once(
    tx: &mut Tx,
    way: Way<'_>,
    worker: i64,
    most: usize,
    now: Millis,
    ahead: Ahead<'_>,
) -> Result<Claim> {
    take_slots(tx, way, worker, most, now, Some(ahead)).await
}

async fn take_slots(
    tx: &mut Tx,
    way: Way<'_>,
    worker: i64,
    most: usize,
    now: Millis,
    ahead: Option<Ahead<'_>>,
) -> Result<Claim> {
    let Way { profile, rates, .. } = way;
    let mut profile_gate = gates::lock(tx, Owner::Profile, profile).await?.at(now, rates);
    let before = profile_gate;
    let (mut lines, next) = lines(tx, way, most, now).await?;
    let later = ahead.and_then(|ahead| Some(ahead.clock.now()? + ahead.lead));
    let (now, at_once) = (later.unwrap_or(now), ahead.is_some());
    let claim = Claim { next, at: now, ..Claim::default() };
    let mut done = Seating { claim, changes: Vec::new(), now, at_once };
    while done.given() < most {
        let Some(best) = first(&lines, &profile_gate) else { break };
        let line = &mut lines[best];
        let Some(row) = line.rows.pop_front() else { break };
        // A row that may have killed a worker goes alone: one such row in a worker's hands (SEND_PROTOCOL 15).
        let alone = row.crashes > 0;
        if alone && (done.given() > 0 || has_suspect(tx, worker).await?) {
            continue;
        }
        let due =
            Due { planned: row.planned_at, zone: row.zone(&line.policy), quiet: line.policy.quiet_hours };
        let got = seat(
            (&mut profile_gate, rates),
            (&mut line.gate, &line.rates),
            &due,
            now - TOLERANCE,
            now + HORIZON,
        );
        match got {
            Seat::Beyond { at } => {
                done.claim.next = Some(done.claim.next.map_or(at, |next| next.min(at)));
                line.rows.clear();
                continue;
            }
            Seat::At { slot, reasons } => {
                line.touched = true;
                done.give(way, line, row, slot, reasons);
            }
            Seat::Moved { to, reasons } => done.put_off(row, "drafted", to, reasons),
            Seat::Held(reason) => {
                let planned = row.planned_at;
                done.put_off(row, "held", planned, vec![reason]);
            }
        }
        if alone {
            break;
        }
    }
    done.save(tx, worker, now).await?;
    let own = (profile_gate != before).then_some((Owner::Profile, profile, profile_gate));
    let touched = lines.iter().filter(|l| l.touched && l.id > 0).map(|l| (Owner::Campaign, l.id, l.gate));
    gates::save(tx, &own.into_iter().chain(touched).collect::<Vec<_>>()).await?;
    Ok(done.claim)
}

/// The line whose head takes the next slot: the earliest slot first, then (planned instant, enrolment).
fn first(lines: &[Line], profile: &Gate) -> Option<usize> {
    let head = |line: &Line| {
        line.rows.front().map(|row| {
            let slot = profile.next.max(line.gate.next).max(row.planned_at * 1_000);
            (slot, row.planned_at, row.enrolment_id)
        })
    };
    (0..lines.len()).filter(|i| !lines[*i].rows.is_empty()).min_by_key(|i| head(&lines[*i]))
}

async fn has_suspect(tx: &mut Tx, worker: i64) -> Result<bool> {
    let sql =
        "SELECT id FROM messages WHERE worker_id = $1 AND waits IN ('writing', 'claimed') AND crashes > 0
         UNION ALL
         SELECT m.id FROM attempts a JOIN messages m ON m.id = a.message_id
         WHERE a.worker_id = $1 AND a.state = 'sending' AND m.worker_id = $1 AND m.state = 'sending' AND m.crashes > 0
         LIMIT 1";
    Ok(row!(tx, (i64,), sql, worker)?.is_some())
}

struct Seating {
    claim: Claim,
    /// id, state, planned_at, slot, reasons, fence added
    changes: Vec<Value>,
    now: Millis,
    at_once: bool,
}

impl Seating {
    fn given(&self) -> usize {
        self.claim.claimed.len() + self.claim.ready.len()
    }

    fn give(&mut self, way: Way<'_>, line: &Line, row: DueMessage, slot: Micros, late: Vec<Reason>) {
        let reasons = with_reasons(&row.reasons, late);
        let zone = row.zone(&line.policy);
        let is_ready = slot_millis(slot) <= self.now;
        if !(is_ready && self.at_once) {
            self.changes.push(json!([row.id, "claimed", row.planned_at, slot, reasons, 1]));
        }
        let line_of = if is_ready { &mut self.claim.ready } else { &mut self.claim.claimed };
        if is_ready {
            self.claim.seen.push(Seen::with(line.version, &row));
        }
        line_of.push(Claimed {
            id: row.id,
            account_id: row.account_id,
            campaign_id: line.id,
            kind: row.kind,
            round: row.round,
            enrolment_id: row.enrolment_id,
            contact_id: row.contact_id,
            profile_id: way.profile,
            channel: way.channel,
            step_number: row.step_number as u32,
            version: row.version,
            address: row.address,
            address_hash: row.address_hash,
            zone,
            planned_at: row.planned_at,
            fence: row.fence + 1,
            attempts: row.attempts,
            slot,
            subject: row.subject,
            body: row.body,
            enclosed: row.enclosed,
            reasons,
            provider: None,
            policy: line.policy.clone(),
        });
    }

    fn put_off(&mut self, row: DueMessage, state: &str, to: Millis, why: Vec<Reason>) {
        let reasons = with_reasons(&row.reasons, why);
        self.changes.push(json!([row.id, state, to, null, reasons, 0]));
        self.claim.moved += 1;
    }

    async fn save(&self, tx: &mut Tx, worker: i64, now: Millis) -> Result<()> {
        if self.changes.is_empty() {
            return Ok(());
        }
        execute!(
            tx,
            "UPDATE messages SET state = e.value ->> 1, planned_at = CAST(e.value ->> 2 AS BIGINT),
                 slot = CAST(e.value ->> 3 AS BIGINT), reasons = e.value ->> 4,
                 fence = fence + CAST(e.value ->> 5 AS BIGINT),
                 worker_id = CASE WHEN e.value ->> 1 = 'claimed' THEN $2 ELSE NULL END, updated_at = $3
             FROM json_each($1) AS e WHERE messages.id = CAST(e.value ->> 0 AS BIGINT)",
            Value::from(self.changes.clone()).to_string(),
            worker,
            now
        )?;
        Ok(())
    }
}

/// The stored reasons with more; each once.
pub(crate) fn with_reasons(stored: &str, more: Vec<Reason>) -> String {
    let mut reasons: Vec<Reason> = serde_json::from_str(stored).unwrap_or_default();
    extend(&mut reasons, more);
    serde_json::to_string(&reasons).unwrap_or_else(|_| "[]".into())
}
