//! `/api/external`, row by row of S1.

use axum::body::Body;
use axum::http::Request;
use sendwright_api::operations::keys::{self, KeyBody};
use sendwright_api::{Actor, Work};
use sendwright_queue::{Handler, Job, Lane, consume};
use sendwright_store::{campaigns, users};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use crate::support::api::App;

fn campaign(name: &str) -> Value {
    json!({
        "name": name,
        "description": "3-step sequence for demo prospects",
        "steps": [
            { "step_number": 1, "name": "Initial Follow-up", "subject": "Thanks for your interest in {{company_name}}",
              "template": "Hi {{first_name}}, thanks for checking out our demo...",
              "ai_prompt": "Write a friendly follow-up email", "delay_days": 0, "delay_hours": 0 },
            { "step_number": 2, "name": "Second Touch", "ai_prompt": "Write a helpful second touch email",
              "delay_days": 3, "include_previous_emails": true },
        ],
    })
}

async fn new_campaign(app: &App, key: &str) -> i64 {
    let made = app.call_as(key, "POST", "/api/external/campaigns", Some(&campaign("Demo"))).await;
    made.done()["id"].as_i64().unwrap()
}

fn keys_of(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// S1-01, S1-07.
#[tokio::test]
async fn the_status_names_the_keys_user() {
    for app in App::both().await {
        let reply = app.call("GET", "/api/external/status", None).await;
        assert_eq!(reply.code(), 200);
        let expected = json!({
            "status": "active", "message": "External API is operational",
            "authenticated_user": "owner@localhost", "timestamp": "2026-01-15T10:30:00.000Z",
        });
        assert_eq!(reply.json(), expected);
    }
}

/// S1-08, S1-18 … S1-27, S1-46.
#[tokio::test]
async fn a_lead_comes_back_with_every_field_and_is_not_enrolled() {
    for app in App::both().await {
        let sent = json!({
            "email": "lead@example.com", "first_name": "John", "last_name": "Doe", "company": "Example Corp",
            "title": "Marketing Director", "phone": "+1-555-0123", "website": "https://example.com",
            "industry": "Technology", "favourite_colour": "teal", "score": 7,
        });
        let reply = app.call("POST", "/api/external/leads", Some(&sent)).await;
        assert_eq!(reply.code(), 200);
        let expected = json!({
            "id": 1, "email": "lead@example.com", "first_name": "John", "last_name": "Doe",
            "company": "Example Corp", "title": "Marketing Director", "phone": "+1-555-0123",
            "website": "https://example.com", "industry": "Technology", "status": "active",
            "created_at": "2026-01-15T10:30:00.000Z",
        });
        assert_eq!(reply.json(), expected);
        assert_eq!(app.number("SELECT COUNT(*) FROM enrolments").await, 0);
        assert_eq!(app.number("SELECT COUNT(*) FROM events WHERE kind = 'lead.created'").await, 1);
        let attributes: Value =
            serde_json::from_str(&app.text("SELECT attributes FROM contacts").await).unwrap();
        assert_eq!(attributes, json!({ "favourite_colour": "teal", "score": 7 }));
        let audited =
            app.text("SELECT actor || ' ' || action || ' ' || noun FROM audits ORDER BY id DESC LIMIT 1");
        assert_eq!(audited.await, "key:1 create contact");
    }
}

/// S1-28, S1-53: whatever the case and the spaces; another tenant's lead is no duplicate.
#[tokio::test]
async fn an_address_is_one_lead_of_an_account() {
    for app in App::both().await {
        let lead = |email: &str| json!({ "email": email });
        app.call("POST", "/api/external/leads", Some(&lead("user@example.com"))).await.done();
        for again in ["user@example.com", " User@Example.COM "] {
            let reply = app.call("POST", "/api/external/leads", Some(&lead(again))).await;
            assert_eq!(reply.code(), 400);
            let shown = again.trim().replace("Example.COM", "example.com");
            assert_eq!(reply.detail(), format!("Lead with email {shown} already exists"));
            assert_eq!(reply.json()["code"], "duplicate");
        }
        let (_, other) = app.tenant("other").await;
        let lead = lead("user@example.com");
        app.call_as(&other, "POST", "/api/external/leads", Some(&lead)).await.done();
        assert_eq!(app.number("SELECT COUNT(*) FROM contacts").await, 2);
    }
}

/// S1-26, S1-45, S1-59.
#[tokio::test]
async fn a_lead_with_a_campaign_is_enrolled_and_due_at_once() {
    for app in App::both().await {
        let id = new_campaign(&app, &app.key).await;
        app.clock.pass(5_000);
        let lead = json!({ "email": "a@example.com", "campaign_id": id });
        app.call("POST", "/api/external/leads", Some(&lead)).await.done();
        let due = "SELECT next_run_at - created_at + (next_run_at - base_at) FROM enrolments
                    WHERE state = 'active' AND settled = 0 AND round = 1 AND version = 1";
        assert_eq!(app.number(due).await, 0);
        let told = "SELECT COUNT(*) FROM events WHERE kind = 'campaign.enrolled' AND enrolment_id = 1
                       AND campaign_id = 1 AND contact_id = 1 AND sequence IS NULL";
        assert_eq!(app.number(told).await, 1);
    }
}

#[tokio::test]
async fn an_enrolment_leaves_its_hints_once_it_is_committed_and_a_refusal_leaves_none() {
    let app = App::sqlite().await;
    let id = new_campaign(&app, &app.key).await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (end, hears) = (CancellationToken::new(), heard.clone());
    let working = {
        let (queue, end) = (app.queue.clone(), end.clone());
        let handler: Handler = Arc::new(move |job| {
            hears.lock().unwrap().push(job);
            Box::pin(async {})
        });
        tokio::spawn(async move { consume(queue, &Lane::ALL, 1, end, handler).await })
    };
    let lead = |id: i64| json!({ "email": "a@example.com", "campaign_id": id });
    app.call("POST", "/api/external/leads", Some(&lead(99))).await;
    assert!(heard.lock().unwrap().is_empty());
    app.call("POST", "/api/external/leads", Some(&lead(id))).await.done();
    let (plan, sequence) = (Job::Plan { account: app.account }, Job::Sequence { account: app.account });
    while !(heard.lock().unwrap().contains(&plan) && heard.lock().unwrap().contains(&sequence)) {
        tokio::task::yield_now().await;
    }
    end.cancel();
    working.await.unwrap();
}

/// S1-56: unknown, another tenant's and deleted campaigns are the same, and the lead is not stored.
#[tokio::test]
async fn a_lead_of_a_campaign_that_is_not_there_is_refused_whole() {
    for app in App::both().await {
        let (_, other) = app.tenant("other").await;
        let theirs = new_campaign(&app, &other).await;
        let gone = new_campaign(&app, &app.key).await;
        app.call("DELETE", &format!("/api/external/campaigns/{gone}"), None).await.done();
        for id in [json!(123), json!(theirs), json!(gone), json!(-1), json!(0)] {
            let lead = json!({ "email": "a@example.com", "campaign_id": id });
            let reply = app.call("POST", "/api/external/leads", Some(&lead)).await;
            assert_eq!(reply.code(), 404, "{reply:?}");
            assert_eq!(reply.detail(), format!("Campaign {id} not found or inactive"));
        }
        assert_eq!(app.number("SELECT COUNT(*) FROM contacts").await, 0);
    }
}

/// S1-09: both of the document's leads, in its shape.
#[tokio::test]
async fn a_bulk_takes_what_is_good_and_names_what_is_not() {
    for app in App::both().await {
        let first = new_campaign(&app, &app.key).await;
        let second = new_campaign(&app, &app.key).await;
        let leads = json!([
            { "email": "lead1@example.com", "first_name": "John", "company": "Example Corp", "campaign_id": first },
            { "email": "lead2@example.com", "campaign_id": second },
            { "email": "nobody" },
            { "email": "LEAD1@example.com" },
            { "email": "lead3@example.com", "campaign_id": 99 },
            "lead4@example.com",
            { "email": "lead5@example.com", "campaign_id": first },
        ]);
        let reply = app.call("POST", "/api/external/leads/bulk", Some(&leads)).await;
        let shown = reply.done();
        assert_eq!(keys_of(&shown), ["created", "errors", "leads"]);
        assert_eq!(shown["created"], 3);
        let refused: Vec<_> = shown["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| (&e["index"], e["code"].as_str().unwrap()))
            .collect();
        assert_eq!(
            refused.iter().map(|(index, code)| (index.as_i64().unwrap(), *code)).collect::<Vec<_>>(),
            [(2, "invalid_email"), (3, "duplicate"), (4, "not_found"), (5, "invalid_type")]
        );
        assert_eq!(shown["errors"][1]["detail"], "Lead with email LEAD1@example.com already exists");
        assert_eq!(shown["errors"][2]["detail"], "Campaign 99 not found or inactive");
        let taken = &shown["leads"][0];
        assert_eq!(keys_of(taken), ["company", "created_at", "email", "first_name", "id", "status"]);
        assert_eq!(app.number("SELECT COUNT(*) FROM enrolments WHERE campaign_id = 1").await, 2);
        assert_eq!(app.number("SELECT COUNT(*) FROM enrolments WHERE campaign_id = 2").await, 1);
        assert_eq!(app.number("SELECT COUNT(*) FROM contacts").await, 3);
    }
}

#[tokio::test]
async fn ten_thousand_leads_come_in_with_one_request_and_keep_their_order() {
    for app in App::both().await {
        let id = new_campaign(&app, &app.key).await;
        let leads: Vec<_> = (0..10_000)
            .map(|n| json!({ "email": format!("lead{n}@example.com"), "company": "Corp", "campaign_id": id }))
            .collect();
        let shown = app.call("POST", "/api/external/leads/bulk", Some(&json!(leads))).await.done();
        assert_eq!((&shown["created"], &shown["errors"]), (&json!(10_000), &json!([])));
        assert_eq!(app.number("SELECT COUNT(*) FROM enrolments").await, 10_000);
        assert_eq!(app.number("SELECT COUNT(*) FROM events").await, 20_000);
        let out_of_order = "SELECT COUNT(*) FROM enrolments e JOIN contacts c ON c.id = e.contact_id
                             WHERE c.email <> 'lead' || CAST(e.id - 1 AS TEXT) || '@example.com'";
        assert_eq!(app.number(out_of_order).await, 0);
        let again = app.call("POST", "/api/external/leads/bulk", Some(&json!(leads))).await.done();
        assert_eq!((again["created"].as_i64(), again["errors"].as_array().unwrap().len()), (Some(0), 10_000));

        let more: Vec<_> = (0..10_001).map(|n| json!({ "email": format!("m{n}@example.com") })).collect();
        let reply = app.call("POST", "/api/external/leads/bulk", Some(&json!(more))).await;
        assert_eq!((reply.code(), reply.json()["code"].as_str()), (400, Some("too_many_items")));
        assert_eq!(app.number("SELECT COUNT(*) FROM contacts").await, 10_000);
    }
}

/// S1-10, S1-12, S1-13, S1-41, S1-43.
#[tokio::test]
async fn a_campaign_is_made_running_and_read_with_its_steps() {
    for app in App::both().await {
        let made =
            app.call("POST", "/api/external/campaigns", Some(&campaign("Product Demo Follow-up"))).await;
        let expected = json!({
            "id": 1, "name": "Product Demo Follow-up", "description": "3-step sequence for demo prospects",
            "status": "active", "created_at": "2026-01-15T10:30:00.000Z",
        });
        assert_eq!((made.code(), made.json()), (200, expected));
        let one = app.call("GET", "/api/external/campaigns/1", None).await.done();
        assert_eq!(
            one["steps"][0],
            json!({
                "id": 1, "step_number": 1, "name": "Initial Follow-up",
                "subject": "Thanks for your interest in {{company_name}}",
                "template": "Hi {{first_name}}, thanks for checking out our demo...",
                "ai_prompt": "Write a friendly follow-up email", "delay_days": 0, "delay_hours": 0,
                "is_active": true, "include_previous_emails": false,
            })
        );
        assert_eq!((&one["steps"][1]["delay_days"], &one["steps"][1]["subject"]), (&json!(3), &Value::Null));
        assert_eq!(app.call("GET", "/api/external/campaigns", None).await.done(), json!([one]));
        assert_eq!(app.text("SELECT state FROM campaigns").await, "running");
        assert_eq!(app.number("SELECT COUNT(*) FROM gates WHERE owner = 'campaign'").await, 1);
    }
}

/// S1-11, S1-49.
#[tokio::test]
async fn campaigns_are_filtered_by_the_documents_three_states() {
    for app in App::both().await {
        let [_, paused, gone] = [
            new_campaign(&app, &app.key).await,
            new_campaign(&app, &app.key).await,
            new_campaign(&app, &app.key).await,
        ];
        app.call("POST", &format!("/api/external/campaigns/{paused}/pause"), None).await.done();
        app.call("DELETE", &format!("/api/external/campaigns/{gone}"), None).await.done();
        for (word, ids) in
            [("active", vec![1]), ("paused", vec![2]), ("inactive", vec![3]), ("", vec![1, 2, 3])]
        {
            let found = app.call("GET", &format!("/api/external/campaigns?status={word}"), None).await.done();
            let found: Vec<_> = found.as_array().unwrap().iter().map(|c| c["id"].as_i64().unwrap()).collect();
            assert_eq!(found, ids, "{word}");
        }
        assert_eq!(app.call("GET", "/api/external/campaigns?status=running", None).await.code(), 400);
    }
}

/// S1-14: all steps are replaced; what other faces set, and what already went out, stays.
#[tokio::test]
async fn an_update_replaces_every_step_and_keeps_what_this_face_cannot_say() {
    for app in App::both().await {
        let mut native = campaign("Native");
        native["quiet_hours_start"] = "22:00".into();
        native["quiet_hours_end"] = "08:00".into();
        app.call("POST", "/api/v1/campaigns", Some(&native)).await.done();
        let update = json!({
            "name": "Updated", "steps": [{ "step_number": 1, "name": "Only", "template": "Hi {{first_name}}" }],
        });
        let reply = app.call("PUT", "/api/external/campaigns/1", Some(&update)).await.done();
        assert_eq!(
            (&reply["name"], &reply["description"], reply.get("steps")),
            (&json!("Updated"), &Value::Null, None)
        );
        let one = app.call("GET", "/api/external/campaigns/1", None).await.done();
        assert_eq!(one["steps"].as_array().unwrap().len(), 1);
        let native = app.call("GET", "/api/v1/campaigns/1", None).await.done();
        assert_eq!((&native["quiet_hours_start"], &native["version"]), (&json!("22:00"), &json!(2)));
        assert_eq!(app.number("SELECT COUNT(*) FROM steps WHERE version = 1").await, 2);
        assert_eq!(app.number("SELECT mapped_version FROM campaigns").await, 1);
        assert_eq!(app.call("PUT", "/api/external/campaigns/7", Some(&update)).await.code(), 404);
    }
}

/// S1-15, S1-16; again is no error.
#[tokio::test]
async fn a_campaign_is_paused_and_goes_on() {
    for app in App::both().await {
        let id = new_campaign(&app, &app.key).await;
        for _ in 0..2 {
            let reply = app.call("POST", &format!("/api/external/campaigns/{id}/pause"), None).await.done();
            let expected =
                json!({ "message": "Campaign paused successfully", "campaign_id": id, "status": "paused" });
            assert_eq!(reply, expected);
        }
        let lead = json!({ "email": "a@example.com", "campaign_id": id });
        app.call("POST", "/api/external/leads", Some(&lead)).await.done();
        for _ in 0..2 {
            let reply = app.call("POST", &format!("/api/external/campaigns/{id}/unpause"), None).await.done();
            let expected =
                json!({ "message": "Campaign unpaused successfully", "campaign_id": id, "status": "active" });
            assert_eq!(reply, expected);
        }
        assert_eq!(app.call("POST", "/api/external/campaigns/9/pause", None).await.code(), 404);
    }
}

/// S1-17, S1-51.
#[tokio::test]
async fn a_campaign_with_active_leads_is_not_deleted() {
    for app in App::both().await {
        let id = new_campaign(&app, &app.key).await;
        let path = format!("/api/external/campaigns/{id}");
        let lead = json!({ "email": "a@example.com", "campaign_id": id });
        app.call("POST", "/api/external/leads", Some(&lead)).await.done();
        let refused = app.call("DELETE", &path, None).await;
        assert_eq!(
            (refused.code(), refused.detail()),
            (400, "Cannot delete campaign with active leads".into())
        );
        app.run("UPDATE enrolments SET state = 'completed', next_run_at = NULL").await;
        let expected =
            json!({ "message": "Campaign deleted successfully", "campaign_id": id, "status": "inactive" });
        assert_eq!(app.call("DELETE", &path, None).await.done(), expected);
        assert_eq!(app.call("GET", &path, None).await.done()["status"], "inactive");
        for (method, path) in
            [("DELETE", path.clone()), ("POST", format!("{path}/pause")), ("POST", format!("{path}/unpause"))]
        {
            let reply = app.call(method, &path, None).await;
            assert_eq!((reply.code(), reply.detail()), (404, format!("Campaign {id} not found or inactive")));
        }
    }
}

#[tokio::test]
async fn a_new_lead_reopens_a_completed_campaign() {
    for app in App::both().await {
        let id = new_campaign(&app, &app.key).await;
        app.run("UPDATE campaigns SET state = 'completed', completed_round = 1").await;
        let lead = json!({ "email": "a@example.com", "campaign_id": id });
        app.call("POST", "/api/external/leads", Some(&lead)).await.done();
        assert_eq!(app.text("SELECT state FROM campaigns").await, "running");
        assert_eq!(app.number("SELECT round FROM campaigns").await, 1);
    }
}

/// A caller's commit waits for the disk: nobody else who comes in waits for it. Whoever changes the campaign does, and nobody
/// who comes later passes them, or a stream of leads would keep a pause waiting for ever.
#[tokio::test]
async fn leads_come_into_one_campaign_side_by_side_and_none_passes_who_waits_to_change_it() {
    let app = App::postgres().await;
    let (store, account) = (app.state.core.store.clone(), app.account);
    let id = new_campaign(&app, &app.key).await;
    let waiting = async |wanted| {
        let waiting = "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let begun = Instant::now();
        while app.number(waiting).await != wanted {
            assert!(begun.elapsed() < Duration::from_secs(30), "{wanted} wait never");
        }
    };
    let mut first = store.begin().await.unwrap();
    campaigns::admit(&mut first, account, id, 1).await.unwrap().unwrap();
    let lead = |name: &str| json!({ "email": format!("{name}@example.com"), "campaign_id": id });
    let second = app.call("POST", "/api/external/leads", Some(&lead("second"))).await;
    second.done();

    let changer = store.clone();
    let change = tokio::spawn(async move {
        let mut tx = changer.begin().await.unwrap();
        let found = campaigns::lock(&mut tx, account, id).await.unwrap().unwrap();
        let enrolled = sendwright_store::enrolments::active(&mut tx, &found).await.unwrap();
        tx.commit().await.unwrap();
        enrolled
    });
    waiting(1).await;
    let body = lead("third");
    let third = app.call("POST", "/api/external/leads", Some(&body));
    let then = async {
        waiting(2).await;
        first.commit().await.unwrap();
    };
    let (third, ()) = tokio::join!(third, then);
    third.done();
    assert_eq!(change.await.unwrap(), 1, "the third came after the change");
}

/// S1-31: a profile of the account, or 404.
#[tokio::test]
async fn a_campaign_names_a_sending_profile_of_its_own_account() {
    for app in App::both().await {
        let (_, other) = app.tenant("other").await;
        let mut body = campaign("Demo");
        body["sending_profile_id"] = 2.into();
        let reply = app.call("POST", "/api/external/campaigns", Some(&body)).await;
        assert_eq!((reply.code(), reply.detail()), (404, "Sending profile 2 not found".into()));
        app.call_as(&other, "POST", "/api/external/campaigns", Some(&body)).await.done();
        assert_eq!(app.number("SELECT COUNT(*) FROM campaigns").await, 1);
    }
}

/// S1-02, S1-03, S1-54, A1: nothing tells one bad key from another.
#[tokio::test]
async fn a_key_that_does_not_open_is_refused_and_nothing_is_said_of_it() {
    for app in App::both().await {
        let (revoked, text) = app.key_of(app.account, KeyBody::named("old")).await;
        let mut work = Work::new(&app.state.core, Actor::command(app.account)).unwrap();
        keys::revoke(&mut work, revoked).await.unwrap();
        work.commit().await.unwrap();
        let expiring =
            KeyBody { expires_at: Some(crate::support::api::START + 1_000), ..KeyBody::named("short") };
        let (_, expired) = app.key_of(app.account, expiring).await;
        assert_eq!(app.call_as(&expired, "GET", "/api/external/status", None).await.code(), 200);
        app.clock.pass(1_000);

        let mut other_hash = app.key.clone();
        other_hash.replace_range(30..31, if &app.key[30..31] == "x" { "y" } else { "x" });
        let good = app.key.as_str();
        let requests: Vec<Vec<(&str, String)>> = vec![
            vec![],
            vec![("x-api-key", String::new())],
            vec![("x-api-key", "sk_live_nothing".into())],
            vec![("x-api-key", text)],
            vec![("x-api-key", expired)],
            vec![("x-api-key", other_hash)],
            vec![("authorization", good.into())],
            vec![("authorization", format!("Basic {good}"))],
            vec![("authorization", "Bearer".into())],
            vec![("authorization", format!("Bearer {good}")), ("x-api-key", "other".into())],
            vec![("x-api-key", good.into()), ("x-api-key", "other".into())],
        ];
        for headers in requests {
            let mut request = Request::builder().uri(format!("/api/external/status?api_key={good}"));
            for (name, value) in &headers {
                request = request.header(*name, value);
            }
            let reply = app.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!((reply.code(), reply.detail()), (401, "Invalid API key".into()), "{headers:?}");
            assert_eq!(reply.header("www-authenticate"), "Bearer");
        }
        for (name, value) in [("authorization", format!("bearer {good}")), ("x-api-key", good.into())] {
            let request = Request::builder().uri("/api/external/status").header(name, value);
            assert_eq!(app.send(request.body(Body::empty()).unwrap()).await.code(), 200);
        }
        let stored = app.text("SELECT prefix || hash FROM keys WHERE name = 'test'").await;
        assert!(!stored.contains(&good[20..]) && stored.starts_with("sk_live_"));
    }
}

/// S1-55.
#[tokio::test]
async fn a_key_dies_with_its_user() {
    for app in App::both().await {
        let mut tx = app.state.core.store.begin().await.unwrap();
        assert!(users::set_active(&mut tx, app.account, 1, false).await.unwrap());
        tx.commit().await.unwrap();
        let reply = app.call("GET", "/api/external/status", None).await;
        assert_eq!((reply.code(), reply.detail()), (403, "User account is inactive".into()));
    }
}

#[tokio::test]
async fn a_key_that_may_only_read_writes_nothing() {
    let app = App::sqlite().await;
    let (_, reader) =
        app.key_of(app.account, KeyBody { scopes: vec!["read".into()], ..KeyBody::named("r") }).await;
    assert_eq!(app.call_as(&reader, "GET", "/api/external/campaigns", None).await.code(), 200);
    let lead = json!({ "email": "a@example.com" });
    let reply = app.call_as(&reader, "POST", "/api/external/leads", Some(&lead)).await;
    assert_eq!((reply.code(), &reply.json()["code"]), (403, &json!("insufficient_scope")));
}

/// S1-05, S1-06.
#[tokio::test]
async fn a_standard_key_gets_ten_a_second_and_is_told_what_is_left() {
    let app = App::sqlite().await;
    let key = app.new_key(app.account, "standard").await;
    let first = app.call_as(&key, "GET", "/api/external/status", None).await;
    assert_eq!((first.header("x-ratelimit-limit"), first.header("x-ratelimit-remaining")), ("10", "9"));
    let mut refused = None;
    for _ in 0..200 {
        let reply = app.call_as(&key, "GET", "/api/external/status", None).await;
        if reply.code() == 429 {
            refused = Some(reply);
            break;
        }
    }
    let refused = refused.unwrap();
    assert!(["1", "2"].contains(&refused.header("retry-after")));
    assert_eq!(refused.header("x-ratelimit-remaining"), "0");
    assert_eq!(refused.json()["code"], "rate_limit_exceeded");
    assert!(refused.json()["request_id"].is_string());
    assert_eq!(app.call("GET", "/api/external/status", None).await.code(), 200);
}

/// A3.
#[tokio::test]
async fn whoever_tries_many_keys_is_told_to_wait() {
    let app = App::sqlite().await;
    let mut codes = Vec::new();
    for _ in 0..25 {
        codes.push(app.call_as("sk_live_guess", "GET", "/api/external/status", None).await.code());
    }
    assert_eq!(codes[..20], [401; 20]);
    assert_eq!(codes[20..], [429; 5]);
    assert_eq!(app.call("GET", "/api/external/status", None).await.code(), 200);
}

/// S1-57: the id of the request is all that is told of a defect.
#[tokio::test]
async fn a_defect_is_answered_with_what_was_being_done_and_nothing_of_the_database() {
    let app = App::sqlite().await;
    app.run("DROP TABLE suppressions").await;
    let reply = app.call("POST", "/api/external/leads", Some(&json!({ "email": "a@example.com" }))).await;
    assert_eq!((reply.code(), reply.detail()), (500, "Internal server error while creating lead".into()));
    assert_eq!(keys_of(&reply.json()), ["code", "detail", "errors", "request_id"]);
    assert_eq!(reply.json()["request_id"].as_str().unwrap(), reply.header("x-request-id"));
    assert_eq!(app.number("SELECT COUNT(*) FROM contacts").await, 0);
}

#[tokio::test]
async fn an_idempotency_key_gives_the_same_answer_and_one_effect() {
    for app in App::both().await {
        let send = async |key: &str, account_key: &str, email: &str| {
            let body = json!({ "email": email }).to_string();
            let request = Request::post("/api/external/leads")
                .header("x-api-key", account_key)
                .header("content-type", "application/json")
                .header("idempotency-key", key);
            app.send(request.body(Body::from(body)).unwrap()).await
        };
        let first = send("k1", &app.key, "a@example.com").await;
        app.clock.pass(60_000);
        let again = send("k1", &app.key, "a@example.com").await;
        assert_eq!((again.code(), &again.text), (200, &first.text));
        assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
        let other = send("k1", &app.key, "b@example.com").await;
        assert_eq!((other.code(), &other.json()["code"]), (422, &json!("idempotency_key_reused")));
        let (_, tenant) = app.tenant("other").await;
        assert_eq!(send("k1", &tenant, "a@example.com").await.code(), 200);

        // A refusal is not kept: the same request may succeed later.
        assert_eq!(send("k2", &app.key, "a@example.com").await.code(), 400);
        app.run("UPDATE contacts SET state = 'deleted'").await;
        assert_eq!(send("k2", &app.key, "a@example.com").await.code(), 200);
        assert_eq!(app.number("SELECT COUNT(*) FROM contacts").await, 2);

        // After a day the key is new.
        app.clock.pass(24 * 3_600_000);
        assert_eq!(send("k1", &app.key, "c@example.com").await.code(), 200);
        for bad in ["", &"k".repeat(256)] {
            assert_eq!(send(bad, &app.key, "d@example.com").await.code(), 400);
        }
    }
}

#[tokio::test]
async fn twins_of_one_idempotency_key_have_one_effect() {
    for app in App::both().await {
        let id = new_campaign(&app, &app.key).await;
        let leads: Vec<_> =
            (0..300).map(|n| json!({ "email": format!("l{n}@example.com"), "campaign_id": id })).collect();
        let body = json!(leads).to_string();
        let twins = (0..6).map(|_| {
            let request = Request::post("/api/external/leads/bulk")
                .header("x-api-key", &app.key)
                .header("content-type", "application/json")
                .header("idempotency-key", "twins")
                .body(Body::from(body.clone()))
                .unwrap();
            app.send(request)
        });
        let replies = futures::future::join_all(twins).await;
        let done: Vec<_> = replies.iter().filter(|r| r.code() == 200).collect();
        assert!(!done.is_empty() && done.iter().all(|r| r.text == done[0].text));
        assert!(replies.iter().all(|r| [200, 409].contains(&r.code())), "{replies:?}");
        assert_eq!(app.number("SELECT COUNT(*) FROM enrolments").await, 300);
        assert_eq!(app.number("SELECT COUNT(*) FROM audits WHERE noun = 'contact'").await, 1);
    }
}

#[tokio::test]
async fn many_who_bring_the_same_people_bring_each_once() {
    for app in App::both().await {
        let id = new_campaign(&app, &app.key).await;
        let bring = |turn: usize| {
            let mut leads: Vec<_> = (0..200)
                .map(|n| json!({ "email": format!("l{n}@example.com"), "campaign_id": id }))
                .collect();
            if turn % 2 == 1 {
                leads.reverse();
            }
            leads
        };
        let bodies: Vec<_> = (0..6).map(|turn| json!(bring(turn))).collect();
        let calls = bodies.iter().map(|body| app.call("POST", "/api/external/leads/bulk", Some(body)));
        let replies = futures::future::join_all(calls).await;
        let created: i64 = replies.iter().map(|reply| reply.done()["created"].as_i64().unwrap()).sum();
        assert_eq!(created, 200);
        assert_eq!(app.number("SELECT COUNT(*) FROM contacts").await, 200);
        assert_eq!(app.number("SELECT COUNT(*) FROM events WHERE kind = 'lead.created'").await, 200);
        assert_eq!(app.number("SELECT COUNT(*) FROM enrolments").await, 200);
    }
}
