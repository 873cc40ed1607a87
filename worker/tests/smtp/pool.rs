//! Connections kept ready (FAULTS.md F49, F55, F58, F59).

use std::collections::HashSet;
use std::time::Duration;

use sendwright_worker::channels::Outcome;
use sendwright_worker::channels::smtp::{ConnectError, DotGate, Pool, PoolLimits, Timeouts, hand_over};

use crate::smtp_server::{Act, At, Rule, Script, SmtpServer};
use crate::{BRIEFLY, FROM, SOON, accepted, dialer, message, send};

fn limits(connections: usize) -> PoolLimits {
    PoolLimits { connections, ..PoolLimits::default() }
}

fn pool(server: &SmtpServer, limits: PoolLimits) -> Pool {
    Pool::new(dialer(&server.url(), Timeouts::default()), limits, || 0.0)
}

#[tokio::test]
async fn a_pool_opens_no_more_than_it_may_and_reuses_what_it_has() {
    let server = SmtpServer::start(Script::default()).await;
    let pool = pool(&server, limits(3));
    let ready = pool.ready(10, SOON).await;
    assert_eq!((ready.sessions.len(), ready.trouble), (3, None));
    assert!(pool.ready(1, SOON).await.sessions.is_empty());
    for mut session in ready.sessions {
        assert!(accepted(&send(&mut session).await));
        pool.give_back(session);
    }
    assert_eq!((pool.idle(), pool.open()), (3, 3));
    let again = pool.ready(2, SOON).await.sessions;
    assert_eq!((again.len(), pool.idle(), server.connections()), (2, 1, 3));
    drop(again);
    assert_eq!(pool.open(), 1);
    assert_eq!(pool.ready(3, SOON).await.sessions.len(), 3);
    assert_eq!(server.connections(), 5);
}

#[tokio::test]
async fn whoever_waits_gets_what_is_given_back() {
    let server = SmtpServer::start(Script::default()).await;
    server.add(Rule::at(At::Banner).after(1).act(Act::Stall));
    let pool = pool(&server, limits(2));
    let held = pool.ready(1, SOON).await.sessions.pop().unwrap();
    let (waited, ()) = tokio::join!(pool.ready(1, SOON), async {
        tokio::task::yield_now().await;
        pool.give_back(held);
    });
    assert_eq!(waited.sessions.len(), 1);
}

#[tokio::test]
async fn a_tarpit_delays_nobody_longer_than_they_wait() {
    let server =
        SmtpServer::start(Script::default().rule(Rule::at(At::Banner).after(2).act(Act::Stall))).await;
    let pool = pool(&server, limits(8));
    let ready = pool.ready(8, BRIEFLY * 2).await;
    assert_eq!(ready.sessions.len(), 2);
}

#[tokio::test]
async fn a_server_that_hangs_up_after_each_mail_costs_no_message() {
    let server = SmtpServer::start(Script { close_after_each: true, ..Script::default() }).await;
    let pool = pool(&server, limits(2));
    let (mut done, mut failed) = (0, 0);
    while done < 30 {
        let mut session = pool.ready(1, SOON).await.sessions.pop().expect("a session");
        match send(&mut session).await {
            Outcome::Accepted { .. } => done += 1,
            Outcome::Failed { .. } => failed += 1,
            other => panic!("{other:?}"),
        }
        pool.give_back(session);
    }
    assert_eq!(server.received().len(), 30);
    // It takes one such end to learn the habit; from then on the server is asked first.
    assert!(failed <= 1, "{failed} hand-overs began on a dead connection");
}

