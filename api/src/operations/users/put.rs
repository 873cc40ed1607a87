//! Users are written: one, or a thousand of an upload in one transaction, each refused or taken whole.

use super::consent::{self, Speaker, Standing};
use super::merge::{email, merge};
use crate::operations::book::{self, Book};
use crate::refusal::Refusal;
use crate::work::{Barrier, Work};
use sendwright_queue::Job;
use sendwright_store::consents::Numbers;
use sendwright_store::contacts::{self, Details};
use sendwright_store::events::{self, NewEvent};
use sendwright_workflows::address::Email;
use sendwright_workflows::consent::{Grounds, State};
use sendwright_workflows::identity::{Place, Row};
use sendwright_workflows::spec::UserBody;
use serde_json::json;
use std::collections::HashMap;
use std::ops::Range;

/// Who is expected to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nobody: who is there is a duplicate.
    Nobody,
    /// Somebody: who is not is missing.
    Somebody,
    /// Either: who is there is changed.
    Either,
}

/// A user that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put {
    /// The contact.
    pub id: i64,
    /// They were not a user before.
    pub created: bool,
}

/// Row numbers for the people of a transaction.
pub struct Ids {
    contacts: Range<i64>,
    events: Range<i64>,
    consents: Numbers,
}

impl Ids {
    /// Takes them, and begins the transaction, behind the barrier where somebody says no.
    pub async fn take(work: &mut Work<'_>, people: &[&UserBody], expect: Expect) -> Result<Self, Refusal> {
        let words = |people: &mut dyn Iterator<Item = &&UserBody>| -> usize {
            people.map(|body| consent::channels(body).len()).sum()
        };
        let noes = words(&mut people.iter().filter(|body| body.consent.is_some_and(State::forbids)));
        let spare = if expect == Expect::Somebody { 0 } else { people.len() };
        let ids = Self {
            contacts: work.ids("contacts", spare).await?,
            events: work.ids("events", 2 * people.len()).await?,
            consents: Numbers::take(&work.store().ids, words(&mut people.iter()), noes).await?,
        };
        work.begin(if noes > 0 { Barrier::Exclusive } else { Barrier::None }).await?;
        Ok(ids)
    }
}

/// Writes users, no number twice: who they are, what is known of them, and what they said, with its events. For each, in
/// order, what became of it. May be called again in the same transaction.
pub async fn put(
    work: &mut Work<'_>,
    people: &[UserBody],
    (expect, grounds): (Expect, Grounds),
    ids: &mut Ids,
) -> Result<Vec<Result<Put, Refusal>>, Refusal> {
    let mut batch = Batch::open(work, people, expect, &mut ids.contacts).await?;
    batch.check(work, grounds).await?;
    let changed = batch.record(work, grounds, ids).await?;
    batch.write(work).await?;
    batch.tell(work, &changed, &mut ids.events).await?;
    Ok(batch.done())
}

/// Somebody on their way in.
struct Person<'a> {
    body: &'a UserBody,
    place: Place,
    id: i64,
    before: Option<Details>,
    details: Details,
    refused: Option<Refusal>,
    forbade: bool,
}

impl Person<'_> {
    fn is_new(&self) -> bool {
        matches!(self.place.row, Row::New | Row::Back(_))
    }

    fn has_changed(&self) -> bool {
        self.before.as_ref() != Some(&self.details)
    }
}

struct Batch<'a> {
    people: Vec<Person<'a>>,
}

