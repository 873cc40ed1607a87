//! What the external dialect shows, field by field as its document does.

use crate::operations::campaigns::Full;
use crate::operations::leads::{Import, Refused, Taken};
use crate::refusal::Refusal;
use sendwright_store::campaigns::Campaign;
use sendwright_workflows::clock::rfc3339;
use sendwright_workflows::sequence::Step;
use serde_json::{Map, Value, json};

/// A lead with every field (S1-27).
pub fn lead(taken: &Taken) -> Value {
    let d = &taken.contact.details;
    let mut shown = json!({
        "id": taken.contact.id,
        "email": d.email,
        "first_name": d.first_name,
        "last_name": d.last_name,
        "company": d.company,
        "title": d.title,
        "phone": d.phone,
        "website": d.website,
        "industry": d.industry,
        "status": "active",
        "created_at": rfc3339(taken.contact.created_at),
    });
    if taken.suppressed {
        shown["suppressed"] = true.into();
    }
    shown
}

/// What became of many leads (S1-09): absent fields are left out, as in the document's sample.
pub fn import(import: &Import) -> Value {
    let short = |taken: &Taken| match lead(taken) {
        Value::Object(fields) => {
            Value::Object(fields.into_iter().filter(|(_, v)| !v.is_null()).collect::<Map<_, _>>())
        }
        other => other,
    };
    json!({
        "created": import.taken.len(),
        "errors": import.refused.iter().map(refused).collect::<Vec<_>>(),
        "leads": import.taken.iter().map(short).collect::<Vec<_>>(),
    })
}

fn refused(refused: &Refused) -> Value {
    let mut shown = json!({
        "index": refused.index,
        "code": refused.why.code(),
        "detail": refused.why.to_string(),
    });
    if let Some(email) = &refused.email {
        shown["email"] = email.as_str().into();
    }
    if let Refusal::Invalid(errors) = &refused.why {
        shown["errors"] = json!(errors);
    }
    shown
}

/// A campaign without its steps (S1-13).
pub fn campaign(campaign: &Campaign) -> Value {
    json!({
        "id": campaign.id,
        "name": campaign.name,
        "description": campaign.description,
        "status": campaign.state.external(),
        "created_at": rfc3339(campaign.created_at),
    })
}

/// A campaign with its steps (S1-43).
pub fn campaign_with_steps(full: &Full) -> Value {
    let mut shown = campaign(&full.campaign);
    shown["steps"] = full.sequence.steps.iter().map(step).collect();
    shown
}

/// A step (S1-41); minutes and seconds, which the document does not have, only where there are some.
fn step(step: &Step) -> Value {
    let mut shown = json!({
        "id": step.id,
        "step_number": step.number,
        "name": step.name,
        "subject": step.subject,
        "template": step.template,
        "ai_prompt": step.ai_prompt,
        "delay_days": step.delay.days,
        "delay_hours": step.delay.hours,
        "is_active": step.active,
        "include_previous_emails": step.include_previous_emails,
    });
    for (name, n) in [("delay_minutes", step.delay.minutes), ("delay_seconds", step.delay.seconds)] {
        if n > 0 {
            shown[name] = n.into();
        }
    }
    shown
}

/// What a change of state answers (S1-15 … S1-17).
pub fn changed(message: &str, campaign: &Campaign) -> Value {
    json!({ "message": message, "campaign_id": campaign.id, "status": campaign.state.external() })
}
