//! Texts that people send (S2-34, S2-36 to S2-38): kept once, believed if signed; a STOP is obeyed once it is answered.

use crate::support::desk::{Desk, START};
use crate::support::engine::{BOTH, On};
use crate::support::phones::{self, NUMBER, PUBLIC, TOKEN, begun, by, number, post, post_as, text};
use axum::body::Body;
use axum::http::Request;
use sendwright_store::accounts;
use sendwright_worker::inbound;
use sendwright_workflows::callback::{SIGNATURE, signature};
use sendwright_workflows::clock::HOUR;
use sendwright_workflows::sequence::Channel::{Email, Sms, Whatsapp};
use serde_json::Value;

const PATH: &str = "/webhooks/inbound";
const TWIML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response></Response>";

/// A text from person 1.
async fn says(desk: &Desk, sid: &str, body: &str) {
    let from = number(1);
    let (status, headers, answer) = post(desk, PATH, &text(sid, &from, body)).await;
    assert_eq!((status, answer.as_str()), (200, TWIML));
    assert_eq!(headers["content-type"], "text/xml");
    inbound::pass(&desk.world.ctx, desk.now()).await.unwrap();
}

async fn two_texts(on: On) -> Desk {
    begun(on, &[by(Sms, 1, 0), by(Sms, 2, 1)]).await
}

/// S2-34.
#[tokio::test]
async fn a_text_is_kept_whole_and_once() {
    for on in BOTH {
        let desk = two_texts(on).await;
        let body = format!("{}\0 end", "\u{1f600}".repeat(1_600));
        for _ in 0..3 {
            says(&desk, "SM1", &body).await;
        }
        assert_eq!(desk.number("SELECT COUNT(*) FROM inbound").await, 1);
        let kept = desk
            .texts("SELECT channel || ' ' || sender || ' ' || recipient || ' ' || provider_id FROM inbound")
            .await;
        assert_eq!(kept, [format!("sms {} {NUMBER} SM1", number(1))]);
        assert_eq!(desk.texts("SELECT body FROM inbound").await, [body.replace('\0', "")]);
        // The form itself, with the fields that no column has.
        let raw: Vec<(Vec<u8>,)> = desk.world.rows("SELECT raw FROM inbound").await;
        assert!(
            String::from_utf8_lossy(&raw[0].0).contains("FromCity=&")
                || String::from_utf8_lossy(&raw[0].0).ends_with("FromCity=")
        );
        assert_eq!(desk.number("SELECT COUNT(*) FROM events WHERE kind = 'reply.received'").await, 1);
    }
}

/// A27: nothing is stored that nobody vouches for.
#[tokio::test]
async fn what_is_not_signed_by_whoever_sends_from_the_number_is_not_believed() {
    for on in BOTH {
        let desk = two_texts(on).await;
        let from = number(1);
        let form = text("SM1", &from, "STOP");
        let sign =
            |token: &str, url: &str, fields: &[(&str, &str)]| signature(token, url, fields.iter().copied());
        let url = format!("{PUBLIC}{PATH}");
        let good = sign(TOKEN, &url, &form);
        let mut more = form.clone();
        more.push(("Body", "Hello"));
        let json =
            format!("{PATH}?bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620");
        type Case<'c> = (&'c str, &'c [(&'c str, &'c str)], Option<String>);
        let cases: [Case; 12] = [
            (PATH, &form, None),
            (PATH, &form, Some(String::new())),
            (PATH, &form, Some(good.to_lowercase())),
            (PATH, &form, Some(sign("another token", &url, &form))),
            (PATH, &form, Some(sign("", &url, &form))),
            (PATH, &form, Some(sign(TOKEN, &url.replace("https", "http"), &form))),
            (PATH, &form, Some(sign(TOKEN, &format!("http://127.0.0.1:8080{PATH}"), &form))),
            (PATH, &form, Some(sign(TOKEN, &format!("{url}?a=b"), &form))),
            (&format!("{PATH}?a=b"), &form, Some(good.clone())),
            (PATH, &more, Some(good.clone())),
            (PATH, &form[1..], Some(good.clone())),
            (&json, &form, Some(sign(TOKEN, &format!("{PUBLIC}{json}"), &[]))),
        ];
        for (path, fields, signed) in cases {
            let (status, _, answer) = post_as(&desk, path, fields, signed.as_deref()).await;
            assert_eq!(status, 403, "{path} {signed:?}: {answer}");
            let answer: Value = serde_json::from_str(&answer).unwrap();
            assert_eq!(answer["error"], "invalid_signature");
        }
        let twice = Request::post(PATH).header("content-type", "application/x-www-form-urlencoded");
        let twice =
            twice.header(SIGNATURE, &good).header(SIGNATURE, &good).body(Body::from("MessageSid=SM1"));
        assert_eq!(desk.send(twice.unwrap()).await.0, 403);
        assert_eq!(desk.number("SELECT COUNT(*) FROM inbound").await, 0);
        assert_eq!(desk.number("SELECT COUNT(*) FROM suppressions").await, 0);
        // The same with its query, its port, or repeated fields, signed as Twilio does, is believed.
        let path = format!("{PATH}?a=b&c=%20");
        let ported = sign(TOKEN, &format!("{PUBLIC}:443{path}"), &more);
        assert_eq!(post_as(&desk, &path, &more, Some(&ported)).await.0, 200);
        assert_eq!(desk.number("SELECT COUNT(*) FROM inbound").await, 1);
    }
}

