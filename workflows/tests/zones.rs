//! Quiet hours and calendar days in every zone, around every transition from 2020 to 2035, against a reckoning minute by
//! minute, with what another library and its own time-zone database know of them.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use chrono::{DateTime, Offset, TimeZone as _, Utc};
use chrono_tz::Tz;
use sendwright_workflows::clock::{DAY, HOUR, MINUTE, Millis};
use sendwright_workflows::quiet_hours::{G, QuietHours, W, add_calendar_days, day_of};
use sendwright_workflows::zone::Zone;
use std::collections::BTreeMap;

/// 2020-01-01 and 2036-01-01, UTC.
const YEARS: (Millis, Millis) = (1_577_836_800_000, 2_082_758_400_000);
/// Windows in minutes of the day: over midnight, across the hours at which clocks change, and about a whole day.
const WINDOWS: [(u16, u16); 4] = [(22 * 60, 8 * 60), (90, 150), (0, 180), (9 * 60, 8 * 60 + 30)];
/// Zones whose rules are others since the other library's data was made (2025b against 2026f): our own word counts.
const CHANGED: [&str; 15] = [
    "Africa/Casablanca",
    "Africa/El_Aaiun",
    "America/Edmonton",
    "America/Havana",
    "America/Inuvik",
    "America/Rainy_River",
    "America/Vancouver",
    "America/Winnipeg",
    "America/Yellowknife",
    "Canada/Central",
    "Canada/Mountain",
    "Canada/Pacific",
    "Cuba",
    "Europe/Chisinau",
    "Europe/Tiraspol",
];

/// A zone with what the other library knows of it.
struct Both {
    ours: Zone,
    theirs: Option<Tz>,
}

impl Both {
    /// Seconds ahead of UTC.
    fn offset(&self, at: Millis) -> i64 {
        let Some(theirs) = self.theirs else { return self.ours.offset(at) };
        let instant = DateTime::<Utc>::from_timestamp_millis(at).unwrap().naive_utc();
        theirs.offset_from_utc_datetime(&instant).fix().local_minus_utc().into()
    }

    /// Every transition in those years: found day by day, then by halving.
    fn changes(&self) -> Vec<Millis> {
        let days = (YEARS.0..YEARS.1).step_by(DAY as usize);
        let changed = days.filter(|day| self.offset(*day) != self.offset(day + DAY));
        changed
            .map(|day| {
                let (mut low, mut high) = (day, day + DAY);
                while high - low > 1 {
                    let middle = low + (high - low) / 2;
                    if self.offset(middle) == self.offset(day) { low = middle } else { high = middle }
                }
                high
            })
            .collect()
    }
}

fn zones() -> Vec<Both> {
    let theirs = |name: &str| name.parse::<Tz>().ok().filter(|_| !CHANGED.contains(&name));
    Zone::all().map(|ours| Both { ours, theirs: theirs(ours.name()) }).collect()
}

/// One zone of each kind with its transitions: many names share their rules.
fn kinds() -> Vec<(Both, Vec<Millis>)> {
    let mut kinds = BTreeMap::new();
    for zone in zones() {
        let changes = zone.changes();
        let rules: Vec<_> = changes.iter().map(|at| (*at, zone.offset(*at))).collect();
        kinds.entry((zone.offset(YEARS.0), rules)).or_insert((zone, changes));
    }
    kinds.into_values().collect()
}

fn is_quiet(zone: &Both, (from, to): (u16, u16), at: Millis) -> bool {
    let seconds = at.div_euclid(1_000) + zone.offset(at);
    let minute = (seconds.rem_euclid(86_400) / 60) as u16;
    if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to }
}

