//! Endpoints and deliveries as the native face shows them.

use crate::dialects::v1::seconds;
use sendwright_store::deliveries::{AttemptRow, Health, Listed};
use sendwright_store::endpoints::Endpoint;
use sendwright_workflows::clock::rfc3339;
use sendwright_workflows::event::canonical;
use sendwright_workflows::ids::{Kind, uuid};
use sendwright_workflows::webhook::SigningSecret;
use serde_json::{Value, json};

/// An endpoint, without its secret.
pub fn endpoint(e: &Endpoint) -> Value {
    let waits: Vec<i64> = e.schedule().waits().iter().map(|wait| wait / 1_000).collect();
    json!({
        "id": uuid(Kind::Endpoint, e.id),
        "url": e.url,
        "description": e.description,
        "events": e.choices(),
        "enabled": e.is_enabled(),
        "is_active": e.is_enabled(),
        "status": e.state,
        "disabled_reason": e.why,
        "schedule": e.schedule,
        "retry_schedule": waits,
        "failing_since": e.failing_since.map(seconds),
        "previous_secret_expires_at": e.previous_until.filter(|_| e.previous_sealed.is_some()).map(seconds),
        "created_at": seconds(e.created_at),
        "updated_at": seconds(e.updated_at),
    })
}

/// An endpoint with its secret: shown this once.
pub fn with_secret(e: &Endpoint, secret: &SigningSecret) -> Value {
    let mut shown = endpoint(e);
    shown["secret"] = secret.reveal().into();
    shown
}

/// An endpoint with its health.
pub fn with_health(e: &Endpoint, h: &Health) -> Value {
    let mut shown = endpoint(e);
    shown["health"] = json!({
        "attempts": h.attempts,
        "success_rate": (h.attempts > 0).then(|| h.successes as f64 / h.attempts as f64),
        "latency_ms": { "median": h.median_ms, "p95": h.p95_ms },
        "last_success_at": h.last_success.map(seconds),
        "last_error": h.last_error.as_ref().map(|(error, at)| json!({ "error": error, "at": seconds(*at) })),
        "consecutive_failures": e.failures,
        "pending": h.pending,
        "dead": h.dead,
    });
    shown
}

/// A delivery with its attempts.
pub fn delivery(d: &Listed, attempts: &[AttemptRow]) -> Value {
    json!({
        "id": uuid(Kind::Delivery, d.id),
        "webhook_id": uuid(Kind::Endpoint, d.endpoint_id),
        "event_id": uuid(Kind::Event, d.event_id),
        "type": canonical(&d.kind),
        "number": d.number,
        "status": d.state,
        "attempt_count": d.attempts,
        "next_attempt_at": (d.state == "pending").then(|| rfc3339(d.next_at)),
        "status_code": d.status,
        "error": d.error,
        "created_at": seconds(d.created_at),
        "delivered_at": d.ended_at.filter(|_| d.state == "delivered").map(seconds),
        "attempts": attempts.iter().map(attempt).collect::<Vec<_>>(),
    })
}

fn attempt(a: &AttemptRow) -> Value {
    json!({
        "at": rfc3339(a.at),
        "status_code": a.status,
        "duration_ms": a.duration_ms,
        "response": a.answer,
        "error": a.error,
    })
}