impl<'a> Batch<'a> {
    /// Finds everybody's row, and merges what is known of them.
    async fn open(
        work: &mut Work<'_>,
        people: &'a [UserBody],
        expect: Expect,
        spare: &mut Range<i64>,
    ) -> Result<Self, Refusal> {
        let (account, salt) = (work.account(), work.store().salt());
        let tx = work.tx()?;
        let addresses: Vec<Option<Email>> = people.iter().map(|body| email(&body.attributes)).collect();
        let keys: Vec<Option<String>> =
            addresses.iter().map(|email| email.as_ref().map(Email::key)).collect();
        let emails: Vec<&str> = keys.iter().flatten().map(String::as_str).collect();
        let phones: Vec<&str> = people.iter().map(|body| body.phone.as_str()).collect();
        let mut book = Book::open(tx, account, &emails, &phones).await?;
        let places: Vec<Place> =
            phones.iter().zip(&keys).map(|(phone, key)| book.user(phone, key.as_deref())).collect();
        let living = |place: &Place| matches!(place.row, Row::There(_) | Row::Joined(_));
        let there: Vec<i64> = places.iter().filter(|place| living(place)).filter_map(book::row).collect();
        let there = contacts::by_ids(tx, account, &there).await?;
        let mut there: HashMap<i64, Details> = there.into_iter().map(|c| (c.id, c.details)).collect();
        let mut batch = Self { people: Vec::with_capacity(people.len()) };
        for ((body, address), place) in people.iter().zip(&addresses).zip(places) {
            let id = book::row(&place).or_else(|| spare.next()).unwrap_or_default();
            let before = there.remove(&id);
            let mut details =
                before.clone().unwrap_or_else(|| Details { attributes: "{}".into(), ..Details::default() });
            let refused = faults(body, &place, before.as_ref(), address.as_ref(), expect);
            if details.phone_key.is_none() {
                details.phone = Some(body.phone.as_str().to_owned());
            }
            details.phone_key = Some(body.phone.as_str().to_owned());
            details.phone_hash = Some(body.phone.hash(salt));
            let own = address.as_ref().filter(|_| place.takes_other).map(|email| (email, email.hash(salt)));
            merge(&mut details, &body.attributes, own);
            batch.people.push(Person { body, place, id, before, details, refused, forbade: false });
        }
        Ok(batch)
    }

    /// Refuses whoever says yes against a no that stands.
    async fn check(&mut self, work: &mut Work<'_>, grounds: Grounds) -> Result<(), Refusal> {
        let account = work.account();
        let speaking: Vec<_> = self.people.iter().map(|person| (person.body, &person.details)).collect();
        let standing = Standing::read(work.tx()?, account, &speaking).await?;
        for person in &mut self.people {
            person.forbade = standing.forbade(person.body, &person.details);
            if person.refused.is_none() {
                person.refused = standing.check(person.body, &person.details, grounds).err();
            }
        }
        Ok(())
    }

    /// Writes down what they said; by contact, whether it changed anything.
    async fn record(
        &self,
        work: &mut Work<'_>,
        grounds: Grounds,
        ids: &mut Ids,
    ) -> Result<HashMap<i64, bool>, Refusal> {
        let (actor, now) = (work.actor().clone(), work.now());
        let taken = self.people.iter().filter(|person| person.refused.is_none());
        let speakers: Vec<Speaker<'_>> = taken
            .map(|person| Speaker { id: person.id, body: person.body, details: &person.details })
            .collect();
        let source = if grounds == Grounds::Listed { "import" } else { actor.source };
        let consents = &mut ids.consents;
        let changed =
            consent::record(work.tx()?, &actor, &speakers, (grounds, source), consents, now).await?;
        Ok(speakers.iter().map(|speaker| speaker.id).zip(changed).collect())
    }

    /// Writes the contacts. Somebody who came in between by another way has the whole of it done again.
    async fn write(&self, work: &mut Work<'_>) -> Result<(), Refusal> {
        let (account, now) = (work.account(), work.now());
        let (mut new, mut back, mut changed) = (Vec::new(), Vec::new(), Vec::new());
        for person in self.people.iter().filter(|person| person.refused.is_none() && person.has_changed()) {
            let list = match person.place.row {
                Row::New => &mut new,
                Row::Back(_) => &mut back,
                Row::There(_) | Row::Joined(_) => &mut changed,
            };
            list.push((person.id, &person.details));
        }
        let tx = work.tx()?;
        let taken = self.people.iter().filter(|person| person.refused.is_none());
        let (phones, emails) = book::freed(taken.map(|person| &person.place));
        contacts::release(tx, account, &emails, &phones).await?;
        let again = |error| match error {
            sendwright_store::Error::Duplicate => Refusal::Unavailable,
            other => other.into(),
        };
        let written = contacts::insert(tx, account, &new, now).await?.len()
            + contacts::revive(tx, account, &back, now).await.map_err(again)?.len()
            + contacts::update(tx, account, &changed, now).await.map_err(again)?.len();
        match written == new.len() + back.len() + changed.len() {
            true => Ok(()),
            false => Err(Refusal::Unavailable),
        }
    }

