//! Every answer of the API that a test gets is held to the document: its status and its body are the ones promised.

use sendwright_api::openapi::document;
use serde_json::{Map, Value};

use super::api::Reply;

/// The operation of a path as it is called, and its template.
pub fn operation(method: &str, path: &str) -> Option<(&'static Value, &'static str)> {
    let path = path.strip_prefix("/v1/").map_or_else(|| path.to_owned(), |rest| format!("/api/v1/{rest}"));
    let paths: &'static Map<String, Value> = document()["paths"].as_object().unwrap();
    let fits = |template: &str| {
        let (asked, parts): (Vec<_>, Vec<_>) = (path.split('/').collect(), template.split('/').collect());
        asked.len() == parts.len()
            && asked.iter().zip(&parts).all(|(a, p)| a == p || (p.starts_with('{') && !a.is_empty()))
    };
    let mut found: Vec<_> = paths.iter().filter(|(template, _)| fits(template)).collect();
    // A word in a path stands before an id.
    found.sort_by_key(|(template, _)| template.matches('{').count());
    let (template, item) = found.first()?;
    item.get(method.to_lowercase()).map(|operation| (operation, template.as_str()))
}

/// Panics where an answer is not in the document.
pub fn hold(method: &str, path: &str, reply: &Reply) {
    let Some((operation, template)) = operation(method, path) else { return };
    if !reply.header("content-type").starts_with("application/json") {
        return;
    }
    let asked = format!("{method} {template}: {}", reply.code());
    let response = resolve(&operation["responses"][reply.code().to_string()]);
    assert!(response.is_object(), "{asked} is not in the document: {}", reply.text);
    let schema = &response["content"]["application/json"]["schema"];
    let mut faults = Vec::new();
    check(schema, &reply.json(), "", &mut faults);
    assert!(faults.is_empty(), "{asked} is not as documented: {faults:#?}\n{}", reply.text);
}

fn resolve(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(name) => resolve(document().pointer(&name[1..]).unwrap_or_else(|| panic!("{name} is nowhere"))),
        None => value,
    }
}

/// Holds a value to a schema: types, required names, names, items and choices; a name that the schema lacks is a fault.
pub fn check(schema: &'static Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let mut known = Vec::new();
    against(schema, value, at, faults, &mut known);
    let is_open = known.is_empty() || known.iter().any(|name| name == "*");
    for name in value.as_object().into_iter().flat_map(Map::keys) {
        if !is_open && !known.iter().any(|k| k == name) {
            faults.push(format!("{at}/{name} is not in the schema"));
        }
    }
}

fn against(
    schema: &'static Value,
    value: &Value,
    at: &str,
    faults: &mut Vec<String>,
    known: &mut Vec<String>,
) {
    let schema = resolve(schema);
    for part in schema["allOf"].as_array().into_iter().flatten() {
        against(part, value, at, faults, known);
    }
    if let Some(choices) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        let fits = |choice: &&'static Value| {
            let mut faults = Vec::new();
            check(choice, value, at, &mut faults);
            faults.is_empty()
        };
        if !choices.iter().any(|choice| fits(&choice)) {
            faults.push(format!("{at} is none of {schema}"));
        }
        known.push("*".into());
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(only) => vec![only],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    if !types.is_empty() && !types.iter().any(|kind| is(kind, value)) {
        faults.push(format!("{at} is no {types:?}: {value}"));
        return;
    }
    if let Some(object) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !object.contains_key(name) {
                faults.push(format!("{at}/{name} is missing"));
            }
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            known.push(name.clone());
            if let Some(inner) = object.get(name) {
                check(property, inner, &format!("{at}/{name}"), faults);
            }
        }
        if schema["additionalProperties"].is_object() {
            known.push("*".into());
            let inner = object.iter().map(|(name, inner)| (format!("{at}/{name}"), inner));
            inner.for_each(|(at, inner)| check(&schema["additionalProperties"], inner, &at, faults));
        }
    }
    for (index, inner) in value.as_array().into_iter().flatten().enumerate() {
        check(&schema["items"], inner, &format!("{at}/{index}"), faults);
    }
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        _ => value.is_object(),
    }
}
