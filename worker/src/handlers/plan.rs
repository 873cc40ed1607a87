//! The plan lane: due enrolments become messages, or pass over a step, or end.

mod batch;

use super::{expand, run};
use crate::context::Context;
use crate::outlet::{self, Route};
use crate::scripts::Script;
use batch::{Batch, Done};
use sendwright_fail::point;
use sendwright_store::heads::{self, Head};
use sendwright_store::planning::{self, Advance, DueEnrolment, Whom};
use sendwright_store::{Result, Tx, accounts, campaigns};
use sendwright_workflows::campaign::{Policy, State};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::enrolment::Means;
use sendwright_workflows::sequence::{ByChannel, Channel, Step};
use sendwright_workflows::zone::Zone;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Enrolments planned in one transaction.
const BATCH: i64 = 500;

/// Plans every enrolment that is due now. Answers how many were looked at.
pub async fn pass(ctx: &Context, now: Millis) -> Result<usize> {
    let taken_on = run::take_on(ctx, now).await? + expand::pass(ctx, now).await?;
    let mut tx = ctx.store.read().await?;
    let campaigns = planning::campaigns_with_due(&mut tx, now).await?;
    tx.commit().await?;
    let mut looked = taken_on;
    for (_, campaign) in campaigns {
        let done = campaign_pass(ctx, campaign, now).await;
        looked += ctx.unread.pass_over("campaigns", campaign, done)?;
    }
    Ok(looked)
}

/// Plans one batch of a campaign: a million due rows of one never keep the others waiting.
async fn campaign_pass(ctx: &Context, campaign: i64, now: Millis) -> Result<usize> {
    let mut tx = ctx.store.read().await?;
    let Some(head) = heads::head(&mut tx, campaign).await? else { return Ok(0) };
    // What has not begun, or rests, is planned only where a run wants its texts.
    let whom = if goes_on(&head.state) { Whom::All } else { Whom::OfRuns };
    let count = planning::count_due(&mut tx, campaign, whom, now, BATCH).await?;
    let zone = accounts::get(&mut tx, head.account_id).await?.and_then(|a| a.timezone.parse().ok());
    let script = ctx.scripts.get(&ctx.store, head.account_id, head.id, head.version).await?;
    let routes = Routes::read(ctx, &mut tx, &head, &script).await?;
    tx.commit().await?;
    let messages = ctx.store.ids.take("messages", count as usize).await?;
    let told = ctx.store.ids.take("events", 2 * count as usize).await?;
    let policy = head.policy.clone();
    let mut batch = Batch {
        ctx,
        head: &head,
        settings: settings_of(&policy),
        policy,
        script: &script,
        routes: &routes,
        account_zone: zone.unwrap_or_default(),
        now,
        message_ids: messages,
        event_ids: told,
        got: HashMap::new(),
        done: Done::default(),
    };
    let mut tx = ctx.store.begin().await?;
    if !still(&mut tx, &head).await? {
        return Ok(0);
    }
    let due = planning::due(&mut tx, head.id, (whom, script.sequence.has_phones()), now, count).await?;
    batch.got = got(&mut tx, &head, &script, &due).await?;
    due.iter().for_each(|row| batch.decide(row));
    let looked = due.len();
    batch.done.save(&mut tx, &head, now).await?;
    point_of(looked, "plan-written");
    tx.commit().await?;
    point_of(looked, "plan-committed");
    Ok(looked)
}

/// A pass that found nothing passes no point.
fn point_of(looked: usize, name: &'static str) {
    if looked > 0 {
        point(name);
    }
}

/// Whether the campaign is still what it was when it was read, at its version, until the writing transaction
/// ends: a message planned under the old version behind a live edit's back would never be mapped.
async fn still(tx: &mut Tx, head: &Head) -> Result<bool> {
    let found = heads::hold(tx, head.id).await?;
    let is_as_it_was = |now: &str| match goes_on(&head.state) {
        true => goes_on(now),
        false => now == head.state,
    };
    Ok(found.is_some_and(|now| now.version == head.version && is_as_it_was(&now.state)))
}

/// Whether a campaign runs, or is about to by itself.
fn goes_on(state: &str) -> bool {
    matches!(State::parse(state), Some(State::Running | State::Scheduled))
}

/// Fingerprints of what each person got under an older version, by contact.
async fn got(
    tx: &mut Tx,
    head: &Head,
    script: &Script,
    due: &[DueEnrolment],
) -> Result<HashMap<i64, Vec<(String, i64)>>> {
    let mut found: HashMap<i64, Vec<(String, i64)>> = HashMap::new();
    if head.version == 1 || due.is_empty() {
        return Ok(found);
    }
    let enrolments: Vec<i64> = due.iter().map(|d| d.id).collect();
    let mut prints: HashMap<i64, String> = HashMap::new();
    for version in 1..script.sequence.version {
        let old = campaigns::sequence(tx, head.account_id, head.id, version).await?;
        prints.extend(old.steps.iter().map(|step| (step.id, step.fingerprint())));
    }
    for (contact, message, step) in planning::got(tx, head, &enrolments).await? {
        if let Some(print) = prints.get(&step) {
            found.entry(contact).or_default().push((print.clone(), message));
        }
    }
    Ok(found)
}

/// What of a policy is not as it is by default.
fn settings_of(policy: &Policy) -> Value {
    match (json!(policy), json!(Policy::default())) {
        (Value::Object(mut set), Value::Object(default)) => {
            // What a prompt was made from decides nothing here.
            let is_words = |name: &str| matches!(name, "business_type" | "strategy");
            set.retain(|name, value| default.get(name) != Some(value) && !is_words(name));
            Value::Object(set)
        }
        (whole, _) => whole,
    }
}

/// How a campaign's steps leave, by channel, and what can be done on each.
struct Routes {
    of: ByChannel<Option<Route>>,
    means: ByChannel<Means>,
}

impl Routes {
    async fn read(ctx: &Context, tx: &mut Tx, head: &Head, script: &Script) -> Result<Self> {
        let used = script.sequence.channels();
        let mut of = ByChannel::default();
        for channel in Channel::ALL.into_iter().filter(|channel| *used.of(*channel)) {
            if let Some(profile) = head.profiles.of(channel) {
                *of.of_mut(channel) = Some(outlet::route(ctx, tx, profile).await?);
            }
        }
        let means = |route: &Option<Route>| Means {
            model: route.as_ref().is_some_and(|route| route.has_writer(ctx)),
            transport: route.as_ref().is_some_and(Route::exists),
        };
        let means = ByChannel::new(|channel| means(of.of(channel)));
        Ok(Self { of, means })
    }
}

/// How long before its planned instant a step's message is planned: a model needs time to write.
pub fn ahead(ctx: &Context, step: &Step) -> Millis {
    if step.wants_model() { ctx.settings.write_ahead } else { ctx.settings.plan_ahead }
}

/// Where an enrolment goes once a step is settled at `base`.
pub fn after(
    ctx: &Context,
    script: &Script,
    enrolment: i64,
    settled: u32,
    base: Millis,
    zone: Zone,
) -> Advance {
    let next = script.sequence.after(settled);
    Advance {
        id: enrolment,
        version: script.sequence.version,
        state: if next.is_some() { "active" } else { "completed" },
        reason: None,
        settled,
        base_at: base,
        next_run_at: next.map(|step| step.delay.after(base, zone) - ahead(ctx, step)),
    }
}
