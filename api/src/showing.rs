//! What a GET's answer goes through on its way out: the fields that were asked for, and its ETag.

use crate::openapi;
use crate::refusal::Refusal;
use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The kind of an answer that shows only some fields: it has not all that the whole row promises.
pub const PARTIAL: &str = "application/vnd.sendwright.partial+json";
/// Most bytes of an answer that is looked at; what is larger, or streamed, goes out as it is.
const MOST: u64 = 16 << 20;

/// Narrows an answer to `?fields=`, and answers 304 to a caller who has it already (`If-None-Match`).
pub async fn show(request: Request, next: Next) -> Response {
    if *request.method() != Method::GET && *request.method() != Method::HEAD {
        return next.run(request).await;
    }
    let template = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let fields = match asked(template, request.uri().query().unwrap_or_default()) {
        Ok(fields) => fields,
        Err(refusal) => return refusal.into_response(),
    };
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let response = next.run(request).await;
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    let is_small = response.body().size_hint().exact().is_some_and(|size| size <= MOST);
    if response.status() != StatusCode::OK || !is_json || !is_small {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(mut bytes) = axum::body::to_bytes(body, MOST as usize).await else {
        return Refusal::Internal.into_response();
    };
    if !fields.is_empty() {
        let Ok(value) = serde_json::from_slice(&bytes) else { return Refusal::Internal.into_response() };
        bytes = narrowed(value, &fields).to_string().into();
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PARTIAL));
    }
    // Weak: the same text goes out packed and plain.
    let tag = format!("W/\"{}\"", &hex::encode(Sha256::digest(&bytes))[..32]);
    if let Ok(value) = HeaderValue::from_str(&tag) {
        parts.headers.insert(header::ETAG, value);
        // An account's own data: a browser may keep it, and asks each time whether it still holds.
        parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
    if known.is_some_and(|known| matches(&known, &tag)) {
        return not_modified(&parts.headers);
    }
    Response::from_parts(parts, Body::from(bytes))
}

fn not_modified(headers: &HeaderMap) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    for name in [header::ETAG, header::CACHE_CONTROL] {
        if let Some(value) = headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// Whether `If-None-Match` names the tag; weak and strong are the same here (RFC 9110, 13.1.2).
fn matches(known: &HeaderValue, tag: &str) -> bool {
    let plain = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    known.to_str().is_ok_and(|list| list.split(',').any(|one| one.trim() == "*" || plain(one) == plain(tag)))
}

/// The fields that a query asks for; none for all. A name that the row does not have is a fault.
fn asked(template: &str, query: &str) -> Result<Vec<String>, Refusal> {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let Some(list) = pairs.filter(|(name, _)| name == "fields").map(|(_, list)| list.into_owned()).next()
    else {
        return Ok(Vec::new());
    };
    let Some(known) = openapi::fields_of(template) else { return Ok(Vec::new()) };
    let wanted: Vec<String> =
        list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
    match wanted.iter().all(|name| known.contains(name)) {
        true => Ok(wanted),
        false => {
            let text = format!("must be names of {}", known.join(", "));
            Err(Refusal::field("fields", "invalid_choice", text))
        }
    }
}

/// A list's rows, or the one row, with these fields alone.
fn narrowed(mut shown: Value, fields: &[String]) -> Value {
    let keep = |row: &mut Value| {
        if let Some(object) = row.as_object_mut() {
            object.retain(|name, _| fields.contains(name));
        }
    };
    match rows(&mut shown) {
        Some(rows) => rows.iter_mut().for_each(keep),
        None => keep(&mut shown),
    }
    shown
}

/// The rows of an envelope: the only list in it.
fn rows(shown: &mut Value) -> Option<&mut Vec<Value>> {
    let object: &mut Map<String, Value> = shown.as_object_mut().filter(|o| o.contains_key("next_cursor"))?;
    object.values_mut().find_map(Value::as_array_mut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_and_a_lists_rows_are_narrowed() {
        let fields = ["id".to_owned()];
        assert_eq!(narrowed(json!({ "id": 1, "name": "a" }), &fields), json!({ "id": 1 }));
        let list = json!({ "leads": [{ "id": 1, "name": "a" }], "total": 1, "next_cursor": null });
        let shown = json!({ "leads": [{ "id": 1 }], "total": 1, "next_cursor": null });
        assert_eq!(narrowed(list, &fields), shown);
    }

    #[test]
    fn a_tag_is_known_weak_or_strong_and_among_others() {
        let known = |text| matches(&HeaderValue::from_static(text), "W/\"a\"");
        assert!(known("W/\"a\"") && known("\"a\"") && known("\"b\", W/\"a\"") && known("*"));
        assert!(!known("\"b\"") && !known("a"));
    }
}
