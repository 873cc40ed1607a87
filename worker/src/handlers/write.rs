//! The write lane: texts are written once per message, ahead of its instant.

mod texts;

use crate::ai::{Brief, Draft, PreviousEmail, Sender, WriteError, WrittenBy};
use crate::context::{Context, random_unit};
use crate::outlet::{self, Route};
use crate::purse::Purse;
use crate::scripts::Script;
use crate::text::{About, compose};
use sendwright_store::Result;
use sendwright_store::heads::{self, Head};
use sendwright_store::planning::{self, DueEnrolment, NewText};
use sendwright_store::writing::{self, Unwritten, Written};
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{HOUR, Millis};
use sendwright_workflows::reason::{Cause, Reason};
use sendwright_workflows::sequence::{Channel, Step};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

pub use texts::Texts;

/// A message whose text cannot be written for this long past its instant is held.
const PATIENCE: Millis = HOUR;

/// Everything one text is made from.
struct Job {
    message: Unwritten,
    head: Head,
    script: Arc<Script>,
    route: Route,
    contact: DueEnrolment,
    previous: Vec<PreviousEmail>,
}

async fn write(ctx: &Context, message: Unwritten, now: Millis) -> Result<()> {
    let job = match gather(ctx, message).await? {
        Ok(job) => job,
        Err((message, reason)) => return hold(ctx, &message, reason, now).await,
    };
    let Some(step) = job.script.sequence.step(job.message.step_number as u32).cloned() else {
        return hold(ctx, &job.message, Reason::Edited, now).await;
    };
    if step.wants_model() && job.route.has_writer(ctx) {
        return by_model(ctx, &job, &step, now).await;
    }
    match step.wants_model() && !takes_template(&job.head.policy) {
        true => hold(ctx, &job.message, Reason::NoModel, now).await,
        false => by_template(ctx, &job, &step, now).await,
    }
}

fn takes_template(policy: &Policy) -> bool {
    policy.without_model == sendwright_workflows::campaign::WithoutModel::Template
}

async fn gather(ctx: &Context, message: Unwritten) -> Result<std::result::Result<Job, (Unwritten, Reason)>> {
    let mut tx = ctx.store.read().await?;
    let campaign = match message.campaign_id {
        0 => heads::campaign_of_step(&mut tx, message.step_id).await?.unwrap_or_default(),
        campaign => campaign,
    };
    let Some(head) = heads::head(&mut tx, campaign).await? else {
        return Ok(Err((message, Reason::Cancelled)));
    };
    let Some(contact) = planning::contact(&mut tx, message.account_id, message.contact_id).await? else {
        return Ok(Err((message, Reason::ContactDeleted)));
    };
    let route = outlet::route(ctx, &mut tx, message.profile_id).await?;
    let earlier = match message.enrolment_id {
        0 => Vec::new(),
        enrolment => writing::earlier(&mut tx, &[enrolment]).await?,
    };
    tx.commit().await?;
    let script = ctx.scripts.get(&ctx.store, head.account_id, head.id, message.version).await?;
    let wants_history =
        script.sequence.step(message.step_number as u32).is_some_and(|step| step.include_previous_emails);
    let previous = earlier
        .into_iter()
        .filter(|_| wants_history)
        .map(|e| PreviousEmail { subject: e.subject, text: e.body })
        .collect();
    Ok(Ok(Job { message, head, script, route, contact, previous }))
}

async fn by_model(ctx: &Context, job: &Job, step: &Step, now: Millis) -> Result<()> {
    let Some(writer) = &ctx.writer else { return hold(ctx, &job.message, Reason::NoModel, now).await };
    let _permit = ctx.writing.acquire(job.message.account_id).await;
    let brief = brief(ctx, job, step);
    let purse = match Purse::open(ctx, &job.message, writer.most(&brief), now).await? {
        Ok(purse) => purse,
        Err(Some(until)) => {
            let reason = Reason::SpendCap { until: Some(until) };
            return again(ctx, &job.message, until, reason, now).await;
        }
        Err(None) => return hold(ctx, &job.message, Reason::SpendCap { until: None }, now).await,
    };
    let answer = writer.write(&brief).await;
    purse.settle(ctx, &answer, now).await?;
    let detail = match answer {
        Ok(draft) => {
            // A model's text goes with media alone, which have no variables.
            let text = Written { enclosed: step.enclosed.stored(), ..written(draft, step.channel) };
            return keep(ctx, job, text, now).await;
        }
        Err(WriteError::Retry { after, detail, .. }) if now - job.message.planned_at < PATIENCE => {
            let wait =
                after.map_or(10_000 + (random_unit() * 5_000.0) as Millis, |d| d.as_millis() as Millis);
            tracing::info!(message = job.message.id, detail, "the model is asked again later");
            let at = ctx.clock.now().unwrap_or(now) + wait;
            return again(ctx, &job.message, at, Reason::Late { cause: Cause::Writing }, now).await;
        }
        Err(other) => other.to_string(),
    };
    if step.template.is_some() {
        tracing::info!(message = job.message.id, detail, "the template stands in for the model");
        return by_template(ctx, job, step, now).await;
    }
    hold(ctx, &job.message, Reason::WritingFailed { detail }, now).await
}

