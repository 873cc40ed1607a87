//! What stands before a message now, in the order the intent asks, and when it is looked at next.

use super::{Facts, holds};
use crate::operations::sending_profiles::rates;
use sendwright_store::sending_profiles::NO_TRANSPORT;
use sendwright_workflows::campaign::{Policy, State as CampaignState};
use sendwright_workflows::clock::{MINUTE, Millis, SECOND};
use sendwright_workflows::message::State;
use sendwright_workflows::rate_limit::{Due, Gate, Rates, Seat, TOLERANCE, seat, slot_millis};
use sendwright_workflows::reason::{Cause, Reason};

/// Texts are written up to this long ahead of their planned instant.
const WRITE_AHEAD: Millis = 10 * MINUTE;

/// A due message that nothing stands before goes out within seconds; after this long something is wrong.
const PATIENCE: Millis = 10 * SECOND;

/// Reasons that hold now, and the next look; none where nobody looks until something is done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    pub reasons: Vec<Reason>,
    pub next: Option<Millis>,
}

/// Something that stands in the way: until when, where that is known.
type Obstacle = (Reason, Option<Millis>);

/// Looks ahead from the facts.
pub fn outlook(facts: &Facts) -> Outlook {
    let stored = facts.message.reasons();
    match facts.message.state() {
        State::Drafted => waiting(facts, sending_obstacles(facts), turn(facts)),
        State::Scheduled => waiting(facts, campaign_obstacles(facts), writing_turn(facts)),
        State::Writing | State::Claimed | State::Sending => {
            Outlook { reasons: vec![], next: Some(facts.now) }
        }
        State::Held => {
            let last = stored.iter().rev().find(|reason| holds(reason)).or(stored.last());
            Outlook { reasons: last.cloned().into_iter().collect(), next: None }
        }
        State::Uncertain => Outlook { reasons: vec![Reason::Uncertain], next: None },
        _ => Outlook { reasons: stored.last().cloned().into_iter().collect(), next: None },
    }
}

/// Obstacles first; the message's turn comes after the last of them.
fn waiting(facts: &Facts, obstacles: Vec<Obstacle>, turn: Outlook) -> Outlook {
    let mut next = turn.next;
    for (_, until) in &obstacles {
        next = next.zip(*until).map(|(turn, until)| turn.max(until));
    }
    let mut reasons: Vec<Reason> = obstacles.into_iter().map(|(reason, _)| reason).collect();
    reasons.extend(turn.reasons);
    if !facts.worker_alive && next.is_some_and(|at| at <= facts.now) {
        reasons.push(Reason::Late { cause: Cause::Outage });
        next = None;
    }
    Outlook { reasons, next }
}

/// What the intent would refuse it for (`store::intents`), all of it at once.
fn sending_obstacles(facts: &Facts) -> Vec<Obstacle> {
    let mut found = Vec::new();
    if let Some(why) = &facts.suppressed {
        found.push((Reason::Suppressed { why: why.clone() }, Some(facts.now)));
    }
    if !facts.account_active {
        found.push((Reason::AccountInactive, None));
    }
    match &facts.profile {
        Some(profile) if profile.state == "active" => {}
        profile => {
            let until = profile.as_ref().and_then(|p| p.paused_until);
            found.push((Reason::ProfilePaused { until }, until));
        }
    }
    found.extend(campaign_obstacles(facts));
    if facts.message.is_step() {
        let policy = facts.campaign.as_ref().map(|c| &c.policy);
        if policy.is_some_and(|p| p.requires_approval) && !facts.message.approved {
            found.push((Reason::Approval, None));
        }
        if !facts.contact_active {
            found.push((Reason::ContactDeleted, Some(facts.now)));
        } else if !goes_on(facts) {
            found.push((Reason::Cancelled, Some(facts.now)));
        }
    }
    found
}

fn goes_on(facts: &Facts) -> bool {
    match facts.enrolment.as_deref() {
        Some("active") => true,
        Some("completed") => facts.message.approved,
        _ => false,
    }
}

fn campaign_obstacles(facts: &Facts) -> Vec<Obstacle> {
    if !facts.message.is_step() {
        return Vec::new();
    }
    let Some(campaign) = &facts.campaign else { return vec![(Reason::Cancelled, Some(facts.now))] };
    let mut found = Vec::new();
    match (campaign.state, campaign.schedule_at) {
        (CampaignState::Running, _) => {}
        (CampaignState::Scheduled, Some(until)) => found.push((Reason::Schedule { until }, Some(until))),
        (CampaignState::Held, _) => found.push((Reason::Recovery, None)),
        _ => found.push((Reason::Paused, None)),
    }
    if campaign.version != facts.message.version || campaign.mapped_version != campaign.version {
        found.push((Reason::Edited, Some(facts.now)));
    }
    found
}

