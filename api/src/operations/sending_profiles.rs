//! Sending profiles: made and listed. A URL goes in and is sealed; it never comes out.

use crate::refusal::{Refusal, printable};
use crate::state::Core;
use crate::work::{Barrier, Work};
use sendwright_queue::Job;
use sendwright_store::sending_profiles::{self, DKIM, IMAP, NewProfile, Profile, TABLE, TWILIO};
use sendwright_store::{Error, Page, imap};
use sendwright_workflows::campaign::OnUncertain;
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::sequence::Channel;
use sendwright_workflows::spec::{FieldError, Kept, ProfileBody};
use serde_json::{Map, Value, json};

/// What of a profile may be changed, beside its state.
const CHANGEABLE: &[&str] = &[
    "smtp_url",
    "from_email",
    "from_name",
    "reply_to",
    "rate_limit_per_second",
    "rate_limit_per_minute",
    "rate_limit_per_day",
    "timezone",
    "on_uncertain",
    "reply_domain",
    "dkim_domain",
    "dkim_selector",
    "dkim_private_key",
    "imap_url",
    "track_opens",
    "track_clicks",
    "from_phone",
    "messaging_service_sid",
    "twilio_account_sid",
    "twilio_auth_token",
    "allowed_countries",
];

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

/// Changes what `patch` names: `null` clears a field, an absent one stays. The whole is checked by the rules of a new
/// profile. It is done under the account's barrier: once a pause is answered, nothing more is handed over.
pub async fn change(work: &mut Work<'_>, id: i64, patch: &Value) -> Result<Profile, Refusal> {
    let (patch, state) = read(patch)?;
    work.begin(Barrier::Exclusive).await?;
    let (account, now) = (work.account(), work.now());
    let old = sending_profiles::get(work.tx()?, account, id).await?.ok_or_else(|| missing(id))?;
    let kept = sending_profiles::sealed(work.tx()?, id).await?;
    let clears = |name: &str| patch.get(name).is_some_and(Value::is_null);
    let mut whole = face(&old);
    whole.extend(patch.clone());
    // Another account has another token.
    let same_account = match patch.get("twilio_account_sid") {
        Some(sid) => sid.as_str() == old.twilio_account_sid.as_deref(),
        None => true,
    };
    let secrets = Kept {
        key: kept.dkim_sealed.is_some() && !clears("dkim_private_key"),
        token: kept.twilio_sealed.is_some() && same_account && !clears("twilio_auth_token"),
    };
    let body = ProfileBody::from_json_over(&Value::Object(whole), secrets).map_err(Refusal::faults)?;
    let mut new = sealed(work, id, &body)?;
    let keep = |new: Option<String>, old: Option<String>, name| new.or(old.filter(|_| !clears(name)));
    new.url_sealed = keep(new.url_sealed, kept.url_sealed, "smtp_url");
    new.dkim_sealed = keep(new.dkim_sealed, kept.dkim_sealed, "dkim_private_key");
    new.imap_sealed = keep(new.imap_sealed, kept.imap_sealed, "imap_url");
    new.twilio_sealed = new.twilio_sealed.or(kept.twilio_sealed.filter(|_| secrets.token));
    new.transport = transport(&new).into();
    sending_profiles::change(work.tx()?, &new, state, now).await?;
    if body.imap_url.is_some() || clears("imap_url") {
        imap::forget(work.tx()?, id).await?;
    }
    let stored = sending_profiles::get(work.tx()?, account, id).await?.ok_or(Refusal::Internal)?;
    let names: Vec<&String> = patch.keys().collect();
    work.audit("update", "sending_profile", Some(id), &json!({ "fields": names, "state": state }));
    work.hint(Job::send(stored.channel(), id));
    Ok(stored)
}

/// The fields that may be changed, and the state, which is no field of a new profile.
fn read(patch: &Value) -> Result<(Map<String, Value>, Option<&'static str>), Refusal> {
    let Some(object) = patch.as_object() else {
        return Err(Refusal::field("body", "invalid_type", "must be an object"));
    };
    let (mut fields, mut state, mut errors) = (object.clone(), None, Vec::new());
    if let Some(given) = fields.remove("state") {
        state = ["active", "paused"].into_iter().find(|word| given.as_str() == Some(word));
        if state.is_none() {
            errors.push(FieldError::new("state", "invalid_choice", "must be active or paused"));
        }
    }
    for name in fields.keys().filter(|name| !CHANGEABLE.contains(&name.as_str())) {
        errors.push(FieldError::new(printable(name), "unknown_field", "is not known, or cannot be changed"));
    }
    if errors.is_empty() { Ok((fields, state)) } else { Err(Refusal::Invalid(errors)) }
}