/// ATTACKS 4.8.
#[tokio::test]
async fn what_is_no_form_of_a_text_is_refused() {
    let desk = two_texts(On::Sqlite).await;
    let json = Request::post(PATH).header("content-type", "application/json").body(Body::from("{}")).unwrap();
    assert_eq!(desk.send(json).await.0, 415);
    let (status, _, answer) = post(&desk, PATH, &[("Body", "Hi")]).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &answer["field"]), (400, &Value::from("MessageSid")), "{answer}");
    let large = "a".repeat(65 << 10);
    assert_eq!(post(&desk, PATH, &[("MessageSid", "SM9"), ("Body", &large)]).await.0, 413);
    let get = Request::get(PATH).body(Body::empty()).unwrap();
    assert_eq!(desk.send(get).await.0, 405);
    // Who writes from no number is kept, and bound by nothing.
    for (sid, from) in [("SM2", "Twilio"), ("SM3", "whatsapp:"), ("SM4", ""), ("SM5", "12345"), ("SM6", "+0")]
    {
        assert_eq!(post(&desk, PATH, &text(sid, from, "STOP")).await.0, 200, "{from}");
    }
    inbound::pass(&desk.world.ctx, desk.now()).await.unwrap();
    assert_eq!(desk.texts("SELECT DISTINCT state || ' ' || kind FROM inbound").await, ["understood other"]);
    assert_eq!(desk.number("SELECT COUNT(*) FROM suppressions").await, 0);
}

