//! Templates (S2-19 to S2-22, C-12; ATTACKS 4.5).

use crate::support::api::App;
use serde_json::{Value, json};

async fn made(app: &App, body: Value) -> Value {
    let reply = app.call("POST", "/api/v1/templates", Some(&body)).await;
    assert_eq!(reply.code(), 201, "{}", reply.text);
    reply.json()
}

/// S2-20, S2-21: the document's own samples.
#[tokio::test]
async fn a_template_is_counted_listed_and_shown_as_documented() {
    for app in App::both().await {
        let welcome = json!({
            "name": "Welcome Template",
            "content": "Hi {name}! Welcome to {company}. Your account in {city} is ready!",
            "variables": ["name", "company", "city"],
        });
        let shown = made(&app, welcome.clone()).await;
        assert_eq!(shown["character_count"], 65);
        assert_eq!((&shown["encoding"], &shown["segments"]), (&json!("GSM-7"), &json!(1)));
        let order = json!({
            "name": "Order Confirmation",
            "content": "Hi {customer_name}! Your order #{order_id} for ${total_amount} has been confirmed. Delivery to {address} expected by {delivery_date}.",
            "variables": ["customer_name", "order_id", "total_amount", "address", "delivery_date"],
        });
        let order = made(&app, order).await;
        let listed = app.call("GET", "/api/v1/templates", None).await.done();
        let first = &listed["templates"][0];
        for (name, value) in [
            ("name", json!("Welcome Template")),
            ("content", welcome["content"].clone()),
            ("variables", json!(["name", "company", "city"])),
            ("character_count", json!(65)),
            ("created_at", json!("2026-01-15T10:30:00Z")),
            ("is_active", json!(true)),
            ("id", shown["id"].clone()),
        ] {
            assert_eq!(first[name], value, "{name}");
        }
        assert_eq!(listed["total"], 2);
        let id = order["id"].as_str().unwrap();
        let values = json!({ "attributes": {
            "customer_name": "Ada <b>", "order_id": 17, "total_amount": "19.90", "address": "5 & 6 Main St",
            "delivery_date": "Friday",
        }});
        let preview =
            app.call("POST", &format!("/api/v1/templates/{id}/preview"), Some(&values)).await.done();
        assert_eq!(
            preview["content"],
            "Hi Ada <b>! Your order #17 for $19.90 has been confirmed. Delivery to 5 & 6 Main St expected by Friday."
        );
        assert_eq!(preview["missing_variables"], json!([]));
    }
}

/// S2-22, C-12: text in single braces is written and read as it stands; handlebars is found by itself.
#[tokio::test]
async fn the_syntax_is_what_is_said_or_what_the_text_shows() {
    let app = App::sqlite().await;
    for (content, said, syntax) in [
        ("Hi {name}", None, "brace"),
        ("Hi {{name}}", None, "handlebars"),
        ("Hi {name} and { the rest }", Some("handlebars"), "handlebars"),
        ("{{#if name}}Hi {{name}}{{/if}}", None, "handlebars"),
        ("No variable at all", None, "brace"),
    ] {
        let body = json!({ "name": "t", "content": content, "syntax": said });
        assert_eq!(made(&app, body).await["syntax"], syntax, "{content}");
    }
}

/// ATTACKS 4.5: every fault at once, by its field; nothing is made.
#[tokio::test]
async fn what_is_wrong_with_a_template_is_told_by_field() {
    let app = App::sqlite().await;
    let long = "x".repeat(1_601);
    for (content, status, field, code) in [
        (json!(""), 400, "content", "required"),
        (json!(null), 400, "content", "required"),
        (json!(7), 400, "content", "invalid_type"),
        (json!(long), 422, "content", "too_long"),
        (json!("x".repeat(300 << 10)), 422, "content", "too_long"),
        (json!("Hi {name"), 422, "content", "invalid_template"),
        (json!("Hi name}"), 422, "content", "invalid_template"),
        (json!("Hi {}"), 422, "content", "invalid_template"),
        (json!("Hi { name }"), 422, "content", "invalid_template"),
        (json!("Hi {0name}"), 422, "content", "invalid_template"),
        (json!("Hi \u{7}"), 422, "content", "invalid_template"),
    ] {
        let body = json!({ "name": "t", "content": content, "syntax": "brace" });
        let reply = app.call("POST", "/api/v1/templates", Some(&body)).await;
        assert_eq!(reply.code(), status, "{content}: {}", reply.text);
        let error = reply.json();
        assert_eq!(
            (&error["error"], &error["field"]),
            (&json!("validation_error"), &json!(field)),
            "{error}"
        );
        assert_eq!(error["details"]["errors"][0]["code"], code, "{error}");
    }
    let body = json!({ "name": "t", "content": "Hi {{name}}", "syntax": "brace" });
    let reply = app.call("POST", "/api/v1/templates", Some(&body)).await;
    assert_eq!(reply.code(), 422);
    assert!(reply.text.contains("handlebars"), "{}", reply.text);
    let body = json!({ "content": "Hi {a} {b}", "variables": ["a", 5], "channel": "fax", "subject": "s" });
    let reply = app.call("POST", "/api/v1/templates", Some(&body)).await;
    let errors = reply.json()["details"]["errors"].clone();
    let fields: Vec<&str> = errors.as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["name", "channel", "subject", "variables[1]", "variables"], "{errors}");
    assert_eq!(app.number("SELECT COUNT(*) FROM templates").await, 0);
}

