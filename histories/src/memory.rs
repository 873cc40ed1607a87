//! A store in memory: rows as the database has them, and each transaction of the protocol as one function. What decides is
//! asked of `workflows`, as the real store does; what is here is only which rows a transaction reads and writes.

use crate::flaw::Flaw;
use crate::rows::{Attempt, Came, Claimed, Enrolment, Message, Outcome, Stand};
use crate::scene::{PEOPLE, Scene};
use sendwright_workflows::backoff;
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{Micros, Millis, SECOND};
use sendwright_workflows::enrolment::{Action, Means, Person, Reach, Standing, plan};
use sendwright_workflows::intent::{self, Sight, StepSight};
use sendwright_workflows::message::State;
use sendwright_workflows::outcome::{Against, End, Had, POISON, may_follow, suspects};
use sendwright_workflows::rate_limit::{
    Due, Gate, HORIZON, Rates, Seat, TOLERANCE, give_back, seat, slot_millis,
};
use sendwright_workflows::reason::Reason;
use sendwright_workflows::sequence::ByChannel;

/// How long before its planned instant a message is planned. Milliseconds.
pub const PLAN_AHEAD: Millis = 5 * SECOND;

/// All rows.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "tables by their own names")]
pub struct Memory {
    pub now: Millis,
    pub campaign_runs: bool,
    pub campaign_gate: Gate,
    pub profile_rests: bool,
    pub profile_gate: Gate,
    pub enrolments: Vec<Enrolment>,
    pub messages: Vec<Message>,
    pub attempts: Vec<Attempt>,
    /// Whether each worker that ever was is alive, as the table says.
    pub workers: Vec<bool>,
    /// When the next slot can be given out, where the last claim found none.
    pub opens: Option<Millis>,
    /// The last claim planned messages anew: there may be more to claim at once, as a worker knows.
    pub moved: bool,
    /// What is wrong with it, if anything.
    pub flaw: Option<Flaw>,
    started_at: Millis,
}