    /// Tells of it: events, one audit line, hints.
    async fn tell(
        &self,
        work: &mut Work<'_>,
        changed: &HashMap<i64, bool>,
        ids: &mut Range<i64>,
    ) -> Result<(), Refusal> {
        let (actor, now) = (work.actor().clone(), work.now());
        let mut told = Vec::new();
        for person in self.people.iter().filter(|person| person.refused.is_none()) {
            match person.place.row {
                Row::New | Row::Back(_) => told.push(("lead.created", person, json!({}))),
                _ if person.has_changed() => told.push(("lead.updated", person, json!({}))),
                _ => {}
            }
            let said = person.body.consent.filter(|_| changed.get(&person.id) == Some(&true));
            let Some(state) = said.filter(|state| state.forbids() || person.forbade || !person.is_new())
            else {
                continue;
            };
            let kind = if state.forbids() { "contact.opted_out" } else { "contact.opted_in" };
            let channels: Vec<&str> = consent::channels(person.body).iter().map(|c| c.as_str()).collect();
            let data = json!({ "source": actor.source, "why": state.as_str(), "channels": channels,
                "phone": person.body.phone.as_str() });
            told.push((kind, person, data));
        }
        let event =
            |((kind, person, data), id): ((&'static str, &Person<'_>, serde_json::Value), i64)| NewEvent {
                id,
                account_id: actor.account,
                kind,
                campaign_id: None,
                contact_id: Some(person.id),
                enrolment_id: None,
                message_id: None,
                data: data.to_string(),
                at: now,
            };
        let new: Vec<NewEvent> = told.into_iter().zip(ids).map(event).collect();
        events::insert(work.tx()?, &new).await?;
        let of = |taken: fn(&Person<'_>) -> bool| self.people.iter().filter(|person| taken(person)).count();
        let counts = json!({
            "created": of(|p| p.refused.is_none() && p.is_new()),
            "changed": of(|p| p.refused.is_none() && !p.is_new() && p.has_changed()),
            "refused": of(|p| p.refused.is_some()),
        });
        let only = match self.people.as_slice() {
            [only] => Some(only.id),
            _ => None,
        };
        work.audit("put", "contact", only, &counts);
        if !new.is_empty() {
            work.hint(Job::Sequence { account: actor.account });
        }
        Ok(())
    }

    fn done(self) -> Vec<Result<Put, Refusal>> {
        let done = |person: Person<'_>| {
            let created = !matches!(person.place.row, Row::There(_));
            person.refused.map_or(Ok(Put { id: person.id, created }), Err)
        };
        self.people.into_iter().map(done).collect()
    }
}

/// What refuses somebody whatever they said of consent.
fn faults(
    body: &UserBody,
    place: &Place,
    before: Option<&Details>,
    address: Option<&Email>,
    expect: Expect,
) -> Option<Refusal> {
    let phone = body.phone.as_str();
    match (expect, place.row) {
        (Expect::Nobody, Row::There(_)) => {
            return Some(Refusal::Duplicate(format!("User with phone {phone} already exists")));
        }
        (Expect::Somebody, Row::New | Row::Joined(_) | Row::Back(_)) => return Some(super::missing(phone)),
        _ => {}
    }
    let own = before.and_then(|details| details.email_key.as_deref());
    let is_other = match body.attributes.get("email") {
        Some(given) if given.is_null() => own.is_some(),
        Some(_) => own.is_some() && address.map(Email::key).as_deref() != own,
        None => false,
    };
    is_other.then(|| {
        let text = "is not the e-mail address that the contact is known by, which stays";
        Refusal::field("attributes.email", "not_permitted", text)
    })
}
