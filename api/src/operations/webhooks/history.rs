//! What became of an endpoint's deliveries, and those that are made again.

use super::missing;
use crate::refusal::Refusal;
use crate::state::Core;
use crate::work::{Barrier, Work};
use sendwright_queue::Job;
use sendwright_store::deliveries::{self as ledger, AttemptRow, Health, Listed, Which};
use sendwright_store::endpoints::{self, Endpoint};
use sendwright_store::{Page, events};
use sendwright_workflows::ids::{Kind, uuid};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// How often a test's row is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// One endpoint.
pub async fn get(core: &Core, account: i64, id: i64) -> Result<Endpoint, Refusal> {
    let mut tx = core.store.read().await?;
    let found = endpoints::get(&mut tx, account, id).await?;
    tx.rollback().await?;
    found.ok_or_else(|| missing(id))
}

/// How an endpoint fares.
pub async fn health(core: &Core, endpoint: i64) -> Result<Health, Refusal> {
    let mut tx = core.store.read().await?;
    let found = ledger::health(&mut tx, endpoint).await?;
    tx.rollback().await?;
    Ok(found)
}

/// The account's endpoints, and how many there are.
pub async fn list(core: &Core, account: i64, page: Page) -> Result<(Vec<Endpoint>, i64), Refusal> {
    let mut tx = core.store.read().await?;
    let found = endpoints::list(&mut tx, account, page).await?;
    let total = endpoints::count(&mut tx, account).await?;
    tx.rollback().await?;
    Ok((found, total))
}

/// Deliveries are counted up to this many.
const MOST_COUNTED: i64 = 100_000;

/// An endpoint's deliveries in the order of their numbers, with every attempt of each, and how many there are.
pub async fn deliveries(
    core: &Core,
    account: i64,
    id: i64,
    state: Option<&str>,
    page: Page,
) -> Result<(Vec<(Listed, Vec<AttemptRow>)>, i64), Refusal> {
    let mut tx = core.store.read().await?;
    if endpoints::get(&mut tx, account, id).await?.is_none() {
        return Err(missing(id));
    }
    let found = ledger::list(&mut tx, id, state, page).await?;
    let total = ledger::count(&mut tx, id, state, MOST_COUNTED).await?;
    let ids: Vec<i64> = found.iter().map(|delivery| delivery.id).collect();
    let mut attempts = ledger::attempts(&mut tx, &ids).await?;
    tx.rollback().await?;
    let with_attempts = found.into_iter().map(|delivery| {
        let own = attempts.extract_if(.., |attempt| attempt.delivery_id == delivery.id).collect();
        (delivery, own)
    });
    Ok((with_attempts.collect(), total))
}

/// Waits for the first attempt of a delivery, as long as `patience`.
pub async fn outcome(
    core: &Core,
    endpoint: i64,
    delivery: i64,
    patience: Duration,
) -> Result<Option<(Listed, AttemptRow)>, Refusal> {
    let until = Instant::now() + patience;
    loop {
        let mut tx = core.store.read().await?;
        let attempt = ledger::attempts(&mut tx, &[delivery]).await?.pop();
        let listed = ledger::get(&mut tx, endpoint, delivery).await?;
        tx.rollback().await?;
        match listed.zip(attempt) {
            None if Instant::now() < until => tokio::time::sleep(LOOK).await,
            found => return Ok(found),
        }
    }
}

/// What a replay begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// A delivery, whatever its state.
    Delivery(i64),
    /// This event and every one numbered after it.
    Event(i64),
    /// Every event from this instant on.
    Since(i64),
}

/// Makes deliveries again: those given up, or with `all` those that had arrived as well. Answers how many.
pub async fn replay(work: &mut Work<'_>, id: i64, from: From, all: bool) -> Result<u64, Refusal> {
    work.begin(Barrier::None).await?;
    let (account, now) = (work.account(), work.now());
    if endpoints::get(work.tx()?, account, id).await?.is_none() {
        return Err(missing(id));
    }
    let which = match from {
        From::Delivery(delivery) => {
            let found = ledger::get(work.tx()?, id, delivery).await?;
            let lost = || Refusal::NotFound(format!("Delivery {} not found", uuid(Kind::Delivery, delivery)));
            Which::One(found.ok_or_else(lost)?.id)
        }
        From::Event(event) => {
            let sequence = events::sequence_of(work.tx()?, account, event).await?;
            let lost = || Refusal::NotFound(format!("Event {} not found", uuid(Kind::Event, event)));
            Which::From(sequence.ok_or_else(lost)?)
        }
        From::Since(at) => Which::Since(at),
    };
    let count = ledger::replay(work.tx()?, id, which, all, now).await?;
    work.audit("replay", "webhook", Some(id), &json!({ "deliveries": count }));
    work.hint(Job::Deliver { endpoint: id });
    Ok(count)
}
