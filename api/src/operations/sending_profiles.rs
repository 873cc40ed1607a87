//! Sending profiles: made and listed. A URL goes in and is sealed; it never comes out.

use crate::refusal::Refusal;
use crate::state::Core;
use crate::work::{Barrier, Work};
use sendwright_store::sending_profiles::{self, NewProfile, Profile, TABLE};
use sendwright_store::{Error, Page};
use sendwright_workflows::campaign::OnUncertain;
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::spec::ProfileBody;
use serde_json::json;

/// Makes a profile.
pub async fn create(work: &mut Work<'_>, body: &ProfileBody) -> Result<Profile, Refusal> {
    let id = work.ids("sending_profiles", 1).await?.start;
    work.begin(Barrier::None).await?;
    let (account, now) = (work.account(), work.now());
    let new = sealed(work, id, body)?;
    match sending_profiles::insert(work.tx()?, &new, now).await {
        Err(Error::Duplicate) => {
            return Err(Refusal::Duplicate(format!(
                "Sending profile with name {} already exists",
                body.name
            )));
        }
        done => done?,
    }
    let stored = sending_profiles::get(work.tx()?, account, id).await?.ok_or(Refusal::Internal)?;
    work.audit("create", "sending_profile", Some(id), &json!({}));
    Ok(stored)
}

/// Makes the profile that came inside a campaign. Its name is a wish: where it is taken, the number makes it
/// unique, since the campaign itself may be called anything.
pub async fn insert_inline(work: &mut Work<'_>, id: i64, body: &ProfileBody) -> Result<i64, Refusal> {
    let (account, now) = (work.account(), work.now());
    let mut new = sealed(work, id, body)?;
    if sending_profiles::is_named(work.tx()?, account, &new.name).await? {
        new.name = format!("{} #{id}", new.name);
    }
    sending_profiles::insert(work.tx()?, &new, now).await?;
    Ok(id)
}

fn sealed(work: &Work<'_>, id: i64, body: &ProfileBody) -> Result<NewProfile, Refusal> {
    let url = body.smtp_url.as_deref();
    let url_sealed = url.map(|url| work.core().seals.seal(TABLE, id, url)).transpose()?;
    let word = |choice| match choice {
        OnUncertain::Verify => "verify",
        OnUncertain::Park => "park",
        OnUncertain::Resend => "resend",
    };
    Ok(NewProfile {
        id,
        account_id: work.account(),
        name: body.name.clone(),
        transport: if url_sealed.is_some() { "smtp" } else { "default" }.into(),
        url_sealed,
        from_email: body.from_email.as_ref().map(|email| email.as_str().to_owned()),
        from_name: body.from_name.clone(),
        reply_to: body.reply_to.as_ref().map(|email| email.as_str().to_owned()),
        per_second: body.rates.per_second,
        per_minute: body.rates.per_minute.map(i64::from),
        per_day: body.rates.per_day.map(i64::from),
        timezone: body.rates.zone.name().to_owned(),
        on_uncertain: body.on_uncertain.map(|choice| word(choice).to_owned()),
        is_default: false,
    })
}

/// The number of a profile, if it is the account's.
pub async fn existing(work: &mut Work<'_>, id: i64) -> Result<i64, Refusal> {
    let account = work.account();
    let found = sending_profiles::get(work.tx()?, account, id).await?;
    found.map(|profile| profile.id).ok_or_else(|| missing(id))
}

/// The number of the account's default profile.
pub async fn default_of(work: &mut Work<'_>) -> Result<i64, Refusal> {
    let account = work.account();
    let found = sending_profiles::default_of(work.tx()?, account).await?;
    found.map(|profile| profile.id).ok_or_else(|| {
        let text = "the account has no default sending profile; name one with sending_profile_id";
        Refusal::field("sending_profile_id", "required", text)
    })
}

/// A profile's limits.
pub fn rates(profile: &Profile) -> Rates {
    Rates {
        per_second: profile.per_second,
        per_minute: profile.per_minute.map(|n| n as u32),
        per_day: profile.per_day.map(|n| n as u32),
        zone: profile.timezone.parse().unwrap_or_default(),
    }
}

/// The words for a profile that is not there, or another tenant's.
pub fn missing(face: impl std::fmt::Display) -> Refusal {
    Refusal::NotFound(format!("Sending profile {face} not found"))
}

/// One profile.
pub async fn get(core: &Core, account: i64, id: i64) -> Result<Profile, Refusal> {
    let mut tx = core.store.read().await?;
    let found = sending_profiles::get(&mut tx, account, id).await?;
    tx.rollback().await?;
    found.ok_or_else(|| missing(id))
}

/// The account's profiles, and how many there are.
pub async fn list(core: &Core, account: i64, page: Page) -> Result<(Vec<Profile>, i64), Refusal> {
    let mut tx = core.store.read().await?;
    let found = sending_profiles::list(&mut tx, account, page).await?;
    let total = sending_profiles::count(&mut tx, account).await?;
    tx.rollback().await?;
    Ok((found, total))
}
