//! How often one may call (C-18, S2-43): by key, by address without one, and never where a provider calls back; what a
//! provider may do at once.

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use sendwright_api::openapi::routes;
use sendwright_api::{Console, router};
use sendwright_workflows::sequence::Channel::Sms;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::support::api::{App, Reply};
use crate::support::desk::Desk;
use crate::support::engine::{BOTH, On};
use crate::support::phones::{begun, by, desk, number, post, request, sign, status, text};

/// What S2 alone has of the native surface.
fn is_messaging(path: &str) -> bool {
    let path = path.strip_prefix("/api/v1/").unwrap();
    let nouns = ["users", "imports", "templates", "segments", "reporting", "monitoring"];
    path.ends_with("/trigger") || nouns.iter().any(|noun| path.split('/').next() == Some(noun))
}

/// C-18: the limits of S0 would make those of S2 unreachable.
#[tokio::test]
async fn what_s2_alone_has_is_under_its_own_limit_and_the_rest_under_the_tighter_one() {
    let app = App::sqlite().await;
    for route in routes().into_iter().filter(|route| route.path.starts_with("/api/v1/")) {
        let key = app.new_key(app.account, "standard").await;
        let path = route.path.replace("{id}", "999999");
        let reply = app.call_as(&key, route.method, &path, None).await;
        let expected = match is_messaging(&route.path) {
            true => ("10000", "9999", "\"3600s\";q=10000;w=3600"),
            false => ("100", "99", "\"60s\";q=100;w=60"),
        };
        let told =
            ["x-ratelimit-limit", "x-ratelimit-remaining", "ratelimit-policy"].map(|name| reply.header(name));
        assert_eq!((told[0], told[1], told[2]), expected, "{} {}", route.method, route.path);
    }
    let key = app.new_key(app.account, "standard").await;
    for _ in 0..100 {
        assert_eq!(app.call_as(&key, "GET", "/api/v1/leads", None).await.code(), 200);
    }
    assert_eq!(app.call_as(&key, "GET", "/api/v1/leads", None).await.code(), 429);
    let other = app.call_as(&key, "GET", "/api/v1/users", None).await;
    assert_eq!(
        (other.code(), other.header("x-ratelimit-remaining")),
        (200, "9999"),
        "each is counted by itself"
    );
}

/// Tiers are data: one of before, which does not know of them, has what it had.
#[tokio::test]
async fn a_tier_without_messaging_has_its_native_limits_there() {
    for app in App::both().await {
        app.run(
            "INSERT INTO tiers (name, limits) VALUES
             ('old', '{\"v1\":[{\"limit\":7,\"seconds\":60}]}'),
             ('tight', '{\"v1\":[{\"limit\":7,\"seconds\":60}],\"messaging\":[{\"limit\":9,\"seconds\":3600},{\"limit\":2,\"seconds\":1}]}')",
        )
        .await;
        let old = app.new_key(app.account, "old").await;
        assert_eq!(app.call_as(&old, "GET", "/v1/users", None).await.header("x-ratelimit-limit"), "7");
        let tight = app.new_key(app.account, "tight").await;
        let told = app.call_as(&tight, "GET", "/v1/users", None).await;
        assert_eq!(told.header("x-ratelimit-limit"), "2", "the tightest");
        assert_eq!(told.header("ratelimit-policy"), "\"3600s\";q=9;w=3600, \"1s\";q=2;w=1");
    }
}

async fn without_key(app: &App, n: u8, path: &str) -> Reply {
    let peer = ConnectInfo(SocketAddr::from(([127, 0, 0, n], 40_000)));
    let request = Request::get(path).header("host", "127.0.0.1:8080").extension(peer);
    app.send(request.body(Body::empty()).unwrap()).await
}

/// S2-40, S2-43.
#[tokio::test]
async fn whoever_has_no_key_has_a_thousand_calls_an_hour_over_all_routes_of_an_address() {
    for mut app in App::both().await {
        app.serve(app.state.clone().with_console(Console::loopback(8080)));
        for (path, left) in
            [("/api/v1/users", "999"), ("/api/v1/leads", "998"), ("/v1/users/+14155551234", "997")]
        {
            let reply = without_key(&app, 1, path).await;
            let told = ["x-ratelimit-limit", "x-ratelimit-remaining", "ratelimit-policy"]
                .map(|name| reply.header(name));
            assert_eq!(told, ["1000", left, "\"3600s\";q=1000;w=3600"], "{path}");
        }
        app.run(
            "UPDATE tiers SET limits = '{\"v1\":[{\"limit\":4,\"seconds\":3600}]}' WHERE name = 'keyless'",
        )
        .await;
        assert_eq!(without_key(&app, 1, "/api/v1/segments").await.code(), 200);
        let refused = without_key(&app, 1, "/api/v1/segments").await;
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((3_000..=3_780).contains(&wait), "{wait}");
        let shown = refused.json();
        assert_eq!((refused.code(), &shown["error"]), (429, &json!("rate_limit_exceeded")));
        assert_eq!(shown["message"], format!("too many requests; try again in {wait} s"));
        assert_eq!(shown["retry_after_seconds"], wait);
        assert_eq!(
            (refused.header("x-ratelimit-limit"), refused.header("x-ratelimit-remaining")),
            ("4", "0")
        );
        assert_eq!(without_key(&app, 2, "/api/v1/segments").await.code(), 200, "another address");
        assert_eq!(app.call("GET", "/api/v1/segments", None).await.code(), 200, "a key");
    }
}

