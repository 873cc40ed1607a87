//! What is lost, doubled or unknown when processes and servers die in the middle of their work: nothing, nothing, and
//! at most D messages a kill, each of them named.
//!
//! Every row runs under its own seeds, one by default; `SENDWRIGHT_SEEDS=20` runs more of them, and
//! `SENDWRIGHT_FIRST_SEED` says where they begin.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::dice::{Dice, seeds};
use crate::support::process::journal_lines;
use crate::support::site::{D, LEASE, Shape, Site, leads};
use crate::support::trial::{PEOPLE, Trial, account, at_work, instant};

fn trial<'a>(fault: &'a str, what: &'a str, seed: u64, most_uncertain: usize) -> Trial<'a> {
    Trial { fault, what, seed, most_uncertain }
}

/// Attempts whose dot a dead worker's journal has and whose reply it has not: nobody can know more.
pub fn unknowable(data: &Path) -> HashSet<i64> {
    let lines = journal_lines(data);
    let of = |kind: &str| -> HashSet<i64> {
        lines.iter().filter(|line| line["line"] == kind).filter_map(|line| line["attempt"].as_i64()).collect()
    };
    &of("dot") - &of("reply")
}

/// Every attempt that stays uncertain is one of those.
pub async fn only_unknowable(site: &Site, unknowable: &HashSet<i64>) {
    let uncertain: Vec<(i64,)> = site.rows("SELECT id FROM attempts WHERE state = 'uncertain'").await;
    let guesses: Vec<i64> =
        uncertain.into_iter().map(|(id,)| id).filter(|id| !unknowable.contains(id)).collect();
    assert!(guesses.is_empty(), "a journal knew of attempts {guesses:?}, and they are uncertain");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_and_back_with_its_journal_leaves_only_the_unknowable() {
    for seed in seeds() {
        let (mut dice, mut site) = (Dice::new(seed), at_work(Shape::PARTS).await);
        let mut unknown = HashSet::new();
        for _ in 0..2 {
            instant(&mut dice, &site).await;
            let victim = dice.below(2) as usize;
            site.workers[victim].kill();
            unknown.extend(unknowable(&site.data(victim)));
            dice.pause(1_000).await;
            site.workers[victim].start_again();
        }
        account(&site, trial("F1", "worker killed, journal", seed, 2 * D)).await;
        only_unknowable(&site, &unknown).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_found_after_its_workers_lease_still_settles_what_it_knows() {
    for seed in seeds() {
        let (mut dice, mut site) = (Dice::new(seed), at_work(Shape::PARTS).await);
        instant(&mut dice, &site).await;
        site.workers[0].kill();
        let unknown = unknowable(&site.data(0));
        until(&site, "SELECT -COUNT(*) FROM workers WHERE state = 'dead'", -1).await;
        site.workers[0].start_again();
        account(&site, trial("F1", "worker killed, back after its lease", seed, D)).await;
        only_unknowable(&site, &unknown).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_without_a_journal_leaves_at_most_d_uncertain() {
    for seed in seeds() {
        let (mut dice, mut site) = (Dice::new(seed), at_work(Shape { journal: false, ..Shape::PARTS }).await);
        instant(&mut dice, &site).await;
        site.workers[0].kill();
        dice.pause(1_000).await;
        site.workers[0].start_again();
        account(&site, trial("F1", "worker killed, no journal", seed, D)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_workers_killed_at_once_are_recovered_by_themselves() {
    for seed in seeds() {
        let (mut dice, mut site) = (Dice::new(seed), at_work(Shape::PARTS).await);
        instant(&mut dice, &site).await;
        site.workers.iter_mut().for_each(|worker| worker.kill());
        let unknown = &unknowable(&site.data(0)) | &unknowable(&site.data(1));
        dice.pause(500).await;
        site.workers.iter_mut().for_each(|worker| worker.start_again());
        account(&site, trial("F1", "both workers killed", seed, 2 * D)).await;
        only_unknowable(&site, &unknown).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_killed_on_sqlite_goes_on_where_it_stood() {
    for seed in seeds() {
        let (mut dice, mut site) = (Dice::new(seed), at_work(Shape::UP).await);
        let mut unknown = HashSet::new();
        for _ in 0..2 {
            instant(&mut dice, &site).await;
            site.front.kill();
            unknown.extend(unknowable(&site.data(0)));
            site.front.start_again();
        }
        account(&site, trial("F1", "up killed", seed, 2 * D)).await;
        only_unknowable(&site, &unknown).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_asked_to_end_leaves_nothing_uncertain() {
    for seed in seeds() {
        let (mut dice, mut site) = (Dice::new(seed), at_work(Shape::PARTS).await);
        for _ in 0..3 {
            instant(&mut dice, &site).await;
            let asked = dice.below(2) as usize;
            let status = site.workers[asked].terminate();
            assert_eq!(status.code(), Some(0), "{}", site.workers[asked].log());
            let open: Vec<(i64,)> = site
                .rows(
                    "SELECT COUNT(*) FROM messages m JOIN workers w ON w.id = m.worker_id
                     WHERE w.state = 'dead' AND m.state IN ('claimed', 'sending', 'writing')",
                )
                .await;
            assert_eq!(open, [(0,)], "nothing is left in the hands of who has gone");
            site.workers[asked].start_again();
        }
        account(&site, trial("F6", "worker terminated", seed, 0)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_asked_to_end_leaves_nothing_uncertain() {
    for seed in seeds() {
        let (mut dice, mut site) = (Dice::new(seed), at_work(Shape::UP).await);
        instant(&mut dice, &site).await;
        assert_eq!(site.front.terminate().code(), Some(0), "{}", site.front.log());
        site.front.start_again();
        account(&site, trial("F6", "up terminated", seed, 0)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_stopped_past_its_lease_sends_nothing_twice_when_it_goes_on() {
    for seed in seeds() {
        let (mut dice, site) = (Dice::new(seed), at_work(Shape::PARTS).await);
        instant(&mut dice, &site).await;
        site.workers[0].pause();
        until(&site, "SELECT -COUNT(*) FROM workers WHERE state = 'dead'", -1).await;
        dice.pause(1_000).await;
        site.workers[0].resume();
        // It knows how its hand-overs ended, and says so however late.
        until(&site, "SELECT COUNT(*) FROM attempts WHERE state IN ('uncertain', 'sending')", 0).await;
        account(&site, trial("F8", "worker stopped past its lease", seed, D)).await;
        only_unknowable(&site, &HashSet::new()).await;
    }
}

/// Waits until a count is down to `most`.
pub async fn until(site: &Site, count: &'static str, most: i64) {
    let begun = Instant::now();
    while site.rows::<(i64,)>(count).await[0].0 > most {
        assert!(begun.elapsed() < Duration::from_secs(4 * LEASE), "in vain: {count}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_flushed_again_and_again_changes_nothing() {
    for seed in seeds() {
        let (mut dice, site) = (Dice::new(seed), at_work(Shape::PARTS).await);
        for _ in 0..4 {
            instant(&mut dice, &site).await;
            site.redis.flush();
        }
        account(&site, trial("F24", "Redis flushed", seed, 0)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_killed_and_back_empty_changes_nothing() {
    for seed in seeds() {
        let (mut dice, mut site) = (Dice::new(seed), at_work(Shape::PARTS).await);
        instant(&mut dice, &site).await;
        site.redis.kill();
        dice.pause(3_000).await;
        site.redis.start_again();
        account(&site, trial("F23", "Redis killed", seed, 0)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_redis_everything_arrives_all_the_same() {
    for seed in seeds() {
        let site = at_work(Shape { redis: false, ..Shape::PARTS }).await;
        account(&site, trial("F25", "no Redis", seed, 0)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_killed_and_back_loses_nothing() {
    for seed in seeds() {
        let shape = Shape { own_postgres: true, ..Shape::PARTS };
        let (mut dice, mut site) = (Dice::new(seed), at_work(shape).await);
        for outage in [1_000, 1_000 * (LEASE + 2)] {
            instant(&mut dice, &site).await;
            site.postgres.as_mut().unwrap().kill();
            dice.pause(outage).await;
            site.postgres.as_mut().unwrap().start_again();
        }
        account(&site, trial("F32", "PostgreSQL killed", seed, 0)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_go_on_without_a_scheduler() {
    for seed in seeds() {
        let (mut dice, mut site) = (Dice::new(seed), at_work(Shape::PARTS).await);
        instant(&mut dice, &site).await;
        let scheduler = site.scheduler.as_mut().unwrap();
        scheduler.kill();
        dice.pause(500).await;
        scheduler.start_again();
        instant(&mut dice, &site).await;
        site.scheduler.as_mut().unwrap().kill();
        account(&site, trial("F5", "scheduler killed", seed, 0)).await;
    }
}

/// FAULTS F3: whoever was cut off asks again with the same key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_request_cut_off_by_a_killed_api_happens_once() {
    const PATH: &str = "/api/external/leads/bulk";
    for seed in seeds() {
        let mut site = Site::start(Shape::PARTS).await;
        site.campaign(0..1, json!({}), json!({})).await;
        let number = site.rows::<(i64,)>("SELECT id FROM campaigns").await[0].0;
        let mut body = leads(1..PEOPLE);
        body.as_array_mut().unwrap().iter_mut().for_each(|lead| lead["campaign_id"] = number.into());
        let (mut dice, mut cut_off, mut unheard) = (Dice::new(seed), 0, 0);
        for _ in 0..5 {
            let headers = [("idempotency-key", "the-same")];
            let asking = site.try_ask("POST", PATH, &headers, Some(&body));
            let (asked, ()) = tokio::join!(asking, async {
                dice.pause(200).await;
                site.front.strike();
            });
            site.front.kill();
            site.front.start_again();
            let there = site.rows::<(i64,)>("SELECT COUNT(*) FROM contacts").await[0].0 > 1;
            (cut_off, unheard) =
                (cut_off + i32::from(asked.is_err()), unheard + i32::from(asked.is_err() && there));
            assert!(there || asked.is_err(), "an answered request is committed");
        }
        let ask = async || {
            site.try_ask("POST", PATH, &[("idempotency-key", "the-same")], Some(&body)).await.unwrap()
        };
        let (first, again) = (ask().await, ask().await);
        assert_eq!((first.0, &first.1["created"]), (200, &json!(PEOPLE - 1)), "{}", first.1["errors"]);
        assert_eq!(first, again, "the same answer, ids and all");
        let ids: HashSet<i64> = ids_of(&first.1);
        assert_eq!(ids.len(), PEOPLE - 1);
        let there: Vec<(i64,)> = site.rows("SELECT id FROM contacts WHERE email <> 'p0@example.com'").await;
        assert_eq!(there.into_iter().map(|(id,)| id).collect::<HashSet<_>>(), ids, "each lead once");
        println!("api killed: {cut_off} of 5 cut off, {unheard} of them after the commit");
        account(&site, trial("F3", "api killed amid a bulk", seed, 0)).await;
    }
}

fn ids_of(answer: &Value) -> HashSet<i64> {
    answer["leads"].as_array().unwrap().iter().filter_map(|lead| lead["id"].as_i64()).collect()
}
