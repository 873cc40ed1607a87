//! Webhooks from their registration to their dead letters (S0-10 to S0-15, S0-25 to S0-33, S3-64 to S3-74).

use crate::support::api::App;
use crate::support::engine::BOTH;
use crate::support::hooks::Hooks;
use crate::support::receiver::{Act, Receiver};
use sendwright_workflows::clock::{DAY, HOUR, MINUTE};
use sendwright_workflows::ids::{self, Kind};
use serde_json::json;

const PENDING: &str = "SELECT COUNT(*) FROM deliveries WHERE state = 'pending'";
const DELIVERED: &str = "SELECT COUNT(*) FROM deliveries WHERE state = 'delivered'";
const DEAD: &str = "SELECT COUNT(*) FROM deliveries WHERE state = 'dead'";

/// S0-25, S0-26, S0-27, S3-66, A26.
#[tokio::test]
async fn an_endpoint_is_registered_listed_changed_and_deleted_and_its_secret_is_told_once() {
    for app in App::both().await {
        let body = json!({"url": "https://example.com/hook", "events": ["email_sent", "reply.received"]});
        let made = app.call("POST", "/api/v1/webhooks", Some(&body)).await;
        assert_eq!(made.code(), 201);
        let made = made.json();
        assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
        assert_eq!(made["events"], json!(["email_sent", "reply.received"]));
        assert_eq!(made["retry_schedule"], json!([10, 60, 600]), "1 + 3 attempts (C-14)");
        let path = format!("/api/v1/webhooks/{}", made["id"].as_str().unwrap());
        let shown = app.call("GET", &path, None).await.done();
        assert_eq!((&shown["secret"], &shown["enabled"]), (&json!(null), &json!(true)));
        assert_eq!(shown["health"]["success_rate"], json!(null));
        let listed = app.call("GET", "/api/v1/webhooks", None).await.done();
        assert_eq!((&listed["total"], &listed["webhooks"][0]["secret"]), (&json!(1), &json!(null)));
        let change = json!({"enabled": false, "description": "billing", "schedule": "long"});
        let changed = app.call("PATCH", &path, Some(&change)).await.done();
        assert_eq!((&changed["status"], &changed["disabled_reason"]), (&json!("disabled"), &json!("hand")));
        assert_eq!((&changed["url"], &changed["description"]), (&shown["url"], &json!("billing")));
        assert_eq!(changed["retry_schedule"].as_array().unwrap().len(), 9);
        let again = app.call("PATCH", &path, Some(&json!({"is_active": true}))).await.done();
        assert_eq!((&again["status"], &again["disabled_reason"]), (&json!("enabled"), &json!(null)));
        assert_eq!(app.call("DELETE", &path, None).await.code(), 200);
        for (method, body) in [("GET", None), ("DELETE", None), ("PATCH", Some(json!({})))] {
            assert_eq!(app.call(method, &path, body.as_ref()).await.code(), 404, "{method}");
        }
        assert_eq!(app.call("GET", "/api/v1/webhooks", None).await.done()["total"], 0);
        let audited = app.number("SELECT COUNT(*) FROM audits WHERE noun = 'webhook'").await;
        assert_eq!(audited, 4);
    }
}

#[tokio::test]
async fn a_secret_is_sealed_at_rest_and_no_repetition_of_the_request_tells_it_again() {
    let hooks = Hooks::still(BOTH[0]).await;
    let key = hooks.tenant("twice").await;
    let body = json!({"url": "https://example.com/hook", "events": ["*"]});
    let once = [("idempotency-key", "k1")];
    let (_, first) = hooks.ask_as(&key, &once, "POST", "/webhooks", Some(body.clone())).await;
    let (status, second) = hooks.ask_as(&key, &once, "POST", "/webhooks", Some(body)).await;
    assert_eq!((status, &second["id"], &second["secret"]), (201, &first["id"], &json!(null)));
    let secret = first["secret"].as_str().unwrap().to_owned();
    let stored: Vec<(String, String)> = hooks.world.rows("SELECT secret_sealed, url FROM endpoints").await;
    let answers: Vec<(String, String)> = hooks.world.rows("SELECT body, key FROM idempotency_keys").await;
    assert_eq!((stored.len(), answers.len()), (1, 1));
    assert!(!stored[0].0.contains(&secret[6..]) && !answers[0].0.contains(&secret[6..]));
}

