//! Claims of deliveries: whose they are, what a dead worker's are worth, and what may be recorded under them.

use crate::support::engine::BOTH;
use crate::support::hooks::Hooks;
use sendwright_store::deliveries::{self, Claimed, End, Ended};
use sendwright_store::workers;
use sendwright_worker::handlers::sequence;
use sendwright_workflows::clock::{Clock, Millis};
use serde_json::json;

/// Hooks with one endpoint and so many deliveries, and the instant.
async fn with_deliveries(on: crate::support::engine::On, count: usize) -> (Hooks, Millis) {
    let hooks = Hooks::still(on).await;
    hooks.register("https://example.com/", json!({})).await;
    hooks.tell_many(count).await;
    let now = hooks.clock.now().unwrap();
    assert_eq!(sequence::pass(hooks.ctx(), now).await.unwrap(), count);
    (hooks, now)
}

async fn worker(hooks: &Hooks) -> i64 {
    let id = hooks.ctx().store.ids.one("workers").await.unwrap();
    let mut tx = hooks.ctx().store.begin().await.unwrap();
    workers::register(&mut tx, id, "other", 1, 1).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn claim(hooks: &Hooks, worker: i64, in_hand: &[i64], now: Millis) -> Vec<Claimed> {
    let mut tx = hooks.ctx().store.begin().await.unwrap();
    let claimed = deliveries::claim(&mut tx, 1, worker, in_hand, 100, now).await.unwrap();
    tx.commit().await.unwrap();
    claimed
}

async fn settle(hooks: &Hooks, claimed: &Claimed, end: End, at: Millis) {
    let (delivery_id, fence) = (claimed.id, claimed.fence);
    let error = (end != End::Delivered).then(|| "it answered 500".to_owned());
    let ended = Ended { delivery_id, fence, end, status: Some(500), duration_ms: 1, answer: None, error, at };
    let mut tx = hooks.ctx().store.begin().await.unwrap();
    deliveries::settle(&mut tx, &[ended]).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_claim_is_one_workers_until_that_worker_is_dead() {
    for on in BOTH {
        let (hooks, now) = with_deliveries(on, 3).await;
        let (one, two) = (worker(&hooks).await, worker(&hooks).await);
        let held = claim(&hooks, one, &[], now).await;
        assert_eq!(held.iter().map(|c| (c.number, c.fence)).collect::<Vec<_>>(), [(1, 1), (2, 1), (3, 1)]);
        assert!(claim(&hooks, two, &[], now).await.is_empty());
        // What a worker holds it does not claim again, but for a claim whose COMMIT it heard nothing of.
        let ids: Vec<i64> = held.iter().map(|c| c.id).collect();
        assert!(claim(&hooks, one, &ids, now).await.is_empty());
        assert_eq!(claim(&hooks, one, &ids[..2], now).await.len(), 1);
        let mut tx = hooks.ctx().store.begin().await.unwrap();
        workers::end(&mut tx, one).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(claim(&hooks, two, &[], now).await.len(), 3);
    }
}

#[tokio::test]
async fn an_attempt_that_is_recorded_twice_counts_once() {
    for on in BOTH {
        let (hooks, now) = with_deliveries(on, 1).await;
        let one = worker(&hooks).await;
        let held = claim(&hooks, one, &[], now).await;
        for _ in 0..2 {
            settle(&hooks, &held[0], End::Again(now + 10), now).await;
        }
        assert_eq!(hooks.world.number("SELECT attempts FROM deliveries").await, 1);
        assert_eq!(hooks.world.number("SELECT COUNT(*) FROM delivery_attempts").await, 1);
        assert!(claim(&hooks, one, &[], now).await.is_empty(), "not before its time");
        assert_eq!(claim(&hooks, one, &[], now + 10).await[0].attempts, 1);
    }
}

#[tokio::test]
async fn of_a_claim_that_was_lost_a_2xx_counts_and_a_failure_does_not() {
    for on in BOTH {
        let (hooks, now) = with_deliveries(on, 1).await;
        let (one, two) = (worker(&hooks).await, worker(&hooks).await);
        let lost = claim(&hooks, one, &[], now).await;
        let mut tx = hooks.ctx().store.begin().await.unwrap();
        workers::end(&mut tx, one).await.unwrap();
        tx.commit().await.unwrap();
        let held = claim(&hooks, two, &[], now).await;
        settle(&hooks, &lost[0], End::Dead, now).await;
        assert_eq!(hooks.world.number("SELECT COUNT(*) FROM deliveries WHERE state = 'pending'").await, 1);
        settle(&hooks, &lost[0], End::Delivered, now).await;
        settle(&hooks, &held[0], End::Dead, now).await;
        assert_eq!(hooks.world.number("SELECT COUNT(*) FROM deliveries WHERE state = 'delivered'").await, 1);
        assert!(claim(&hooks, two, &[], now + 1_000).await.is_empty());
    }
}
