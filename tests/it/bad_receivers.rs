//! Receivers of webhooks that answer badly (FAULTS F68 to F74), called by real processes: every event arrives, or is listed as
//! given up and arrives when it is replayed; and nobody's receiver is anybody else's trouble.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::dice::{Dice, seeds};
use crate::support::hole::{Hole, Manner};
use crate::support::plan;
use crate::support::receiver::{Act, Receiver};
use crate::support::site::{Shape, Site};
use crate::support::trial::Trial;
use crate::support::witness_hooks::Deliveries;

/// The most calls to one endpoint that a process has under way.
const WIDTH: usize = 64;

/// Both ways to run it, in turn; others may be at work beside it.
async fn site(seed: u64) -> (Dice, Site) {
    let shape = if seed.is_multiple_of(2) { Shape::UP } else { Shape::PARTS };
    (Dice::new(seed), Site::start(Shape { hard: false, slow_answers: false, ..shape }).await)
}

fn trial<'a>(fault: &'a str, what: &'a str, seed: u64) -> Trial<'a> {
    Trial { fault, what, seed, most_uncertain: 0 }
}

/// Waits until so many were taken; how long that took.
async fn taken(receiver: &Receiver, count: usize) -> Duration {
    let begun = Instant::now();
    while receiver.taken().len() < count {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{} of {count} were taken",
            receiver.taken().len()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_that_say_nothing_are_given_up_in_time_and_delay_nobody() {
    for seed in seeds() {
        let (mut dice, site) = site(seed).await;
        let (healthy, later) = (Receiver::start([]).await, Receiver::start([]).await);
        let slow =
            Receiver::start((0..20).map(|_| Act::Slow(Duration::from_millis(dice.below(4_000))))).await;
        let silent = Hole::open(Manner::Silent).await;
        let once = json!({ "retry_schedule": [] });
        let one = site.endpoint(&healthy.url("/"), once.clone()).await;
        let two = site.endpoint(&slow.url("/"), once.clone()).await;
        let mute = site.endpoint(&silent.url(), once).await;
        let told = site.told("custom.n", 20).await;
        let soon = taken(&healthy, 20).await;
        assert!(soon < Duration::from_secs(10), "the healthy one waited for {soon:?}");
        let took = site.delivered().await;
        let longest: Vec<(i64,)> = site.rows("SELECT MAX(duration_ms) FROM delivery_attempts").await;
        assert!(longest[0].0 < 16_000, "each has 15 seconds: {longest:?}");
        let path = format!("/api/v1/webhooks/{}", mute.id);
        site.ask("PATCH", &path, Some(&json!({ "url": later.url("/") }))).await;
        let mut deliveries = Deliveries { dead: site.replay(&mute).await, ..Deliveries::default() };
        assert_eq!(deliveries.dead, 20, "none was answered");
        site.delivered().await;
        deliveries.count(&healthy, &one, &told);
        deliveries.count(&slow, &two, &told);
        deliveries.count(&later, &mute, &told);
        deliveries.tell(&site, trial("F68", "a receiver that is slow, one that never answers", seed), took);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_without_end_cost_no_memory() {
    for seed in seeds() {
        let (mut dice, site) = site(seed).await;
        let memory = || site.senders().map(|process| process.memory()).sum::<u64>();
        let endless = Receiver::start((0..300).map(|_| match dice.below(3) {
            0 => Act::Endless(500),
            1 => Act::Breaks(200),
            _ => Act::Endless(200),
        }))
        .await;
        let endpoint =
            site.endpoint(&endless.url("/"), json!({ "retry_schedule": [1, 1, 1, 1, 1, 1, 1, 1, 1] })).await;
        let before = memory();
        let told = site.told("custom.n", 200).await;
        let took = site.delivered().await;
        let after = memory();
        plan::say(format_args!("{before} MiB before, {after} MiB after"));
        assert!(after < before + 100, "from {before} MiB to {after} MiB");
        let mut deliveries = Deliveries::default();
        deliveries.count(&endless, &endpoint, &told);
        deliveries.tell(&site, trial("F69", "bodies without end, and broken ones", seed), took);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_every_kind_are_tried_again_and_a_410_never() {
    for seed in seeds() {
        let (mut dice, site) = site(seed).await;
        let elsewhere = Receiver::start([]).await;
        let to = elsewhere.url("/");
        let refusing = Receiver::start((0..200).map(|_| match dice.below(8) {
            0 => Act::With(302, "location", to.clone()),
            1 => Act::With(307, "location", to.clone()),
            2 => Act::With(429, "retry-after", "1".into()),
            3 => Act::With(503, "retry-after", "soon".into()),
            4 => Act::Status(500),
            5 => Act::Status(502),
            6 => Act::Breaks(502),
            _ => Act::Status(200),
        }))
        .await;
        let gone = Receiver::start([]).await;
        gone.always(Act::Status(410));
        let again = json!({ "retry_schedule": vec![1; 20] });
        let endpoint = site.endpoint(&refusing.url("/"), again.clone()).await;
        let goner = site.endpoint(&gone.url("/"), again).await;
        let told = site.told("custom.n", 100).await;
        let took = site.delivered().await;
        let shown = site.ask("GET", &format!("/api/v1/webhooks/{}", goner.id), None).await;
        assert_eq!(shown["status"], "disabled", "{shown}");
        assert!(gone.count() <= WIDTH, "{} calls to who is gone", gone.count());
        assert_eq!(elsewhere.count(), 0, "no redirect is followed");
        let told_of = "SELECT COUNT(*) FROM events WHERE kind = 'webhook.disabled'";
        assert_eq!(site.rows::<(i64,)>(told_of).await, [(1,)]);
        // Once it is back, and switched on, it gets what it has missed.
        gone.always(Act::Status(200));
        site.ask("PATCH", &format!("/api/v1/webhooks/{}", goner.id), Some(&json!({ "enabled": true }))).await;
        let dead = site.delivered_but(&goner).await;
        site.delivered().await;
        let mut deliveries = Deliveries { dead, ..Deliveries::default() };
        for (receiver, endpoint) in [(&refusing, &endpoint), (&gone, &goner)] {
            // They hear of each other.
            let told = told.iter().cloned().chain(receiver.taken()).collect();
            deliveries.count(receiver, endpoint, &told);
        }
        deliveries.tell(&site, trial("F70", "302, 307, 410, 429, 500, 502, 503, broken off", seed), took);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_given_up_while_a_receiver_was_away_is_listed_and_arrives_when_it_is_replayed() {
    for seed in seeds() {
        let (mut dice, site) = site(seed).await;
        let (hole, back) = (Hole::open(Manner::Resetting).await, Receiver::start([]).await);
        let endpoint = site.endpoint(&hole.url(), json!({ "retry_schedule": [1, 1] })).await;
        // Whoever resets every connection is called once in two seconds, three times for each.
        let given_up = 5 + dice.below(15) as usize;
        let mut told = site.told("custom.n", given_up).await;
        let took = site.delivered().await;
        plan::say(format_args!(
            "{given_up} events came while it reset connections, {} of them",
            hole.taken()
        ));
        told.extend(site.told("custom.n", 200 - given_up).await);
        let path = format!("/api/v1/webhooks/{}", endpoint.id);
        site.ask("PATCH", &path, Some(&json!({ "url": back.url("/") }))).await;
        let dead = site.delivered_but(&endpoint).await;
        assert!(dead >= given_up, "{dead} of {given_up} are listed");
        site.delivered().await;
        let mut deliveries = Deliveries { dead, ..Deliveries::default() };
        deliveries.count(&back, &endpoint, &told);
        deliveries.tell(&site, trial("F71", "a receiver away for longer than its schedule", seed), took);
    }
}

/// FAULTS F73: measured against itself, on the same machine at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_endpoint_with_a_long_line_delays_no_healthy_one() {
    for seed in seeds() {
        let (_, site) = site(seed).await;
        let (healthy, late) = (Receiver::start([]).await, Receiver::start([]).await);
        let hole = Hole::open(Manner::Resetting).await;
        let one = site.endpoint(&healthy.url("/"), json!({ "events": ["custom.n"] })).await;
        let dead = json!({ "events": ["custom.m"], "retry_schedule": [3_600] });
        let dead = site.endpoint(&hole.url(), dead).await;
        let mut told = site.told("custom.n", 300).await;
        let alone = taken(&healthy, 300).await;
        let waiting = site.told("custom.m", 5_000).await;
        while hole.taken() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        told.extend(site.told("custom.n", 300).await);
        let beside = taken(&healthy, 600).await;
        plan::say(format_args!("{alone:?} alone, {beside:?} beside {} calls to the dead one", hole.taken()));
        assert!(beside < 2 * alone + Duration::from_secs(3), "{alone:?} alone, {beside:?} beside it");
        let path = format!("/api/v1/webhooks/{}", dead.id);
        site.ask("PATCH", &path, Some(&json!({ "url": late.url("/") }))).await;
        let took = site.delivered().await;
        let mut deliveries = Deliveries::default();
        deliveries.count(&healthy, &one, &told);
        deliveries.dead = site.replay(&dead).await;
        site.delivered().await;
        deliveries.count(&late, &dead, &waiting);
        deliveries.tell(
            &site,
            trial("F73", "a dead endpoint with 5,000 waiting beside a healthy one", seed),
            took,
        );
    }
}

/// FAULTS F74: when all come back at once none is called by more at once than it ever is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_that_come_back_together_are_not_overrun() {
    const ENDPOINTS: usize = 8;
    for seed in seeds() {
        let (mut dice, site) = site(seed).await;
        let mut all = Vec::new();
        for _ in 0..ENDPOINTS {
            let receiver = Receiver::start([]).await;
            receiver.always(Act::Status(503));
            let endpoint = site.endpoint(&receiver.url("/"), json!({ "retry_schedule": vec![1; 20] })).await;
            all.push((receiver, endpoint));
        }
        let told = site.told("custom.n", 100).await;
        while all.iter().any(|(receiver, _)| receiver.count() == 0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        dice.pause(2_000).await;
        all.iter().for_each(|(receiver, _)| receiver.always(Act::Slow(Duration::from_millis(2))));
        plan::say("all of them are back");
        let took = site.delivered().await;
        let most = all.iter().map(|(receiver, _)| receiver.most_open()).max().unwrap_or_default();
        let processes = site.senders().count();
        assert!(most <= processes * WIDTH, "{most} calls at once");
        let mut deliveries = Deliveries::default();
        all.iter().for_each(|(receiver, endpoint)| deliveries.count(receiver, endpoint, &told));
        deliveries.tell(&site, trial("F74", "eight endpoints down, and back at once", seed), took);
    }
}
