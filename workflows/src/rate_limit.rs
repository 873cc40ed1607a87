//! Send limits as slots: a gate is a pointer that only moves forward, so a backlog never bursts.
//!
//! The slot transaction and `simulate` both call [`seat`], row by row in (planned instant, enrolment id)
//! order: what was simulated is what then happens.

use crate::clock::{MINUTE, Micros, Millis};
use crate::enrolment::gates;
use crate::quiet_hours::{QuietHours, W, day_of};
use crate::reason::{Owner, Reason, Window};
use crate::zone::Zone;
use serde::{Deserialize, Serialize};

/// How far ahead of the present slots are given out. Milliseconds.
pub const HORIZON: Millis = 2_000;
/// How old a slot may be when it is given out: a worker that looks this late still uses the planned instant.
pub const TOLERANCE: Millis = W / 2;
/// How far the clocks of two processes may be apart, each a sample of the database's. Milliseconds.
const APART: Millis = 10_000;

/// The limits of a sending profile or a campaign; absent means none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// No window of a second ever holds more intents than this. Fractions are allowed.
    pub per_second: Option<f64>,
    /// By clock minute.
    pub per_minute: Option<u32>,
    /// By calendar day in `zone`.
    pub per_day: Option<u32>,
    /// The zone of `per_day`.
    #[serde(default)]
    pub zone: Zone,
}

impl Rates {
    /// The distance between two slots, microseconds: (1 s + W) / r, and W above 1 / r below one a second.
    /// A slot may be used up to W late, so that anything closer could put r + 1 intents into one second.
    pub fn spacing(&self) -> Micros {
        match self.per_second {
            None => 0,
            Some(rate) if rate >= 1.0 => ((1_000_000 + W * 1_000) as f64 / rate).ceil() as Micros,
            Some(rate) => (1_000_000.0 / rate).ceil() as Micros + W * 1_000,
        }
    }
}

/// A counted period: its first instant and how many slots it has given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// The first instant, unix milliseconds.
    pub start: Millis,
    /// Slots given out in it.
    pub count: u32,
}

/// The state of one owner's limits, a row in the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// The first free slot, unix microseconds.
    pub next: Micros,
    /// The present minute.
    pub minute: Period,
    /// The present day.
    pub day: Period,
}

/// Whether a slot lies so far ahead that none such is given out at `now`: the clock has been set back since it was.
pub fn is_out_of_sight(slot: Micros, now: Millis) -> bool {
    slot > (now + HORIZON + APART) * 1_000
}

impl Gate {
    /// The gate as it stands at `now`. Slots are given out [`HORIZON`] ahead at most: a pointer far beyond was left by a
    /// clock that has been set back since, or by a slower limit, and the next slot comes one spacing from now.
    pub fn at(mut self, now: Millis, rates: &Rates) -> Self {
        if is_out_of_sight(self.next - rates.spacing(), now) {
            self.next = now * 1_000 + rates.spacing();
        }
        self
    }
}

/// A due row that wants a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Its planned instant.
    pub planned: Millis,
    /// The recipient's zone.
    pub zone: Zone,
    /// The campaign's quiet hours.
    pub quiet: Option<QuietHours>,
}

/// What a row got.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant's sentence names its fields")]
pub enum Seat {
    /// A slot (microseconds), with what moved it past its planned instant.
    At { slot: Micros, reasons: Vec<Reason> },
    /// The slot it would get is not permitted for it: it is planned anew, and the slot stays free.
    Moved { to: Millis, reasons: Vec<Reason> },
    /// No instant is permitted at all.
    Held(Reason),
    /// The next free slot lies beyond the horizon; nothing has changed. Look again at `at`.
    Beyond { at: Millis },
}

/// The instant of a slot in milliseconds: never before the slot itself.
pub fn slot_millis(slot: Micros) -> Millis {
    -(-slot).div_euclid(1_000)
}

