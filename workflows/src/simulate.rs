//! A campaign's future as a discrete-event run of the very planner and slots the workers use.

use crate::campaign::Policy;
use crate::clock::Millis;
use crate::enrolment::{Action, Decision, Means, Person, Standing, plan};
use crate::rate_limit::{Due, Gate, Rates, Seat, seat, slot_millis};
use crate::reason::Reason;
use crate::sequence::{ByChannel, Sequence};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// One enrolment to follow.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The enrolment's id: the order among equals.
    pub id: i64,
    /// Where it stands.
    pub standing: Standing,
    /// Whom it reaches.
    pub person: Person,
    /// A message that is planned already: its step, planned instant and reasons.
    pub open: Option<(u32, Millis, Vec<Reason>)>,
}

/// One future message, or why there will be none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The subject's position in the list given.
    pub subject: usize,
    /// The step.
    pub step: u32,
    /// The slot's instant; for a step that is not sent, its planned instant.
    pub at: Millis,
    /// `Send` for a message; `Skip`, `Stop` or `Hold` otherwise.
    pub action: Action,
    /// Every reason that moved or forbade it.
    pub reasons: Vec<Reason>,
}

/// The campaign's side of a run.
pub struct Setting<'a> {
    /// The steps.
    pub sequence: &'a Sequence,
    /// Quiet hours, start and the rest.
    pub policy: &'a Policy,
    /// The limits and their state of the profile that each channel goes by.
    pub profiles: ByChannel<(Gate, Rates)>,
    /// The campaign's own limit and its state.
    pub campaign: (Gate, Rates),
    /// What this installation can do.
    pub means: ByChannel<Means>,
}

type Waiting = BinaryHeap<Reverse<(Millis, i64, usize)>>;

struct Run<'a> {
    setting: Setting<'a>,
    subjects: Vec<Subject>,
    waiting: Waiting,
    lines: Vec<Line>,
    until: Millis,
}

/// Every message up to `until`, in the order of the hand-overs; ties by enrolment.
pub fn simulate(setting: Setting<'_>, subjects: Vec<Subject>, until: Millis) -> Vec<Line> {
    let mut run = Run { setting, subjects, waiting: Waiting::new(), lines: Vec::new(), until };
    for index in 0..run.subjects.len() {
        match run.subjects[index].open.as_ref().map(|open| open.1) {
            Some(planned) => run.waiting.push(Reverse((planned, run.subjects[index].id, index))),
            None => run.advance(index),
        }
    }
    while let Some(Reverse((planned, _, index))) = run.waiting.pop() {
        run.take_turn(planned, index);
    }
    run.lines.sort_by_key(|line| (line.at, run.subjects[line.subject].id, line.step));
    run.lines
}

impl Run<'_> {
    /// Asks the planner until the subject has a message to wait for, or an end.
    fn advance(&mut self, index: usize) {
        loop {
            let subject = &self.subjects[index];
            let Setting { sequence, policy, means, .. } = &self.setting;
            // In a run without disturbance the planner is asked at the base instant: nothing is late yet.
            let decision =
                plan(subject.standing, sequence, &subject.person, policy, *means, subject.standing.base);
            if decision.at > self.until {
                return;
            }
            match decision.action {
                Action::Write | Action::Send => return self.wait(index, decision),
                Action::Skip => {
                    self.subjects[index].standing = Standing { settled: decision.step, base: decision.at };
                    self.tell(index, decision);
                }
                Action::Complete => return,
                Action::Wait | Action::Hold | Action::Stop => return self.tell(index, decision),
            }
        }
    }

    fn wait(&mut self, index: usize, decision: Decision) {
        let subject = &mut self.subjects[index];
        subject.open = Some((decision.step, decision.at, decision.reasons));
        self.waiting.push(Reverse((decision.at, subject.id, index)));
    }

    fn tell(&mut self, subject: usize, decision: Decision) {
        let Decision { action, step, at, reasons, .. } = decision;
        self.lines.push(Line { subject, step, at, action, reasons });
    }

    fn take_turn(&mut self, planned: Millis, index: usize) {
        let subject = &mut self.subjects[index];
        let Some((step, _, mut reasons)) = subject.open.take() else { return };
        let row = Due { planned, zone: subject.person.zone, quiet: self.setting.policy.quiet_hours };
        let Setting { profiles, campaign, sequence, .. } = &mut self.setting;
        let channel = sequence.step(step).map(|step| step.channel).unwrap_or_default();
        let profile = profiles.of_mut(channel);
        let got =
            seat((&mut profile.0, &profile.1), (&mut campaign.0, &campaign.1), &row, i64::MIN, self.until);
        match got {
            Seat::Beyond { .. } => {}
            Seat::Moved { to, reasons: moved } => {
                extend(&mut reasons, moved);
                subject.open = Some((step, to, reasons));
                self.waiting.push(Reverse((to, subject.id, index)));
            }
            Seat::Held(reason) => {
                reasons.push(reason);
                self.lines.push(Line { subject: index, step, at: planned, action: Action::Hold, reasons });
            }
            Seat::At { slot, reasons: late } => {
                extend(&mut reasons, late);
                let at = slot_millis(slot);
                subject.standing = Standing { settled: step, base: at };
                self.lines.push(Line { subject: index, step, at, action: Action::Send, reasons });
                self.advance(index);
            }
        }
    }
}

/// Adds reasons that are not there yet: a message moved every night says so for each night once.
pub fn extend(reasons: &mut Vec<Reason>, more: Vec<Reason>) {
    for reason in more {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
}
