//! The matrix of faults about clocks, by real processes whose wall clock is wrong or set under way (libfaketime): the
//! database's time holds, and nothing is sent twice, in a burst, or not at all.

use std::time::{Duration, Instant};

use sendwright_store::clock::wall_millis;
use sendwright_workflows::clock::{DAY, HOUR, MINUTE, Millis, SECOND};
use serde_json::json;

use crate::deploys::scheduled;
use crate::support::dice::{Dice, seeds};
use crate::support::false_clock::FalseClock;
use crate::support::process::Process;
use crate::support::receiver::Receiver;
use crate::support::site::{D, Shape, Site, leads};
use crate::support::trial::{
    MESSAGES, PEOPLE, Trial, account, account_all, at_work, instant, mode, shown, unharmed,
};

/// Everybody's business time: the machine's clock on SQLite, the database's on PostgreSQL.
pub enum Business {
    Machine(FalseClock),
    Database,
}

impl Business {
    /// An installation by whose time everything is planned, and that time.
    pub async fn of(shape: Shape) -> (Site, Business) {
        if shape.workers > 0 {
            let site = Site::start(shape).await;
            site.execute("CREATE TABLE off (millis BIGINT NOT NULL)").await;
            site.execute("INSERT INTO off VALUES (0)").await;
            site.execute(
                "CREATE OR REPLACE FUNCTION database_millis() RETURNS BIGINT LANGUAGE sql VOLATILE AS
                 $$ SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) + millis FROM off $$",
            )
            .await;
            return (site, Business::Database);
        }
        let clock = FalseClock::right();
        let site = Site::start_with(shape, clock.environment()).await;
        (site, Business::Machine(clock))
    }

    /// Sets it so far before the machine's, or behind it; processes hear of it within seconds.
    pub async fn put_off(&self, site: &Site, millis: Millis) {
        match self {
            Business::Machine(clock) => clock.put_off(millis / SECOND),
            Business::Database => site.execute(format!("UPDATE off SET millis = {millis}").leak()).await,
        }
    }

    /// The same, and waits until every process has heard of it.
    pub async fn step(&self, site: &Site, millis: Millis) {
        let before: Vec<usize> = site.processes().map(|process| steps(&process.log())).collect();
        self.put_off(site, millis).await;
        let begun = Instant::now();
        while site.processes().zip(&before).any(|(process, before)| steps(&process.log()) == *before) {
            assert!(begun.elapsed() < Duration::from_secs(20), "a step of the clock is logged by everybody");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// How many steps of its clock a process has told of.
fn steps(log: &str) -> usize {
    log.matches("clock stepped").count()
}

/// FAULTS F44.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_whose_clocks_are_ten_minutes_off_send_and_sign_by_the_databases_time() {
    for seed in seeds() {
        let (mut dice, mut site) = (Dice::new(seed), Site::start(Shape::PARTS).await);
        let clocks = [FalseClock::right(), FalseClock::right()];
        for (worker, (clock, off)) in site.workers.iter_mut().zip(clocks.iter().zip([600, -600])) {
            clock.put_off(off);
            worker.terminate();
            worker.set(clock.environment());
            worker.start_again();
        }
        let receiver = Receiver::start([]).await;
        let body = json!({ "url": receiver.url("/"), "events": ["email.sent"] });
        site.ask("POST", "/api/v1/webhooks", Some(&body)).await;
        let begun = wall_millis();
        site.campaign(0..PEOPLE, json!({}), json!({})).await;
        instant(&mut dice, &site).await;
        // Its lease is the beat that the others see, whatever its clock says.
        site.workers[0].kill();
        site.workers[0].start_again();
        let trial = Trial {
            most_uncertain: D,
            ..unharmed("F44", "workers' clocks ten minutes off, one of them killed", seed)
        };
        account(&site, trial).await;
        let ended = wall_millis() + SECOND;
        site.until("SELECT COUNT(*) FROM deliveries WHERE state = 'pending'", 0).await;
        let signed: Vec<Millis> = receiver.arrived().iter().map(|one| one.signed_at() * SECOND).collect();
        assert!(signed.len() >= MESSAGES - D);
        assert!(
            signed.iter().all(|at| (begun - SECOND..ended + MINUTE / 2).contains(at)),
            "{begun} {signed:?}"
        );
        let intents: Vec<(i64, i64)> =
            site.rows("SELECT MIN(intent_at), MAX(COALESCE(ended_at, intent_at)) FROM attempts").await;
        assert!(intents[0].0 >= begun && intents[0].1 <= ended, "{begun} {ended} {intents:?}");
        for worker in &site.workers {
            assert!(
                worker.log().contains("this machine's clock and the database's are apart"),
                "it is told of"
            );
        }
    }
}

/// FAULTS F45, of workers: their own clocks are nobody's time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_clocks_set_under_way_change_nothing() {
    for seed in seeds() {
        let (mut dice, mut site) = (Dice::new(seed), at_work(Shape::PARTS).await);
        let clock = FalseClock::right();
        for process in site.workers.iter_mut().chain(&mut site.scheduler) {
            process.terminate();
            process.set(clock.environment());
            process.start_again();
        }
        instant(&mut dice, &site).await;
        clock.put_off(-3_600);
        instant(&mut dice, &site).await;
        clock.put_off(86_400);
        account(&site, unharmed("F45", "workers' and scheduler's clocks back an hour, forward a day", seed))
            .await;
    }
}