/// Gives one row its slot. `earliest` is the present less [`TOLERANCE`]; `horizon` the last instant given out.
/// Both gates move only where the row got its slot.
pub fn seat(
    profile: (&mut Gate, &Rates),
    campaign: (&mut Gate, &Rates),
    row: &Due,
    earliest: Millis,
    horizon: Millis,
) -> Seat {
    let (mut slot, mut reasons) = free_from(row.planned * 1_000, &profile, &campaign);
    if slot < earliest.saturating_mul(1_000) {
        // Its slot went by unused: the present one, with all of W to use it.
        let (at, limit) = free_from((earliest + TOLERANCE) * 1_000, &profile, &campaign);
        let late = vec![Reason::Late { cause: crate::reason::Cause::Capacity }];
        (slot, reasons) = (at, if limit.is_empty() { late } else { limit });
    }
    let instant = slot_millis(slot);
    if instant > horizon {
        return Seat::Beyond { at: instant };
    }
    match gates(instant, row.zone, row.quiet) {
        Err(reason) => return Seat::Held(reason),
        Ok((to, moved)) if to != instant => return Seat::Moved { to, reasons: moved },
        Ok(_) => {}
    }
    take(profile.0, profile.1, slot);
    take(campaign.0, campaign.1, slot);
    Seat::At { slot, reasons }
}

/// The first free slot at or after `from`, and the limit that made it later.
fn free_from(
    from: Micros,
    profile: &(&mut Gate, &Rates),
    campaign: &(&mut Gate, &Rates),
) -> (Micros, Vec<Reason>) {
    match first_free(from, profile, campaign) {
        Some((owner, window, at)) => (at, vec![Reason::RateLimit { owner, window, until: slot_millis(at) }]),
        None => (from, Vec::new()),
    }
}

/// The first slot at or after `from` that both owners have free, where that is later than `from`, with the
/// limit that spoke last.
fn first_free(
    from: Micros,
    profile: &(&mut Gate, &Rates),
    campaign: &(&mut Gate, &Rates),
) -> Option<(Owner, Window, Micros)> {
    let (mut slot, mut spoke) = (from, None);
    loop {
        let before = slot;
        for (owner, gate, rates) in
            [(Owner::Profile, &*profile.0, profile.1), (Owner::Campaign, &*campaign.0, campaign.1)]
        {
            if let Some((window, at)) = free_at(gate, rates, slot) {
                slot = at;
                spoke = Some((owner, window, at));
            }
        }
        if slot == before {
            return spoke;
        }
    }
}

/// Where one owner is not free at `slot`: the window that forbids it and the next instant to try.
fn free_at(gate: &Gate, rates: &Rates, slot: Micros) -> Option<(Window, Micros)> {
    if gate.next > slot {
        return Some((Window::Second, gate.next));
    }
    let instant = slot_millis(slot);
    if let Some(most) = rates.per_minute {
        let start = instant.div_euclid(MINUTE) * MINUTE;
        if gate.minute.start == start && gate.minute.count >= most {
            return Some((Window::Minute, (start + MINUTE) * 1_000));
        }
    }
    if let Some(most) = rates.per_day {
        let (start, end) = day_of(instant, rates.zone)?;
        if gate.day.start == start && gate.day.count >= most {
            return Some((Window::Day, end * 1_000));
        }
    }
    None
}

fn take(gate: &mut Gate, rates: &Rates, slot: Micros) {
    let instant = slot_millis(slot);
    gate.next = gate.next.max(slot + rates.spacing());
    if rates.per_minute.is_some() {
        count(&mut gate.minute, instant.div_euclid(MINUTE) * MINUTE);
    }
    if rates.per_day.is_some()
        && let Some((start, _)) = day_of(instant, rates.zone)
    {
        count(&mut gate.day, start);
    }
}

fn count(period: &mut Period, start: Millis) {
    if period.start != start {
        *period = Period { start, count: 0 };
    }
    period.count += 1;
}

