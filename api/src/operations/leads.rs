//! Leads come in: one, or ten thousand in one transaction, each alone refused or taken whole.

use crate::refusal::Refusal;
use crate::work::{Barrier, Work};
use sendwright_queue::Job;
use sendwright_store::campaigns::{self, Campaign};
use sendwright_store::contacts::{self, Contact, Details};
use sendwright_store::events::{self, NewEvent};
use sendwright_store::{Page, Tx, enrolments, suppressions};
use sendwright_workflows::address::Email;
use sendwright_workflows::campaign::{Change, State};
use sendwright_workflows::spec::{FieldError, LeadBody};
use serde_json::json;
use std::collections::{BTreeMap, HashMap, HashSet};

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

/// Takes many leads in one transaction. Ids of enrolments ascend in the order of the request.
pub async fn import(work: &mut Work<'_>, leads: Vec<Parsed>, known: Known) -> Result<Import, Refusal> {
    if leads.is_empty() {
        return Err(Refusal::field("body", "required", "must hold at least one lead"));
    }
    if leads.len() > MOST_LEADS {
        return Err(Refusal::field("body", "too_many_items", format!("must hold at most {MOST_LEADS} leads")));
    }
    let (mut candidates, mut import) = sift(leads, work.store().salt(), known);
    if candidates.is_empty() && known == Known::Refuse && import.refused.len() == 1 {
        // One bad lead needs no transaction to be refused.
        return Ok(import);
    }
    let wants = candidates.iter().filter(|c| c.campaign.is_some()).count();
    let contact_ids = work.ids("contacts", candidates.len()).await?;
    let enrolment_ids = work.ids("enrolments", wants).await?;
    let event_ids = work.ids("events", candidates.len() + wants).await?;
    work.begin(Barrier::None).await?;
    let (account, now) = (work.account(), work.now());
    let tx = work.tx()?;
    let campaigns = lock_campaigns(tx, account, &mut candidates, &mut import, now).await?;
    store_contacts(tx, account, &mut candidates, &mut import, (contact_ids, known), now).await?;
    let enrolled = enrol(tx, &campaigns, &candidates, enrolment_ids, now).await?;
    let mut new: Vec<NewEvent> = Vec::with_capacity(candidates.len() + enrolled.len());
    for candidate in candidates.iter().filter(|c| !c.known) {
        new.push(event(account, "lead.created", candidate.id, now));
    }
    for (&contact, &(campaign, enrolment, round)) in &enrolled {
        let mut event = event(account, "campaign.enrolled", contact, now);
        (event.campaign_id, event.enrolment_id) = (Some(campaign), Some(enrolment));
        event.data = json!({ "round": round }).to_string();
        new.push(event);
    }
    new.iter_mut().zip(event_ids).for_each(|(event, id)| event.id = id);
    events::insert(tx, &new).await?;
    let suppressed = {
        let hashes: Vec<&str> = candidates.iter().map(|c| c.hash()).collect();
        suppressions::among(tx, account, "email", &hashes).await?
    };
    import.taken = candidates
        .into_iter()
        .map(|c| c.into_taken(account, now, |c| (enrolled.contains_key(&c.id), suppressed.contains(c.hash()))))
        .collect();
    import.refused.sort_by_key(|r| r.index);
    note(work, &import, enrolled.len());
    Ok(import)
}

fn note(work: &mut Work<'_>, import: &Import, enrolled: usize) {
    let data = json!({ "created": import.taken.len(), "refused": import.refused.len(), "enrolled": enrolled });
    let only = (import.taken.len() == 1).then(|| import.taken[0].contact.id);
    work.audit("create", "contact", only, &data);
    let account = work.account();
    if enrolled > 0 {
        work.hint(Job::Plan { account });
    }
    work.hint(Job::Sequence { account });
}

/// A lead on its way in.
struct Candidate {
    index: usize,
    id: i64,
    known: bool,
    campaign: Option<i64>,
    details: Details,
}