#[tokio::test]
async fn a_connection_the_server_closed_when_idle_is_replaced_before_the_intent() {
    let script = Script { close_after_idle: Some(BRIEFLY / 3), ..Script::default() };
    let server = SmtpServer::start(script).await;
    let pool = pool(&server, limits(4));
    for session in pool.ready(4, SOON).await.sessions {
        pool.give_back(session);
    }
    server.wait_closed(SOON).await;
    let mut session = pool.ready(1, SOON).await.sessions.pop().unwrap();
    assert!(accepted(&send(&mut session).await));
    assert_eq!(server.connections(), 5);
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_worn_one_replaced() {
    let server = SmtpServer::start(Script::default()).await;
    let bounds = PoolLimits { idle: BRIEFLY, messages_per_connection: Some(2), ..limits(1) };
    let pool = pool(&server, bounds);
    for _ in 0..4 {
        let mut session = pool.ready(1, SOON).await.sessions.pop();
        while session.is_none() {
            // The place is free once the worn connection has said goodbye.
            session = pool.ready(1, SOON).await.sessions.pop();
        }
        let mut session = session.unwrap();
        assert!(accepted(&send(&mut session).await));
        pool.give_back(session);
    }
    assert_eq!(server.received().iter().map(|mail| mail.connection).collect::<Vec<_>>(), [1, 1, 2, 2]);
    for session in pool.ready(1, SOON).await.sessions {
        pool.give_back(session);
    }
    server.wait_closed(SOON).await;
    assert_eq!(pool.idle(), 0);
}

#[tokio::test]
async fn a_refused_password_is_tried_once_at_a_time_and_counted() {
    let server = SmtpServer::start(Script::default().login("ann", "right")).await;
    let url = format!("smtp://ann:wrong@127.0.0.1:{}?tls=none", server.port());
    let bounds = PoolLimits { first_pause: Duration::ZERO, ..limits(16) };
    let pool = Pool::new(dialer(&url, Timeouts::default()), bounds, || 0.0);
    let mut trouble = None;
    while trouble.as_ref().is_none_or(|t: &sendwright_worker::channels::smtp::Trouble| t.wrong_logins < 3) {
        let ready = pool.ready(16, Duration::from_millis(1)).await;
        assert!(ready.sessions.is_empty());
        trouble = ready.trouble;
    }
    let trouble = trouble.unwrap();
    assert!(matches!(trouble.error, ConnectError::Auth { code: 535, .. }));
    assert!(server.connections() <= trouble.failures as usize + 1, "one attempt at a time");
}

#[tokio::test]
async fn a_server_that_is_down_is_left_alone_for_a_growing_while() {
    let server = SmtpServer::start(Script::default().rule(Rule::at(At::Banner).reply("421 full"))).await;
    let pool = pool(&server, limits(16));
    for _ in 0..10 {
        let ready = pool.ready(16, SOON).await;
        let trouble = ready.trouble.expect("trouble");
        assert_eq!((ready.sessions.len(), trouble.failures, trouble.wrong_logins), (0, 1, 0));
        assert!(matches!(trouble.error, ConnectError::Banner { code: 421, .. }));
        let pause = trouble.retry_at.saturating_duration_since(tokio::time::Instant::now());
        assert!(pause <= Duration::from_secs(1) && pause > Duration::from_millis(1));
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_server_that_comes_back_is_used_again() {
    let server =
        SmtpServer::start(Script::default().rule(Rule::at(At::Banner).times(2).reply("421 full"))).await;
    let pool = pool(&server, PoolLimits { first_pause: Duration::from_millis(2), ..limits(4) });
    loop {
        let ready = pool.ready(4, SOON).await;
        if ready.sessions.len() == 4 {
            assert_eq!(ready.trouble, None);
            break;
        }
        assert!(ready.trouble.is_some_and(|trouble| trouble.failures <= 2));
        tokio::task::yield_now().await;
    }
    assert_eq!(server.connections(), 6);
}

#[tokio::test]
async fn those_a_server_has_room_for_go_on_while_the_rest_is_refused() {
    let server =
        SmtpServer::start(Script::default().rule(Rule::at(At::Banner).after(3).reply("421 full"))).await;
    let pool = pool(&server, limits(8));
    let ready = pool.ready(8, SOON).await;
    assert_eq!(ready.sessions.len(), 3);
    assert_eq!(ready.trouble.map(|trouble| trouble.failures), Some(1), "refused together is refused once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_messages_over_few_connections_arrive_once_each() {
    const MESSAGES: usize = 2000;
    let server = SmtpServer::start(Script::default()).await;
    let pool = pool(&server, limits(8));
    let sessions = pool.ready(8, SOON).await.sessions;
    assert_eq!(sessions.len(), 8);
    let began = std::time::Instant::now();
    let lanes = sessions.into_iter().enumerate().map(|(lane, mut session)| {
        let pool = pool.clone();
        tokio::spawn(async move {
            for n in (lane..MESSAGES).step_by(8) {
                let to = format!("r{n}@example.net");
                let outcome =
                    hand_over(&mut session, FROM, &to, &message(1500), DotGate::now(|| Ok(()))).await;
                assert!(accepted(&outcome), "{outcome:?}");
            }
            pool.give_back(session);
        })
    });
    futures::future::try_join_all(lanes).await.unwrap();
    println!("{:.0} messages a second", MESSAGES as f64 / began.elapsed().as_secs_f64());
    let recipients: HashSet<_> = server.received().into_iter().map(|mail| mail.to[0].clone()).collect();
    assert_eq!((server.received().len(), recipients.len(), server.connections()), (MESSAGES, MESSAGES, 8));
}
