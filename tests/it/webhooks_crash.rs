//! Ten thousand deliveries, workers killed and Redis emptied in the middle of them: none is missing at the receiver.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use sendwright_store::clock::wall_millis;
use sendwright_store::events;
use sendwright_store::ids::Ids;
use sendwright_workflows::ids::{Kind, uuid};
use serde_json::json;

use crate::support::receiver::Receiver;
use crate::support::site::{Shape, Site};

/// How many events there are.
const EVENTS: usize = 10_000;

/// Enters events as any transaction does: unnumbered. Their ids as a receiver sees them.
async fn tell(site: &Site) -> HashSet<String> {
    let ids = Ids::new(site.db.clone()).take("events", EVENTS).await.unwrap();
    let mut tx = site.db.begin().await.unwrap();
    for id in ids.clone() {
        events::insert_own(&mut tx, id, 1, "custom.n", "{}", wall_millis()).await.unwrap();
    }
    tx.commit().await.unwrap();
    ids.map(|id| uuid(Kind::Event, id)).collect()
}

async fn until(receiver: &Receiver, count: usize) {
    let begun = Instant::now();
    while receiver.count() < count {
        assert!(begun.elapsed() < Duration::from_secs(120), "{} of {count} arrived", receiver.count());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn break_and_count(mut site: Site, what: &str, strike: impl Fn(&mut Site, usize)) {
    let receiver = Receiver::start([]).await;
    let body = json!({ "url": receiver.url("/"), "events": ["*"] });
    let endpoint = site.ask("POST", "/api/v1/webhooks", Some(&body)).await;
    let told = tell(&site).await;
    for (blow, at) in [500, 2_500, 5_000, 8_000].into_iter().enumerate() {
        until(&receiver, at).await;
        strike(&mut site, blow);
    }
    let begun = Instant::now();
    loop {
        let open: Vec<(i64,)> = site
            .rows(
                "SELECT (SELECT COUNT(*) FROM deliveries WHERE state = 'pending')
                      + (SELECT COUNT(*) FROM events WHERE sequence IS NULL)",
            )
            .await;
        if open[0].0 == 0 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{open:?} are still on their way");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let arrived = receiver.arrived();
    let secret = endpoint["secret"].as_str().unwrap();
    let ids: HashSet<String> = arrived.iter().map(|one| one.header("webhook-id").to_owned()).collect();
    let numbers: HashSet<i64> = arrived.iter().filter_map(|one| one.json()["number"].as_i64()).collect();
    println!(
        "{what}: {} arrived, {} of them twice or more, none missing",
        ids.len(),
        arrived.len() - ids.len()
    );
    assert_eq!(told.difference(&ids).count(), 0, "some are missing at the receiver");
    assert_eq!(numbers, (1..=EVENTS as i64).collect(), "numbers without a gap");
    assert!(arrived.iter().all(|one| one.is_by(secret)));
    let states: Vec<(String, i64)> = site.rows("SELECT state, COUNT(*) FROM deliveries GROUP BY state").await;
    assert_eq!(states, [("delivered".to_owned(), EVENTS as i64)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_killed_and_redis_flushed_amid_ten_thousand_deliveries_lose_none() {
    let site = Site::start(Shape::PARTS).await;
    break_and_count(site, "workers killed, Redis flushed", |site, blow| {
        site.redis.flush();
        site.workers[blow % 2].kill();
        site.redis.flush();
        site.workers[blow % 2].start_again();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_killed_on_sqlite_amid_ten_thousand_deliveries_loses_none() {
    let site = Site::start(Shape::UP).await;
    break_and_count(site, "up killed", |site, _| {
        site.front.kill();
        site.front.start_again();
    })
    .await;
}
