//! What becomes of a message at each stage (FAULTS.md F50-F56, F60).

use sendwright_worker::channels::smtp::{DotGate, Timeouts, hand_over};
use sendwright_worker::channels::{Outcome, Stage};

use crate::smtp_server::{Act, At, Rule, Script};
use crate::{BRIEFLY, FROM, SOON, Shorten, TO, accepted, message, send, started, started_with};

fn stage_of(outcome: &Outcome) -> Option<Stage> {
    match outcome {
        Outcome::Refused { stage, .. } | Outcome::Failed { stage, .. } => Some(*stage),
        _ => None,
    }
}

#[tokio::test]
async fn a_message_arrives_byte_for_byte() {
    let (server, mut session) = started(Script::default()).await;
    for body in ["plain\r\n", ".\r\n..\r\n.x\r\n\r\n.\r\n", "", "no end", "\r\n\r\n", "x\r\n."] {
        let bytes = format!("Subject: dots\r\n\r\n{body}").into_bytes();
        let outcome = hand_over(&mut session, FROM, TO, &bytes, DotGate::now(|| Ok(()))).await;
        assert!(accepted(&outcome), "{outcome:?}");
        let received = server.received().pop().unwrap();
        let mut expected = bytes;
        if !expected.ends_with(b"\r\n") {
            expected.extend_from_slice(b"\r\n");
        }
        assert_eq!(String::from_utf8_lossy(&received.data), String::from_utf8_lossy(&expected));
        assert_eq!((received.from.as_str(), received.to[0].as_str()), (FROM, TO));
        assert!(received.mail_at <= received.dot_at && received.answered_at.is_some());
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_refusal_is_a_definite_no_and_the_session_goes_on() {
    for (at, stage, line, code, permanent, enhanced) in [
        (At::Mail, Stage::Mail, "451 4.3.0 not now", 451, false, Some("4.3.0")),
        (At::Mail, Stage::Mail, "550 5.7.1 not you", 550, true, Some("5.7.1")),
        (At::Rcpt, Stage::Rcpt, "450 4.2.0 greylisted", 450, false, Some("4.2.0")),
        (At::Rcpt, Stage::Rcpt, "550 5.1.1 no such user", 550, true, Some("5.1.1")),
        (At::Rcpt, Stage::Rcpt, "452 4.7.28 daily limit reached", 452, false, Some("4.7.28")),
        (At::Rcpt, Stage::Rcpt, "571 blocked", 550, true, None),
        (At::Data, Stage::Data, "554 no", 554, true, None),
        (At::Dot, Stage::Answer, "451 4.3.2 later", 451, false, Some("4.3.2")),
        (At::Dot, Stage::Answer, "554 5.7.1 spam", 554, true, Some("5.7.1")),
        (At::Dot, Stage::Answer, "571 5.7.1 spam", 550, true, Some("5.7.1")),
    ] {
        for one_by_one in [false, true] {
            let script = Script { one_by_one, ..Script::default() };
            let (server, mut session) = started(script.rule(Rule::at(at).times(1).reply(line))).await;
            match send(&mut session).await {
                Outcome::Refused { stage: s, code: c, permanent: p, enhanced: e, reply } => {
                    assert_eq!((s, c, p, e.as_deref()), (stage, code, permanent, enhanced), "{line}");
                    assert!(reply.contains(line[4..].trim()), "{reply}");
                }
                other => panic!("{line}: {other:?}"),
            }
            assert!(server.received().is_empty());
            assert!(accepted(&send(&mut session).await), "after {line}");
            assert_eq!((server.received().len(), server.connections()), (1, 1));
        }
    }
}

#[tokio::test]
async fn a_421_ends_the_session() {
    let (_server, mut session) =
        started(Script::default().rule(Rule::at(At::Rcpt).reply("421 4.3.2 bye"))).await;
    assert!(matches!(send(&mut session).await, Outcome::Refused { code: 421, permanent: false, .. }));
    assert!(!session.is_usable());
}

#[tokio::test]
async fn a_refused_reset_blames_the_connection_and_not_the_message() {
    let script = Script::default().rule(Rule::at(At::Rset).reply("500 what?"));
    let (_server, mut session) = started(script.rule(Rule::at(At::Rcpt).reply("450 later"))).await;
    assert!(matches!(send(&mut session).await, Outcome::Refused { code: 450, .. }));
    assert!(matches!(send(&mut session).await, Outcome::Failed { stage: Stage::Prepare, .. }));
    assert!(!session.is_usable());
}

#[tokio::test]
async fn a_connection_lost_before_the_dot_is_a_definite_no() {
    for (at, stage) in [(At::Mail, Stage::Mail), (At::Rcpt, Stage::Rcpt), (At::Data, Stage::Data)] {
        let (server, mut session) = started(Script::default().rule(Rule::at(at).act(Act::Drop))).await;
        let outcome = send(&mut session).await;
        assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
        assert_eq!(stage_of(&outcome), Some(stage));
        assert!(outcome.is_definite_no() && !session.is_usable() && server.received().is_empty());
    }
}

#[tokio::test]
async fn a_connection_lost_while_the_body_is_written_is_a_definite_no() {
    for nth in [1, 5_000, 100_000] {
        let (server, mut session) =
            started(Script::default().rule(Rule::at(At::Body(nth)).act(Act::Drop))).await;
        let gate = DotGate::now(|| panic!("the gate is not asked for a line that is gone"));
        let outcome = hand_over(&mut session, FROM, TO, &message(20 << 20), gate).await;
        assert!(matches!(outcome, Outcome::Failed { stage: Stage::Body, .. }), "byte {nth}: {outcome:?}");
        assert_eq!(server.seen(At::Dot), 0);
    }
}

#[tokio::test]
async fn a_connection_lost_at_any_byte_is_never_taken_for_acceptance() {
    for nth in (1..=200).step_by(13) {
        let (server, mut session) =
            started(Script::default().rule(Rule::at(At::Body(nth)).act(Act::Drop))).await;
        // A body this small is in the kernel's hands before the loss can be known.
        let outcome = send(&mut session).await;
        assert!(
            matches!(outcome, Outcome::Failed { .. } | Outcome::Unknown { .. }),
            "byte {nth}: {outcome:?}"
        );
        server.wait_closed(SOON).await;
        assert!(server.received().is_empty() && !session.is_usable());
    }
}

#[tokio::test]
async fn a_server_that_gives_up_in_the_body_is_heard() {
    let rule = Rule::at(At::Body(1000)).times(1).reply("552 5.3.4 too big");
    let (server, mut session) = started(Script::default().rule(rule)).await;
    let outcome = hand_over(&mut session, FROM, TO, &message(20 << 20), DotGate::now(|| Ok(()))).await;
    assert!(
        matches!(outcome, Outcome::Refused { stage: Stage::Body, code: 552, permanent: true, .. }),
        "{outcome:?}"
    );
    server.wait_closed(SOON).await;
    assert_eq!(server.seen(At::Dot), 0);
}

#[tokio::test]
async fn accepted_and_dropped_before_the_answer_is_unknown() {
    let (server, mut session) =
        started(Script::default().rule(Rule::at(At::Dot).act(Act::AcceptAndDrop))).await;
    let outcome = send(&mut session).await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    assert!(!outcome.is_definite_no() && !session.is_usable());
    let received = server.wait_for(1, SOON).await;
    assert!(received[0].answered_at.is_none());
}

#[tokio::test]
async fn a_tarpit_is_cut_by_the_clock_of_its_phase() {
    let shortened: [(At, Option<Stage>, Shorten); 4] = [
        (At::Mail, Some(Stage::Mail), |t| t.mail = BRIEFLY),
        (At::Rcpt, Some(Stage::Rcpt), |t| t.rcpt = BRIEFLY),
        (At::Data, Some(Stage::Data), |t| t.data = BRIEFLY),
        (At::Dot, None, |t| t.answer = BRIEFLY),
    ];
    for (at, stage, shorten) in shortened {
        for act in [Act::Stall, Act::Trickle(b"250 2.0.0 as slow as can be\r\n".to_vec(), BRIEFLY / 3)] {
            let mut timeouts = Timeouts::default();
            shorten(&mut timeouts);
            let (_server, mut session) =
                started_with(Script::default().rule(Rule::at(at).act(act)), timeouts).await;
            let outcome = send(&mut session).await;
            match (&outcome, stage) {
                (Outcome::Failed { detail, .. }, Some(_)) => assert_eq!(detail, "no answer in time"),
                (Outcome::Unknown { detail }, None) => assert_eq!(detail, "no answer in time"),
                _ => panic!("{at:?}: {outcome:?}"),
            }
            assert_eq!(stage_of(&outcome), stage);
        }
    }
}

#[tokio::test]
async fn a_body_nobody_reads_is_a_definite_no() {
    let timeouts = Timeouts { block: BRIEFLY, noop: BRIEFLY, ..Timeouts::default() };
    let rule = Rule::at(At::Data).act(Act::Reply(b"354 go on\r\n".to_vec()));
    let script =
        Script::default().rule(rule).rule(Rule::at(At::Body(1)).act(Act::Trickle(vec![b'2'; 1 << 20], SOON)));
    let (server, mut session) = started_with(script, timeouts).await;
    let outcome = hand_over(&mut session, FROM, TO, &message(20 << 20), DotGate::now(|| Ok(()))).await;
    assert!(matches!(outcome, Outcome::Failed { stage: Stage::Body, .. }), "{outcome:?}");
    assert_eq!(server.seen(At::Dot), 0);
}

#[tokio::test]
async fn an_endless_answer_is_cut_and_its_code_counts_if_it_was_said() {
    let long = |start: &str| [start.as_bytes(), &vec![b'x'; 10 << 20], b"\r\n"].concat();
    for (at, reply, expected) in [
        (At::Dot, long("250 2.0.0 "), "Accepted"),
        (At::Dot, long("550 5.7.1 "), "Refused"),
        (At::Dot, long("250-"), "Unknown"),
        (At::Dot, b"250-and\r\n".repeat(1 << 20), "Unknown"),
        (At::Rcpt, long("550 5.1.1 "), "Refused"),
        (At::Rcpt, long("550-"), "Failed"),
        (At::Rcpt, long("250 "), "Failed"),
    ] {
        let (_server, mut session) =
            started(Script::default().rule(Rule::at(at).act(Act::Reply(reply)))).await;
        let outcome = send(&mut session).await;
        let told = format!("{outcome:?}");
        assert!(told.starts_with(expected) && !told.contains("in time"), "{expected}: {told}");
        if let Outcome::Accepted { reply, .. } | Outcome::Refused { reply, .. } = &outcome {
            assert!(reply.len() <= 512);
        }
        assert!(!session.is_usable());
    }
}

#[tokio::test]
async fn an_answer_that_is_not_utf8_still_counts() {
    for (at, reply, expected) in [
        (At::Dot, b"250 accept\xe9 \0\r\n".as_slice(), "Accepted"),
        (At::Dot, b"250\r\n", "Accepted"),
        (At::Dot, b"250 bare\n", "Accepted"),
        (At::Dot, b"554 refus\xe9\r\n", "Refused"),
        (At::Rcpt, b"550 refus\xe9\r\n", "Refused"),
        (At::Dot, b"what?\r\n", "Unknown"),
        (At::Rcpt, b"what?\r\n", "Failed"),
    ] {
        let rule = Rule::at(at).act(Act::Reply(reply.to_vec()));
        let (_server, mut session) = started(Script::default().rule(rule)).await;
        let outcome = format!("{:?}", send(&mut session).await);
        assert!(outcome.starts_with(expected) && !outcome.contains("\\0"), "{expected}: {outcome}");
    }
}

#[tokio::test]
async fn an_answer_out_of_turn_is_never_taken_for_acceptance() {
    let rule = Rule::at(At::Data).act(Act::Reply(b"354 go on\r\n250 2.0.0 already queued\r\n".to_vec()));
    let (server, mut session) = started(Script::default().rule(rule)).await;
    let outcome = send(&mut session).await;
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    server.wait_closed(SOON).await;
    assert_eq!(server.seen(At::Dot), 0);

    let rule = Rule::at(At::Data).reply("250 ok");
    let (_server, mut session) = started(Script::default().rule(rule)).await;
    assert!(matches!(send(&mut session).await, Outcome::Failed { stage: Stage::Data, .. }));
}

#[tokio::test]
async fn what_could_end_a_message_early_never_reaches_the_server() {
    let (server, mut session) = started(Script::default()).await;
    let long = [b"x: ".as_slice(), &[b'y'; 1000], b"\r\n"].concat();
    for hostile in [b"a\n.\nb".as_slice(), b"a\n.\r\nMAIL", b"a\r.\r\n", b"a\r\n.\r", b"nul\0", b"\n", &long]
    {
        let outcome = hand_over(&mut session, FROM, TO, hostile, DotGate::now(|| Ok(()))).await;
        assert!(
            matches!(outcome, Outcome::Refused { stage: Stage::Prepare, permanent: true, .. }),
            "{outcome:?}"
        );
    }
    for (from, to) in [(FROM, "b@c.de>\r\nDATA\r\n"), (FROM, "b@c.de> SIZE=1"), ("a@b.c\r\nx", TO), ("", TO)]
    {
        let outcome = hand_over(&mut session, from, to, &message(100), DotGate::now(|| Ok(()))).await;
        assert!(matches!(outcome, Outcome::Refused { stage: Stage::Prepare, code: 553, .. }), "{outcome:?}");
    }
    assert_eq!(server.seen(At::Mail), 0);
    assert!(accepted(&send(&mut session).await));
}

#[tokio::test]
async fn what_a_server_cannot_carry_is_refused_before_it_is_asked() {
    for (ascii_only, expected) in [(true, "Refused"), (false, "Accepted")] {
        let (_server, mut session) = started(Script { ascii_only, ..Script::default() }).await;
        for (to, bytes) in
            [("ünï@example.com", message(100)), (TO, "Subject: ü\r\n\r\nü\r\n".as_bytes().to_vec())]
        {
            let outcome = hand_over(&mut session, FROM, to, &bytes, DotGate::now(|| Ok(()))).await;
            assert!(format!("{outcome:?}").starts_with(expected), "{outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_hand_over_that_is_dropped_leaves_a_session_nobody_uses() {
    let (server, mut session) = started(Script::default().rule(Rule::at(At::Dot).act(Act::Stall))).await;
    let cut = tokio::time::timeout(BRIEFLY, send(&mut session)).await;
    assert!(cut.is_err() && !session.is_usable());
    assert!(matches!(send(&mut session).await, Outcome::Failed { stage: Stage::Prepare, .. }));
    drop(session);
    server.wait_closed(SOON).await;
}
