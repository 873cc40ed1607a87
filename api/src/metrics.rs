//! `GET /metrics`, in Prometheus' text format: what this process has counted, and what the store says there is
//! to do. Never on a public address: whoever mounts it sees to that.

use crate::state::ApiState;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sendwright_store::gauges::{self, Gauges};
use sendwright_workflows::clock::Millis;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// Gives the text of everything that this process has counted.
pub type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// How long the store may take; without its figures the process's own are still given.
const PATIENCE: Duration = Duration::from_secs(2);

/// The route, for an address of its own.
pub fn metrics_router(state: ApiState, render: Render) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state((state, render))
}

async fn metrics(State((state, render)): State<(ApiState, Render)>) -> Response {
    let mut text = render();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let found = tokio::time::timeout(PATIENCE, read(&state)).await;
    let gauges = found.ok().flatten();
    gauge(&mut text, "store_up", "whether the store answered", [("", i64::from(gauges.is_some()))]);
    if let Some((gauges, now)) = gauges {
        tell(&mut text, &gauges, now);
    }
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (StatusCode::OK, kind, text).into_response()
}

async fn read(state: &ApiState) -> Option<(Gauges, Millis)> {
    let now = state.core.clock.now()?;
    let mut tx = state.core.store.read().await.ok()?;
    let gauges = gauges::read(&mut tx, now).await.ok()?;
    tx.rollback().await.ok()?;
    Some((gauges, now))
}

fn tell(text: &mut String, gauges: &Gauges, now: Millis) {
    let labels = ["scheduled", "writing", "drafted", "claimed", "sending", "held", "uncertain"];
    let count = |word: &str| gauges.open.iter().find(|(state, _)| state == word).map_or(0, |(_, n)| *n);
    let open = labels.map(|word| (word, count(word)));
    gauge(text, "messages_open", "messages not at their end, counted up to 100000, by state", open);
    gauge(text, "messages_due", "messages whose planned instant has come, up to 100000", [("", gauges.due)]);
    let age = gauges.oldest_due.map_or(0, |at| (now - at) / 1_000);
    gauge(text, "oldest_due_seconds", "how long the first due message has waited", [("", age)]);
    gauge(text, "workers_alive", "worker processes that are thought to live", [("", gauges.workers)]);
}

fn gauge<const N: usize>(text: &mut String, name: &str, help: &str, values: [(&str, i64); N]) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "# HELP sendwright_{name} {help}\n# TYPE sendwright_{name} gauge");
    for (state, value) in values {
        let label = if state.is_empty() { String::new() } else { format!("{{state=\"{state}\"}}") };
        let _ = writeln!(text, "sendwright_{name}{label} {value}");
    }
}
