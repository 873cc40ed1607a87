//! A target played: its corpus first, then mutations of it for as long as is asked.

use crate::mutate::mutate;
use crate::{Target, corpus};
use sendwright_histories::dice::Dice;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// The longest that one input may take; far more than any does, since machines are busy.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most inputs that are kept to be mutated further.
const KEPT: usize = 4_096;

/// What came of it.
#[derive(Debug)]
pub struct Played {
    /// Inputs that were read.
    pub executions: u64,
    /// Kinds of ends they came to.
    pub kinds: usize,
    /// The slowest.
    pub slowest: Duration,
    /// The first that broke a promise.
    pub found: Option<Found>,
}

/// An input that broke a promise.
#[derive(Debug)]
pub struct Found {
    /// The input.
    pub input: Vec<u8>,
    /// What was broken.
    pub why: String,
}

/// Plays the corpus, and mutations of it under a seed until the time is over or something is found.
///
/// # Errors
/// There is no corpus.
pub fn play(target: &Target, seed: u64, time: Duration) -> anyhow::Result<Played> {
    let (begun, mut dice) = (Instant::now(), Dice::new(seed));
    let mut pool: Vec<Vec<u8>> = corpus(target.name)?.into_iter().map(|(_, input)| input).collect();
    let mut kinds = HashSet::new();
    let mut played = Played { executions: 0, kinds: 0, slowest: Duration::ZERO, found: None };
    let seeds = pool.clone();
    for input in &seeds {
        read(target, input, &mut played, &mut kinds);
    }
    while played.found.is_none() && begun.elapsed() < time {
        let input = mutate(&mut dice, &pool, target.words);
        if read(target, &input, &mut played, &mut kinds) && pool.len() < KEPT {
            pool.push(input);
        }
    }
    played.kinds = kinds.len();
    Ok(played)
}

/// Reads one input; what it broke.
pub fn replay(target: &Target, input: &[u8]) -> Option<Found> {
    let mut played = Played { executions: 0, kinds: 0, slowest: Duration::ZERO, found: None };
    read(target, input, &mut played, &mut HashSet::new());
    played.found
}

/// Reads one input; whether it came to an end of a new kind.
fn read(target: &Target, input: &[u8], played: &mut Played, kinds: &mut HashSet<u64>) -> bool {
    let begun = Instant::now();
    let ended = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let took = begun.elapsed();
    played.executions += 1;
    played.slowest = played.slowest.max(took);
    let why = match ended {
        Ok(kind) if took <= PATIENCE => return kinds.insert(kind),
        Ok(_) => format!("it took {took:?}"),
        Err(panic) => words(&*panic),
    };
    played.found.get_or_insert(Found { input: input.to_vec(), why });
    false
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words").to_owned()
}
