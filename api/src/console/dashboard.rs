//! `/console/dashboard`: how the account stands in tiles, what people wrote, and what messages failed by.

use super::guard::Visitor;
use super::{home, page};
use crate::operations::reports::{self, Dashboard};
use crate::refusal::Refusal;
use crate::state::ApiState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use sendwright_store::statistics::{Faults, Inbound};
use sendwright_workflows::clock::{HOUR, Millis};
use serde_json::{Value, json};

/// Hours that the page looks back.
const HOURS: i64 = 24;
/// What people wrote, as much of it as the page shows.
const SHOWN: i64 = 50;

/// `GET /console/dashboard`.
pub async fn show(State(state): State<ApiState>, visitor: Visitor) -> Response {
    match data(&state, &visitor).await {
        Ok(data) => page::render(StatusCode::OK, "dashboard", &data),
        Err(refusal) => page::refused(&refusal),
    }
}

async fn data(state: &ApiState, visitor: &Visitor) -> Result<Value, Refusal> {
    let account = visitor.actor.account;
    let found = reports::dashboard(&state.core, account).await?;
    let written = reports::inbound(&state.core, account, HOURS, SHOWN).await?;
    Ok(json!({
        "title": "Dashboard",
        "account": account,
        "accounts": home::others(visitor),
        "is_keyed": visitor.key != 0,
        "tiles": tiles(&found, state.uptime()),
        "errors": found.faults.iter().map(error).collect::<Value>(),
        "inbound": written.newest.iter().map(inbound).collect::<Value>(),
        "more": (written.period.messages - SHOWN).max(0),
    }))
}

fn tiles(found: &Dashboard, uptime: Millis) -> Vec<Value> {
    let all = found.report.all();
    let percent = |rate: Option<f64>| rate.map_or("–".to_owned(), |rate| format!("{rate:.1} %"));
    let minutes = all.average_minutes().map_or("–".to_owned(), |minutes| format!("{minutes:.1} min"));
    let tile =
        |name: &str, value: String, beside: String| json!({ "name": name, "value": value, "beside": beside });
    let users = &found.users;
    vec![
        tile("Sent", all.sent().to_string(), format!("{} wait for word or for their time", all.pending())),
        tile("Delivered", all.delivered().to_string(), percent(found.report.delivery_rate())),
        tile("Failed", all.failed().to_string(), percent(all.error_rate())),
        tile("Never went", all.unsent().to_string(), "suppressed or cancelled".into()),
        tile("Delivery takes", minutes, "on average".into()),
        tile("Came in", found.inbound.messages.to_string(), format!("{} texts", found.inbound.texts)),
        tile("STOP", found.inbound.stops.to_string(), "and its like".into()),
        tile("Campaigns", found.active_campaigns.to_string(), "running now".into()),
        tile(
            "People by phone",
            users.total.to_string(),
            format!("{} in, {} out, {} not asked", users.opted_in, users.opted_out, users.unasked),
        ),
        tile("Served for", format!("{:.1} h", uptime as f64 / HOUR as f64), "this process".into()),
    ]
}

fn error(faults: &Faults) -> Value {
    json!({
        "at": page::at(faults.last),
        "code": faults.fault.code().map_or("–".to_owned(), |code| code.to_string()),
        "message": faults.fault.wording(),
        "channel": faults.channel,
        "count": faults.count,
    })
}

fn inbound(row: &Inbound) -> Value {
    json!({
        "at": page::at(row.received_at),
        "channel": row.channel,
        "from": row.sender.as_deref().unwrap_or("–"),
        "kind": row.kind.as_deref().unwrap_or("not read yet"),
        "text": row.body.as_ref().or(row.snippet.as_ref()).or(row.subject.as_ref()),
        "is_stop": row.kind.as_deref() == Some("opt_out"),
    })
}
