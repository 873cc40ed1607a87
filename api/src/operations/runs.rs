//! Runs: a campaign's next texts written, or its round sent; both at once answered, and followed from then on.

use super::broadcasts::{self, Triggered};
use super::campaigns;
use crate::refusal::Refusal;
use crate::state::Core;
use crate::work::{Barrier, Work};
use sendwright_queue::Job;
use sendwright_store::campaigns::Campaign;
use sendwright_store::runs::{self, Run};
use sendwright_store::{Page, Tx, campaigns as stored};
use sendwright_workflows::campaign::{Change, State};
use sendwright_workflows::clock::{MINUTE, Millis};
use sendwright_workflows::run::{Expanded, Generated, Kind, Sent};
use serde_json::{Map, Value, json};

/// A run and how far it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The run.
    pub run: Run,
    /// Its counts: `workflows::run` says of each what it is.
    pub counts: Value,
    /// What is done, of what there is to do as far as it is known.
    pub done: (i64, i64),
    /// Texts or messages a minute.
    pub per_minute: f64,
    /// When it ends, as far as that can be told.
    pub ends_at: Option<Millis>,
}

/// Has everybody's next text written, without sending any. One that is under way for the same people is
/// answered again.
pub async fn generate(work: &mut Work<'_>, campaign: i64) -> Result<Progress, Refusal> {
    let id = work.ids("runs", 1).await?.start;
    work.begin(Barrier::None).await?;
    let (account, now) = (work.account(), work.now());
    let tx = work.tx()?;
    let found = stored::lock(tx, account, campaign).await?.filter(|c| c.state != State::Archived);
    let found = found.ok_or_else(|| Refusal::no_campaign(campaign))?;
    let run = begin(tx, &found, (id, Kind::Generate), now).await?;
    let progress = progress(tx, run, now).await?;
    work.audit("generate", "campaign", Some(campaign), &json!({ "run": progress.run.id }));
    work.hint(Job::Plan { account });
    Ok(progress)
}

/// Starts a campaign, or goes on after a pause, and follows its round: what is drafted goes out at its instant,
/// what is missing is written. Delay, quiet hours, limits and approval hold as ever. One that has a segment is
/// triggered, and the run that enrols its people is answered (C-2).
pub async fn send(work: &mut Work<'_>, campaign: i64) -> Result<(Campaign, Progress), Refusal> {
    if campaigns::get(work.core(), work.account(), campaign).await?.campaign.origin.segment.is_some() {
        let Triggered { campaign, run, .. } = broadcasts::trigger(work, campaign).await?;
        let now = work.now();
        return Ok((campaign, progress(work.tx()?, run.ok_or(Refusal::Internal)?, now).await?));
    }
    let id = work.ids("runs", 1).await?.start;
    let started = campaigns::change(work, campaign, Change::Start).await?;
    let now = work.now();
    let tx = work.tx()?;
    let run = begin(tx, &started, (id, Kind::Send), now).await?;
    let progress = progress(tx, run, now).await?;
    let data = json!({ "run": progress.run.id, "state": started.state.as_str() });
    work.audit("send", "campaign", Some(campaign), &data);
    Ok((started, progress))
}

async fn begin(
    tx: &mut Tx,
    campaign: &Campaign,
    (id, kind): (i64, Kind),
    now: Millis,
) -> Result<Run, Refusal> {
    let (upto, people) = runs::extent(tx, campaign.id, campaign.round).await?;
    if let Some(run) = runs::under_way(tx, campaign.id, kind.as_str()).await?
        && (run.upto, run.round) == (upto, campaign.round)
    {
        return Ok(run);
    }
    let mut run = Run {
        id,
        account_id: campaign.account_id,
        campaign_id: campaign.id,
        round: campaign.round,
        kind: kind.as_str().to_owned(),
        state: "running".to_owned(),
        // Whom texts are written for is counted as they are taken on.
        total: if kind == Kind::Send { people } else { 0 },
        already: 0,
        reached: if kind == Kind::Send { upto } else { 0 },
        upto,
        before: "{}".to_owned(),
        counts: None,
        criteria: None,
        next_at: None,
        created_at: now,
        ended_at: None,
    };
    if kind == Kind::Send {
        let before = runs::states(tx, &run).await?;
        run.before =
            Value::Object(before.into_iter().map(|(s, n)| (s, n.into())).collect::<Map<_, _>>()).to_string();
    }
    runs::insert(tx, &run).await?;
    Ok(run)
}

