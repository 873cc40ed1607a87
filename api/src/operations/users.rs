//! Users of S2: contacts by their numbers, with what they said of being written to there.

mod consent;
mod merge;
mod put;

pub use merge::attributes;
pub use put::{Expect, Ids, Put, put};

use crate::refusal::Refusal;
use crate::state::Core;
use crate::work::{Barrier, Work};
use sendwright_store::consents::{self, Consent};
use sendwright_store::contacts::{self, Contact};
use sendwright_store::{Page, Tx, enrolments, inbound};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::consent::{Grounds, State};
use sendwright_workflows::ids::{self, Kind};
use sendwright_workflows::phone::Phone;
use sendwright_workflows::sequence::Channel;
use sendwright_workflows::spec::UserBody;
use serde_json::json;

/// Somebody with a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The stored contact.
    pub contact: Contact,
    /// When something was last said of consent.
    pub said_at: Option<Millis>,
    /// When the last message of theirs came.
    pub last_message: Option<Millis>,
}

/// What somebody is asked for by: their number, or any face of the contact's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// The number.
    Phone(Phone),
    /// The contact.
    Id(i64),
}

impl By {
    /// Reads a part of a path. A `+` that came as a space is one; what is neither is nobody.
    pub fn read(face: &str) -> Option<Self> {
        let number = face.strip_prefix(' ').map(|digits| format!("+{digits}"));
        match Phone::parse(number.as_deref().unwrap_or(face)) {
            Ok(phone) => Some(By::Phone(phone)),
            Err(_) => ids::parse(Kind::Contact, face).map(By::Id),
        }
    }
}

/// The refusal for nobody, in the document's words.
pub fn missing(face: &str) -> Refusal {
    let face = crate::refusal::printable(face);
    Refusal::NotFound(match face.strip_prefix(['+', ' ']) {
        Some(digits) => format!("User with phone +{digits} not found"),
        None => format!("User {face} not found"),
    })
}

/// The account's users, those in a state of consent where one is named, and how many there are of them in all.
pub async fn list(
    core: &Core,
    account: i64,
    consent: Option<State>,
    page: Page,
) -> Result<(Vec<User>, i64), Refusal> {
    let consent = consent.map(State::as_str);
    let mut tx = core.store.read().await?;
    let found = contacts::list_by_consent(&mut tx, account, consent, page).await?;
    let total = contacts::count_by_consent(&mut tx, account, consent).await?;
    let users = whole(&mut tx, account, found).await?;
    tx.rollback().await?;
    Ok((users, total))
}

/// One user.
pub async fn get(core: &Core, account: i64, by: &By) -> Result<Option<User>, Refusal> {
    let mut tx = core.store.read().await?;
    let found = match find(&mut tx, account, by).await? {
        Some(contact) => whole(&mut tx, account, vec![contact]).await?.pop(),
        None => None,
    };
    tx.rollback().await?;
    Ok(found)
}

/// What was last said on each channel that somebody can be reached on.
pub type Said = Vec<(Channel, State)>;

/// What was last said of a user's number and address.
pub async fn said(tx: &mut Tx, account: i64, contact: &Contact) -> Result<Said, Refusal> {
    let mut said = Vec::new();
    for channel in [Channel::Email, Channel::Sms, Channel::Whatsapp] {
        let hash = if channel.is_phone() { &contact.details.phone_hash } else { &contact.details.email_hash };
        let Some(hash) = hash else { continue };
        let states = consents::states(tx, account, channel, &[hash]).await?;
        said.extend(states.into_values().map(|(state, _)| (channel, state)));
    }
    Ok(said)
}

/// The ledger of a user, over all their channels, and how long it is.
pub async fn ledger(
    core: &Core,
    account: i64,
    contact: &Contact,
    page: Page,
) -> Result<(Vec<Consent>, i64), Refusal> {
    let hashes = [&contact.details.phone_hash, &contact.details.email_hash];
    let hashes: Vec<&str> = hashes.into_iter().flatten().map(String::as_str).collect();
    let mut tx = core.store.read().await?;
    let found = consents::list(&mut tx, account, &hashes, page).await?;
    let total = consents::count(&mut tx, account, &hashes).await?;
    tx.rollback().await?;
    Ok((found, total))
}

