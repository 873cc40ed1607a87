//! Quiet hours: local windows of a day in which nothing may be handed over (S2-15, C-21).

use crate::clock::{DAY, HOUR, MINUTE, Millis, SECOND};
use crate::zone::{Comes, Zone};
use chrono::{DateTime, Days, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};
use serde::{Deserialize, Serialize};

/// How long a slot may be used: the hand-over's intent is committed within `W` of its slot. Milliseconds.
pub const W: Millis = 100;
/// The longest time from the intent to the irrevocable byte. Milliseconds.
pub const G: Millis = 2_000;

/// A daily window, in minutes after local midnight; `start > end` runs over midnight, equal is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct QuietHours {
    start: u16,
    end: u16,
}

impl QuietHours {
    /// `start` and `end` in minutes after midnight, below 1,440 and not equal.
    pub fn new(start: u16, end: u16) -> Option<Self> {
        (start < 1_440 && end < 1_440 && start != end).then_some(Self { start, end })
    }

    /// The window's start as `HH:MM`.
    pub fn start_text(&self) -> String {
        format!("{:02}:{:02}", self.start / 60, self.start % 60)
    }

    /// The window's end as `HH:MM`.
    pub fn end_text(&self) -> String {
        format!("{:02}:{:02}", self.end / 60, self.end % 60)
    }

    /// Whether the local time of day lies in the window, which holds its start and not its end.
    fn holds(&self, minute_of_day: u16) -> bool {
        if self.start < self.end {
            (self.start..self.end).contains(&minute_of_day)
        } else {
            minute_of_day >= self.start || minute_of_day < self.end
        }
    }

    /// Whether an instant lies in the window by the wall clock of `zone`.
    pub fn holds_instant(&self, at: Millis, zone: Zone) -> bool {
        local(at, zone).is_some_and(|t| self.holds((t.hour() * 60 + t.minute()) as u16))
    }

    /// Whether all of [at, at + W + G] lies outside the window.
    pub fn permits(&self, at: Millis, zone: Zone) -> bool {
        self.first_quiet(at, at + W + G, zone).is_none()
    }

    /// The first instant at or after `at` that [`permits`](Self::permits) accepts; `None` past 400 days.
    pub fn next_permitted(&self, at: Millis, zone: Zone) -> Option<Millis> {
        let mut candidate = at;
        while candidate - at <= 400 * DAY {
            match self.first_quiet(candidate, candidate + W + G, zone) {
                None => return Some(candidate),
                Some(quiet) => candidate = self.end_after(quiet, zone),
            }
        }
        None
    }

    /// The first quiet instant in [from, to]. A window's state changes only at whole minutes of the wall clock
    /// and at the zone's own transitions, which fall on whole minutes since 1972; so the two ends and every
    /// minute between decide.
    fn first_quiet(&self, from: Millis, to: Millis, zone: Zone) -> Option<Millis> {
        let mut at = from;
        loop {
            if self.holds_instant(at, zone) {
                return Some(at);
            }
            if at >= to {
                return None;
            }
            at = ((at.div_euclid(MINUTE) + 1) * MINUTE).min(to);
        }
    }

    /// The first instant after a quiet one that is not quiet: whole minutes are walked in hops, since a
    /// transition may cut a window short or repeat a part of it.
    fn end_after(&self, quiet: Millis, zone: Zone) -> Millis {
        let mut at = (quiet.div_euclid(MINUTE) + 1) * MINUTE;
        while self.holds_instant(at, zone) {
            let hop = self.minutes_left(at, zone).clamp(1, 60);
            let next = at + i64::from(hop) * MINUTE;
            // Within a hop the offset must not change, or the window's end could be jumped over.
            at = if zone.offset(at) == zone.offset(next) { next } else { at + MINUTE };
        }
        at
    }

    fn minutes_left(&self, at: Millis, zone: Zone) -> u16 {
        let Some(t) = local(at, zone) else { return 1 };
        let now = (t.hour() * 60 + t.minute()) as u16;
        (self.end + 1_440 - now) % 1_440
    }
}

fn local(at: Millis, zone: Zone) -> Option<NaiveDateTime> {
    let utc = DateTime::from_timestamp_millis(at)?.naive_utc();
    utc.checked_add_signed(TimeDelta::seconds(zone.offset(at)))
}

/// An instant as the zone's wall clock shows it, with its offset (RFC 3339).
pub fn local_text(at: Millis, zone: Zone) -> String {
    let offset = i32::try_from(zone.offset(at)).ok().and_then(FixedOffset::east_opt);
    let shown = DateTime::from_timestamp_millis(at).zip(offset);
    shown.map_or_else(|| at.to_string(), |(utc, offset)| utc.with_timezone(&offset).to_rfc3339())
}

/// A wall-clock time as an instant: a skipped one is the first instant after the gap, a repeated one its
/// first occurrence.
pub fn resolve(wall: NaiveDateTime, zone: Zone) -> Option<Millis> {
    match zone.comes(wall)? {
        Comes::Once(offset) | Comes::Twice(offset) => {
            Some(wall.and_utc().timestamp_millis() - offset * SECOND)
        }
        Comes::Never => after_gap(wall, zone),
    }
}