async fn by_template(ctx: &Context, job: &Job, step: &Step, now: Millis) -> Result<()> {
    let text = match job.script.texts(step.number) {
        Some(texts) => compose(texts, &about(job, step).variables(ctx)),
        None => Err(Reason::WritingFailed { detail: "the step has no template".into() }),
    };
    match text {
        Ok(NewText { subject, body, enclosed }) => {
            let text = Written { subject, body, writer: "template", writing: "{}".into(), enclosed };
            keep(ctx, job, text, now).await
        }
        Err(reason) => hold(ctx, &job.message, reason, now).await,
    }
}

fn about<'a>(job: &'a Job, step: &Step) -> About<'a> {
    About {
        contact: &job.contact,
        message: job.message.id,
        account: job.message.account_id,
        campaign: &job.head.name,
        step: step.number,
        route: &job.route,
    }
}

fn brief(ctx: &Context, job: &Job, step: &Step) -> Brief {
    let contact = &job.contact;
    let about = about(job, step);
    let subject = job.script.texts(step.number).and_then(|texts| texts.subject.as_ref());
    let fields = [
        ("email", &contact.email),
        ("first_name", &contact.first_name),
        ("last_name", &contact.last_name),
        ("company_name", &contact.company),
        ("title", &contact.title),
        ("website", &contact.website),
        ("industry", &contact.industry),
    ];
    let mut known: BTreeMap<String, String> = about
        .attributes()
        .into_iter()
        .map(|(name, value)| (name, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    known.extend(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))));
    Brief {
        ai_prompt: step.ai_prompt.clone().unwrap_or_default(),
        subject_hint: subject.and_then(|template| template.render(&about.variables(ctx)).ok()),
        contact: known,
        sender: Sender { name: job.route.from.name.clone(), company: String::new() },
        previous: job.previous.clone(),
        language: None,
        allowed_hosts: job.head.policy.allowed_links.clone(),
        allowed_addresses: vec![job.route.from.address.clone()],
        to_phone: step.channel.is_phone(),
    }
}

fn written(draft: Draft, channel: Channel) -> Written {
    let writing = json!({
        "model": draft.model, "prompt_hash": draft.prompt_hash, "tokens": draft.tokens,
        "attempts": draft.attempts, "contract": draft.contract, "rejected": draft.rejected,
    });
    let writer = match draft.writer {
        WrittenBy::Model => "model",
        WrittenBy::Offline => "offline",
    };
    let subject = if channel.is_phone() { String::new() } else { draft.subject };
    Written { subject, body: draft.text, writer, writing: writing.to_string(), enclosed: None }
}

async fn keep(ctx: &Context, job: &Job, text: Written, now: Millis) -> Result<()> {
    let step = job.message.kind == "step";
    let hold = (step && job.head.policy.requires_approval).then_some(Reason::Approval);
    let mut tx = ctx.store.begin().await?;
    writing::save(&mut tx, &job.message, &text, hold, now).await?;
    tx.commit().await?;
    ctx.bells.send();
    Ok(())
}

/// It stays unwritten until `at`: `planned_at` is what the write lane looks at, ahead of time.
async fn again(ctx: &Context, message: &Unwritten, at: Millis, reason: Reason, now: Millis) -> Result<()> {
    let mut tx = ctx.store.begin().await?;
    writing::put_off(&mut tx, message, (at, at + ctx.settings.write_ahead), reason, now).await?;
    tx.commit().await
}

async fn hold(ctx: &Context, message: &Unwritten, reason: Reason, now: Millis) -> Result<()> {
    let mut tx = ctx.store.begin().await?;
    writing::hold(&mut tx, message, reason, now).await?;
    tx.commit().await
}
