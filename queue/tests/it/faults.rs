//! Redis flushed, killed, stopped, poisoned: the consumer goes on in the same process, the producer never waits.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use redis::aio::MultiplexedConnection;
use sendwright_queue::{Job, Lane, Queue, Receiver};
use tokio::sync::Semaphore;

use crate::fixture::{Consumer, RedisServer, eventually, free_port};

/// The most one push may take: far under every outage here, far over what a busy test machine takes.
const PUSH: Duration = Duration::from_millis(500);

async fn working() -> (RedisServer, Queue, Consumer) {
    let server = RedisServer::start().await;
    let queue = Queue::redis(&server.url(), "t").await.unwrap();
    let consumer = Consumer::of(Receiver::redis(&server.url(), "t").unwrap());
    for job in [Job::Plan { account: 1 }, Job::Mail { profile: 1 }] {
        queue.push(job);
        consumer.gets(job).await;
    }
    (server, queue, consumer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_in_the_middle_ends_no_handler_and_work_goes_on() {
    let server = RedisServer::start().await;
    let queue = Queue::redis(&server.url(), "t").await.unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let ended = Arc::new(Semaphore::new(0));
    let (gate_, ended_) = (gate.clone(), ended.clone());
    let consumer = Consumer::with(Receiver::redis(&server.url(), "t").unwrap(), 8, move |job| {
        let (gate, ended) = (gate_.clone(), ended_.clone());
        async move {
            if job.lane() == Lane::Plan {
                gate.acquire().await.unwrap().forget();
                ended.add_permits(1);
            }
        }
    });
    for account in 0..300 {
        queue.push(Job::Plan { account });
    }
    eventually("eight run", || async { consumer.got().len() >= 8 }).await;
    let mut connection = server.connection().await;
    redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
    consumer.works_again(&queue).await;
    gate.add_permits(1_000);
    eventually("the handlers ended", || async { ended.available_permits() >= 8 }).await;
    queue.push(Job::Plan { account: -1 });
    consumer.gets(Job::Plan { account: -1 }).await;
    assert!(consumer.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_died_and_came_back_empty_is_found_again() {
    let (mut server, queue, consumer) = working().await;
    server.kill();
    let slowest = slowest_push(&queue, Duration::from_secs(2)).await;
    assert!(slowest < PUSH, "a push took {slowest:?} with Redis dead");
    queue.push(Job::Sms { profile: 1 });
    server.revive().await;
    consumer.gets(Job::Sms { profile: 1 }).await;
    consumer.works_again(&queue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_not_there_at_first_is_found_when_it_comes() {
    let mut server = RedisServer::start().await;
    server.kill();
    let queue = Queue::redis(&server.url(), "t").await.unwrap();
    let consumer = Consumer::of(Receiver::redis(&server.url(), "t").unwrap());
    let slowest = slowest_push(&queue, Duration::from_secs(1)).await;
    assert!(slowest < PUSH, "a push took {slowest:?} with Redis absent");
    server.revive().await;
    consumer.works_again(&queue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_stalls_for_three_seconds_holds_up_no_producer() {
    let (server, queue, consumer) = working().await;
    server.signal("STOP");
    let slowest = slowest_push(&queue, Duration::from_secs(3)).await;
    server.signal("CONT");
    assert!(slowest < PUSH, "a push took {slowest:?} with Redis stopped");
    consumer.works_again(&queue).await;
}

/// Pushes on and on for `how_long`.
async fn slowest_push(queue: &Queue, how_long: Duration) -> Duration {
    let (started, mut slowest, mut account) = (Instant::now(), Duration::ZERO, 10_000);
    while started.elapsed() < how_long {
        account += 1;
        let push = Instant::now();
        queue.push(Job::Plan { account });
        slowest = slowest.max(push.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    slowest
}

#[tokio::test(flavor = "multi_thread")]
async fn forgotten_scripts_are_loaded_again() {
    let (server, queue, consumer) = working().await;
    let mut connection = server.connection().await;
    redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut connection).await.unwrap();
    consumer.works_again(&queue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_is_no_job_is_passed_over() {
    let (server, queue, consumer) = working().await;
    let mut connection = server.connection().await;
    for (id, payload) in
        ["", "garbage", "{\"type\":\"mail\"}", "{\"type\":\"plan\",\"account\":9}", "\u{0}\u{1}"]
            .iter()
            .enumerate()
    {
        plant(&mut connection, &format!("bad-{id}"), payload.as_bytes()).await;
    }
    plant(&mut connection, "bad-bytes", &[0xff, 0xfe, 0x00]).await;
    plant(&mut connection, "good", br#"{"type":"mail","profile":77}"#).await;
    consumer.gets(Job::Mail { profile: 77 }).await;
    consumer.works_again(&queue).await;
    assert!(!consumer.got().contains(&Job::Plan { account: 9 }), "a plan has no business in the mail lane");
}

/// Puts a well-formed apalis task with this payload into the mail lane.
async fn plant(connection: &mut MultiplexedConnection, id: &str, payload: &[u8]) {
    redis::pipe()
        .hset("t:mail:data", id, payload)
        .hset_multiple(
            format!("t:mail:meta:{id}"),
            &[("attempts", "0"), ("max_attempts", "25"), ("status", "Pending")],
        )
        .rpush("t:mail:active", id)
        .exec_async(connection)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_lead_nowhere_do_not_stop_a_lane() {
    let (server, queue, consumer) = working().await;
    let mut connection = server.connection().await;
    let ids: Vec<String> = (0..50).map(|id| format!("nowhere-{id}")).collect();
    redis::cmd("RPUSH").arg("t:mail:active").arg(ids).exec_async(&mut connection).await.unwrap();
    consumer.works_again(&queue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_wrong_kind_do_not_stop_a_lane() {
    let lanes = ["active", "scheduled", "data", "done", "workers"].map(|key| async move {
        let (server, queue, consumer) = working().await;
        let mut connection = server.connection().await;
        let wrong = format!("t:mail:{key}");
        redis::pipe().del(&wrong).set(&wrong, "wrong").exec_async(&mut connection).await.unwrap();
        eventually(&format!("the wrong {key} is gone"), || {
            queue.push(Job::Mail { profile: 2 });
            let (mut connection, wrong) = (connection.clone(), wrong.clone());
            async move {
                let kind: String = redis::cmd("TYPE").arg(wrong).query_async(&mut connection).await.unwrap();
                kind != "string"
            }
        })
        .await;
        consumer.works_again(&queue).await;
    });
    join_all(lanes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_with_more_due_jobs_than_apalis_can_promote_is_emptied_and_goes_on() {
    let (server, queue, consumer) = working().await;
    let mut connection = server.connection().await;
    let mut flood = redis::pipe();
    for id in 0..12_000 {
        flood.zadd("t:mail:scheduled", format!("flood-{id}"), 1).ignore();
    }
    flood.exec_async(&mut connection).await.unwrap();
    consumer.works_again(&queue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_flat_when_the_work_is_done() {
    let (server, queue, consumer) = working().await;
    for account in 0..3_000 {
        queue.push(Job::Plan { account: 100 + account });
        if account % 100 == 0 {
            let so_far = consumer.got().len();
            eventually("work goes on", || async { consumer.got().len() > so_far }).await;
        }
    }
    let connection = server.connection().await;
    eventually("every trace of the finished jobs is gone", || {
        let mut connection = connection.clone();
        async move {
            let keys: Vec<String> =
                redis::cmd("KEYS").arg("t:plan:*").query_async(&mut connection).await.unwrap();
            keys.iter().all(|key| key.starts_with("t:plan:workers"))
        }
    })
    .await;
    assert!(consumer.got().len() > 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_with_redis_gone_ends_in_time() {
    let (mut server, _queue, consumer) = working().await;
    server.kill();
    consumer.shut_down();
    consumer.ends(Duration::from_secs(8)).await;

    let nobody_there = format!("redis://127.0.0.1:{}", free_port());
    let consumer = Consumer::of(Receiver::redis(&nobody_there, "t").unwrap());
    consumer.shut_down();
    consumer.ends(Duration::from_secs(8)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_with_redis_stopped_ends_in_time() {
    let (server, _queue, consumer) = working().await;
    server.signal("STOP");
    consumer.shut_down();
    consumer.ends(Duration::from_secs(8)).await;
    server.signal("CONT");
}
