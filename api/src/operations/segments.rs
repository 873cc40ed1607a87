//! Segments: made, read, changed, deleted, and evaluated.

use crate::refusal::Refusal;
use crate::state::Core;
use crate::work::{Barrier, Work};
use sendwright_store::segments::{self, Segment};
use sendwright_store::{Error, Page, Tx};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::segment::Filter;
use sendwright_workflows::spec::{FieldError, SegmentBody};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long one evaluation may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long all sizes of a list may take; those that are not counted by then are as they were counted last.
const LISTING: Duration = Duration::from_secs(2);
/// People that an evaluation names.
const SAMPLE: i64 = 3;

/// A segment, with what was odd about the body it was made of.
pub type Made = (Segment, Vec<FieldError>);

/// Makes a segment, and counts who is in it.
pub async fn create(work: &mut Work<'_>, body: SegmentBody) -> Result<Made, Refusal> {
    let size = estimate(work, &body.filter).await?;
    let id = work.ids("segments", 1).await?.start;
    work.begin(Barrier::None).await?;
    let (account, now) = (work.account(), work.now());
    let tx = work.tx()?;
    check_campaigns(tx, account, &body.filter).await?;
    segments::insert(tx, (account, id), &body, now).await?;
    let made = sized(tx, account, id, size).await?;
    work.audit("create", "segment", Some(id), &json!({ "size": made.size }));
    Ok((made, body.warnings))
}

/// Changes what `change` names; the rest stays. A campaign with a live audience goes by the new conditions from now on.
pub async fn update(work: &mut Work<'_>, id: i64, change: &Value) -> Result<Made, Refusal> {
    let before = get(work.core(), work.account(), id).await?;
    let body = SegmentBody::from_json(&changed(&before, change)?)
        .map_err(|errors| Refusal::faults_of(change, errors))?;
    let size = estimate(work, &body.filter).await?;
    work.begin(Barrier::None).await?;
    let (account, now) = (work.account(), work.now());
    let tx = work.tx()?;
    check_campaigns(tx, account, &body.filter).await?;
    if !segments::update(tx, (account, id), &body, now).await? {
        return Err(missing(id));
    }
    let made = sized(tx, account, id, size).await?;
    work.audit("update", "segment", Some(id), &json!({ "size": made.size }));
    Ok((made, body.warnings))
}

fn changed(before: &Segment, change: &Value) -> Result<Value, Refusal> {
    let Value::Object(change) = change else {
        return Err(Refusal::field("body", "invalid_type", "must be an object"));
    };
    let criteria: Value = serde_json::from_str(&before.criteria).map_err(|_| Refusal::Internal)?;
    let mut body =
        json!({ "name": before.name, "description": before.description, "filter_criteria": criteria });
    if let Value::Object(body) = &mut body {
        body.extend(change.clone());
    }
    Ok(body)
}

/// Campaigns that conditions name are the account's own.
async fn check_campaigns(tx: &mut Tx, account: i64, filter: &Filter) -> Result<(), Refusal> {
    for campaign in filter.campaigns() {
        if sendwright_store::campaigns::get(tx, account, campaign).await?.is_none() {
            return Err(Refusal::no_campaign(campaign));
        }
    }
    Ok(())
}

