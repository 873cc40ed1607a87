//! The route table: nothing outside it, nothing without a scope, nothing of another account's.

use std::collections::BTreeSet;
use std::fs;

use axum::body::Body;
use axum::http::Request;
use sendwright_api::openapi::{document, routes};
use sendwright_api::operations::keys::KeyBody;
use sendwright_api::scope;
use serde_json::{Value, json};

use crate::support::api::App;
use crate::support::upload::upload;

/// Every path in the router's own words.
fn paths() -> Vec<String> {
    let source = fs::read_to_string("api/src/router.rs").unwrap();
    let of = |function: &str, prefix: &str| -> Vec<String> {
        let begin = source.find(function).unwrap_or_else(|| panic!("router.rs has no {function}"));
        let body = source[begin..].split("\n}\n").next().unwrap();
        let calls = body.split(".route(").skip(1).map(|call| call.split('"').nth(1).unwrap());
        calls.map(|path| format!("{prefix}{path}")).collect()
    };
    [of("fn external()", "/api/external"), of("fn native()", "/api/v1"), of("fn messaging()", "/api/v1")]
        .concat()
}

/// What the router takes at a path, by its own `Allow`.
async fn methods(app: &App, path: &str) -> Vec<String> {
    let reply = app.call("TRACE", &path.replace("{id}", "1"), None).await;
    assert_eq!(reply.code(), 405, "TRACE {path}: {}", reply.text);
    reply.header("allow").split(',').map(|m| m.trim().to_owned()).filter(|m| m != "HEAD").collect()
}

/// A new route is annotated beside its face and named in api/src/openapi.rs; this test names what is missing.
#[tokio::test]
async fn every_route_is_in_the_document_and_behind_a_scope() {
    let app = App::sqlite().await;
    let mut served = BTreeSet::new();
    for path in paths() {
        served.extend(methods(&app, &path).await.into_iter().map(|method| format!("{method} {path}")));
    }
    let table = routes();
    let documented: BTreeSet<String> = table.iter().map(|r| format!("{} {}", r.method, r.path)).collect();
    let missing: Vec<_> = served.difference(&documented).collect();
    assert!(missing.is_empty(), "not in the OpenAPI document: {missing:#?}");
    let invented: Vec<_> = documented.difference(&served).collect();
    assert!(invented.is_empty(), "in the OpenAPI document, but no route: {invented:#?}");
    let open: Vec<_> = table.iter().filter(|route| route.scope.is_none()).collect();
    assert!(open.is_empty(), "behind no scope, `security((\"key\" = [\"noun:verb\"]))`: {open:#?}");
}

#[tokio::test]
async fn a_key_with_one_scope_opens_the_routes_of_that_scope_and_no_other() {
    let app = App::sqlite().await;
    for held in scope::known() {
        let body = KeyBody { scopes: vec![held.clone()], tier: "unlimited".into(), ..KeyBody::named("one") };
        let (_, key) = app.key_of(app.account, body).await;
        for route in routes() {
            let path = route.path.replace("{id}", "999999");
            let reply = app.call_as(&key, route.method, &path, None).await;
            let needed = route.scope.unwrap();
            let may = needed == scope::ANY
                || needed == *held
                || (!needed.starts_with("keys:") && needed.ends_with(&format!(":{held}")));
            assert_eq!(reply.code() != 403, may, "{held}: {} {path}: {}", route.method, reply.text);
            assert!(reply.code() < 500, "{} {path}: {}", route.method, reply.text);
            if !may {
                let shown = reply.json();
                assert_eq!(shown.get("error").or(shown.get("code")).unwrap(), "insufficient_scope");
            }
        }
    }
}

/// One row of every noun that a path names, each number 1, with `canary` in what is known of it.
pub async fn furnish(app: &App) {
    let campaign = json!({
        "name": "canary", "steps": [{ "step_number": 1, "subject": "canary", "template": "canary {{email}}" }],
    });
    app.call("POST", "/api/v1/campaigns", Some(&campaign)).await.done();
    let lead = json!([{ "email": "canary@example.com", "phone": "+14155551234" }]);
    app.call("POST", "/api/v1/campaigns/1/leads", Some(&lead)).await.done();
    let test = json!({ "to": "canary@example.com" });
    app.call("POST", "/api/v1/campaigns/1/test", Some(&test)).await.done();
    let suppression = json!({ "email": "other.canary@canary.example.com" });
    app.call("POST", "/api/v1/suppressions", Some(&suppression)).await.done();
    upload(app, "phone_e164,name\ncanary,canary\n").await.done();
    furnish_webhook(app).await;
    furnish_audience(app, "canary").await;
    receive(app, "canary").await;
    app.run(
        "INSERT INTO mailbox (id, account_id, message_id, attempt_id, sender, recipient, subject, raw, received_at)
         VALUES (1, 1, 1, 1, 'canary@example.com', 'canary@example.com', 'canary', 'canary', 1)",
    )
    .await;
    app.call("POST", "/api/v1/campaigns/1/generate", None).await.done();
    // Its stream ends, and message 1 is a draft.
    app.run("UPDATE runs SET state = 'completed', ended_at = 1").await;
    app.run(
        "UPDATE messages SET kind = 'step', campaign_id = 1, contact_id = 1, enrolment_id = 1 WHERE id = 1",
    )
    .await;
}

