//! The planner: what happens next to one enrolment, and why. Pure; the worker, `simulate`, `explain`, the dry
//! run of an edit and the property tests all ask it.

use crate::campaign::Policy;
use crate::clock::{DAY, Millis};
use crate::quiet_hours::QuietHours;
use crate::reason::Reason;
use crate::sequence::{ByChannel, Channel, Sequence, Step};
use crate::zone::Zone;
use serde::{Deserialize, Serialize};

/// The planner's own version, stored with every decision.
pub const PLANNER: u32 = 1;

/// Where an enrolment stands: what is settled, and the instant the next delay counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The last settled step, 0 before the first.
    pub settled: u32,
    /// The slot instant of the last hand-over, the planned instant of the last skip, or the enrolment's own.
    pub base: Millis,
}

/// What the planner needs to know of the person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The zone that quiet hours and calendar days are reckoned in.
    pub zone: Zone,
    /// How each channel reaches them.
    pub reach: ByChannel<Reach>,
    /// The contact was deleted.
    pub deleted: bool,
    /// The contact answered.
    pub replied: bool,
    /// Fingerprints of steps the person already got in this round, with the message's id.
    pub got: Vec<(String, i64)>,
}

/// How one channel reaches a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// There is an address.
    pub has_address: bool,
    /// Why nothing may be sent to it, if so.
    pub suppressed: Option<String>,
    /// The person opted in; asked only where the channel needs it.
    pub opted_in: bool,
}

impl Reach {
    /// Nothing stands against it.
    pub fn open() -> Self {
        Self { has_address: true, suppressed: None, opted_in: true }
    }

    /// Why nothing may be sent, if so; without an address there is nothing to forbid.
    fn forbids(&self, channel: Channel) -> Option<Reason> {
        if let Some(why) = &self.suppressed {
            return Some(Reason::Suppressed { why: why.clone() });
        }
        let lacks = channel.needs_consent() && self.has_address && !self.opted_in;
        lacks.then_some(Reason::NoConsent)
    }
}

/// What this installation can do on one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Means {
    /// A model is configured, or the offline writer may stand in.
    pub model: bool,
    /// A transport is configured.
    pub transport: bool,
}

impl Means {
    /// Both, on every channel: what is taken for granted where nothing is known.
    pub const EVERYWHERE: ByChannel<Means> = ByChannel::all(Means { model: true, transport: true });
}

/// What to do with an enrolment's next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Not now, and nobody knows when: something outside must change first.
    Wait,
    /// Have the text written, then send at `at`.
    Write,
    /// Send at `at`.
    Send,
    /// Keep it for a person.
    Hold,
    /// Pass over this step; the next delay counts from `at`.
    Skip,
    /// End the enrolment.
    Stop,
    /// Nothing is left to do.
    Complete,
}

/// The planner's answer. `at` is the planned instant: before any limit, past every pure gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What to do.
    pub action: Action,
    /// The step it is about, 0 for none.
    pub step: u32,
    /// When the step was due before any gate.
    pub due: Millis,
    /// When, after the gates.
    pub at: Millis,
    /// Why, in the order the gates spoke.
    pub reasons: Vec<Reason>,
}

/// What happens next to an enrolment. The campaign is taken to be running: who pauses it does not ask.
pub fn plan(
    standing: Standing,
    sequence: &Sequence,
    person: &Person,
    policy: &Policy,
    means: ByChannel<Means>,
    now: Millis,
) -> Decision {
    let Some(step) = sequence.after(standing.settled) else {
        return Decision {
            action: Action::Complete,
            step: 0,
            due: standing.base,
            at: standing.base,
            reasons: vec![],
        };
    };
    let (due, mut reasons) = due(standing, step, person.zone, policy);
    let decide = |action, at, reasons| Decision { action, step: step.number, due, at, reasons };
    if person.deleted {
        return decide(Action::Stop, due, vec![Reason::ContactDeleted]);
    }
    let forbidden = person.reach.of(step.channel).forbids(step.channel);
    if let Some(reason) = forbidden.clone().filter(|_| !sequence.is_mixed()) {
        return decide(Action::Stop, due, vec![reason]);
    }
    if person.replied {
        return decide(Action::Stop, due, vec![Reason::Replied]);
    }
    if let Some(reason) = forbidden.or_else(|| passes_over(step, person)) {
        return decide(Action::Skip, due, vec![reason]);
    }
    if let Some(most) = policy.max_lateness.filter(|most| now - due > *most) {
        return decide(Action::Skip, due, vec![Reason::TooLate { by: now - due - most }]);
    }
    let at = match gates(due, person.zone, policy.quiet_hours) {
        Ok((at, moved)) => {
            reasons.extend(moved);
            at
        }
        Err(reason) => return decide(Action::Hold, due, vec![reason]),
    };
    if policy.passed_until.is_some_and(|until| at <= until) {
        return decide(Action::Skip, at, vec![Reason::Recovery]);
    }
    if let Some(reason) = lacks(step, policy, means) {
        reasons.push(reason);
        return decide(Action::Hold, at, reasons);
    }
    let action =
        if step.wants_model() && means.of(step.channel).model { Action::Write } else { Action::Send };
    decide(action, at, reasons)
}

/// When a step is due before any gate; the first one not before the campaign starts, every other one after its
/// predecessor's slot, if only by a millisecond: those that are due at that very slot's instant get their slots
/// before anybody can know that it was used.
fn due(standing: Standing, step: &Step, zone: Zone, policy: &Policy) -> (Millis, Vec<Reason>) {
    if standing.settled > 0 {
        return (step.delay.after(standing.base, zone).max(standing.base + 1), vec![]);
    }
    match policy.starts_at.filter(|start| *start > standing.base) {
        Some(start) => (step.delay.after(start, zone), vec![Reason::Schedule { until: start }]),
        None => (step.delay.after(standing.base, zone), vec![]),
    }
}

fn passes_over(step: &Step, person: &Person) -> Option<Reason> {
    if !step.active {
        return Some(Reason::StepInactive);
    }
    if !person.reach.of(step.channel).has_address {
        return Some(Reason::NoAddress);
    }
    let print = step.fingerprint();
    person
        .got
        .iter()
        .find(|(got, _)| *got == print)
        .map(|(_, message)| Reason::AlreadySent { message: *message })
}

fn lacks(step: &Step, policy: &Policy, means: ByChannel<Means>) -> Option<Reason> {
    let means = means.of(step.channel);
    if !means.transport {
        return Some(Reason::NoTransport);
    }
    let template_serves =
        policy.without_model == crate::campaign::WithoutModel::Template && step.template.is_some();
    (step.wants_model() && !means.model && !template_serves).then_some(Reason::NoModel)
}

/// The pure gates, to a fixpoint: each only moves later. Held after 64 rounds or 400 days.
pub fn gates(from: Millis, zone: Zone, quiet: Option<QuietHours>) -> Result<(Millis, Vec<Reason>), Reason> {
    let (mut at, mut reasons) = (from, Vec::new());
    for _ in 0..64 {
        let next = match quiet {
            Some(quiet) => quiet.next_permitted(at, zone).ok_or(Reason::NoPermittedInstant)?,
            None => at,
        };
        if next == at {
            return Ok((at, reasons));
        }
        if next - from > 400 * DAY {
            break;
        }
        reasons.push(Reason::QuietHours { until: next });
        at = next;
    }
    Err(Reason::NoPermittedInstant)
}
