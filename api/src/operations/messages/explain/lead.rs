//! Why a lead gets what it gets: each of its enrolments, with the planner's answer for what comes next.

use super::{Explanation, of_message};
use crate::operations::messages::words::{Told, instant, told};
use crate::operations::simulation;
use crate::refusal::Refusal;
use crate::state::Core;
use sendwright_store::contacts::{self, Contact};
use sendwright_store::enrolments::{self, Enrolment};
use sendwright_store::messages::{self, Message, PlanningEvent};
use sendwright_store::{Tx, campaigns, suppressions};
use sendwright_workflows::campaign::State as CampaignState;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::enrolment::{Action, Decision, Means};
use sendwright_workflows::reason::Reason;
use sendwright_workflows::sequence::ByChannel;
use sendwright_workflows::zone::Zone;

/// A lead, and what becomes of it in each of its campaigns.
#[derive(Debug, Clone)]
pub struct LeadExplained {
    /// The lead.
    pub contact: Contact,
    /// One plain sentence.
    pub summary: String,
    /// Why nothing may be sent to its address, if so.
    pub suppressed: Option<String>,
    /// Its enrolments, the oldest first.
    pub enrolments: Vec<EnrolmentExplained>,
    /// When any of them is looked at next.
    pub next_look_at: Option<Millis>,
}

/// One enrolment.
#[derive(Debug, Clone)]
pub struct EnrolmentExplained {
    /// The enrolment.
    pub enrolment: Enrolment,
    /// The campaign's name.
    pub campaign: String,
    /// One plain sentence.
    pub summary: String,
    /// What makes it wait, or made its end.
    pub reasons: Vec<Told>,
    /// What the planner would do now, where no message is open.
    pub decision: Option<Decision>,
    /// The message that it waits for.
    pub open: Option<Box<Explanation>>,
    /// Every message of it, by step.
    pub messages: Vec<Message>,
    /// Steps that were passed over, and the end that the planner gave it.
    pub events: Vec<PlanningEvent>,
    /// When it is looked at next.
    pub next_look_at: Option<Millis>,
}

/// Explains a lead. `means` are what the workers have, as far as the caller knows.
pub async fn explain_lead(
    core: &Core,
    account: i64,
    contact: i64,
    means: ByChannel<Means>,
) -> Result<LeadExplained, Refusal> {
    let now = core.now()?;
    let mut tx = core.store.read().await?;
    let found = contacts::get(&mut tx, account, contact).await?;
    let Some(contact) = found else {
        return Err(Refusal::NotFound(format!("Lead {contact} not found")));
    };
    let suppressed = match &contact.details.email_hash {
        Some(hash) => suppressions::find(&mut tx, account, "email", hash).await?.map(|s| s.why),
        None => None,
    };
    let mut enrolments = Vec::new();
    for enrolment in enrolments::of_contact(&mut tx, account, contact.id).await? {
        enrolments.push(of_enrolment(&mut tx, enrolment, means, now).await?);
    }
    tx.rollback().await?;
    let active = enrolments.iter().filter(|e| e.enrolment.state == "active").count();
    let summary = match (&suppressed, enrolments.len()) {
        (Some(why), _) => format!("Nothing is sent to its address any more ({why})."),
        (None, 0) => "It is in no campaign, so nothing is sent to it.".into(),
        (None, all) => format!("It is under way in {active} of {all} enrolments."),
    };
    let next_look_at = enrolments.iter().filter_map(|e| e.next_look_at).min();
    Ok(LeadExplained { contact, summary, suppressed, enrolments, next_look_at })
}

async fn of_enrolment(
    tx: &mut Tx,
    enrolment: Enrolment,
    means: ByChannel<Means>,
    now: Millis,
) -> Result<EnrolmentExplained, Refusal> {
    let account = enrolment.account_id;
    let campaign = campaigns::get(tx, account, enrolment.campaign_id).await?;
    let campaign = campaign.ok_or_else(|| Refusal::no_campaign(enrolment.campaign_id))?;
    let messages = messages::of_enrolment(tx, account, enrolment.id).await?;
    let events = messages::planning_events(tx, account, enrolment.id).await?;
    let mut explained = EnrolmentExplained {
        campaign: campaign.name.clone(),
        summary: format!("It is {}.", enrolment.state),
        reasons: Vec::new(),
        decision: None,
        open: None,
        messages,
        events,
        next_look_at: None,
        enrolment,
    };
    if explained.enrolment.state != "active" {
        explained.reasons = ended(&explained.enrolment);
        if let Some(why) = explained.reasons.first() {
            explained.summary = format!("It is {}: {}.", explained.enrolment.state, why.text);
        }
        return Ok(explained);
    }
    let waits_for = explained.messages.iter().find(|m| {
        m.step_number > explained.enrolment.settled
            && !m.state().is_settled()
            && m.version == campaign.version
    });
    if let Some(message) = waits_for.cloned() {
        let open = of_message(tx, message, now).await?;
        explained.summary = format!("It waits for step {}. {}", open.message.step_number, open.summary);
        explained.reasons.clone_from(&open.reasons);
        explained.next_look_at = open.next_look_at;
        explained.open = Some(Box::new(open));
        return Ok(explained);
    }
    let (decision, zone) = simulation::ask(tx, &campaign, explained.enrolment.id, means, now).await?;
    let mut reasons = decision.reasons.clone();
    let is_mapped = campaign.version == campaign.mapped_version;
    explained.next_look_at = match (campaign.state, campaign.schedule_at) {
        (CampaignState::Running, _) if is_mapped => explained.enrolment.next_run_at.map(|at| at.max(now)),
        (CampaignState::Running, _) => {
            reasons.insert(0, Reason::Edited);
            Some(now)
        }
        (CampaignState::Scheduled, Some(until)) => {
            reasons.retain(|reason| !matches!(reason, Reason::Schedule { .. }));
            reasons.insert(0, Reason::Schedule { until });
            Some(until)
        }
        (state, _) => {
            let is_held = state == CampaignState::Held;
            reasons.insert(0, if is_held { Reason::Recovery } else { Reason::Paused });
            None
        }
    };
    explained.reasons = reasons.into_iter().map(|reason| told(reason, zone)).collect();
    explained.summary = ahead(&decision, explained.reasons.first(), zone);
    explained.decision = Some(decision);
    Ok(explained)
}

fn ahead(decision: &Decision, why: Option<&Told>, zone: Zone) -> String {
    let why = why.map_or(String::new(), |why| format!(": {}", why.text));
    let (step, at) = (decision.step, instant(decision.at, zone));
    match decision.action {
        Action::Write | Action::Send => format!("Step {step} is planned for {at}{why}."),
        Action::Skip => format!("Step {step} will be passed over{why}."),
        Action::Hold | Action::Wait => format!("Step {step} will be held for a person{why}."),
        Action::Stop => format!("It will end{why}."),
        Action::Complete => "Nothing is left to do; it completes at the next look.".into(),
    }
}

/// Why an enrolment has ended: the planner stores a whole reason, other hands its word.
fn ended(enrolment: &Enrolment) -> Vec<Told> {
    let Some(text) = &enrolment.reason else { return Vec::new() };
    let reason = serde_json::from_str(text).unwrap_or_else(|_| match text.as_str() {
        "contact_deleted" => Reason::ContactDeleted,
        "suppressed" => Reason::Suppressed { why: "opted out or suppressed by hand".into() },
        _ => Reason::Cancelled,
    });
    vec![told(reason, Zone::UTC)]
}
