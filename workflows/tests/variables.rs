//! Variables: an explicit list, cleaned and capped.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use sendwright_workflows::render::{Kind, RenderError, render};
use sendwright_workflows::variables::{Fields, Variables};
use serde_json::{Map, Value, json};

fn attributes(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

#[test]
fn built_in_names_are_not_overridden_by_attributes() {
    let attributes = attributes(json!({
        "email": "evil@example.com", "unsubscribe_url": "https://evil.example", "first_name": "Evil",
        "attributes": "x", "this": "y", "sender_name": "Evil", "industry": "Toys", "job_title": "CEO",
        "lower": "an attribute with a helper's name",
    }));
    let fields = Fields {
        email: "a@b.example",
        first_name: Some("Ann"),
        attributes: Some(&attributes),
        ..Fields::default()
    };
    let variables = Variables::new(&fields);
    let text = |source| render(Kind::Text, source, &variables);
    assert_eq!(
        text("{{email}} {{first_name}} {{attributes.email}}").unwrap(),
        "a@b.example Ann evil@example.com"
    );
    assert!(matches!(text("{{unsubscribe_url}}"), Err(RenderError::Missing { .. })));
    assert!(matches!(text("{{sender_name}}"), Err(RenderError::Missing { .. })));
    assert_eq!(text("{{industry}} {{title}} {{job_title}}").unwrap(), "Toys CEO CEO");
    assert_eq!(text("{{attributes.lower}}").unwrap(), "an attribute with a helper's name");
}

#[test]
fn values_are_capped_and_only_web_links_are_websites() {
    let deep = json!({ "a": { "b": { "c": { "d": { "e": 1 } } } } });
    let attributes = attributes(json!({ "long": "ü".repeat(5000), "deep": deep }));
    let website = |website| {
        let variables =
            Variables::new(&Fields { email: "a@b.example", website: Some(website), ..Fields::default() });
        variables.get("website").is_some()
    };
    for good in [
        "https://acme.example/a?b=c:d",
        "HTTP://acme.example",
        "acme.example",
        "acme.example:8080",
        "localhost:80/x",
    ] {
        assert!(website(good), "{good}");
    }
    for bad in
        ["javascript:alert(1)", "JavaScript:x", "data:text/html,x", "https:evil", "https://a\n.example", " "]
    {
        assert!(!website(bad), "{bad}");
    }
    let name = "n".repeat(300);
    let fields = Fields {
        email: "a@b.example",
        first_name: Some(&name),
        attributes: Some(&attributes),
        ..Fields::default()
    };
    let variables = Variables::new(&fields);
    assert_eq!(variables.get("first_name").and_then(Value::as_str).map(str::len), Some(256));
    assert_eq!(variables.get("long").and_then(Value::as_str).map(str::len), Some(4096));
    assert!(matches!(render(Kind::Text, "{{deep.a.b.c.d.e}}", &variables), Err(RenderError::Missing { .. })));
}

#[test]
fn variables_show_names_and_no_values_in_logs() {
    let attributes = attributes(json!({ "city": "Berlin" }));
    let fields = Fields {
        email: "a@b.example",
        first_name: Some("John"),
        attributes: Some(&attributes),
        ..Fields::default()
    };
    let shown = format!("{:?}", Variables::new(&fields));
    assert!(shown.contains("first_name") && !shown.contains("John") && !shown.contains("Berlin"));
}
