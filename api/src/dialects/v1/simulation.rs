//! A stored campaign's future on the native face: one JSON page, or a line for each message.

use super::campaigns;
use crate::auth::Caller;
use crate::openapi::bodies::campaign::{Simulation, SimulationParams};
use crate::operations::simulation::{self, Future, MOST, Planned, Span};
use crate::operations::spending;
use crate::refusal::Refusal;
use crate::state::ApiState;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use sendwright_workflows::clock::{parse_rfc3339, rfc3339};
use sendwright_workflows::enrolment::Action;
use sendwright_workflows::ids::{Kind, uuid};
use sendwright_workflows::quiet_hours::local_text;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;

/// The kind of a body with one JSON object a line.
const LINES: &str = "application/x-ndjson";
/// Lines written at once.
const CHUNK: usize = 500;
/// How far ahead where the caller does not say.
const DAYS: u32 = 30;
/// How far ahead at most.
const MOST_DAYS: u32 = 3_660;

/// Tells a campaign's future: what will happen if nothing else happens.
///
/// With `Accept: application/x-ndjson` one object a line, of what will be sent. At most 100,000 lines either way:
/// `truncated`, or the header `X-Simulation-Truncated`, says that there are more.
#[utoipa::path(
    get, path = "/campaigns/{id}/simulation", operation_id = "simulate_campaign", tag = "Campaigns",
    params(SimulationParams),
    responses((status = 200, body = Simulation)),
    security(("key" = ["campaigns:read"])),
)]
pub async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let id = campaigns::id(&face)?;
    let span = span(&query)?;
    let future = simulation::stored(&state.core, caller.actor.account, id, span, state.means).await?;
    let accepts = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    match accepts.contains(LINES) {
        true => Ok(lines(future)),
        false => {
            let cost = spending::cost(&state.core, caller.actor.account, id, &state.prices).await?;
            let mut shown = page(id, &future);
            shown["cost"] = super::spending::cost(&cost);
            Ok(crate::answer::Answer::ok(&shown).into_response())
        }
    }
}

fn span(query: &HashMap<String, String>) -> Result<Span, Refusal> {
    let days = match query.get("days") {
        None => DAYS,
        Some(text) => text.parse().ok().filter(|n| (1..=MOST_DAYS).contains(n)).ok_or_else(|| {
            let text = format!("must be a whole number from 1 to {MOST_DAYS}");
            Refusal::field("days", "out_of_range", text)
        })?,
    };
    let from = query.get("from").filter(|text| !text.is_empty()).map(|text| {
        // A `+` in a query is a space to a form's reader.
        let text = text.replace(' ', "+");
        parse_rfc3339(&text).ok_or_else(|| {
            let text = "must be an instant with its offset, such as 2026-03-15T09:00:00Z";
            Refusal::field("from", "invalid_format", text)
        })
    });
    Ok(Span { from: from.transpose()?, days })
}

/// One line, the same as `simulate --json` prints.
fn line(planned: &Planned) -> Value {
    json!({
        "email": planned.email,
        "step": planned.step,
        "at": rfc3339(planned.at),
        "local": local_text(planned.at, planned.zone),
        "reasons": planned.reasons,
    })
}

fn page(id: i64, future: &Future) -> Value {
    let (sent, not_sent): (Vec<&Planned>, Vec<&Planned>) =
        future.lines.iter().partition(|planned| planned.action == Action::Send);
    let with_action = |planned: &&Planned| {
        let mut shown = line(planned);
        shown["action"] = json!(planned.action);
        shown
    };
    json!({
        "campaign_id": uuid(Kind::Campaign, id),
        "from": rfc3339(future.from),
        "until": rfc3339(future.until),
        "leads": future.leads,
        "assumed": future.assumed,
        "limit": MOST,
        "truncated": future.truncated,
        "messages": sent.iter().map(|planned| line(planned)).collect::<Value>(),
        "not_sent": not_sent.iter().map(with_action).collect::<Value>(),
    })
}

fn lines(future: Future) -> Response {
    let truncated = future.truncated;
    let mut left = future.lines.into_iter().filter(|planned| planned.action == Action::Send);
    let chunks = std::iter::from_fn(move || {
        let mut text = String::new();
        for planned in left.by_ref().take(CHUNK) {
            text.push_str(&line(&planned).to_string());
            text.push('\n');
        }
        (!text.is_empty()).then(|| Ok::<_, Infallible>(Bytes::from(text)))
    });
    let mut response = Response::new(Body::from_stream(futures::stream::iter(chunks)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(LINES));
    let word = if truncated { "true" } else { "false" };
    headers.insert("x-simulation-truncated", HeaderValue::from_static(word));
    response
}
