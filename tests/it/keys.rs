//! Keys over the API: made, rotated, revoked, never more than their maker; test keys and their twin; limits.

use axum::body::Body;
use axum::http::Request;
use sendwright_api::operations::keys::KeyBody;
use serde_json::{Value, json};

use crate::support::api::{App, Reply, START};

async fn bearer(app: &App, key: &str, path: &str) -> Reply {
    let request = Request::builder().uri(path).header("authorization", format!("Bearer {key}"));
    app.send(request.body(Body::empty()).unwrap()).await
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// S0-02: `Authorization: Bearer sk_live_…` beside `X-API-Key`, under every prefix.
#[tokio::test]
async fn a_key_over_the_api_is_shown_once_and_opens_both_ways() {
    for app in App::both().await {
        let body = json!({ "name": "CRM", "scopes": ["leads:read"], "expires_at": "2026-02-01T00:00:00Z" });
        let made = app.call("POST", "/api/v1/keys", Some(&body)).await;
        assert_eq!(made.code(), 201, "{}", made.text);
        let made = made.json();
        let key = text(&made["key"]).to_owned();
        assert!(key.starts_with("sk_live_") && key.starts_with(text(&made["prefix"])));
        for prefix in ["/api/v1", "/v1"] {
            assert_eq!(bearer(&app, &key, &format!("{prefix}/leads")).await.code(), 200);
            assert_eq!(app.call_as(&key, "GET", &format!("{prefix}/leads"), None).await.code(), 200);
            assert_eq!(bearer(&app, &key, &format!("{prefix}/campaigns")).await.code(), 403);
        }
        let path = format!("/api/v1/keys/{}", text(&made["id"]));
        let shown = app.call("GET", &path, None).await.done();
        assert_eq!(
            (&shown["status"], &shown["scopes"], shown.get("key")),
            (&json!("active"), &json!(["leads:read"]), None)
        );
        let listed = app.call("GET", "/api/v1/keys", None).await.done();
        assert_eq!(listed["total"], 2);
        app.clock.pass(40 * 24 * 3_600_000);
        assert_eq!(bearer(&app, &key, "/api/v1/leads").await.code(), 401);
        assert_eq!(app.call("GET", &path, None).await.done()["status"], "expired");
    }
}

#[tokio::test]
async fn the_last_use_of_a_key_is_noted_at_most_once_a_minute() {
    let app = App::sqlite().await;
    let (id, key) = app.key_of(app.account, KeyBody::named("used")).await;
    assert_eq!(bearer(&app, &key, "/api/v1/leads").await.code(), 200);
    let path = format!("/api/v1/keys/{id}");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while app.call("GET", &path, None).await.done()["last_used_at"].is_null() {
        assert!(std::time::Instant::now() < deadline, "the use is not noted");
        tokio::task::yield_now().await;
    }
    assert_eq!(app.call("GET", &path, None).await.done()["last_used_at"], "2026-01-15T10:30:00Z");
}

#[tokio::test]
async fn a_rotated_key_opens_beside_its_successor_until_the_overlap_ends() {
    for app in App::both().await {
        let made = app
            .call("POST", "/api/v1/keys", Some(&json!({ "name": "CRM", "scopes": ["read"] })))
            .await
            .done();
        let old = text(&made["key"]).to_owned();
        let path = format!("/api/v1/keys/{}/rotate", text(&made["id"]));
        let next = app.call("POST", &path, Some(&json!({ "overlap_seconds": 60 }))).await;
        assert_eq!(next.code(), 201, "{}", next.text);
        let next = next.json();
        let new = text(&next["key"]).to_owned();
        assert_eq!((&next["name"], &next["scopes"]), (&made["name"], &made["scopes"]));
        for key in [&old, &new] {
            assert_eq!(bearer(&app, key, "/api/v1/leads").await.code(), 200);
            assert_eq!(app.call_as(key, "POST", "/api/v1/leads", Some(&json!({}))).await.code(), 403);
        }
        app.clock.pass(60_000);
        assert_eq!(bearer(&app, &old, "/api/v1/leads").await.code(), 401);
        assert_eq!(bearer(&app, &new, "/api/v1/leads").await.code(), 200);
        let again = app.call("POST", &path, None).await;
        assert_eq!((again.code(), &again.json()["error"]), (409, &json!("key_not_active")));
        let gone = format!("/api/v1/keys/{}", text(&next["id"]));
        assert_eq!(app.call("DELETE", &gone, None).await.done()["status"], "revoked");
        assert_eq!(app.call("DELETE", &gone, None).await.done()["status"], "revoked");
        assert_eq!(bearer(&app, &new, "/api/v1/leads").await.code(), 401);
        assert_eq!(app.number("SELECT COUNT(*) FROM audits WHERE noun = 'key'").await, 5);
    }
}

#[tokio::test]
async fn no_key_makes_one_that_may_more_or_lasts_longer_than_itself() {
    let app = App::sqlite().await;
    let maker = KeyBody {
        scopes: vec!["keys:write".into(), "read".into()],
        expires_at: Some(START + 3_600_000),
        ..KeyBody::named("maker")
    };
    let (_, maker) = app.key_of(app.account, maker).await;
    let refused = [
        json!({ "name": "n", "scopes": ["leads:write"] }),
        json!({ "name": "n", "scopes": ["write"] }),
        json!({ "name": "n", "scopes": ["leads:read"], "tier": "unlimited" }),
        json!({ "name": "n", "scopes": ["leads:read"], "expires_at": "2026-01-16T00:00:00Z" }),
        json!({ "name": "n", "scopes": [] }),
        json!({ "name": "n", "scopes": ["nothing:read"] }),
        json!({ "name": "n", "expires": "2026-01-16T00:00:00Z" }),
        json!({ "name": "" }),
    ];
    for body in &refused {
        let reply = app.call_as(&maker, "POST", "/api/v1/keys", Some(body)).await;
        assert!([400, 422].contains(&reply.code()), "{body}: {}", reply.text);
    }
    let (whole, _) = app.key_of(app.account, KeyBody::named("whole")).await;
    let reply = app.call_as(&maker, "POST", &format!("/api/v1/keys/{whole}/rotate"), None).await;
    assert_eq!(reply.code(), 422, "{}", reply.text);
    let made = app
        .call_as(&maker, "POST", "/api/v1/keys", Some(&json!({ "name": "n", "scopes": ["leads:read"] })))
        .await;
    let made = made.done();
    assert_eq!((&made["tier"], &made["expires_at"]), (&json!("standard"), &json!("2026-01-15T11:30:00Z")));
}

#[tokio::test]
async fn an_answer_that_is_given_again_does_not_hold_the_key() {
    for app in App::both().await {
        let make = async || {
            let request = Request::post("/api/v1/keys")
                .header("x-api-key", &app.key)
                .header("content-type", "application/json")
                .header("idempotency-key", "once");
            app.send(request.body(json!({ "name": "CRM" }).to_string().into()).unwrap()).await
        };
        let (first, again) = (make().await, make().await);
        assert_eq!((first.code(), again.code(), again.header("idempotent-replayed")), (201, 201, "true"));
        assert!(first.json()["key"].is_string() && again.json()["key"].is_null());
        assert_eq!(first.json()["id"], again.json()["id"]);
        let key = text(&first.json()["key"]).to_owned();
        let kept = app.text("SELECT body FROM idempotency_keys").await;
        assert!(!kept.contains(&key[20..]));
    }
}

/// DESIGN, Accounts: a test key belongs to a twin with rows of its own.
#[tokio::test]
async fn a_test_key_has_a_world_of_its_own_and_dies_with_its_user() {
    for app in App::both().await {
        let made =
            app.call("POST", "/api/v1/keys", Some(&json!({ "name": "try", "test": true }))).await.done();
        let (key, id) = (text(&made["key"]).to_owned(), text(&made["id"]).to_owned());
        assert!(key.starts_with("sk_test_"));
        assert_eq!(made["mode"], "test");
        app.call("POST", "/api/v1/leads", Some(&json!({ "email": "live@example.com" }))).await.done();
        app.call_as(&key, "POST", "/api/v1/leads", Some(&json!({ "email": "live@example.com" })))
            .await
            .done();
        assert_eq!(app.call_as(&key, "GET", "/api/v1/leads", None).await.done()["total"], 1);
        assert_eq!(app.call("GET", "/api/v1/leads", None).await.done()["total"], 1);
        assert_eq!(app.call_as(&key, "GET", "/api/v1/sending-profiles", None).await.done()["total"], 1);
        // The account sees its twin's keys; the twin sees its own alone.
        assert_eq!(app.call("GET", "/api/v1/keys", None).await.done()["total"], 2);
        let own = app.call_as(&key, "GET", "/api/v1/keys", None).await.done();
        assert_eq!((&own["total"], &own["keys"][0]["id"]), (&json!(1), &json!(id)));
        let second = app.call_as(&key, "POST", "/api/v1/keys", Some(&json!({ "name": "more" }))).await.done();
        assert_eq!(second["mode"], "test");
        assert_eq!(app.number("SELECT COUNT(*) FROM accounts").await, 2);
        app.run("UPDATE accounts SET active = FALSE WHERE parent_id IS NULL").await;
        assert_eq!(bearer(&app, &key, "/api/v1/leads").await.code(), 403);
        app.run("UPDATE accounts SET active = TRUE").await;
        app.run("UPDATE users SET active = FALSE").await;
        assert_eq!(bearer(&app, &key, "/api/v1/leads").await.code(), 403);
    }
}

/// S0-03; tiers are data.
#[tokio::test]
async fn a_standard_key_has_a_hundred_calls_a_minute_and_every_answer_says_what_is_left() {
    let app = App::sqlite().await;
    let key = app.new_key(app.account, "standard").await;
    for left in (0..100).rev() {
        let reply = bearer(&app, &key, "/api/v1/leads").await;
        assert_eq!((reply.code(), reply.header("x-ratelimit-limit")), (200, "100"));
        assert_eq!(reply.header("x-ratelimit-remaining"), left.to_string());
        assert_eq!(reply.header("ratelimit-policy"), "\"60s\";q=100;w=60");
        assert!(reply.header("ratelimit").starts_with(&format!("\"60s\";r={left};t=")));
    }
    let refused = bearer(&app, &key, "/api/v1/leads").await;
    assert_eq!((refused.code(), refused.header("x-ratelimit-remaining")), (429, "0"));
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=63).contains(&wait) && refused.json()["retry_after_seconds"] == wait);
    assert!(refused.header("ratelimit").starts_with("\"60s\";r=0;t="));
    // The same key under another dialect, and another key, have limits of their own.
    assert_eq!(bearer(&app, &key, "/api/external/status").await.code(), 200);
    let other = app.new_key(app.account, "standard").await;
    assert_eq!(bearer(&app, &other, "/api/v1/leads").await.code(), 200);
    let denied = app.call_as("sk_live_nothing", "GET", "/api/v1/leads", None).await;
    assert_eq!((denied.code(), denied.header("x-ratelimit-limit")), (401, "20"));
}

#[tokio::test]
async fn an_address_is_limited_only_where_there_is_no_key() {
    let app = App::sqlite().await;
    let open = app.call_as("", "GET", "/api/v1/openapi.json", None).await;
    assert_eq!((open.code(), open.header("x-ratelimit-limit")), (200, "300"));
    let behind = app.call("GET", "/api/v1/leads", None).await;
    assert_eq!((behind.code(), behind.header("x-ratelimit-limit")), (200, ""));
}
