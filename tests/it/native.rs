//! `/api/v1`: the native face, tenants apart, profiles sealed, leads that come back.

use serde_json::{Value, json};

use crate::support::api::App;

fn campaign() -> Value {
    json!({
        "name": "Launch", "timezone": "Europe/Paris", "quiet_hours_start": "22:00", "quiet_hours_end": "08:00",
        "rate_limit_per_second": 2.5,
        "steps": [{ "step_number": 1, "subject": "Hi", "template": "Hello {{first_name}}", "delay_minutes": 5 }],
    })
}

#[tokio::test]
async fn a_campaign_is_a_draft_until_it_is_started_and_its_first_step_counts_from_there() {
    for app in App::both().await {
        let made = app.call("POST", "/api/v1/campaigns", Some(&campaign())).await;
        assert_eq!(made.code(), 201);
        let made = made.json();
        assert_eq!((&made["status"], &made["created_at"]), (&json!("DRAFT"), &json!("2026-01-15T10:30:00Z")));
        let id = made["id"].as_str().unwrap();
        assert_eq!(id, "01000000-0000-8000-8000-000000000001");
        app.call("POST", &format!("/v1/campaigns/{id}/leads"), Some(&json!([{ "email": "a@example.com" }])))
            .await
            .done();
        app.clock.pass(3_600_000);
        for (verb, status) in
            [("start", "RUNNING"), ("start", "RUNNING"), ("pause", "PAUSED"), ("resume", "RUNNING")]
        {
            let reply = app.call("POST", &format!("/api/v1/campaigns/{id}/{verb}"), None).await.done();
            assert_eq!(reply["status"], status);
        }
        let shown = app.call("GET", &format!("/api/v1/campaigns/{id}"), None).await.done();
        assert_eq!(shown["started_at"], "2026-01-15T11:30:00Z");
        assert_eq!(shown["enrolments"], json!({ "active": 1 }));
        assert_eq!((&shown["messages_sent"], &shown["steps"][0]["delay_minutes"]), (&json!(0), &json!(5)));
        let policy: Value = serde_json::from_str(&app.text("SELECT policy FROM campaigns").await).unwrap();
        assert_eq!(policy["starts_at"], json!(crate::support::api::START + 3_600_000));
        assert_eq!(app.number("SELECT COUNT(*) FROM audits WHERE noun = 'campaign'").await, 5);
    }
}

#[tokio::test]
async fn a_schedule_time_ahead_makes_a_scheduled_campaign() {
    for app in App::both().await {
        let mut body = campaign();
        body["schedule_time"] = "2026-02-01T09:00:00+01:00".into();
        let made = app.call("POST", "/api/v1/campaigns", Some(&body)).await.done();
        assert_eq!(
            (&made["status"], &made["schedule_time"]),
            (&json!("SCHEDULED"), &json!("2026-02-01T08:00:00Z"))
        );
        let again = app.call("PUT", "/api/v1/campaigns/1", Some(&campaign())).await.done();
        assert_eq!((&again["status"], &again["schedule_time"]), (&json!("DRAFT"), &Value::Null));
        let policy: Value = serde_json::from_str(&app.text("SELECT policy FROM campaigns").await).unwrap();
        assert_eq!(policy["starts_at"], Value::Null);
        app.call("PUT", "/api/v1/campaigns/1", Some(&body)).await.done();
        let found = app.call("GET", "/api/v1/campaigns?status=scheduled", None).await.done();
        assert_eq!((&found["total"], &found["pages"]), (&json!(1), &json!(1)));
    }
}

