//! The stage: the store in memory, the worker processes with what they hold, and the witness.

use crate::act::{Act, Answer};
use crate::memory::{Memory, refused_for_now};
use crate::rows::{Came, Claimed, Message, Outcome, Stand};
use crate::scene::{Scene, WORKERS};
use crate::witness::{Broken, Witness};
use sendwright_workflows::clock::{MINUTE, Millis};
use sendwright_workflows::message::State;
use sendwright_workflows::outcome::{Against, End};
use sendwright_workflows::quiet_hours::G;
use sendwright_workflows::reason::Reason;

/// How long a worker may be silent. Milliseconds.
pub const LEASE: Millis = MINUTE;

/// A worker process, and what is lost with it.
#[derive(Debug, Clone)]
pub struct Worker {
    /// The process is there.
    pub is_up: bool,
    /// It does not reach the store.
    pub is_cut: bool,
    /// When it last told the store that it lives.
    pub beat: Millis,
    /// Claimed, each with its slot.
    pub hand: Vec<Claimed>,
    /// Begun and not ended.
    pub open: Vec<(usize, Claimed)>,
    /// Ended and not recorded.
    pub ended: Vec<Outcome>,
}

impl Worker {
    fn new(now: Millis) -> Self {
        let (hand, open, ended) = (Vec::new(), Vec::new(), Vec::new());
        Self { is_up: true, is_cut: false, beat: now, hand, open, ended }
    }

    /// Whether it can write to the store.
    pub fn reaches(&self) -> bool {
        self.is_up && !self.is_cut
    }
}

/// Everything.
#[derive(Debug, Clone)]
pub struct Stage {
    /// What it began with.
    pub scene: Scene,
    /// The store.
    pub memory: Memory,
    /// All workers that ever were.
    pub workers: Vec<Worker>,
    witness: Witness,
}

impl Stage {
    /// The beginning.
    pub fn new(scene: Scene) -> Self {
        let memory = Memory::new(&scene, WORKERS);
        let workers = (0..WORKERS).map(|_| Worker::new(scene.start)).collect();
        Self { scene, memory, workers, witness: Witness::default() }
    }

    /// Whether an act can happen at all.
    pub fn can(&self, act: Act) -> bool {
        let worker = |w: usize| &self.workers[w];
        match act {
            Act::Pass(_) | Act::Plan | Act::Pause(_) | Act::Rest(_) | Act::OptOut(_) => true,
            Act::Claim(w, _) => worker(w).reaches() && self.memory.workers[w],
            Act::Intend(w) => worker(w).reaches() && !worker(w).hand.is_empty(),
            Act::Dot(w, _) => worker(w).is_up && !worker(w).open.is_empty(),
            Act::Record(w) => worker(w).reaches() && !worker(w).ended.is_empty(),
            Act::Crash(w) => worker(w).is_up,
            Act::Cut(w) => worker(w).reaches(),
            Act::Heal(w) => worker(w).is_up && worker(w).is_cut,
            Act::Bury(w) => {
                self.memory.workers[w] && !worker(w).reaches() && self.memory.now - worker(w).beat > LEASE
            }
            Act::Start => self.workers.iter().filter(|worker| worker.is_up).count() < WORKERS,
            Act::Release(m) => self.memory.messages.get(m).is_some_and(|message| message.state.may_release()),
        }
    }

    /// Makes it happen.
    ///
    /// # Errors
    /// The promise that it breaks.
    pub fn apply(&mut self, act: Act) -> Result<(), Broken> {
        match act {
            Act::Pass(by) => self.pass(by),
            Act::Plan => self.memory.plan(&self.scene),
            Act::Claim(w, most) => {
                let claimed = self.memory.claim(&self.scene, w, most);
                self.workers[w].hand.extend(claimed);
                self.workers[w].hand.sort_by_key(|claimed| (claimed.slot, claimed.message));
            }
            Act::Intend(w) => return self.intend(w),
            Act::Dot(w, answer) => return self.dot(w, answer),
            Act::Record(w) => {
                let outcome = self.workers[w].ended.remove(0);
                self.memory.record(&self.scene, &outcome);
            }
            Act::Crash(w) => {
                let beat = self.workers[w].beat;
                self.workers[w] = Worker { is_up: false, ..Worker::new(beat) };
            }
            Act::Cut(w) => self.workers[w].is_cut = true,
            Act::Heal(w) => {
                self.workers[w].is_cut = false;
                self.pass(0);
            }
            Act::Bury(w) => self.memory.bury(&self.scene, w),
            Act::Start => {
                self.workers.push(Worker::new(self.memory.now));
                self.memory.workers.push(true);
            }
            Act::OptOut(person) => {
                self.memory.enrolments[person].suppressed.get_or_insert("opt_out");
                self.witness.opted_out(person);
            }
            Act::Pause(paused) => {
                self.memory.campaign_runs = !paused;
                self.witness.paused(paused);
            }
            Act::Rest(rests) => {
                self.memory.profile_rests = rests;
                self.witness.rests(rests);
            }
            Act::Release(m) => {
                self.memory.release(m);
                self.witness.released(m);
            }
        }
        Ok(())
    }

