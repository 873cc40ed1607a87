//! More of the matrix of faults: networks that fall silent, forget and crawl. Nobody is told of it, nothing is lost, nothing
//! is doubled.

use std::collections::HashSet;
use std::time::Duration;

use crate::crash::{only_unknowable, unknowable, until};
use crate::support::dice::{Dice, seeds};
use crate::support::site::{D, LEASE, Shape, Site};
use crate::support::trial::{Trial, account, at_work, instant};

/// Longer than a lease.
const BEYOND_A_LEASE: Duration = Duration::from_secs(LEASE + 2);
/// An installation whose processes reach every server over a wire.
const WIRED: Shape = Shape { wired: true, ..Shape::PARTS };

fn trial<'a>(fault: &'a str, what: &'a str, seed: u64, most_uncertain: usize) -> Trial<'a> {
    Trial { fault, what, seed, most_uncertain }
}

/// FAULTS F31.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_behind_a_silent_wire_stops_nobody() {
    for seed in seeds() {
        let (mut dice, site) = (Dice::new(seed), at_work(WIRED).await);
        let wire = &site.wires().redis;
        for silent in [Duration::from_secs(1), BEYOND_A_LEASE] {
            instant(&mut dice, &site).await;
            wire.fall_silent();
            tokio::time::sleep(silent).await;
            if dice.below(2) == 0 { wire.speak() } else { wire.forget() }
        }
        account(&site, trial("F31", "no way to Redis, nobody is told", seed, 0)).await;
    }
}

/// FAULTS F40: what stands between the 250 and its record waits, and arrives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_cut_off_from_its_database_records_the_truth_when_it_is_back() {
    for seed in seeds() {
        let (mut dice, site) = (Dice::new(seed), at_work(WIRED).await);
        let wire = &site.wires().postgres[1];
        for silent in [Duration::from_secs(1), BEYOND_A_LEASE] {
            instant(&mut dice, &site).await;
            wire.fall_silent();
            tokio::time::sleep(silent).await;
            wire.speak();
        }
        settled(&site).await;
        account(&site, trial("F40", "worker cut off from PostgreSQL", seed, 0)).await;
    }
}

/// The same, and no connection survives: nobody closes them, and none will ever answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_connections_are_forgotten_makes_new_ones() {
    for seed in seeds() {
        let (mut dice, site) = (Dice::new(seed), at_work(WIRED).await);
        instant(&mut dice, &site).await;
        site.wires().postgres[1].forget();
        settled(&site).await;
        account(&site, trial("F40", "connections to PostgreSQL forgotten", seed, 0)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_while_it_is_cut_off_leaves_only_the_unknowable() {
    for seed in seeds() {
        let (mut dice, mut site) = (Dice::new(seed), at_work(WIRED).await);
        instant(&mut dice, &site).await;
        site.wires().postgres[1].fall_silent();
        dice.pause(3_000).await;
        site.workers[0].kill();
        let unknown = unknowable(&site.data(0));
        site.wires().postgres[1].speak();
        dice.pause(1_000).await;
        site.workers[0].start_again();
        account(&site, trial("F40", "worker killed while cut off from PostgreSQL", seed, D)).await;
        only_unknowable(&site, &unknown).await;
    }
}

/// FAULTS F61: slow is not dead, so nobody is given up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_wires_slow_everything_down_and_end_nothing() {
    for seed in seeds() {
        let (mut dice, site) = (Dice::new(seed), at_work(WIRED).await);
        instant(&mut dice, &site).await;
        site.wires().smtp.slow(Duration::from_millis(20 + dice.below(30)), 125_000);
        instant(&mut dice, &site).await;
        let delay = Duration::from_millis(5 + dice.below(15));
        site.wires().postgres.iter().for_each(|wire| wire.slow(delay, 1_250_000));
        account(&site, trial("F61", "slow wires to the receiver and PostgreSQL", seed, 0)).await;
        nobody_is_given_up(&site).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_wire_to_the_receiver_slows_up_down_and_ends_nothing() {
    for seed in seeds() {
        let shape = Shape { wired: true, ..Shape::UP };
        let (mut dice, site) = (Dice::new(seed), at_work(shape).await);
        instant(&mut dice, &site).await;
        site.wires().smtp.slow(Duration::from_millis(20 + dice.below(30)), 125_000);
        account(&site, trial("F61", "a slow wire to the receiver", seed, 0)).await;
        nobody_is_given_up(&site).await;
    }
}

/// A worker that lives knows how its hand-overs ended, and says so however late.
async fn settled(site: &Site) {
    until(site, "SELECT COUNT(*) FROM attempts WHERE state IN ('uncertain', 'sending')", 0).await;
    only_unknowable(site, &HashSet::new()).await;
}

async fn nobody_is_given_up(site: &Site) {
    let given_up: Vec<(i64,)> = site.rows("SELECT COUNT(*) FROM workers WHERE state = 'dead'").await;
    assert_eq!(given_up, [(0,)], "slow is not dead");
}
