//! Reports on the native face (S2-29, S2-30); what their numbers are is decision 13.

use super::{Asked, campaigns, instant, seconds};
use crate::answer::Answer;
use crate::auth::Caller;
use crate::openapi::bodies::common::Part;
use crate::openapi::bodies::report::{
    MessageStatusFilter, MessageStatusList, MessageStatusOrder, Summary as SummaryShown,
};
use crate::operations::reports::{self, Summary};
use crate::refusal::Refusal;
use crate::state::ApiState;
use axum::extract::{Path, Query, State};
use sendwright_store::statistics::{Faults, Filter, Line, Scope};
use sendwright_workflows::campaign::State as CampaignState;
use sendwright_workflows::clock::{DAY, MINUTE, Millis, SECOND};
use sendwright_workflows::ids::{Kind, uuid};
use sendwright_workflows::report::{Report, Status, Tally};
use sendwright_workflows::sequence::Channel;
use sendwright_workflows::spec::FieldError;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

type Answered = Result<Answer, Refusal>;
type Asking = Query<HashMap<String, String>>;

/// Groups of errors that are there also where nothing failed so (S2-29).
const GROUPS: [&str; 3] = ["invalid_phone_number", "network_error", "rate_limit_exceeded"];

/// Sums up what became of a campaign's messages.
///
/// `messages_sent` is what was handed over, and the sum of DELIVERED, UNDELIVERED, FAILED and SENT; `messages_failed` is
/// UNDELIVERED and FAILED. What may still be heard of is `pending`; once that is 0, `messages_failed` is `messages_sent`
/// without `messages_delivered`.
#[utoipa::path(
    get, path = "/reporting/campaigns/{id}/summary", operation_id = "get_campaign_summary", tag = "Reporting",
    responses((status = 200, body = SummaryShown)),
    security(("key" = ["analytics:read"])),
)]
pub async fn summary(State(state): State<ApiState>, caller: Caller, Path(face): Path<String>) -> Answered {
    let found = reports::summary(&state.core, caller.actor.account, campaigns::id(&face)?).await?;
    Ok(Answer::ok(&summed_up(&found)))
}

fn summed_up(found: &Summary) -> Value {
    let (campaign, all) = (&found.campaign, found.report.all());
    let completed = campaign.completed_at.filter(|_| campaign.state == CampaignState::Completed);
    let lasted = completed.zip(campaign.started_at).map(|(completed, started)| completed - started);
    let channel = |channel: Channel| {
        let tally = found.report.channels.of(channel);
        (tally.total() > 0).then(|| {
            let mut shown = counted(tally);
            shown["channel"] = json!(channel);
            shown
        })
    };
    let mut metrics = counted(&all);
    metrics["delivery_rate"] = json!(found.report.delivery_rate());
    metrics["average_delivery_time_minutes"] = json!(all.average_minutes());
    json!({
        "campaign_id": uuid(Kind::Campaign, campaign.id),
        "campaign_name": campaign.name,
        "status": campaign.state.as_str().to_uppercase(),
        "performance_metrics": metrics,
        "status_breakdown": breakdown(&all),
        "channels": Channel::ALL.into_iter().filter_map(channel).collect::<Value>(),
        "error_analysis": grouped(&found.faults),
        "execution_timeline": {
            "started_at": campaign.started_at.map(seconds),
            "completed_at": completed.map(seconds),
            "duration_minutes": lasted.map(|lasted| (lasted + MINUTE / 2) / MINUTE),
        },
    })
}

fn counted(tally: &Tally) -> Value {
    json!({
        "messages_sent": tally.sent(),
        "messages_delivered": tally.delivered(),
        "messages_failed": tally.failed(),
        "pending": tally.pending(),
        "unsent": tally.unsent(),
    })
}

fn breakdown(tally: &Tally) -> Value {
    let counts = Status::ALL.iter().map(|s| (s.as_str().to_owned(), tally.count(*s).into()));
    Value::Object(counts.collect::<Map<_, _>>())
}

fn grouped(faults: &[Faults]) -> Value {
    let mut groups: Map<String, Value> = GROUPS.iter().map(|group| ((*group).to_owned(), 0.into())).collect();
    for found in faults {
        let group = groups.entry(found.fault.group()).or_insert(0.into());
        *group = (group.as_i64().unwrap_or_default() + found.count).into();
    }
    Value::Object(groups)
}