/// Messages a second that the profile of the trial below may hand over.
const LIMIT: usize = 100;

/// FAULTS F45, of the time that everything is planned by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn business_time_set_under_way_stalls_nothing_new_and_repeats_nothing_old() {
    const NEW: usize = 20;
    for (seed, shape) in seeds().flat_map(|seed| [Shape::UP, Shape::PARTS].map(|shape| (seed, shape))) {
        let mut dice = Dice::new(seed);
        let (site, time) = Business::of(shape).await;
        let limit = json!({ "rate_limit_per_second": LIMIT });
        site.campaign(0..PEOPLE, json!({}), limit.clone()).await;
        instant(&mut dice, &site).await;
        time.step(&site, -HOUR).await;
        // What is new goes out at once, by the same profile, whose pointer stands an hour ahead.
        let old = site.smtp.received().len();
        let profile =
            site.rows::<(i64,)>("SELECT id FROM sending_profiles WHERE name = 'Two steps'").await[0].0;
        let body = json!({
            "name": "New", "sending_profile_id": sendwright_workflows::ids::uuid(sendwright_workflows::ids::Kind::Profile, profile),
            "steps": [{ "step_number": 1, "name": "One", "subject": "x", "template": "x" }],
        });
        let campaign = site.ask("POST", "/api/v1/campaigns", Some(&body)).await;
        let path = format!("/api/v1/campaigns/{}", campaign["id"].as_str().unwrap());
        site.ask("POST", &format!("{path}/leads"), Some(&leads(PEOPLE..PEOPLE + NEW))).await;
        site.ask("POST", &format!("{path}/start"), None).await;
        let begun = Instant::now();
        let new = "SELECT COUNT(*) FROM messages WHERE state = 'accepted' AND campaign_id IN
                       (SELECT id FROM campaigns WHERE name = 'New')";
        site.until(new, NEW as i64).await;
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
        assert!(site.smtp.received().len() < old + MESSAGES, "the old waits for its instant");
        time.step(&site, DAY).await;
        let what = "business time back an hour, then forward a day";
        account_all(&site, unharmed("F45", what, seed), MESSAGES + NEW).await;
        no_burst(&site).await;
    }
}

