//! Limits that hold for many callers at once, with Redis, without it, and across its loss.

use std::time::{Duration, Instant};

use futures::future::join_all;
use sendwright_queue::{Limiter, Rule};

use crate::fixture::{RedisServer, eventually, free_port};

const RULES: [Rule; 2] = [Rule::per_hour(100), Rule::per_minute(60)];

/// How many of `calls` parallel calls are allowed.
async fn allowed(limiter: &Limiter, key: &str, calls: usize) -> usize {
    let answers = (0..calls).map(|_| {
        let (limiter, key) = (limiter.clone(), key.to_owned());
        tokio::spawn(async move { limiter.check(&key, &RULES).await.allowed })
    });
    join_all(answers).await.into_iter().filter(|answer| *answer.as_ref().unwrap()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_calls_get_exactly_the_limit_in_one_process() {
    let limiter = Limiter::in_process();
    assert_eq!(allowed(&limiter, "a", 500).await, 60);
    assert_eq!(allowed(&limiter, "b", 30).await, 30, "another key has its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_calls_of_several_processes_get_exactly_the_limit_together() {
    let server = RedisServer::start().await;
    let processes: Vec<Limiter> = (0..3).map(|_| Limiter::redis(&server.url(), "t").unwrap()).collect();
    // The first call of a connection makes it, and may take longer than a limiter waits.
    for process in &processes {
        process.check("warm", &RULES).await;
    }
    settled(&server, &processes).await;
    let counts = join_all(processes.iter().map(|process| allowed(process, "a", 100))).await;
    assert_eq!(counts.iter().sum::<usize>(), 60, "{counts:?}");
    let last = processes[0].check("a", &RULES).await;
    assert_eq!((last.allowed, last.limit, last.remaining), (false, 60, 0));
    assert!((1..=63).contains(&last.retry_after_seconds), "{last:?}");
}

/// Waits until every limiter counts in Redis.
async fn settled(server: &RedisServer, limiters: &[Limiter]) {
    for (index, limiter) in limiters.iter().enumerate() {
        counts_in_redis(server, limiter, &format!("settle-{index}")).await;
    }
}

async fn counts_in_redis(server: &RedisServer, limiter: &Limiter, key: &str) {
    let connection = server.connection().await;
    eventually("the limiter counts in redis", || {
        let mut connection = connection.clone();
        async move {
            limiter.check(key, &[Rule::per_second(1_000)]).await;
            let redis_key = format!("t:rate:{{{key}}}:1000");
            redis::cmd("EXISTS").arg(redis_key).query_async(&mut connection).await.unwrap()
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_redis_and_getting_it_back_empty_gives_nobody_a_second_allowance() {
    let mut server = RedisServer::start().await;
    let limiter = Limiter::redis(&server.url(), "t").unwrap();
    counts_in_redis(&server, &limiter, "warm").await;

    let with = allowed(&limiter, "a", 20).await;
    server.kill();
    let without = allowed(&limiter, "a", 20).await;
    server.revive().await;
    counts_in_redis(&server, &limiter, "back").await;
    let again = allowed(&limiter, "a", 100).await;
    assert_eq!((with, without, again), (20, 20, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_redis_costs_a_call_fifty_milliseconds_at_most_and_the_next_nothing() {
    const EACH: Duration = Duration::from_millis(50);
    const ASKED: u32 = 50;
    let server = RedisServer::start().await;
    let limiter = Limiter::redis(&server.url(), "t").unwrap();
    counts_in_redis(&server, &limiter, "warm").await;
    server.signal("STOP");
    let first = Instant::now();
    assert!(limiter.check("a", &RULES).await.allowed);
    assert!(first.elapsed() < Duration::from_secs(2), "{:?}", first.elapsed());
    let rest = Instant::now();
    for _ in 0..ASKED {
        assert!(limiter.check("a", &RULES).await.allowed);
    }
    assert!(rest.elapsed() < ASKED * EACH / 2, "{:?}", rest.elapsed());
    server.signal("CONT");
    counts_in_redis(&server, &limiter, "back").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_and_an_hour_bind_at_once() {
    let server = RedisServer::start().await;
    let limiter = Limiter::redis(&server.url(), "t").unwrap();
    counts_in_redis(&server, &limiter, "warm").await;
    let rules = [Rule::per_hour(1_000), Rule::per_second(10)];
    let mut allowed_at = Vec::new();
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(2_500) {
        let asked = started.elapsed();
        let answer = limiter.check("a", &rules).await;
        if answer.allowed {
            allowed_at.push((asked, started.elapsed()));
        } else {
            assert_eq!((answer.limit, answer.retry_after_seconds >= 1), (10, true));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    for (index, (asked, _)) in allowed_at.iter().enumerate() {
        let eleventh = allowed_at.get(index + 10).map(|(_, answered)| *answered - *asked);
        assert!(eleventh.is_none_or(|gap| gap >= Duration::from_secs(1)), "eleven calls within {eleventh:?}");
    }
    assert!(allowed_at.len() >= 20, "{}", allowed_at.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_was_never_there_is_no_error() {
    let limiter = Limiter::redis(&format!("redis://127.0.0.1:{}", free_port()), "t").unwrap();
    assert_eq!(allowed(&limiter, "a", 100).await, 60);
    assert!(limiter.check("none", &[]).await.allowed);
}
