//! What texts cost: prices per million tokens, and amounts in millionths of the same currency.

use crate::sequence::Step;
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

/// An amount as people read it: `12.345678`.
pub fn amount(millionths: i64) -> f64 {
    millionths as f64 / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_a_million_is_that_many_millionths_a_token() {
        let prices = Prices { input: 0.15, output: 0.6 };
        assert_eq!(prices.cost(1_000_000, 0), 150_000);
        assert_eq!(prices.cost(1, 1), 1, "rounded up");
        assert_eq!(amount(prices.cost(0, 1_000_000)), 0.6);
    }
}
