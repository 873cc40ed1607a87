//! What both transports promise, shown on both.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sendwright_queue::{Health, Job, LANE_CAPACITY, Lane, Queue, Receiver};
use tokio::sync::Semaphore;

use crate::fixture::{Consumer, RedisServer, eventually, free_port};

/// A transport under test, with whatever it stands on.
struct Transport {
    queue: Queue,
    receiver: Receiver,
    _server: Option<RedisServer>,
}

async fn both() -> [Transport; 2] {
    let (queue, receiver) = Queue::embedded();
    let server = RedisServer::start().await;
    [
        Transport { queue, receiver, _server: None },
        Transport {
            queue: Queue::redis(&server.url(), "t").await.unwrap(),
            receiver: Receiver::redis(&server.url(), "t").unwrap(),
            _server: Some(server),
        },
    ]
}

fn one_of_each() -> [Job; 10] {
    [
        Job::Plan { account: 1 },
        Job::Write { account: 2 },
        Job::Mail { profile: 3 },
        Job::Sms { profile: 4 },
        Job::Deliver { endpoint: 5 },
        Job::Sequence { account: 6 },
        Job::Import { import: 7 },
        Job::Inbound { inbound: 8 },
        Job::Callback { callback: 9 },
        Job::Remap { campaign: i64::MAX },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_job_arrives_as_it_was_pushed() {
    for transport in both().await {
        let consumer = Consumer::of(transport.receiver.clone());
        for job in one_of_each() {
            transport.queue.push(job);
        }
        for job in one_of_each() {
            consumer.gets(job).await;
        }
        assert_eq!(consumer.got().len(), one_of_each().len(), "and each once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_pushed_to_an_idle_consumer_is_soon_there() {
    for transport in both().await {
        let consumer = Consumer::of(transport.receiver.clone());
        transport.queue.push(Job::Plan { account: 0 });
        consumer.gets(Job::Plan { account: 0 }).await;
        let started = Instant::now();
        for account in 1..=10 {
            transport.queue.push(Job::Plan { account });
            consumer.gets(Job::Plan { account }).await;
        }
        assert!(started.elapsed() < Duration::from_secs(5), "ten idle wake-ups took {:?}", started.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_never_runs_more_handlers_than_its_concurrency() {
    for transport in both().await {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let gate = Arc::new(Semaphore::new(0));
        let (now_, most_, gate_) = (now.clone(), most.clone(), gate.clone());
        let consumer = Consumer::with(transport.receiver.clone(), 3, move |_| {
            let (now, most, gate) = (now_.clone(), most_.clone(), gate_.clone());
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                gate.acquire().await.unwrap().forget();
                now.fetch_sub(1, Ordering::SeqCst);
            }
        });
        for account in 0..20 {
            transport.queue.push(Job::Plan { account });
        }
        eventually("three run", || async { now.load(Ordering::SeqCst) == 3 }).await;
        gate.add_permits(20);
        eventually("all ran", || async { consumer.got().len() == 20 }).await;
        assert_eq!(most.load(Ordering::SeqCst), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_lane_does_not_hold_up_another() {
    for transport in both().await {
        let consumer = Consumer::with(transport.receiver.clone(), 1, |job| async move {
            if job.lane() == Lane::Write {
                std::future::pending::<()>().await;
            }
        });
        transport.queue.push(Job::Write { account: 1 });
        consumer.gets(Job::Write { account: 1 }).await;
        transport.queue.push(Job::Mail { profile: 1 });
        consumer.gets(Job::Mail { profile: 1 }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_handler_costs_that_job_only() {
    for transport in both().await {
        let consumer = Consumer::with(transport.receiver.clone(), 1, |job| async move {
            assert_ne!(job, Job::Plan { account: 1 }, "this handler panics on purpose");
        });
        transport.queue.push(Job::Plan { account: 1 });
        consumer.gets(Job::Plan { account: 1 }).await;
        transport.queue.push(Job::Plan { account: 2 });
        consumer.gets(Job::Plan { account: 2 }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_lets_running_handlers_end_and_starts_no_more() {
    for transport in both().await {
        let gate = Arc::new(Semaphore::new(0));
        let ended = Arc::new(AtomicUsize::new(0));
        let (gate_, ended_) = (gate.clone(), ended.clone());
        let consumer = Consumer::with(transport.receiver.clone(), 2, move |_| {
            let (gate, ended) = (gate_.clone(), ended_.clone());
            async move {
                gate.acquire().await.unwrap().forget();
                ended.fetch_add(1, Ordering::SeqCst);
            }
        });
        for account in 0..10 {
            transport.queue.push(Job::Plan { account });
        }
        eventually("two run", || async { consumer.got().len() == 2 }).await;
        consumer.shut_down();
        gate.add_permits(2);
        consumer.ends(Duration::from_secs(5)).await;
        assert_eq!(ended.load(Ordering::SeqCst), 2);
        assert_eq!(gate.available_permits(), 0, "nobody came after them");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_pushes_leave_a_bounded_lane_that_is_then_worked() {
    for transport in both().await {
        for account in 0..20_000 {
            transport.queue.push(Job::Plan { account });
            if account % 500 == 0 {
                tokio::task::yield_now().await;
            }
        }
        if let Some(server) = &transport._server {
            let mut connection = server.connection().await;
            eventually("the lane is full", || {
                let mut connection = connection.clone();
                async move { depth(&mut connection).await >= LANE_CAPACITY }
            })
            .await;
            // One more, so that the pusher has looked at the full lane at least once.
            transport.queue.push(Job::Sms { profile: 1 });
            eventually("the pusher is through", || {
                let mut connection = connection.clone();
                async move {
                    let sms: usize = redis::cmd("ZCARD")
                        .arg("t:sms:scheduled")
                        .query_async(&mut connection)
                        .await
                        .unwrap();
                    sms == 1
                }
            })
            .await;
            assert!(depth(&mut connection).await <= LANE_CAPACITY);
        }
        let consumer = Consumer::of(transport.receiver.clone());
        eventually("the whole lane is worked", || async { consumer.got().len() >= LANE_CAPACITY }).await;
        transport.queue.push(Job::Plan { account: -1 });
        consumer.gets(Job::Plan { account: -1 }).await;
    }
}

async fn depth(connection: &mut redis::aio::MultiplexedConnection) -> usize {
    let (scheduled, active): (usize, usize) =
        redis::pipe().zcard("t:plan:scheduled").llen("t:plan:active").query_async(connection).await.unwrap();
    scheduled + active
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_of_each_transport_is_told() {
    let (embedded, _) = Queue::embedded();
    assert_eq!(embedded.ping().await, Health::Embedded);

    let mut server = RedisServer::start().await;
    let queue = Queue::redis(&server.url(), "t").await.unwrap();
    assert_eq!(queue.ping().await, Health::Up);
    server.kill();
    eventually("it is seen to be down", || async { matches!(queue.ping().await, Health::Down(_)) }).await;
    server.revive().await;
    eventually("it is seen to be up", || async { queue.ping().await == Health::Up }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_address_that_can_never_work_is_refused() {
    assert!(Queue::redis("postgres://localhost", "t").await.is_err());
    assert!(Receiver::redis("not an address", "t").is_err());
    let nobody_there = format!("redis://:secret@127.0.0.1:{}", free_port());
    let queue = Queue::redis(&nobody_there, "t").await.unwrap();
    match queue.ping().await {
        Health::Down(reason) => {
            assert!(!reason.contains("secret") && !reason.contains("127.0.0.1"), "{reason}")
        }
        other => panic!("nobody is there, and yet: {other:?}"),
    }
}
