//! Expansions: who is in a campaign's segment is enrolled, a window of contacts a transaction. A run of kind `expand`
//! knows how far it is, so that anybody may go on with it; nobody is enrolled twice.

use crate::campaigns::{self, Campaign};
use crate::db::{Tx, execute, row, rows};
use crate::enrolments;
use crate::error::Result;
use crate::events::{self, NewEvent};
use crate::runs::{self, Run};
use crate::segments::{self, Reached, Segment};
use sendwright_workflows::campaign::{Audience, State};
use sendwright_workflows::clock::{Millis, SECOND};
use sendwright_workflows::run::Expanded;
use sendwright_workflows::sequence::Channel;
use serde_json::json;
use std::ops::Range;

/// Contacts of a window.
const WINDOW: i64 = 10_000;
/// How long after one look at its whole segment a live audience is looked at again.
const PAUSE: Millis = 15 * SECOND;

/// A run as it would begin now, for a look at its first window.
pub fn of(campaign: &Campaign, segment: &Segment, now: Millis) -> Run {
    Run {
        id: 0,
        account_id: campaign.account_id,
        campaign_id: campaign.id,
        round: campaign.round,
        kind: "expand".into(),
        state: "running".into(),
        total: 0,
        already: 0,
        reached: 0,
        upto: i64::MAX,
        before: "{}".into(),
        counts: Some(json!(Expanded::default()).to_string()),
        criteria: Some(segment.criteria.clone()),
        next_at: None,
        created_at: now,
        ended_at: None,
    }
}

/// A new run for a campaign that the caller has locked, with its segment as it is now. `estimate` is how many can be
/// reached.
pub async fn begin(
    tx: &mut Tx,
    (campaign, segment): (&Campaign, &Segment),
    (id, estimate): (i64, i64),
    now: Millis,
) -> Result<Run> {
    let upto = last_contact(tx).await?;
    let run = Run { id, total: estimate, upto, ..of(campaign, segment, now) };
    runs::insert(tx, &run).await?;
    Ok(run)
}

async fn last_contact(tx: &mut Tx) -> Result<i64> {
    let last = row!(tx, (Option<i64>,), "SELECT MAX(id) FROM contacts")?;
    Ok(last.and_then(|r| r.0).unwrap_or(0))
}

/// Whether the campaign's segment was, or is being, looked at in its present round.
pub async fn has_begun(tx: &mut Tx, campaign: &Campaign) -> Result<bool> {
    let sql = "SELECT id FROM runs WHERE campaign_id = $1 AND round = $2 AND kind = 'expand' LIMIT 1";
    Ok(row!(tx, (i64,), sql, campaign.id, campaign.round)?.is_some())
}

/// Campaigns that run and whose segment nobody has looked at in their round, as (account, campaign): their
/// `schedule_time` came, or they were started by hand.
pub async fn owed(tx: &mut Tx) -> Result<Vec<(i64, i64)>> {
    rows!(
        tx,
        (i64, i64),
        "SELECT c.account_id, c.id FROM campaigns c
          WHERE c.state = 'running' AND c.segment_id IS NOT NULL AND NOT EXISTS (
              SELECT 1 FROM runs r WHERE r.campaign_id = c.id AND r.round = c.round AND r.kind = 'expand')
          ORDER BY c.id"
    )
}

/// The next window of a run's contacts, looked at.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// The last contact of the window; none where there are no more.
    pub end: Option<i64>,
    /// Who in it is meant.
    pub people: Vec<Reached>,
}

impl Look {
    /// How many of them are to be enrolled, if they are not yet.
    pub fn reachable(&self) -> usize {
        self.people.iter().filter(|person| person.may).count()
    }
}

/// Looks at the next window of a run that is under way, writing nothing.
pub async fn look(tx: &mut Tx, campaign: &Campaign, run: &Run, now: Millis) -> Result<Look> {
    let found = row!(
        &mut *tx,
        (Option<i64>,),
        "SELECT MAX(w.id) FROM (SELECT id FROM contacts WHERE account_id = $1 AND id > $2 AND id <= $3
                                 ORDER BY id LIMIT $4) AS w",
        run.account_id,
        run.reached,
        run.upto,
        WINDOW
    )?;
    let Some(end) = found.and_then(|r| r.0) else { return Ok(Look::default()) };
    let is_live = campaign.origin.audience == Audience::Live;
    let live = match campaign.origin.segment.filter(|_| is_live) {
        Some(segment) => segments::get(tx, run.account_id, segment).await?.map(|found| found.criteria),
        None => None,
    };
    let criteria = live.or_else(|| run.criteria.clone()).unwrap_or_default();
    let filter = segments::filter_of("runs", run.id, &criteria)?;
    let channels = channels(tx, campaign).await?;
    // A snapshot is of those who were there when it was asked for, and of their dates as they read then.
    let (before, at) = if is_live { (Millis::MAX, now) } else { (run.created_at, run.created_at) };
    let people =
        segments::in_window(tx, run.account_id, &filter, &channels, (run.reached, end), (before, at)).await?;
    Ok(Look { end: Some(end), people })
}