/// The first instant at or after `at` from which W + G lie outside the window: `at` itself, or else a whole minute.
fn first_permitted(zone: &Both, window: (u16, u16), at: Millis) -> Millis {
    let is_open = |from: &Millis| {
        let within = (from.div_euclid(MINUTE) + 1) * MINUTE;
        let ends = [*from, (*from + W + G).min(within), *from + W + G];
        ends.into_iter().all(|at| !is_quiet(zone, window, at))
    };
    let minutes = (1..).map(|n| (at.div_euclid(MINUTE) + n) * MINUTE);
    std::iter::once(at).chain(minutes).find(is_open).unwrap()
}

#[test]
fn both_libraries_know_the_same_zones_and_transitions() {
    let (zones, mut transitions) = (zones(), 0);
    assert!(zones.iter().filter(|zone| zone.theirs.is_some()).count() > 575);
    for zone in &zones {
        for change in zone.changes() {
            transitions += 1;
            for at in [change - 1, change, change + 1] {
                assert_eq!(zone.ours.offset(at), zone.offset(at), "{} at {at}", zone.ours);
                let (start, end) = day_of(at, zone.ours).unwrap();
                assert!(start <= at && at < end, "{} at {at}", zone.ours);
                // A day begins at midnight, or behind the gap that swallowed it.
                let is_midnight = (start + zone.offset(start) * 1_000).rem_euclid(DAY) == 0;
                assert!(is_midnight || zone.offset(start) != zone.offset(start - 1), "{} at {at}", zone.ours);
            }
        }
    }
    assert!(transitions > 5_000, "only {transitions} transitions from 2020 to 2035");
}

/// British Columbia keeps its summer time from 2026 on (tz database 2026b).
#[test]
fn the_data_is_of_this_year() {
    let winter = 1_800_000_000_000; // 2027-01-15
    assert_eq!("America/Vancouver".parse::<Zone>().unwrap().offset(winter), -7 * 3_600);
}

#[test]
fn quiet_hours_end_when_the_other_library_says_so_around_every_transition() {
    let (kinds, mut asked) = (kinds(), 0);
    for (zone, changes) in &kinds {
        for change in changes {
            for (from, to) in WINDOWS {
                let quiet = QuietHours::new(from, to).unwrap();
                for at in [change - 90 * MINUTE, change - 1, *change, change + 20 * MINUTE + 1] {
                    asked += 1;
                    let should = first_permitted(zone, (from, to), at);
                    let found = quiet.next_permitted(at, zone.ours);
                    assert_eq!(found, Some(should), "{}, {from} to {to}, at {at}", zone.ours);
                    assert!(quiet.permits(should, zone.ours));
                    assert_eq!(
                        quiet.permits(at, zone.ours),
                        should == at,
                        "{}, {from} to {to}, at {at}",
                        zone.ours
                    );
                }
            }
        }
    }
    assert!(kinds.len() > 60 && asked > 10_000, "{} kinds of zones, {asked} instants", kinds.len());
}

#[test]
fn a_calendar_day_later_is_the_same_time_of_day_or_the_end_of_the_gap() {
    for (zone, changes) in &kinds() {
        for change in changes {
            for before in [DAY - HOUR, DAY - 10 * MINUTE, DAY, DAY + 25 * MINUTE] {
                let at = change - before;
                let later = add_calendar_days(at, 1, zone.ours).unwrap();
                let wall = |at: Millis| at + zone.offset(at) * 1_000;
                if wall(later) == wall(at) + DAY {
                    // Of a repeated time it is the first.
                    let earlier = later - (zone.offset(later - 1) - zone.offset(later)).abs() * 1_000;
                    let is_first = later == earlier || wall(earlier) != wall(later);
                    assert!(is_first, "{} at {at}", zone.ours);
                } else {
                    // Skipped: the first instant behind the gap, and nowhere is that time of day.
                    assert!(zone.offset(later) > zone.offset(later - 1), "{} at {at}: {later}", zone.ours);
                    assert!(
                        wall(later) > wall(at) + DAY && wall(later - 1) < wall(at) + DAY,
                        "{} at {at}",
                        zone.ours
                    );
                }
            }
        }
    }
}
