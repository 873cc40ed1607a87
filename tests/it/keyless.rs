//! Requests without a key (C-10): let in under `up` on loopback, from the person at this machine, and nowhere else.

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use sendwright_api::Console;
use sendwright_api::operations::keys::KeyBody;
use serde_json::json;
use std::net::SocketAddr;

use crate::support::api::{App, Reply};
use crate::support::process::{Process, call, run};

const HOME: &str = "127.0.0.1:8080";
const SEGMENTS: &str = "/api/v1/segments";

async fn at_home(mut app: App) -> App {
    app.serve(app.state.clone().with_console(Console::loopback(8080)));
    app
}

/// A request without a key: with these headers, and the host of this machine where none is among them.
async fn ask(app: &App, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    ask_from(app, 1, method, path, headers, body).await
}

/// The same from the nth address.
async fn ask_from(app: &App, n: u8, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let peer = ConnectInfo(SocketAddr::from(([127, 0, 0, n], 40_000)));
    let mut request = Request::builder().method(method).uri(path).extension(peer);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", HOME);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

/// A segment to be made, with these headers beside its type.
async fn make(app: &App, headers: &[(&str, &str)]) -> Reply {
    make_from(app, 1, headers).await
}

async fn make_from(app: &App, n: u8, headers: &[(&str, &str)]) -> Reply {
    let body = json!({ "name": "New", "filter_criteria": { "attribute": "a", "operator": "exists" } });
    let headers = [&[("content-type", "application/json")], headers].concat();
    ask_from(app, n, "POST", SEGMENTS, &headers, &body.to_string()).await
}

fn refused(reply: &Reply) {
    assert_eq!((reply.code(), &reply.json()["error"]), (401, &json!("invalid_api_key")), "{reply:?}");
    assert_eq!(reply.header("www-authenticate"), "Bearer");
}

#[tokio::test]
async fn the_person_at_this_machine_is_the_owner_of_its_only_account() {
    for app in App::both().await {
        let app = at_home(app).await;
        for (host, prefix) in [(HOME, "/api/v1"), ("localhost:8080", "/v1"), ("[::1]:8080", "/api/v1")] {
            let listed = ask(&app, "GET", &format!("{prefix}/keys"), &[("host", host)], "").await.done();
            assert_eq!(listed["total"], 1, "{host}");
        }
        for own in [
            &[("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")][..],
            &[("sec-fetch-site", "none")],
            &[],
        ] {
            assert_eq!(make(&app, own).await.code(), 201, "{own:?}");
        }
        assert_eq!(
            app.number("SELECT COUNT(*) FROM audits WHERE actor = 'owner' AND account_id = 1").await,
            3
        );
        // As much as the command line may do: a key without limits, here.
        let body = json!({ "name": "own", "tier": "unlimited" }).to_string();
        let made =
            ask(&app, "POST", "/api/v1/keys", &[("content-type", "application/json")], &body).await.done();
        assert!(made["key"].as_str().unwrap().starts_with("sk_live_"));
    }
}

#[tokio::test]
async fn elsewhere_and_in_the_external_dialect_a_key_is_asked_for() {
    let app = App::sqlite().await;
    refused(&make(&app, &[]).await);
    let app = at_home(app).await;
    let outside = ask(&app, "GET", "/api/external/campaigns", &[], "").await;
    assert_eq!((outside.code(), outside.detail().as_str()), (401, "Invalid API key"));
}

/// A key that does not open is no missing one.
#[tokio::test]
async fn a_wrong_key_is_never_taken_for_none() {
    let app = at_home(App::sqlite().await).await;
    let body = KeyBody { scopes: vec!["leads:read".into()], ..KeyBody::named("narrow") };
    let (_, narrow) = app.key_of(app.account, body).await;
    let bearer = format!("Bearer {narrow}");
    for (name, value) in [
        ("x-api-key", ""),
        ("x-api-key", "sk_live_nothing"),
        ("authorization", ""),
        ("authorization", "Bearer "),
        ("authorization", "Bearer sk_live_nothing"),
        ("authorization", "Basic b3duZXI6"),
    ] {
        refused(&make(&app, &[(name, value)]).await);
    }
    for shown in [("x-api-key", narrow.as_str()), ("authorization", bearer.as_str())] {
        assert_eq!(
            make(&app, &[shown]).await.json()["error"],
            "insufficient_scope",
            "its own rights are what it has"
        );
    }
    refused(&make(&app, &[("x-api-key", &narrow), ("authorization", "Bearer sk_live_other")]).await);
    assert_eq!(app.number("SELECT COUNT(*) FROM segments").await, 0);
}

/// DNS rebinding, forms and scripts of other sites, other ports of this machine, proxies.
#[tokio::test]
async fn what_another_site_or_a_proxy_sends_is_nobodys() {
    let app = at_home(App::sqlite().await).await;
    let away: [&[(&str, &str)]; 20] = [
        &[("host", "rebound.example:8080")],
        &[("host", "localhost.rebound.example:8080")],
        &[("host", "127.0.0.1:9999")],
        &[("host", "127.0.0.1")],
        &[("host", "0.0.0.0:8080")],
        &[("host", "")],
        &[("host", HOME), ("host", "evil.example")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "http://localhost:3000")],
        &[("origin", "http://localhost:8080")],
        &[("origin", "http://127.0.0.1:8080"), ("origin", "https://evil.example")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
        &[("x-forwarded-for", "203.0.113.9")],
        &[("x-forwarded-host", HOME)],
        &[("forwarded", "for=203.0.113.9")],
        &[("via", "1.1 proxy")],
        &[("x-real-ip", "127.0.0.1")],
    ];
    // Each from an address of its own: whoever is refused too often is told to wait.
    for (n, headers) in (1..).zip(away) {
        refused(&make_from(&app, n, headers).await);
    }
    assert_eq!(app.number("SELECT COUNT(*) FROM segments").await, 0);
}

/// What a browser sends across sites without asking first is a form; none is read, wherever it says it is from.
#[tokio::test]
async fn a_form_is_no_request_even_where_no_key_is_needed() {
    let app = at_home(App::sqlite().await).await;
    app.call(
        "POST",
        "/api/v1/campaigns",
        Some(&json!({ "name": "c", "business_type": "x", "strategy": "y" })),
    )
    .await
    .done();
    let body = r#"{"name": "New", "filter_criteria": {"attribute": "a", "operator": "exists"}}"#;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let own = [("content-type", kind)];
        assert_eq!(ask(&app, "POST", SEGMENTS, &own, body).await.code(), 415, "{kind}");
        let theirs = [("content-type", kind), ("origin", "https://evil.example")];
        for path in [SEGMENTS, "/api/v1/campaigns/1/trigger", "/api/v1/campaigns/1/start"] {
            refused(&ask(&app, "POST", path, &theirs, body).await);
        }
        let upload = "--x\r\ncontent-disposition: form-data; name=file; filename=a.csv\r\n\r\nphone_e164\r\n+14155551234\r\n--x--";
        refused(&ask(&app, "POST", "/api/v1/users/bulk/upload", &theirs, upload).await);
    }
    assert_eq!(
        app.number("SELECT (SELECT COUNT(*) FROM segments) + (SELECT COUNT(*) FROM imports)").await,
        0
    );
}