    fn pass(&mut self, by: Millis) {
        self.memory.now += by;
        for (worker, is_alive) in self.workers.iter_mut().zip(&self.memory.workers) {
            if worker.reaches() && *is_alive {
                worker.beat = self.memory.now;
            }
        }
    }

    fn intend(&mut self, w: usize) -> Result<(), Broken> {
        let claimed = self.workers[w].hand.remove(0);
        let person = self.memory.messages[claimed.message].person;
        let Came::Go(attempt) = self.memory.intend(&self.scene, w, &claimed) else { return Ok(()) };
        let (zone, now) = (self.memory.enrolments[person].zone, self.memory.now);
        self.witness.intent(&self.scene, person, zone, claimed.slot, now)?;
        self.workers[w].open.push((attempt, claimed));
        Ok(())
    }

    fn dot(&mut self, w: usize, answer: Answer) -> Result<(), Broken> {
        let now = self.memory.now;
        let (attempt, claimed) = self.workers[w].open.remove(0);
        let is_too_old =
            now - self.memory.attempts[attempt].intent_at > G || now - self.workers[w].beat > LEASE;
        let end = match answer {
            _ if is_too_old => End::Retry { at: claimed.planned, reason: Reason::NotStarted },
            Answer::Yes => End::Accepted,
            Answer::YesUnheard | Answer::NoUnheard => End::Unknown,
            Answer::Later => refused_for_now(&claimed, now),
            Answer::Never => End::Failed {
                reason: Reason::Refused { reply: 550, until: None },
                against: Some(Against::Bad),
            },
        };
        if !is_too_old && matches!(answer, Answer::Yes | Answer::YesUnheard) {
            self.witness.took(claimed.message)?;
        }
        self.workers[w].ended.push(Outcome { attempt, claimed, end, crashed: false });
        Ok(())
    }

    /// The next instant at which anything by itself may become possible.
    pub fn next(&self) -> Option<Millis> {
        let now = self.memory.now;
        let slots = self.workers.iter().filter(|w| w.reaches()).flat_map(|w| &w.hand);
        let slots = slots.map(|claimed| (claimed.slot + 999).div_euclid(1_000));
        let looks = self.memory.enrolments.iter().filter_map(|row| row.next_run_at);
        let due = self.memory.messages.iter().filter(|m| m.state == State::Drafted).map(|m| m.planned);
        let buries = (0..self.workers.len())
            .filter(|w| self.memory.workers[*w] && !self.workers[*w].reaches())
            .map(|w| self.workers[w].beat + LEASE + 1);
        slots.chain(looks).chain(due).chain(buries).chain(self.memory.opens).filter(|at| *at > now).min()
    }

    /// At the end: nobody is under way but those whom a person keeps waiting, and the store says what the receiver knows.
    ///
    /// # Errors
    /// The promise that is broken.
    pub fn is_over(&self) -> Result<(), Broken> {
        for message in &self.memory.messages {
            let waits = matches!(message.state, State::Held | State::Uncertain);
            if !message.state.is_settled() && !waits {
                return Err(format!(
                    "a message of person {} stays {}",
                    message.person,
                    message.state.as_str()
                ));
            }
        }
        for (person, row) in self.memory.enrolments.iter().enumerate() {
            let is_held = |m: &Message| m.person == person && m.state == State::Held;
            if row.stand == Stand::Active && !self.memory.messages.iter().any(is_held) {
                return Err(format!("person {person} never gets to an end"));
            }
        }
        self.witness.agrees(self.memory.messages.iter().map(|message| message.state))
    }
}