impl Candidate {
    fn hash(&self) -> &str {
        self.details.email_hash.as_deref().unwrap_or_default()
    }

    fn key(&self) -> &str {
        self.details.email_key.as_deref().unwrap_or_default()
    }

    fn refused(self, why: Refusal) -> Refused {
        Refused { index: self.index, email: self.details.email, why }
    }

    fn into_taken(self, account: i64, now: i64, of: impl FnOnce(&Self) -> (bool, bool)) -> Taken {
        let (enrolled, suppressed) = of(&self);
        let contact = Contact {
            id: self.id,
            account_id: account,
            details: self.details,
            state: "active".into(),
            created_at: now,
            updated_at: now,
        };
        Taken { index: self.index, contact, known: self.known, enrolled, suppressed }
    }
}

/// Sorts out what needs no database: faulty leads, and addresses that come twice, of which the first counts.
fn sift(leads: Vec<Parsed>, salt: &[u8], known: Known) -> (Vec<Candidate>, Import) {
    let (mut candidates, mut import) = (Vec::with_capacity(leads.len()), Import::default());
    let mut seen = HashSet::with_capacity(leads.len());
    for (index, lead) in leads.into_iter().enumerate() {
        let read = lead.and_then(|lead| {
            let email = Email::parse(&lead.email)
                .map_err(|why| vec![FieldError::new("email", "invalid_email", why.to_string())])?;
            Ok((email, lead))
        });
        match read {
            Err(errors) => import.refused.push(Refused { index, email: None, why: Refusal::faults(errors) }),
            Ok((email, lead)) => {
                let campaign = lead.campaign_id;
                let details = details(&email, lead, salt);
                let candidate = Candidate { index, id: 0, known: false, campaign, details };
                let first = seen.insert((email.key(), campaign.filter(|_| known == Known::Take)));
                match first {
                    true => candidates.push(candidate),
                    false => import.refused.push(candidate.refused(duplicate(email.as_str()))),
                }
            }
        }
    }
    (candidates, import)
}

fn details(email: &Email, lead: LeadBody, salt: &[u8]) -> Details {
    Details {
        external_id: lead.external_id,
        email: Some(email.as_str().to_owned()),
        email_key: Some(email.key()),
        email_hash: Some(email.hash(salt)),
        first_name: lead.first_name,
        last_name: lead.last_name,
        company: lead.company,
        title: lead.title,
        phone: lead.phone,
        website: lead.website,
        industry: lead.industry,
        timezone: lead.timezone.map(|zone| zone.name().to_owned()),
        attributes: serde_json::Value::Object(lead.attributes).to_string(),
    }
}

fn duplicate(email: &str) -> Refusal {
    Refusal::Duplicate(format!("Lead with email {email} already exists"))
}

/// Locks every campaign that is asked for, ascending, and reopens those that were completed. Leads of one that
/// is not there, or is archived, are refused.
async fn lock_campaigns(
    tx: &mut Tx,
    account: i64,
    candidates: &mut Vec<Candidate>,
    import: &mut Import,
    now: i64,
) -> Result<HashMap<i64, Campaign>, Refusal> {
    let mut wanted: Vec<i64> = candidates.iter().filter_map(|c| c.campaign).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut campaigns = HashMap::with_capacity(wanted.len());
    for id in wanted {
        if let Some(campaign) = campaigns::lock(tx, account, id).await?.filter(|c| c.state != State::Archived) {
            campaigns::change(tx, &campaign, Change::Reopen, now).await?;
            campaigns.insert(id, campaign);
        }
    }
    let is_there = |c: &Candidate| c.campaign.is_none_or(|id| campaigns.contains_key(&id));
    let (there, missing) = std::mem::take(candidates).into_iter().partition(is_there);
    *candidates = there;
    for candidate in missing {
        let face = candidate.campaign.unwrap_or_default();
        import.refused.push(candidate.refused(Refusal::no_campaign(face)));
    }
    Ok(campaigns)
}