/// S2-38.
#[tokio::test]
async fn a_provider_is_never_told_that_it_calls_too_often() {
    let desk = desk(On::Sqlite).await;
    for n in 0..400 {
        let (code, headers, _) =
            post(&desk, "/webhooks/status", &status(&format!("SM{n}"), "sent", "")).await;
        assert_eq!(code, 200);
        assert!(headers.keys().all(|name| !name.as_str().contains("ratelimit")), "{headers:?}");
    }
    let from = number(1);
    for n in 0..30 {
        let sid = format!("SM{n}");
        assert_eq!(post(&desk, "/webhooks/inbound", &text(&sid, &from, "Hello")).await.0, 200);
    }
    for _ in 0..30 {
        // Neither is whoever does not sign told anything else than before.
        let unsigned = request("/webhooks/status", &status("SM1", "sent", ""), None);
        assert_eq!(desk.send(unsigned).await.0, 403);
    }
}

/// What is kept of a form, and how long one may be.
#[tokio::test]
async fn a_providers_form_is_of_a_bounded_size_whatever_it_says_of_itself() {
    let desk = desk(On::Sqlite).await;
    let large = "a".repeat(65 << 10);
    for path in ["/webhooks/inbound", "/webhooks/status"] {
        let form = [("MessageSid", "SM1"), ("MessageStatus", "sent"), ("Body", large.as_str())];
        let told = post(&desk, path, &form).await;
        let shown: Value = serde_json::from_str(&told.2).unwrap();
        assert_eq!((told.0, &shown["error"]), (413, &json!("too_large")), "{path}");
        let chunks = futures::stream::iter((0..70).map(|_| Ok::<_, std::io::Error>("b".repeat(1 << 10))));
        let chunked = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        let told = desk.send(chunked.body(Body::from_stream(chunks)).unwrap()).await;
        assert_eq!(told.0, 413, "{path}");
    }
    assert_eq!(desk.number("SELECT COUNT(*) FROM callbacks").await, 0);
}

/// So many texts, posted at once while nothing can be written: those that are turned away, and those that are taken once
/// something can.
async fn at_once(desk: &Desk, count: usize) -> (usize, usize) {
    let held = desk.core().store.begin().await.unwrap();
    let mut asked = JoinSet::new();
    for n in 0..count {
        let (from, sid) = (number(1), format!("SM{n}"));
        let form = text(&sid, &from, "Hello");
        let request = request("/webhooks/inbound", &form, Some(&sign("/webhooks/inbound", &form)));
        asked.spawn(router(desk.state.clone()).oneshot(request));
    }
    let mut held = Some(held);
    let (mut refused, mut taken) = (0, 0);
    while let Some(answer) = asked.join_next().await {
        let answer = answer.unwrap().unwrap();
        match answer.status().as_u16() {
            503 => {
                assert_eq!(answer.headers()["retry-after"], "1");
                refused += 1;
            }
            200 => taken += 1,
            other => panic!("{other}"),
        }
        if let Some(held) = held.take_if(|_| asked.len() == MOST_TEXTS) {
            held.rollback().await.unwrap();
        }
    }
    (refused, taken)
}

/// Texts that are taken at once.
const MOST_TEXTS: usize = 256;

#[tokio::test]
async fn more_texts_at_once_than_can_be_taken_are_told_to_come_again() {
    let desk = begun(On::Sqlite, &[by(Sms, 1, 0), by(Sms, 2, 1)]).await;
    assert_eq!(at_once(&desk, MOST_TEXTS + 44).await, (44, MOST_TEXTS));
    assert_eq!(desk.number("SELECT COUNT(*) FROM inbound").await, MOST_TEXTS as i64);
}

/// Whoever proves nothing takes nobody's place, however slowly it speaks.
#[tokio::test]
async fn bodies_that_never_end_keep_no_text_out() {
    for on in BOTH {
        let desk = begun(on, &[by(Sms, 1, 0), by(Sms, 2, 1)]).await;
        let mut slow = JoinSet::new();
        for _ in 0..2 * MOST_TEXTS {
            let request = Request::post("/webhooks/inbound")
                .header("content-type", "application/x-www-form-urlencoded");
            let body = Body::from_stream(futures::stream::pending::<Result<String, std::io::Error>>());
            slow.spawn(router(desk.state.clone()).oneshot(request.body(body).unwrap()));
        }
        tokio::task::yield_now().await;
        assert_eq!(post(&desk, "/webhooks/inbound", &text("SM1", &number(1), "STOP")).await.0, 200);
        assert_eq!(desk.number("SELECT COUNT(*) FROM suppressions").await, 2);
    }
}
