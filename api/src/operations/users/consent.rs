//! What a batch of users said, as the ledger takes it: looked up first, so that nobody is half refused.

use crate::refusal::Refusal;
use crate::work::Actor;
use sendwright_store::Tx;
use sendwright_store::consents::{self, Numbers, Said};
use sendwright_store::contacts::Details;
use sendwright_workflows::clock::{Millis, rfc3339};
use sendwright_workflows::consent::{Change, Grounds, State, after};
use sendwright_workflows::phone::Phone;
use sendwright_workflows::sequence::Channel;
use sendwright_workflows::spec::UserBody;
use serde_json::json;
use std::collections::HashMap;

/// The channels that a word is about: those of a number alike, where none is named.
pub fn channels(body: &UserBody) -> &'static [Channel] {
    match (body.consent, body.channel) {
        (None, _) => &[],
        (Some(_), None) => &[Channel::Sms, Channel::Whatsapp],
        (Some(_), Some(Channel::Email)) => &[Channel::Email],
        (Some(_), Some(Channel::Sms)) => &[Channel::Sms],
        (Some(_), Some(Channel::Whatsapp)) => &[Channel::Whatsapp],
    }
}

/// What holds for the addresses of a batch, by channel and hash.
#[derive(Default)]
pub struct Standing(HashMap<(Channel, String), (State, Millis)>);

impl Standing {
    /// Looks up what a batch's words are about.
    pub async fn read(tx: &mut Tx, account: i64, people: &[(&UserBody, &Details)]) -> Result<Self, Refusal> {
        let mut standing = HashMap::new();
        for channel in [Channel::Email, Channel::Sms, Channel::Whatsapp] {
            let of = people.iter().filter(|(body, _)| channels(body).contains(&channel));
            let hashes: Vec<&str> = of.filter_map(|(_, details)| hash(details, channel)).collect();
            if !hashes.is_empty() {
                let states = consents::states(tx, account, channel, &hashes).await?;
                standing.extend(states.into_iter().map(|(hash, state)| ((channel, hash), state)));
            }
        }
        Ok(Self(standing))
    }

    /// Whether somebody's word may be written down.
    pub fn check(&self, body: &UserBody, details: &Details, grounds: Grounds) -> Result<(), Refusal> {
        let Some(said) = body.consent else { return Ok(()) };
        for &channel in channels(body) {
            let Some(hash) = hash(details, channel) else {
                let text = "is of e-mail, and the user has no e-mail address";
                return Err(Refusal::field("channel", "conflict", text));
            };
            let before = self.0.get(&(channel, hash.to_owned())).copied();
            if after(before, said, self::grounds(body, channel, grounds)) == Change::Refused {
                return Err(refused(&body.phone, before.map(|(state, _)| state)));
            }
        }
        Ok(())
    }

    /// Whether somebody had said no on one of the channels that they speak of.
    pub fn forbade(&self, body: &UserBody, details: &Details) -> bool {
        channels(body).iter().any(|&channel| {
            let key = hash(details, channel).map(|hash| (channel, hash.to_owned()));
            key.and_then(|key| self.0.get(&key)).is_some_and(|(state, _)| state.forbids())
        })
    }
}

fn hash(details: &Details, channel: Channel) -> Option<&str> {
    if channel.is_phone() { details.phone_hash.as_deref() } else { details.email_hash.as_deref() }
}

/// Evidence proves. Nobody but the recipient lifts an opt-out from e-mail without it.
fn grounds(body: &UserBody, channel: Channel, grounds: Grounds) -> Grounds {
    match &body.evidence {
        Some(evidence) => Grounds::Proven { at: evidence.at },
        None if channel == Channel::Email => Grounds::Listed,
        None => grounds,
    }
}

fn refused(phone: &Phone, before: Option<State>) -> Refusal {
    let phone = phone.as_str();
    match before {
        Some(State::Stop) => Refusal::Conflict(
            "consent_stopped",
            format!(
                "User with phone {phone} said STOP; their own START, or consent_evidence of a later yes, lifts it"
            ),
        ),
        _ => Refusal::Conflict(
            "consent_opted_out",
            format!(
                "User with phone {phone} has opted out; PUT /users/{phone} opts them in again, a list does not"
            ),
        ),
    }
}

/// Somebody whose word is written down.
pub struct Speaker<'a> {
    /// The contact.
    pub id: i64,
    /// What came in.
    pub body: &'a UserBody,
    /// Their addresses.
    pub details: &'a Details,
}

/// Writes down what everybody said; for each, whether it changed anything.
pub async fn record(
    tx: &mut Tx,
    actor: &Actor,
    people: &[Speaker<'_>],
    (given, source): (Grounds, &str),
    ids: &mut Numbers,
    now: Millis,
) -> Result<Vec<bool>, Refusal> {
    let told: Vec<(String, String)> = people.iter().map(|person| told(person, actor)).collect();
    let mut said = Vec::with_capacity(2 * people.len());
    let mut owners = Vec::with_capacity(2 * people.len());
    for (place, (person, (hint, evidence))) in people.iter().zip(&told).enumerate() {
        let Some(state) = person.body.consent else { continue };
        for &channel in channels(person.body) {
            let Some(address_hash) = hash(person.details, channel) else { continue };
            owners.push(place);
            said.push(Said {
                contact: Some(person.id),
                channel,
                address_hash,
                hint,
                state,
                grounds: grounds(person.body, channel, given),
                why: if state == State::Stop { "stop" } else { "opt_out" },
                source,
                actor: &actor.who,
                wording: person.body.evidence.as_ref().map(|evidence| evidence.wording.as_str()),
                evidence,
            });
        }
    }
    let mut changed = vec![false; people.len()];
    if !said.is_empty() {
        let noes = said.iter().filter(|word| word.state.forbids()).count();
        let ids = ids.split(said.len(), noes);
        let changes = consents::record(tx, actor.account, &said, ids, now).await?;
        owners.iter().zip(changes).for_each(|(&place, change)| changed[place] |= change == Change::Holds);
    }
    Ok(changed)
}

/// The hint and the evidence of somebody.
fn told(person: &Speaker<'_>, actor: &Actor) -> (String, String) {
    let hint = match (person.body.channel, &person.details.email) {
        (Some(Channel::Email), Some(email)) => super::super::suppressions::masked(email),
        _ => person.body.phone.masked(),
    };
    let evidence = match &person.body.evidence {
        Some(evidence) => json!({
            "source": evidence.source, "at": rfc3339(evidence.at), "request_id": actor.request_id,
        }),
        None => json!({ "request_id": actor.request_id }),
    };
    (hint, evidence.to_string())
}