/// Lists messages with what became of them.
///
/// The newest come first. A message belongs to the time at which it was sent, else tried, else planned. The summary is over
/// the whole list, whichever part of it is shown: `total_messages` is `delivered`, `failed`, `pending` and `unsent` together.
#[utoipa::path(
    get, path = "/reporting/messages/status", operation_id = "list_message_statuses", tag = "Reporting",
    params(MessageStatusFilter, Part, MessageStatusOrder),
    responses((status = 200, body = MessageStatusList)),
    security(("key" = ["analytics:read"])),
)]
pub async fn messages(State(state): State<ApiState>, caller: Caller, Query(query): Asking) -> Answered {
    let asked = Asked::newest_by("id", &query);
    let (filter, mut faults) = filter(&query, caller.actor.account);
    let asked = match asked {
        Err(Refusal::Invalid(others)) => {
            faults.extend(others);
            return Err(Refusal::Invalid(faults));
        }
        asked => asked?,
    };
    if !faults.is_empty() {
        return Err(Refusal::Invalid(faults));
    }
    let (lines, report) = reports::messages(&state.core, &filter, asked.page).await?;
    let last = lines.last().map(|line| (line.created_at, line.id));
    let total = report.all().total();
    let mut shown = asked.envelope("messages", lines.iter().map(line).collect(), total, last);
    shown["summary"] = status_summary(&report);
    Ok(Answer::ok(&shown))
}

fn line(line: &Line) -> Value {
    let (channel, fault) = (line.channel(), line.fault());
    let address = |is_shown: bool| is_shown.then_some(&line.address);
    json!({
        "id": uuid(Kind::Message, line.id),
        "recipient_phone": address(channel.is_phone()),
        "recipient_email": address(!channel.is_phone()),
        "channel": channel,
        "campaign_id": uuid(Kind::Campaign, line.campaign_id),
        "campaign_name": line.campaign_name,
        "status": line.status().as_str(),
        "sent_at": line.accepted_at.map(seconds),
        "delivered_at": line.delivered_at.map(seconds),
        "delivery_time_seconds": line.took().map(|took| (took + SECOND / 2) / SECOND),
        "error_code": fault.and_then(|fault| fault.code()),
        "error_message": fault.map(|fault| fault.wording()),
    })
}

fn status_summary(report: &Report) -> Value {
    let all = report.all();
    json!({
        "total_messages": all.total(),
        "delivered": all.delivered(),
        "failed": all.failed(),
        "pending": all.pending(),
        "unsent": all.unsent(),
        "delivery_rate": report.delivery_rate(),
        "status_breakdown": breakdown(&all),
    })
}

/// Reads which messages are meant, and everything that is wrong with it.
fn filter(query: &HashMap<String, String>, account: i64) -> (Filter, Vec<FieldError>) {
    let mut faults = Vec::new();
    let given = |name: &str| query.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let campaign = given("campaign_id").and_then(|face| {
        let id = campaigns::id(face);
        let unknown = FieldError::new("campaign_id", "reference_not_found", "is no campaign of this account");
        id.map_err(|_| faults.push(unknown)).ok()
    });
    let status = given("status").and_then(|word| {
        let status = Status::parse(&word.to_uppercase());
        if status.is_none() {
            let words = Status::ALL.map(Status::as_str).join(", ");
            faults.push(FieldError::new("status", "invalid_choice", format!("must be one of {words}")));
        }
        status
    });
    let mut at = |name: &str, whole_day: Millis| match instant(name, given(name)?) {
        // A day is meant whole.
        Ok((at, is_day)) => Some(at + if is_day { whole_day } else { 0 }),
        Err(fault) => {
            faults.push(fault);
            None
        }
    };
    let (from, until) = (at("start_date", 0), at("end_date", DAY));
    if from.zip(until).is_some_and(|(from, until)| from >= until) {
        faults.push(FieldError::new("end_date", "out_of_range", "must not lie before start_date"));
    }
    (Filter { scope: Scope { account, campaign, round: None }, from, until, status }, faults)
}
