//! What the native dialect shows.

use super::seconds;
use crate::operations::campaigns::{Counts, Full, Totals};
use crate::operations::effect::Effect;
use crate::operations::leads::{Import, Refused};
use crate::refusal::Refusal;
use sendwright_store::campaigns::Campaign;
use sendwright_store::contacts::Contact;
use sendwright_store::sending_profiles::Profile;
use sendwright_store::suppressions::Suppression;
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::ids::{Kind, uuid};
use sendwright_workflows::sequence::Step;
use serde_json::{Map, Value, json};

/// A campaign without its steps.
pub fn campaign(c: &Campaign) -> Value {
    let policy: &Policy = &c.policy;
    json!({
        "id": uuid(Kind::Campaign, c.id),
        "external_id": c.external_id,
        "kind": c.origin.kind(),
        "audience": c.origin.segment.map(|_| c.origin.audience),
        "name": c.name,
        "description": c.description,
        "status": c.state.as_str().to_uppercase(),
        "version": c.version,
        "round": c.round,
        "sending_profile_id": uuid(Kind::Profile, c.profiles.email),
        "sms_profile_id": c.profiles.sms.map(|id| uuid(Kind::Profile, id)),
        "whatsapp_profile_id": c.profiles.whatsapp.map(|id| uuid(Kind::Profile, id)),
        "timezone": policy.timezone.map(|zone| zone.name()),
        "quiet_hours_start": policy.quiet_hours.map(|quiet| quiet.start_text()),
        "quiet_hours_end": policy.quiet_hours.map(|quiet| quiet.end_text()),
        "rate_limit_per_second": policy.rate_limit_per_second,
        "requires_approval": policy.requires_approval,
        "without_model": policy.without_model,
        "on_uncertain": policy.on_uncertain,
        "after_uncertain": policy.after_uncertain,
        "max_lateness_seconds": policy.max_lateness.map(|most| most / 1_000),
        "allowed_links": policy.allowed_links,
        "business_type": policy.business_type,
        "strategy": policy.strategy,
        "track_opens": policy.track_opens,
        "track_clicks": policy.track_clicks,
        "schedule_time": c.schedule_at.map(seconds),
        "started_at": c.started_at.map(seconds),
        "completed_at": c.completed_at.map(seconds),
        "created_at": seconds(c.created_at),
        "updated_at": seconds(c.updated_at),
    })
}

/// A campaign with its steps.
pub fn full(full: &Full) -> Value {
    let (mut shown, origin) = (campaign(&full.campaign), &full.campaign.origin);
    shown["steps"] = full.sequence.steps.iter().map(step).collect();
    // The text is the one that goes out: the template's own may have changed since.
    let content = full.sequence.steps.first().and_then(|step| step.template.as_deref());
    shown["template"] = json!(origin.template.map(|id| {
        json!({ "id": uuid(Kind::Template, id), "name": full.template_name, "content": content })
    }));
    shown["segment"] =
        json!(origin.segment.map(|id| json!({ "id": uuid(Kind::Segment, id), "name": full.segment_name })));
    if let Some(totals) = &full.totals {
        shown["messages_sent"] = totals.sent.into();
        shown["messages_failed"] = totals.failed.into();
    }
    shown
}

/// A campaign with its steps and what it has done.
pub fn counted(with_steps: &Full, counts: &Counts) -> Value {
    let mut shown = full(with_steps);
    let totals = Totals::of(&counts.messages);
    shown["messages_sent"] = totals.sent.into();
    shown["messages_failed"] = totals.failed.into();
    shown["messages"] = by_state(&counts.messages);
    shown["enrolments"] = by_state(&counts.enrolments);
    shown
}

/// What an edit does to the people who are under way.
pub fn effect(effect: &Effect) -> Value {
    let step = |n: u32| (n > 0).then_some(n);
    let moves = effect
        .moves
        .iter()
        .map(|(&(from, to), n)| json!({ "from_step": step(from), "to_step": step(to), "people": n }));
    json!({
        "people": effect.people,
        "moves": moves.collect::<Value>(),
        "repeats_avoided": effect.repeats_avoided,
        "steps_nobody_gets": effect.steps_nobody_gets,
        "messages_discarded": effect.discarded,
        "estimated": effect.estimated,
    })
}

