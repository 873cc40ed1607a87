//! Analytics on the native face (S0-24).

use super::{campaigns, seconds};
use crate::answer::Answer;
use crate::auth::Caller;
use crate::openapi::bodies::analytics::{Analytics, AnalyticsParams, CampaignAnalytics};
use crate::operations::statistics::{self, Interval, Statistics};
use crate::refusal::Refusal;
use crate::state::ApiState;
use axum::extract::{Path, Query, State};
use sendwright_workflows::ids::{Kind, uuid};
use sendwright_workflows::sequence::Channel;
use sendwright_workflows::statistics::Totals;
use serde_json::{Value, json};
use std::collections::HashMap;

/// What a series tells of each interval, as the totals name it.
const SERIES: [&str; 7] = ["sent", "opened", "clicked", "replied", "bounced", "failed", "opted_out"];

/// Shows a campaign's numbers.
///
/// Openings and clicks are counted where a person did them (`by` is `person`), answers where they are not automatic.
#[utoipa::path(
    get, path = "/campaigns/{id}/analytics", operation_id = "get_campaign_analytics", tag = "Analytics",
    params(AnalyticsParams),
    responses((status = 200, body = CampaignAnalytics)),
    security(("key" = ["analytics:read"])),
)]
pub async fn of_campaign(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Answer, Refusal> {
    let (id, interval) = (campaigns::id(&face)?, interval(&query)?);
    let (campaign, found) = statistics::of_campaign(&state.core, caller.actor.account, id, interval).await?;
    let mut shown = statistics(&found, interval);
    shown["campaign_id"] = uuid(Kind::Campaign, id).into();
    shown["campaign_name"] = campaign.name.into();
    shown["status"] = campaign.state.as_str().to_uppercase().into();
    Ok(Answer::ok(&shown))
}

/// Shows the account's numbers, over all campaigns.
///
/// Openings and clicks are counted where a person did them (`by` is `person`), answers where they are not automatic.
#[utoipa::path(
    get, path = "/analytics", operation_id = "get_analytics", tag = "Analytics",
    params(AnalyticsParams),
    responses((status = 200, body = Analytics)),
    security(("key" = ["analytics:read"])),
)]
pub async fn of_account(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Answer, Refusal> {
    let interval = interval(&query)?;
    let found = statistics::of_account(&state.core, caller.actor.account, interval).await?;
    Ok(Answer::ok(&statistics(&found, interval)))
}

fn interval(query: &HashMap<String, String>) -> Result<Interval, Refusal> {
    match query.get("interval").map(String::as_str) {
        None | Some("" | "day") => Ok(Interval::Day),
        Some("hour") => Ok(Interval::Hour),
        Some(_) => Err(Refusal::field("interval", "invalid_choice", "must be day or hour")),
    }
}

fn statistics(found: &Statistics, interval: Interval) -> Value {
    let step = |(number, totals): (&i64, &Totals)| {
        let mut shown = json!(totals);
        shown["step_number"] = json!(number);
        shown
    };
    let channel = |(channel, totals): (&Option<Channel>, &Totals)| {
        let mut shown = json!(totals);
        shown["channel"] = json!(channel);
        shown
    };
    let held = found.held.iter().map(|(code, n)| json!({ "reason": code, "count": n }));
    let point = |(at, counts): (&i64, &std::collections::BTreeMap<&'static str, i64>)| {
        let mut shown = json!({ "from": seconds(*at) });
        for name in SERIES {
            shown[name] = json!(counts.get(name).copied().unwrap_or(0));
        }
        shown
    };
    let t = &found.totals;
    json!({
        "totals": t,
        "rates": {
            "delivered": t.rate(t.delivered),
            "opened": t.rate(t.opened),
            "clicked": t.rate(t.clicked),
            "replied": t.rate(t.replied),
            "opted_out": t.rate(t.opted_out),
        },
        "held": held.collect::<Value>(),
        "steps": found.steps.iter().map(step).collect::<Value>(),
        "channels": found.channels.iter().map(channel).collect::<Value>(),
        "interval": interval.as_str(),
        "series": found.series.iter().map(point).collect::<Value>(),
    })
}
