//! A history: a scene and what happened in it, drawn from a seed, to its very end.

use crate::act::{Act, Answer};
use crate::dice::Dice;
use crate::flaw::Flaw;
use crate::scene::{PEOPLE, Scene};
use crate::stage::{LEASE, Stage};
use crate::witness::Broken;
use sendwright_workflows::clock::{HOUR, SECOND};

/// Acts before whatever is still under way is let come to its end.
const ACTS: (u64, u64) = (30, 60);
/// Acts in which everything must come to its end after that.
const PATIENCE: usize = 5_000;

/// What happened.
#[derive(Debug, Clone)]
pub struct History {
    /// The seed that draws it again.
    pub seed: u64,
    /// What it began with.
    pub scene: Scene,
    /// One after another.
    pub acts: Vec<Act>,
    /// How many of them were crashes.
    pub crashes: usize,
    /// The promise that the last one broke, if it did.
    pub broken: Option<Broken>,
}

impl History {
    /// Draws a history and plays it to its end.
    pub fn draw(seed: u64) -> Self {
        Self::draw_with(seed, None)
    }

    /// The same on a store with a flaw.
    pub fn draw_with(seed: u64, flaw: Option<Flaw>) -> Self {
        let mut dice = Dice::new(seed);
        let scene = Scene::draw(&mut dice);
        let mut stage = Stage::new(scene.clone());
        stage.memory.flaw = flaw;
        let mut history = Self { seed, scene, acts: Vec::with_capacity(128), crashes: 0, broken: None };
        history.broken = history.play(&mut stage, &mut dice).err();
        history
    }

    fn play(&mut self, stage: &mut Stage, dice: &mut Dice) -> Result<(), Broken> {
        let length = ACTS.0 + dice.below(ACTS.1 - ACTS.0);
        // Once at least a process dies, somewhere in the middle.
        let dies_at = length / 4 + dice.below(length / 2);
        for number in 0..length {
            let worker = dice.below(stage.workers.len() as u64) as usize;
            let act = if number == dies_at { Act::Crash(worker) } else { drawn(stage, dice) };
            self.act(stage, if stage.can(act) { act } else { moves(stage, dice) })?;
        }
        if self.crashes == 0 {
            let up = stage.workers.iter().position(|worker| worker.is_up);
            self.act(stage, up.map_or(Act::Start, Act::Crash))?;
        }
        self.ends(stage)
    }

    fn act(&mut self, stage: &mut Stage, act: Act) -> Result<(), Broken> {
        self.acts.push(act);
        self.crashes += usize::from(matches!(act, Act::Crash(_)));
        stage.apply(act)
    }

    /// Nothing more goes wrong: whatever is under way comes to its end.
    fn ends(&mut self, stage: &mut Stage) -> Result<(), Broken> {
        self.act(stage, Act::Pause(false))?;
        self.act(stage, Act::Rest(false))?;
        for w in 0..stage.workers.len() {
            if stage.can(Act::Heal(w)) {
                self.act(stage, Act::Heal(w))?;
            }
            // Who was given up and finds out records what it knows, and comes up as a new process.
            while stage.can(Act::Dot(w, Answer::Yes)) || stage.can(Act::Record(w)) {
                let is_open = stage.can(Act::Dot(w, Answer::Yes));
                self.act(stage, if is_open { Act::Dot(w, Answer::Yes) } else { Act::Record(w) })?;
            }
            if !stage.memory.workers[w] && stage.can(Act::Crash(w)) {
                self.act(stage, Act::Crash(w))?;
            }
        }
        if stage.can(Act::Start) {
            self.act(stage, Act::Start)?;
        }
        for _ in 0..PATIENCE {
            if let Some(act) = work(stage) {
                self.act(stage, act)?;
                continue;
            }
            self.act(stage, Act::Plan)?;
            for w in (0..stage.workers.len()).rev() {
                stage.memory.moved = true;
                while stage.can(Act::Claim(w, 4)) && stage.memory.moved {
                    self.act(stage, Act::Claim(w, 4))?;
                }
            }
            if work(stage).is_none() {
                match stage.next() {
                    Some(at) => self.act(stage, Act::Pass(at - stage.memory.now))?,
                    None => return stage.is_over(),
                }
            }
        }
        Err("it comes to no end".into())
    }
}

/// What a worker does next by itself, as soon as it can.
fn work(stage: &Stage) -> Option<Act> {
    let now = stage.memory.now;
    (0..stage.workers.len()).find_map(|w| {
        let worker = &stage.workers[w];
        let is_ripe = worker.hand.first().is_some_and(|claimed| claimed.slot <= now * 1_000);
        [Act::Record(w), Act::Dot(w, Answer::Yes), Act::Intend(w), Act::Bury(w)]
            .into_iter()
            .find(|act| stage.can(*act) && (is_ripe || !matches!(act, Act::Intend(_))))
    })
}

/// An act that moves messages on.
fn moves(stage: &Stage, dice: &mut Dice) -> Act {
    if let Some(act) = work(stage).filter(|_| dice.comes(70)) {
        return match act {
            Act::Dot(w, _) => Act::Dot(w, answer(dice)),
            act => act,
        };
    }
    let up: Vec<usize> = (0..stage.workers.len()).filter(|w| stage.can(Act::Claim(*w, 1))).collect();
    match (dice.below(3), dice.one(&up)) {
        (0, _) => Act::Plan,
        (1, Some(w)) => Act::Claim(w, 1 + dice.below(4) as usize),
        _ => match stage.next().filter(|_| dice.comes(90)) {
            Some(at) => Act::Pass(at - stage.memory.now),
            None => Act::Pass(dice.below(5 * SECOND as u64) as i64),
        },
    }
}

/// Any act, the disturbing ones among them.
fn drawn(stage: &Stage, dice: &mut Dice) -> Act {
    let worker = dice.below(stage.workers.len() as u64) as usize;
    match dice.below(100) {
        0..64 => moves(stage, dice),
        64..70 => Act::Dot(worker, answer(dice)),
        70..74 => Act::Intend(worker),
        74..78 => Act::Crash(worker),
        78..82 => Act::Cut(worker),
        82..86 => Act::Heal(worker),
        86..90 => Act::Start,
        90..92 => Act::Pass(LEASE + 1 + dice.below(HOUR as u64) as i64),
        92..94 => Act::OptOut(dice.below(PEOPLE as u64) as usize),
        94..96 => Act::Pause(dice.comes(40)),
        96..98 => Act::Rest(dice.comes(40)),
        _ => Act::Release(dice.below(stage.memory.messages.len().max(1) as u64) as usize),
    }
}

fn answer(dice: &mut Dice) -> Answer {
    match dice.below(10) {
        0 => Answer::YesUnheard,
        1 => Answer::NoUnheard,
        2 => Answer::Later,
        3 => Answer::Never,
        _ => Answer::Yes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_thousand_histories_break_no_promise() {
        for seed in 1..=3_000 {
            let history = History::draw(seed);
            assert_eq!(history.broken, None, "seed {seed}");
            assert!(history.acts.len() >= ACTS.0 as usize && history.crashes > 0, "seed {seed}");
        }
    }

    #[test]
    fn a_seed_draws_the_same_history_again() {
        for seed in 1..50 {
            assert_eq!(History::draw(seed).acts, History::draw(seed).acts);
        }
    }

    #[test]
    fn every_flaw_is_found_out() {
        for flaw in Flaw::ALL {
            let found = (1..=2_000).find(|seed| History::draw_with(*seed, Some(flaw)).broken.is_some());
            assert!(found.is_some(), "{flaw:?} is found in none of 2,000 histories");
        }
    }
}
