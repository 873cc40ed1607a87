//! The plan lane: due enrolments become messages, or pass over a step, or end.

use super::{expand, run};
use crate::context::Context;
use crate::outlet::{self, Route};
use crate::scripts::Script;
use crate::text::{About, compose};
use sendwright_store::events::{self, NewEvent};
use sendwright_store::heads::{self, Head};
use sendwright_store::planning::{self, Advance, DueEnrolment, NewMessage, NewText, Whom};
use sendwright_store::{Result, Tx, accounts, campaigns, replan};
use sendwright_workflows::campaign::{Policy, State};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::contact::own_zone;
use sendwright_workflows::enrolment::{Action, Decision, Means, PLANNER, Person, Standing, plan};
use sendwright_workflows::message::UNPLANNED;
use sendwright_workflows::reason::Reason;
use sendwright_workflows::sequence::{ByChannel, Channel, Step};
use sendwright_workflows::zone::Zone;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::ops::Range;

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
        looked += campaign_pass(ctx, campaign, now).await?;
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
    tx.commit().await?;
    Ok(looked)
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

struct Batch<'a> {
    ctx: &'a Context,
    head: &'a Head,
    policy: Policy,
    /// The settings that are not as they are by default, as each message keeps them.
    settings: Value,
    script: &'a Script,
    routes: &'a Routes,
    account_zone: Zone,
    now: Millis,
    message_ids: Range<i64>,
    event_ids: Range<i64>,
    got: HashMap<i64, Vec<(String, i64)>>,
    done: Done,
}

#[derive(Default)]
struct Done {
    messages: Vec<NewMessage>,
    advances: Vec<Advance>,
    events: Vec<NewEvent>,
}

impl Batch<'_> {
    /// Asks the planner until the enrolment has a message, a later look or an end.
    fn decide(&mut self, row: &DueEnrolment) {
        let zone =
            self.policy.zone(own_zone(row.timezone.as_deref(), row.phone_key.as_deref()), self.account_zone);
        let person = Person {
            zone,
            reach: ByChannel::new(|channel| row.reach(channel)),
            deleted: row.contact_state != "active",
            replied: row.replied_at.is_some(),
            got: self.got.remove(&row.contact_id).unwrap_or_default(),
        };
        let mut standing = Standing { settled: row.settled as u32, base: self.base(row) };
        loop {
            let decision =
                plan(standing, &self.script.sequence, &person, &self.policy, self.routes.means, self.now);
            let ends = |state, reason: Option<&Reason>| Advance {
                id: row.id,
                version: self.head.version,
                state,
                reason: reason.and_then(|r| serde_json::to_string(r).ok()),
                settled: standing.settled,
                base_at: standing.base,
                next_run_at: None,
            };
            match decision.action {
                Action::Skip => {
                    self.tell("step.skipped", row, &decision);
                    standing = Standing { settled: decision.step, base: decision.at };
                }
                Action::Complete => return self.done.advances.push(ends("completed", None)),
                Action::Stop => {
                    let advance = ends("stopped", decision.reasons.first());
                    self.tell("enrolment.stopped", row, &decision);
                    return self.done.advances.push(advance);
                }
                Action::Wait | Action::Hold | Action::Write | Action::Send => {
                    let advance = ends("active", None);
                    return self.wait_or_plan(row, zone, standing, decision, advance);
                }
            }
        }
    }

    /// The first step counts from the enrolment or the start, whichever is later.
    fn base(&self, row: &DueEnrolment) -> Millis {
        match self.head.started_at {
            Some(start) if row.settled == 0 => row.base_at.max(start),
            _ => row.base_at,
        }
    }

    fn wait_or_plan(
        &mut self,
        row: &DueEnrolment,
        zone: Zone,
        standing: Standing,
        decision: Decision,
        mut advance: Advance,
    ) {
        let Some(step) = self.script.sequence.step(decision.step) else { return };
        let look = decision.at - ahead(self.ctx, step);
        if look > self.now && row.run_id.is_none() {
            advance.next_run_at = Some(look);
        } else if let Some(message) = self.message(row, zone, standing, &decision, step) {
            self.done.messages.push(message);
        } else {
            advance.next_run_at = Some(self.now); // Out of ids: the next pass goes on.
        }
        self.done.advances.push(advance);
    }

    fn message(
        &mut self,
        row: &DueEnrolment,
        zone: Zone,
        standing: Standing,
        decision: &Decision,
        step: &Step,
    ) -> Option<NewMessage> {
        let (address, address_hash) = row.address(step.channel)?;
        let id = self.message_ids.next()?;
        let mut reasons = decision.reasons.clone();
        let (mut state, mut text) = ("scheduled", None);
        match decision.action {
            Action::Hold => state = "held",
            Action::Send => match self.text(row, id, step) {
                Ok(written) => (state, text) = ("drafted", Some(written)),
                Err(reason) => {
                    state = "held";
                    reasons.push(reason);
                }
            },
            _ => {}
        }
        if state == "drafted" && self.policy.requires_approval {
            state = "held";
            reasons.push(Reason::Approval);
        }
        let planned_at = match self.has_start() {
            true => decision.at,
            false => {
                reasons.insert(0, Reason::Paused);
                UNPLANNED
            }
        };
        let inputs = json!({
            "planner": PLANNER, "decision": decision, "standing": standing, "zone": zone.name(),
            "policy": self.settings, "delay": step.delay, "version": self.head.version, "at": self.now,
        });
        Some(NewMessage {
            id,
            enrolment_id: row.id,
            contact_id: row.contact_id,
            step_id: step.id,
            step_number: step.number,
            channel: step.channel.as_str(),
            profile_id: self.head.profiles.of(step.channel).unwrap_or(self.head.profiles.email),
            address: address.to_owned(),
            address_hash: address_hash.to_owned(),
            zone: zone.name().to_owned(),
            state,
            planned_at,
            decision: inputs.to_string(),
            reasons: serde_json::to_string(&reasons).ok()?,
            run_id: row.run_id,
            text,
        })
    }

    /// Whether the first step has an instant to count from.
    fn has_start(&self) -> bool {
        self.head.started_at.is_some() || self.policy.starts_at.is_some() || goes_on(&self.head.state)
    }

    fn text(&self, row: &DueEnrolment, message: i64, step: &Step) -> std::result::Result<NewText, Reason> {
        let nowhere = Reason::NoTransport;
        let about = About {
            contact: row,
            message,
            account: self.head.account_id,
            campaign: &self.head.name,
            step: step.number,
            route: self.routes.of.of(step.channel).as_ref().ok_or(nowhere)?,
        };
        let missing = Reason::WritingFailed { detail: "the step is not in this version".into() };
        compose(self.script.texts(step.number).ok_or(missing)?, &about.variables(self.ctx))
    }

    fn tell(&mut self, kind: &'static str, row: &DueEnrolment, decision: &Decision) {
        let Some(id) = self.event_ids.next() else { return };
        self.done.events.push(NewEvent {
            id,
            account_id: self.head.account_id,
            kind,
            campaign_id: Some(self.head.id),
            contact_id: Some(row.contact_id),
            enrolment_id: Some(row.id),
            message_id: None,
            data: json!({"step": decision.step, "at": decision.at, "reasons": decision.reasons}).to_string(),
            at: self.now,
        });
    }
}

