//! A Postman collection (format 2.1) from the document: a folder a tag, a request an operation, with its example.

use super::complete::METHODS;
use serde_json::{Map, Value, json};

const SCHEMA: &str = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json";

/// The collection; `baseUrl` and `key` are its variables.
pub fn collection(document: &Value) -> Value {
    let mut folders: Map<String, Value> = Map::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for method in METHODS {
            let operation = &item[method.to_lowercase()];
            if operation.is_object() {
                let tag = operation["tags"][0].as_str().unwrap_or("Other").to_owned();
                let folder = folders.entry(tag).or_insert_with(|| json!([]));
                if let Some(requests) = folder.as_array_mut() {
                    requests.push(request(document, path, method, operation));
                }
            }
        }
    }
    let folders: Vec<Value> =
        folders.into_iter().map(|(name, item)| json!({ "name": name, "item": item })).collect();
    json!({
        "info": { "name": document["info"]["title"], "description": document["info"]["description"], "schema": SCHEMA },
        "auth": { "type": "bearer", "bearer": [{ "key": "token", "value": "{{key}}", "type": "string" }] },
        "variable": [
            { "key": "baseUrl", "value": "http://127.0.0.1:8080" },
            { "key": "key", "value": "" },
        ],
        "item": folders,
    })
}

fn request(document: &Value, path: &str, method: &str, operation: &Value) -> Value {
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let of = |place: &str| parameters.iter().filter(|p| p["in"] == place).cloned().collect::<Vec<_>>();
    let pair = |p: &Value, is_off: bool| {
        let value = p["example"].as_str().map_or_else(|| p["example"].to_string(), str::to_owned);
        let value = if p["example"].is_null() { String::new() } else { value };
        json!({ "key": p["name"], "value": value, "description": p["description"], "disabled": is_off })
    };
    let segments: Vec<String> = path.split('/').skip(1).map(segment).collect();
    let mut shown = json!({
        "method": method,
        "description": operation["description"],
        "header": of("header").iter().map(|p| pair(p, true)).collect::<Vec<_>>(),
        "url": {
            "raw": format!("{{{{baseUrl}}}}/{}", segments.join("/")),
            "host": ["{{baseUrl}}"],
            "path": segments,
            "query": of("query").iter().map(|p| pair(p, true)).collect::<Vec<_>>(),
            "variable": of("path").iter().map(|p| pair(p, false)).collect::<Vec<_>>(),
        },
    });
    let content = &operation["requestBody"]["content"];
    let (body, mail) = (&content["application/json"], &content["message/rfc822"]);
    if mail.is_object() {
        shown["body"] = json!({ "mode": "raw", "raw": mail["example"] });
        if let Some(headers) = shown["header"].as_array_mut() {
            headers.push(json!({ "key": "Content-Type", "value": "message/rfc822" }));
        }
    }
    let form = &content["application/x-www-form-urlencoded"];
    if form.is_object() {
        let fields = example(document, &form["schema"]);
        let pair = |(name, value): (&String, &Value)| json!({ "key": name, "value": value, "type": "text" });
        let pairs: Vec<Value> = fields.as_object().into_iter().flatten().map(pair).collect();
        shown["body"] = json!({ "mode": "urlencoded", "urlencoded": pairs });
        shown["auth"] = json!({ "type": "noauth" });
        if let Some(headers) = shown["header"].as_array_mut() {
            headers.push(json!({ "key": "X-Twilio-Signature", "value": "", "disabled": true }));
        }
    }
    if body.is_object() {
        let example = example(document, &body["schema"]);
        let raw = serde_json::to_string_pretty(&example).unwrap_or_default();
        shown["body"] = json!({ "mode": "raw", "raw": raw, "options": { "raw": { "language": "json" } } });
        if let Some(headers) = shown["header"].as_array_mut() {
            headers.push(json!({ "key": "Content-Type", "value": "application/json" }));
        }
    }
    json!({ "name": operation["summary"], "request": shown })
}

/// `{id}` is `:id` there.
fn segment(part: &str) -> String {
    match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
        Some(name) => format!(":{name}"),
        None => part.to_owned(),
    }
}

/// The example of a schema, or of the one that it names.
pub fn example(document: &Value, schema: &Value) -> Value {
    if let Some(example) = schema.get("example") {
        return example.clone();
    }
    match schema["$ref"].as_str().and_then(|name| name.strip_prefix('#')) {
        Some(pointer) => document.pointer(pointer).map(|named| example(document, named)).unwrap_or_default(),
        None => Value::Null,
    }
}
