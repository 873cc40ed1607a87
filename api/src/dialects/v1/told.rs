//! What the native dialect shows of messages and of what explains them. Instants are to the millisecond: a
//! slot is narrower than a second.

use super::{seconds, view};
use crate::operations::messages::{EnrolmentExplained, Explanation, Full, LeadExplained, Told};
use sendwright_store::messages::{Attempt, Message, PlanningEvent};
use sendwright_workflows::clock::{Millis, rfc3339};
use sendwright_workflows::ids::{Kind, uuid};
use sendwright_workflows::rate_limit::slot_millis;
use serde_json::{Value, json};

/// A message without its text.
pub fn message(m: &Message) -> Value {
    let row = |kind, id: i64| (id > 0).then(|| uuid(kind, id));
    json!({
        "id": uuid(Kind::Message, m.id),
        "kind": m.kind,
        "state": m.state,
        "campaign_id": row(Kind::Campaign, m.campaign_id),
        "lead_id": row(Kind::Contact, m.contact_id),
        "sending_profile_id": row(Kind::Profile, m.profile_id),
        "step_number": m.step_number,
        "round": m.is_step().then_some(m.round),
        "version": m.version,
        "channel": m.channel,
        "to": m.address,
        "timezone": m.zone,
        "planned_at": m.planned().map(rfc3339),
        "slot": m.slot.map(|slot| rfc3339(slot_millis(slot))),
        "attempt_count": m.attempts,
        "released": m.approved,
        "reasons": m.reasons(),
        "accepted_at": m.accepted_at.map(rfc3339),
        "opened_at": m.opened_at.map(rfc3339),
        "clicked_at": m.clicked_at.map(rfc3339),
        "created_at": seconds(m.created_at),
        "updated_at": seconds(m.updated_at),
    })
}

/// A message with its text and its attempts.
pub fn full_message(full: &Full) -> Value {
    let mut shown = message(&full.message);
    let text = full.text.as_ref();
    shown["subject"] = json!(text.map(|t| &t.subject));
    shown["body"] = json!(text.map(|t| &t.body));
    shown["writer"] = json!(text.map(|t| &t.writer));
    shown["writing"] = json!(text.and_then(|t| serde_json::from_str::<Value>(&t.writing).ok()));
    shown["attempts"] = full.attempts.iter().map(attempt).collect();
    shown
}

fn attempt(a: &Attempt) -> Value {
    json!({
        "id": a.id,
        "state": a.state,
        "stage": a.stage,
        "reply": a.reply,
        "detail": a.detail,
        "slot": rfc3339(slot_millis(a.slot)),
        "intent_at": rfc3339(a.intent_at),
        "ended_at": a.ended_at.map(rfc3339),
    })
}

/// `{message_id, state, summary, reasons[], history[], decision, attempts[], events[], next_look_at}`.
pub fn explanation(e: &Explanation) -> Value {
    json!({
        "message_id": uuid(Kind::Message, e.message.id),
        "state": e.message.state,
        "summary": e.summary,
        "planned_at": e.message.planned().map(rfc3339),
        "reasons": reasons(&e.reasons),
        "history": reasons(&e.history),
        "decision": e.decision,
        "attempts": e.attempts.iter().map(attempt).collect::<Value>(),
        "events": events(&e.events),
        "next_look_at": e.next_look_at.map(rfc3339),
    })
}

/// A reason's code and data as they are stored, its instants readable, and the sentence beside.
fn reasons(told: &[Told]) -> Value {
    let one = |told: &Told| {
        let mut shown = serde_json::to_value(&told.reason).unwrap_or_default();
        if let Some(until) = shown.get("until").and_then(Value::as_i64) {
            shown["until"] = rfc3339(until as Millis).into();
        }
        shown["text"] = told.text.clone().into();
        shown
    };
    told.iter().map(one).collect()
}

fn events(events: &[PlanningEvent]) -> Value {
    let one = |event: &PlanningEvent| {
        let data = serde_json::from_str::<Value>(&event.data).unwrap_or_default();
        json!({ "kind": event.kind, "at": rfc3339(event.at), "data": data })
    };
    events.iter().map(one).collect()
}

/// A lead with its enrolments.
pub fn lead_explained(e: &LeadExplained) -> Value {
    json!({
        "lead": view::lead(&e.contact),
        "summary": e.summary,
        "suppressed": e.suppressed,
        "enrolments": e.enrolments.iter().map(enrolment).collect::<Value>(),
        "next_look_at": e.next_look_at.map(rfc3339),
    })
}

fn enrolment(e: &EnrolmentExplained) -> Value {
    json!({
        "campaign_id": uuid(Kind::Campaign, e.enrolment.campaign_id),
        "campaign": e.campaign,
        "round": e.enrolment.round,
        "state": e.enrolment.state,
        "settled_step": e.enrolment.settled,
        "summary": e.summary,
        "reasons": reasons(&e.reasons),
        "decision": e.decision,
        "message": e.open.as_deref().map(explanation),
        "messages": e.messages.iter().map(message).collect::<Value>(),
        "events": events(&e.events),
        "next_look_at": e.next_look_at.map(rfc3339),
    })
}
