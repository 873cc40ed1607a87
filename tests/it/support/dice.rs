//! Random numbers that a seed repeats, and the seeds that a run is asked to take.

use std::time::Duration;

use sendwright_histories::dice;

use super::plan;

/// One seed by default; `SENDWRIGHT_SEEDS=20` takes more of them, and `SENDWRIGHT_FIRST_SEED` says where they begin.
pub fn seeds() -> impl Iterator<Item = u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse().ok());
    let first = number("SENDWRIGHT_FIRST_SEED").unwrap_or(1);
    let seeds = first..first + number("SENDWRIGHT_SEEDS").unwrap_or(1);
    seeds.inspect(|seed| plan::say(format_args!("seed {seed}")))
}

/// Random numbers, those of the histories.
#[derive(Debug, Clone)]
pub struct Dice(dice::Dice);

impl Dice {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Self(dice::Dice::new(seed))
    }

    /// The next of them, below a limit.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0.below(limit)
    }

    /// Waits for so long at most.
    pub async fn pause(&mut self, most_millis: u64) {
        let millis = self.below(most_millis);
        tokio::time::sleep(Duration::from_millis(millis)).await;
        plan::say(format_args!("{millis} ms have passed"));
    }
}
