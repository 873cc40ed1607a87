//! What keys are used for (S0-29): counted without a write of its own, shown by key, endpoint and period.

use sendwright_api::operations::keys::KeyBody;
use serde_json::{Value, json};

use crate::support::api::App;

async fn usage(app: &App, query: &str) -> Value {
    app.call("GET", &format!("/api/v1/usage{query}"), None).await.done()
}

#[tokio::test]
async fn requests_are_counted_by_key_and_endpoint_and_written_in_groups() {
    for app in App::both().await {
        let body = KeyBody { tier: "unlimited".into(), ..KeyBody::named("crm") };
        let (id, key) = app.key_of(app.account, body).await;
        for n in 1..=3 {
            app.call_as(&key, "GET", &format!("/v1/leads/{n}"), None).await;
        }
        app.call_as(&key, "GET", "/api/v1/leads", None).await.done();
        assert_eq!(app.number("SELECT COUNT(*) FROM usage").await, 0);
        let shown = usage(&app, &format!("?key_id={id}")).await;
        assert_eq!((&shown["requests"], &shown["errors"]), (&json!(4), &json!(3)));
        let first = &shown["endpoints"][0];
        assert_eq!(
            (&first["route"], &first["requests"], &first["errors"]),
            (&json!("/api/v1/leads/{id}"), &json!(3), &json!(3))
        );
        assert_eq!((&first["key"], &first["method"]), (&json!("crm"), &json!("GET")));
        app.call_as(&key, "GET", "/api/v1/leads", None).await.done();
        let shown = usage(&app, &format!("?key_id={id}")).await;
        assert_eq!((&shown["requests"], &shown["endpoints"][1]["requests"]), (&json!(5), &json!(2)));
        let (_, stranger) = app.tenant("stranger").await;
        let theirs = app.call_as(&stranger, "GET", "/api/v1/usage", None).await.done();
        assert_eq!(theirs["requests"], 0);
        let theirs = app.call_as(&stranger, "GET", &format!("/api/v1/usage?key_id={id}"), None).await;
        assert_eq!(theirs.code(), 400);
    }
}

#[tokio::test]
async fn a_period_shows_what_fell_into_it() {
    for app in App::both().await {
        app.call("GET", "/api/v1/leads", None).await.done();
        app.run("INSERT INTO drafts (message_id, account_id, subject, body, writer, writing, created_at)
            VALUES (1, 1, 's', 'b', 'model', '{\"tokens\":{\"prompt\":100,\"completion\":20}}', 1768473000000),
                   (2, 1, 's', 'b', 'template', '{}', 1768473000000)").await;
        app.clock.pass(48 * 3_600_000);
        let all = usage(&app, "").await;
        assert_eq!(
            (&all["requests"], &all["model_tokens"]),
            (&json!(1), &json!({ "prompt": 100, "completion": 20, "total": 120 }))
        );
        let day = usage(&app, "?from=2026-01-15&until=2026-01-16").await;
        assert_eq!((&day["requests"], &day["model_tokens"]["total"]), (&json!(1), &json!(120)));
        let later = usage(&app, "?from=2026-01-16").await;
        assert_eq!(
            (&later["model_tokens"]["total"], &later["from"]),
            (&json!(0), &json!("2026-01-16T00:00:00Z"))
        );
        assert_eq!(usage(&app, "?from=2026-01-15&until=2026-01-15T01:00:00Z").await["requests"], 0);
        for bad in ["from=yesterday", "until=1", "from=2026-01-16&until=2026-01-15", "key_id=99", "key_id=x"]
        {
            let reply = app.call("GET", &format!("/api/v1/usage?{bad}"), None).await;
            assert_eq!(reply.code(), 400, "{bad}: {}", reply.text);
        }
    }
}
