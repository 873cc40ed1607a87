//! What is lost, doubled or unknown when processes die amid text messages (F1 with F62 to F64): nothing, nothing, and what
//! was unknown is told by the provider's callbacks or found in its list.
//!
//! `SENDWRIGHT_SEEDS=20` runs more seeds.

use std::time::{Duration, Instant};

use crate::support::caller::Caller;
use crate::support::dice::{Dice, seeds};
use crate::support::site::{D, Shape, Site};
use crate::support::trial::Trial;
use crate::support::twilio_server::Act;
use crate::support::witness_phones::account_texts;

/// How many people are under way when something breaks; each gets two messages.
const PEOPLE: usize = 400;
/// How often something is killed.
const KILLS: usize = 3;

/// Everything that a provider does wrong, and mostly nothing: slow down, fail before and after making it, break off, sleep.
fn acts(dice: &mut Dice) -> Vec<Act> {
    let mut act = |_| match dice.below(200) {
        0 => Act::SlowDown(1),
        1 => Act::Fail,
        2..=3 => Act::AcceptAndFail,
        4..=5 => Act::AcceptAndBreak,
        6..=7 => Act::AcceptAndStall(Duration::from_secs(2)),
        n => Act::AcceptAndStall(Duration::from_millis(n % 10)),
    };
    (0..2 * PEOPLE).map(&mut act).collect()
}

/// Kills what sends, again and again, at instants of the seed's choice, while the provider calls back.
async fn killed(site: &mut Site, caller: &mut Caller, dice: &mut Dice) {
    for _ in 0..KILLS {
        let there = site.twilio.asked();
        let wanted = there + 1 + dice.below((2 * PEOPLE / KILLS) as u64 * 3 / 4) as usize;
        let begun = Instant::now();
        while site.twilio.asked() < wanted && begun.elapsed() < Duration::from_secs(10) {
            caller.turn(&site.twilio, site.front.address()).await;
            tokio::time::sleep(Duration::from_micros(dice.below(4_000))).await;
        }
        let victim = dice.below(site.workers.len().max(1) as u64) as usize;
        let victim = site.workers.get_mut(victim).unwrap_or(&mut site.front);
        victim.kill();
        victim.start_again();
    }
}

async fn amid_texts(shape: Shape) {
    for seed in seeds() {
        let (mut dice, mut caller) = (Dice::new(seed), Caller::new(Dice::new(!seed)));
        let mut site = Site::start(Shape { phones: true, ..shape }).await;
        acts(&mut dice).into_iter().for_each(|act| site.twilio.next(act));
        site.users(&site.key, 0..PEOPLE).await;
        let campaign = site.texts(&site.key, "Two", 2).await;
        killed(&mut site, &mut caller, &mut dice).await;
        let trial = Trial {
            fault: "F1, F62 to F64",
            what: "what sends is killed amid texts",
            seed,
            most_uncertain: KILLS * D + 2 * PEOPLE / 20,
        };
        account_texts(&site, trial, &campaign, &mut caller, 2 * PEOPLE).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_killed_amid_texts_lose_and_double_nothing() {
    amid_texts(Shape::PARTS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_killed_amid_texts_loses_and_doubles_nothing() {
    amid_texts(Shape::UP).await;
}