impl Done {
    async fn save(mut self, tx: &mut Tx, head: &Head, now: Millis) -> Result<()> {
        let inserted = planning::insert_messages(tx, head, &self.messages, now).await?;
        let there: Vec<&NewMessage> = self.messages.iter().filter(|m| !inserted.contains(&m.id)).collect();
        if !there.is_empty() {
            let planned = plan_anew(tx, head, &there, now).await?;
            // The step has a message of this round already: the planner passes over it.
            for message in there.into_iter().filter(|m| !planned.contains(&m.enrolment_id)) {
                if let Some(advance) = self.advances.iter_mut().find(|a| a.id == message.enrolment_id) {
                    (advance.settled, advance.base_at) = (message.step_number, message.planned_at);
                    advance.next_run_at = Some(now);
                }
            }
        }
        planning::advance(tx, &self.advances, true, now).await?;
        let passed: Vec<i64> = self.events.iter().filter_map(|event| event.enrolment_id).collect();
        if !passed.is_empty() {
            replan::drop_passed(tx, &passed, now).await?;
        }
        events::insert(tx, &self.events).await
    }
}

/// Messages that were written before the campaign had a start get their instants; whose they are.
async fn plan_anew(tx: &mut Tx, head: &Head, there: &[&NewMessage], now: Millis) -> Result<Vec<i64>> {
    let enrolments: Vec<i64> = there.iter().map(|m| m.enrolment_id).collect();
    let stored = replan::unplanned(tx, head, &enrolments).await?;
    let mut planned = Vec::with_capacity(stored.len());
    for old in &stored {
        let Some(new) = there.iter().find(|m| m.enrolment_id == old.enrolment_id) else { continue };
        let mut reasons: Vec<Reason> = serde_json::from_str(&old.reasons).unwrap_or_default();
        let is_gate =
            |r: &Reason| matches!(r, Reason::Paused | Reason::Schedule { .. } | Reason::QuietHours { .. });
        reasons.retain(|reason| !is_gate(reason));
        let moved: Vec<Reason> = serde_json::from_str(&new.reasons).unwrap_or_default();
        reasons.splice(0..0, moved.into_iter().filter(is_gate));
        planned.push((old.id, new.planned_at, new.decision.as_str(), json!(reasons).to_string()));
    }
    replan::save(tx, &planned, now).await?;
    Ok(stored.into_iter().map(|old| old.enrolment_id).collect())
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