/// Gives every candidate its row: a new one, its own deleted one, or the one that is there.
async fn store_contacts(
    tx: &mut Tx,
    account: i64,
    candidates: &mut Vec<Candidate>,
    import: &mut Import,
    (ids, mode): (std::ops::Range<i64>, Known),
    now: i64,
) -> Result<(), Refusal> {
    let mut there = find_known(tx, account, candidates).await?;
    let (mut new, mut back) = (Vec::new(), Vec::new());
    let mut fresh: HashMap<&str, i64> = HashMap::with_capacity(candidates.len());
    for (candidate, id) in candidates.iter().zip(ids) {
        match there.get(candidate.key()) {
            Some(&(id, true)) => back.push((id, &candidate.details)),
            Some(_) => {}
            None if fresh.insert(candidate.key(), id).is_none() => new.push((id, &candidate.details)),
            None => {}
        }
    }
    let mut ours = contacts::insert(tx, account, &new, now).await?;
    ours.extend(contacts::revive(tx, account, &back, now).await?);
    if ours.len() < new.len() + back.len() {
        // Somebody else brought the same people in between: they are known now.
        there = find_known(tx, account, candidates).await?;
    }
    let fresh: HashMap<String, i64> = fresh.into_iter().map(|(key, id)| (key.to_owned(), id)).collect();
    let mut kept = Vec::with_capacity(candidates.len());
    for mut candidate in std::mem::take(candidates) {
        let before = there.get(candidate.key()).map(|known| known.0);
        let id = before.filter(|id| !ours.contains(id)).or_else(|| fresh.get(candidate.key()).copied());
        (candidate.id, candidate.known) = match before {
            Some(id) => (id, !ours.contains(&id)),
            None => (id.unwrap_or_default(), false),
        };
        if candidate.known && mode == Known::Refuse {
            let email = candidate.details.email.clone().unwrap_or_default();
            import.refused.push(candidate.refused(duplicate(&email)));
        } else {
            kept.push(candidate);
        }
    }
    *candidates = kept;
    Ok(())
}

async fn find_known(
    tx: &mut Tx,
    account: i64,
    candidates: &[Candidate],
) -> Result<HashMap<String, (i64, bool)>, Refusal> {
    let keys: Vec<&str> = candidates.iter().map(Candidate::key).collect();
    Ok(contacts::known(tx, account, &keys).await?)
}

/// Enrols by campaign; contact -> (campaign, enrolment, round).
async fn enrol(
    tx: &mut Tx,
    campaigns: &HashMap<i64, Campaign>,
    candidates: &[Candidate],
    mut ids: std::ops::Range<i64>,
    now: i64,
) -> Result<BTreeMap<i64, (i64, i64, i64)>, Refusal> {
    let mut by_campaign: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for candidate in candidates {
        if let Some(campaign) = candidate.campaign {
            by_campaign.entry(campaign).or_default().push(candidate.id);
        }
    }
    let mut enrolled = BTreeMap::new();
    for (id, people) in by_campaign {
        let Some(campaign) = campaigns.get(&id) else { continue };
        let own = ids.start..ids.start + people.len() as i64;
        ids.start = own.end;
        for (enrolment, contact) in enrolments::enrol(tx, campaign, &people, own, now).await? {
            enrolled.insert(contact, (id, enrolment, campaign.round));
        }
    }
    Ok(enrolled)
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
    let stored = campaigns::lock(tx, account, campaign).await?.filter(|c| c.state != State::Archived);
    let stored = stored.ok_or_else(|| Refusal::no_campaign(campaign))?;
    campaigns::change(tx, &stored, Change::Reopen, now).await?;
    let there = contacts::existing(tx, account, people).await?;
    let missing: Vec<usize> = (0..people.len()).filter(|i| !there.contains(&people[*i])).collect();
    let mut seen = HashSet::new();
    let present: Vec<i64> = people.iter().copied().filter(|id| there.contains(id) && seen.insert(*id)).collect();
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