/// The first instant after the gap that swallowed `wall`: the transition itself, found by halving.
fn after_gap(wall: NaiveDateTime, zone: Zone) -> Option<Millis> {
    let guess = wall.and_utc().timestamp_millis();
    let (mut low, mut high) = (guess - 26 * HOUR, guess + 26 * HOUR);
    // Below the transition the wall clock reads less than `wall`, from it on more.
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if local(middle, zone)? < wall { low = middle } else { high = middle }
    }
    Some(high)
}

/// `days` calendar days later at the same wall-clock time in `zone`.
pub fn add_calendar_days(at: Millis, days: u32, zone: Zone) -> Option<Millis> {
    if days == 0 {
        return Some(at);
    }
    let wall = local(at, zone)?.checked_add_days(Days::new(u64::from(days)))?;
    resolve(wall, zone)
}

/// The first instant of the calendar day that holds `at`, and of the next one.
pub fn day_of(at: Millis, zone: Zone) -> Option<(Millis, Millis)> {
    let date: NaiveDate = local(at, zone)?.date();
    let start = resolve(date.and_time(NaiveTime::MIN), zone)?;
    let end = resolve(date.checked_add_days(Days::new(1))?.and_time(NaiveTime::MIN), zone)?;
    Some((start, end))
}

/// The calendar date that holds `at`.
pub fn date_of(at: Millis, zone: Zone) -> Option<NaiveDate> {
    Some(local(at, zone)?.date())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::parse_rfc3339;

    fn at(text: &str) -> Millis {
        parse_rfc3339(text).unwrap()
    }

    #[test]
    fn a_window_over_midnight_holds_both_sides() {
        let quiet = QuietHours::new(22 * 60, 8 * 60).unwrap();
        let zone = "Europe/Berlin".parse::<Zone>().unwrap();
        assert!(quiet.holds_instant(at("2026-01-10T22:30:00Z"), zone));
        assert!(quiet.holds_instant(at("2026-01-11T06:59:59Z"), zone));
        assert!(!quiet.holds_instant(at("2026-01-11T07:00:00Z"), zone));
        assert_eq!(quiet.next_permitted(at("2026-01-10T22:30:00Z"), zone), Some(at("2026-01-11T07:00:00Z")));
    }

    #[test]
    fn an_instant_just_before_the_window_is_not_permitted() {
        let quiet = QuietHours::new(20 * 60, 8 * 60).unwrap();
        assert!(quiet.permits(at("2026-01-10T19:59:57.899Z"), Zone::UTC));
        assert!(!quiet.permits(at("2026-01-10T19:59:57.900Z"), Zone::UTC));
    }

    #[test]
    fn a_skipped_wall_time_becomes_the_first_instant_after_the_gap() {
        // Berlin, 2026-03-29: 02:00 to 03:00 does not exist.
        let start = at("2026-03-28T01:30:00Z"); // 02:30 local
        assert_eq!(
            add_calendar_days(start, 1, "Europe/Berlin".parse::<Zone>().unwrap()),
            Some(at("2026-03-29T01:00:00Z"))
        );
    }

    #[test]
    fn a_repeated_wall_time_counts_once_the_first() {
        // New York, 2026-11-01: 01:30 comes twice.
        let start = at("2026-10-31T05:30:00Z"); // 01:30 EDT
        assert_eq!(
            add_calendar_days(start, 1, "America/New_York".parse::<Zone>().unwrap()),
            Some(at("2026-11-01T05:30:00Z"))
        );
    }

    #[test]
    fn a_day_of_the_change_is_23_or_25_hours_long() {
        let (start, end) =
            day_of(at("2026-03-29T12:00:00Z"), "Europe/Berlin".parse::<Zone>().unwrap()).unwrap();
        assert_eq!(end - start, 23 * HOUR);
        let (start, end) =
            day_of(at("2026-11-01T12:00:00Z"), "America/New_York".parse::<Zone>().unwrap()).unwrap();
        assert_eq!(end - start, 25 * HOUR);
    }

    #[test]
    fn the_end_of_a_window_is_not_jumped_over_on_a_day_of_change() {
        let quiet = QuietHours::new(60, 150).unwrap(); // 01:00 to 02:30
        let zone = "Europe/Berlin".parse::<Zone>().unwrap();
        // The gap swallows 02:00 to 03:00, so the window ends at 03:00 CEST = 01:00Z.
        assert_eq!(quiet.next_permitted(at("2026-03-29T00:30:00Z"), zone), Some(at("2026-03-29T01:00:00Z")));
        // In autumn 02:00 to 03:00 comes twice: the repeated 02:00 to 02:30 is quiet again.
        assert_eq!(quiet.next_permitted(at("2026-10-25T00:10:00Z"), zone), Some(at("2026-10-25T00:30:00Z")));
        assert!(quiet.holds_instant(at("2026-10-25T01:10:00Z"), zone));
    }
}
