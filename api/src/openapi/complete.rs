//! What every operation of the document has in common, added once.

use crate::showing::PARTIAL;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The methods that operations have.
pub const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// The refusals, by their status: a description each.
const REFUSALS: [(u16, &str); 11] = [
    (400, "The request does not read; every fault is named."),
    (401, "No key, or none that opens."),
    (403, "The key lacks the scope, or its user is inactive."),
    (404, "There is no such row in this account."),
    (409, "Its present state forbids it, or the same is there already."),
    (413, "The body is too large."),
    (415, "The body is not JSON by its own word."),
    (422, "Fields break rules; every one of them is named."),
    (429, "Over the limit."),
    (500, "A defect; the log knows more by the request's id."),
    (503, "Not available for the moment: nothing was done, try again."),
];

/// Ends the words of a field that an answer may lack.
const SOMETIMES: &str = " (sometimes)";

const SECURITY: &str = "`Authorization: Bearer sk_live_…`, or the same key as `X-API-Key`. Where `up` listens on \
    loopback, `/api/v1` takes requests of that machine without one.";

const SIGNED: &str = "Twilio's: base64 of HMAC-SHA1, under the account's auth token, of the public URL with its query and of \
    the form's fields, names and values, sorted by name. Under `up` on loopback, where no Twilio account is configured at \
    all, none is asked for.";

/// The whole document from what the annotations say.
pub fn complete(mut document: Value) -> Value {
    let mut answered = BTreeSet::new();
    let mut sent = BTreeSet::new();
    let paths = document["paths"].as_object_mut().map(std::mem::take).unwrap_or_default();
    let mut whole = Map::new();
    for (path, mut item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            names(&operation["responses"], &mut answered);
            names(&operation["requestBody"], &mut sent);
            describe(&path, method, operation);
        }
        whole.insert(path, item);
    }
    document["paths"] = Value::Object(whole);
    document["servers"] = json!([{ "url": "/", "description": "This installation" }]);
    document["components"]["securitySchemes"] = json!({
        "key": { "type": "http", "scheme": "bearer", "bearerFormat": "sk_live_…", "description": SECURITY },
        "header": { "type": "apiKey", "in": "header", "name": "X-API-Key", "description": SECURITY },
    });
    document["components"]["securitySchemes"]["signature"] =
        json!({ "type": "apiKey", "in": "header", "name": "X-Twilio-Signature", "description": SIGNED });
    document["components"]["headers"] = headers();
    let responses = REFUSALS.iter().flat_map(|(status, text)| {
        [("", "Error"), ("External", "ExternalError")]
            .map(|(prefix, schema)| (format!("{prefix}{status}"), response(*status, text, schema)))
    });
    document["components"]["responses"] = Value::Object(responses.collect());
    let schemas = document["components"]["schemas"].take();
    answered.insert("Error".into());
    answered.insert("ExternalError".into());
    let (answered, sent) = (reached(&schemas, answered), reached(&schemas, sent));
    document["components"]["schemas"] = required(schemas, &answered.difference(&sent).cloned().collect());
    document
}

/// Whether an operation is a provider's, who signs what it posts.
pub fn is_signed(operation: &Value) -> bool {
    operation["security"][0].get("signature").is_some()
}

/// Gives one operation its ids, its refusals and its headers.
fn describe(path: &str, method: &str, operation: &mut Value) {
    let external = path.starts_with("/api/external");
    let is_open = operation["security"].as_array().is_none_or(Vec::is_empty);
    let mutates = method != "get";
    let has_body = operation["requestBody"].is_object();
    let mut parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let ids: Vec<&str> =
        path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
    for name in ids.iter().rev() {
        if parameters.iter().all(|p| p["name"] != **name) {
            parameters.insert(0, id_parameter(name));
        }
    }
    let is_signed = is_signed(operation);
    let mut statuses = vec![400, 500, 503];
    if !is_signed {
        statuses.push(429);
    }
    if !is_open && !is_signed {
        statuses.extend([401, 403]);
    }
    if !ids.is_empty() {
        statuses.push(404);
    }
    if mutates && !is_signed {
        parameters.push(idempotency());
        statuses.extend([409, 422]);
    }
    if has_body {
        operation["requestBody"]["required"] = true.into();
        statuses.extend([413, 415]);
        if !is_signed {
            statuses.push(404);
        }
    }
    for response in operation["responses"].as_object_mut().into_iter().flatten().map(|(_, r)| r) {
        if response["description"].as_str().is_none_or(str::is_empty) {
            response["description"] = "Done.".into();
        }
        response["headers"] = json!({ "X-Request-Id": { "$ref": "#/components/headers/X-Request-Id" } });
    }
    let is_streamed = operation["responses"]["200"]["content"].get("text/event-stream").is_some();
    if !mutates && !is_streamed {
        parameters.push(if_none_match());
        let text = "Unchanged since the answer whose ETag was given.";
        operation["responses"]["304"] = json!({ "description": text });
        let done = &mut operation["responses"]["200"];
        done["headers"]["ETag"] = json!({ "$ref": "#/components/headers/ETag" });
        if parameters.iter().any(|p| p["name"] == "fields") {
            done["content"][PARTIAL] =
                json!({ "schema": { "type": "object", "description": "With `fields` alone." } });
        }
    }
    for status in statuses {
        if operation["responses"].get(status.to_string()).is_some() {
            continue; // The face has words of its own for it.
        }
        let prefix = if external { "External" } else { "" };
        let name = format!("{prefix}{status}");
        operation["responses"][status.to_string()] =
            json!({ "$ref": format!("#/components/responses/{name}") });
    }
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    if let Some(scope) = operation["security"][0]["key"][0].as_str().map(str::to_owned) {
        let text = operation["description"].as_str().map(|text| format!("{text}\n\n")).unwrap_or_default();
        operation["description"] = format!("{text}Scope: `{scope}`.").into();
        operation["security"] = json!([{ "key": [scope] }, { "header": [scope] }]);
    }
}

