//! What the provider says of messages on their way (S2-35, F64): believed if signed, proof first, forward only.

use crate::support::desk::{Desk, START};
use crate::support::engine::{BOTH, On};
use crate::support::phones::{NUMBER, PUBLIC, TOKEN, begun, by, desk, post, post_as, request, sign, status};
use axum::body::Body;
use axum::http::Request;
use sendwright_worker::callbacks;
use sendwright_workflows::callback::signature;
use sendwright_workflows::clock::{DAY, HOUR, MINUTE, SECOND};
use sendwright_workflows::receipt::ATTEMPT;
use sendwright_workflows::sequence::Channel::{Sms, Whatsapp};
use sendwright_workflows::signing::{Secret, sign_hex};
use serde_json::Value;
use tower::ServiceExt;

const PATH: &str = "/webhooks/status";
const RECEIVED: &str = r#"{"status":"received"}"#;

/// Where the provider was told to call about an attempt.
fn about(desk: &Desk, attempt: i64) -> String {
    let token = sign_hex(&Secret::new([42; 32]), ATTEMPT, desk.world.ctx.store.epoch(), &[attempt]);
    format!("{PATH}?attempt={token}")
}

async fn says(desk: &Desk, path: &str, sid: &str, word: &str, code: &str) {
    let (status, headers, answer) = post(desk, path, &status(sid, word, code)).await;
    assert_eq!((status, answer.as_str()), (200, RECEIVED));
    assert_eq!(headers["content-type"], "application/json");
}

async fn act(desk: &Desk) -> usize {
    callbacks::pass(&desk.world.ctx, desk.now()).await.unwrap()
}

/// Two people got a text: attempt n is of message n, and SMn is what the provider calls it.
async fn sent(on: On) -> Desk {
    let desk = begun(on, &[by(Sms, 1, 0), by(Sms, 2, 1)]).await;
    desk.run("UPDATE attempts SET provider_id = 'SM' || message_id").await;
    desk
}

const STANDING: &str =
    "SELECT state || ' ' || COALESCE(provider_status, '-') || ' ' || COALESCE(provider_code, 0) || ' '
     || COALESCE(delivered_at, 0) FROM messages WHERE step_number = 1 ORDER BY id";

/// S2-35.
#[tokio::test]
async fn a_delivery_is_found_by_its_attempt_or_by_what_the_provider_calls_it() {
    for on in BOTH {
        let desk = sent(on).await;
        let attempt = desk.number("SELECT id FROM attempts WHERE message_id = 1").await;
        says(&desk, &about(&desk, attempt), "SM77", "delivered", "").await;
        says(&desk, PATH, "SM2", "delivered", "").await;
        assert_eq!(act(&desk).await, 2);
        let at = START + MINUTE;
        assert_eq!(desk.texts(STANDING).await, vec![format!("delivered delivered 0 {at}"); 2]);
        assert_eq!(desk.number("SELECT COUNT(*) FROM callbacks").await, 0);
        let told =
            desk.texts("SELECT data FROM events WHERE kind = 'sms.delivered' ORDER BY message_id").await;
        let data: Value = serde_json::from_str(&told[1]).unwrap();
        assert_eq!((&data["phone"], &data["provider_id"]), (&"+14155550002".into(), &"SM2".into()), "{data}");
    }
}

/// F64, A28: whatever order they come in, and however often, the end is the same.
#[tokio::test]
async fn callbacks_in_any_order_and_number_come_to_the_same_end() {
    let orders: [&[&str]; 6] = [
        &["queued", "sent", "delivered"],
        &["delivered", "sent", "queued"],
        &["sent", "sent", "delivered", "delivered", "sent"],
        &["delivered", "queued", "undelivered", "failed", "delivered"],
        &["queued", "odd", "delivered", "", "canceled"],
        &["delivered"],
    ];
    for on in BOTH {
        for (batched, order) in [true, false].into_iter().flat_map(|b| orders.map(|order| (b, order))) {
            let desk = sent(on).await;
            for word in order.iter().filter(|word| !word.is_empty()) {
                says(&desk, PATH, "SM1", word, "").await;
                if !batched {
                    act(&desk).await;
                }
            }
            act(&desk).await;
            let standing = desk.texts(STANDING).await;
            assert_eq!(standing[0], format!("delivered delivered 0 {}", START + MINUTE), "{on:?} {order:?}");
            let told =
                desk.texts("SELECT kind FROM events WHERE kind IN ('sms.delivered', 'sms.bounced')").await;
            assert_eq!(told, ["sms.delivered"], "{on:?} {order:?}");
        }
    }
}

