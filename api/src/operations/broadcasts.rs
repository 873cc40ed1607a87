//! Campaigns made of a template, for a segment: what they copy, and how they are triggered (S2-14, S2-18).

use crate::refusal::Refusal;
use crate::state::Core;
use crate::work::{Barrier, Work};
use sendwright_queue::Job;
use sendwright_store::campaigns::{self, Campaign};
use sendwright_store::expansions::{self, Look};
use sendwright_store::runs::{self, Run};
use sendwright_store::segments::{self, Segment};
use sendwright_store::{Error, Store, Tx, enrolments, templates};
use sendwright_workflows::campaign::{Change, State};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::run::Kind;
use sendwright_workflows::spec::{CampaignBody, FieldError, TemplateText};
use serde_json::json;
use std::time::{Duration, Instant};

/// How long counting the recipients may take; else the segment's size as it was counted last is what is told.
const PATIENCE: Duration = Duration::from_secs(2);

/// The body with its template's text in it, once it is sure that what it names is there. A body that names no template
/// and no segment is as it was.
pub async fn settle(core: &Core, account: i64, body: CampaignBody) -> Result<CampaignBody, Refusal> {
    let (template, segment) = (body.template_id, body.segment_id);
    if template.or(segment).is_none() {
        return Ok(body);
    }
    let mut faults = Vec::new();
    let mut tx = core.store.read().await?;
    let template = match template {
        Some(id) => {
            let found = templates::get(&mut tx, account, id).await?.filter(|template| template.active);
            if found.is_none() {
                faults.push(missing("template_id", format!("Template {id} not found or inactive")));
            }
            found
        }
        None => None,
    };
    if let Some(id) = segment
        && segments::get(&mut tx, account, id).await?.is_none()
    {
        faults.push(missing("segment_id", format!("Segment {id} not found")));
    }
    tx.rollback().await?;
    if !faults.is_empty() {
        return Err(Refusal::faults(faults));
    }
    let Some(template) = template else { return Ok(body) };
    let text = TemplateText {
        name: &template.name,
        subject: template.subject.as_deref(),
        content: &template.content,
        syntax: template.syntax,
        channel: template.channel,
    };
    body.with_template(&text).map_err(|fault| Refusal::Invalid(vec![fault]))
}

fn missing(field: &str, message: String) -> FieldError {
    FieldError::new(field, "reference_not_found", message)
}

/// Makes sure that a segment stays until this transaction ends, whatever [`settle`] saw before.
pub async fn hold(work: &mut Work<'_>, segment: Option<i64>) -> Result<(), Refusal> {
    let Some(id) = segment else { return Ok(()) };
    let account = work.account();
    match segments::hold(work.tx()?, account, id).await? {
        Some(_) => Ok(()),
        None => Err(Refusal::NotFound(format!("Segment {id} not found"))),
    }
}

/// A campaign that was triggered.
#[derive(Debug, Clone)]
pub struct Triggered {
    /// The campaign, as it is now.
    pub campaign: Campaign,
    /// How many people it is for: who can be reached now, or who is under way in a campaign without a segment.
    pub recipients: i64,
    /// The run that enrols them; none in a campaign without a segment.
    pub run: Option<Run>,
}