fn id_parameter(name: &str) -> Value {
    json!({
        "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 },
        "description": "The row, by its uuid or its number.", "example": "1",
    })
}

fn idempotency() -> Value {
    json!({
        "name": "Idempotency-Key", "in": "header", "required": false,
        "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$" },
        "description": "Does this once: the same key with the same request is answered the same for 24 hours.",
        "example": "0c1d6a4e-5d0e-4e0a-9c57-1f0b9c6d2a11",
    })
}

fn if_none_match() -> Value {
    json!({
        "name": "If-None-Match", "in": "header", "required": false, "schema": { "type": "string" },
        "description": "The ETag of an answer that is known already; 304 where it still holds.",
        "example": "W/\"0\"",
    })
}

fn headers() -> Value {
    let number = |text: &str| json!({ "description": text, "schema": { "type": "integer" } });
    let text = |text: &str| json!({ "description": text, "schema": { "type": "string" } });
    json!({
        "ETag": text("Changes whenever the answer does."),
        "X-Request-Id": text("The request's id; the caller's own where it sent one."),
        "X-RateLimit-Limit": number("Calls that the tightest limit allows."),
        "X-RateLimit-Remaining": number("Calls left under it."),
        "X-RateLimit-Reset": number("When all of them are there again, in Unix seconds."),
        "RateLimit": text("The tightest limit's state, as the IETF draft has it."),
        "RateLimit-Policy": text("Every limit of the key's tier."),
        "Retry-After": number("Seconds after which the same request may succeed."),
    })
}

fn response(status: u16, text: &str, schema: &str) -> Value {
    let reference = |name: &str| json!({ "$ref": format!("#/components/headers/{name}") });
    let mut headers = json!({ "X-Request-Id": reference("X-Request-Id") });
    if status == 429 {
        for name in ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After"] {
            headers[name] = reference(name);
        }
    }
    let body = json!({ "schema": { "$ref": format!("#/components/schemas/{schema}") } });
    json!({ "description": text, "headers": headers, "content": { "application/json": body } })
}

/// Every schema that a value names.
fn names(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            let name = object.get("$ref").and_then(Value::as_str).and_then(|r| r.rsplit('/').next());
            found.extend(name.map(str::to_owned));
            object.values().for_each(|inner| names(inner, found));
        }
        Value::Array(list) => list.iter().for_each(|inner| names(inner, found)),
        _ => {}
    }
}

/// The same with every schema that those name in turn.
fn reached(schemas: &Value, from: BTreeSet<String>) -> BTreeSet<String> {
    let mut all = from;
    loop {
        let before = all.len();
        for name in all.clone() {
            names(&schemas[&name], &mut all);
        }
        if all.len() == before {
            return all;
        }
    }
}

/// An answer holds every field there is, but those that say otherwise.
fn required(mut schemas: Value, answers: &BTreeSet<String>) -> Value {
    for (name, schema) in schemas.as_object_mut().into_iter().flatten() {
        settle(schema, answers.contains(name));
    }
    schemas
}

/// Whether a field's words end with the mark, which nobody is to read.
fn is_sometimes(property: &mut Value) -> bool {
    if let Some(Value::String(text)) = property.get_mut("description") {
        let Some(plain) = text.strip_suffix(SOMETIMES) else { return false };
        *text = plain.to_owned();
        return true;
    }
    let choices = property.get_mut("oneOf").and_then(Value::as_array_mut).into_iter().flatten();
    choices.filter_map(|choice| is_sometimes(choice).then_some(())).count() > 0
}

fn settle(schema: &mut Value, is_answer: bool) {
    for part in schema.get_mut("allOf").and_then(Value::as_array_mut).into_iter().flatten() {
        settle(part, is_answer);
    }
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    let mut always = Vec::new();
    for (name, property) in properties {
        if !is_sometimes(property) {
            always.push(Value::from(name.as_str()));
        }
    }
    if is_answer {
        schema["required"] = Value::Array(always);
    }
}