#[tokio::test]
async fn what_is_read_was_delivered() {
    for on in BOTH {
        let desk = begun(on, &[by(Whatsapp, 1, 0)]).await;
        desk.run("UPDATE attempts SET provider_id = 'SM' || message_id").await;
        for word in ["read", "delivered", "sent"] {
            says(&desk, PATH, "SM1", word, "").await;
        }
        act(&desk).await;
        assert_eq!(desk.texts(STANDING).await[0], format!("delivered read 0 {}", START + MINUTE));
        let told = desk.texts("SELECT kind FROM events WHERE message_id = 1 ORDER BY kind").await;
        assert_eq!(told, ["whatsapp.delivered", "whatsapp.opened", "whatsapp.sent"]);
    }
}

/// 30007 is kept and forbids nothing; 30005 says that the number is bad; 21610 that its owner has said STOP.
#[tokio::test]
async fn a_failure_is_kept_with_its_code_and_what_follows_from_it() {
    for on in BOTH {
        for (word, code, held, ends) in [
            ("undelivered", "30007", vec![], "active"),
            ("failed", "30005", vec!["sms bounced provider"], "stopped"),
            ("undelivered", "21610", vec!["sms stop provider", "whatsapp stop provider"], "stopped"),
            ("failed", "abc", vec![], "active"),
        ] {
            let mut desk = sent(on).await;
            says(&desk, PATH, "SM1", word, code).await;
            act(&desk).await;
            let number: i64 = code.parse().unwrap_or_default();
            assert_eq!(desk.texts(STANDING).await[0], format!("bounced {word} {number} 0"), "{on:?} {code}");
            let suppressed =
                "SELECT channel || ' ' || why || ' ' || source FROM suppressions ORDER BY channel";
            assert_eq!(desk.texts(suppressed).await, held, "{on:?} {code}");
            assert_eq!(desk.texts("SELECT state FROM enrolments WHERE contact_id = 1").await, [ends]);
            let told = desk.texts("SELECT data FROM events WHERE kind = 'sms.bounced'").await;
            let data: Value = serde_json::from_str(&told[0]).unwrap();
            assert_eq!(data["code"].as_i64().unwrap_or_default(), number, "{data}");
            assert_eq!(data["permanent"], ends == "stopped", "{data}");
            desk.until(START + 3 * HOUR).await;
            let got = desk.number("SELECT COUNT(*) FROM mailbox WHERE recipient = '+14155550001'").await;
            assert_eq!(got, if ends == "active" { 2 } else { 1 }, "{on:?} {code}");
        }
    }
}

/// SEND_PROTOCOL 16: a callback for an attempt first performs its T3 as proof.
#[tokio::test]
async fn a_callback_proves_that_an_uncertain_message_was_accepted() {
    for on in BOTH {
        for (word, ends) in [
            ("queued", "accepted queued"),
            ("delivered", "delivered delivered"),
            ("undelivered", "bounced undelivered"),
        ] {
            let desk = sent(on).await;
            desk.run("UPDATE messages SET state = 'uncertain', accepted_at = NULL WHERE id = 1").await;
            desk.run("UPDATE attempts SET state = 'uncertain', provider_id = NULL WHERE message_id = 1")
                .await;
            desk.run("DELETE FROM events WHERE kind = 'sms.sent' AND message_id = 1").await;
            let attempt = desk.number("SELECT id FROM attempts WHERE message_id = 1").await;
            says(&desk, &about(&desk, attempt), "SM1", word, "").await;
            act(&desk).await;
            assert!(desk.texts(STANDING).await[0].starts_with(ends), "{on:?} {word}");
            assert_eq!(
                desk.texts("SELECT state || ' ' || provider_id FROM attempts WHERE message_id = 1").await,
                ["accepted SM1"]
            );
            assert_eq!(
                desk.number("SELECT COUNT(*) FROM events WHERE kind = 'sms.sent' AND message_id = 1").await,
                1
            );
        }
    }
}

/// F64: the callback is there before the answer to the request; its attempt is still open.
#[tokio::test]
async fn a_callback_that_comes_before_the_answer_is_the_answer() {
    for on in BOTH {
        let mut desk = sent(on).await;
        desk.run("UPDATE messages SET state = 'sending', accepted_at = NULL WHERE id = 1").await;
        desk.run("UPDATE attempts SET state = 'sending', provider_id = NULL WHERE message_id = 1").await;
        // By what the provider calls it nobody knows it yet: it waits.
        says(&desk, PATH, "SM1", "sent", "").await;
        assert_eq!(act(&desk).await, 0);
        let attempt = desk.number("SELECT id FROM attempts WHERE message_id = 1").await;
        says(&desk, &about(&desk, attempt), "SM1", "queued", "").await;
        assert_eq!(act(&desk).await, 1);
        assert!(desk.texts(STANDING).await[0].starts_with("accepted queued"));
        desk.until(START + MINUTE + 2 * SECOND).await;
        assert_eq!(act(&desk).await, 1);
        assert!(desk.texts(STANDING).await[0].starts_with("accepted sent"));
    }
}

