//! What must never be taken, and never be answered with 500: shapes, sizes, rules, paths.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::support::api::{App, Reply};

async fn raw(app: &App, path: &str, kind: &str, body: impl Into<Body>) -> Reply {
    let request = Request::post(path).header("x-api-key", &app.key).header("content-type", kind);
    app.send(request.body(body.into()).unwrap()).await
}

const JSON: &str = "application/json";
const LEADS: &str = "/api/external/leads";

#[tokio::test]
async fn a_body_that_is_not_json_is_refused_with_its_place() {
    let app = App::sqlite().await;
    for body in ["", "{", "{}x", "{'email':1}", "{\"a\":NaN}", "{} // c", "{\"a\":1e309}", "\"\\ud800\""] {
        let reply = raw(&app, LEADS, JSON, body).await;
        assert_eq!((reply.code(), &reply.json()["code"]), (400, &json!("malformed_json")), "{body}");
        assert!(reply.detail().contains("line 1, column "), "{}", reply.detail());
    }
    assert_eq!(raw(&app, LEADS, JSON, vec![b'"', 0xff, b'"']).await.code(), 400);
    for (body, code) in [
        (r#"{"email":"a@example.com","email":"b@example.com"}"#.to_owned(), "duplicate_key"),
        (format!("{}{}", "[".repeat(65), "]".repeat(65)), "too_deep"),
        (format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)), "too_deep"),
        (r#"{"email":"a\u0000@example.com"}"#.to_owned(), "control_character"),
        ("null".to_owned(), "invalid_type"),
        ("[]".to_owned(), "invalid_type"),
    ] {
        let reply = raw(&app, LEADS, JSON, body).await;
        assert_eq!((reply.code(), &reply.json()["code"]), (400, &json!(code)));
    }
    let nul = raw(&app, "/api/v1/leads", JSON, r#"{"email":"a\u0000@example.com"}"#).await;
    assert_eq!(nul.code(), 422);
    let marked = raw(&app, LEADS, JSON, "\u{feff}{\"email\":\"a@example.com\"}").await;
    assert_eq!(marked.code(), 200);
    assert_eq!(app.number("SELECT COUNT(*) FROM contacts").await, 1);
}

#[tokio::test]
async fn a_body_says_that_it_is_json_and_is_not_too_large() {
    let app = App::sqlite().await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"] {
        let reply = raw(&app, LEADS, kind, "{}").await;
        assert_eq!((reply.code(), &reply.json()["code"]), (415, &json!("unsupported_media_type")), "{kind}");
    }
    let request = Request::post(LEADS).header("x-api-key", &app.key).header("content-type", JSON);
    let packed = app.send(request.header("content-encoding", "gzip").body("{}".into()).unwrap()).await;
    assert_eq!(packed.code(), 415);
    assert_eq!(raw(&app, LEADS, "application/json; charset=utf-8", "{}").await.code(), 400);

    for (path, most) in [(LEADS, 2 << 20), ("/api/external/leads/bulk", 10 << 20), ("/api/v1/leads", 2 << 20)]
    {
        let announced = raw(&app, path, JSON, " ".repeat(most + 1)).await;
        assert_eq!(announced.code(), 413, "{path}");
        let chunks =
            futures::stream::iter((0..=most / 65_536).map(|_| Ok::<_, std::io::Error>(vec![b' '; 65_536])));
        assert_eq!(raw(&app, path, JSON, Body::from_stream(chunks)).await.code(), 413, "{path} in chunks");
        assert_eq!(raw(&app, path, JSON, " ".repeat(most)).await.code(), 400, "{path} at its limit");
    }
}

/// S1-04, and the router's own errors in the shape of their prefix.
#[tokio::test]
async fn what_the_router_refuses_is_in_the_words_of_its_prefix() {
    let app = App::sqlite().await;
    for path in ["/external/leads", "/nothing", "/api/externals/status", "/api//external/status"] {
        assert_eq!(app.call("GET", path, None).await.code(), 404, "{path}");
    }
    for path in
        ["/api/external/nothing", "/api/external/leads/", "/api/external/campaigns/1/x", "/api/external"]
    {
        let reply = app.call("GET", path, None).await;
        assert_eq!((reply.code(), reply.json()["code"].as_str()), (404, Some("not_found")), "{path}");
        assert!(reply.json()["detail"].is_string() && reply.json()["request_id"].is_string());
    }
    for (path, allow) in [("/api/external/campaigns", "GET,HEAD,POST"), ("/api/external/leads", "POST")] {
        let reply = app.call("PATCH", path, None).await;
        assert_eq!((reply.code(), reply.header("allow")), (405, allow));
        assert_eq!(reply.json()["code"], "method_not_allowed");
    }
    for prefix in ["/api/v1", "/v1"] {
        let reply = app.call("GET", &format!("{prefix}/nothing"), None).await;
        assert_eq!((reply.code(), reply.json()["error"].as_str()), (404, Some("not_found")));
        let reply = app.call("PATCH", &format!("{prefix}/campaigns"), None).await;
        assert_eq!((reply.code(), reply.json()["error"].as_str()), (405, Some("method_not_allowed")));
        assert!(reply.header("allow").contains("POST"));
    }
    for path in ["/healthz", "/readyz"] {
        let reply = app.call("DELETE", path, None).await;
        assert_eq!((reply.code(), reply.json()["error"].as_str()), (405, Some("method_not_allowed")));
    }
}

