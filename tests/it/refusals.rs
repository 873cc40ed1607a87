//! Why a request was not done, in the document's words (S2-39 to S2-41): on every route that S2 has, whatever is wrong.

use axum::body::Body;
use axum::http::{Method, Request};
use sendwright_api::operations::keys::KeyBody;
use serde_json::{Value, json};

use crate::support::api::{App, Reply};
use crate::support::upload::upload;

/// What is wrong with a body or a query: method, path, body; status; field, provided, expected.
type Fault = (&'static str, &'static str, Value, u16, &'static str, Value, &'static str);

fn faults() -> Vec<Fault> {
    let phone = |phone: Value| json!({ "phone_e164": phone });
    let template = |content: Value| json!({ "name": "T", "content": content });
    let segment = |operator: Value| json!({ "name": "S", "filter_criteria": { "attribute": "city", "operator": operator, "value": "x" } });
    let none = Value::Null;
    let e164 = "E.164 format (+1234567890)";
    vec![
        ("POST", "/users", phone(json!("1234567890")), 400, "phone_e164", json!("1234567890"), e164),
        ("POST", "/users", json!({}), 400, "phone_e164", json!(null), "is required"),
        (
            "POST",
            "/users",
            json!({ "phone_e164": "+14155550000", "consent_state": "YES" }),
            400,
            "consent_state",
            json!("YES"),
            "OPT_IN, OPT_OUT or STOP",
        ),
        (
            "POST",
            "/users",
            json!({ "phone_e164": "+14155550000", "attributes": 7 }),
            400,
            "attributes",
            json!("7"),
            "must be an object",
        ),
        (
            "PUT",
            "/users/+14155551234",
            json!({ "consent_state": "MAYBE" }),
            400,
            "consent_state",
            json!("MAYBE"),
            "OPT_IN, OPT_OUT or STOP",
        ),
        (
            "GET",
            "/users?per_page=101",
            none.clone(),
            400,
            "per_page",
            json!("101"),
            "must be a whole number from 1 to 100",
        ),
        ("GET", "/users?page=first", none.clone(), 400, "page", json!("first"), "must be a whole number"),
        (
            "GET",
            "/users?consent_state=YES",
            none.clone(),
            400,
            "consent_state",
            json!("YES"),
            "OPT_IN, OPT_OUT or STOP",
        ),
        (
            "GET",
            "/users?sort=phone",
            none.clone(),
            400,
            "sort",
            json!("phone"),
            "must be created_at or -created_at",
        ),
        (
            "GET",
            "/segments?cursor=x",
            none.clone(),
            400,
            "cursor",
            json!("x"),
            "must be a cursor that a list gave",
        ),
        (
            "POST",
            "/templates",
            template(json!(7)),
            400,
            "content",
            json!("7"),
            "must be a string, not a number",
        ),
        ("POST", "/templates", template(json!("Hi {name")), 422, "content", json!("Hi {name"), ""),
        (
            "POST",
            "/templates",
            json!({ "name": "T", "content": "Hi {name}", "variables": [] }),
            422,
            "variables",
            json!(null),
            "must name name too",
        ),
        (
            "POST",
            "/templates",
            json!({ "name": "T", "content": "x", "channel": "fax" }),
            422,
            "channel",
            json!("fax"),
            "must be email or sms or whatsapp",
        ),
        (
            "PUT",
            "/templates/1",
            json!({ "name": "x".repeat(300) }),
            422,
            "name",
            json!("x".repeat(64)),
            "must have at most 200 characters",
        ),
        ("POST", "/segments", segment(json!("like")), 400, "filter_criteria.operator", json!("like"), ""),
        ("POST", "/segments", json!({ "name": "S" }), 400, "filter_criteria", json!(null), ""),
        (
            "PUT",
            "/segments/1",
            json!({ "name": 7 }),
            400,
            "name",
            json!("7"),
            "must be a string, not a number",
        ),
        (
            "POST",
            "/campaigns",
            json!({ "name": "C", "template_id": "x", "segment_id": "1" }),
            404,
            "",
            none.clone(),
            "",
        ),
        (
            "POST",
            "/campaigns",
            json!({ "name": "C", "template_id": 1, "segment_id": 1, "rate_limit_per_second": 0 }),
            422,
            "rate_limit_per_second",
            json!("0"),
            "",
        ),
        (
            "POST",
            "/campaigns",
            json!({ "name": "C", "template_id": 1, "segment_id": 1, "quiet_hours_start": "25:00", "quiet_hours_end": "08:00" }),
            422,
            "quiet_hours_start",
            json!("25:00"),
            "",
        ),
    ]
}

async fn furnished() -> App {
    let app = App::sqlite().await;
    app.call("POST", "/api/v1/users", Some(&json!({ "phone_e164": "+14155551234" }))).await.done();
    app.call("POST", "/api/v1/templates", Some(&json!({ "name": "T", "content": "Hi {name}" }))).await.done();
    let filter = json!({ "attribute": "city", "operator": "exists" });
    app.call("POST", "/api/v1/segments", Some(&json!({ "name": "S", "filter_criteria": filter })))
        .await
        .done();
    app
}

