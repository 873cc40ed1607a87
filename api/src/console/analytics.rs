//! `/console/campaigns/{id}/analytics`: what a campaign has done, in tables and in bars.

use super::{home, page};
use crate::console::guard::Visitor;
use crate::operations::statistics::{self, Interval, Statistics};
use crate::refusal::Refusal;
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use sendwright_workflows::statistics::Totals;
use serde_json::{Value, json};

/// Days that the bars show: the last ones on which something happened.
const DAYS: usize = 60;
/// A day's width, and the height of the highest bar, in the drawing's own units.
const WIDTH: i64 = 14;
const HEIGHT: i64 = 120;

/// `GET /console/campaigns/{id}/analytics`.
pub async fn show(State(state): State<ApiState>, visitor: Visitor, Path(id): Path<i64>) -> Response {
    match data(&state, &visitor, id).await {
        Ok(data) => page::render(StatusCode::OK, "analytics", &data),
        Err(refusal) => page::refused(&refusal),
    }
}

async fn data(state: &ApiState, visitor: &Visitor, id: i64) -> Result<Value, Refusal> {
    let account = visitor.actor.account;
    let (campaign, found) = statistics::of_campaign(&state.core, account, id, Interval::Day).await?;
    let steps = found.steps.iter().filter(|(number, _)| **number > 0);
    let bars = bars(&found);
    Ok(json!({
        "title": "Sendwright",
        "token": super::form::token(state, visitor)?,
        "account": account,
        "accounts": home::others(visitor),
        "is_keyed": visitor.key != 0,
        "name": campaign.name,
        "state": campaign.state.as_str(),
        "totals": row("all", &found.totals),
        "steps": steps.map(|(number, totals)| row(&number.to_string(), totals)).collect::<Value>(),
        "held": found.held.iter().map(|(why, n)| json!({ "why": why, "count": n })).collect::<Value>(),
        "width": (bars.len() as i64 * WIDTH).max(1),
        "height": HEIGHT,
        "bars": bars,
    }))
}

fn row(name: &str, totals: &Totals) -> Value {
    let percent = |part| totals.rate(part).map_or_else(String::new, |rate| format!("{:.1} %", rate * 100.0));
    let mut row = json!(totals);
    row["name"] = name.into();
    row["open_rate"] = percent(totals.opened).into();
    row["reply_rate"] = percent(totals.replied).into();
    row
}

/// One bar a day: what was sent, and within it what was opened.
fn bars(found: &Statistics) -> Vec<Value> {
    let skipped = found.series.len().saturating_sub(DAYS);
    let days: Vec<_> = found.series.iter().skip(skipped).collect();
    let count =
        |counts: &std::collections::BTreeMap<&'static str, i64>, name| counts.get(name).copied().unwrap_or(0);
    let most = days.iter().flat_map(|(_, counts)| counts.values()).copied().max().unwrap_or(0).max(1);
    let bar = |(place, (at, counts)): (usize, &(&i64, &std::collections::BTreeMap<&'static str, i64>))| {
        let (sent, opened) = (count(counts, "sent"), count(counts, "opened"));
        let (high, low) = (sent * HEIGHT / most, opened * HEIGHT / most);
        json!({
            "day": page::at(**at).get(..10).unwrap_or_default(),
            "sent": sent,
            "opened": opened,
            "x": place as i64 * WIDTH,
            "bar": WIDTH - 4,
            "sent_y": HEIGHT - high,
            "sent_height": high,
            "opened_y": HEIGHT - low,
            "opened_height": low,
        })
    };
    days.iter().enumerate().map(bar).collect()
}
