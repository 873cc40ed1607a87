//! Mail that comes back: kept, matched, and acted on once; a reply ends a sequence, a bounce suppresses.

use crate::support::desk::{Desk, START};
use crate::support::engine::{BOTH, Lead, On, step};
use axum::body::Body;
use axum::http::Request;
use sendwright_worker::inbound;
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{HOUR, MINUTE};
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::sequence::Delay;
use sendwright_workflows::signing::{Secret, sign_hex};
use serde_json::Value;

/// Two people, two steps an hour apart; the first has gone out.
pub async fn begun(on: On) -> Desk {
    let mut desk = Desk::new(on).await;
    let profile = desk.world.profile("main", &Rates::default()).await;
    let steps = [step(1, Delay::default()), step(2, Delay { hours: 1, ..Delay::default() })];
    let campaign = desk.world.campaign("Spring", profile, &Policy::default(), &steps).await;
    let leads = [0, 1].map(|n| Lead { email: format!("p{n}@example.org"), zone: None });
    desk.world.enrol(campaign, &leads).await;
    desk.until(START + MINUTE).await;
    assert_eq!(desk.number("SELECT COUNT(*) FROM messages WHERE state = 'accepted'").await, 2);
    desk
}

pub fn message_id(desk: &Desk, message: i64) -> String {
    format!("<m-{message}.{}@example.com>", desk.world.ctx.store.epoch())
}

/// An answer to a message.
fn reply(desk: &Desk, message: i64, from: &str, text: &str) -> String {
    let id = message_id(desk, message);
    format!(
        "From: Somebody <{from}>\r\nTo: sender@example.com\r\nSubject: Re: Subject 1\r\nMessage-ID: <a{message}@x>\r\n\
         In-Reply-To: {id}\r\nReferences: {id}\r\n\r\n{text}\r\n\r\nOn Thu, 15 Jan 2026, Ada wrote:\r\n\
         > Hi Ada, are you interested? unsubscribe here\r\n"
    )
}

/// A delivery report on a message.
fn report(desk: &Desk, message: i64, to: &str, action: &str, status: &str) -> String {
    let id = message_id(desk, message);
    format!(
        "From: MAILER-DAEMON@mx.example.org\r\nTo: sender@example.com\r\nSubject: Undelivered Mail\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n\
         Reporting-MTA: dns; mx.example.org\r\n\r\nFinal-Recipient: rfc822;\r\n {to}\r\nAction: {action}\r\n\
         Status: {status}\r\nDiagnostic-Code: smtp; 551 5.1.1 no\0body\r\n here\r\n\r\n\
         --b\r\nContent-Type: message/rfc822\r\n\r\nFrom: sender@example.com\r\nTo: {to}\r\nSubject: Subject 1\r\n\
         Message-ID: {id}\r\n\r\nHi\r\n--b--\r\n"
    )
}

/// Posts a message and has it understood.
pub async fn post(desk: &Desk, raw: impl Into<Vec<u8>>) -> (u16, Value) {
    let answered = send(desk, "message/rfc822", raw).await;
    inbound::pass(&desk.world.ctx, desk.now()).await.unwrap();
    answered
}

async fn send(desk: &Desk, kind: &str, raw: impl Into<Vec<u8>>) -> (u16, Value) {
    let request =
        Request::post("/api/v1/inbound").header("x-api-key", &desk.key).header("content-type", kind);
    let (status, _, text) = desk.send(request.body(Body::from(raw.into())).unwrap()).await;
    (status, serde_json::from_str(&text).unwrap())
}