/// Gives a slot's count back, where nothing was handed over in it. The pointer stays: a slot is used once.
pub fn give_back(gate: &mut Gate, rates: &Rates, slot: Micros) {
    let instant = slot_millis(slot);
    if gate.minute.start == instant.div_euclid(MINUTE) * MINUTE {
        gate.minute.count = gate.minute.count.saturating_sub(1);
    }
    if let Some((start, _)) = day_of(instant, rates.zone)
        && gate.day.start == start
    {
        gate.day.count = gate.day.count.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(rates: Rates, rows: usize, planned: Millis) -> Vec<Millis> {
        let (mut profile, mut campaign, none) = (Gate::default(), Gate::default(), Rates::default());
        (0..rows)
            .filter_map(|_| {
                let row = Due { planned, zone: Zone::UTC, quiet: None };
                match seat((&mut profile, &rates), (&mut campaign, &none), &row, i64::MIN, i64::MAX) {
                    Seat::At { slot, .. } => Some(slot_millis(slot)),
                    _ => None,
                }
            })
            .collect()
    }

    #[test]
    fn no_second_holds_more_slots_than_the_rate_even_when_each_is_used_late() {
        for rate in [0.3, 1.0, 2.5, 7.0, 33.0, 1_000.0] {
            let slots = seats(Rates { per_second: Some(rate), ..Rates::default() }, 400, 1_000_000);
            let most = rate.ceil() as usize;
            for pair in slots.windows(most + 1) {
                // The first used as late as may be, the last at once.
                assert!(pair[most] - (pair[0] + W) >= 999, "rate {rate}: {pair:?}");
            }
        }
    }

    #[test]
    fn a_full_minute_moves_the_rest_to_the_next_one_in_order() {
        let slots = seats(Rates { per_minute: Some(3), ..Rates::default() }, 8, 90_000);
        assert_eq!(slots, [90_000, 90_000, 90_000, 120_000, 120_000, 120_000, 180_000, 180_000]);
    }

    #[test]
    fn a_full_day_waits_for_midnight_in_the_profiles_zone() {
        let rates =
            Rates { per_day: Some(1), zone: "Asia/Tokyo".parse::<Zone>().unwrap(), ..Rates::default() };
        let noon = 1_767_225_600_000 + 3 * crate::clock::HOUR; // 2026-01-01 12:00 in Tokyo
        assert_eq!(seats(rates, 2, noon), [noon, noon + 12 * crate::clock::HOUR]);
    }

    #[test]
    fn a_given_back_slot_frees_the_count_and_not_the_pointer() {
        let rates = Rates { per_second: Some(1.0), per_minute: Some(1), ..Rates::default() };
        let (mut gate, mut campaign) = (Gate::default(), Gate::default());
        let row = Due { planned: 60_000, zone: Zone::UTC, quiet: None };
        let none = Rates::default();
        let first = seat((&mut gate, &rates), (&mut campaign, &none), &row, i64::MIN, i64::MAX);
        assert_eq!(first, Seat::At { slot: 60_000_000, reasons: vec![] });
        give_back(&mut gate, &rates, 60_000_000);
        match seat((&mut gate, &rates), (&mut campaign, &none), &row, i64::MIN, i64::MAX) {
            Seat::At { slot, .. } => assert_eq!(slot, 61_100_000),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_pointer_of_a_clock_that_was_set_back_gives_way_to_the_present() {
        let rates = Rates { per_second: Some(1.0 / 60.0), ..Rates::default() };
        let now = 1_800_000_000_000;
        let left = |ahead: Millis| Gate { next: (now + ahead) * 1_000, ..Gate::default() };
        let minute = rates.spacing() / 1_000;
        for kept in [-MINUTE, 0, HORIZON + minute, HORIZON + APART + minute] {
            assert_eq!(left(kept).at(now, &rates), left(kept), "{kept}");
        }
        for stale in [HORIZON + APART + minute + 1, 60 * MINUTE] {
            assert_eq!(left(stale).at(now, &rates), left(minute), "{stale}");
        }
    }
}
