//! Where an account's texts may go, asked where people come in: what a worker would hold for its country is refused there
//! (A42).

use crate::operations::campaigns::Full;
use crate::operations::leads::Parsed;
use crate::refusal::Refusal;
use crate::state::Core;
use sendwright_store::campaigns::Campaign;
use sendwright_store::sending_profiles::{self, Profile};
use sendwright_workflows::consent::State;
use sendwright_workflows::country::{Country, allowed};
use sendwright_workflows::phone::Phone;
use sendwright_workflows::spec::{FieldError, UserBody};

/// The countries, and who says so.
pub struct Destinations {
    countries: Vec<Country>,
    whose: String,
}

impl Destinations {
    /// Where one sender may send; `process` is what the process allows.
    pub fn of_profile(profile: &Profile, process: &[Country]) -> Self {
        Self { countries: of(profile, process), whose: profile.name.clone() }
    }

    /// Where any sender of the account may; one without any will send by the process's own.
    async fn of_account(core: &Core, account: i64, process: &[Country]) -> Result<Self, Refusal> {
        let mut tx = core.store.read().await?;
        let profiles = sending_profiles::of_phones(&mut tx, account).await?;
        tx.rollback().await?;
        let mut countries: Vec<Country> = profiles.iter().flat_map(|profile| of(profile, process)).collect();
        if profiles.is_empty() {
            countries = process.to_vec();
        }
        Ok(Self { countries, whose: "any sending profile of the account".into() })
    }

    /// Where the senders of a campaign may.
    async fn of_campaign(core: &Core, campaign: &Campaign, process: &[Country]) -> Result<Self, Refusal> {
        let mut tx = core.store.read().await?;
        let mut countries = Vec::new();
        let ids = [campaign.profiles.sms, campaign.profiles.whatsapp];
        for id in ids.into_iter().flatten() {
            let found = sending_profiles::get(&mut tx, campaign.account_id, id).await?;
            countries.extend(found.iter().flat_map(|profile| of(profile, process)));
        }
        tx.rollback().await?;
        Ok(Self { countries, whose: "the campaign's sending profile".into() })
    }

    /// What is wrong with a number, if anything: its country, and the way out.
    pub fn fault(&self, field: &str, phone: &Phone) -> Option<FieldError> {
        let message = match Country::of(phone.as_str()) {
            Some(country) if self.countries.contains(&country) => return None,
            Some(country) => format!(
                "is a number of {country}, which is not in allowed_countries of {}: add it there, and to \
                 TWILIO_ALLOWED_COUNTRIES where the profile has no Twilio account of its own",
                self.whose
            ),
            None => "is a number of no country: a premium one, a satellite's, or a code that nobody has; \
                     nothing is sent there"
                .to_owned(),
        };
        Some(FieldError::new(field, "destination_not_allowed", message).given(phone.as_str()))
    }
}

/// Refuses a user whose number no sender of the account may send to. Whoever says no is written down wherever they are.
pub async fn admit(core: &Core, account: i64, process: &[Country], user: &UserBody) -> Result<(), Refusal> {
    if user.consent.is_some_and(State::forbids) {
        return Ok(());
    }
    let fault = Destinations::of_account(core, account, process).await?.fault("phone_e164", &user.phone);
    fault.map_or(Ok(()), |fault| Err(Refusal::Invalid(vec![fault])))
}

/// Refuses, in a campaign of texts alone, every lead whose number its senders may not send to.
pub async fn sift(
    core: &Core,
    full: &Full,
    process: &[Country],
    leads: &mut [Parsed],
) -> Result<(), Refusal> {
    if !full.sequence.steps.iter().all(|step| step.channel.is_phone()) {
        return Ok(());
    }
    let destinations = Destinations::of_campaign(core, &full.campaign, process).await?;
    for lead in leads {
        let phone = lead.as_ref().ok().and_then(|lead| Phone::parse(lead.phone.as_deref()?).ok());
        if let Some(fault) = phone.and_then(|phone| destinations.fault("phone", &phone)) {
            *lead = Err(vec![fault]);
        }
    }
    Ok(())
}

fn of(profile: &Profile, process: &[Country]) -> Vec<Country> {
    allowed(process, profile.allowed_countries(), profile.transport == "twilio")
}