/// S2-34, C-22: STOP binds the number on every channel.
#[tokio::test]
async fn a_stop_ends_what_is_under_way_on_both_channels() {
    for on in BOTH {
        for word in ["STOP", "stopall.", " Unsubscribe", "CANCEL", "End!", "quit", "REVOKE", "OptOut"] {
            let mut desk = two_texts(on).await;
            says(&desk, "SM1", word).await;
            let held = "SELECT channel || ' ' || why || ' ' || source || ' ' || hint FROM suppressions ORDER BY channel";
            assert_eq!(
                desk.texts(held).await,
                ["sms stop inbound +1415…01", "whatsapp stop inbound +1415…01"]
            );
            assert_eq!(desk.texts("SELECT kind FROM inbound").await, ["opt_out"]);
            let enrolments = "SELECT state || ' ' || COALESCE(reason, '') FROM enrolments ORDER BY id";
            assert_eq!(
                desk.texts(enrolments).await,
                [r#"stopped {"code":"suppressed","why":"stop"}"#, "active "]
            );
            desk.until(START + 3 * HOUR).await;
            assert_eq!(
                desk.texts("SELECT recipient FROM mailbox ORDER BY id").await,
                [number(1), number(2), number(2)]
            );
            // It is told of the campaign whose text it answers.
            let told = "SELECT campaign_id || ' ' || message_id FROM events WHERE kind = 'contact.opted_out'";
            assert_eq!(desk.texts(told).await, ["1 1"]);
            let said = "SELECT DISTINCT state || ' ' || actor || ' ' || wording FROM consents WHERE source = 'inbound'";
            assert_eq!(desk.texts(said).await, [format!("stop recipient {word}")]);
        }
    }
}

#[tokio::test]
async fn what_waits_for_a_number_is_not_sent_after_its_stop() {
    for on in BOTH {
        let mut desk = begun(on, &[by(Sms, 1, 0), by(Whatsapp, 2, 1)]).await;
        desk.until(START + HOUR - 1).await;
        assert_eq!(
            desk.texts("SELECT DISTINCT state FROM messages WHERE step_number = 2").await,
            ["drafted"]
        );
        says(&desk, "SM1", "STOP").await;
        let states = "SELECT state FROM messages WHERE step_number = 2 ORDER BY enrolment_id";
        assert_eq!(desk.texts(states).await, ["suppressed", "drafted"]);
        let (_, explained) = desk.call("GET", "/api/v1/leads/1/explain", None).await;
        assert!(explained.to_string().contains("suppressed"), "{explained}");
        desk.until(START + 3 * HOUR).await;
        assert_eq!(desk.number("SELECT COUNT(*) FROM mailbox").await, 3);
    }
}

/// MESSAGING: a sequence of several channels passes over what cannot reach.
#[tokio::test]
async fn a_stop_leaves_the_letters_of_a_mixed_sequence() {
    for on in BOTH {
        let mut desk = begun(on, &[by(Sms, 1, 0), by(Sms, 2, 1), by(Email, 3, 1)]).await;
        says(&desk, "SM1", "STOP").await;
        assert_eq!(desk.texts("SELECT DISTINCT state FROM enrolments").await, ["active"]);
        desk.until(START + 4 * HOUR).await;
        let to = desk.texts("SELECT recipient FROM mailbox WHERE recipient LIKE '%1' OR recipient LIKE 'p1@%' ORDER BY received_at").await;
        assert_eq!(to, [number(1), "p1@example.org".to_owned()], "{on:?}");
    }
}

#[tokio::test]
async fn a_start_takes_a_number_back_in_and_an_old_stop_posted_again_does_nothing() {
    for on in BOTH {
        let desk = two_texts(on).await;
        says(&desk, "SM1", "STOP").await;
        says(&desk, "SM2", "Start").await;
        assert_eq!(desk.number("SELECT COUNT(*) FROM suppressions").await, 0);
        assert_eq!(desk.texts("SELECT DISTINCT state FROM consent_states").await, ["opt_in"]);
        assert_eq!(desk.number("SELECT COUNT(*) FROM events WHERE kind = 'contact.opted_in'").await, 1);
        // A28: a replay of a true callback.
        says(&desk, "SM1", "STOP").await;
        assert_eq!(desk.number("SELECT COUNT(*) FROM suppressions").await, 0);
        says(&desk, "SM3", "unstop").await;
        assert_eq!(desk.number("SELECT COUNT(*) FROM events WHERE kind = 'contact.opted_in'").await, 1);
    }
}

#[tokio::test]
async fn a_yes_is_an_answer_unless_the_number_was_stopped() {
    for on in BOTH {
        let desk = two_texts(on).await;
        says(&desk, "SM1", "Yes!").await;
        assert_eq!(desk.texts("SELECT kind FROM inbound").await, ["reply"]);
        says(&desk, "SM2", "STOP").await;
        says(&desk, "SM3", "YES").await;
        assert_eq!(
            desk.texts("SELECT kind FROM inbound ORDER BY provider_id").await,
            ["reply", "opt_out", "opt_in"]
        );
        assert_eq!(desk.number("SELECT COUNT(*) FROM suppressions").await, 0);
        says(&desk, "SM4", "HELP").await;
        assert_eq!(desk.texts("SELECT kind FROM inbound WHERE provider_id = 'SM4'").await, ["help"]);
    }
}

#[tokio::test]
async fn the_providers_own_reading_of_a_text_wins() {
    for on in BOTH {
        let desk = two_texts(on).await;
        let from = format!("whatsapp:{}", number(1));
        let mut form = text("SM1", &from, "ARRET");
        form.push(("OptOutType", "STOP"));
        assert_eq!(post(&desk, PATH, &form).await.0, 200);
        assert_eq!(desk.texts("SELECT channel || ' ' || kind FROM inbound").await, ["whatsapp opt_out"]);
        assert_eq!(desk.number("SELECT COUNT(*) FROM suppressions WHERE why = 'stop'").await, 2);
    }
}

/// S0-32 for texts.
#[tokio::test]
async fn any_other_text_is_a_reply_to_the_last_message_and_ends_its_sequence() {
    for on in BOTH {
        let mut desk = two_texts(on).await;
        says(&desk, "SM1", "Sounds good, call me.").await;
        desk.until(START + 3 * HOUR).await;
        assert_eq!(
            desk.texts("SELECT contact_id || ' ' || state FROM enrolments ORDER BY id").await,
            ["1 stopped", "2 completed"]
        );
        let told = desk.texts("SELECT data FROM events WHERE kind = 'reply.received'").await;
        let data: Value = serde_json::from_str(&told[0]).unwrap();
        for (name, value) in [
            ("phone", number(1).as_str()),
            ("channel", "sms"),
            ("sentiment", "positive"),
            ("classification", "positive"),
            ("snippet", "Sounds good, call me."),
            ("matched_by", "number"),
        ] {
            assert_eq!(data[name], value, "{data}");
        }
        let kept = desk.texts("SELECT kind || ' ' || message_id || ' ' || contact_id FROM inbound").await;
        assert_eq!(kept, ["reply 1 1"]);
    }
}

/// SEND_PROTOCOL 9: an answer proves that the only message there is was accepted.
#[tokio::test]
async fn an_answer_to_an_uncertain_text_proves_it() {
    for on in BOTH {
        let desk = two_texts(on).await;
        desk.run("UPDATE messages SET state = 'uncertain', accepted_at = NULL WHERE contact_id = 1").await;
        desk.run("UPDATE attempts SET state = 'uncertain' WHERE message_id = 1").await;
        says(&desk, "SM1", "Who is this?").await;
        assert_eq!(desk.texts("SELECT state FROM messages WHERE id = 1").await, ["accepted"]);
    }
}

#[tokio::test]
async fn who_asks_in_other_words_is_held_for_a_person_to_decide() {
    for on in BOTH {
        let mut desk = begun(on, &[by(Sms, 1, 0), by(Sms, 2, 1), by(Sms, 3, 1)]).await;
        says(&desk, "SM1", "Please remove me from your list").await;
        assert_eq!(desk.number("SELECT COUNT(*) FROM suppressions").await, 0);
        assert_eq!(desk.number("SELECT COUNT(*) FROM events WHERE kind = 'contact.asked_to_stop'").await, 1);
        desk.until(START + 6 * HOUR).await;
        let held =
            "SELECT state || ' ' || step_number FROM messages WHERE contact_id = 1 ORDER BY step_number";
        assert_eq!(desk.texts(held).await, ["accepted 1", "held 2"]);
        let reasons = desk.texts("SELECT reasons FROM messages WHERE state = 'held'").await;
        assert!(reasons[0].contains("asked_to_stop"), "{reasons:?}");
        assert_eq!(desk.texts("SELECT state FROM enrolments ORDER BY id").await, ["active", "completed"]);
        // The person at the desk lets it go on.
        let id = desk.number("SELECT id FROM messages WHERE state = 'held'").await;
        desk.release(id).await.unwrap();
        desk.until(START + 12 * HOUR).await;
        assert_eq!(desk.texts(held).await, ["accepted 1", "accepted 2", "accepted 3"]);
    }
}

/// What is drafted already, and what another campaign of theirs is about to send, waits too.
#[tokio::test]
async fn who_asks_gets_nothing_of_what_is_written_already() {
    for on in BOTH {
        let mut desk = two_texts(on).await;
        desk.until(START + HOUR - 1).await;
        says(&desk, "SM1", "leave me alone").await;
        assert_eq!(
            desk.texts("SELECT state FROM messages WHERE step_number = 2 ORDER BY enrolment_id").await,
            ["held", "drafted"]
        );
        desk.until(START + 3 * HOUR).await;
        assert_eq!(desk.number("SELECT COUNT(*) FROM mailbox").await, 3);
    }
}

/// A second account that sends by the same number has its own people; one with a Twilio account of its own is another.
async fn tenant(desk: &Desk, name: &str) -> i64 {
    let store = &desk.world.ctx.store;
    let owner = format!("{name}@example.com");
    accounts::create(store, name, &owner, "UTC", START).await.unwrap().id
}

#[tokio::test]
async fn a_stop_binds_every_account_that_sends_from_the_number_and_no_other() {
    for on in BOTH {
        let desk = two_texts(on).await;
        let (shared, apart) = (tenant(&desk, "shared").await, tenant(&desk, "apart").await);
        desk.run(
            "INSERT INTO sending_profiles (id, account_id, name, channel, transport, created_at, updated_at)
             SELECT 1000 + id, id, 'texts', 'sms', 'default', 1, 1 FROM accounts WHERE name = 'shared'",
        )
        .await;
        desk.run(
            "INSERT INTO sending_profiles (id, account_id, name, channel, transport, from_phone, created_at, updated_at)
             SELECT 1000 + id, id, 'texts', 'sms', 'twilio', '+15550002222', 1, 1 FROM accounts WHERE name = 'apart'",
        )
        .await;
        says(&desk, "SM1", "STOP").await;
        let bound: Vec<(i64, i64)> = desk
            .world
            .rows("SELECT account_id, COUNT(*) FROM suppressions GROUP BY account_id ORDER BY account_id")
            .await;
        assert_eq!(bound, [(desk.world.account, 2), (shared, 2)], "{on:?}: not {apart}");
        // The text is the account's whose message it answers, and nobody else's to read.
        let kept: Vec<(i64,)> = desk.world.rows("SELECT account_id FROM inbound").await;
        assert_eq!(kept, [(desk.world.account,)]);
        says(&desk, "SM2", "START").await;
        assert_eq!(desk.number("SELECT COUNT(*) FROM suppressions").await, 0);
    }
}

/// A28: an account's token vouches for its own senders alone, whatever number and account SID it names.
#[tokio::test]
async fn a_tenant_cannot_stop_another_ones_people() {
    for on in BOTH {
        let desk = two_texts(on).await;
        let mallory = tenant(&desk, "mallory").await;
        let id = 1_000 + mallory;
        let sealed = desk
            .world
            .ctx
            .seals
            .seal(sendwright_store::sending_profiles::TWILIO, id, "mallory's token")
            .unwrap();
        let sql = format!(
            "INSERT INTO sending_profiles (id, account_id, name, channel, transport, from_phone, twilio_account_sid, twilio_sealed, created_at, updated_at)
             VALUES ({id}, {mallory}, 'texts', 'sms', 'twilio', '{NUMBER}', 'AC00000000000000000000000000000001', '{sealed}', 1, 1)"
        );
        desk.run(sql.leak()).await;
        let from = number(1);
        let form = text("SM1", &from, "STOP");
        let signed = signature("mallory's token", &format!("{PUBLIC}{PATH}"), form.iter().copied());
        assert_eq!(post_as(&desk, PATH, &form, Some(&signed)).await.0, 200);
        let bound: Vec<(i64,)> = desk.world.rows("SELECT DISTINCT account_id FROM suppressions").await;
        assert_eq!(bound, [(mallory,)], "{on:?}");
        assert_eq!(desk.texts("SELECT DISTINCT state FROM enrolments").await, ["active"]);
        // The same text by the number's own account is the victim's own.
        says(&desk, "SM2", "STOP").await;
        assert_eq!(desk.number("SELECT COUNT(*) FROM suppressions").await, 4);
    }
}

#[tokio::test]
async fn a_text_to_a_number_that_nobody_sends_from_is_answered_and_bound_to_nobody() {
    let desk = two_texts(On::Sqlite).await;
    let from = number(1);
    let mut form = text("SM1", &from, "STOP");
    form[3].1 = "+15550009999";
    assert_eq!(post(&desk, PATH, &form).await.0, 200);
    assert_eq!(desk.number("SELECT COUNT(*) FROM inbound").await, 0);
    assert_eq!(desk.number("SELECT COUNT(*) FROM suppressions").await, 0);
}

/// C-10: the document's own samples, unsigned, where nobody is there who could sign them.
#[tokio::test]
async fn on_loopback_without_a_provider_the_samples_run_and_nowhere_else() {
    let mut desk = Desk::new(On::Sqlite).await;
    let sample = [
        ("MessageSid", "SM1234567890abcdef"),
        ("From", "whatsapp:+14155551234"),
        ("To", "whatsapp:+15551234567"),
        ("Body", "Hello, I need support"),
        ("NumMedia", "0"),
    ];
    assert_eq!(post_as(&desk, PATH, &sample, None).await.0, 403);
    desk.state = desk.state.clone().with_console(sendwright_api::Console::loopback(8080));
    let (status, _, answer) = post_as(&desk, PATH, &sample, None).await;
    assert_eq!((status, answer.as_str()), (200, TWIML));
    let kept = desk.texts("SELECT channel || ' ' || sender || ' ' || body FROM inbound").await;
    assert_eq!(kept, ["whatsapp +14155551234 Hello, I need support"]);
    let request = |host: &str, origin: Option<&str>| {
        let request = Request::post(PATH)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("host", host);
        let request = match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        };
        request.body(Body::from("MessageSid=SM2&From=%2B14155551234&To=%2B15551234567&Body=STOP")).unwrap()
    };
    assert_eq!(desk.send(request("evil.example:8080", None)).await.0, 403);
    assert_eq!(desk.send(request("127.0.0.1:8080", Some("https://evil.example"))).await.0, 403);
    desk.state = desk.state.clone().with_provider(phones::provider());
    assert_eq!(desk.send(request("127.0.0.1:8080", None)).await.0, 403);
    assert_eq!(desk.number("SELECT COUNT(*) FROM inbound").await, 1);
}

