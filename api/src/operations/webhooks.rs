//! Webhook endpoints: made, changed, tested, looked at. A secret is told once, when it is made.

mod history;

pub use history::{From, deliveries, get, health, list, outcome, replay};

use crate::refusal::Refusal;
use crate::work::{Barrier, Work};
use sendwright_queue::Job;
use sendwright_store::endpoints::{self, Endpoint, TABLE};
use sendwright_store::{deliveries as ledger, events};
use sendwright_workflows::clock::{DAY, rfc3339};
use sendwright_workflows::event::TEST;
use sendwright_workflows::spec::EndpointBody;
use sendwright_workflows::webhook::{Schedule, SigningSecret};
use serde_json::json;

/// Most endpoints of an account.
const MOST: i64 = 50;
/// How long the secret before a rotation still signs.
const OVERLAP: i64 = DAY;

/// The words for an endpoint that is not there, or another tenant's.
pub fn missing(face: impl std::fmt::Display) -> Refusal {
    Refusal::NotFound(format!("Webhook {face} not found"))
}

/// Registers an endpoint. Its secret is known to the caller alone from here on.
pub async fn create(work: &mut Work<'_>, body: EndpointBody) -> Result<(Endpoint, SigningSecret), Refusal> {
    let id = work.ids(TABLE, 1).await?.start;
    work.begin(Barrier::None).await?;
    let (account, now) = (work.account(), work.now());
    if endpoints::count(work.tx()?, account).await? >= MOST {
        let text = format!("an account has at most {MOST} webhooks; delete one that is not used");
        return Err(Refusal::field("url", "too_many", text));
    }
    let secret = body.secret.clone().map_or_else(fresh, Ok)?;
    let mut new = Endpoint {
        id,
        account_id: account,
        url: String::new(),
        description: None,
        events: "[]".into(),
        state: "enabled".into(),
        why: None,
        schedule: Schedule::Short.word().into(),
        retry_schedule: "[]".into(),
        secret_sealed: work.core().seals.seal(TABLE, id, &secret.reveal())?,
        previous_sealed: None,
        previous_until: None,
        failing_since: None,
        failures: 0,
        last_number: 0,
        created_at: now,
        updated_at: now,
    };
    apply(&mut new, body);
    endpoints::insert(work.tx()?, &new).await?;
    work.audit("create", "webhook", Some(id), &json!({}));
    Ok((new, secret))
}

fn fresh() -> Result<SigningSecret, Refusal> {
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random).map_err(|_| Refusal::Internal)?;
    Ok(SigningSecret::new(random))
}

fn apply(endpoint: &mut Endpoint, body: EndpointBody) {
    if let Some(url) = body.url {
        endpoint.url = url;
    }
    endpoint.description = body.description.or(endpoint.description.take());
    if let Some(events) = body.events {
        endpoint.events = json!(events).to_string();
    }
    if let Some(schedule) = body.schedule {
        let waits: Vec<i64> = match &schedule {
            Schedule::Own(waits) => waits.iter().map(|wait| wait / 1_000).collect(),
            Schedule::Short | Schedule::Long => Vec::new(),
        };
        endpoint.schedule = schedule.word().into();
        endpoint.retry_schedule = json!(waits).to_string();
    }
    match body.enabled {
        Some(true) => {
            // It begins without a history of failures.
            (endpoint.state, endpoint.why) = ("enabled".into(), None);
            (endpoint.failing_since, endpoint.failures) = (None, 0);
        }
        Some(false) => (endpoint.state, endpoint.why) = ("disabled".into(), Some("hand".into())),
        None => {}
    }
}

async fn locked(work: &mut Work<'_>, id: i64) -> Result<Endpoint, Refusal> {
    work.begin(Barrier::None).await?;
    let account = work.account();
    endpoints::lock(work.tx()?, account, id).await?.ok_or_else(|| missing(id))
}

async fn save(work: &mut Work<'_>, endpoint: &mut Endpoint, action: &str) -> Result<(), Refusal> {
    let now = work.now();
    endpoint.updated_at = now;
    endpoints::update(work.tx()?, endpoint, now).await?;
    work.audit(action, "webhook", Some(endpoint.id), &json!({ "state": endpoint.state }));
    Ok(())
}

/// Changes an endpoint; what the body does not say stays. What waits for one that is enabled again goes out.
pub async fn change(work: &mut Work<'_>, id: i64, body: EndpointBody) -> Result<Endpoint, Refusal> {
    let mut endpoint = locked(work, id).await?;
    apply(&mut endpoint, body);
    save(work, &mut endpoint, "change").await?;
    work.hint(Job::Deliver { endpoint: id });
    Ok(endpoint)
}

/// Deletes an endpoint: nothing more is delivered to it.
pub async fn delete(work: &mut Work<'_>, id: i64) -> Result<Endpoint, Refusal> {
    let mut endpoint = locked(work, id).await?;
    (endpoint.state, endpoint.previous_sealed, endpoint.previous_until) = ("deleted".into(), None, None);
    save(work, &mut endpoint, "delete").await?;
    Ok(endpoint)
}

/// Gives an endpoint a new secret; the one before signs as well for a day.
pub async fn rotate(work: &mut Work<'_>, id: i64) -> Result<(Endpoint, SigningSecret), Refusal> {
    let mut endpoint = locked(work, id).await?;
    let secret = fresh()?;
    let sealed = work.core().seals.seal(TABLE, id, &secret.reveal())?;
    endpoint.previous_sealed = Some(std::mem::replace(&mut endpoint.secret_sealed, sealed));
    endpoint.previous_until = Some(work.now() + OVERLAP);
    save(work, &mut endpoint, "rotate").await?;
    Ok((endpoint, secret))
}

/// Puts a signed sample in an endpoint's line, for it alone; answers its delivery. [`outcome`] waits for it.
pub async fn test(work: &mut Work<'_>, id: i64) -> Result<i64, Refusal> {
    let event = work.ids("events", 1).await?.start;
    let delivery = work.ids("deliveries", 1).await?.start;
    let endpoint = locked(work, id).await?;
    if !endpoint.is_enabled() {
        let text = "this webhook is disabled; enable it with PATCH {\"enabled\": true} first";
        return Err(Refusal::Conflict("webhook_disabled", text.into()));
    }
    let (account, now) = (work.account(), work.now());
    let data = json!({ "message": "This is a test.", "sent_at": rfc3339(now) }).to_string();
    events::insert_own(work.tx()?, event, account, TEST, &data, now).await?;
    let number = endpoints::next_number(work.tx()?, id).await?;
    ledger::insert(work.tx()?, (delivery, account, id, event), number, now).await?;
    work.audit("test", "webhook", Some(id), &json!({}));
    work.hint(Job::Deliver { endpoint: id });
    Ok(delivery)
}
