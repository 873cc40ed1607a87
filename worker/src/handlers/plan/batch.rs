//! A batch of due enrolments: each is asked about until it has a message, a later look or an end.

use super::{Routes, ahead, goes_on};
use crate::context::Context;
use crate::scripts::Script;
use crate::text::{About, compose};
use sendwright_store::events::{self, NewEvent};
use sendwright_store::heads::Head;
use sendwright_store::planning::{self, Advance, DueEnrolment, NewMessage, NewText};
use sendwright_store::{Result, Tx, replan};
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::contact::own_zone;
use sendwright_workflows::enrolment::{Action, Decision, PLANNER, Person, Standing, plan};
use sendwright_workflows::message::UNPLANNED;
use sendwright_workflows::reason::Reason;
use sendwright_workflows::sequence::{ByChannel, Step};
use sendwright_workflows::zone::Zone;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::ops::Range;

/// The due enrolments of one campaign, and what becomes of them.
pub(super) struct Batch<'a> {
    pub(super) ctx: &'a Context,
    pub(super) head: &'a Head,
    pub(super) policy: Policy,
    /// The settings that are not as they are by default, as each message keeps them.
    pub(super) settings: Value,
    pub(super) script: &'a Script,
    pub(super) routes: &'a Routes,
    pub(super) account_zone: Zone,
    pub(super) now: Millis,
    pub(super) message_ids: Range<i64>,
    pub(super) event_ids: Range<i64>,
    pub(super) got: HashMap<i64, Vec<(String, i64)>>,
    pub(super) done: Done,
}

/// What is written of a batch.
#[derive(Default)]
pub(super) struct Done {
    messages: Vec<NewMessage>,
    advances: Vec<Advance>,
    events: Vec<NewEvent>,
}

impl Batch<'_> {
    /// Asks the planner until the enrolment has a message, a later look or an end.
    pub(super) fn decide(&mut self, row: &DueEnrolment) {
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
    pub(super) async fn save(mut self, tx: &mut Tx, head: &Head, now: Millis) -> Result<()> {
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
