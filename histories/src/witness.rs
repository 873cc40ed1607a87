//! What must hold, reckoned apart from the rules: what the receiver took, and every intent that was committed.

use crate::scene::{PEOPLE, Scene};
use chrono::{DateTime, Timelike, Utc};
use sendwright_workflows::clock::{MINUTE, Micros, Millis, SECOND};
use sendwright_workflows::message::State;
use sendwright_workflows::quiet_hours::{G, W};
use sendwright_workflows::zone::Zone;

/// What somebody outside has seen.
#[derive(Debug, Clone, Default)]
pub struct Witness {
    /// How often the receiver took each message.
    took: Vec<u32>,
    /// How often a person released each.
    released: Vec<u32>,
    opted_out: [bool; PEOPLE],
    paused: bool,
    rests: bool,
    /// Instants of intents, and their slots in milliseconds.
    intents: Vec<(Millis, Millis)>,
}

/// A promise that was broken, in words.
pub type Broken = String;

impl Witness {
    fn of(counts: &mut Vec<u32>, message: usize) -> &mut u32 {
        if counts.len() <= message {
            counts.resize(message + 1, 0);
        }
        &mut counts[message]
    }

    /// The receiver took a message. Never twice, but for a person who released it.
    pub fn took(&mut self, message: usize) -> Result<(), Broken> {
        let released = *Self::of(&mut self.released, message);
        let took = Self::of(&mut self.took, message);
        *took += 1;
        match *took <= 1 + released {
            true => Ok(()),
            false => Err(format!("message {message} was taken {took} times, released {released} times")),
        }
    }

    /// A person released a message.
    pub fn released(&mut self, message: usize) {
        *Self::of(&mut self.released, message) += 1;
    }

    /// A person's opt-out was answered.
    pub fn opted_out(&mut self, person: usize) {
        self.opted_out[person] = true;
    }

    /// A pause was answered, or taken back.
    pub fn paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// The profile rests, or goes on.
    pub fn rests(&mut self, rests: bool) {
        self.rests = rests;
    }

    /// A hand-over to a person begins.
    pub fn intent(
        &mut self,
        scene: &Scene,
        person: usize,
        zone: Zone,
        slot: Micros,
        now: Millis,
    ) -> Result<(), Broken> {
        let broken = |what: &str| Err(format!("an intent for person {person} at {now} {what}"));
        if self.opted_out[person] {
            return broken("after the opt-out was answered");
        }
        if self.paused || self.rests {
            return broken("while nothing may be sent");
        }
        if let Some(window) = scene.quiet
            && [now, now + W + G].into_iter().any(|at| is_quiet(window, at, zone))
        {
            return broken("in quiet hours");
        }
        self.intents.push((now, slot.div_euclid(1_000) + i64::from(slot.rem_euclid(1_000) > 0)));
        let limits = [scene.rates.per_second, scene.policy.rate_limit_per_second];
        if limits.into_iter().flatten().any(|rate| !self.keeps(rate, now)) {
            return broken("over the limit of a second");
        }
        let of_minute = |most: u32| self.same(|at| at.div_euclid(MINUTE)) <= most as usize;
        if scene.rates.per_minute.is_some_and(|most| !of_minute(most)) {
            return broken("over the limit of a minute");
        }
        let day = |at| local(at, scene.rates.zone).map(|local| local.date_naive());
        if scene.rates.per_day.is_some_and(|most| self.same(day) > most as usize) {
            return broken("over the limit of a day");
        }
        Ok(())
    }

    /// Whether the window of 1 s, or of 1 / rate below one a second, that ends now holds what it may.
    fn keeps(&self, rate: f64, now: Millis) -> bool {
        let (width, most) = if rate >= 1.0 { (1_000, rate as usize) } else { ((1_000.0 / rate) as i64, 1) };
        self.intents.iter().rev().take_while(|(at, _)| now - at < width).count() <= most
    }

    /// How many intents had their slot in the same period as the last.
    fn same<T: PartialEq>(&self, period: impl Fn(Millis) -> T) -> usize {
        let Some((_, last)) = self.intents.last() else { return 0 };
        self.intents.iter().filter(|(_, slot)| period(*slot) == period(*last)).count()
    }

    /// At the end the store says of every message what the receiver knows, or that it does not know.
    pub fn agrees(&self, messages: impl Iterator<Item = State>) -> Result<(), Broken> {
        for (message, state) in messages.enumerate() {
            let count = |counts: &[u32]| counts.get(message).copied().unwrap_or(0);
            let (took, released) = (count(&self.took), count(&self.released));
            let is_known = state.was_accepted() || state == State::Uncertain;
            if took > 0 && released == 0 && !is_known {
                return Err(format!("message {message} was taken, and is {}", state.as_str()));
            }
            if took == 0 && state == State::Accepted {
                return Err(format!("message {message} is accepted, and nobody took it"));
            }
        }
        Ok(())
    }
}

/// The wall clock, reckoned by the standing of the clock against UTC alone.
fn local(at: Millis, zone: Zone) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(at + zone.offset(at) * SECOND)
}

fn is_quiet((from, to): (u16, u16), at: Millis, zone: Zone) -> bool {
    let Some(local) = local(at, zone) else { return false };
    let minute = (local.hour() * 60 + local.minute()) as u16;
    if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to }
}
