//! More of the matrix of faults: what does not kill a process but stops, starves or misleads it. Nothing is lost, nothing is
//! doubled, and nothing is even uncertain where nobody died.

use std::time::{Duration, Instant};

use sendwright_store::Db;

use crate::support::dice::{Dice, seeds};
use crate::support::plan;
use crate::support::site::{D, LEASE, Shape, Site};
use crate::support::trial::{Trial, account, at_work, instant, unharmed};

/// Longer than a lease.
const BEYOND_A_LEASE: Duration = Duration::from_secs(LEASE + 2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_told_twice_to_end_ends_at_once_and_loses_nothing() {
    for seed in seeds() {
        let (mut dice, mut site) = (Dice::new(seed), at_work(Shape::PARTS).await);
        instant(&mut dice, &site).await;
        let begun = Instant::now();
        site.workers[0].ask_to_end();
        dice.pause(20).await;
        site.workers[0].terminate();
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        site.workers[0].start_again();
        let trial = Trial { fault: "F7", what: "worker told twice to end", seed, most_uncertain: D };
        account(&site, trial).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_suspended_beyond_every_lease_goes_on_where_it_stood() {
    for seed in seeds() {
        let (mut dice, site) = (Dice::new(seed), at_work(Shape::PARTS).await);
        instant(&mut dice, &site).await;
        let processes = || site.workers.iter().chain(&site.scheduler).chain([&site.front]);
        processes().for_each(|process| process.pause());
        site.redis.pause();
        tokio::time::sleep(BEYOND_A_LEASE).await;
        site.redis.resume();
        processes().for_each(|process| process.resume());
        let trial = Trial { fault: "F9", what: "all suspended beyond a lease", seed, most_uncertain: 2 * D };
        account(&site, trial).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_in_redis_harms_nobody() {
    for seed in seeds() {
        let (mut dice, site) = (Dice::new(seed), at_work(Shape::PARTS).await);
        for _ in 0..3 {
            instant(&mut dice, &site).await;
            spoil(&site);
        }
        account(&site, unharmed("F13", "garbage in Redis", seed)).await;
    }
}

/// Puts what is no job into every list, hash and set that there is.
fn spoil(site: &Site) {
    let found = site.redis.say("KEYS *");
    for key in found.lines().filter(|line| line.contains("sendwright")) {
        match site.redis.say(&format!("TYPE {key}")).trim() {
            "+list" => drop(site.redis.say(&format!("RPUSH {key} garbage"))),
            "+hash" => drop(site.redis.say(&format!("HSET {key} garbage garbage"))),
            "+zset" => drop(site.redis.say(&format!("ZADD {key} 1 garbage"))),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_stands_still_stops_nobody() {
    for seed in seeds() {
        let (mut dice, site) = (Dice::new(seed), at_work(Shape::PARTS).await);
        for still in [Duration::from_secs(2), BEYOND_A_LEASE] {
            instant(&mut dice, &site).await;
            site.redis.pause();
            tokio::time::sleep(still).await;
            site.redis.resume();
        }
        account(&site, unharmed("F26", "Redis stands still", seed)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_without_memory_or_scripts_stops_nobody() {
    for seed in seeds() {
        let (mut dice, site) = (Dice::new(seed), at_work(Shape::PARTS).await);
        instant(&mut dice, &site).await;
        assert!(site.redis.say("SCRIPT FLUSH").starts_with("+OK"));
        assert!(site.redis.say("CONFIG SET maxmemory 1").starts_with("+OK"));
        dice.pause(3_000).await;
        assert!(site.redis.say("CONFIG SET maxmemory 0").starts_with("+OK"));
        account(&site, unharmed("F27, F30", "Redis out of memory, its scripts flushed", seed)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_postgres_ended_again_and_again_lose_nothing() {
    for seed in seeds() {
        let (mut dice, site) = (Dice::new(seed), at_work(Shape::PARTS).await);
        for _ in 0..6 {
            instant(&mut dice, &site).await;
            site.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            .await;
        }
        account(&site, unharmed("F33", "connections to PostgreSQL ended", seed)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_locked_beyond_a_lease_is_waited_for() {
    for seed in seeds() {
        let (mut dice, site) = (Dice::new(seed), at_work(Shape::PARTS).await);
        instant(&mut dice, &site).await;
        let Db::Postgres(pool) = &site.db else { panic!("it is on PostgreSQL") };
        let mut lock = pool.begin().await.unwrap();
        sqlx::query("SET LOCAL idle_in_transaction_session_timeout = 0").execute(&mut *lock).await.unwrap();
        sqlx::query("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
        plan::say(format_args!("messages are locked for {BEYOND_A_LEASE:?}"));
        tokio::time::sleep(BEYOND_A_LEASE).await;
        lock.rollback().await.unwrap();
        account(&site, unharmed("F36", "messages locked beyond a lease", seed)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sqlite_that_somebody_else_writes_to_is_waited_for() {
    for seed in seeds() {
        let (mut dice, site) = (Dice::new(seed), at_work(Shape::UP).await);
        let Db::Sqlite { write, .. } = &site.db else { panic!("it is on SQLite") };
        for held in [Duration::from_secs(2), BEYOND_A_LEASE] {
            instant(&mut dice, &site).await;
            let mut other = write.acquire().await.unwrap();
            sqlx::query("BEGIN IMMEDIATE").execute(&mut *other).await.unwrap();
            plan::say(format_args!("another writer holds SQLite for {held:?}"));
            tokio::time::sleep(held).await;
            sqlx::query("ROLLBACK").execute(&mut *other).await.unwrap();
        }
        account(&site, unharmed("F41", "SQLite written to by another process", seed)).await;
    }
}
