//! Inbound messages on the native face.

use super::{Asked, seconds};
use crate::answer::Answer;
use crate::auth::Caller;
use crate::intake::Mime;
use crate::openapi::bodies::common::{Part, Shown};
use crate::openapi::bodies::inbound::{Inbound as InboundShown, InboundList, InboundOrder, KeptInbound};
use crate::operations::inbound;
use crate::refusal::{Refusal, printable};
use crate::state::ApiState;
use crate::work::Work;
use axum::extract::{Path, Query, State};
use sendwright_store::inbound::Inbound;
use sendwright_workflows::ids::{self, Kind, uuid};
use serde_json::{Value, json};
use std::collections::HashMap;

type Answered = Result<Answer, Refusal>;

/// Takes one e-mail that came back, as it came.
///
/// 202 once it is kept; what it answers is found out after that. The same bytes twice are one row. At most 10 MiB.
#[utoipa::path(
    post, path = "/inbound", operation_id = "receive_inbound", tag = "Inbound",
    request_body(
        content = String, content_type = "message/rfc822", description = "One e-mail, headers first.",
        example = "From: Ada <ada@example.com>\r\nTo: sales@example.com\r\nSubject: Re: Hello\r\n\r\nSounds good.\r\n",
    ),
    responses((status = 202, body = KeptInbound)),
    security(("key" = ["inbound:write"])),
)]
pub async fn create(State(state): State<ApiState>, caller: Caller, body: Mime) -> Answered {
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let (id, is_new) = inbound::keep(&mut work, &body.raw).await?;
    let shown = json!({ "id": uuid(Kind::Inbound, id), "duplicate": !is_new });
    work.answer(Answer { status: 202, body: shown.to_string() }).await
}

/// Lists e-mails that came back.
#[utoipa::path(
    get, path = "/inbound", operation_id = "list_inbound", tag = "Inbound",
    params(InboundOrder, Part),
    responses((status = 200, body = InboundList)),
    security(("key" = ["inbound:read"])),
)]
pub async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<HashMap<String, String>>,
) -> Answered {
    let asked = Asked::by("received_at", &query)?;
    let (found, total) = inbound::list(&state.core, caller.actor.account, asked.page).await?;
    let last = found.last().map(|row| (row.received_at, row.id));
    Ok(Answer::ok(&asked.envelope("inbound", found.iter().map(shown).collect(), total, last)))
}

/// Shows an e-mail that came back, and what was made of it.
#[utoipa::path(
    get, path = "/inbound/{id}", operation_id = "get_inbound", tag = "Inbound",
    params(Shown),
    responses((status = 200, body = InboundShown)),
    security(("key" = ["inbound:read"])),
)]
pub async fn get(State(state): State<ApiState>, caller: Caller, Path(face): Path<String>) -> Answered {
    let id = ids::parse(Kind::Inbound, &face).ok_or_else(|| inbound::missing(printable(&face)))?;
    Ok(Answer::ok(&shown(&inbound::get(&state.core, caller.actor.account, id).await?)))
}

fn shown(row: &Inbound) -> Value {
    let face = |kind: Kind, id: Option<i64>| id.map(|id| uuid(kind, id));
    json!({
        "id": uuid(Kind::Inbound, row.id),
        "source": row.source,
        "sending_profile_id": face(Kind::Profile, row.profile_id),
        "status": row.state,
        "kind": row.kind,
        "message_id": face(Kind::Message, row.message_id),
        "campaign_id": face(Kind::Campaign, row.campaign_id),
        "lead_id": face(Kind::Contact, row.contact_id),
        "matched_by": row.matched_by,
        "from": row.sender,
        "subject": row.subject,
        "classification": row.classification,
        "sentiment": row.sentiment,
        "snippet": row.snippet,
        "detail": row.detail,
        "received_at": seconds(row.received_at),
        "understood_at": row.understood_at.map(seconds),
    })
}