impl Memory {
    /// Everybody is enrolled, the campaign runs, `workers` have come up.
    pub fn new(scene: &Scene, workers: usize) -> Self {
        let enrolment = |zone| Enrolment {
            zone,
            suppressed: None,
            stand: Stand::Active,
            settled: 0,
            base: scene.start,
            next_run_at: Some(scene.start),
        };
        Self {
            now: scene.start,
            campaign_runs: true,
            campaign_gate: Gate::default(),
            profile_rests: false,
            profile_gate: Gate::default(),
            enrolments: scene.zones.into_iter().map(enrolment).collect(),
            messages: Vec::with_capacity(3 * PEOPLE),
            attempts: Vec::with_capacity(4 * PEOPLE),
            workers: vec![true; workers],
            opens: None,
            moved: false,
            flaw: None,
            started_at: scene.start,
        }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// The campaign's settings as a transaction heeds them.
    fn policy(&self, scene: &Scene) -> Policy {
        let quiet_hours = scene.policy.quiet_hours.filter(|_| !self.has(Flaw::OverlooksQuietHours));
        Policy { quiet_hours, ..scene.policy.clone() }
    }

    /// The planner's passes, until nothing is due for it.
    pub fn plan(&mut self, scene: &Scene) {
        let is_due = |memory: &Self, person: &usize| {
            let row = &memory.enrolments[*person];
            row.stand == Stand::Active && row.next_run_at.is_some_and(|at| at <= memory.now)
        };
        while self.campaign_runs
            && let Some(person) = (0..self.enrolments.len()).find(|person| is_due(self, person))
        {
            self.plan_one(scene, person);
        }
    }

    fn plan_one(&mut self, scene: &Scene, person: usize) {
        let row = &self.enrolments[person];
        let base = if row.settled == 0 { row.base.max(self.started_at) } else { row.base };
        let reach = Reach { suppressed: row.suppressed.map(str::to_owned), ..Reach::open() };
        let who = Person {
            zone: row.zone,
            reach: ByChannel::new(|_| reach.clone()),
            deleted: false,
            replied: false,
            got: Vec::new(),
        };
        let mut standing = Standing { settled: row.settled, base };
        loop {
            let means = Means::EVERYWHERE;
            let decision = plan(standing, &scene.sequence, &who, &scene.policy, means, self.now);
            let (stand, next) = match decision.action {
                Action::Skip => {
                    standing = Standing { settled: decision.step, base: decision.at };
                    continue;
                }
                Action::Complete => (Stand::Completed, None),
                Action::Stop => (Stand::Stopped, None),
                _ if decision.at - PLAN_AHEAD > self.now => (Stand::Active, Some(decision.at - PLAN_AHEAD)),
                action => {
                    let message =
                        self.messages.iter().find(|m| m.person == person && m.step == decision.step);
                    if let Some(there) = message {
                        // The step has a message already: the planner passes over it, and looks again.
                        standing = Standing { settled: there.step, base: decision.at };
                        (Stand::Active, Some(self.now))
                    } else {
                        let state = if action == Action::Hold { State::Held } else { State::Drafted };
                        self.messages.push(Message {
                            person,
                            step: decision.step,
                            state,
                            planned: decision.at,
                            slot: None,
                            fence: 0,
                            attempts: 0,
                            worker: None,
                            crashes: 0,
                            approved: false,
                        });
                        (Stand::Active, None)
                    }
                }
            };
            let row = &mut self.enrolments[person];
            (row.stand, row.settled, row.base, row.next_run_at) =
                (stand, standing.settled, standing.base, next);
            return;
        }
    }

    /// T1: slots for at most `most` due messages.
    pub fn claim(&mut self, scene: &Scene, worker: usize, most: usize) -> Vec<Claimed> {
        let (earliest, horizon) = (self.now - TOLERANCE, self.now + HORIZON);
        (self.opens, self.moved) = (None, false);
        if !self.campaign_runs {
            return Vec::new();
        }
        let campaign_opens = slot_millis(self.campaign_gate.next);
        if campaign_opens > horizon {
            self.opens = Some(campaign_opens - HORIZON);
            return Vec::new();
        }
        let mut due: Vec<usize> = (0..self.messages.len())
            .filter(|m| {
                let message = &self.messages[*m];
                message.state == State::Drafted && message.planned <= self.now
            })
            .collect();
        due.sort_by_key(|m| (self.messages[*m].planned, self.messages[*m].person));
        due.truncate(most);
        let (mut claimed, policy) = (Vec::new(), self.policy(scene));
        for m in due {
            let alone = self.messages[m].crashes > 0;
            if alone && (!claimed.is_empty() || self.has_suspect(worker)) {
                continue;
            }
            let message = &self.messages[m];
            let zone = self.enrolments[message.person].zone;
            let row = Due { planned: message.planned, zone, quiet: policy.quiet_hours };
            let campaign = policy.rates();
            let gates = (self.profile_gate, self.campaign_gate);
            let profile = (&mut self.profile_gate, &scene.rates);
            match seat(profile, (&mut self.campaign_gate, &campaign), &row, earliest, horizon) {
                Seat::Beyond { at } => {
                    self.opens = Some(at - HORIZON);
                    break;
                }
                Seat::At { slot, .. } => {
                    if self.has(Flaw::OverlooksLimits) {
                        (self.profile_gate, self.campaign_gate) = gates;
                    }
                    claimed.push(self.take(m, worker, slot));
                }
                Seat::Moved { to, .. } => (self.messages[m].planned, self.moved) = (to, true),
                Seat::Held(_) => (self.messages[m].state, self.moved) = (State::Held, true),
            }
            if alone {
                break;
            }
        }
        claimed
    }

    fn take(&mut self, m: usize, worker: usize, slot: Micros) -> Claimed {
        let message = &mut self.messages[m];
        message.state = State::Claimed;
        message.slot = Some(slot);
        message.fence += 1;
        message.worker = Some(worker);
        let (fence, attempts, planned) = (message.fence, message.attempts, message.planned);
        Claimed { message: m, fence, slot, attempts, planned }
    }

    fn has_suspect(&self, worker: usize) -> bool {
        let is_held = |m: &Message| matches!(m.state, State::Claimed | State::Sending | State::Writing);
        self.messages.iter().any(|m| m.worker == Some(worker) && m.crashes > 0 && is_held(m))
    }

    /// T2 of one message; what may not go is put back.
    pub fn intend(&mut self, scene: &Scene, worker: usize, claimed: &Claimed) -> Came {
        let message = &self.messages[claimed.message];
        let is_workers = message.worker == Some(worker);
        if !intent::is_ours(message.state, message.fence, claimed.fence, is_workers) || !self.workers[worker]
        {
            return Came::Lost;
        }
        let enrolment = &self.enrolments[message.person];
        let policy = self.policy(scene);
        let step = StepSight {
            contact_active: true,
            replied: false,
            lacks_consent: false,
            enrolment_open: matches!(enrolment.stand, Stand::Active | Stand::Completed),
            is_present: true,
            campaign_runs: self.campaign_runs || self.has(Flaw::OverlooksPauses),
            asked_to_stop: false,
            approved: message.approved,
            policy: &policy,
            zone: enrolment.zone,
        };
        let sight = Sight {
            suppressed: enrolment.suppressed.filter(|_| !self.has(Flaw::OverlooksOptOuts)),
            account_active: true,
            profile_rests: self.profile_rests.then_some(None),
            step: Some(step),
        };
        let back = intent::forbids(&sight, self.now).or_else(|| intent::off_slot(claimed.slot, self.now));
        if let Some(back) = back {
            self.put_back(scene, claimed, back);
            return Came::Back;
        }
        let message = &mut self.messages[claimed.message];
        message.state = State::Sending;
        message.attempts += 1;
        self.attempts.push(Attempt {
            message: claimed.message,
            fence: claimed.fence,
            worker,
            slot: claimed.slot,
            state: "sending",
            intent_at: self.now,
        });
        Came::Go(self.attempts.len() - 1)
    }

    fn put_back(&mut self, scene: &Scene, claimed: &Claimed, (state, reason): intent::Back) {
        let message = &mut self.messages[claimed.message];
        message.planned = match reason {
            Reason::QuietHours { until } => until,
            _ => claimed.planned,
        };
        (message.state, message.slot, message.worker) = (state, None, None);
        give_back(&mut self.profile_gate, &scene.rates, claimed.slot);
        let enrolment = &mut self.enrolments[message.person];
        if state == State::Suppressed && enrolment.stand == Stand::Active {
            (enrolment.stand, enrolment.next_run_at) = (Stand::Stopped, None);
        }
    }

    /// T3: what became of an attempt.
    pub fn record(&mut self, scene: &Scene, outcome: &Outcome) {
        let attempt = &mut self.attempts[outcome.attempt];
        if matches!(attempt.state, "sending" | "uncertain") {
            attempt.state = outcome.end.of_attempt();
        }
        let moved = match outcome.end {
            _ if self.has(Flaw::BelievesAnything) => self.accept(outcome),
            End::Accepted => self.accept(outcome),
            _ => self.follow(outcome),
        };
        if moved && outcome.end.settles() {
            self.advance(scene, outcome);
        }
        if moved && let End::Failed { against: Some(Against::Bad), .. } = outcome.end {
            let person = self.messages[outcome.claimed.message].person;
            self.enrolments[person].suppressed.get_or_insert("bounced");
        }
    }

    fn accept(&mut self, outcome: &Outcome) -> bool {
        let message = &mut self.messages[outcome.claimed.message];
        if message.state.was_accepted() {
            return false;
        }
        (message.state, message.slot) = (State::Accepted, Some(outcome.claimed.slot));
        (message.worker, message.crashes) = (None, 0);
        true
    }

    fn follow(&mut self, outcome: &Outcome) -> bool {
        let message = &self.messages[outcome.claimed.message];
        let is_later = |l: &Message| l.person == message.person && l.step > message.step && l.attempts > 0;
        let had = Had {
            overtaken: message.state == State::Uncertain && self.messages.iter().any(is_later),
            crashed: outcome.crashed,
            crashes: message.crashes,
            bounces: true,
        };
        if !may_follow(message.state, message.fence == outcome.claimed.fence, &outcome.end) {
            return false;
        }
        let (state, planned, _) = outcome.end.follows(had);
        let message = &mut self.messages[outcome.claimed.message];
        message.state = state;
        message.planned = planned.unwrap_or(message.planned);
        message.worker = None;
        message.crashes = if outcome.crashed { message.crashes } else { 0 };
        if state == State::Drafted {
            message.slot = None;
        }
        true
    }

    /// Where the enrolment goes once a step is settled.
    fn advance(&mut self, scene: &Scene, outcome: &Outcome) {
        let message = &self.messages[outcome.claimed.message];
        let row = &mut self.enrolments[message.person];
        if row.stand != Stand::Active || row.settled >= message.step {
            return;
        }
        let base = slot_millis(outcome.claimed.slot);
        (row.settled, row.base) = (message.step, base);
        let next = scene.sequence.after(message.step);
        (row.stand, row.next_run_at) = match (&outcome.end, next) {
            (End::Failed { against: Some(_), .. }, _) => (Stand::Stopped, None),
            (End::Failed { against: None, .. }, _) => (Stand::Failed, None),
            (_, Some(step)) => (Stand::Active, Some(step.delay.after(base, row.zone) - PLAN_AHEAD)),
            (_, None) => (Stand::Completed, None),
        };
    }

    /// A worker is given up: what it was handing over is uncertain, the rest is due again.
    pub fn bury(&mut self, scene: &Scene, worker: usize) {
        if !std::mem::replace(&mut self.workers[worker], false) {
            return;
        }
        let held: Vec<(i64, i64)> = (0..self.messages.len())
            .filter(|m| {
                let message = &self.messages[*m];
                message.worker == Some(worker) && matches!(message.state, State::Claimed | State::Sending)
            })
            .map(|m| (m as i64, self.messages[m].crashes))
            .collect();
        for (m, crashes) in suspects(&held) {
            self.messages[m as usize].crashes = crashes;
        }
        for attempt in 0..self.attempts.len() {
            let open = &self.attempts[attempt];
            if open.worker == worker && open.state == "sending" {
                let message = &self.messages[open.message];
                let claimed = Claimed {
                    message: open.message,
                    fence: open.fence,
                    slot: open.slot,
                    attempts: message.attempts - 1,
                    planned: message.planned,
                };
                let end = match self.has(Flaw::RepeatsTheUnknown) {
                    true => End::Retry { at: claimed.planned, reason: Reason::NotStarted },
                    false => End::Unknown,
                };
                self.record(scene, &Outcome { attempt, claimed, end, crashed: true });
            }
        }
        if self.has(Flaw::LosesClaims) {
            return;
        }
        let zone_only = Rates { zone: scene.rates.zone, ..Rates::default() };
        for message in self.messages.iter_mut() {
            if message.worker == Some(worker) && message.state == State::Claimed {
                if let Some(slot) = message.slot {
                    give_back(&mut self.profile_gate, &zone_only, slot);
                }
                message.state = if message.crashes >= POISON { State::Held } else { State::Drafted };
                (message.slot, message.worker) = (None, None);
            }
        }
    }

    /// A person releases a message that is held or uncertain.
    pub fn release(&mut self, m: usize) {
        let message = &mut self.messages[m];
        if message.state.may_release() {
            (message.state, message.approved) = (State::Drafted, true);
            (message.slot, message.worker) = (None, None);
            message.fence += 1;
        }
    }
}

/// What a definite no for now means: tried again later, or given up once that has gone on for too long.
pub fn refused_for_now(claimed: &Claimed, now: Millis) -> End {
    let attempts = claimed.attempts as u32 + 1;
    let at = now + backoff::refused(attempts, 0.0);
    match now - claimed.planned > backoff::GIVE_UP || attempts >= 24 {
        true => End::Failed { reason: Reason::Refused { reply: 450, until: Some(at) }, against: None },
        false => End::Retry { at, reason: Reason::Refused { reply: 450, until: Some(at) } },
    }
}
