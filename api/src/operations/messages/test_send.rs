//! A test send: a step's text as one lead would get it, to an address or a number of the caller's. It is no enrolment and
//! is in no count; suppression and the sending profile's limits bind.

use crate::operations::destinations::Destinations;
use crate::refusal::Refusal;
use crate::work::{Barrier, Work};
use sendwright_queue::Job;
use sendwright_store::messages::{self, Test, Tests};
use sendwright_store::{Tx, accounts, campaigns, contacts, sending_profiles, suppressions};
use sendwright_workflows::address::Email;
use sendwright_workflows::campaign::State;
use sendwright_workflows::contact::own_zone;
use sendwright_workflows::country::Country;
use sendwright_workflows::enrolment::PLANNER;
use sendwright_workflows::phone::Phone;
use sendwright_workflows::sequence::Channel;
use serde_json::json;

/// What to send, to whom.
#[derive(Debug, Clone)]
pub struct TestBody {
    /// Who gets it.
    pub to: Recipient,
    /// The step; none for every step that is switched on.
    pub step: Option<u32>,
    /// The lead whose text it is; none for the lead whose own address `to` is.
    pub lead: Option<i64>,
}

/// An address by hand, and so the channels it is reached on: of a test send, of a suppression.
#[derive(Debug, Clone)]
pub enum Recipient {
    /// An address.
    Email(Email),
    /// A number.
    Phone(Phone),
}

impl Recipient {
    fn takes(&self, channel: Channel) -> bool {
        channel.is_phone() == matches!(self, Recipient::Phone(_))
    }

    fn address(&self) -> &str {
        match self {
            Recipient::Email(email) => email.as_str(),
            Recipient::Phone(phone) => phone.as_str(),
        }
    }

    /// The salted hash that suppressions and messages carry.
    pub(crate) fn hash(&self, salt: &[u8]) -> String {
        match self {
            Recipient::Email(email) => email.hash(salt),
            Recipient::Phone(phone) => phone.hash(salt),
        }
    }

    /// As people may see it.
    pub(crate) fn masked(&self) -> String {
        match self {
            Recipient::Email(email) => email.masked(),
            Recipient::Phone(phone) => phone.masked(),
        }
    }
}

/// Plans test sends of a campaign in whatever state, and answers their numbers, by step.
///
/// A number must be of a country that the step's sending profile sends to; `countries` is the process's own list.
pub async fn test_send(
    work: &mut Work<'_>,
    campaign: i64,
    body: &TestBody,
    countries: &[Country],
) -> Result<Vec<i64>, Refusal> {
    let account = work.account();
    let full = super::super::campaigns::get(work.core(), account, campaign).await?;
    let most = full.sequence.steps.len().max(1);
    let ids = work.ids("messages", most).await?;
    work.begin(Barrier::None).await?;
    let now = work.now();
    let tx = work.tx()?;
    let stored = campaigns::get(tx, account, campaign).await?.filter(|c| c.state != State::Archived);
    let stored = stored.ok_or_else(|| Refusal::no_campaign(campaign))?;
    if stored.version != full.campaign.version {
        let text = "the campaign was edited in this very moment; send the test again";
        return Err(Refusal::Conflict("campaign_edited", text.into()));
    }
    let wanted = full.sequence.steps.iter().filter(|step| match body.step {
        Some(number) => step.number == number,
        None => step.active,
    });
    let tests: Vec<Test> = wanted
        .filter(|step| body.to.takes(step.channel))
        .zip(ids)
        .filter_map(|(step, id)| {
            let profile_id = stored.profiles.of(step.channel)?;
            Some(Test { id, step_id: step.id, step_number: step.number, channel: step.channel, profile_id })
        })
        .collect();
    if tests.is_empty() {
        let text = match &body.to {
            Recipient::Email(_) => "must be the number of a step that is sent by e-mail",
            Recipient::Phone(_) => "must be the number of a step that is sent by sms or whatsapp",
        };
        return Err(Refusal::field("step", "reference_not_found", text));
    }
    for test in &tests {
        check_destination(tx, account, test, &body.to, countries).await?;
    }
    let contact = contact(tx, account, body).await?;
    let hash = body.to.hash(work.store().salt());
    let tx = work.tx()?;
    for test in &tests {
        if let Some(found) = suppressions::find(tx, account, test.channel.as_str(), &hash).await? {
            let text = format!("nothing is sent to this address any more ({})", found.why);
            return Err(Refusal::Conflict("suppressed", text));
        }
    }
    let account_zone = accounts::get(tx, account).await?.and_then(|a| a.timezone.parse().ok());
    let own = own_zone(contact.details.timezone.as_deref(), contact.details.phone_key.as_deref());
    let zone = stored.policy.zone(own, account_zone.unwrap_or_default());
    let decision = json!({ "planner": PLANNER, "test": true, "version": stored.version, "at": now });
    let shared = Tests {
        account_id: account,
        contact_id: contact.id,
        version: stored.version,
        address: body.to.address(),
        address_hash: &hash,
        zone: zone.name(),
        decision: &decision.to_string(),
    };
    messages::insert_tests(tx, &shared, &tests, now).await?;
    work.audit("test", "campaign", Some(campaign), &json!({ "messages": tests.len() }));
    work.hint(Job::Write { account });
    Ok(tests.into_iter().map(|test| test.id).collect())
}

/// Refuses a number that the worker would hold for its country (ATTACKS A42).
async fn check_destination(
    tx: &mut Tx,
    account: i64,
    test: &Test,
    to: &Recipient,
    countries: &[Country],
) -> Result<(), Refusal> {
    let Recipient::Phone(phone) = to else { return Ok(()) };
    let profile = sending_profiles::get(tx, account, test.profile_id).await?.ok_or(Refusal::Internal)?;
    let fault = Destinations::of_profile(&profile, countries).fault("to", phone);
    fault.map_or(Ok(()), |fault| Err(Refusal::Invalid(vec![fault])))
}

/// A text is always somebody's: the lead that is named, or the one that has the address itself.
async fn contact(tx: &mut Tx, account: i64, body: &TestBody) -> Result<contacts::Contact, Refusal> {
    match body.lead {
        Some(id) => contacts::get(tx, account, id)
            .await?
            .ok_or_else(|| Refusal::field("lead_id", "reference_not_found", "is no lead's id")),
        None => match &body.to {
            Recipient::Email(email) => contacts::by_email(tx, account, &email.key()).await?,
            Recipient::Phone(phone) => contacts::by_phone(tx, account, phone.as_str()).await?,
        }
        .ok_or_else(|| {
            let text = "no lead has this address; name the lead whose text shall be sent";
            Refusal::field("lead_id", "required", text)
        }),
    }
}
