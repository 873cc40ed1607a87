//! More of the matrix of faults: a Redis that forgets, databases that change hands, ask to try again or have no connection
//! left. Nothing is lost, nothing is doubled.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use sendwright_store::Db;
use serde_json::json;

use crate::support::dice::{Dice, seeds};
use crate::support::postgres::Postgres;
use crate::support::process::{exchange, run_whole};
use crate::support::redis::Redis;
use crate::support::site::{D, Shape, Site};
use crate::support::trial::{PEOPLE, Trial, account, count, instant};
use crate::support::wire::Wire;

/// How long whoever asks waits for a connection before being refused, with the time that a refusal takes.
const REFUSED_WITHIN: Duration = Duration::from_secs(6);

fn trial<'a>(fault: &'a str, what: &'a str, seed: u64) -> Trial<'a> {
    Trial { fault, what, seed, most_uncertain: 0 }
}

/// FAULTS F28: everybody says so, and everything goes through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_throws_keys_away_is_told_of_and_loses_nothing() {
    for seed in seeds() {
        let (mut dice, mut site) = (Dice::new(seed), Site::start(Shape::PARTS).await);
        let used = field(&site.redis.say("INFO memory"), "used_memory:").parse::<u64>().unwrap();
        for setting in [format!("maxmemory {}", used + 512_000), "maxmemory-policy allkeys-lru".to_owned()] {
            assert!(site.redis.say(&format!("CONFIG SET {setting}")).starts_with("+OK"));
        }
        site.workers[0].start_with(Vec::new());
        site.campaign(0..PEOPLE, json!({}), json!({})).await;
        for n in 0..4 {
            instant(&mut dice, &site).await;
            (0..100).for_each(|m| drop(site.redis.say(&format!("SET filler{n}:{m} {}", "x".repeat(8_000)))));
        }
        account(&site, trial("F28", "Redis throws keys away", seed)).await;
        assert_ne!(field(&site.redis.say("INFO stats"), "evicted_keys:"), "0");
        assert!(site.workers[0].log().contains("redis throws keys away"), "the worker says so at its start");
        let (_, ready) = site.try_ask("GET", "/readyz", &[], None).await.unwrap();
        assert_eq!(ready["checks"]["queue"], "degraded: evicts keys, maxmemory-policy allkeys-lru");
        assert_eq!(ready["status"], "ready");
        let told = run_whole(&["doctor"], &site.environment);
        assert!(told.contains("throws keys away when its memory is full (allkeys-lru)"), "{told}");
    }
}

fn field<'a>(told: &'a str, name: &str) -> &'a str {
    let line = told.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {told}")).trim()
}

/// FAULTS F29.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_fails_over_without_its_last_second_loses_nothing() {
    for seed in seeds() {
        let (mut dice, mut site) =
            (Dice::new(seed), Site::start(Shape { wired: true, ..Shape::PARTS }).await);
        let replica = Redis::replica_of(&site.redis);
        site.campaign(0..PEOPLE, json!({}), json!({})).await;
        instant(&mut dice, &site).await;
        assert!(replica.say("REPLICAOF NO ONE").starts_with("+OK"));
        tokio::time::sleep(Duration::from_secs(1)).await;
        site.redis.kill();
        site.wires().redis.lead_to(replica.port());
        account(&site, trial("F29", "Redis fails over and forgets a second", seed)).await;
    }
}

/// FAULTS F34: with a standby that must have it before anybody is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_to_a_synchronous_standby_loses_nothing() {
    for seed in seeds() {
        let shape = Shape { wired: true, own_postgres: true, ..Shape::PARTS };
        let (mut dice, mut site) = (Dice::new(seed), Site::start(shape).await);
        let primary = site.postgres.as_ref().unwrap();
        let standby = primary.standby(primary.port());
        primary.say("ALTER SYSTEM SET synchronous_standby_names = '*'");
        primary.say("SELECT pg_reload_conf()");
        site.campaign(0..PEOPLE, json!({}), json!({})).await;
        instant(&mut dice, &site).await;
        fail_over(&mut site, standby).await;
        account(&site, trial("F34", "PostgreSQL fails over to a synchronous standby", seed)).await;
    }
}