async fn furnish_webhook(app: &App) {
    let webhook = json!({ "url": "https://canary.example.com/hook", "events": ["*"] });
    app.call("POST", "/api/v1/webhooks", Some(&webhook)).await.done();
}

/// A template and a segment.
async fn furnish_audience(app: &App, name: &str) {
    let template = json!({ "name": name, "content": "Hi {name}" });
    app.call("POST", "/api/v1/templates", Some(&template)).await.done();
    let segment = json!({ "name": name, "filter_criteria": { "attribute": "email", "operator": "exists" } });
    app.call("POST", "/api/v1/segments", Some(&segment)).await.done();
}

/// An e-mail that came back.
async fn receive(app: &App, text: &str) {
    let request = Request::post("/api/v1/inbound").header("x-api-key", &app.key);
    let request = request.header("content-type", "message/rfc822");
    let raw = format!("From: canary@example.com\r\nSubject: {text}\r\n\r\n{text}\r\n");
    app.send(request.body(raw.into()).unwrap()).await.done();
}

/// A delivery of the webhook with number 1: its test, which is not waited for.
async fn deliver(app: &App, n: i64) {
    let request = Request::post("/api/v1/webhooks/1/test").header("x-api-key", &app.key);
    let request = request.header("idempotency-key", format!("test {n}"));
    app.send(request.body(Body::empty()).unwrap()).await.done();
}

pub fn body_of(method: &str, path: &str) -> Option<Value> {
    let operation = &document()["paths"][path][method.to_lowercase()];
    let schema = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str()?;
    Some(document().pointer(&schema[1..]).unwrap()["example"].clone())
}

/// A5: generated from the route table; a new noun in a path is furnished above.
#[tokio::test]
async fn another_accounts_row_is_exactly_like_a_missing_one() {
    for app in App::both().await {
        furnish(&app).await;
        let (_, stranger) = app.tenant("stranger").await;
        for route in routes().into_iter().filter(|route| route.path.contains("{id}")) {
            let body = body_of(route.method, &route.path);
            let (theirs, missing) = (route.path.replace("{id}", "1"), route.path.replace("{id}", "999999"));
            if route.method == "GET" {
                let own = app.call("GET", &theirs, None).await;
                assert_eq!(own.code(), 200, "furnish a row for {}: {}", route.path, own.text);
            }
            let theirs = app.call_as(&stranger, route.method, &theirs, body.as_ref()).await;
            let missing = app.call_as(&stranger, route.method, &missing, body.as_ref()).await;
            assert_eq!(theirs.code(), 404, "{} {}: {}", route.method, route.path, theirs.text);
            let plain = |text: &str| {
                let mut shown: Value = serde_json::from_str(text).unwrap();
                shown["request_id"] = Value::Null;
                shown.to_string().replace("999999", "1")
            };
            assert_eq!(plain(&theirs.text), plain(&missing.text), "{} {}", route.method, route.path);
            assert_eq!(theirs.code(), missing.code());
        }
    }
}

#[tokio::test]
async fn no_list_shows_a_row_of_another_account() {
    for app in App::both().await {
        furnish(&app).await;
        let (_, stranger) = app.tenant("stranger").await;
        let (_, test) = app.key_of(app.account, KeyBody { test: true, ..KeyBody::named("twin") }).await;
        for route in routes().into_iter().filter(|r| r.method == "GET" && !r.path.contains("{id}")) {
            for key in [&stranger, &test] {
                let shown = app.call_as(key, "GET", &route.path, None).await;
                assert_eq!(shown.code(), 200, "{}: {}", route.path, shown.text);
                assert!(!shown.text.contains("canary"), "{}: {}", route.path, shown.text);
            }
        }
    }
}

/// The lists that `no_list_shows_a_row_of_another_account` looks at do show the rows to whom they belong.
#[tokio::test]
async fn a_list_shows_the_accounts_own_rows() {
    let app = App::sqlite().await;
    furnish(&app).await;
    for path in
        ["campaigns", "leads", "messages", "suppressions", "mailbox", "webhooks", "templates", "segments"]
    {
        let shown = app.call("GET", &format!("/api/v1/{path}"), None).await;
        assert!(shown.text.contains("canary"), "{path}: {}", shown.text);
    }
}

