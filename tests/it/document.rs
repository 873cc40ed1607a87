//! The OpenAPI document: complete, true to its 3.0 rendering, and the page and collection made from it.

use std::collections::BTreeSet;
use std::fs;

use sendwright_api::openapi::{document, document_3_0, postman, routes};
use serde_json::Value;

use crate::support::api::App;

fn operations() -> Vec<(String, &'static Value)> {
    let of = |(path, item): (&String, &'static Value)| -> Vec<(String, &'static Value)> {
        item.as_object().unwrap().iter().map(|(method, op)| (format!("{method} {path}"), op)).collect()
    };
    document()["paths"].as_object().unwrap().iter().flat_map(of).collect()
}

/// S0-08.
#[test]
fn every_operation_has_words_examples_refusals_and_security() {
    let mut names = BTreeSet::new();
    for (at, operation) in operations() {
        assert!(operation["summary"].as_str().is_some_and(|s| !s.starts_with('`')), "{at} has no summary");
        assert!(operation["tags"].is_array() && operation["security"].is_array(), "{at}");
        assert!(names.insert(operation["operationId"].as_str().unwrap()), "{at} shares its operationId");
        // A provider signs, and is under no limit.
        let is_signed = operation["security"][0].get("signature").is_some();
        let refusals =
            if is_signed { ["400", "403", "413", "415", "503"] } else { ["400", "401", "403", "429", "503"] };
        for status in refusals {
            assert!(operation["responses"][status].is_object(), "{at} lacks {status}");
        }
        assert_eq!(is_signed, at.contains("/webhooks/inbound") || at.contains(" /webhooks/status"), "{at}");
        assert!(!is_signed || operation["responses"]["429"].is_null(), "{at}");
        let body = &operation["requestBody"];
        if body.is_object() {
            let (kind, content) = body["content"].as_object().unwrap().iter().next().unwrap();
            let schema = content["schema"]["$ref"].as_str();
            assert!(schema.is_some() || kind != "application/json", "{at}: its body has no name");
            let named = schema.map_or(content, |name| document().pointer(&name[1..]).unwrap());
            assert!(!named["example"].is_null(), "{at}: {schema:?} has no example");
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].is_string(), "{at}: {parameter} says nothing");
            assert!(!parameter["example"].is_null(), "{at}: {parameter} has no example");
        }
    }
    let text = document().to_string();
    assert!(!text.contains("(sometimes)"));
    assert!(document()["openapi"].as_str().unwrap().starts_with("3.1"));
}

/// S2-34 to S2-37.
#[test]
fn what_a_provider_posts_is_in_the_document_as_it_posts_it() {
    for (path, needed, kind) in [
        ("/webhooks/inbound", vec!["MessageSid"], "text/xml"),
        ("/webhooks/status", vec!["MessageSid", "MessageStatus"], "application/json"),
    ] {
        let operation = &document()["paths"][path]["post"];
        let form = &operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"];
        let schema = document().pointer(&form["$ref"].as_str().unwrap()[1..]).unwrap();
        assert_eq!(schema["required"], needed.into_iter().collect::<Value>(), "{path}");
        assert!(operation["responses"]["200"]["content"][kind].is_object(), "{path}");
        assert!(operation["parameters"].to_string().matches("Idempotency-Key").count() == 0, "{path}");
    }
    let scheme = &document()["components"]["securitySchemes"]["signature"];
    assert_eq!((&scheme["in"], &scheme["name"]), (&"header".into(), &"X-Twilio-Signature".into()));
    let parameters = &document()["paths"]["/webhooks/status"]["post"]["parameters"];
    assert_eq!(parameters[0]["name"], "attempt");
}

#[test]
fn every_reference_leads_somewhere() {
    for shown in [document(), document_3_0()] {
        let text = shown.to_string();
        for reference in text.split("\"$ref\":\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(shown.pointer(&reference[1..]).is_some(), "{reference} is nowhere");
        }
    }
}

#[test]
fn the_older_rendering_has_the_same_operations_and_none_of_the_newer_words() {
    let (newer, older) = (document(), document_3_0());
    assert_eq!(older["openapi"], "3.0.3");
    let keys = |shown: &Value| shown["paths"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(newer), keys(older));
    let text = older.to_string();
    for word in ["\"type\":[", "\"type\":\"null\"", "\"const\":", "\"propertyNames\":"] {
        assert!(!text.contains(word), "{word}");
    }
}

#[test]
fn the_collection_has_a_request_for_every_operation() {
    let shown = postman();
    let count: usize =
        shown["item"].as_array().unwrap().iter().map(|f| f["item"].as_array().unwrap().len()).sum();
    assert_eq!(count, operations().len());
    assert_eq!(count, routes().len() + 2, "what a provider posts, which no key opens");
    let text = shown["item"].as_array().unwrap().iter().find(|folder| folder["name"] == "Callbacks").unwrap()
        ["item"][0]
        .clone();
    assert_eq!(
        (&text["request"]["auth"]["type"], &text["request"]["body"]["mode"]),
        (&"noauth".into(), &"urlencoded".into())
    );
    assert!(text["request"]["body"]["urlencoded"].to_string().contains("whatsapp:+14155551234"));
    assert!(shown.to_string().contains("{{baseUrl}}/api/v1/leads/:id"));
}

/// `make openapi` makes it fresh.
#[test]
fn the_copy_in_the_repository_is_fresh() {
    let kept = [
        ("docs/openapi.json", document().clone()),
        ("docs/openapi-3.0.json", document_3_0().clone()),
        ("docs/postman.json", postman()),
    ];
    for (file, fresh) in kept {
        let copy: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        assert!(copy == fresh, "{file} is stale: run `make openapi`");
    }
}

#[tokio::test]
async fn the_page_runs_its_own_script_and_asks_nobody_else() {
    let app = App::sqlite().await;
    for (path, kind) in
        [("/docs", "text/html"), ("/docs/docs.js", "text/javascript"), ("/docs/docs.css", "text/css")]
    {
        let reply = app.call_as("", "GET", path, None).await;
        assert_eq!(reply.code(), 200, "{path}");
        assert!(reply.header("content-type").starts_with(kind));
        assert!(reply.header("content-security-policy").contains("default-src 'none'; script-src 'self'"));
        assert!(!reply.text.contains("https://"), "{path} names another host");
        assert!(!reply.text.contains("innerHTML"));
    }
    for path in
        ["/api/v1/openapi.json", "/v1/openapi.json", "/api/v1/openapi-3.0.json", "/api/v1/postman.json"]
    {
        let reply = app.call_as("", "GET", path, None).await;
        assert_eq!(reply.code(), 200);
        assert!(reply.json().is_object());
    }
}