/// Makes a user (S2-06); one whose number the account has is refused. The caller commits, then waits with
/// [`settle`](crate::operations::suppressions::settle) for [`forbidden`].
pub async fn create(work: &mut Work<'_>, body: &UserBody) -> Result<User, Refusal> {
    one(work, body, Expect::Nobody).await
}

/// Changes a user (S2-08): attributes are merged, `null` takes one away. The caller commits and waits as after
/// [`create`].
pub async fn change(work: &mut Work<'_>, body: &UserBody) -> Result<User, Refusal> {
    one(work, body, Expect::Somebody).await
}

async fn one(work: &mut Work<'_>, body: &UserBody, expect: Expect) -> Result<User, Refusal> {
    if body.evidence.as_ref().is_some_and(|evidence| evidence.at > work.now()) {
        return Err(Refusal::field("consent_evidence.at", "out_of_range", "must not lie ahead"));
    }
    let account = work.account();
    let mut ids = Ids::take(work, &[body], expect).await?;
    let done = put(work, std::slice::from_ref(body), (expect, Grounds::Stated), &mut ids).await?;
    let done = done.into_iter().next().ok_or(Refusal::Internal)??;
    let found = contacts::by_ids(work.tx()?, account, &[done.id]).await?;
    whole(work.tx()?, account, found).await?.pop().ok_or(Refusal::Internal)
}

/// The hashes that a user's no forbids hand-overs to.
pub fn forbidden(body: &UserBody, user: &User) -> Vec<String> {
    let says_no = body.consent.is_some_and(State::forbids);
    let d = &user.contact.details;
    let hash = if body.channel == Some(Channel::Email) { &d.email_hash } else { &d.phone_hash };
    hash.iter().filter(|_| says_no).cloned().collect()
}

/// Deletes a user (S2-09), who is the lead of that contact as well: what is under way to them stops. What they said of
/// consent stays, and holds if they come back. The number comes back.
pub async fn delete(work: &mut Work<'_>, by: &By) -> Result<Option<String>, Refusal> {
    work.begin(Barrier::Exclusive).await?;
    let (account, now) = (work.account(), work.now());
    let tx = work.tx()?;
    let Some(contact) = find(tx, account, by).await? else { return Ok(None) };
    contacts::delete(tx, account, contact.id, now).await?;
    let stopped = enrolments::stop_of_contact(tx, account, contact.id, "contact_deleted", now).await?;
    work.audit("delete", "contact", Some(contact.id), &json!({ "stopped": stopped.len() }));
    Ok(contact.details.phone_key)
}

async fn find(tx: &mut Tx, account: i64, by: &By) -> Result<Option<Contact>, Refusal> {
    Ok(match by {
        By::Phone(phone) => contacts::by_phone(tx, account, phone.as_str()).await?,
        By::Id(id) => contacts::get(tx, account, *id).await?.filter(|c| c.details.phone_key.is_some()),
    })
}

async fn whole(tx: &mut Tx, account: i64, found: Vec<Contact>) -> Result<Vec<User>, Refusal> {
    let hashes: Vec<&str> = found.iter().filter_map(|c| c.details.phone_hash.as_deref()).collect();
    let said = consents::said_at(tx, account, &hashes).await?;
    let ids: Vec<i64> = found.iter().map(|c| c.id).collect();
    let last = inbound::last_of(tx, account, &ids).await?;
    let user = |contact: Contact| User {
        said_at: contact.details.phone_hash.as_ref().and_then(|hash| said.get(hash)).copied(),
        last_message: last.get(&contact.id).copied(),
        contact,
    };
    Ok(found.into_iter().map(user).collect())
}