#[tokio::test]
async fn leads_are_enrolled_new_or_known_and_each_once() {
    for app in App::both().await {
        app.call("POST", "/api/v1/campaigns", Some(&campaign())).await.done();
        let known = app.call("POST", "/api/v1/leads", Some(&json!({ "email": "a@example.com" }))).await;
        assert_eq!(known.code(), 201);
        let known = known.json()["id"].clone();
        let leads = json!({ "leads": [{ "email": "A@example.com" }, { "email": "b@example.com" }, { "email": "x" }] });
        let shown = app.call("POST", "/api/v1/campaigns/1/leads", Some(&leads)).await.done();
        assert_eq!(
            (&shown["created"], &shown["enrolled"], &shown["errors"][0]["index"]),
            (&json!(1), &json!(2), &json!(2))
        );
        assert_eq!(shown["leads"][0]["id"], known);
        let again = app.call("POST", "/api/v1/campaigns/1/leads", Some(&leads)).await.done();
        assert_eq!((&again["created"], &again["enrolled"]), (&json!(0), &json!(0)));
        let third =
            app.call("POST", "/api/v1/leads", Some(&json!({ "email": "c@example.com" }))).await.done();
        let by_id = json!({ "lead_ids": [known, third["id"], 99, third["id"]] });
        let shown = app.call("POST", "/api/v1/campaigns/1/leads", Some(&by_id)).await.done();
        assert_eq!((&shown["enrolled"], &shown["errors"][0]["index"]), (&json!(1), &json!(2)));
        assert_eq!(app.number("SELECT COUNT(*) FROM enrolments").await, 3);
        assert_eq!(app.number("SELECT COUNT(*) FROM events WHERE kind = 'campaign.enrolled'").await, 3);
        for body in
            [json!({}), json!(7), json!({ "lead_ids": ["x"] }), json!({ "leads": [], "lead_ids": [] })]
        {
            let reply = app.call("POST", "/api/v1/campaigns/1/leads", Some(&body)).await;
            assert!([400, 422].contains(&reply.code()), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn a_refusal_has_the_documents_shape() {
    let app = App::sqlite().await;
    let reply = app.call("POST", "/api/v1/leads", Some(&json!({ "email": "a" }))).await;
    let shown = reply.json();
    assert_eq!(
        (reply.code(), &shown["error"], &shown["field"]),
        (422, &json!("validation_error"), &json!("email"))
    );
    assert_eq!(
        (&shown["details"]["field"], &shown["timestamp"]),
        (&json!("email"), &json!("2026-01-15T10:30:00Z"))
    );
    assert_eq!(shown["request_id"].as_str().unwrap(), reply.header("x-request-id"));
    assert_eq!(app.call("POST", "/api/v1/leads", Some(&json!({ "email": 7 }))).await.code(), 400);
    app.call("POST", "/api/v1/leads", Some(&json!({ "email": "a@example.com" }))).await.done();
    let again = app.call("POST", "/api/v1/leads", Some(&json!({ "email": "a@example.com" }))).await;
    assert_eq!((again.code(), &again.json()["error"]), (409, &json!("duplicate")));
}

#[tokio::test]
async fn a_profiles_url_goes_in_and_never_comes_out() {
    let app = App::sqlite().await;
    let body = json!({
        "name": "Sales", "smtp_url": "smtps://sales:hunter2canary@mail.example.com:465", "from_email": "s@example.com",
        "rate_limit_per_second": 5, "rate_limit_per_day": 1000, "timezone": "Asia/Tokyo",
    });
    let made = app.call("POST", "/api/v1/sending-profiles", Some(&body)).await;
    assert_eq!((made.code(), &made.json()["transport"]), (201, &json!("smtp")));
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let one = app.call("GET", &format!("/api/v1/sending-profiles/{id}"), None).await;
    let all = app.call("GET", "/api/v1/sending-profiles", None).await;
    assert_eq!((&one.json()["rate_limit_per_day"], &all.json()["total"]), (&json!(1000), &json!(2)));
    for text in [&made.text, &one.text, &all.text] {
        assert!(!text.contains("canary") && !text.contains("smtps"));
    }
    let at_rest = app.bytes();
    assert!(!at_rest.windows(6).any(|bytes| bytes == b"canary"));
    let sealed = app.text("SELECT url_sealed FROM sending_profiles WHERE id = 2").await;
    let opened = app.state.core.seals.open("sending_profiles", 2, &sealed).unwrap();
    assert_eq!(opened, "smtps://sales:hunter2canary@mail.example.com:465");
    assert_eq!(app.number("SELECT COUNT(*) FROM gates WHERE owner = 'profile'").await, 2);
    let again = app.call("POST", "/api/v1/sending-profiles", Some(&body)).await;
    assert_eq!(again.code(), 409);
}

#[tokio::test]
async fn a_campaign_may_bring_its_profile_twice() {
    for app in App::both().await {
        let mut body = campaign();
        body["sending_profile"] = json!({ "name": "Mine", "rate_limit_per_minute": 30 });
        for _ in 0..2 {
            app.call("POST", "/api/v1/campaigns", Some(&body)).await.done();
        }
        assert_eq!(app.number("SELECT COUNT(*) FROM sending_profiles").await, 3);
        assert_eq!(app.number("SELECT COUNT(DISTINCT profile_id) FROM campaigns").await, 2);
    }
}

/// A43: neither deletion nor a new import forgets an opt-out.
#[tokio::test]
async fn a_suppression_outlives_its_lead() {
    for app in App::both().await {
        app.call("POST", "/api/v1/campaigns", Some(&campaign())).await.done();
        app.call("POST", "/api/v1/campaigns/1/leads", Some(&json!([{ "email": "a@example.com" }])))
            .await
            .done();
        let made = app.call("POST", "/api/v1/suppressions", Some(&json!({ "email": "A@Example.com" }))).await;
        assert_eq!((made.code(), &made.json()["why"]), (201, &json!("manual")));
        assert!(!made.text.to_lowercase().contains("a@example.com"));
        assert_eq!(app.text("SELECT state || ' ' || reason FROM enrolments").await, "stopped suppressed");
        assert_eq!(app.number("SELECT COUNT(*) FROM consents WHERE state = 'opt_out'").await, 1);
        app.call("POST", "/api/v1/suppressions", Some(&json!({ "email": "a@example.com" }))).await.done();
        assert_eq!(app.number("SELECT COUNT(*) FROM consents").await, 1);

        app.call("DELETE", "/api/v1/leads/1", None).await.done();
        assert_eq!(app.call("GET", "/api/v1/leads/1", None).await.code(), 404);
        assert_eq!(app.call("DELETE", "/api/v1/leads/1", None).await.code(), 404);
        let back = app
            .call("POST", "/api/external/leads", Some(&json!({ "email": "a@EXAMPLE.com", "company": "New" })))
            .await;
        assert_eq!((&back.done()["id"], &back.json()["suppressed"]), (&json!(1), &json!(true)));
        assert_eq!(app.text("SELECT state || ' ' || company FROM contacts").await, "active New");
        let found = app.call("GET", "/api/v1/suppressions", None).await.done();
        assert_eq!(found["total"], 1);
    }
}

#[tokio::test]
async fn a_list_is_read_to_its_end_by_cursor_and_by_page() {
    for app in App::both().await {
        let leads: Vec<_> = (0..45)
            .map(|n| json!({ "email": format!("l{n}@example.com"), "external_id": format!("x{n}") }))
            .collect();
        app.call("POST", "/api/v1/leads/bulk", Some(&json!(leads))).await.done();
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = app.call("GET", &format!("/api/v1/leads?per_page=20{cursor}"), None).await.done();
            seen.extend(page["leads"].as_array().unwrap().iter().map(|l| l["id"].clone()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen.len(), 45);
        let third = app.call("GET", "/api/v1/leads?page=3", None).await.done();
        assert_eq!((third["leads"].as_array().unwrap().len(), &third["pages"]), (5, &json!(3)));
        assert_eq!(third["leads"][4]["id"], seen[44]);
        let own = app.call("GET", "/api/v1/leads?external_id=x7", None).await.done();
        assert_eq!(own["leads"][0]["email"], "l7@example.com");
    }
}

/// A5: every route, every reference in a body.
#[tokio::test]
async fn another_tenants_rows_are_not_there() {
    for app in App::both().await {
        let (_, other) = app.tenant("other").await;
        app.call("POST", "/api/v1/campaigns", Some(&campaign())).await.done();
        app.call("POST", "/api/v1/campaigns/1/leads", Some(&json!([{ "email": "a@example.com" }])))
            .await
            .done();
        app.call("POST", "/api/v1/suppressions", Some(&json!({ "email": "s@example.com" }))).await.done();
        let external = json!({ "name": "E", "steps": [{ "step_number": 1, "name": "a", "ai_prompt": "b" }] });
        let with_profile = json!({ "name": "E", "sending_profile_id": 1, "steps": external["steps"] });
        let by_id = json!({ "lead_ids": [1] });
        let calls: [(&str, &str, &str, Option<&Value>); 16] = [
            ("GET", "/api/external/campaigns/{}", "1", None),
            ("PUT", "/api/external/campaigns/{}", "1", Some(&external)),
            ("DELETE", "/api/external/campaigns/{}", "1", None),
            ("POST", "/api/external/campaigns/{}/pause", "1", None),
            ("POST", "/api/external/campaigns/{}/unpause", "1", None),
            ("GET", "/api/v1/campaigns/{}", "1", None),
            ("PUT", "/api/v1/campaigns/{}", "1", Some(&external)),
            ("DELETE", "/api/v1/campaigns/{}?force=true", "1", None),
            ("POST", "/api/v1/campaigns/{}/start", "1", None),
            ("POST", "/api/v1/campaigns/{}/pause", "1", None),
            ("POST", "/api/v1/campaigns/{}/resume", "1", None),
            ("POST", "/api/v1/campaigns/{}/leads", "1", Some(&by_id)),
            ("GET", "/api/v1/leads/{}", "1", None),
            ("DELETE", "/api/v1/leads/{}", "1", None),
            ("GET", "/api/v1/sending-profiles/{}", "1", None),
            ("POST", "/api/v1/campaigns?{}", "1", Some(&with_profile)),
        ];
        for (method, path, id, body) in calls {
            let theirs = app.call_as(&other, method, &path.replace("{}", id), body).await;
            assert_eq!(theirs.code(), 404, "{method} {path}: {theirs:?}");
            if !path.contains('?') {
                let missing = app.call_as(&other, method, &path.replace("{}", "99"), body).await;
                let plain = |text: &str| {
                    let mut value: Value = serde_json::from_str(text).unwrap();
                    value["request_id"] = Value::Null;
                    value.to_string().replace("99", "1")
                };
                assert_eq!(plain(&theirs.text), plain(&missing.text), "{method} {path}");
            }
        }
        for path in ["/api/external/campaigns", "/api/v1/campaigns", "/api/v1/leads", "/api/v1/suppressions"]
        {
            let mine = app.call_as(&other, "GET", path, None).await.done();
            assert!(mine == json!([]) || mine["total"] == 0, "{path}: {mine}");
        }
        assert_eq!(app.text("SELECT state FROM campaigns").await, "draft");
        let lead = json!({ "email": "s@example.com" });
        let theirs = app.call_as(&other, "POST", "/api/external/leads", Some(&lead)).await.done();
        assert_eq!(theirs.get("suppressed"), None);
    }
}

#[tokio::test]
async fn the_process_says_whether_it_is_ready() {
    let app = App::sqlite().await;
    assert_eq!(app.call("GET", "/healthz", None).await.code(), 200);
    let ready = app.call("GET", "/readyz", None).await;
    assert_eq!((ready.code(), &ready.json()["checks"]["queue"]), (200, &json!("embedded")));
    app.run("DELETE FROM _sqlx_migrations").await;
    let behind = app.call("GET", "/readyz", None).await;
    assert_eq!((behind.code(), &behind.json()["checks"]["schema"]), (503, &json!("wrong version")));
    let app = App::sqlite().await;
    app.state.close();
    assert_eq!(app.call("GET", "/readyz", None).await.code(), 503);
    assert_eq!(app.call("GET", "/healthz", None).await.code(), 200);
}