/// S0-32, SEND_PROTOCOL 4.
#[tokio::test]
async fn a_reply_stops_its_sequence_and_no_other() {
    for on in BOTH {
        let mut desk = begun(on).await;
        let (status, body) = post(&desk, reply(&desk, 1, "p0@example.org", "Sounds good, call me.")).await;
        assert_eq!((status, body["duplicate"].as_bool()), (202, Some(false)), "{body}");
        desk.until(START + 3 * HOUR).await;
        assert_eq!(
            desk.texts("SELECT contact_id || ' ' || state FROM enrolments ORDER BY id").await,
            ["1 stopped", "2 completed"]
        );
        assert_eq!(
            desk.texts("SELECT reason FROM enrolments WHERE contact_id = 1").await,
            [r#"{"code":"replied"}"#]
        );
        assert_eq!(desk.number("SELECT COUNT(*) FROM mailbox WHERE recipient = 'p0@example.org'").await, 1);
        assert_eq!(desk.number("SELECT COUNT(*) FROM mailbox WHERE recipient = 'p1@example.org'").await, 2);
        let told = desk.texts("SELECT data FROM events WHERE kind = 'reply.received'").await;
        let data: Value = serde_json::from_str(&told[0]).unwrap();
        for (name, value) in [
            ("business_name", "Acme"),
            ("email", "p0@example.org"),
            ("reply_date", "2026-01-15T10:31:00.000Z"),
            ("sentiment", "positive"),
            ("classification", "positive"),
            ("snippet", "Sounds good, call me."),
        ] {
            assert_eq!(data[name], value, "{data}");
        }
        let (_, shown) =
            desk.call("GET", &format!("/api/v1/inbound/{}", body["id"].as_str().unwrap()), None).await;
        assert_eq!((&shown["status"], &shown["kind"]), (&Value::from("understood"), &Value::from("reply")));
        let (_, explained) = desk.call("GET", "/api/v1/leads/1/explain", None).await;
        assert!(explained.to_string().contains("answered"), "{explained}");
    }
}

#[tokio::test]
async fn the_same_mail_twice_is_one_and_its_effect_is_too() {
    for on in BOTH {
        let desk = begun(on).await;
        let raw = reply(&desk, 1, "p0@example.org", "No thanks");
        let (_, first) = send(&desk, "message/rfc822", raw.clone()).await;
        let (status, second) = post(&desk, raw.clone()).await;
        assert_eq!((status, &second["id"], &second["duplicate"]), (202, &first["id"], &Value::from(true)));
        post(&desk, raw).await;
        assert_eq!(desk.number("SELECT COUNT(*) FROM inbound").await, 1);
        assert_eq!(desk.number("SELECT COUNT(*) FROM events WHERE kind = 'reply.received'").await, 1);
    }
}

/// What waits at the very instant of a reply is not handed over, whoever had claimed it.
#[tokio::test]
async fn a_claimed_or_released_message_does_not_pass_its_intent_after_a_reply() {
    for on in BOTH {
        let mut desk = begun(on).await;
        desk.until(START + HOUR - MINUTE).await;
        post(&desk, reply(&desk, 1, "p0@example.org", "Who are you?")).await;
        assert_eq!(desk.number("SELECT COUNT(*) FROM messages WHERE step_number = 2").await, 0);
        // A hand in the database that brings the enrolment back: the fact of the reply still forbids.
        desk.run(
            "UPDATE enrolments SET state = 'active', reason = NULL, next_run_at = 0 WHERE contact_id = 1",
        )
        .await;
        desk.until(START + 3 * HOUR).await;
        assert_eq!(desk.number("SELECT COUNT(*) FROM mailbox WHERE recipient = 'p0@example.org'").await, 1);
        assert_eq!(desk.texts("SELECT state FROM enrolments WHERE contact_id = 1").await, ["stopped"]);
    }
}

#[tokio::test]
async fn a_text_that_waits_is_cancelled_by_a_reply_and_one_that_is_due_by_its_intent() {
    for on in BOTH {
        let mut desk = begun(on).await;
        desk.until(START + HOUR - 3_000).await;
        assert_eq!(
            desk.texts("SELECT state FROM messages WHERE step_number = 2").await,
            ["drafted", "drafted"]
        );
        post(&desk, reply(&desk, 1, "p0@example.org", "Hello?")).await;
        // As if the other's reply committed between the claim and the intent: only the fact is there.
        desk.run("UPDATE enrolments SET replied_at = 1 WHERE contact_id = 2").await;
        assert_eq!(
            desk.texts("SELECT state FROM messages WHERE step_number = 2 ORDER BY contact_id").await,
            ["cancelled", "drafted"]
        );
        desk.until(START + 3 * HOUR).await;
        assert_eq!(
            desk.texts("SELECT state FROM messages WHERE step_number = 2").await,
            ["cancelled", "cancelled"]
        );
        assert_eq!(desk.number("SELECT COUNT(*) FROM mailbox").await, 2);
        let reasons = desk.texts("SELECT reasons FROM messages WHERE step_number = 2").await;
        assert!(reasons.iter().all(|reasons| reasons.contains("replied")), "{reasons:?}");
    }
}

/// A receipt is no answer, and neither is a copy of our own letter, which answers the step before it.
#[tokio::test]
async fn what_no_person_wrote_stops_nothing() {
    let desk = begun(On::Sqlite).await;
    let answer = reply(&desk, 1, "p0@example.org", "Your message was read.");
    let receipt = "Content-Type: multipart/report; report-type=disposition-notification; boundary=b\r\n";
    post(&desk, format!("{receipt}{answer}")).await;
    post(&desk, answer.replace("<a1@x>", &message_id(&desk, 2))).await;
    assert_eq!(desk.texts("SELECT DISTINCT kind FROM inbound").await, ["other"]);
    assert_eq!(desk.texts("SELECT DISTINCT state FROM enrolments").await, ["active"]);
}

#[tokio::test]
async fn an_absence_note_stops_nothing() {
    for on in BOTH {
        let mut desk = begun(on).await;
        let note = format!(
            "Auto-Submitted: auto-replied\r\n{}",
            reply(&desk, 1, "p0@example.org", "I am interested in everything when I am back")
        );
        post(&desk, note).await;
        desk.until(START + 3 * HOUR).await;
        assert_eq!(desk.number("SELECT COUNT(*) FROM mailbox WHERE recipient = 'p0@example.org'").await, 2);
        assert_eq!(desk.texts("SELECT classification FROM inbound").await, ["out_of_office"]);
        assert_eq!(desk.number("SELECT COUNT(*) FROM enrolments WHERE replied_at IS NOT NULL").await, 0);
    }
}

#[tokio::test]
async fn an_opt_out_by_answer_suppresses_the_address_the_message_went_to() {
    for on in BOTH {
        let desk = begun(on).await;
        post(&desk, reply(&desk, 1, "p0@example.org", "Please remove me from your list.")).await;
        let held = "SELECT why || ' ' || source || ' ' || hint FROM suppressions";
        assert_eq!(desk.texts(held).await, ["opt_out reply p…@example.org"]);
        assert_eq!(desk.number("SELECT COUNT(*) FROM consents WHERE source = 'reply'").await, 1);
        assert_eq!(desk.number("SELECT COUNT(*) FROM events WHERE kind = 'contact.opted_out'").await, 1);
        assert_eq!(desk.texts("SELECT state FROM enrolments WHERE contact_id = 1").await, ["stopped"]);
    }
}

/// A31: who knows a Message-ID can guess the next one's; that opts nobody else out.
#[tokio::test]
async fn a_stranger_opts_nobody_out_and_a_token_does() {
    for on in BOTH {
        let desk = begun(on).await;
        post(&desk, reply(&desk, 1, "mallory@evil.example", "unsubscribe")).await;
        assert_eq!(desk.number("SELECT COUNT(*) FROM suppressions").await, 0);
        let token = sign_hex(&Secret::new([42; 32]), inbound::REPLY, desk.world.ctx.store.epoch(), &[2]);
        let raw = format!(
            "From: other@example.net\r\nTo: Reply+{}@in.example.com\r\nSubject: stop it\r\n\r\nUnsubscribe\r\n",
            token.to_uppercase()
        );
        post(&desk, raw).await;
        assert_eq!(desk.texts("SELECT hint FROM suppressions").await, ["p…@example.org"]);
        assert_eq!(desk.texts("SELECT matched_by FROM inbound ORDER BY id").await, ["message_id", "token"]);
    }
}

/// RFC 2369: the mail that a List-Unsubscribe with a mailto asks for names no message.
#[tokio::test]
async fn an_unsubscribe_mail_opts_out_its_sender() {
    for on in BOTH {
        let desk = begun(on).await;
        post(&desk, "From: P1@Example.org\r\nTo: sender@example.com\r\nSubject: unsubscribe\r\n\r\n\r\n")
            .await;
        post(&desk, "From: nobody@example.org\r\nTo: sender@example.com\r\nSubject: unsubscribe\r\n\r\n\r\n")
            .await;
        assert_eq!(desk.texts("SELECT kind FROM inbound ORDER BY id").await, ["opt_out", "other"]);
        assert_eq!(desk.number("SELECT COUNT(*) FROM suppressions").await, 1);
        assert_eq!(desk.texts("SELECT state FROM enrolments WHERE contact_id = 2").await, ["stopped"]);
    }
}

/// RFC 3464.
#[tokio::test]
async fn a_permanent_report_bounces_suppresses_and_stops() {
    for on in BOTH {
        let mut desk = begun(on).await;
        post(&desk, report(&desk, 1, "p0@example.org", "failed", "5.1.1")).await;
        desk.until(START + 3 * HOUR).await;
        assert_eq!(desk.texts("SELECT state FROM messages WHERE id = 1").await, ["bounced"]);
        assert_eq!(desk.texts("SELECT why || ' ' || source FROM suppressions").await, ["bounced report"]);
        assert_eq!(desk.texts("SELECT state FROM enrolments ORDER BY id").await, ["stopped", "completed"]);
        let told = desk.texts("SELECT data FROM events WHERE kind = 'email.bounced'").await;
        let data: Value = serde_json::from_str(&told[0]).unwrap();
        assert_eq!((&data["reply"], &data["permanent"]), (&Value::from(551), &Value::from(true)), "{data}");
        assert_eq!(data["detail"], "551 5.1.1 nobody here");
        post(&desk, report(&desk, 1, "p0@example.org", "failed", "5.1.2")).await;
        assert_eq!(desk.number("SELECT COUNT(*) FROM events WHERE kind = 'email.bounced'").await, 1);
    }
}

#[tokio::test]
async fn a_delay_does_nothing_and_a_passing_failure_suppresses_nobody() {
    for on in BOTH {
        let mut desk = begun(on).await;
        post(&desk, report(&desk, 1, "p0@example.org", "delayed", "4.4.1")).await;
        assert_eq!(desk.texts("SELECT state FROM messages WHERE id = 1").await, ["accepted"]);
        assert_eq!(desk.texts("SELECT kind FROM inbound").await, ["delay"]);
        post(&desk, report(&desk, 1, "p0@example.org", "failed", "4.4.7")).await;
        desk.until(START + 3 * HOUR).await;
        assert_eq!(desk.texts("SELECT state FROM messages WHERE id = 1").await, ["bounced"]);
        assert_eq!(desk.number("SELECT COUNT(*) FROM suppressions").await, 0);
        assert_eq!(desk.texts("SELECT DISTINCT state FROM enrolments").await, ["completed"]);
    }
}

/// Only a report that names a message of ours, and whom that went to, is acted on.
#[tokio::test]
async fn a_forged_report_moves_nothing() {
    for on in BOTH {
        let desk = begun(on).await;
        let forged = [
            report(&desk, 1, "p1@example.org", "failed", "5.1.1"),
            report(&desk, 77, "p0@example.org", "failed", "5.1.1"),
            report(&desk, 1, "p0@example.org", "failed", "5.1.1")
                .replace(desk.world.ctx.store.epoch(), "0000"),
            report(&desk, 1, "p0@example.org", "failed", "5.1.1")
                .replace("multipart/report", "multipart/mixed"),
        ];
        for raw in forged {
            assert_eq!(post(&desk, raw).await.0, 202);
        }
        assert_eq!(desk.number("SELECT COUNT(*) FROM messages WHERE state = 'accepted'").await, 2);
        assert_eq!(desk.number("SELECT COUNT(*) FROM suppressions").await, 0);
        assert_eq!(desk.number("SELECT COUNT(*) FROM events WHERE kind = 'email.bounced'").await, 0);
    }
}

/// SEND_PROTOCOL 9: late proof always resolves it.
#[tokio::test]
async fn an_answer_or_a_report_proves_that_an_uncertain_message_was_accepted() {
    for on in BOTH {
        let desk = begun(on).await;
        desk.run("UPDATE messages SET state = 'uncertain', accepted_at = NULL").await;
        desk.run("UPDATE attempts SET state = 'uncertain'").await;
        desk.run("DELETE FROM events WHERE kind = 'email.sent'").await;
        post(&desk, reply(&desk, 1, "p0@example.org", "Hello?")).await;
        post(&desk, report(&desk, 2, "p1@example.org", "failed", "5.1.1")).await;
        assert_eq!(desk.texts("SELECT state FROM messages ORDER BY id").await, ["accepted", "bounced"]);
        assert_eq!(desk.texts("SELECT DISTINCT state FROM attempts").await, ["accepted"]);
        assert_eq!(desk.number("SELECT COUNT(*) FROM events WHERE kind = 'email.sent'").await, 2);
    }
}

#[tokio::test]
async fn what_is_no_mail_is_refused_and_what_is_too_large_too() {
    let desk = Desk::new(On::Sqlite).await;
    assert_eq!(send(&desk, "application/json", "{}").await.0, 415);
    assert_eq!(send(&desk, "message/rfc822", " \r\n").await.0, 400);
    assert_eq!(send(&desk, "message/rfc822", vec![b'a'; (10 << 20) + 1]).await.0, 413);
    let nobody = Request::post("/api/v1/inbound").header("content-type", "message/rfc822");
    assert_eq!(desk.send(nobody.body(Body::from("A: b\r\n\r\n")).unwrap()).await.0, 401);
    assert_eq!(desk.number("SELECT COUNT(*) FROM inbound").await, 0);
}

/// MIME bombs: nested, split and endless ones cost a bounded amount of work.
#[tokio::test]
async fn a_hostile_message_is_kept_and_set_aside() {
    let desk = begun(On::Sqlite).await;
    let nested = "Content-Type: message/rfc822\r\n\r\n".repeat(50_000);
    let mut deep = String::from("From: a@b.example\r\n");
    for n in 0..5_000 {
        deep.push_str(&format!("Content-Type: multipart/mixed; boundary={n}\r\n\r\n--{n}\r\n"));
    }
    let many = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}",
        "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n".repeat(100_000)
    );
    let line = format!("Subject: {}\r\n\r\n", "a".repeat(5 << 20));
    let header = format!("References: {}\r\n\r\nx", "<m-1.e@x> ".repeat(200_000));
    let began = std::time::Instant::now();
    for raw in [nested, deep, many, line, header, "\0\u{1}\r\r\n\n".into()] {
        assert_eq!(post(&desk, raw).await.0, 202);
    }
    assert_eq!(desk.texts("SELECT DISTINCT state || ' ' || kind FROM inbound").await, ["understood other"]);
    assert!(began.elapsed().as_secs() < 60);
}

#[tokio::test]
async fn another_accounts_message_is_not_found_by_its_id() {
    for on in BOTH {
        let desk = begun(on).await;
        desk.run("UPDATE messages SET account_id = 99").await;
        post(&desk, reply(&desk, 1, "p0@example.org", "Hello")).await;
        assert_eq!(desk.texts("SELECT kind FROM inbound").await, ["other"]);
        assert_eq!(desk.number("SELECT COUNT(*) FROM enrolments WHERE state = 'stopped'").await, 0);
    }
}
