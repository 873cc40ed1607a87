//! Quiet hours and calendar days in every zone, around every transition from 2020 to 2035, against a reckoning by another
//! library with a time-zone database of its own, minute by minute.

use chrono_tz::{TZ_VARIANTS, Tz};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sendwright_workflows::clock::{DAY, HOUR, MINUTE, Millis};
use sendwright_workflows::quiet_hours::{G, QuietHours, W, add_calendar_days, day_of};
use std::collections::BTreeMap;

/// 2020-01-01 and 2036-01-01, UTC.
const YEARS: (Millis, Millis) = (1_577_836_800_000, 2_082_758_400_000);
/// Windows in minutes of the day: over midnight, across the hours at which clocks change, and about a whole day.
const WINDOWS: [(u16, u16); 4] = [(22 * 60, 8 * 60), (90, 150), (0, 180), (9 * 60, 8 * 60 + 30)];

fn instant(at: Millis) -> Timestamp {
    Timestamp::from_millisecond(at).unwrap()
}

fn offset(zone: &TimeZone, at: Millis) -> i64 {
    i64::from(zone.to_offset(instant(at)).seconds())
}

/// Every zone with what the other library knows of it: its transitions, as (instant, offset from then on in seconds).
fn zones() -> Vec<(Tz, TimeZone, Vec<(Millis, i64)>)> {
    let known = |zone: &Tz| {
        let other = TimeZone::get(zone.name()).ok()?;
        let changes = other.following(instant(YEARS.0)).map(|t| t.timestamp().as_millisecond());
        let changes = changes.take_while(|at| *at < YEARS.1).map(|at| (at, offset(&other, at)));
        let changes = changes.collect();
        Some((*zone, other, changes))
    };
    TZ_VARIANTS.iter().filter_map(known).collect()
}

/// One zone of each kind: many names share their rules.
fn kinds() -> Vec<(Tz, TimeZone, Vec<(Millis, i64)>)> {
    let mut kinds = BTreeMap::new();
    for (zone, other, changes) in zones() {
        kinds.entry((offset(&other, YEARS.0), changes.clone())).or_insert((zone, other, changes));
    }
    kinds.into_values().collect()
}

fn is_quiet(zone: &TimeZone, (from, to): (u16, u16), at: Millis) -> bool {
    let seconds = at.div_euclid(1_000) + offset(zone, at);
    let minute = (seconds.rem_euclid(86_400) / 60) as u16;
    if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to }
}

/// The first instant at or after `at` from which W + G lie outside the window: `at` itself, or else a whole minute.
fn first_permitted(zone: &TimeZone, window: (u16, u16), at: Millis) -> Millis {
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
    let zones = zones();
    assert!(zones.len() > 590, "only {} zones are known to both", zones.len());
    let mut transitions = 0;
    for (zone, other, changes) in &zones {
        for (at, _) in changes {
            transitions += 1;
            for at in [*at - 1, *at, *at + 1] {
                let ours = day_of(at, *zone).unwrap();
                let mid = (ours.0 + offset(other, ours.0) * 1_000).rem_euclid(DAY);
                assert!(ours.0 <= at && at < ours.1, "{zone} at {at}");
                // A day begins at midnight, or behind the gap that swallowed it.
                assert!(mid == 0 || offset(other, ours.0) != offset(other, ours.0 - 1), "{zone} at {at}");
            }
        }
    }
    assert!(transitions > 5_000, "only {transitions} transitions from 2020 to 2035");
}

#[test]
fn quiet_hours_end_when_the_other_library_says_so_around_every_transition() {
    let (kinds, mut asked) = (kinds(), 0);
    for (zone, other, changes) in &kinds {
        for (change, _) in changes {
            for (from, to) in WINDOWS {
                let quiet = QuietHours::new(from, to).unwrap();
                for at in [change - 90 * MINUTE, change - 1, *change, change + 20 * MINUTE + 1] {
                    asked += 1;
                    let should = first_permitted(other, (from, to), at);
                    let found = quiet.next_permitted(at, *zone);
                    assert_eq!(found, Some(should), "{zone}, {from} to {to}, at {at}");
                    assert!(quiet.permits(should, *zone));
                    assert_eq!(quiet.permits(at, *zone), should == at, "{zone}, {from} to {to}, at {at}");
                }
            }
        }
    }
    assert!(kinds.len() > 60 && asked > 10_000, "{} kinds of zones, {asked} instants", kinds.len());
}

#[test]
fn a_calendar_day_later_is_the_same_time_of_day_or_the_end_of_the_gap() {
    for (zone, other, changes) in &kinds() {
        for (change, _) in changes {
            for before in [DAY - HOUR, DAY - 10 * MINUTE, DAY, DAY + 25 * MINUTE] {
                let at = change - before;
                let later = add_calendar_days(at, 1, *zone).unwrap();
                let wall = |at: Millis| at + offset(other, at) * 1_000;
                if wall(later) == wall(at) + DAY {
                    // Of a repeated time it is the first.
                    let earlier = later - (offset(other, later - 1) - offset(other, later)).abs() * 1_000;
                    let is_first = later == earlier || wall(earlier) != wall(later);
                    assert!(is_first, "{zone} at {at}");
                } else {
                    // Skipped: the first instant behind the gap, and nowhere is that time of day.
                    assert!(offset(other, later) > offset(other, later - 1), "{zone} at {at}: {later}");
                    assert!(wall(later) > wall(at) + DAY && wall(later - 1) < wall(at) + DAY, "{zone} at {at}");
                }
            }
        }
    }
}