#[tokio::test]
async fn an_id_that_nobody_has_is_not_found_whatever_it_looks_like() {
    let app = App::sqlite().await;
    let odd = [
        "0",
        "-1",
        "abc",
        "9223372036854775808",
        "%7B01000000-0000-8000-8000-000000000001%7D",
        "1%20OR%201=1",
        "%00",
        "%F0%9F%98%80",
        "02000000-0000-8000-8000-000000000001",
    ];
    for face in odd {
        for (method, path) in [
            ("GET", format!("/api/external/campaigns/{face}")),
            ("POST", format!("/api/external/campaigns/{face}/pause")),
            ("DELETE", format!("/api/external/campaigns/{face}")),
            ("GET", format!("/api/v1/campaigns/{face}")),
            ("GET", format!("/api/v1/sending-profiles/{face}")),
            ("GET", format!("/api/v1/leads/{}", face.replace("02000000", "01000000"))),
        ] {
            let reply = app.call(method, &path, None).await;
            assert_eq!(reply.code(), 404, "{method} {path}: {reply:?}");
            assert!(!reply.text.contains("\\u0000"));
        }
    }
    let broken = app.call("GET", "/api/external/campaigns/%FF", None).await;
    assert_eq!((broken.code(), &broken.json()["code"]), (400, &json!("bad_request")));
}

#[tokio::test]
async fn every_fault_of_a_lead_is_told_and_nothing_is_stored() {
    let app = App::sqlite().await;
    let addresses = [
        "",
        "a",
        "a@",
        "@b",
        "a b@c.de",
        "a@b",
        "a@[127.0.0.1]",
        "\"a b\"@c.de",
        "a@b.de, c@d.de",
        "Bob <a@b.de>",
        "a\r\nb@c.de",
        "-oQ@b.com",
        "a@b..de",
    ];
    for email in addresses.map(str::to_owned).into_iter().chain([format!("{}@b.de", "l".repeat(65))]) {
        let reply = app.call("POST", LEADS, Some(&json!({ "email": email }))).await;
        assert_eq!(reply.code(), 400, "{email}");
        assert_eq!(reply.json()["errors"][0]["field"], "email");
    }
    let many = json!({ "first_name": 7, "company": "a\nb", "timezone": "Mars/X", "campaign_id": {} });
    let reply = app.call("POST", LEADS, Some(&many)).await;
    let fields: Vec<_> =
        reply.json()["errors"].as_array().unwrap().iter().map(|e| e["field"].clone()).collect();
    for field in ["email", "first_name", "company", "timezone", "campaign_id"] {
        assert!(fields.contains(&json!(field)), "{field} in {fields:?}");
    }
    assert_eq!(reply.json()["code"], "validation_error");
    let wide: Value = (0..101).map(|n| (format!("a{n}"), json!(n))).collect::<serde_json::Map<_, _>>().into();
    let lead = json!({ "email": "a@example.com", "attributes": wide });
    assert_eq!(app.call("POST", LEADS, Some(&lead)).await.code(), 400);
    for body in [json!([]), json!({}), json!("x")] {
        assert_eq!(app.call("POST", "/api/external/leads/bulk", Some(&body)).await.code(), 400);
    }
    assert_eq!(app.number("SELECT COUNT(*) FROM contacts").await, 0);
}