/// A20: every fault at once, before anything happens.
#[tokio::test]
async fn what_leads_inside_cannot_be_registered() {
    let app = App::sqlite().await;
    let body =
        json!({"url": "http://169.254.169.254/latest", "events": ["email.lost"], "retry_schedule": ["soon"]});
    let refused = app.call("POST", "/api/v1/webhooks", Some(&body)).await;
    assert_eq!(refused.code(), 422);
    let errors = refused.json()["details"]["errors"].clone();
    let codes: Vec<&str> = errors.as_array().unwrap().iter().map(|e| e["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["insecure_url", "invalid_choice", "out_of_range"]);
    for url in
        ["https://127.0.0.1/", "https://[::ffff:10.0.0.1]/", "https://localhost/", "https://db.internal/"]
    {
        let body = json!({"url": url, "events": ["*"]});
        let refused = app.call("POST", "/api/v1/webhooks", Some(&body)).await;
        assert_eq!(
            (refused.code(), &refused.json()["details"]["errors"][0]["code"]),
            (422, &json!("blocked_address"))
        );
    }
    assert_eq!(app.number("SELECT COUNT(*) FROM endpoints").await, 0);
}

/// The registration of a development machine does not help a worker that is none: it looks for itself.
#[tokio::test]
async fn an_address_inside_is_refused_again_when_it_is_called() {
    let hooks = Hooks::with(BOTH[0], |settings| settings.webhooks_allow_private = false).await;
    let receiver = Receiver::start([]).await;
    hooks.register(&receiver.url("/literal"), json!({"retry_schedule": []})).await;
    let by_name = receiver.url("/name").replace("127.0.0.1", "localhost");
    hooks.register(&by_name, json!({"retry_schedule": []})).await;
    hooks.tell("custom.n", json!({})).await;
    hooks.until(DEAD, 2).await;
    let errors: Vec<(String, i64)> = hooks.world.rows("SELECT error, fence FROM delivery_attempts").await;
    assert!(
        errors.iter().all(|(error, _)| error == "the address is not one of the public internet"),
        "{errors:?}"
    );
    assert_eq!(receiver.count(), 0);
}

/// S0-30, S3-70, S3-71, C-16.
#[tokio::test]
async fn an_event_arrives_signed_and_numbered_under_the_name_it_was_chosen_by() {
    for on in BOTH {
        let hooks = Hooks::start(on).await;
        let receiver = Receiver::start([]).await;
        let (_, secret) =
            hooks.register(&receiver.url("/hook"), json!({"events": ["lead_created", "custom.*"]})).await;
        let lead =
            json!({"email": "ada@example.com", "company": "Acme", "business_id": "12345", "id": "12345"});
        hooks.done("POST", "/leads", Some(json!({"email": lead["email"], "company": "Acme"}))).await;
        let second = hooks.tell("custom.order_paid", json!({"amount": 7})).await;
        let arrived = receiver.wait_for(2).await;
        for one in &arrived {
            assert!(one.is_by(&secret), "{one:?}");
            assert_eq!((one.path.as_str(), one.header("content-type")), ("/hook", "application/json"));
            assert_eq!(one.json()["id"], one.header("webhook-id"));
        }
        let mut bodies: Vec<_> = arrived.iter().map(|one| one.json()).collect();
        bodies.sort_by_key(|body| body["number"].as_i64());
        assert_eq!(
            (&bodies[0]["type"], &bodies[0]["event"]),
            (&json!("lead.created"), &json!("lead_created"))
        );
        assert_eq!(bodies[0]["data"]["business_name"], "Acme");
        assert!(bodies[0]["business_id"].is_string());
        assert_eq!((&bodies[1]["id"], &bodies[1]["event"]), (&json!(second), &json!("custom.order_paid")));
        assert_eq!(bodies[1]["data"], json!({"amount": 7}));
        assert_eq!([&bodies[0]["number"], &bodies[1]["number"]], [1, 2]);
        hooks.until(DELIVERED, 2).await;
    }
}

/// S0-12, S3-67: one id over every attempt, a timestamp of each.
#[tokio::test]
async fn a_delivery_is_offered_until_a_2xx() {
    for on in BOTH {
        let hooks = Hooks::start(on).await;
        let receiver = Receiver::start([Act::Status(500), Act::Status(404), Act::Status(204)]).await;
        let (id, secret) = hooks.register(&receiver.url("/"), json!({"retry_schedule": [60, 120]})).await;
        hooks.tell("custom.n", json!({})).await;
        for attempt in 1..3 {
            receiver.wait_for(attempt).await;
            hooks.until(PENDING_AFTER[attempt - 1], 1).await;
            assert_eq!(receiver.count(), attempt, "not before its time");
            hooks.forward(3 * MINUTE);
        }
        hooks.until(DELIVERED, 1).await;
        let arrived = receiver.arrived();
        assert_eq!(arrived.len(), 3);
        assert!(
            arrived
                .iter()
                .all(|one| one.is_by(&secret) && one.header("webhook-id") == arrived[0].header("webhook-id"))
        );
        assert!(arrived[2].signed_at() - arrived[0].signed_at() >= 360);
        let listed = hooks.done("GET", &format!("/webhooks/{id}/deliveries"), None).await;
        let delivery = &listed["deliveries"][0];
        assert_eq!((&delivery["status"], &delivery["attempt_count"]), (&json!("delivered"), &json!(3)));
        let codes: Vec<_> =
            delivery["attempts"].as_array().unwrap().iter().map(|a| a["status_code"].clone()).collect();
        assert_eq!(codes, [500, 404, 204]);
        let health = hooks.done("GET", &format!("/webhooks/{id}"), None).await["health"].clone();
        assert_eq!((&health["attempts"], &health["consecutive_failures"]), (&json!(3), &json!(0)));
        assert_eq!(health["last_error"]["error"], "it answered 404");
    }
}

const PENDING_AFTER: [&str; 2] = [
    "SELECT COUNT(*) FROM deliveries WHERE state = 'pending' AND attempts = 1 AND worker_id IS NULL",
    "SELECT COUNT(*) FROM deliveries WHERE state = 'pending' AND attempts = 2 AND worker_id IS NULL",
];

/// S3-72, S3-73, C-14: the documents' 1 + 3 attempts, then a dead letter.
#[tokio::test]
async fn the_end_of_the_schedule_is_a_dead_letter_that_can_be_replayed() {
    for on in BOTH {
        let hooks = Hooks::start(on).await;
        let receiver = Receiver::start([]).await;
        receiver.always(Act::Status(503));
        let (id, _) = hooks.register(&receiver.url("/"), json!({})).await;
        hooks.tell("custom.n", json!({})).await;
        for attempt in 1..=4 {
            receiver.wait_for(attempt).await;
            hooks.until("SELECT COUNT(*) FROM deliveries WHERE worker_id IS NOT NULL", 0).await;
            hooks.forward(HOUR);
        }
        hooks.until(DEAD, 1).await;
        assert_eq!(receiver.count(), 4);
        let dead = hooks.done("GET", &format!("/webhooks/{id}/deliveries?status=dead"), None).await;
        let delivery = dead["deliveries"][0]["id"].as_str().unwrap();
        assert_eq!(dead["deliveries"][0]["error"], "it answered 503");
        receiver.always(Act::Status(200));
        let replay = json!({"delivery_id": delivery});
        let replayed = hooks.done("POST", &format!("/webhooks/{id}/replay"), Some(replay)).await;
        assert_eq!(replayed["replayed"], 1);
        hooks.until(DELIVERED, 1).await;
        let arrived = receiver.arrived();
        assert_eq!(arrived.len(), 5);
        assert!(arrived.iter().all(|one| one.header("webhook-id") == arrived[0].header("webhook-id")));
    }
}

#[tokio::test]
async fn dead_letters_are_replayed_since_an_instant_or_an_event_and_with_all_whatever_had_arrived() {
    for on in BOTH {
        let hooks = Hooks::start(on).await;
        let receiver = Receiver::start([]).await;
        receiver.always(Act::Status(500));
        let (id, _) = hooks.register(&receiver.url("/"), json!({"retry_schedule": []})).await;
        hooks.tell("custom.a", json!({})).await;
        hooks.until(DEAD, 1).await;
        hooks.clock.pass(HOUR);
        let second = hooks.tell("custom.b", json!({})).await;
        hooks.until(DEAD, 2).await;
        hooks.clock.pass(HOUR);
        hooks.tell("custom.c", json!({})).await;
        hooks.until(DEAD, 3).await;
        receiver.always(Act::Status(200));
        let path = format!("/webhooks/{id}/replay");
        let since =
            sendwright_workflows::clock::rfc3339(hooks.world.number("SELECT MAX(at) FROM events").await);
        assert_eq!(hooks.done("POST", &path, Some(json!({"since": since}))).await["replayed"], 1);
        hooks.until(DELIVERED, 1).await;
        assert_eq!(hooks.done("POST", &path, Some(json!({"event_id": second}))).await["replayed"], 1);
        hooks.until(DELIVERED, 2).await;
        let all = json!({"event_id": second, "include": "all"});
        assert_eq!(hooks.done("POST", &path, Some(all)).await["replayed"], 2);
        receiver.wait_for(7).await;
        hooks.until(DELIVERED, 2).await;
        assert_eq!(hooks.world.number(DEAD).await, 1);
        for (body, code) in [
            (json!({}), 400),
            (json!({"since": "yesterday"}), 422),
            (json!({"since": since, "event_id": second}), 400),
            (json!({"event_id": second, "include": "some"}), 422),
            (json!({"delivery_id": ids::uuid(Kind::Delivery, 999_999)}), 404),
        ] {
            assert_eq!(hooks.ask("POST", &path, Some(body.clone())).await.0, code, "{body}");
        }
    }
}

/// F70.
#[tokio::test]
async fn retry_after_is_honoured_and_a_redirect_is_a_failure_that_is_not_followed() {
    let hooks = Hooks::start(BOTH[1]).await;
    let (receiver, other) = (Receiver::start([]).await, Receiver::start([]).await);
    receiver.always(Act::With(429, "retry-after", "7200".into()));
    hooks.register(&receiver.url("/"), json!({"events": ["custom.a"], "retry_schedule": [1]})).await;
    hooks.tell("custom.a", json!({})).await;
    hooks.until("SELECT COUNT(*) FROM deliveries WHERE attempts = 1 AND state = 'pending'", 1).await;
    let wait = hooks.world.number("SELECT next_at - created_at FROM deliveries").await;
    assert!(wait >= 2 * HOUR, "{wait}");
    let redirect = Receiver::start([Act::With(307, "location", other.url("/"))]).await;
    hooks.register(&redirect.url("/"), json!({"events": ["custom.b"], "retry_schedule": []})).await;
    hooks.tell("custom.b", json!({})).await;
    hooks.until(DEAD, 1).await;
    let errors: Vec<(String, i64)> =
        hooks.world.rows("SELECT error, status FROM delivery_attempts WHERE status <> 429").await;
    assert_eq!(errors, [("it answered 307: redirects are not followed".to_owned(), 307)]);
    assert_eq!((redirect.count(), other.count()), (1, 0));
}

#[tokio::test]
async fn a_410_disables_the_endpoint_and_says_so_to_the_others() {
    for on in BOTH {
        let hooks = Hooks::start(on).await;
        let (gone, operator) = (Receiver::start([Act::Status(410)]).await, Receiver::start([]).await);
        let (id, _) = hooks.register(&gone.url("/"), json!({"events": ["custom.*"]})).await;
        hooks.register(&operator.url("/"), json!({"events": ["webhook.disabled"]})).await;
        hooks.tell("custom.n", json!({})).await;
        let told = operator.wait_for(1).await[0].json();
        assert_eq!((&told["data"]["webhook_id"], &told["data"]["why"]), (&json!(id), &json!("gone")));
        let shown = hooks.done("GET", &format!("/webhooks/{id}"), None).await;
        assert_eq!((&shown["status"], &shown["disabled_reason"]), (&json!("disabled"), &json!("gone")));
        // What happens while it is disabled is not for it; what died can be had once it is back.
        hooks.tell("custom.n", json!({})).await;
        hooks.until("SELECT COUNT(*) FROM events WHERE sequence IS NULL", 0).await;
        assert_eq!((gone.count(), hooks.world.number(DEAD).await), (1, 1));
        hooks.done("PATCH", &format!("/webhooks/{id}"), Some(json!({"enabled": true}))).await;
        hooks.tell("custom.n", json!({})).await;
        gone.wait_for(2).await;
    }
}

/// F71.
#[tokio::test]
async fn days_of_nothing_but_failures_disable_an_endpoint_and_one_success_forgives_them() {
    let hooks = Hooks::start(BOTH[0]).await;
    let (dead, operator) = (Receiver::start([]).await, Receiver::start([]).await);
    dead.always(Act::Status(500));
    let waits: Vec<i64> = vec![DAY / 1_000; 20];
    let more = json!({"events": ["custom.*"], "retry_schedule": waits});
    let (id, _) = hooks.register(&dead.url("/"), more).await;
    hooks.register(&operator.url("/"), json!({"events": ["webhook.disabled"]})).await;
    hooks.tell("custom.n", json!({})).await;
    for attempt in 1..=9 {
        dead.wait_for(attempt).await;
        hooks.until("SELECT COUNT(*) FROM deliveries WHERE worker_id IS NOT NULL", 0).await;
        hooks.forward(2 * DAY);
    }
    assert_eq!(hooks.done("GET", &format!("/webhooks/{id}"), None).await["status"], "enabled");
    let told = operator.wait_for(1).await[0].json();
    assert_eq!(told["data"]["why"], "failing");
    let shown = hooks.done("GET", &format!("/webhooks/{id}"), None).await;
    assert_eq!((&shown["disabled_reason"], &shown["health"]["pending"]), (&json!("failing"), &json!(1)));
    // Enabled again it goes on where it stood, and its first success forgets the failures.
    dead.always(Act::Status(200));
    hooks.done("PATCH", &format!("/webhooks/{id}"), Some(json!({"enabled": true}))).await;
    hooks.forward(2 * DAY);
    hooks.until(DELIVERED, 2).await;
    assert_eq!(
        hooks.done("GET", &format!("/webhooks/{id}"), None).await["health"]["consecutive_failures"],
        0
    );
}

/// F22: both secrets verify for a day.
#[tokio::test]
async fn after_a_rotation_both_secrets_sign_for_a_day_and_then_the_new_one_alone() {
    for on in BOTH {
        let hooks = Hooks::start(on).await;
        let receiver = Receiver::start([]).await;
        let (id, old) = hooks.register(&receiver.url("/"), json!({})).await;
        let rotated = hooks.done("POST", &format!("/webhooks/{id}/rotate-secret"), None).await;
        let new = rotated["secret"].as_str().unwrap();
        assert!(new != old && rotated["previous_secret_expires_at"].is_string());
        hooks.tell("custom.n", json!({})).await;
        let first = receiver.wait_for(1).await[0].clone();
        assert!(first.is_by(new) && first.is_by(&old));
        hooks.forward(DAY + MINUTE);
        hooks.tell("custom.n", json!({})).await;
        let second = receiver.wait_for(2).await[1].clone();
        assert!(second.is_by(new) && !second.is_by(&old));
    }
}

/// S0-15, S3-69.
#[tokio::test]
async fn a_test_shows_the_answer_of_its_own_endpoint_and_of_no_other() {
    for on in BOTH {
        let hooks = Hooks::start(on).await;
        let (receiver, other) =
            (Receiver::start([Act::Says(b"thank you".to_vec())]).await, Receiver::start([]).await);
        let (id, secret) = hooks.register(&receiver.url("/"), json!({})).await;
        hooks.register(&other.url("/"), json!({})).await;
        let (status, shown) = hooks.ask("POST", &format!("/webhooks/{id}/test"), None).await;
        assert_eq!(
            (status, &shown["status"], &shown["type"]),
            (200, &json!("delivered"), &json!("webhook.test"))
        );
        assert_eq!(
            (&shown["attempts"][0]["status_code"], &shown["attempts"][0]["response"]),
            (&json!(200), &json!("thank you"))
        );
        assert!(receiver.arrived()[0].is_by(&secret));
        receiver.always(Act::Status(500));
        let failed = hooks.ask("POST", &format!("/webhooks/{id}/test"), None).await.1;
        assert_eq!((&failed["status"], &failed["error"]), (&json!("dead"), &json!("it answered 500")));
        hooks.until("SELECT COUNT(*) FROM events WHERE sequence IS NULL", 0).await;
        assert_eq!((other.count(), hooks.world.number("SELECT COUNT(*) FROM deliveries").await), (0, 2));
        hooks.done("PATCH", &format!("/webhooks/{id}"), Some(json!({"enabled": false}))).await;
        let (status, refused) = hooks.ask("POST", &format!("/webhooks/{id}/test"), None).await;
        assert_eq!((status, &refused["error"]), (409, &json!("webhook_disabled")));
    }
}

#[tokio::test]
async fn a_test_without_a_worker_is_told_where_to_look() {
    let hooks = Hooks::still(BOTH[0]).await;
    let key = hooks.tenant("patient").await;
    let body = json!({"url": "https://example.com/", "events": ["*"]});
    let made = hooks.ask_as(&key, &[], "POST", "/webhooks", Some(body)).await.1;
    let id = made["id"].as_str().unwrap();
    // Under a key the answer is the one that can be given again: it waits for nothing.
    let once = [("idempotency-key", "t1")];
    let (status, shown) = hooks.ask_as(&key, &once, "POST", &format!("/webhooks/{id}/test"), None).await;
    assert_eq!((status, &shown["status"]), (202, &json!("pending")));
    let path = format!("/webhooks/{id}/deliveries?status=pending");
    let listed = hooks.ask_as(&key, &[], "GET", &path, None).await.1;
    assert_eq!(listed["deliveries"][0]["id"], shown["delivery_id"]);
    assert_eq!(hooks.ask_as(&key, &once, "POST", &format!("/webhooks/{id}/test"), None).await.1, shown);
    assert!(shown["deliveries"].as_str().unwrap().ends_with(&format!("/webhooks/{id}/deliveries")));
}

/// An answer is a stranger's text: of any length and any bytes.
#[tokio::test]
async fn of_an_answer_only_the_first_bytes_are_kept_whatever_they_are() {
    for on in BOTH {
        let hooks = Hooks::start(on).await;
        let mut nasty = b"\0\xff\"quoted\"".to_vec();
        nasty.extend(vec![b'x'; 1 << 20]);
        let receiver = Receiver::start([Act::Says(nasty)]).await;
        let (id, _) = hooks.register(&receiver.url("/"), json!({})).await;
        hooks.tell("custom.n", json!({})).await;
        hooks.until(DELIVERED, 1).await;
        let listed = hooks.done("GET", &format!("/webhooks/{id}/deliveries"), None).await;
        let kept = listed["deliveries"][0]["attempts"][0]["response"].as_str().unwrap();
        assert!(kept.contains("\"quoted\"xxx") && kept.len() <= 1_100 && !kept.contains('\0'));
    }
}

/// The promise: one dead endpoint never slows a healthy one. As long a line as `SENDWRIGHT_WAITING` thousands say.
#[tokio::test]
async fn a_dead_endpoint_with_a_long_line_does_not_slow_a_healthy_one() {
    let asked = std::env::var("SENDWRIGHT_WAITING").ok().and_then(|n| n.parse().ok());
    let thousands: i64 = asked.unwrap_or(3);
    for on in BOTH {
        let hooks = Hooks::start(on).await;
        let (dead, healthy) = (Receiver::start([]).await, Receiver::start([]).await);
        dead.always(Act::Slow(std::time::Duration::from_secs(60)));
        hooks.register(&dead.url("/"), json!({"events": ["custom.n"]})).await;
        hooks.register("http://127.0.0.1:9/", json!({"events": ["custom.n"]})).await;
        for _ in 0..thousands {
            hooks.tell_many(1_000).await;
            hooks.until("SELECT COUNT(*) FROM events WHERE sequence IS NULL", 0).await;
        }
        hooks.register(&healthy.url("/"), json!({"events": ["custom.swift"]})).await;
        let began = std::time::Instant::now();
        for _ in 0..50 {
            hooks.tell("custom.swift", json!({})).await;
        }
        healthy.wait_for(50).await;
        let took = began.elapsed();
        println!(
            "{on:?}: 50 events beside two dead lines of {thousands},000 each were delivered after {took:?}"
        );
        assert!(took.as_secs() < 20, "{took:?}");
        assert!(dead.count() < 100);
        assert!(hooks.world.number(PENDING).await > 2_000 * thousands - 1_000);
    }
}

/// A5: another account's endpoint is a missing one.
#[tokio::test]
async fn another_accounts_webhook_is_a_missing_one() {
    let hooks = Hooks::still(BOTH[0]).await;
    let (id, _) = hooks.register("https://example.com/", json!({})).await;
    let stranger = hooks.tenant("stranger").await;
    let missing = ids::uuid(Kind::Endpoint, 4_711);
    for (method, rest, body) in [
        ("GET", "", None),
        ("PATCH", "", Some(json!({"enabled": false}))),
        ("DELETE", "", None),
        ("POST", "/test", None),
        ("POST", "/rotate-secret", None),
        ("GET", "/deliveries", None),
        ("POST", "/replay", Some(json!({"since": "2026-01-01T00:00:00Z"}))),
    ] {
        let path = |id: &str| format!("/webhooks/{id}{rest}");
        let (theirs, _) = hooks.ask_as(&stranger, &[], method, &path(&id), body.clone()).await;
        let (nobodys, _) = hooks.ask_as(&stranger, &[], method, &path(&missing), body.clone()).await;
        assert_eq!((theirs, nobodys), (404, 404), "{method} {rest}");
    }
    let (_, listed) = hooks.ask_as(&stranger, &[], "GET", "/webhooks", None).await;
    assert_eq!(listed["total"], 0);
    assert_eq!(hooks.done("GET", &format!("/webhooks/{id}"), None).await["enabled"], true);
}

#[tokio::test]
async fn a_worker_that_ends_in_order_leaves_nothing_in_hand() {
    for on in BOTH {
        let mut hooks = Hooks::start(on).await;
        let receiver = Receiver::start([]).await;
        receiver.always(Act::Slow(std::time::Duration::from_millis(50)));
        hooks.register(&receiver.url("/"), json!({})).await;
        hooks.tell_many(300).await;
        receiver.wait_for(20).await;
        hooks.stop().await;
        let (arrived, delivered) = (receiver.count() as i64, hooks.world.number(DELIVERED).await);
        assert_eq!(arrived, delivered, "each attempt is recorded");
        assert_eq!(
            hooks.world.number("SELECT COUNT(*) FROM deliveries WHERE worker_id IS NOT NULL").await,
            0
        );
    }
}
