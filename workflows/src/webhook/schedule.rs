//! When a delivery that failed is tried again. Pure arithmetic: randomness is a parameter.

use crate::clock::{DAY, HOUR, MINUTE, Millis, SECOND};

/// The documents': one attempt and three more (C-14).
const SHORT: [Millis; 3] = [10 * SECOND, MINUTE, 10 * MINUTE];
/// Standard Webhooks': nearly three days.
const LONG: [Millis; 9] =
    [5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];

/// How often, and how long after another, an endpoint is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// The documents': one attempt and three more.
    Short,
    /// Standard Webhooks': nine more over some days.
    Long,
    /// The endpoint's own waits.
    Own(Vec<Millis>),
}

impl Schedule {
    /// What is stored: a word, and the waits of an own schedule in seconds.
    pub fn word(&self) -> &'static str {
        match self {
            Schedule::Short => "short",
            Schedule::Long => "long",
            Schedule::Own(_) => "own",
        }
    }

    /// Reads what [`word`](Self::word) stored; `seconds` are an own schedule's waits.
    pub fn read(word: &str, seconds: &[i64]) -> Self {
        match word {
            "long" => Schedule::Long,
            "own" => Schedule::Own(seconds.iter().map(|s| s * SECOND).collect()),
            _ => Schedule::Short,
        }
    }

    /// The waits between attempts.
    pub fn waits(&self) -> &[Millis] {
        match self {
            Schedule::Short => &SHORT,
            Schedule::Long => &LONG,
            Schedule::Own(waits) => waits,
        }
    }

    /// The wait after attempt `attempts` (from 1) failed; `None`: that was the last. Jitter only lengthens it, by up
    /// to a fifth; `random` lies in 0..1.
    ///
    /// ```
    /// # use sendwright_workflows::webhook::Schedule;
    /// assert_eq!(Schedule::Short.wait(1, 0.0), Some(10_000));
    /// assert_eq!(Schedule::Short.wait(3, 0.5), Some(660_000));
    /// assert_eq!(Schedule::Short.wait(4, 0.0), None);
    /// assert_eq!(Schedule::Own(vec![]).wait(1, 0.0), None);
    /// ```
    pub fn wait(&self, attempts: u32, random: f64) -> Option<Millis> {
        let wait = *self.waits().get(attempts.max(1) as usize - 1)?;
        Some(wait + (wait as f64 * 0.2 * random.clamp(0.0, 1.0)) as Millis)
    }
}

/// What a receiver's `Retry-After` asks for: seconds, or a date against `now`; from a second to a day.
pub fn retry_after(text: &str, now: Millis) -> Option<Millis> {
    let wait = match text.trim().parse::<i64>() {
        Ok(seconds) => seconds.checked_mul(SECOND)?,
        Err(_) => chrono::DateTime::parse_from_rfc2822(text.trim()).ok()?.timestamp_millis() - now,
    };
    Some(wait.clamp(SECOND, DAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_only_ever_adds() {
        for schedule in [Schedule::Short, Schedule::Long, Schedule::Own(vec![SECOND])] {
            for (n, wait) in (1..).zip(schedule.waits()) {
                for random in [0.0, 0.3, 1.0, 7.0] {
                    let jittered = schedule.wait(n, random).unwrap();
                    assert!((*wait..=wait + wait / 5).contains(&jittered));
                }
            }
            assert_eq!(schedule.wait(schedule.waits().len() as u32 + 1, 0.0), None);
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date_and_kept_within_a_day() {
        assert_eq!(retry_after("120", 0), Some(2 * MINUTE));
        assert_eq!(retry_after("0", 0), Some(SECOND));
        assert_eq!(retry_after("9999999", 0), Some(DAY));
        assert_eq!(retry_after("Thu, 01 Jan 1970 00:02:00 GMT", MINUTE), Some(MINUTE));
        assert_eq!(retry_after("Thu, 01 Jan 1970 00:02:00 GMT", HOUR), Some(SECOND));
        for odd in ["", "soon", "-", "99999999999999999999", "1.5"] {
            assert_eq!(retry_after(odd, 0), None, "{odd}");
        }
    }
}