/// S1-29 … S1-40, S1-50.
#[tokio::test]
async fn every_fault_of_a_campaign_is_told_and_nothing_is_stored() {
    let app = App::sqlite().await;
    let step = json!({ "step_number": 1, "name": "One", "ai_prompt": "Write" });
    let with = |field: &str, value: Value| {
        let mut step = step.clone();
        step[field] = value;
        json!({ "name": "C", "steps": [step] })
    };
    let mut nameless = step.clone();
    nameless["name"] = Value::Null;
    let bodies = [
        (json!({ "steps": [step] }), "name"),
        (json!({ "name": "  ", "steps": [step] }), "name"),
        (json!({ "name": "n".repeat(1 << 20), "steps": [step] }), "name"),
        (json!({ "name": "C" }), "steps"),
        (json!({ "name": "C", "steps": [] }), "steps"),
        (json!({ "name": "C", "steps": vec![step.clone(); 101] }), "steps"),
        (json!({ "name": "C", "steps": {} }), "steps"),
        (json!({ "name": "C", "steps": [nameless] }), "steps[0].name"),
        (json!({ "name": "C", "steps": [step, step] }), "steps[1].step_number"),
        (json!({ "name": "C", "steps": [{ "step_number": 1, "name": "One" }] }), "steps[0].ai_prompt"),
        (with("step_number", json!(0)), "steps[0].step_number"),
        (with("step_number", json!("1")), "steps[0].step_number"),
        (with("step_number", json!(1.0)), "steps[0].step_number"),
        (with("delay_days", json!(-1)), "steps[0].delay_days"),
        (with("delay_days", json!(1_000_000_000)), "steps[0].delay_days"),
        (with("delay_hours", json!(0.5)), "steps[0].delay_hours"),
        (with("delay_hours", json!(u64::MAX)), "steps[0].delay_hours"),
        (with("include_previous_emails", json!("yes")), "steps[0].include_previous_emails"),
        (with("subject", json!("a\r\nBcc: all@example.com")), "steps[0].subject"),
        (with("subject", json!("{{#if a}}")), "steps[0].subject"),
        (with("template", json!("{{> partial}}")), "steps[0].template"),
        (with("template", json!("{{env \"HOME\"}}")), "steps[0].template"),
        (json!({ "name": "C", "steps": [step], "sending_profile_id": "abc" }), ""),
        (json!({ "name": "C", "steps": [step], "schedule_time": "2024-02-30T00:00:00Z" }), "schedule_time"),
        (json!({ "name": "C", "steps": [step], "schedule_time": "2026-01-01T00:00:00Z" }), "schedule_time"),
        (json!({ "name": "C", "steps": [step], "quiet_hours_start": "22:00" }), "quiet_hours_end"),
        (json!({ "name": "C", "steps": [step], "rate_limit_per_second": 0 }), "rate_limit_per_second"),
    ];
    for (body, field) in bodies {
        let reply = app.call("POST", "/api/external/campaigns", Some(&body)).await;
        assert!([400, 404].contains(&reply.code()), "{field}: {reply:?}");
        assert!(reply.text.len() < 4_096, "{}", reply.text.len());
        if !field.is_empty() {
            let told = reply.json()["errors"].as_array().unwrap().iter().any(|e| e["field"] == field);
            assert!(told, "{field}: {}", reply.text);
        }
        let native = app.call("POST", "/api/v1/campaigns", Some(&body)).await;
        assert!(native.status.is_client_error() || field == "steps[0].name", "{field}: {native:?}");
    }
    assert_eq!(app.number("SELECT COUNT(*) FROM campaigns WHERE account_id > 0").await, 1);
}

/// A33 and the catalogue's "byte-exact" rule.
#[tokio::test]
async fn odd_text_is_kept_as_it_came() {
    for app in App::both().await {
        let odd = "e\u{301} \u{202e}x\u{202c} \u{200b} \u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} '; DROP TABLE contacts;--";
        let lead =
            json!({ "email": "a@example.com", "company": odd, "__proto__": odd, "a.b": [null, {"c": odd}] });
        assert_eq!(app.call("POST", LEADS, Some(&lead)).await.done()["company"], odd);
        let stored = app.call("GET", "/api/v1/leads/1", None).await.done();
        assert_eq!(stored["company"], odd);
        assert_eq!(stored["attributes"], json!({ "__proto__": odd, "a.b": [null, {"c": odd}] }));
    }
}

#[tokio::test]
async fn a_request_keeps_its_id_where_it_is_a_plain_word() {
    let app = App::sqlite().await;
    let ask = async |id: &str| {
        let request = Request::get("/healthz").header("x-request-id", id).body(Body::empty()).unwrap();
        app.send(request).await.header("x-request-id").to_owned()
    };
    assert_eq!(ask("req-1:a.b_C").await, "req-1:a.b_C");
    for odd in ["", "a b", "<script>", &"x".repeat(129)] {
        assert!(ask(odd).await.starts_with("req_"), "{odd}");
    }
}

#[tokio::test]
async fn a_page_is_asked_for_within_bounds() {
    let app = App::sqlite().await;
    for query in [
        "page=0",
        "page=-1",
        "page=1e9",
        "per_page=101",
        "per_page=0",
        "per_page=99999999999999999999",
        "cursor=x",
        "cursor=1-",
        "status=SLEEPING",
        "page=100001",
        "offset=-1",
        "offset=100001",
        "limit=101",
        "sort=name",
        "page=1&offset=5",
        "cursor=1-1&page=2",
        "per_page=5&limit=5",
        "fields=id,nothing",
    ] {
        let reply = app.call("GET", &format!("/api/v1/campaigns?{query}"), None).await;
        assert_eq!(reply.code(), 400, "{query}: {reply:?}");
        let field = reply.json()["field"].as_str().unwrap().to_owned();
        assert!(query.contains(&format!("{field}=")), "{query} names {field}");
    }
    let far = app.call("GET", "/api/v1/campaigns?cursor=9999999999999-1", None).await.done();
    assert_eq!(far["campaigns"], json!([]));
}