/// Starts a campaign at once, whatever its `schedule_time`, and enrols who is in its segment: a first part now, the rest
/// by the workers. Whoever is in the round already stays as they are. While that goes on, the same run is answered.
pub async fn trigger(work: &mut Work<'_>, id: i64) -> Result<Triggered, Refusal> {
    let (store, account, now) = (work.store(), work.account(), work.now());
    let plan = Plan::read(store, account, id, now).await?;
    let run_id = work.ids("runs", 1).await?.start;
    let own = plan.first.as_ref().map_or(0, Look::reachable);
    let (enrolment_ids, event_ids) = (work.ids("enrolments", own).await?, work.ids("events", own).await?);
    work.begin(Barrier::None).await?;
    let tx = work.tx()?;
    let found = campaigns::lock(tx, account, id).await?.filter(|c| c.state != State::Archived);
    let before = found.ok_or_else(|| Refusal::no_campaign(id))?;
    let campaign = started(tx, &before, now).await?;
    let triggered = match &plan.segment {
        None => {
            let recipients = enrolments::active(tx, &campaign).await?;
            Triggered { campaign, recipients, run: None }
        }
        Some(segment) => {
            let run = match runs::under_way(tx, id, Kind::Expand.as_str()).await? {
                Some(run) => run,
                None => {
                    segments::hold(tx, account, segment.id).await?.ok_or_else(segment_gone)?;
                    let new = (run_id, plan.recipients);
                    let run = expansions::begin(tx, (&campaign, segment), new, now).await?;
                    if let Some(look) = &plan.first {
                        expansions::take(tx, &campaign, (&run, look), (enrolment_ids, event_ids), now)
                            .await?;
                    }
                    runs::get(tx, account, run.id).await?.ok_or(Refusal::Internal)?
                }
            };
            Triggered { campaign, recipients: run.total, run: Some(run) }
        }
    };
    let data = json!({ "recipients": triggered.recipients, "run": triggered.run.as_ref().map(|run| run.id) });
    work.audit("trigger", "campaign", Some(id), &data);
    work.hint(Job::Plan { account });
    work.hint(Job::Sequence { account });
    Ok(triggered)
}

/// The campaign running, now: reopened where everybody was through.
async fn started(tx: &mut Tx, before: &Campaign, now: Millis) -> Result<Campaign, Refusal> {
    let campaign = campaigns::bring_forward(tx, before, now).await?;
    let change = if campaign.state == State::Completed { Change::Reopen } else { Change::Start };
    let refused =
        || Refusal::Conflict("campaign_state", format!("the campaign is held: {}", super::recovery::WAY_OUT));
    campaigns::change(tx, &campaign, change, now).await?.ok_or_else(refused)?;
    campaigns::get(tx, campaign.account_id, campaign.id).await?.ok_or(Refusal::Internal)
}

/// What is read before anything is written: it may take its time.
struct Plan {
    segment: Option<Segment>,
    recipients: i64,
    /// The first part of the people, looked at.
    first: Option<Look>,
}

impl Plan {
    async fn read(store: &Store, account: i64, id: i64, now: Millis) -> Result<Self, Refusal> {
        let mut tx = store.read().await?;
        let found = campaigns::get(&mut tx, account, id).await?.filter(|c| c.state != State::Archived);
        let campaign = found.ok_or_else(|| Refusal::no_campaign(id))?;
        let Some(segment) = campaign.origin.segment else {
            return Ok(Self { segment: None, recipients: 0, first: None });
        };
        let segment = segments::get(&mut tx, account, segment).await?.ok_or_else(segment_gone)?;
        if runs::under_way(&mut tx, id, Kind::Expand.as_str()).await?.is_some() {
            return Ok(Self { segment: Some(segment), recipients: 0, first: None });
        }
        let like = expansions::of(&campaign, &segment, now);
        let first = expansions::look(&mut tx, &campaign, &like, now).await?;
        tx.rollback().await?;
        let recipients = recipients(store, &campaign, &segment, now).await?;
        Ok(Self { segment: Some(segment), recipients, first: Some(first) })
    }
}

/// How many can be reached now.
async fn recipients(
    store: &Store,
    campaign: &Campaign,
    segment: &Segment,
    now: Millis,
) -> Result<i64, Refusal> {
    let filter = segment.filter()?;
    let mut tx = store.read().await?;
    let channels = expansions::channels(&mut tx, campaign).await?;
    let counted = async {
        let _deadline = tx.until(Instant::now() + PATIENCE).await?;
        segments::reach(&mut tx, campaign.account_id, &filter, &channels, now).await
    };
    match counted.await {
        Ok(recipients) => Ok(recipients),
        Err(Error::TooSlow(_)) => Ok(segment.size),
        Err(other) => Err(other.into()),
    }
}

fn segment_gone() -> Refusal {
    let text = "the campaign's segment was deleted; give it another one first";
    Refusal::Conflict("segment_deleted", text.into())
}