/// The channels of a campaign's present steps.
pub async fn channels(tx: &mut Tx, campaign: &Campaign) -> Result<Vec<Channel>> {
    let sequence = campaigns::sequence(tx, campaign.account_id, campaign.id, campaign.version).await?;
    let uses = sequence.channels();
    Ok(Channel::ALL.into_iter().filter(|channel| *uses.of(*channel)).collect())
}

/// Enrols whom a look found, in a campaign that the caller holds. Ids of enrolments and of events are as many as
/// [`Look::reachable`]. `false`: somebody else was there first, or the run has ended.
pub async fn take(
    tx: &mut Tx,
    campaign: &Campaign,
    (run, look): (&Run, &Look),
    (ids, event_ids): (Range<i64>, Range<i64>),
    now: Millis,
) -> Result<bool> {
    let held = match tx.is_postgres() {
        true => "SELECT counts FROM runs WHERE id = $1 AND reached = $2 AND state = 'running' FOR UPDATE",
        false => "SELECT counts FROM runs WHERE id = $1 AND reached = $2 AND state = 'running'",
    };
    let Some((counts,)) = row!(&mut *tx, (Option<String>,), held, run.id, run.reached)? else {
        return Ok(false);
    };
    if campaign.state == State::Archived || campaign.round != run.round {
        return Ok(false);
    }
    let mut counts: Expanded = counts.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let people: Vec<i64> = look.people.iter().filter(|p| p.may).map(|p| p.contact).collect();
    let enrolled = enrolments::enrol(tx, campaign, &people, ids, now).await?;
    tell(tx, campaign, &enrolled, event_ids, now).await?;
    counts.matched += look.people.len() as i64;
    counts.enrolled += enrolled.len() as i64;
    counts.already += (people.len() - enrolled.len()) as i64;
    counts.without_consent += look.people.iter().filter(|p| p.has_address && !p.may).count() as i64;
    counts.without_address += look.people.iter().filter(|p| !p.has_address).count() as i64;
    go_on(tx, campaign, (run, look.end), &counts, now).await?;
    Ok(true)
}

async fn tell(
    tx: &mut Tx,
    campaign: &Campaign,
    enrolled: &[(i64, i64)],
    ids: Range<i64>,
    now: Millis,
) -> Result<()> {
    let data = json!({ "round": campaign.round }).to_string();
    let event = |(id, &(enrolment, contact)): (i64, &(i64, i64))| NewEvent {
        id,
        account_id: campaign.account_id,
        kind: "campaign.enrolled",
        campaign_id: Some(campaign.id),
        contact_id: Some(contact),
        enrolment_id: Some(enrolment),
        message_id: None,
        data: data.clone(),
        at: now,
    };
    let new: Vec<NewEvent> = ids.zip(enrolled).map(event).collect();
    events::insert(tx, &new).await
}

/// Moves a run behind its window; behind the last one it ends, or rests where its audience is live.
async fn go_on(
    tx: &mut Tx,
    campaign: &Campaign,
    (run, end): (&Run, Option<i64>),
    counts: &Expanded,
    now: Millis,
) -> Result<()> {
    let is_through = end.is_none_or(|end| end >= run.upto);
    let rests = is_through && campaign.origin.audience == Audience::Live;
    execute!(
        tx,
        "UPDATE runs SET reached = $2, counts = $3, next_at = $4, state = $5, ended_at = $6 WHERE id = $1",
        run.id,
        if is_through { run.upto } else { end.unwrap_or(run.upto) },
        json!(counts).to_string(),
        rests.then_some(now + PAUSE),
        if is_through && !rests { "completed" } else { "running" },
        (is_through && !rests).then_some(now)
    )?;
    Ok(())
}

/// A live audience that has rested long enough is looked at again, from its first contact to its last. `false`: it was
/// woken by somebody else.
pub async fn wake(tx: &mut Tx, run: &Run) -> Result<bool> {
    let upto = last_contact(tx).await?;
    let counts: Expanded =
        run.counts.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let counts = Expanded { enrolled: counts.enrolled, ..Expanded::default() };
    let woken = execute!(
        tx,
        "UPDATE runs SET reached = 0, upto = $3, counts = $4, next_at = NULL
          WHERE id = $1 AND next_at = $2 AND state = 'running'",
        run.id,
        run.next_at,
        upto,
        json!(counts).to_string()
    )?;
    Ok(woken == 1)
}