/// ATTACKS 4.5: a variable that the text names must be declared; one that it does not name is dropped with a warning.
#[tokio::test]
async fn declared_variables_are_those_of_the_text() {
    let app = App::sqlite().await;
    let body = json!({ "name": "t", "content": "Hi {name} in {city}", "variables": ["name"] });
    let reply = app.call("POST", "/api/v1/templates", Some(&body)).await;
    assert_eq!(reply.code(), 422, "{}", reply.text);
    assert!(reply.json()["message"].as_str().unwrap().contains("city"));
    let body = json!({ "name": "t", "content": "Hi {name}", "variables": ["tier", "name"] });
    let shown = made(&app, body).await;
    assert_eq!(shown["variables"], json!(["name"]));
    assert_eq!(shown["warnings"][0]["code"], "unused_variable");
    let shown = made(&app, json!({ "name": "t", "content": "{b} {a} {b}" })).await;
    assert_eq!(shown["variables"], json!(["b", "a"]));
}

#[tokio::test]
async fn a_template_is_changed_in_part_put_aside_and_deleted() {
    for app in App::both().await {
        let shown = made(&app, json!({ "name": "t", "content": "Hi {name}", "variables": ["name"] })).await;
        let path = format!("/api/v1/templates/{}", shown["id"].as_str().unwrap());
        app.clock.pass(5_000);
        let off = app.call("PUT", &path, Some(&json!({ "is_active": false }))).await.done();
        assert_eq!((&off["is_active"], &off["content"]), (&json!(false), &json!("Hi {name}")));
        assert_eq!(off["updated_at"], "2026-01-15T10:30:05Z");
        let text = app.call("PUT", &path, Some(&json!({ "content": "Hello {{first_name}}" }))).await.done();
        assert_eq!((&text["syntax"], &text["variables"]), (&json!("handlebars"), &json!(["first_name"])));
        let active = app.call("GET", "/api/v1/templates?is_active=true", None).await.done();
        assert_eq!(active["total"], 0);
        assert_eq!(app.call("PUT", &path, Some(&json!({ "content": "{{#if" }))).await.code(), 422);
        let gone = app.call("DELETE", &path, None).await.done();
        assert_eq!(gone["message"], "Template deleted successfully");
        for (method, body) in [("GET", None), ("DELETE", None), ("PUT", Some(json!({ "name": "x" })))] {
            assert_eq!(app.call(method, &path, body.as_ref()).await.code(), 404, "{method}");
        }
    }
}

/// A preview says what a message would say, and names what nothing is known for.
#[tokio::test]
async fn a_preview_is_for_a_real_contact_and_names_what_is_missing() {
    for app in App::both().await {
        let lead = json!({ "email": "ada@example.com", "first_name": "Ada", "attributes": { "city": "Zürich", "n": 5 } });
        app.call("POST", "/api/v1/leads", Some(&lead)).await.done();
        app.run("UPDATE contacts SET phone_key = '+14155551234', phone_hash = 'h'").await;
        let shown = made(&app, json!({ "name": "t", "content": "Hi {name} of {city}, {n} left" })).await;
        let path = format!("/api/v1/templates/{}/preview", shown["id"].as_str().unwrap());
        for whom in [json!({ "phone": "+14155551234" }), json!({ "lead": 1 })] {
            let preview = app.call("POST", &path, Some(&whom)).await.done();
            assert_eq!(preview["content"], "Hi Ada of Zürich, 5 left", "{whom}");
            assert_eq!((&preview["segments"], &preview["fits_sms"]), (&json!(1), &json!(true)));
        }
        let few = app.call("POST", &path, Some(&json!({ "attributes": { "name": "Bo" } }))).await.done();
        assert_eq!((&few["content"], &few["segments"]), (&Value::Null, &Value::Null));
        assert_eq!(few["missing_variables"], json!(["city", "n"]));
        for (whom, status) in [
            (json!({}), 400),
            (json!({ "phone": "+1", "lead": 1 }), 400),
            (json!({ "phone": "+14155550000" }), 404),
            (json!({ "phone": "1 415" }), 400),
            (json!({ "lead": 99 }), 404),
        ] {
            assert_eq!(app.call("POST", &path, Some(&whom)).await.code(), status, "{whom}");
        }
        let list = app
            .call("POST", &path, Some(&json!({ "attributes": { "name": "a", "city": ["b"], "n": 1 } })))
            .await;
        let list = list.done();
        assert!(list["fault"].as_str().unwrap().contains("city is a list"), "{list}");
    }
}

/// What a template renders is never read as one again, and HTML alone is escaped (A35, A36).
#[tokio::test]
async fn values_are_not_templates() {
    let app = App::sqlite().await;
    let values = json!({ "attributes": { "name": "{city} {{city}} <i>", "city": "Rome" } });
    for (body, expected) in [
        (json!({ "name": "t", "content": "Hi {name}" }), "Hi {city} {{city}} <i>"),
        (
            json!({ "name": "t", "channel": "email", "content": "<p>{name}</p>" }),
            "<p>{city} {{city}} &lt;i&gt;</p>",
        ),
    ] {
        let shown = made(&app, body).await;
        let path = format!("/api/v1/templates/{}/preview", shown["id"].as_str().unwrap());
        assert_eq!(app.call("POST", &path, Some(&values)).await.done()["content"], expected);
    }
}
