//! Why a message went, waits or was held, and when it is looked at next (promise 6): the past from what was
//! stored when it happened, the future from the planner and the gates themselves.

mod lead;
mod outlook;

use super::words::{Told, instant, told};
use crate::refusal::Refusal;
use crate::state::Core;
use outlook::Outlook;
use sendwright_store::campaigns::Campaign;
use sendwright_store::contacts::Contact;
use sendwright_store::messages::{self, Attempt, Message, PlanningEvent};
use sendwright_store::sending_profiles::{self, Profile};
use sendwright_store::{Tx, accounts, campaigns, contacts, enrolments, simulation, suppressions, workers};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::contact::own_zone;
use sendwright_workflows::message::State;
use sendwright_workflows::rate_limit::Gate;
use sendwright_workflows::reason::{Owner, Reason};
use sendwright_workflows::zone::Zone;
use serde_json::Value;

pub use lead::{EnrolmentExplained, LeadExplained, explain_lead};

/// Everything there is to say about a message.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The message.
    pub message: Message,
    /// One plain sentence.
    pub summary: String,
    /// What makes it wait or made its end, each with the setting that changes it.
    pub reasons: Vec<Told>,
    /// Every reason that was ever recorded, the oldest first.
    pub history: Vec<Told>,
    /// The planner's decision with its inputs, as it was taken.
    pub decision: Value,
    /// Its hand-overs.
    pub attempts: Vec<Attempt>,
    /// What the planner did to its enrolment without a message.
    pub events: Vec<PlanningEvent>,
    /// When it is looked at next; none where nothing happens until somebody does something.
    pub next_look_at: Option<Millis>,
}

/// Explains a message.
pub async fn explain(core: &Core, account: i64, id: i64) -> Result<Explanation, Refusal> {
    let now = core.now()?;
    let mut tx = core.store.read().await?;
    let found = match messages::get(&mut tx, account, id).await? {
        Some(message) => Some(of_message(&mut tx, message, now).await?),
        None => None,
    };
    tx.rollback().await?;
    found.ok_or_else(|| super::missing(id))
}

async fn of_message(tx: &mut Tx, message: Message, now: Millis) -> Result<Explanation, Refusal> {
    let facts = Facts::read(tx, message, now).await?;
    let attempts = messages::attempts(tx, facts.message.id).await?;
    let events = match facts.message.enrolment_id {
        0 => Vec::new(),
        enrolment => messages::planning_events(tx, facts.message.account_id, enrolment).await?,
    };
    let zone = facts.zone;
    let Outlook { reasons, next } = outlook::outlook(&facts);
    let reasons: Vec<Told> = reasons.into_iter().map(|reason| told(reason, zone)).collect();
    let summary = summary(&facts, &reasons, attempts.last(), next);
    let history = facts.message.reasons().into_iter().map(|reason| told(reason, zone)).collect();
    let decision = serde_json::from_str(&facts.message.decision).unwrap_or_default();
    Ok(Explanation {
        summary,
        reasons,
        history,
        decision,
        attempts,
        events,
        next_look_at: next,
        message: facts.message,
    })
}

/// What the intent would read, and the limits as they stand.
struct Facts {
    message: Message,
    campaign: Option<Campaign>,
    profile: Option<Profile>,
    account_active: bool,
    enrolment: Option<String>,
    contact_active: bool,
    /// The zone that its instants are reckoned and told in.
    zone: Zone,
    suppressed: Option<String>,
    gates: (Gate, Gate),
    /// Due rows before it, of its own campaign and of others on its profile.
    ahead: (i64, i64),
    worker_alive: bool,
    now: Millis,
}

/// Rows before a message are counted up to this many: beyond it the instant is a lower bound.
const MOST_AHEAD: i64 = 10_000;