/// What every refusal has: its code, its sentence, when, and the request's id, as in the header.
fn held(reply: &Reply, status: u16, error: &str) -> Value {
    let shown = reply.json();
    assert_eq!((reply.code(), &shown["error"]), (status, &json!(error)), "{shown}");
    assert!(shown["message"].as_str().is_some_and(|text| !text.is_empty()), "{shown}");
    assert_eq!(shown["timestamp"], "2026-01-15T10:30:00Z");
    let id = shown["request_id"].as_str().unwrap();
    assert!(id.len() > 8 && id.starts_with("req_") && reply.header("x-request-id") == id, "{shown}");
    shown
}

#[tokio::test]
async fn a_fault_names_its_field_what_was_given_and_what_was_expected() {
    let app = furnished().await;
    for (method, path, body, status, field, provided, expected) in faults() {
        let body = (!body.is_null()).then_some(body);
        let reply = app.call(method, &format!("/api/v1{path}"), body.as_ref()).await;
        if status == 404 {
            held(&reply, 404, "not_found");
            continue;
        }
        let shown = held(&reply, status, "validation_error");
        assert_eq!(shown["field"], field, "{method} {path}: {shown}");
        let details = &shown["details"];
        assert_eq!(
            (&details["field"], &details["provided"]),
            (&json!(field), &provided),
            "{method} {path}: {shown}"
        );
        let told = details["expected"].as_str().unwrap();
        assert!(!told.is_empty() && told.contains(expected), "{method} {path}: {shown}");
    }
    // The document's own sample, to the letter.
    let shown = app.call("POST", "/api/v1/users", Some(&json!({ "phone_e164": "1234567890" }))).await.json();
    let mut details = shown["details"].clone();
    details.as_object_mut().unwrap().remove("errors");
    assert_eq!(shown["message"], "Invalid phone number format");
    assert_eq!(
        details,
        json!({ "field": "phone_e164", "provided": "1234567890", "expected": "E.164 format (+1234567890)" })
    );
}

#[tokio::test]
async fn whoever_made_it_a_refusal_has_one_face() {
    let app = furnished().await;
    let get = async |path: &str| app.call("GET", path, None).await;
    let shown = held(&get("/api/v1/users/+14155559999").await, 404, "not_found");
    assert_eq!(shown["message"], "User with phone +14155559999 not found");
    for path in
        ["/templates/99", "/segments/99", "/campaigns/99", "/imports/99", "/imports/99/errors", "/nothing"]
    {
        held(&get(&format!("/api/v1{path}")).await, 404, "not_found");
    }
    for path in ["/segments/99/evaluate", "/campaigns/99/trigger"] {
        held(&app.call("POST", &format!("/api/v1{path}"), None).await, 404, "not_found");
    }
    let twice = app.call("POST", "/api/v1/users", Some(&json!({ "phone_e164": "+14155551234" }))).await;
    assert_eq!(held(&twice, 409, "duplicate")["message"], "User with phone +14155551234 already exists");
    held(&app.call("PATCH", "/api/v1/segments", None).await, 405, "method_not_allowed");
    held(&app.call_as("sk_live_nothing", "GET", "/api/v1/users", None).await, 401, "invalid_api_key");
    let narrow = KeyBody { scopes: vec!["leads:read".into()], ..KeyBody::named("narrow") };
    let (_, narrow) = app.key_of(app.account, narrow).await;
    held(&app.call_as(&narrow, "GET", "/api/v1/users", None).await, 403, "insufficient_scope");
    let raw = async |path: &str, kind: &str, body: Body| {
        let request = Request::builder().method(Method::POST).uri(format!("/api/v1{path}"));
        let request = request.header("x-api-key", &app.key).header("content-type", kind);
        app.send(request.body(body).unwrap()).await
    };
    held(&raw("/segments", "application/json", "{".into()).await, 400, "malformed_json");
    held(&raw("/templates", "application/json", r#"{"a":1,"a":2}"#.into()).await, 400, "duplicate_key");
    held(&raw("/templates", "text/plain", "{}".into()).await, 415, "unsupported_media_type");
    held(&raw("/users", "application/json", vec![b' '; (2 << 20) + 1].into()).await, 413, "too_large");
    held(&raw("/users/bulk/upload", "application/json", "{}".into()).await, 415, "unsupported_media_type");
    held(&upload(&app, "").await, 400, "malformed_file");
    app.run(
        "UPDATE tiers SET limits = '{\"messaging\":[{\"limit\":0,\"seconds\":60}]}' WHERE name = 'standard'",
    )
    .await;
    let key = app.new_key(app.account, "standard").await;
    let shown = held(&app.call_as(&key, "GET", "/api/v1/segments", None).await, 429, "rate_limit_exceeded");
    assert!(shown["retry_after_seconds"].as_u64().is_some_and(|wait| wait >= 1), "{shown}");
    // A caller's own id is kept.
    let request = Request::get("/api/v1/nothing").header("x-request-id", "req_abc123");
    let own = app.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!((&own.json()["request_id"], own.header("x-request-id")), (&json!("req_abc123"), "req_abc123"));
}
