//! Many leads in one transaction: sifted, given their rows, enrolled, and told of.

mod rows;

use super::{Import, Known, MOST_LEADS, Parsed, Refused, Taken, event};
use crate::refusal::Refusal;
use crate::work::{Barrier, Work};
use sendwright_queue::Job;
use sendwright_store::campaigns::{self, Campaign};
use sendwright_store::contacts::{Contact, Details};
use sendwright_store::events::{self, NewEvent};
use sendwright_store::{Tx, enrolments, suppressions};
use sendwright_workflows::address::Email;
use sendwright_workflows::phone::Phone;
use sendwright_workflows::spec::LeadBody;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Reads a list of leads, each by itself; of too many no more than shows that they are.
pub fn read(body: &Value) -> Result<Vec<Parsed>, Refusal> {
    let Value::Array(rows) = body else {
        return Err(Refusal::field("body", "invalid_type", "must be a list of leads"));
    };
    Ok(rows.iter().take(MOST_LEADS + 1).map(LeadBody::from_json).collect())
}

/// Takes many leads in one transaction. Ids of enrolments ascend in the order of the request.
pub async fn import(work: &mut Work<'_>, leads: Vec<Parsed>, known: Known) -> Result<Import, Refusal> {
    if leads.is_empty() {
        return Err(Refusal::field("body", "required", "must hold at least one lead"));
    }
    if leads.len() > MOST_LEADS {
        return Err(Refusal::field(
            "body",
            "too_many_items",
            format!("must hold at most {MOST_LEADS} leads"),
        ));
    }
    let (mut candidates, mut import) = sift(leads, work.store().salt());
    let wants = candidates.iter().filter(|c| c.campaign.is_some()).count();
    let contact_ids = work.ids("contacts", candidates.len()).await?;
    let enrolment_ids = work.ids("enrolments", wants).await?;
    let event_ids = work.ids("events", candidates.len() + wants).await?;
    work.begin(Barrier::None).await?;
    let (account, now) = (work.account(), work.now());
    let tx = work.tx()?;
    let campaigns = admit(tx, account, &mut candidates, &mut import, now).await?;
    let updated = rows::give(tx, account, &mut candidates, contact_ids, now).await?;
    refuse_known(&mut candidates, &mut import, known);
    let enrolled = enrol(tx, &campaigns, &candidates, enrolment_ids, now).await?;
    let mut new: Vec<NewEvent> = Vec::with_capacity(candidates.len() + enrolled.len());
    for candidate in candidates.iter().filter(|c| !c.known) {
        let kind = if updated.contains(&candidate.id) { "lead.updated" } else { "lead.created" };
        new.push(event(account, kind, candidate.id, now));
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
        .map(|c| {
            c.into_taken(account, now, |c| (enrolled.contains_key(&c.id), suppressed.contains(c.hash())))
        })
        .collect();
    import.refused.sort_by_key(|r| r.index);
    note(work, &import, enrolled.len());
    Ok(import)
}

fn note(work: &mut Work<'_>, import: &Import, enrolled: usize) {
    let data =
        json!({ "created": import.taken.len(), "refused": import.refused.len(), "enrolled": enrolled });
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
            consent: None,
            state: "active".into(),
            created_at: now,
            updated_at: now,
        };
        Taken { index: self.index, contact, known: self.known, enrolled, suppressed }
    }
}

/// Sorts out what needs no database: faulty leads, and addresses that come twice, of which the first counts.
fn sift(leads: Vec<Parsed>, salt: &[u8]) -> (Vec<Candidate>, Import) {
    let (mut candidates, mut import) = (Vec::with_capacity(leads.len()), Import::default());
    let mut seen = HashSet::with_capacity(leads.len());
    for (index, lead) in leads.into_iter().enumerate() {
        match lead {
            Err(errors) => import.refused.push(Refused { index, email: None, why: Refusal::faults(errors) }),
            Ok(lead) => {
                let (campaign, email) = (lead.campaign_id, lead.email.clone());
                let details = details(&email, lead, salt);
                let candidate = Candidate { index, id: 0, known: false, campaign, details };
                match seen.insert(email.key()) {
                    true => candidates.push(candidate),
                    false => import.refused.push(candidate.refused(duplicate(email.as_str()))),
                }
            }
        }
    }
    (candidates, import)
}

fn details(email: &Email, lead: LeadBody, salt: &[u8]) -> Details {
    let phone = lead.phone.as_deref().and_then(|phone| Phone::parse(phone.trim()).ok());
    Details {
        phone_key: phone.as_ref().map(|phone| phone.as_str().to_owned()),
        phone_hash: phone.map(|phone| phone.hash(salt)),
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

/// Has every campaign that is asked for take people in, ascending. Leads of one that is not there, or is archived, are refused.
async fn admit(
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
        if let Some(campaign) = campaigns::admit(tx, account, id, now).await? {
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

fn refuse_known(candidates: &mut Vec<Candidate>, import: &mut Import, mode: Known) {
    let refuses = |c: &Candidate| c.known && mode == Known::Refuse;
    let (known, kept): (Vec<_>, Vec<_>) = std::mem::take(candidates).into_iter().partition(refuses);
    *candidates = kept;
    for candidate in known {
        let email = candidate.details.email.clone().unwrap_or_default();
        import.refused.push(candidate.refused(duplicate(&email)));
    }
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