impl Facts {
    async fn read(tx: &mut Tx, message: Message, now: Millis) -> Result<Self, Refusal> {
        let account = message.account_id;
        let campaign = campaigns::get(tx, account, message.campaign_id).await?;
        let profile = sending_profiles::by_id(tx, message.profile_id).await?;
        let enrolled = enrolments::of_contact(tx, account, message.contact_id).await?;
        let enrolment = enrolled.into_iter().find(|e| e.id == message.enrolment_id).map(|e| e.state);
        let contact = contacts::get(tx, account, message.contact_id).await?;
        let contact_active = contact.is_some();
        let zone = zone(&message, campaign.as_ref(), contact.as_ref());
        let suppressed = suppressions::find(tx, account, &message.channel, &message.address_hash).await?;
        let is_due = message.state() == State::Drafted && message.planned_at <= now;
        Ok(Self {
            gates: (
                simulation::gate(tx, Owner::Profile, message.profile_id).await?,
                simulation::gate(tx, Owner::Campaign, message.campaign_id).await?,
            ),
            ahead: if is_due { messages::ahead(tx, &message, now, MOST_AHEAD).await? } else { (0, 0) },
            account_active: accounts::get(tx, account).await?.is_some_and(|a| a.active),
            worker_alive: !workers::alive(tx).await?.is_empty(),
            suppressed: suppressed.map(|s| s.why),
            campaign,
            profile,
            enrolment,
            contact_active,
            zone,
            message,
            now,
        })
    }
}

/// The zone that a message was planned in; while it waits, the one that its intent will reckon in, which is the contact's
/// as it is now.
fn zone(message: &Message, campaign: Option<&Campaign>, contact: Option<&Contact>) -> Zone {
    let planned = message.zone.parse().unwrap_or_default();
    let details = contact.map(|contact| &contact.details);
    match (message.state(), campaign, details) {
        (State::Scheduled | State::Writing | State::Drafted, Some(campaign), Some(details)) => {
            let own = own_zone(details.timezone.as_deref(), details.phone_key.as_deref());
            campaign.policy.zone(own, planned)
        }
        _ => planned,
    }
}

fn summary(facts: &Facts, reasons: &[Told], last: Option<&Attempt>, next: Option<Millis>) -> String {
    let message = &facts.message;
    let at = |at: Millis| instant(at, facts.zone);
    let why = reasons.first().map(|r| r.text.as_str());
    let said = last.and_then(|a| Some((a.reply?, a.detail.as_deref()?)));
    let answer = said.map_or(String::new(), |(code, text)| format!(" The server said {code} {text}."));
    match message.state() {
        State::Accepted | State::Delivered => {
            let when = message.accepted_at.unwrap_or(message.updated_at);
            format!("It was handed over at {}.{answer}", at(when))
        }
        State::Bounced => format!("The address does not take mail; the message came to nothing.{answer}"),
        State::Complained => "It was handed over, and the recipient complained.".into(),
        State::Failed => format!("It was not sent and will not be.{answer}"),
        State::Suppressed => "It was not sent: nothing is sent to this address any more.".into(),
        State::Cancelled => sentence("It was cancelled", why),
        State::Uncertain => {
            "Whether it arrived is not known, so it is not repeated: release it to send it again, \
             or cancel it."
                .into()
        }
        State::Held => sentence("It is held for a person", why),
        State::Writing => "A worker is having its text written.".into(),
        State::Claimed => "A worker has it, with a slot, and is about to hand it over.".into(),
        State::Sending => "It is being handed over.".into(),
        State::Scheduled | State::Drafted => {
            let what = match message.state() {
                State::Scheduled => "Its text is not written yet",
                _ => "It waits for its turn",
            };
            match (why, next) {
                (Some(_), _) => sentence(what, why),
                (None, Some(next)) if next > facts.now => format!("{what}; it is due at {}.", at(next)),
                _ => format!("{what}; that is now."),
            }
        }
    }
}

fn sentence(what: &str, why: Option<&str>) -> String {
    why.map_or(format!("{what}."), |why| format!("{what}: {why}."))
}

/// Whether a reason is one that keeps a message for a person.
fn holds(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::NoPermittedInstant
            | Reason::AccountInactive
            | Reason::NoModel
            | Reason::NoTransport
            | Reason::SpendCap { until: None }
            | Reason::WritingFailed { .. }
            | Reason::MissingVariable { .. }
            | Reason::Approval
            | Reason::Poison
            | Reason::Recovery
            | Reason::Edited
            | Reason::Cancelled
    )
}