/// What an asynchronous standby lacks, it cannot know: those messages are handed over again, and no others. Nothing of that is
/// promised, and the README says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_to_an_asynchronous_standby_repeats_at_most_what_it_lacks() {
    for seed in seeds() {
        let shape = Shape { wired: true, own_postgres: true, ..Shape::PARTS };
        let (mut dice, mut site) = (Dice::new(seed), Site::start(shape).await);
        let to_primary = Wire::to(site.postgres.as_ref().unwrap().port()).await;
        let standby = site.postgres.as_ref().unwrap().standby(to_primary.port());
        site.campaign(0..PEOPLE, json!({}), json!({})).await;
        instant(&mut dice, &site).await;
        let known = site.smtp.received().len();
        to_primary.fall_silent();
        dice.pause(500).await;
        fail_over(&mut site, standby).await;
        let lacking = site.smtp.received().len() - known;
        let trial =
            trial("F34", "PostgreSQL fails over to an asynchronous standby, what it lacks is repeated", seed);
        let account = count(&site, trial).await;
        assert_eq!(account.lost, 0, "{account:?}");
        assert!(account.phantoms.is_empty(), "{account:?}");
        assert!(account.doubled.len() <= lacking + 2 * D, "{lacking} were lacking: {account:?}");
    }
}

/// Kills the primary, promotes the standby, leads everybody there.
async fn fail_over(site: &mut Site, standby: Postgres) {
    site.postgres.as_mut().unwrap().kill();
    standby.say("SELECT pg_promote()");
    for wire in &site.wires().postgres {
        wire.lead_to(standby.port());
    }
    site.db = Db::connect(&standby.url("it_0"), 4).await.unwrap();
    site.postgres = Some(standby);
}

