//! Plays histories on every core and tells how many it saw, or the first one that broke a promise.

use anyhow::bail;
use clap::Parser;
use sendwright_histories::History;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Play seeded histories and check what was promised
#[derive(Parser)]
struct Options {
    /// How many
    #[arg(long, default_value_t = 100_000)]
    histories: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Print every act of the first history
    #[arg(long)]
    print: bool,
}

/// What was seen.
#[derive(Default)]
struct Tally {
    histories: u64,
    acts: u64,
    fewest: u64,
    crashes: u64,
    broken: Option<History>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if options.print {
        let history = History::draw(options.first);
        println!("{:#?}", history.scene);
        history.acts.iter().for_each(|act| println!("{act:?}"));
        return verdict(history.broken.is_some().then_some(history));
    }
    // How long it took is what is told; nothing is decided by it.
    #[allow(clippy::disallowed_methods, reason = "a rate for people")]
    let begun = Instant::now();
    let (next, end) = (AtomicU64::new(options.first), options.first + options.histories);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(|| play(&next, end))).collect();
        all.into_iter().filter_map(|one| one.join().ok()).collect()
    });
    let seconds = begun.elapsed().as_secs_f64();
    let sum = |of: fn(&Tally) -> u64| tallies.iter().map(of).sum::<u64>();
    let histories = sum(|tally| tally.histories);
    println!(
        "{histories} histories, {} transitions ({} at the least), {} crashes, in {seconds:.1} s: {:.0} a minute",
        sum(|tally| tally.acts),
        tallies.iter().map(|tally| tally.fewest).min().unwrap_or(0),
        sum(|tally| tally.crashes),
        histories as f64 * 60.0 / seconds,
    );
    let broken = tallies.into_iter().filter_map(|tally| tally.broken).min_by_key(|history| history.seed);
    verdict(broken)
}

fn play(next: &AtomicU64, end: u64) -> Tally {
    let mut tally = Tally { fewest: u64::MAX, ..Tally::default() };
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return tally;
        }
        let history = History::draw(seed);
        tally.histories += 1;
        tally.acts += history.acts.len() as u64;
        tally.fewest = tally.fewest.min(history.acts.len() as u64);
        tally.crashes += history.crashes as u64;
        if history.broken.is_some() {
            next.store(end, Ordering::Relaxed);
            tally.broken = Some(history);
        }
    }
}

fn verdict(broken: Option<History>) -> anyhow::Result<()> {
    match broken {
        None => Ok(()),
        Some(history) => {
            let what = history.broken.unwrap_or_default();
            bail!("seed {}: {what}; `--print --first {}` shows it", history.seed, history.seed)
        }
    }
}
