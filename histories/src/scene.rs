//! What a history begins with: a campaign, its limits and quiet hours, and people in several zones.

use crate::dice::Dice;
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{HOUR, Millis};
use sendwright_workflows::quiet_hours::QuietHours;
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::sequence::{Delay, Sequence, Step};
use sendwright_workflows::zone::Zone;

/// People of every history.
pub const PEOPLE: usize = 4;
/// Worker processes at work at once.
pub const WORKERS: usize = 2;
/// Zones with and without summer time, on both halves of the globe.
const ZONES: [&str; 5] = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"];
/// Around these instants clocks change in some of them, or nothing happens at all. Unix milliseconds.
const STARTS: [Millis; 4] = [1_774_738_800_000, 1_772_953_200_000, 1_780_308_000_000, 1_793_490_000_000];

/// The beginning.
#[derive(Debug, Clone)]
pub struct Scene {
    /// When everybody is enrolled and the campaign runs.
    pub start: Millis,
    /// The campaign's settings.
    pub policy: Policy,
    /// Its quiet hours, in minutes of the local day.
    pub quiet: Option<(u16, u16)>,
    /// The limits of the sending profile.
    pub rates: Rates,
    /// The steps.
    pub sequence: Sequence,
    /// The people's zones.
    pub zones: [Zone; PEOPLE],
}

impl Scene {
    /// Drawn by the dice.
    pub fn draw(dice: &mut Dice) -> Self {
        let start = dice.one(&STARTS).unwrap_or_default() + dice.below(20) as i64 * HOUR / 2;
        let quiet = [None, Some((22 * 60, 8 * 60)), Some((60, 150)), Some((12 * 60 + 30, 14 * 60))];
        let quiet = dice.one(&quiet).flatten();
        let policy = Policy {
            quiet_hours: quiet.and_then(|(from, to)| QuietHours::new(from, to)),
            rate_limit_per_second: dice.one(&[None, None, Some(1.0), Some(0.5)]).flatten(),
            ..Policy::default()
        };
        let rates = Rates {
            per_second: dice.one(&[None, Some(2.0), Some(1.0)]).flatten(),
            per_minute: dice.one(&[None, Some(3)]).flatten(),
            per_day: dice.one(&[None, None, Some(5)]).flatten(),
            zone: zone(dice),
        };
        let steps = (1..=2 + dice.below(2) as u32).map(|number| step(number, delay(dice))).collect();
        let zones = std::array::from_fn(|_| zone(dice));
        Self { start, policy, quiet, rates, sequence: Sequence { version: 1, steps }, zones }
    }
}

fn zone(dice: &mut Dice) -> Zone {
    dice.one(&ZONES).and_then(|name| name.parse().ok()).unwrap_or_default()
}

fn delay(dice: &mut Dice) -> Delay {
    match dice.below(4) {
        0 => Delay::default(),
        1 => Delay { seconds: 1 + dice.below(90) as u32, ..Delay::default() },
        2 => Delay { hours: 1 + dice.below(20) as u32, ..Delay::default() },
        _ => Delay { days: 1, ..Delay::default() },
    }
}

/// A step that a template writes.
fn step(number: u32, delay: Delay) -> Step {
    Step {
        id: 0,
        number,
        name: format!("Step {number}"),
        channel: Default::default(),
        subject: Some(format!("Subject {number}")),
        template: Some("Hello {{first_name}}".into()),
        syntax: Default::default(),
        enclosed: Default::default(),
        ai_prompt: None,
        delay,
        include_previous_emails: false,
        active: true,
    }
}
