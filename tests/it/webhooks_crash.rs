//! Ten thousand deliveries, workers killed and Redis emptied in the middle of them: none is missing at the receiver (FAULTS
//! F72). `SENDWRIGHT_SEEDS=20` runs more seeds.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::dice::{Dice, seeds};
use crate::support::receiver::Receiver;
use crate::support::site::{Shape, Site};
use crate::support::trial::Trial;
use crate::support::witness_hooks::Deliveries;

/// How many events there are.
const EVENTS: usize = 10_000;
/// How often something is killed.
const BLOWS: usize = 4;

async fn until(receiver: &Receiver, count: usize) {
    let begun = Instant::now();
    while receiver.count() < count {
        assert!(begun.elapsed() < Duration::from_secs(120), "{} of {count} arrived", receiver.count());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn break_and_count(shape: Shape, what: &str, strike: impl Fn(&mut Site, usize)) {
    for seed in seeds() {
        let (mut dice, mut site) = (Dice::new(seed), Site::start(shape).await);
        let receiver = Receiver::start([]).await;
        let endpoint = site.endpoint(&receiver.url("/"), json!({})).await;
        let told = site.told("custom.n", EVENTS).await;
        for blow in 0..BLOWS {
            let reach = (EVENTS * (blow + 1) / (BLOWS + 1)) as u64;
            until(&receiver, (reach - dice.below(EVENTS as u64 / 10)) as usize).await;
            strike(&mut site, blow);
        }
        let took = site.delivered().await;
        let mut deliveries = Deliveries::default();
        deliveries.count(&receiver, &endpoint, &told);
        deliveries.tell(&site, Trial { fault: "F72", what, seed, most_uncertain: 0 }, took);
        let states: Vec<(String, i64)> =
            site.rows("SELECT state, COUNT(*) FROM deliveries GROUP BY state").await;
        assert_eq!(states, [("delivered".to_owned(), EVENTS as i64)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_killed_and_redis_flushed_amid_ten_thousand_deliveries_lose_none() {
    break_and_count(Shape::PARTS, "workers killed and Redis flushed amid deliveries", |site, blow| {
        site.redis.flush();
        site.workers[blow % 2].kill();
        site.redis.flush();
        site.workers[blow % 2].start_again();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_killed_on_sqlite_amid_ten_thousand_deliveries_loses_none() {
    break_and_count(Shape::UP, "up killed amid deliveries", |site, _| {
        site.front.kill();
        site.front.start_again();
    })
    .await;
}