/// S2-39; the answer is for the first of its channels.
#[tokio::test]
async fn a_number_that_is_suppressed_by_hand_gets_no_text_on_any_channel() {
    for on in BOTH {
        let mut desk = begun(on, &[by(Sms, 1, 0), by(Email, 2, 1), by(Whatsapp, 3, 1)]).await;
        let body = serde_json::json!({ "phone": number(1) });
        let (status, shown) = desk.call("POST", "/api/v1/suppressions", Some(&body)).await;
        assert_eq!(
            (status, &shown["channel"], &shown["why"]),
            (201, &"sms".into(), &"manual".into()),
            "{shown}"
        );
        assert_eq!(desk.call("POST", "/api/v1/suppressions", Some(&body)).await.0, 201, "again is no error");
        let rows = "SELECT channel || ' ' || why || ' ' || source FROM suppressions ORDER BY channel";
        assert_eq!(desk.texts(rows).await, ["sms manual api", "whatsapp manual api"]);
        assert_eq!(desk.number("SELECT COUNT(*) FROM events WHERE kind = 'contact.opted_out'").await, 1);
        desk.until(START + 5 * HOUR).await;
        let got = "SELECT m.channel FROM messages m JOIN mailbox b ON b.message_id = m.id WHERE m.contact_id = 1 ORDER BY m.id";
        assert_eq!(desk.texts(got).await, ["sms", "email"], "letters go on");
        for (body, field) in [
            (serde_json::json!({}), "email"),
            (serde_json::json!({ "email": "a@example.com", "phone": number(2) }), "phone"),
            (serde_json::json!({ "phone": "4155551234" }), "phone"),
            (serde_json::json!({ "phone": 7 }), "phone"),
        ] {
            let (status, shown) = desk.call("POST", "/api/v1/suppressions", Some(&body)).await;
            assert!(matches!(status, 400 | 422) && shown["field"] == field, "{body}: {status} {shown}");
        }
        assert_eq!(desk.number("SELECT COUNT(*) FROM suppressions").await, 2);
    }
}
