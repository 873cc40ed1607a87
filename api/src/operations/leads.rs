//! Leads come in: one, or ten thousand in one transaction, each alone refused or taken whole.

mod import;

use crate::refusal::Refusal;
use crate::work::{Barrier, Work};
use sendwright_queue::Job;
use sendwright_store::contacts::{self, Contact};
use sendwright_store::events::{self, NewEvent};
use sendwright_store::{Page, campaigns, enrolments};
use sendwright_workflows::spec::{FieldError, LeadBody};
use serde_json::json;
use std::collections::HashSet;

pub use import::{import, read};

/// Most leads of one request.
pub const MOST_LEADS: usize = 10_000;

/// What becomes of a lead whose address the account has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It is refused (S1-28).
    Refuse,
    /// It is taken as it stands, and enrolled.
    Take,
}

/// A lead that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Its place in the request, from 0.
    pub index: usize,
    /// The stored contact.
    pub contact: Contact,
    /// It was there before.
    pub known: bool,
    /// It was enrolled now; one that was in the round already is not.
    pub enrolled: bool,
    /// Nothing will be sent to its address (A43).
    pub suppressed: bool,
}

/// A lead that did not come in.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Its place in the request, from 0.
    pub index: usize,
    /// Its address as it was given, where one was.
    pub email: Option<String>,
    /// Why.
    pub why: Refusal,
}

/// What became of a request's leads; both lists ascending by place.
#[derive(Debug, Clone, Default)]
pub struct Import {
    /// Those that came in.
    pub taken: Vec<Taken>,
    /// Those that did not.
    pub refused: Vec<Refused>,
}

/// A lead as it was parsed.
pub type Parsed = Result<LeadBody, Vec<FieldError>>;

/// Takes one lead; what refuses it refuses the request.
pub async fn create(work: &mut Work<'_>, lead: LeadBody) -> Result<Taken, Refusal> {
    let mut import = import(work, vec![Ok(lead)], Known::Refuse).await?;
    match (import.taken.pop(), import.refused.pop()) {
        (Some(taken), _) => Ok(taken),
        (None, Some(refused)) => Err(refused.why),
        (None, None) => Err(Refusal::Internal),
    }
}

fn event(account: i64, kind: &'static str, contact: i64, at: i64) -> NewEvent {
    NewEvent {
        id: 0,
        account_id: account,
        kind,
        campaign_id: None,
        contact_id: Some(contact),
        enrolment_id: None,
        message_id: None,
        data: "{}".into(),
        at,
    }
}

/// Enrols contacts that are there already; those that are not are refused by place. How many are new to the
/// round comes back beside.
pub async fn enrol_existing(
    work: &mut Work<'_>,
    campaign: i64,
    people: &[i64],
) -> Result<(usize, Vec<usize>), Refusal> {
    if people.is_empty() || people.len() > MOST_LEADS {
        let text = format!("must hold 1 to {MOST_LEADS} ids");
        return Err(Refusal::field("lead_ids", "too_many_items", text));
    }
    let ids = work.ids("enrolments", people.len()).await?;
    let event_ids = work.ids("events", people.len()).await?;
    work.begin(Barrier::None).await?;
    let (account, now) = (work.account(), work.now());
    let tx = work.tx()?;
    let stored = campaigns::admit(tx, account, campaign, now).await?;
    let stored = stored.ok_or_else(|| Refusal::no_campaign(campaign))?;
    let there = contacts::existing(tx, account, people).await?;
    let missing: Vec<usize> = (0..people.len()).filter(|i| !there.contains(&people[*i])).collect();
    let mut seen = HashSet::new();
    let present: Vec<i64> =
        people.iter().copied().filter(|id| there.contains(id) && seen.insert(*id)).collect();
    let enrolled = enrolments::enrol(tx, &stored, &present, ids, now).await?;
    let new: Vec<NewEvent> = enrolled
        .iter()
        .zip(event_ids)
        .map(|(&(enrolment, contact), id)| NewEvent {
            id,
            campaign_id: Some(campaign),
            enrolment_id: Some(enrolment),
            data: json!({ "round": stored.round }).to_string(),
            ..event(account, "campaign.enrolled", contact, now)
        })
        .collect();
    events::insert(tx, &new).await?;
    work.audit("enrol", "campaign", Some(campaign), &json!({ "enrolled": enrolled.len() }));
    work.hint(Job::Plan { account });
    work.hint(Job::Sequence { account });
    Ok((enrolled.len(), missing))
}

/// The account's leads, and how many there are in all.
pub async fn list(
    core: &crate::Core,
    account: i64,
    external_id: Option<&str>,
    page: Page,
) -> Result<(Vec<Contact>, i64), Refusal> {
    let mut tx = core.store.read().await?;
    let found = contacts::list(&mut tx, account, external_id, page).await?;
    let total = contacts::count(&mut tx, account).await?;
    tx.rollback().await?;
    Ok((found, total))
}

/// One lead.
pub async fn get(core: &crate::Core, account: i64, id: i64) -> Result<Option<Contact>, Refusal> {
    let mut tx = core.store.read().await?;
    let found = contacts::get(&mut tx, account, id).await?;
    tx.rollback().await?;
    Ok(found)
}

/// Deletes a lead softly and ends what it is enrolled in. A suppression of its address stays.
pub async fn delete(work: &mut Work<'_>, id: i64) -> Result<(), Refusal> {
    work.begin(Barrier::Exclusive).await?;
    let (account, now) = (work.account(), work.now());
    let tx = work.tx()?;
    if !contacts::delete(tx, account, id, now).await? {
        return Err(Refusal::NotFound(format!("Lead {id} not found")));
    }
    let stopped = enrolments::stop_of_contact(tx, account, id, "contact_deleted", now).await?;
    work.audit("delete", "contact", Some(id), &json!({ "stopped": stopped.len() }));
    Ok(())
}
