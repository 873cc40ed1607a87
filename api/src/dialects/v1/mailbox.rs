//! The mailbox on the native face: what a test key's messages came to.

use super::seconds;
use crate::answer::Answer;
use crate::auth::Caller;
use crate::openapi::bodies::key::{Captured as CapturedShown, CapturedList, MailboxParams};
use crate::operations::mailbox::{self, Mail};
use crate::refusal::{Refusal, printable};
use crate::state::ApiState;
use axum::extract::{Path, Query, State};
use sendwright_workflows::ids::{Kind, uuid};
use serde_json::{Value, json};
use std::collections::HashMap;

type Answered = Result<Answer, Refusal>;

/// Lists messages that only went to the mailbox, the newest first.
#[utoipa::path(
    get, path = "/mailbox", operation_id = "list_mailbox", tag = "Mailbox",
    params(MailboxParams),
    responses((status = 200, body = CapturedList)),
    security(("key" = ["mailbox:read"])),
)]
pub async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<HashMap<String, String>>,
) -> Answered {
    let number = |name: &str, most: i64, default: i64| match query.get(name) {
        None => Ok(default),
        Some(text) => text.parse().ok().filter(|n| (1..=most).contains(n)).ok_or_else(|| {
            Refusal::field(name, "out_of_range", format!("must be a whole number from 1 to {most}"))
        }),
    };
    let (before, limit) = (number("cursor", i64::MAX, i64::MAX)?, number("limit", 100, 20)?);
    let to = query.get("to").map(String::as_str).filter(|to| !to.is_empty());
    let (found, total) = mailbox::list(&state.core, caller.actor.account, to, before, limit).await?;
    let next = found.last().filter(|_| found.len() as i64 == limit).map(|mail| mail.captured.id.to_string());
    let rows: Vec<Value> = found.iter().map(shown).collect();
    Ok(Answer::ok(&json!({ "mailbox": rows, "total": total, "next_cursor": next })))
}

/// Shows a message that only went to the mailbox, byte for byte.
#[utoipa::path(
    get, path = "/mailbox/{id}", operation_id = "get_mailbox_message", tag = "Mailbox",
    responses((status = 200, body = CapturedShown)),
    security(("key" = ["mailbox:read"])),
)]
pub async fn get(State(state): State<ApiState>, caller: Caller, Path(face): Path<String>) -> Answered {
    let printable = printable(&face);
    let missing = || Refusal::NotFound(format!("there is no message {printable} in the mailbox"));
    let id = face.parse().ok().filter(|id| *id > 0).ok_or_else(missing)?;
    let mail = mailbox::get(&state.core, caller.actor.account, id).await?;
    let mut shown = shown(&mail);
    shown["raw"] = mail.captured.raw.into();
    Ok(Answer::ok(&shown))
}

fn shown(mail: &Mail) -> Value {
    json!({
        "id": mail.captured.id,
        "message_id": uuid(Kind::Message, mail.captured.message_id),
        "channel": mail.channel,
        "from": mail.from,
        "to": mail.captured.recipient,
        "subject": mail.captured.subject,
        "received_at": seconds(mail.captured.received_at),
    })
}