/// The text's turn: the write lane takes it some time ahead.
fn writing_turn(facts: &Facts) -> Outlook {
    let look = facts.message.planned().map_or(facts.now, |planned| (planned - WRITE_AHEAD).max(facts.now));
    let late = Reason::Late { cause: Cause::Writing };
    let reasons = match facts.message.reasons().last() {
        Some(last) if *last == late => vec![late],
        Some(cap @ Reason::SpendCap { until: Some(until) }) if *until > facts.now => vec![cap.clone()],
        _ => moved_by(facts),
    };
    Outlook { reasons, next: Some(look) }
}

/// The recorded reasons that gave the message its present planned instant.
fn moved_by(facts: &Facts) -> Vec<Reason> {
    let planned = facts.message.planned_at;
    if planned <= facts.now {
        return Vec::new();
    }
    let is_cause = |reason: &Reason| match reason {
        Reason::QuietHours { until } | Reason::Schedule { until } => *until == planned,
        Reason::Refused { until, .. } => *until == Some(planned),
        _ => false,
    };
    let stored = facts.message.reasons();
    match stored.last() {
        // Trouble on the line moved it; the reason carries no instant.
        Some(late @ Reason::Late { cause: Cause::Retry }) => vec![late.clone()],
        _ => stored.into_iter().filter(is_cause).collect(),
    }
}

/// The message's own turn: the slot that the claim would give it now, after everybody before it.
fn turn(facts: &Facts) -> Outlook {
    // Without an instant it is the planner's turn.
    let Some(planned) = facts.message.planned() else {
        return Outlook { reasons: Vec::new(), next: Some(facts.now) };
    };
    let none = Policy::default();
    let policy = facts.campaign.as_ref().map_or(&none, |c| &c.policy);
    let limits = (facts.profile.as_ref().map(rates).unwrap_or_default(), policy.rates());
    let (mut profile, mut campaign) = facts.gates;
    let earliest = facts.now - TOLERANCE;
    pass(facts, (&mut profile, &mut campaign), &limits, earliest);
    let row = Due { planned, zone: facts.zone(), quiet: policy.quiet_hours };
    let got = seat((&mut profile, &limits.0), (&mut campaign, &limits.1), &row, earliest, i64::MAX);
    let mut reasons = moved_by(facts);
    let next = match got {
        Seat::At { slot, reasons: limit } => {
            // That it is late already is told only where nothing else explains it.
            reasons.extend(limit.into_iter().filter(|r| !matches!(r, Reason::Late { .. })));
            slot_millis(slot).max(facts.now)
        }
        Seat::Moved { to, reasons: moved } => {
            reasons.extend(moved);
            to
        }
        Seat::Held(reason) => {
            reasons.push(reason);
            facts.now
        }
        Seat::Beyond { at } => at,
    };
    let why = facts.profile.as_ref().filter(|p| p.state == "active").and_then(|p| p.why.as_deref());
    if why == Some(NO_TRANSPORT) {
        reasons.push(Reason::NoTransport);
        return Outlook { reasons, next: Some(next.max(facts.now + MINUTE)) };
    }
    // Whatever holds it up is known to the workers alone: that it is held up is told here.
    let row = &facts.message;
    let is_stuck = facts.now - row.planned_at.max(row.updated_at) > PATIENCE;
    if (why.is_some() || is_stuck) && next <= facts.now {
        reasons.push(Reason::Late { cause: Cause::Capacity });
    }
    Outlook { reasons, next: Some(next) }
}

/// Lets the rows before this one take their slots first.
fn pass(
    facts: &Facts,
    (profile, campaign): (&mut Gate, &mut Gate),
    limits: &(Rates, Rates),
    earliest: Millis,
) {
    let (own, others) = facts.ahead;
    let row = Due { planned: earliest, zone: facts.zone(), quiet: None };
    for n in 0..own + others {
        let mut other = Gate::default();
        match n < own {
            true => seat((&mut *profile, &limits.0), (&mut *campaign, &limits.1), &row, earliest, i64::MAX),
            false => {
                let none = Rates::default();
                seat((&mut *profile, &limits.0), (&mut other, &none), &row, earliest, i64::MAX)
            }
        };
    }
}