fn by_state(counts: &[(String, i64)]) -> Value {
    Value::Object(counts.iter().map(|(state, n)| (state.clone(), Value::from(*n))).collect::<Map<_, _>>())
}

fn step(s: &Step) -> Value {
    json!({
        "id": uuid(Kind::Step, s.id),
        "step_number": s.number,
        "name": s.name,
        "channel": s.channel,
        "subject": s.subject,
        "template": s.template,
        "syntax": s.syntax,
        "ai_prompt": s.ai_prompt,
        "delay_days": s.delay.days,
        "delay_hours": s.delay.hours,
        "delay_minutes": s.delay.minutes,
        "delay_seconds": s.delay.seconds,
        "include_previous_emails": s.include_previous_emails,
        "is_active": s.active,
    })
}

/// A lead.
pub fn lead(contact: &Contact) -> Value {
    let d = &contact.details;
    json!({
        "id": uuid(Kind::Contact, contact.id),
        "external_id": d.external_id,
        "email": d.email,
        "first_name": d.first_name,
        "last_name": d.last_name,
        "company": d.company,
        "title": d.title,
        "phone": d.phone,
        "website": d.website,
        "industry": d.industry,
        "timezone": d.timezone,
        "attributes": serde_json::from_str::<Value>(&d.attributes).unwrap_or_default(),
        "status": contact.state,
        "created_at": seconds(contact.created_at),
        "updated_at": seconds(contact.updated_at),
    })
}

/// What became of many leads.
pub fn import(import: &Import) -> Value {
    let count =
        |of: fn(&crate::operations::leads::Taken) -> bool| import.taken.iter().filter(|t| of(t)).count();
    json!({
        "created": count(|t| !t.known),
        "enrolled": count(|t| t.enrolled),
        "suppressed": count(|t| t.suppressed),
        "errors": import.refused.iter().map(refused).collect::<Vec<_>>(),
        "leads": import.taken.iter().map(|t| lead(&t.contact)).collect::<Vec<_>>(),
    })
}

fn refused(refused: &Refused) -> Value {
    let details = match &refused.why {
        Refusal::Invalid(errors) => json!(errors),
        _ => json!([]),
    };
    json!({
        "index": refused.index,
        "email": refused.email,
        "error": refused.why.code(),
        "message": refused.why.to_string(),
        "details": details,
    })
}

/// A sending profile; its URL never comes out.
pub fn profile(p: &Profile) -> Value {
    json!({
        "id": uuid(Kind::Profile, p.id),
        "name": p.name,
        "channel": p.channel,
        "transport": p.transport,
        "from_email": p.from_email,
        "from_name": p.from_name,
        "reply_to": p.reply_to,
        "rate_limit_per_second": p.per_second,
        "rate_limit_per_minute": p.per_minute,
        "rate_limit_per_day": p.per_day,
        "timezone": p.timezone,
        "on_uncertain": p.on_uncertain,
        "reply_domain": p.reply_domain,
        "dkim_domain": p.dkim_domain,
        "dkim_selector": p.dkim_selector,
        "signs": p.signs,
        "polls": p.polls,
        "imap_why": p.imap_why,
        "track_opens": p.track_opens,
        "track_clicks": p.track_clicks,
        "from_phone": p.from_phone,
        "messaging_service_sid": p.messaging_service_sid,
        "twilio_account_sid": p.twilio_account_sid,
        "allowed_countries": p.allowed_countries(),
        "status": p.state,
        "paused_until": p.paused_until.map(seconds),
        "why": p.why,
        "is_default": p.is_default,
        "created_at": seconds(p.created_at),
    })
}

/// A suppression: the hint, never the address.
pub fn suppression(s: &Suppression) -> Value {
    json!({
        "channel": s.channel,
        "hint": s.hint,
        "why": s.why,
        "source": s.source,
        "created_at": seconds(s.created_at),
    })
}