/// How many are in it now; none where that takes too long, which is no reason to refuse it.
async fn estimate(work: &Work<'_>, filter: &Filter) -> Result<Option<i64>, Refusal> {
    let until = Instant::now() + LISTING;
    let mut tx = work.store().read().await?;
    match size(&mut tx, work.account(), filter, work.now(), until).await {
        Ok(size) => {
            tx.rollback().await?;
            Ok(Some(size))
        }
        Err(Error::TooSlow(_)) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

async fn size(tx: &mut Tx, account: i64, filter: &Filter, now: Millis, until: Instant) -> Result<i64, Error> {
    let _deadline = tx.until(until).await?;
    segments::size(tx, account, filter, now).await
}

async fn sized(tx: &mut Tx, account: i64, id: i64, size: Option<i64>) -> Result<Segment, Refusal> {
    if let Some(size) = size {
        segments::resize(tx, id, size).await?;
    }
    segments::get(tx, account, id).await?.ok_or(Refusal::Internal)
}

/// Deletes a segment; refused while a campaign that is not over has it.
pub async fn delete(work: &mut Work<'_>, id: i64) -> Result<(), Refusal> {
    work.begin(Barrier::None).await?;
    let (account, now) = (work.account(), work.now());
    let tx = work.tx()?;
    if !segments::delete(tx, account, id, now).await? {
        return Err(missing(id));
    }
    if let Some((campaign, name)) = segments::user(tx, account, id).await? {
        let text = format!("the segment is used by campaign {campaign}, {name}; archive the campaign first");
        return Err(Refusal::Conflict("segment_in_use", text));
    }
    work.audit("delete", "segment", Some(id), &json!({}));
    Ok(())
}

/// One segment, as it was counted last.
pub async fn get(core: &Core, account: i64, id: i64) -> Result<Segment, Refusal> {
    let mut tx = core.store.read().await?;
    let found = segments::get(&mut tx, account, id).await?.ok_or_else(|| missing(id))?;
    tx.rollback().await?;
    Ok(found)
}

/// Segments by age, each counted as far as there is time for it, and how many there are.
pub async fn list(core: &Core, account: i64, page: Page) -> Result<(Vec<Segment>, i64), Refusal> {
    let now = core.now()?;
    let mut tx = core.store.read().await?;
    let mut found = segments::list(&mut tx, account, page).await?;
    let total = segments::count(&mut tx, account).await?;
    tx.rollback().await?;
    count(core, &mut found, now).await?;
    Ok((found, total))
}

/// Counts segments as they are now. What is not counted in time stays as it was counted last.
pub async fn count(core: &Core, found: &mut [Segment], now: Millis) -> Result<(), Refusal> {
    let until = Instant::now() + LISTING;
    for segment in found {
        let filter = segment.filter()?;
        let mut tx = core.store.read().await?;
        match size(&mut tx, segment.account_id, &filter, now, until).await {
            Ok(size) => segment.size = size,
            Err(Error::TooSlow(_)) => break,
            Err(other) => return Err(other.into()),
        }
        tx.rollback().await?;
    }
    Ok(())
}

/// What an evaluation found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluated {
    /// How many people are in the segment.
    pub size: i64,
    /// Some of them.
    pub sample: Vec<String>,
    /// How long it took, in milliseconds.
    pub took: u128,
}

/// Evaluates a segment now, and keeps how many are in it.
pub async fn evaluate(work: &mut Work<'_>, id: i64) -> Result<Evaluated, Refusal> {
    let began = Instant::now();
    let (account, now) = (work.account(), work.now());
    let filter = get(work.core(), account, id).await?.filter()?;
    let mut tx = work.store().read().await?;
    let found = async {
        let _deadline = tx.until(began + PATIENCE).await?;
        let size = segments::size(&mut tx, account, &filter, now).await?;
        let sample =
            if size > 0 { segments::sample(&mut tx, account, &filter, now, SAMPLE).await? } else { vec![] };
        Ok((size, sample))
    };
    let (size, sample) = match found.await {
        Ok(found) => found,
        Err(Error::TooSlow(_)) => return Err(too_slow()),
        Err(other) => return Err(other.into()),
    };
    tx.rollback().await?;
    let took = began.elapsed().as_millis();
    work.begin(Barrier::None).await?;
    segments::resize(work.tx()?, id, size).await?;
    work.audit("evaluate", "segment", Some(id), &json!({ "size": size }));
    Ok(Evaluated { size, sample, took })
}

fn too_slow() -> Refusal {
    let text = format!(
        "the evaluation took longer than {} s and was given up; begin with a condition on an attribute that few people \
         have, and combine the others with AND",
        PATIENCE.as_secs()
    );
    Refusal::TooSlow(text)
}

/// The words for a segment that is not there, or another tenant's.
pub fn missing(face: impl std::fmt::Display) -> Refusal {
    Refusal::NotFound(format!("Segment {face} not found"))
}