/// F64: what is about nothing we know waits a day for it, and no longer.
#[tokio::test]
async fn a_callback_for_an_unknown_message_waits_a_day() {
    for on in BOTH {
        let mut desk = sent(on).await;
        says(&desk, PATH, "SM_late", "delivered", "").await;
        says(&desk, PATH, "SM_never", "delivered", "").await;
        let mut looked = 0;
        for minute in 1..23 * 60 {
            desk.world.clock.set(START + MINUTE + minute * MINUTE);
            looked += act(&desk).await;
        }
        assert_eq!((looked, desk.number("SELECT COUNT(*) FROM callbacks").await), (0, 2));
        assert!(desk.number("SELECT MAX(tries) FROM callbacks").await < 200);
        desk.run("UPDATE attempts SET provider_id = 'SM_late' WHERE message_id = 2").await;
        desk.until(START + MINUTE + DAY).await;
        act(&desk).await;
        assert_eq!(desk.texts(STANDING).await[1], format!("delivered delivered 0 {}", START + MINUTE));
        desk.until(START + DAY + HOUR).await;
        act(&desk).await;
        assert_eq!(desk.number("SELECT COUNT(*) FROM callbacks").await, 0, "{on:?}");
    }
}

/// A28: who signs for another Twilio account moves nothing, also with a true SID or a true token.
#[tokio::test]
async fn a_callback_that_another_account_signs_moves_nothing() {
    for on in BOTH {
        let desk = sent(on).await;
        let sealed = desk
            .world
            .ctx
            .seals
            .seal(sendwright_store::sending_profiles::TWILIO, 1_000, "mallory's")
            .unwrap();
        let sql = format!(
            "INSERT INTO sending_profiles (id, account_id, name, channel, transport, twilio_account_sid, twilio_sealed, created_at, updated_at)
             VALUES (1000, {}, 'texts', 'sms', 'twilio', 'AC00000000000000000000000000000001', '{sealed}', 1, 1)",
            desk.world.account
        );
        desk.run(sql.leak()).await;
        for path in [PATH.to_owned(), about(&desk, 1)] {
            let form = status("SM1", "undelivered", "21610");
            let signed = signature("mallory's", &format!("{PUBLIC}{path}"), form.iter().copied());
            assert_eq!(post_as(&desk, &path, &form, Some(&signed)).await.0, 200);
        }
        assert_eq!(act(&desk).await, 2);
        assert!(desk.texts(STANDING).await[0].starts_with("accepted"));
        assert_eq!(desk.number("SELECT COUNT(*) FROM suppressions").await, 0);
        assert_eq!(desk.number("SELECT COUNT(*) FROM callbacks").await, 0);
    }
}

/// A27, ATTACKS 4.8.
#[tokio::test]
async fn what_is_no_signed_callback_is_refused_and_kept_nowhere() {
    let desk = sent(On::Sqlite).await;
    let form = status("SM1", "delivered", "");
    let good = signature(TOKEN, &format!("{PUBLIC}{PATH}"), form.iter().copied());
    for (path, signed) in
        [(PATH, None), (PATH, Some("x")), ("/webhooks/status?attempt=1", Some(good.as_str()))]
    {
        assert_eq!(post_as(&desk, path, &form, signed).await.0, 403, "{path} {signed:?}");
    }
    let json = Request::post(PATH).header("content-type", "application/json").body(Body::from("{}")).unwrap();
    assert_eq!(desk.send(json).await.0, 415);
    let (code, _, answer) = post(&desk, PATH, &[("To", NUMBER)]).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((code, answer["details"]["errors"].as_array().unwrap().len()), (400, 2), "{answer}");
    assert_eq!(desk.number("SELECT COUNT(*) FROM callbacks").await, 0);
    // A token that is none, and unknown words and fields, are no fault of the caller's.
    let mut odd = status("SM1", "Partially_Delivered", "99999999999999999999");
    odd.push(("Unknown", "\0"));
    assert_eq!(post(&desk, "/webhooks/status?attempt=zz", &odd).await.0, 200);
    act(&desk).await;
    assert!(desk.texts(STANDING).await[0].starts_with("accepted partially_delivered 0"));
}

/// S2-38: callbacks are not counted against any limit; each that is answered is on disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_callbacks_is_taken_whole() {
    for on in BOTH {
        let desk = desk(on).await;
        let routes = sendwright_api::router(desk.state.clone());
        let burst = (0..2_000).map(|n| {
            let sid = format!("SM{n}");
            let form = status(&sid, "sent", "");
            let request = request(PATH, &form, Some(&sign(PATH, &form)));
            let routes = routes.clone();
            tokio::spawn(async move { routes.oneshot(request).await.unwrap().status().as_u16() })
        });
        for answered in burst.collect::<Vec<_>>() {
            assert_eq!(answered.await.unwrap(), 200);
        }
        assert_eq!(desk.number("SELECT COUNT(*) FROM callbacks").await, 2_000, "{on:?}");
    }
}