#[tokio::test]
async fn of_several_accounts_none_is_guessed_and_a_closed_one_stays_closed() {
    let app = at_home(App::sqlite().await).await;
    app.key_of(app.account, KeyBody { test: true, ..KeyBody::named("trial") }).await;
    assert_eq!(app.number("SELECT COUNT(*) FROM accounts").await, 2);
    assert_eq!(make(&app, &[]).await.code(), 201, "a test twin is no other account");
    app.run("UPDATE users SET active = FALSE").await;
    assert_eq!(make(&app, &[]).await.json()["error"], "user_inactive");
    app.run("UPDATE users SET active = TRUE").await;
    app.run("UPDATE accounts SET active = FALSE WHERE parent_id IS NULL").await;
    assert_eq!(make(&app, &[]).await.json()["error"], "user_inactive");
    app.run("UPDATE accounts SET active = TRUE").await;
    let (_, key) = app.tenant("second").await;
    let reply = make(&app, &[]).await;
    assert_eq!((reply.code(), &reply.json()["error"]), (401, &json!("api_key_required")));
    assert!(reply.json()["message"].as_str().unwrap().contains("sendwright key create --account NAME"));
    assert_eq!(make(&app, &[("x-api-key", &key)]).await.code(), 201);
    assert_eq!(app.number("SELECT COUNT(*) FROM segments WHERE account_id = 1").await, 1);
}

/// Real processes: what listens where decides, and nothing that a request says.
#[tokio::test]
async fn only_up_on_loopback_without_a_public_address_takes_requests_without_a_key() {
    let answered = async |arguments: &[&str], more: &[(&'static str, &str)]| {
        let data = tempfile::tempdir().unwrap();
        let mut environment = vec![("SENDWRIGHT_DATA", data.path().display().to_string())];
        environment.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        run(&["key", "create", "--name", "x"], &environment);
        let process = Process::start(arguments, &environment);
        let address = SocketAddr::from(([127, 0, 0, 1], process.address().port()));
        (call(address, "GET", SEGMENTS, &[], None).await.unwrap().0, process.log())
    };
    let hint = "need no key";
    let (status, log) = answered(&["up", "--bind", "127.0.0.1:0"], &[]).await;
    assert!(status == 200 && log.contains(hint), "{log}");
    let (status, log) = answered(&["up", "--bind", "0.0.0.0:0"], &[]).await;
    assert!(status == 401 && !log.contains(hint), "{log}");
    let (status, log) =
        answered(&["up", "--bind", "127.0.0.1:0"], &[("SENDWRIGHT_PUBLIC_URL", "https://a.example")]).await;
    assert!(status == 401 && !log.contains(hint), "{log}");
    let (status, log) = answered(&["api", "--bind", "127.0.0.1:0"], &[]).await;
    assert!(status == 401 && !log.contains(hint), "{log}");
}