/// Whose account or server a profile sends by.
fn transport(new: &NewProfile) -> &'static str {
    match (&new.url_sealed, &new.twilio_account_sid) {
        (Some(_), _) => "smtp",
        (None, Some(_)) => "twilio",
        (None, None) => "default",
    }
}

/// A stored profile as the body that would make it, without its secrets.
fn face(p: &Profile) -> Map<String, Value> {
    let body = json!({
        "channel": p.channel, "from_phone": p.from_phone, "messaging_service_sid": p.messaging_service_sid,
        "twilio_account_sid": p.twilio_account_sid, "allowed_countries": p.allowed_countries(),
        "name": p.name, "from_email": p.from_email, "from_name": p.from_name, "reply_to": p.reply_to,
        "rate_limit_per_second": p.per_second, "rate_limit_per_minute": p.per_minute,
        "rate_limit_per_day": p.per_day, "timezone": p.timezone, "on_uncertain": p.on_uncertain,
        "reply_domain": p.reply_domain, "dkim_domain": p.dkim_domain, "dkim_selector": p.dkim_selector,
        "track_opens": p.track_opens, "track_clicks": p.track_clicks,
    });
    match body {
        Value::Object(body) => body,
        _ => Map::new(),
    }
}

fn sealed(work: &Work<'_>, id: i64, body: &ProfileBody) -> Result<NewProfile, Refusal> {
    let seal = |bound: &str, plain: &Option<String>| {
        plain.as_deref().map(|plain| work.core().seals.seal(bound, id, plain)).transpose()
    };
    let url_sealed = seal(TABLE, &body.smtp_url)?;
    let word = |choice| match choice {
        OnUncertain::Verify => "verify",
        OnUncertain::Park => "park",
        OnUncertain::Resend => "resend",
    };
    let phone = &body.phone;
    let countries = phone.allowed_countries.as_ref().map(|list| json!(list).to_string());
    let mut new = NewProfile {
        id,
        account_id: work.account(),
        name: body.name.clone(),
        channel: body.channel,
        transport: String::new(),
        url_sealed,
        from_email: body.from_email.as_ref().map(|email| email.as_str().to_owned()),
        from_name: body.from_name.clone(),
        reply_to: body.reply_to.as_ref().map(|email| email.as_str().to_owned()),
        per_second: body.rates.per_second,
        per_minute: body.rates.per_minute.map(i64::from),
        per_day: body.rates.per_day.map(i64::from),
        timezone: body.rates.zone.name().to_owned(),
        on_uncertain: body.on_uncertain.map(|choice| word(choice).to_owned()),
        reply_domain: body.reply_domain.clone(),
        dkim_domain: body.dkim_domain.clone(),
        dkim_selector: body.dkim_selector.clone(),
        dkim_sealed: seal(DKIM, &body.dkim_private_key)?,
        imap_sealed: seal(IMAP, &body.imap_url)?,
        track_opens: body.track_opens,
        track_clicks: body.track_clicks,
        from_phone: phone.from_phone.as_ref().map(|number| number.as_str().to_owned()),
        messaging_service_sid: phone.messaging_service_sid.clone(),
        twilio_account_sid: phone.twilio_account_sid.clone(),
        twilio_sealed: seal(TWILIO, &phone.twilio_auth_token)?,
        allowed_countries: countries,
        is_default: false,
    };
    new.transport = transport(&new).into();
    Ok(new)
}

/// The number of a profile, if it is the account's and serves the channel that `field` is for.
pub async fn existing(
    work: &mut Work<'_>,
    (field, id): (&str, i64),
    channel: Channel,
) -> Result<i64, Refusal> {
    let account = work.account();
    let found = sending_profiles::get(work.tx()?, account, id).await?.ok_or_else(|| missing(id))?;
    if found.channel() != channel {
        let text = format!("is a sending profile for {}, not for {}", found.channel, channel.as_str());
        return Err(Refusal::field(field, "wrong_channel", text));
    }
    Ok(found.id)
}

/// The number of the account's default profile for e-mail.
pub async fn default_of(work: &mut Work<'_>) -> Result<i64, Refusal> {
    let account = work.account();
    let found = sending_profiles::default_of(work.tx()?, account, Channel::Email).await?;
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
