//! The gate before the dot (SEND_PROTOCOL.md, rules 3 and 6).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sendwright_worker::channels::smtp::{DotGate, Timeouts, hand_over};
use sendwright_worker::channels::{Outcome, Refusal, Stage};
use tokio::sync::oneshot;

use crate::smtp_server::{Act, At, Certificate, Rule, Script, SmtpServer, Tls};
use crate::{BRIEFLY, FROM, SOON, TO, accepted, dialer, message, started, started_with};

const LATE: Refusal = Refusal::TooLate { age_ms: 2001, allowed_ms: 2000 };

#[tokio::test]
async fn a_refusing_gate_leaves_no_dot_on_the_wire() {
    let certificate = Certificate::new("127.0.0.1", 2100);
    let encrypted = Script::default().tls(Tls::Implicit(certificate.config.clone()));
    for (script, scheme, query) in [
        (Script::default(), "smtp", "tls=none".into()),
        (encrypted, "smtps", format!("ca={}", certificate.path())),
    ] {
        let server = SmtpServer::start(script).await;
        let url = format!("{scheme}://127.0.0.1:{}?{query}", server.port());
        for size in [100, 5 << 20] {
            let mut session = dialer(&url, Timeouts::default()).open().await.unwrap();
            let outcome = hand_over(&mut session, FROM, TO, &message(size), DotGate::now(|| Err(LATE))).await;
            assert_eq!(outcome, Outcome::NotStarted { reason: LATE });
            assert!(outcome.is_definite_no() && !session.is_usable());
            server.wait_closed(SOON).await;
        }
        assert_eq!((server.seen(At::Data), server.seen(At::Dot), server.received().len()), (2, 0, 0));
    }
}

#[tokio::test]
async fn the_gate_is_asked_once_between_body_and_dot() {
    let (server, mut session) = started(Script::default()).await;
    let server = Arc::new(server);
    let asked = Arc::new(AtomicUsize::new(0));
    let (seen, counter) = (Arc::clone(&server), Arc::clone(&asked));
    let gate = DotGate::now(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        assert_eq!((seen.seen(At::Data), seen.seen(At::Dot)), (1, 0));
        Ok(())
    });
    // Large enough that the server must have read most of it before the gate is reached.
    let outcome = hand_over(&mut session, FROM, TO, &message(5 << 20), gate).await;
    assert!(accepted(&outcome), "{outcome:?}");
    assert_eq!((asked.load(Ordering::Relaxed), server.received().len()), (1, 1));
}

#[tokio::test]
async fn a_message_that_is_refused_before_its_body_never_asks_the_gate() {
    let (_server, mut session) = started(Script::default().rule(Rule::at(At::Rcpt).reply("550 no"))).await;
    let gate = DotGate::after(async { panic!("polled") }, || panic!("asked"));
    let outcome = hand_over(&mut session, FROM, TO, &message(100), gate).await;
    assert!(matches!(outcome, Outcome::Refused { stage: Stage::Rcpt, .. }));
}

#[tokio::test]
async fn an_intent_at_the_dot_is_awaited_with_the_body_written() {
    let (server, mut session) = started(Script::default()).await;
    let (commit, committed) = oneshot::channel::<()>();
    let (reached, at_dot) = oneshot::channel::<()>();
    let intent = async move {
        reached.send(()).unwrap();
        committed.await.map_err(|_| Refusal::Withdrawn("gone".into()))
    };
    let bytes = message(5 << 20);
    let sending = hand_over(&mut session, FROM, TO, &bytes, DotGate::after(intent, || Ok(())));
    let committing = async {
        at_dot.await.unwrap();
        assert_eq!((server.seen(At::Data), server.seen(At::Dot)), (1, 0));
        commit.send(()).unwrap();
    };
    let (outcome, ()) = tokio::join!(sending, committing);
    assert!(accepted(&outcome), "{outcome:?}");
    assert_eq!(server.received()[0].data, bytes);
}

#[tokio::test]
async fn an_intent_that_is_not_given_leaves_no_dot() {
    let timeouts = Timeouts { at_dot: BRIEFLY, ..Timeouts::default() };
    let (server, mut session) = started_with(Script::default(), timeouts.clone()).await;
    let gate = DotGate::after(std::future::pending(), || panic!("asked without an intent"));
    let outcome = hand_over(&mut session, FROM, TO, &message(100), gate).await;
    assert_eq!(outcome, Outcome::NotStarted { reason: Refusal::WaitedTooLong });

    let reason = Refusal::Withdrawn("no_consent".into());
    let mut session = dialer(&server.url(), timeouts).open().await.unwrap();
    let gate = DotGate::after(std::future::ready(Err(reason.clone())), || panic!("asked without an intent"));
    let outcome = hand_over(&mut session, FROM, TO, &message(100), gate).await;
    assert_eq!(outcome, Outcome::NotStarted { reason });

    server.wait_closed(SOON).await;
    assert_eq!((server.seen(At::Data), server.seen(At::Dot)), (2, 0));
}

#[tokio::test]
async fn an_intent_at_the_dot_is_still_asked_for_its_age() {
    let (server, mut session) = started(Script::default()).await;
    let gate = DotGate::after(std::future::ready(Ok(())), || Err(LATE));
    let outcome = hand_over(&mut session, FROM, TO, &message(100), gate).await;
    assert_eq!(outcome, Outcome::NotStarted { reason: LATE });
    server.wait_closed(SOON).await;
    assert_eq!(server.seen(At::Dot), 0);
}

#[tokio::test]
async fn a_server_that_leaves_while_the_intent_is_awaited_is_a_definite_no() {
    for (act, expected) in [
        (Act::Drop, "Failed { stage: Body"),
        (Act::Reply(b"421 4.4.2 too slow\r\n".to_vec()), "Refused { stage: Body, code: 421"),
    ] {
        let (server, mut session) = started(Script::default().rule(Rule::at(At::Body(150)).act(act))).await;
        let gate = DotGate::after(std::future::pending(), || panic!("asked"));
        let outcome = hand_over(&mut session, FROM, TO, &message(300), gate).await;
        assert!(format!("{outcome:?}").starts_with(expected), "{outcome:?}");
        server.wait_closed(SOON).await;
        assert_eq!(server.seen(At::Dot), 0);
    }
}
