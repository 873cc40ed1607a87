//! Time zones of the IANA database, as it is compiled in: the same on every machine ([decision
//! 14](../../docs/decisions/0014-zones.md)).

use crate::clock::Millis;
use chrono::{Datelike, NaiveDateTime, Timelike};
use jiff::Timestamp;
use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::sync::{LazyLock, OnceLock};

/// A zone: a small number, as cheap to copy as one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Zone(u16);

/// No zone of the database has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a time zone of the IANA database, as Europe/Berlin is one")]
pub struct UnknownZone;

/// When a wall-clock time comes, in seconds by which the wall clock is ahead of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comes {
    /// Once.
    Once(i64),
    /// Twice: the first one's offset.
    Twice(i64),
    /// Never: the clock is set past it.
    Never,
}

struct Known {
    name: String,
    rules: OnceLock<TimeZone>,
}

static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// UTC first, the others by name.
static ALL: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let mut names: Vec<String> = DATABASE.available().map(|name| name.as_str().to_owned()).collect();
    names.retain(|name| name != "UTC");
    names.sort_unstable();
    names.insert(0, "UTC".into());
    names.into_iter().map(|name| Known { name, rules: OnceLock::new() }).collect()
});

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Zone = Zone(0);

    /// Every zone there is.
    pub fn all() -> impl Iterator<Item = Zone> {
        (0..ALL.len() as u16).map(Zone)
    }

    /// Its name in the database.
    pub fn name(self) -> &'static str {
        ALL.get(usize::from(self.0)).map_or("UTC", |known| &known.name)
    }

    fn rules(self) -> &'static TimeZone {
        static UTC: TimeZone = TimeZone::UTC;
        let Some(known) = ALL.get(usize::from(self.0)) else { return &UTC };
        known.rules.get_or_init(|| DATABASE.get(&known.name).unwrap_or(TimeZone::UTC))
    }

    /// Seconds by which its wall clock is ahead of UTC at an instant. Outside of the years -9999 to 9999: 0.
    pub fn offset(self, at: Millis) -> i64 {
        let rules = self.rules();
        Timestamp::from_millisecond(at).map_or(0, |at| i64::from(rules.to_offset(at).seconds()))
    }

    /// When its wall clock shows a time.
    pub fn comes(self, wall: NaiveDateTime) -> Option<Comes> {
        let date = civil::Date::new(wall.year() as i16, wall.month() as i8, wall.day() as i8).ok()?;
        let time = civil::Time::new(wall.hour() as i8, wall.minute() as i8, wall.second() as i8, 0).ok()?;
        let found = self.rules().to_ambiguous_timestamp(date.to_datetime(time));
        Some(match found.offset() {
            AmbiguousOffset::Unambiguous { offset } => Comes::Once(offset.seconds().into()),
            AmbiguousOffset::Fold { before, .. } => Comes::Twice(before.seconds().into()),
            AmbiguousOffset::Gap { .. } => Comes::Never,
        })
    }
}

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(name: &str) -> Result<Self, UnknownZone> {
        if name == "UTC" {
            return Ok(Zone::UTC);
        }
        // Behind UTC they are in order.
        let place =
            ALL.get(1..).and_then(|all| all.binary_search_by(|known| known.name.as_str().cmp(name)).ok());
        place.map(|place| Zone(place as u16 + 1)).ok_or(UnknownZone)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_is_found_by_its_name() {
        assert!(Zone::all().count() > 590);
        for zone in Zone::all() {
            assert_eq!(zone.name().parse(), Ok(zone));
        }
        for unknown in ["", "utc", "Europe/berlin", "Mars/Olympus", "../etc/passwd"] {
            assert_eq!(unknown.parse::<Zone>(), Err(UnknownZone), "{unknown}");
        }
    }
}
