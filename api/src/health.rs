//! Whether the process is there, and whether it is ready for work.

use crate::answer::Answer;
use crate::openapi::bodies::health::{Health as HealthShown, Unhealthy};
use crate::state::ApiState;
use axum::extract::State;
use sendwright_queue::Health;
use sendwright_store::{Error, migrate};
use sendwright_workflows::clock::rfc3339;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// `GET /healthz`: the process answers.
pub async fn live() -> Answer {
    Answer::ok(&json!({ "status": "ok" }))
}

/// `GET /readyz`: 503 only where the database, its schema or a shutdown forbid work; the rest is named, and
/// what runs goes on without it.
pub async fn ready(State(state): State<ApiState>) -> Answer {
    let (status, checks) = checks(&state).await;
    let body = json!({ "status": status, "checks": checks }).to_string();
    Answer { status: if status == "ready" { 200 } else { 503 }, body }
}

/// Shows how everything is that the process stands on (S0-28).
///
/// 503 only where the database, its schema or a shutdown forbid work.
#[utoipa::path(
    get, path = "/health", operation_id = "get_health", tag = "Health",
    responses((status = 200, body = HealthShown), (status = 503, body = Unhealthy, description = "Not ready for work.")),
    security(("key" = ["any"])),
)]
pub async fn native(State(state): State<ApiState>) -> Answer {
    let (status, checks) = checks(&state).await;
    let word = if status == "ready" { "healthy" } else { status };
    let now = state.core.clock.now().map(rfc3339);
    let version = env!("CARGO_PKG_VERSION");
    let body = json!({ "status": word, "version": version, "timestamp": now, "checks": checks }).to_string();
    Answer { status: if status == "ready" { 200 } else { 503 }, body }
}

/// How everything is that this process stands on: in a word, and each by its name.
pub async fn checks(state: &ApiState) -> (&'static str, Map<String, Value>) {
    let check = tokio::time::timeout(Duration::from_secs(2), migrate::check(&state.core.store.db)).await;
    let (database, schema) = match &check {
        Ok(Ok(())) => ("ok", "ok"),
        Ok(Err(Error::Schema(_))) => ("ok", "wrong version"),
        Ok(Err(_)) => ("down", "unknown"),
        Err(_) => ("slow", "unknown"),
    };
    let queue = match state.core.queue.ping().await {
        Health::Embedded => "embedded".to_owned(),
        Health::Up => "ok".to_owned(),
        Health::Evicting(policy) => format!("degraded: evicts keys, maxmemory-policy {policy}"),
        Health::Down(why) => format!("degraded: {why}"),
    };
    let mut checks = Map::from_iter([
        ("database".to_owned(), json!(database)),
        ("schema".to_owned(), json!(schema)),
        ("queue".to_owned(), json!(queue)),
        ("clock".to_owned(), json!(state.core.clock.now().map_or("degraded: no sample", |_| "ok"))),
    ]);
    checks.extend(state.notes.iter().map(|(name, how)| (name.clone(), Value::from(how.as_str()))));
    let status = match (&check, state.is_closing()) {
        (_, true) => "shutting down",
        (Ok(Ok(())), false) => "ready",
        _ => "not ready",
    };
    (status, checks)
}
