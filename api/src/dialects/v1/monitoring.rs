//! How an account stands, and what people write, on the native face (S2-31, S2-32).

use super::seconds;
use crate::answer::Answer;
use crate::auth::Caller;
use crate::openapi::bodies::monitoring::{Dashboard as DashboardShown, InboundActivity, InboundParams};
use crate::operations::reports::{self, Dashboard, Written};
use crate::refusal::Refusal;
use crate::state::ApiState;
use axum::extract::{Query, State};
use sendwright_store::statistics::{Faults, Inbound};
use sendwright_workflows::clock::{HOUR, Millis};
use sendwright_workflows::ids::{Kind, uuid};
use sendwright_workflows::sequence::Channel;
use sendwright_workflows::spec::FieldError;
use serde_json::{Value, json};
use std::collections::HashMap;

type Answered = Result<Answer, Refusal>;

/// Hours to look back: where the caller does not say, and at most.
const HOURS: (i64, i64) = (24, 720);
/// Messages to give: where the caller does not say, and at most.
const LIMIT: (i64, i64) = (100, 1_000);

/// Shows how the account stands.
///
/// `activity_24h`, the rates and the errors are of the messages that were sent, or tried, in the last 24 hours.
#[utoipa::path(
    get, path = "/monitoring/dashboard", operation_id = "get_dashboard", tag = "Monitoring",
    responses((status = 200, body = DashboardShown)),
    security(("key" = ["analytics:read"])),
)]
pub async fn dashboard(State(state): State<ApiState>, caller: Caller) -> Answered {
    let found = reports::dashboard(&state.core, caller.actor.account).await?;
    Ok(Answer::ok(&shown(&found, state.uptime())))
}

fn shown(found: &Dashboard, uptime: Millis) -> Value {
    let all = found.report.all();
    json!({
        "system_health": {
            "active_campaigns": found.active_campaigns,
            "total_users": found.users.total,
            "opted_in_users": found.users.opted_in,
            "opted_out_users": found.users.opted_out,
            "unasked_users": found.users.unasked,
        },
        "activity_24h": {
            "messages_sent": all.sent(),
            "messages_delivered": all.delivered(),
            "messages_failed": all.failed(),
            "pending": all.pending(),
            "unsent": all.unsent(),
            "inbound_messages": found.inbound.messages,
            "inbound_texts": found.inbound.texts,
            "stop_commands": found.inbound.stops,
            "delivery_rate": found.report.delivery_rate(),
        },
        "performance_metrics": {
            "average_delivery_time_minutes": all.average_minutes(),
            "system_uptime_hours": to_digits(uptime as f64 / HOUR as f64, 10.0),
            "error_rate_percent": all.error_rate(),
        },
        "recent_errors": found.faults.iter().map(error).collect::<Value>(),
    })
}

fn error(faults: &Faults) -> Value {
    json!({
        "timestamp": seconds(faults.last),
        "error_code": faults.fault.code(),
        "message": faults.fault.wording(),
        "count": faults.count,
        "channel": faults.channel,
        "group": faults.fault.group(),
    })
}

fn to_digits(number: f64, of_one: f64) -> f64 {
    (number * of_one).round() / of_one
}

/// Shows what people wrote: texts, and mail beside them.
///
/// The newest come first. `total_inbound_24h` is of the last 24 hours, the rest of the summary of all `hours`.
#[utoipa::path(
    get, path = "/monitoring/inbound", operation_id = "get_inbound_activity", tag = "Monitoring",
    params(InboundParams),
    responses((status = 200, body = InboundActivity)),
    security(("key" = ["analytics:read"])),
)]
pub async fn inbound(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<HashMap<String, String>>,
) -> Answered {
    let mut faults = Vec::new();
    let mut number = |name: &str, (default, most): (i64, i64)| {
        let Some(text) = query.get(name).filter(|text| !text.is_empty()) else { return default };
        let read = text.parse().ok().filter(|n| (1..=most).contains(n));
        read.unwrap_or_else(|| {
            let text = format!("must be a whole number from 1 to {most}");
            faults.push(FieldError::new(name, "out_of_range", text));
            default
        })
    };
    let (hours, limit) = (number("hours", HOURS), number("limit", LIMIT));
    if !faults.is_empty() {
        return Err(Refusal::Invalid(faults));
    }
    let written = reports::inbound(&state.core, caller.actor.account, hours, limit).await?;
    Ok(Answer::ok(&activity(&written, hours)))
}

fn activity(written: &Written, hours: i64) -> Value {
    json!({
        "inbound_events": written.newest.iter().map(event).collect::<Value>(),
        "summary": {
            "hours": hours,
            "total_inbound_24h": written.day.messages,
            "total_inbound": written.period.messages,
            "texts": written.period.texts,
            "unique_senders": written.period.senders,
            "average_per_hour": to_digits(written.period.messages as f64 / hours as f64, 100.0),
            "stop_commands": written.period.stops,
        },
    })
}

fn event(row: &Inbound) -> Value {
    let is_text = Channel::parse(&row.channel).is_some_and(Channel::is_phone);
    json!({
        "id": uuid(Kind::Inbound, row.id),
        "channel": row.channel,
        "from_phone": row.sender.as_ref().filter(|_| is_text),
        "from_email": row.sender.as_ref().filter(|_| !is_text),
        "to_phone": row.recipient,
        "subject": row.subject,
        "body": row.body.as_ref().or(row.snippet.as_ref()),
        "kind": row.kind,
        "received_at": seconds(row.received_at),
        "message_sid": row.provider_id,
        "campaign_id": row.campaign_id.map(|id| uuid(Kind::Campaign, id)),
        "lead_id": row.contact_id.map(|id| uuid(Kind::Contact, id)),
    })
}