/// One run.
pub async fn get(core: &Core, account: i64, id: i64) -> Result<Progress, Refusal> {
    let now = core.now()?;
    let mut tx = core.store.read().await?;
    let run = runs::get(&mut tx, account, id).await?.ok_or_else(|| missing(id))?;
    let progress = progress(&mut tx, run, now).await?;
    tx.rollback().await?;
    Ok(progress)
}

/// The account's runs by age, of one campaign where one is named, and how many there are.
pub async fn list(
    core: &Core,
    account: i64,
    campaign: Option<i64>,
    page: Page,
) -> Result<(Vec<Progress>, i64), Refusal> {
    let now = core.now()?;
    let mut tx = core.store.read().await?;
    let mut found = Vec::new();
    for run in runs::list(&mut tx, account, campaign, page).await? {
        found.push(progress(&mut tx, run, now).await?);
    }
    let total = runs::count(&mut tx, account, campaign).await?;
    tx.rollback().await?;
    Ok((found, total))
}

/// The words for a run that is not there, or another tenant's.
pub fn missing(face: impl std::fmt::Display) -> Refusal {
    Refusal::NotFound(format!("Run {face} not found"))
}

async fn progress(tx: &mut Tx, run: Run, now: Millis) -> Result<Progress, Refusal> {
    let kept = run.counts.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    match Kind::parse(&run.kind) {
        Some(Kind::Expand) => {
            let counts = kept.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default();
            Ok(of_people(run, &counts, now))
        }
        Some(Kind::Generate) => {
            let counts = match kept.and_then(|value| serde_json::from_value(value).ok()) {
                Some(counts) => counts,
                None => {
                    let unplanned = runs::unplanned(tx, &run).await?;
                    let written = runs::written(tx, run.id).await?;
                    Generated::count((run.total, run.already), unplanned, &written)
                }
            };
            Ok(of_texts(run, &counts, now))
        }
        _ => {
            let pace = runs::pace(tx, &run, now).await?;
            let counts: Sent = match kept.and_then(|value| serde_json::from_value(value).ok()) {
                Some(counts) => counts,
                None => Sent::count((run.total, pace.active), &run.before, &runs::states(tx, &run).await?),
            };
            Ok(of_messages(run, &counts, &pace, now))
        }
    }
}

fn of_texts(run: Run, counts: &Generated, now: Millis) -> Progress {
    let until = run.ended_at.unwrap_or(now);
    let minutes = (until - run.created_at).max(1) as f64 / MINUTE as f64;
    let per_minute = counts.written as f64 / minutes;
    let can_tell = run.reached >= run.upto && counts.written > 0;
    let ahead = can_tell.then(|| (counts.pending as f64 / per_minute * MINUTE as f64) as Millis);
    let ends_at = run.ended_at.or(ahead.map(|ahead| now.saturating_add(ahead)));
    let done = (counts.total - counts.pending, counts.total);
    Progress { counts: json!(counts), done, per_minute, ends_at, run }
}

/// People a minute, and the end, as far as the estimate holds.
fn of_people(run: Run, counts: &Expanded, now: Millis) -> Progress {
    let minutes = (run.ended_at.unwrap_or(now) - run.created_at).max(1) as f64 / MINUTE as f64;
    let per_minute = counts.matched as f64 / minutes;
    let all = if run.ended_at.is_some() { counts.matched } else { run.total.max(counts.matched) };
    let done = (counts.matched, all);
    Progress { counts: json!(counts), done, per_minute, ends_at: run.ended_at, run }
}

/// The end of a round is told by what is planned of it: later steps may follow.
fn of_messages(run: Run, counts: &Sent, pace: &runs::Pace, now: Millis) -> Progress {
    let planned = pace.last_planned.max(pace.last_look).map(|at| at.max(now));
    let backlog = match pace.last_minute {
        0 => None,
        n => Some(now + counts.pending * MINUTE / n),
    };
    let ends_at = run.ended_at.or(planned.max(backlog));
    let done = (counts.through, counts.total);
    Progress { counts: json!(counts), done, per_minute: pace.last_minute as f64, ends_at, run }
}
