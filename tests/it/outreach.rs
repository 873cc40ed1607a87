//! S0: campaigns by kind of business and strategy, the businesses in them, and the document's own program.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::api::App;
use crate::support::process::{Process, call, run};

/// The document's sample (S0-36, S0-37), as it prints it.
const SAMPLE: &str = include_str!("../samples/outreach.py");

fn dentists() -> Value {
    json!({ "name": "Dentists SF", "business_type": "Dentists", "strategy": "specific_automation" })
}

/// S0-16, S0-37.
#[tokio::test]
async fn a_business_type_and_a_strategy_make_the_one_step() {
    for app in App::both().await {
        let made = app.call("POST", "/v1/campaigns", Some(&dentists())).await;
        assert_eq!(made.code(), 201, "{made:?}");
        let shown = app.call("GET", "/api/v1/campaigns/1", None).await.done();
        assert_eq!(
            (&shown["business_type"], &shown["strategy"]),
            (&json!("Dentists"), &json!("specific_automation"))
        );
        assert_eq!((&shown["status"], &shown["warnings"]), (&json!("DRAFT"), &Value::Null));
        assert_eq!(shown["steps"].as_array().unwrap().len(), 1);
        let prompt = shown["steps"][0]["ai_prompt"].as_str().unwrap();
        assert!(prompt.contains("Dentists") && prompt.contains("automate exactly that one"), "{prompt}");

        let mut own = dentists();
        own["strategy"] = "offer a free audit of their website".into();
        let shown = app.call("PUT", "/api/v1/campaigns/1", Some(&own)).await.done();
        let prompt = shown["steps"][0]["ai_prompt"].as_str().unwrap();
        assert!(prompt.contains("offer a free audit of their website"), "{prompt}");

        let mut stepped = dentists();
        stepped["steps"] = json!([{ "step_number": 1, "template": "Hello" }]);
        let shown = app.call("POST", "/api/v1/campaigns", Some(&stepped)).await.done();
        assert_eq!(
            (&shown["steps"][0]["template"], &shown["business_type"]),
            (&json!("Hello"), &json!("Dentists"))
        );
    }
}

#[tokio::test]
async fn without_steps_and_without_a_strategy_there_is_no_campaign() {
    let app = App::sqlite().await;
    let refused = app.call("POST", "/api/v1/campaigns", Some(&json!({ "name": "Empty" }))).await;
    assert_eq!((refused.code(), &refused.json()["field"]), (400, &json!("steps")));
    let broken = json!({ "name": "Odd", "strategy": "{{#if", "business_type": 7 });
    let refused = app.call("POST", "/api/v1/campaigns", Some(&broken)).await;
    let fields: Vec<Value> =
        refused.json()["details"]["errors"].as_array().unwrap().iter().map(|e| e["field"].clone()).collect();
    assert!(fields.contains(&json!("strategy")) && fields.contains(&json!("business_type")), "{refused:?}");
    let external = app.call("POST", "/api/external/campaigns", Some(&dentists())).await;
    assert_eq!(external.code(), 400, "S1 asks for steps: {external:?}");
}

/// S0-21.
#[tokio::test]
async fn businesses_come_in_each_alone() {
    for app in App::both().await {
        app.call("POST", "/api/v1/campaigns", Some(&dentists())).await.done();
        let body = json!({ "businesses": [
            { "business_id": "12345", "business_name": "Smile Dental", "email": "info@smiledental.com",
              "attributes": { "rating": 4.5 } },
            { "business_id": 7, "email": "x" },
            { "business_name": "Molar & Sons", "email": "desk@molar.example" },
        ] });
        let added = app.call("POST", "/v1/campaigns/1/businesses", Some(&body)).await;
        assert_eq!(added.code(), 201, "{added:?}");
        let added = added.json();
        assert_eq!((&added["created"], &added["enrolled"]), (&json!(2), &json!(2)));
        assert_eq!(added["errors"][0]["index"], 1);
        assert_eq!(
            (&added["businesses"][0]["business_id"], &added["businesses"][0]["business_name"]),
            (&json!("12345"), &json!("Smile Dental"))
        );
        assert_eq!(added["businesses"][0]["attributes"]["rating"], 4.5);
        let again = app.call("POST", "/v1/campaigns/1/businesses", Some(&body["businesses"])).await.done();
        assert_eq!((&again["created"], &again["enrolled"]), (&json!(0), &json!(0)));
        let found = app.call("GET", "/api/v1/leads?business_id=12345", None).await.done();
        assert_eq!(found["leads"][0]["company"], "Smile Dental");
        assert_eq!(app.call("POST", "/v1/campaigns/99/businesses", Some(&body)).await.code(), 404);
        let wrong = app.call("POST", "/v1/campaigns/1/businesses", Some(&json!({ "businesses": 7 }))).await;
        assert_eq!(wrong.code(), 400);
    }
}

/// S0-28.
#[tokio::test]
async fn health_names_what_it_stands_on() {
    let app = App::sqlite().await;
    let shown = app.call("GET", "/api/v1/health", None).await.done();
    assert_eq!((&shown["status"], &shown["checks"]["database"]), (&json!("healthy"), &json!("ok")));
    assert_eq!(shown["timestamp"], "2026-01-15T10:30:00.000Z");
}

/// The sample, word for word but for host and key (C-1: it leaves `/api` out).
#[tokio::test]
async fn the_documents_sample_runs_unchanged() {
    let data = tempfile::tempdir().unwrap();
    let environment = vec![("SENDWRIGHT_DATA", data.path().display().to_string())];
    let key = run(&["key", "create", "--name", "sample", "--tier", "unlimited"], &environment);
    let up = Process::start(&["up", "--bind", "127.0.0.1:0"], &environment);
    let (host, secret) = ("https://api.outreach.com", "sk_live_abc123...");
    assert!(SAMPLE.contains(host) && SAMPLE.contains(secret));
    let filled = SAMPLE.replace(host, &format!("http://{}", up.address())).replace(secret, key.trim_end());
    let file = data.path().join("sample.py");
    std::fs::write(&file, filled).unwrap();
    let python = ["/usr/bin/python3", "python3"].into_iter().find(|python| {
        Command::new(python).args(["-c", "import requests"]).output().is_ok_and(|said| said.status.success())
    });
    let said =
        Command::new(python.expect("python3 with requests: `make test` installs it")).arg(file).output();
    let said = said.unwrap();
    assert!(said.status.success(), "{said:?}");
    let headers = [("authorization", format!("Bearer {}", key.trim_end()))];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (status, made) = call(up.address(), "GET", "/v1/campaigns/1", &headers, None).await.unwrap();
    assert_eq!(
        (status, &made["name"], &made["strategy"]),
        (200, &json!("Dentists SF"), &json!("specific_automation"))
    );
}