/// S2-03, S3: every list that takes them goes by page, by offset and by cursor, both ways, and shows what is asked for.
#[tokio::test]
async fn every_list_is_walked_by_page_offset_and_cursor_in_both_directions() {
    for app in App::both().await {
        for n in 0..5 {
            app.clock.pass(1_000);
            let campaign =
                json!({ "name": format!("c{n}"), "steps": [{ "step_number": 1, "template": "x" }] });
            app.call("POST", "/api/v1/campaigns", Some(&campaign)).await.done();
            let lead = json!({ "email": format!("l{n}@example.com"), "phone": format!("+1415555100{n}") });
            app.call("POST", "/api/v1/leads", Some(&lead)).await.done();
            app.call("POST", "/api/v1/campaigns/1/test", Some(&json!({ "to": "l0@example.com" })))
                .await
                .done();
            app.call("POST", &format!("/api/v1/campaigns/{}/generate", n + 1), None).await.done();
            app.call("POST", "/api/v1/suppressions", Some(&json!({ "email": format!("s{n}@example.com") })))
                .await
                .done();
            app.call("POST", "/api/v1/sending-profiles", Some(&json!({ "name": format!("p{n}") })))
                .await
                .done();
            upload(&app, format!("phone_e164\n+1415555000{n}\n")).await.done();
            let said = if n % 2 == 0 { "OPT_IN" } else { "OPT_OUT" };
            app.call("PUT", "/api/v1/users/1", Some(&json!({ "consent_state": said }))).await.done();
            app.call("POST", "/api/v1/keys", Some(&json!({ "name": format!("k{n}") }))).await.done();
            furnish_webhook(&app).await;
            furnish_audience(&app, &format!("a{n}")).await;
            receive(&app, &format!("m{n}")).await;
            deliver(&app, n).await;
        }
        app.run("UPDATE messages SET kind = 'step', campaign_id = 1, enrolment_id = id, address_hash = CAST(id AS TEXT)")
            .await;
        for route in routes().into_iter().filter(|route| route.method == "GET") {
            let parameters = &document()["paths"][&route.path]["get"]["parameters"];
            let Some(sort) = parameters.as_array().unwrap().iter().find(|p| p["name"] == "sort") else {
                continue;
            };
            let backwards = sort["example"].as_str().unwrap();
            let page = async |query: String| {
                let path = route.path.replace("{id}", "1");
                let mut shown = app.call("GET", &format!("{path}?{query}"), None).await.done();
                let object = shown.as_object_mut().unwrap();
                let rows = object.values_mut().find_map(Value::as_array_mut).unwrap().clone();
                (rows, shown["next_cursor"].as_str().map(str::to_owned))
            };
            let (all, _) = page(String::new()).await;
            assert!(all.len() >= 5, "make five rows for {}", route.path);
            let mut reversed = all.clone();
            reversed.reverse();
            assert_eq!(page(format!("sort={backwards}")).await.0, reversed, "{}", route.path);
            assert_eq!(page("page=2&per_page=2".into()).await.0, all[2..4], "{}", route.path);
            assert_eq!(page("offset=3&limit=2".into()).await.0, all[3..5], "{}", route.path);
            let forwards = backwards.strip_prefix('-').map_or_else(|| format!("-{backwards}"), str::to_owned);
            for (sort, whole) in [(forwards.as_str(), &all), (backwards, &reversed)] {
                let (mut seen, mut cursor) = (Vec::new(), String::new());
                loop {
                    let (rows, next) = page(format!("sort={sort}&limit=2{cursor}")).await;
                    seen.extend(rows);
                    let Some(next) = next else { break };
                    cursor = format!("&cursor={next}");
                }
                assert_eq!(&seen, whole, "{} by {sort}", route.path);
            }
        }
    }
}

#[tokio::test]
async fn an_answer_shows_the_fields_asked_for_and_is_not_sent_twice() {
    let app = App::sqlite().await;
    app.call("POST", "/api/v1/leads", Some(&json!({ "email": "a@example.com" }))).await.done();
    let few = app.call("GET", "/api/v1/leads?fields=email,%20status", None).await.done();
    assert_eq!(few["leads"][0], json!({ "email": "a@example.com", "status": "active" }));
    assert_eq!(few["total"], 1);
    let one = app.call("GET", "/v1/leads/1?fields=email", None).await.done();
    assert_eq!(one, json!({ "email": "a@example.com" }));
    let first = app.call("GET", "/api/v1/leads/1", None).await;
    let again = async |path: &str, tag: &str| {
        let request =
            axum::http::Request::get(path).header("x-api-key", &app.key).header("if-none-match", tag);
        app.send(request.body(axum::body::Body::empty()).unwrap()).await
    };
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with("W/\""));
    let same = again("/api/v1/leads/1", &tag).await;
    assert_eq!((same.code(), same.text.as_str(), same.header("etag")), (304, "", tag.as_str()));
    assert_eq!(again("/api/v1/leads/1", "\"other\"").await.code(), 200);
    assert_eq!(again("/api/v1/leads/1?fields=email", &tag).await.code(), 200);
    assert_eq!(again("/api/v1/leads/9", &tag).await.code(), 404);
}

#[tokio::test]
async fn an_answer_is_packed_for_whoever_takes_it_packed() {
    let app = App::sqlite().await;
    for (takes, packed) in [("gzip", "gzip"), ("br", "br"), ("gzip, br", "br"), ("identity", "")] {
        let request = axum::http::Request::get("/api/v1/openapi.json").header("accept-encoding", takes);
        let response = app.raw(request.body(axum::body::Body::empty()).unwrap()).await;
        let found = response.headers().get("content-encoding").map_or("", |v| v.to_str().unwrap());
        assert_eq!(found, packed, "{takes}");
    }
}
