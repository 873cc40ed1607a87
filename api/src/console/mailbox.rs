//! `/mailbox`: what would have gone out, as a page and as JSON.

use super::guard::Visitor;
use super::{home, page};
use crate::answer::Answer;
use crate::operations::mailbox::{self, Mail};
use crate::operations::messages;
use crate::refusal::Refusal;
use crate::state::ApiState;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use sendwright_workflows::clock::rfc3339;
use sendwright_workflows::ids::{Kind, uuid};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// Messages on a page.
const SHOWN: i64 = 50;
/// Messages in JSON where the caller does not say, and at most.
const LIMIT: (i64, i64) = (100, 1_000);
/// What a captured message's own HTML may do: be looked at. Its images and links stay where they are.
const SEALED: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; \
    base-uri 'none'; frame-ancestors 'self'";

type Asked = Query<HashMap<String, String>>;

/// `GET /mailbox`, the newest first.
pub async fn list(State(state): State<ApiState>, visitor: Visitor, Query(query): Asked) -> Response {
    let to = query.get("to").map(String::as_str).filter(|to| !to.is_empty());
    let before = query.get("before").and_then(|text| text.parse().ok()).unwrap_or(i64::MAX);
    let found = mailbox::list(&state.core, visitor.actor.account, to, before, SHOWN).await;
    let (mails, total) = match found {
        Ok(found) => found,
        Err(refusal) => return page::refused(&refusal),
    };
    let older = mails.last().filter(|_| mails.len() as i64 == SHOWN).map_or(0, |mail| mail.captured.id);
    let row = |mail: &Mail| {
        json!({
            "id": mail.captured.id,
            "at": page::at(mail.captured.received_at),
            "from": mail.from,
            "to": mail.captured.recipient,
            "subject": mail.captured.subject,
        })
    };
    let data = json!({
        "title": "Mailbox",
        "account": visitor.actor.account,
        "accounts": home::others(&visitor),
        "is_keyed": visitor.key != 0,
        "mails": mails.iter().map(row).collect::<Value>(),
        "total": total,
        "older": older,
        "to": to.unwrap_or_default(),
    });
    page::render(StatusCode::OK, "mailbox", &data)
}

/// `GET /mailbox/messages?to=&limit=&before=`: JSON, the newest first.
pub async fn messages(
    State(state): State<ApiState>,
    visitor: Visitor,
    Query(query): Asked,
) -> Result<Answer, Refusal> {
    let number = |name: &str, default: i64, most: i64| match query.get(name) {
        None => Ok(default),
        Some(text) => text.parse().ok().filter(|n| (1..=most).contains(n)).ok_or_else(|| {
            Refusal::field(name, "out_of_range", format!("must be a whole number from 1 to {most}"))
        }),
    };
    let (limit, before) = (number("limit", LIMIT.0, LIMIT.1)?, number("before", i64::MAX, i64::MAX)?);
    let to = query.get("to").map(String::as_str).filter(|to| !to.is_empty());
    let (mails, total) = mailbox::list(&state.core, visitor.actor.account, to, before, limit).await?;
    let older = mails.last().filter(|_| mails.len() as i64 == limit).map(|mail| mail.captured.id);
    let shown = json!({
        "messages": mails.iter().map(mail).collect::<Value>(),
        "total": total,
        "next_before": older,
    });
    Ok(Answer::ok(&shown))
}

fn mail(mail: &Mail) -> Value {
    let headers: Map<String, Value> =
        mail.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    json!({
        "id": mail.captured.id,
        "message_id": uuid(Kind::Message, mail.captured.message_id),
        "from": mail.from,
        "envelope_from": mail.captured.sender,
        "to": mail.captured.recipient,
        "subject": mail.captured.subject,
        "text": mail.text,
        "html": mail.html,
        "headers": headers,
        "received_at": rfc3339(mail.captured.received_at),
    })
}

/// `GET /mailbox/{id}`: as it would arrive, with its headers and why it went.
pub async fn show(State(state): State<ApiState>, visitor: Visitor, Path(id): Path<i64>) -> Response {
    let account = visitor.actor.account;
    let mail = match mailbox::get(&state.core, account, id).await {
        Ok(mail) => mail,
        Err(refusal) => return page::refused(&refusal),
    };
    let explained = messages::explain(&state.core, account, mail.captured.message_id).await.ok();
    let told = |told: &messages::Told| json!({ "code": told.reason.code(), "text": told.text });
    let headers = mail.headers.iter().map(|(name, value)| json!({ "name": name, "value": value }));
    let data = json!({
        "title": mail.captured.subject,
        "account": account,
        "accounts": home::others(&visitor),
        "is_keyed": visitor.key != 0,
        "id": id,
        "from": mail.from,
        "to": mail.captured.recipient,
        "subject": mail.captured.subject,
        "at": page::at(mail.captured.received_at),
        "text": mail.text.as_deref().unwrap_or_default(),
        "has_html": mail.html.is_some(),
        "headers": headers.collect::<Value>(),
        "summary": explained.as_ref().map_or("", |e| e.summary.as_str()),
        "planned": explained.as_ref().map_or(String::new(), |e| e.message.planned().map(page::at).unwrap_or_default()),
        "reasons": explained.iter().flat_map(|e| e.history.iter().map(told)).collect::<Value>(),
    });
    page::render(StatusCode::OK, "mail", &data)
}

/// `GET /mailbox/{id}/html`: the HTML part alone, for a frame that may do nothing.
pub async fn html(State(state): State<ApiState>, visitor: Visitor, Path(id): Path<i64>) -> Response {
    match mailbox::get(&state.core, visitor.actor.account, id).await {
        Ok(mail) => (sealed("text/html; charset=utf-8"), Html(mail.html.unwrap_or_default())).into_response(),
        Err(refusal) => page::refused(&refusal),
    }
}

/// `GET /mailbox/{id}/raw`: every byte, as text.
pub async fn raw(State(state): State<ApiState>, visitor: Visitor, Path(id): Path<i64>) -> Response {
    match mailbox::get(&state.core, visitor.actor.account, id).await {
        Ok(mail) => (sealed("text/plain; charset=utf-8"), mail.captured.raw).into_response(),
        Err(refusal) => page::refused(&refusal),
    }
}

fn sealed(kind: &'static str) -> [(header::HeaderName, &'static str); 5] {
    [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, SEALED),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ]
}
