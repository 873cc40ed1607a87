//! What texts cost: prices per million tokens, amounts in millionths of the same currency, and what a cap is counted over.

use crate::clock::Millis;
use crate::quiet_hours::{date_of, resolve};
use crate::sequence::Step;
use crate::zone::Zone;
use chrono::{Datelike, Days, Months, NaiveDate, NaiveTime};
use serde::{Deserialize, Serialize};

/// What a model's server asks for a million tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Prices {
    /// Tokens read.
    pub input: f64,
    /// Tokens written.
    pub output: f64,
}

/// Tokens that rules and form of the answer take, and what is known of a person, as far as that can be told ahead.
const READ: u64 = 700;
/// Tokens of a usual text.
const WRITTEN: u64 = 350;
/// Bytes of a usual token.
const BYTES: u64 = 4;

impl Prices {
    /// What so many tokens cost, rounded up.
    pub fn cost(&self, read: u64, written: u64) -> i64 {
        (read as f64 * self.input + written as f64 * self.output).ceil() as i64
    }

    /// What one text of a step will cost, by its prompt's length: an estimate, not a bound.
    pub fn estimate(&self, step: &Step) -> i64 {
        let prompt = step.ai_prompt.as_deref().map_or(0, str::len) as u64;
        self.cost(READ + prompt / BYTES, WRITTEN)
    }
}

/// What a cap is counted over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Period {
    /// All that was ever spent.
    #[default]
    Total,
    /// A calendar month in the account's zone.
    Monthly,
    /// A calendar day in the account's zone.
    Daily,
}

impl Period {
    /// Every period.
    pub const ALL: [Period; 3] = [Period::Total, Period::Monthly, Period::Daily];

    /// The word in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Period::Total => "total",
            Period::Monthly => "monthly",
            Period::Daily => "daily",
        }
    }

    /// The period of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.as_str() == word)
    }

    /// The present period's first day and the instant at which the next one begins; none where there is but one.
    pub fn at(self, now: Millis, zone: Zone) -> Option<(NaiveDate, Millis)> {
        let today = date_of(now, zone)?;
        let (first, next) = match self {
            Period::Total => return None,
            Period::Monthly => {
                let first = today.with_day(1)?;
                (first, first.checked_add_months(Months::new(1))?)
            }
            Period::Daily => (today, today.checked_add_days(Days::new(1))?),
        };
        Some((first, resolve(next.and_time(NaiveTime::MIN), zone)?))
    }
}

/// An amount as people read it: `12.345678`.
pub fn amount(millionths: i64) -> f64 {
    millionths as f64 / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_begins_and_ends_in_the_accounts_zone() {
        let at = |text| crate::clock::parse_rfc3339(text).unwrap();
        // Already 1 March in Auckland, and still 28 February in New York.
        let now = at("2026-02-28T12:00:00Z");
        let of = |period: Period, zone: Zone| period.at(now, zone).map(|(day, end)| (day.to_string(), end));
        let (east, west) =
            ("Pacific/Auckland".parse::<Zone>().unwrap(), "America/New_York".parse::<Zone>().unwrap());
        assert_eq!(of(Period::Daily, east), Some(("2026-03-01".into(), at("2026-03-01T11:00:00Z"))));
        assert_eq!(of(Period::Daily, west), Some(("2026-02-28".into(), at("2026-03-01T05:00:00Z"))));
        assert_eq!(of(Period::Monthly, east), Some(("2026-03-01".into(), at("2026-03-31T11:00:00Z"))));
        assert_eq!(of(Period::Monthly, west), Some(("2026-02-01".into(), at("2026-03-01T05:00:00Z"))));
        assert_eq!(of(Period::Total, east), None);
        assert_eq!(Period::ALL.map(|period| Period::parse(period.as_str())), Period::ALL.map(Some));
    }

    #[test]
    fn a_price_a_million_is_that_many_millionths_a_token() {
        let prices = Prices { input: 0.15, output: 0.6 };
        assert_eq!(prices.cost(1_000_000, 0), 150_000);
        assert_eq!(prices.cost(1, 1), 1, "rounded up");
        assert_eq!(amount(prices.cost(0, 1_000_000)), 0.6);
    }
}