/// FAULTS F35: every twentieth statement that writes is told to try again, and somebody locks rows in the other order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_that_must_be_tried_again_are_and_have_no_half_effects() {
    for seed in seeds() {
        let (mut dice, mut site) = (Dice::new(seed), Site::start(Shape::PARTS).await);
        site.execute(QUICK_TO_SEE_A_KNOT).await;
        let metrics = || vec![("SENDWRIGHT_METRICS_BIND", "127.0.0.1:0".to_owned())];
        site.workers.iter_mut().for_each(|worker| worker.start_with(metrics()));
        site.campaign(0..PEOPLE, json!({}), json!({})).await;
        instant(&mut dice, &site).await;
        for statement in ASK_AGAIN {
            site.execute(statement).await;
        }
        callers_hear_nothing_of_it(&site).await;
        let over = AtomicBool::new(false);
        let through = async {
            account(&site, trial("F35", "deadlocks and failed serializations", seed)).await;
            over.store(true, Ordering::Relaxed);
        };
        let ((), deadlocks) = tokio::join!(through, cross(&site, &over));
        let asked: Vec<(i64,)> = site.rows("SELECT last_value FROM asked_again").await;
        assert!(asked[0].0 > 0 && deadlocks > 0, "{asked:?} refusals, {deadlocks} deadlocks");
        let (_, metrics) = exchange(site.workers[0].address(), "GET", "/metrics", &[], b"").await.unwrap();
        assert!(metrics.contains(r#"sendwright_database_errors_total{kind="again"}"#), "{metrics}");
    }
}

/// For sessions that begin from now on.
const QUICK_TO_SEE_A_KNOT: &str =
    "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = 300', current_database()); END $$";

/// Every third contact that is written is refused once.
const ASK_CALLERS_AGAIN: [&str; 3] = [
    "CREATE SEQUENCE asked_callers",
    "CREATE FUNCTION ask_callers_again() RETURNS trigger AS $$ BEGIN
         IF nextval('asked_callers') % 3 = 0 THEN
             RAISE EXCEPTION 'could not serialize access' USING ERRCODE = '40001';
         END IF;
         RETURN NULL;
     END $$ LANGUAGE plpgsql",
    "CREATE TRIGGER ask_callers_again AFTER INSERT ON contacts EXECUTE FUNCTION ask_callers_again()",
];

/// A request that crossed another is begun anew, and done once.
async fn callers_hear_nothing_of_it(site: &Site) {
    for statement in ASK_CALLERS_AGAIN {
        site.execute(statement).await;
    }
    for n in 0..12 {
        assert_eq!(ask(site, n).await.0, 201);
    }
    let found: Vec<(i64, i64)> = site
        .rows(
            "SELECT COUNT(*), (SELECT last_value FROM asked_callers) FROM contacts WHERE email LIKE 'asked%'",
        )
        .await;
    assert!(found[0].0 == 12 && found[0].1 > 12, "{found:?}");
}

const ASK_AGAIN: [&str; 5] = [
    "CREATE SEQUENCE asked_again",
    "CREATE FUNCTION ask_again() RETURNS trigger AS $$ BEGIN
         IF random() < 0.05 THEN
             PERFORM nextval('asked_again');
             RAISE EXCEPTION 'could not serialize access' USING ERRCODE = '40001';
         END IF;
         RETURN NULL;
     END $$ LANGUAGE plpgsql",
    "CREATE TRIGGER ask_again AFTER INSERT OR UPDATE ON messages EXECUTE FUNCTION ask_again()",
    "CREATE TRIGGER ask_again AFTER INSERT OR UPDATE ON enrolments EXECUTE FUNCTION ask_again()",
    "CREATE TRIGGER ask_again AFTER INSERT OR UPDATE ON attempts EXECUTE FUNCTION ask_again()",
];

/// Locks what records lock, in the other order, until it is over; how many knots that made. Who sees one undoes it: it is not
/// this session.
async fn cross(site: &Site, over: &AtomicBool) -> i64 {
    let Db::Postgres(pool) = &site.db else { panic!("it is on PostgreSQL") };
    while !over.load(Ordering::Relaxed) {
        let mut tx = pool.begin().await.unwrap();
        for statement in [
            "SET LOCAL deadlock_timeout = 10000",
            "SELECT id FROM enrolments WHERE state = 'active' FOR UPDATE",
            "SELECT id FROM messages WHERE state = 'sending' FOR UPDATE",
        ] {
            if sqlx::query(statement).execute(&mut *tx).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tx.rollback().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // A server counts when its sessions rest.
    let counted = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    for _ in 0..150 {
        let deadlocks = site.rows::<(i64,)>(counted).await[0].0;
        if deadlocks > 0 {
            return deadlocks;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    0
}

/// FAULTS F37: two connections, and two hundred who want one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_without_a_connection_left_refuses_in_time_and_sending_goes_on() {
    for seed in seeds() {
        let (mut dice, mut site) = (Dice::new(seed), Site::start(Shape::PARTS).await);
        site.front.start_with(vec![("SENDWRIGHT_DATABASE_CONNECTIONS", "2".to_owned())]);
        site.campaign(0..PEOPLE, json!({}), json!({})).await;
        instant(&mut dice, &site).await;
        let Db::Postgres(pool) = &site.db else { panic!("it is on PostgreSQL") };
        let mut lock = pool.begin().await.unwrap();
        sqlx::query("SET LOCAL idle_in_transaction_session_timeout = 0").execute(&mut *lock).await.unwrap();
        sqlx::query("LOCK TABLE audits IN SHARE ROW EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
        let asked = join_all((0..200).map(|n| ask(&site, n))).await;
        lock.rollback().await.unwrap();
        let refused = asked.iter().filter(|(status, took)| *status == 503 && *took < REFUSED_WITHIN).count();
        assert!(refused >= 190, "of 200: {asked:?}");
        assert!(asked.iter().all(|(status, _)| matches!(status, 200..300 | 503)), "{asked:?}");
        account(&site, trial("F37", "no connection to PostgreSQL left for the API", seed)).await;
    }
}

/// A contact is asked for: what is answered, and after how long.
async fn ask(site: &Site, n: usize) -> (u16, Duration) {
    let begun = Instant::now();
    let contact = json!({ "email": format!("asked{n}@example.com") });
    let (status, _) = site.try_ask("POST", "/api/v1/leads", &[], Some(&contact)).await.unwrap();
    (status, begun.elapsed())
}
