//! Runs on the native face: asked for, looked at, and streamed while they last.

use super::{Asked, campaigns, seconds, view};
use crate::answer::Answer;
use crate::auth::Caller;
use crate::intake::NoBody;
use crate::openapi::bodies::common::{ByTime, Part, Shown};
use crate::openapi::bodies::run::{Run as RunShown, RunFilter, RunList};
use crate::operations::runs::{self, Progress};
use crate::operations::spending;
use crate::refusal::{Refusal, printable};
use crate::state::ApiState;
use crate::work::Work;
use axum::extract::{Path, Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use sendwright_workflows::ids::{self, Kind, uuid};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

type Answered = Result<Answer, Refusal>;

/// How often a stream looks at its run.
const LOOK: Duration = Duration::from_secs(1);
/// A stream without news says so this often, so that nobody in between closes it.
const HEARTBEAT: Duration = Duration::from_secs(15);

fn id(face: &str) -> Result<i64, Refusal> {
    ids::parse(Kind::Run, face).ok_or_else(|| runs::missing(printable(face)))
}

/// Has everybody's next text written, without sending any (S0-22).
///
/// The run is answered at once. One that is under way for the same people is answered again.
#[utoipa::path(
    post, path = "/campaigns/{id}/generate", operation_id = "generate_texts", tag = "Runs",
    responses((status = 202, body = RunShown)),
    security(("key" = ["campaigns:write"])),
)]
pub async fn generate(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    NoBody(once): NoBody,
) -> Answered {
    let campaign = campaigns::id(&face)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(once);
    let progress = runs::generate(&mut work, campaign).await?;
    work.answer(Answer { status: 202, body: run(&progress).to_string() }).await
}

/// Starts a campaign, or goes on after a pause, and follows its round (S0-23).
///
/// The run is answered at once, with what the texts will cost. Delays, quiet hours, limits and approval hold as ever.
#[utoipa::path(
    post, path = "/campaigns/{id}/send", operation_id = "send_campaign", tag = "Runs",
    responses((status = 202, body = RunShown)),
    security(("key" = ["campaigns:write"])),
)]
pub async fn send(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    NoBody(once): NoBody,
) -> Answered {
    let campaign = campaigns::id(&face)?;
    let account = caller.actor.account;
    let mut work = Work::new(&state.core, caller.actor)?.once(once);
    let cost = spending::cost(&state.core, account, campaign, &state.prices).await?;
    let (started, progress) = runs::send(&mut work, campaign).await?;
    let mut shown = run(&progress);
    shown["cost"] = super::spending::cost(&cost);
    shown["campaign"] = view::campaign(&started);
    work.answer(Answer { status: 202, body: shown.to_string() }).await
}

/// Lists runs.
#[utoipa::path(
    get, path = "/runs", operation_id = "list_runs", tag = "Runs",
    params(RunFilter, Part, ByTime),
    responses((status = 200, body = RunList)),
    security(("key" = ["runs:read"])),
)]
pub async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<HashMap<String, String>>,
) -> Answered {
    let asked = Asked::read(&query)?;
    let campaign = query.get("campaign_id").filter(|face| !face.is_empty());
    let campaign = campaign.map(|face| campaigns::id(face)).transpose()?;
    let (found, total) = runs::list(&state.core, caller.actor.account, campaign, asked.page).await?;
    let last = found.last().map(|progress| (progress.run.created_at, progress.run.id));
    let rows = found.iter().map(run).collect();
    Ok(Answer::ok(&asked.envelope("runs", rows, total, last)))
}

/// Shows a run and how far it is.
#[utoipa::path(
    get, path = "/runs/{id}", operation_id = "get_run", tag = "Runs",
    params(Shown),
    responses((status = 200, body = RunShown)),
    security(("key" = ["runs:read"])),
)]
pub async fn get(State(state): State<ApiState>, caller: Caller, Path(face): Path<String>) -> Answered {
    let progress = runs::get(&state.core, caller.actor.account, id(&face)?).await?;
    Ok(Answer::ok(&run(&progress)))
}

/// Follows a run (server-sent events).
///
/// An event `progress` whenever something changed, then one `end`, and the stream closes. The `data` of each is the run
/// as `GET /runs/{id}` shows it. A comment every 15 seconds keeps the line open.
#[utoipa::path(
    get, path = "/runs/{id}/events", operation_id = "follow_run", tag = "Runs",
    responses((status = 200, content_type = "text/event-stream", body = String, example = "event: progress\ndata: {}\n\n")),
    security(("key" = ["runs:read"])),
)]
pub async fn events(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
) -> Result<Response, Refusal> {
    let (account, id) = (caller.actor.account, id(&face)?);
    let first = run(&runs::get(&state.core, account, id).await?);
    let following = Following { state, account, id, next: Some(first), told: Value::Null };
    let stream = stream::unfold(following, Following::step);
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response())
}

/// A stream on its way through a run.
struct Following {
    state: ApiState,
    account: i64,
    id: i64,
    /// What is to be told next, without looking.
    next: Option<Value>,
    /// What was told last; `false` once the end was.
    told: Value,
}

impl Following {
    async fn step(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        if self.told == Value::Bool(false) {
            return None;
        }
        loop {
            let shown = match self.next.take() {
                Some(shown) => shown,
                None => {
                    tokio::time::sleep(LOOK).await;
                    if self.state.is_closing() {
                        return None;
                    }
                    match runs::get(&self.state.core, self.account, self.id).await {
                        Ok(progress) => run(&progress),
                        // The database rests for a moment: the next look may find it.
                        Err(Refusal::Unavailable | Refusal::Crossed) => continue,
                        Err(_) => return None,
                    }
                }
            };
            if shown["state"] != "running" {
                self.told = Value::Bool(false);
                return Some((Ok(Event::default().event("end").data(shown.to_string())), self));
            }
            if news(&shown) != news(&self.told) {
                self.told = shown.clone();
                return Some((Ok(Event::default().event("progress").data(shown.to_string())), self));
            }
        }
    }
}

/// What makes a look worth telling: the pace alone changes with every second.
fn news(shown: &Value) -> (&Value, &Value) {
    (&shown["counts"], &shown["progress"])
}

/// A run and how far it is.
pub fn run(progress: &Progress) -> Value {
    let (run, (done, all)) = (&progress.run, progress.done);
    json!({
        "id": uuid(Kind::Run, run.id),
        "kind": run.kind,
        "state": run.state,
        "campaign_id": uuid(Kind::Campaign, run.campaign_id),
        "round": run.round,
        "counts": progress.counts,
        "progress": {
            "done": done,
            "of": all,
            "percent": if all > 0 { Some(done * 100 / all) } else { None },
        },
        "per_minute": (progress.per_minute * 10.0).round() / 10.0,
        "estimated_end": progress.ends_at.map(seconds),
        "created_at": seconds(run.created_at),
        "ended_at": run.ended_at.map(seconds),
    })
}