/// At most the limit's in any second: of business time exactly; of real time, as the receiver saw them, twice as many, since a
/// machine that is busy bunches what was spaced.
async fn no_burst(site: &Site) {
    let mut intents: Vec<Millis> =
        site.rows::<(i64,)>("SELECT intent_at FROM attempts").await.into_iter().map(|(at,)| at).collect();
    intents.sort_unstable();
    let most = most_within(&intents, |from, to| to - from < SECOND);
    assert!(most <= LIMIT, "{most} intents within a second");
    let mut arrived: Vec<Instant> = site.smtp.received().iter().map(|mail| mail.mail_at).collect();
    arrived.sort_unstable();
    let most = most_within(&arrived, |from, to| to - from < Duration::from_secs(1));
    assert!(most <= 2 * LIMIT, "{most} arrived within a second");
}

/// How many of these that are in order lie together at most.
fn most_within<T: Copy>(at: &[T], together: impl Fn(T, T) -> bool) -> usize {
    (0..at.len())
        .map(|n| at[n..].iter().take_while(|to| together(at[n], **to)).count())
        .max()
        .unwrap_or_default()
}

/// FAULTS F19.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_scheduled_while_everything_was_down_is_caught_up_once_by_its_own_rules() {
    const EACH: usize = 20;
    for (seed, shape) in seeds().flat_map(|seed| [Shape::UP, Shape::PARTS].map(|shape| (seed, shape))) {
        let (mut site, time) = Business::of(shape).await;
        let now = wall_millis();
        scheduled(&site, 0..EACH, now + HOUR).await;
        // Quiet from a minute to three hours away, for four hours.
        let hour = |at: Millis| {
            let minutes = at.div_euclid(MINUTE).rem_euclid(1_440);
            format!("{:02}:{:02}", minutes / 60, minutes % 60)
        };
        let at = sendwright_workflows::clock::rfc3339(now + HOUR);
        let (from, until) = (now + 2 * HOUR, now + 4 * HOUR);
        let quiet = json!({
            "name": "Quiet", "timezone": "UTC", "schedule_time": at,
            "quiet_hours_start": hour(from), "quiet_hours_end": hour(until),
        });
        site.unstarted(&leads(EACH..2 * EACH), quiet, json!({ "name": "Quiet" })).await;
        let strict = json!({ "name": "Strict", "schedule_time": at, "max_lateness_seconds": 3_600 });
        site.unstarted(&leads(2 * EACH..3 * EACH), strict, json!({ "name": "Strict" })).await;
        for process in site.processes_mut() {
            process.terminate();
        }
        time.put_off(&site, 3 * HOUR).await;
        site.processes_mut().for_each(Process::start_again);
        // Both steps of the first; nothing of the others: it is quiet, or too late.
        let sent = "SELECT COUNT(*) FROM messages WHERE state = 'accepted'";
        site.until(sent, 2 * EACH as i64).await;
        site.until(
            "SELECT COUNT(*) FROM campaigns WHERE state = 'completed' AND name IN ('Scheduled', 'Strict')",
            2,
        )
        .await;
        site.until("SELECT COUNT(*) FROM messages WHERE state = 'drafted'", EACH as i64).await;
        assert_eq!(site.smtp.received().len(), 2 * EACH);
        time.step(&site, 4 * HOUR + MINUTE).await;
        site.wait_until_through().await;
        site.until("SELECT COUNT(*) FROM campaigns WHERE state = 'completed'", 3).await;
        site.until(sent, 4 * EACH as i64).await;
        assert_eq!(site.smtp.received().len(), 4 * EACH);
        let skipped: Vec<(i64,)> = site
            .rows("SELECT COUNT(*) FROM events WHERE kind = 'step.skipped' AND data LIKE '%too_late%'")
            .await;
        assert_eq!(skipped, [(2 * EACH as i64,)]);
        let rounds: Vec<(i64, i64)> = site.rows("SELECT MAX(round), COUNT(*) FROM campaigns").await;
        assert_eq!(rounds, [(1, 3)], "one run each");
        let row = unharmed("F19", "three hours down over three campaigns' start", seed);
        let held = "one run each; one sent at once, one after its quiet hours, one skipped as too late; each message once";
        shown(row, mode(&site), held);
    }
}
