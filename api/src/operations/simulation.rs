//! A stored campaign's future, from where its enrolments stand: the planner and the gates are asked, nothing
//! changes.

use super::sending_profiles::rates;
use crate::refusal::Refusal;
use crate::state::Core;
use sendwright_store::campaigns::{self, Campaign};
use sendwright_store::heads::Head;
use sendwright_store::simulation::{self, Released, Standing as Row};
use sendwright_store::{Tx, accounts, expansions, heads, planning, segments, sending_profiles};
use sendwright_workflows::campaign::{Policy, State};
use sendwright_workflows::clock::{DAY, Millis};
use sendwright_workflows::contact::own_zone;
use sendwright_workflows::enrolment::{Action, Decision, Means, Person, Reach, Standing, plan};
use sendwright_workflows::message::{self, UNPLANNED};
use sendwright_workflows::rate_limit::{Gate, Rates, slot_millis};
use sendwright_workflows::reason::{Cause, Owner, Reason};
use sendwright_workflows::sequence::{ByChannel, Channel, Sequence};
use sendwright_workflows::simulate::{Line, Setting, Subject, simulate};
use sendwright_workflows::zone::Zone;
use std::collections::HashMap;

/// Most leads that one run follows, and most lines that it gives.
pub const MOST: usize = 100_000;
/// Most messages that one run follows: a long sequence is followed for fewer leads.
const MOST_MESSAGES: usize = 1_000_000;
/// Rows read at once.
const BATCH: i64 = 5_000;

/// How far to look.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// From when; now where it is absent or past.
    pub from: Option<Millis>,
    /// How many days of 24 hours.
    pub days: u32,
}

/// A campaign's future.
#[derive(Debug, Clone)]
pub struct Future {
    /// The first instant looked at.
    pub from: Millis,
    /// The last one.
    pub until: Millis,
    /// How many leads were followed.
    pub leads: usize,
    /// There are more leads or more lines than [`MOST`]; what is shown is the beginning.
    pub truncated: bool,
    /// What was taken for granted: that a campaign is started, or resumed, now.
    pub assumed: Option<&'static str>,
    /// In the order of the hand-overs.
    pub lines: Vec<Planned>,
}

/// One future message, or why there will be none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The lead's address.
    pub email: String,
    /// The step.
    pub step: u32,
    /// The slot's instant; of a step that is not sent, its planned instant.
    pub at: Millis,
    /// The recipient's zone.
    pub zone: Zone,
    /// `Send`; or `Skip`, `Stop`, `Hold`.
    pub action: Action,
    /// Every reason that moved or forbade it.
    pub reasons: Vec<Reason>,
}

/// Runs a stored campaign ahead. `means` are what the workers have, as far as the caller knows.
pub async fn stored(
    core: &Core,
    account: i64,
    campaign: i64,
    span: Span,
    means: ByChannel<Means>,
) -> Result<Future, Refusal> {
    let now = core.now()?;
    let from = span.from.unwrap_or(now).max(now);
    let until = from + i64::from(span.days) * DAY;
    let mut tx = core.store.read().await?;
    let found = campaigns::get(&mut tx, account, campaign).await?.filter(|c| c.state != State::Archived);
    let Some(campaign) = found else { return Err(Refusal::no_campaign(campaign)) };
    let mut run = Run::read(&mut tx, campaign, means, from).await?;
    let truncated = run.take_in(&mut tx).await?;
    let mut profiles = ByChannel::all(Gate::default());
    for channel in Channel::ALL {
        if let Some(profile) = run.campaign.profiles.of(channel) {
            *profiles.of_mut(channel) = simulation::gate(&mut tx, Owner::Profile, profile).await?;
        }
    }
    let gates = (profiles, simulation::gate(&mut tx, Owner::Campaign, run.campaign.id).await?);
    tx.rollback().await?;
    // A big campaign takes its time: no other request shall wait for it.
    let future = tokio::task::spawn_blocking(move || run.finish(gates, until, truncated));
    future.await.map_err(|_| Refusal::Internal)
}

/// What the planner would do with one enrolment now, and the zone that it reckons in.
pub(super) async fn ask(
    tx: &mut Tx,
    campaign: &Campaign,
    enrolment: i64,
    means: ByChannel<Means>,
    now: Millis,
) -> Result<(Decision, Zone), Refusal> {
    let mut run = Run::read(tx, campaign.clone(), means, now).await?;
    let row = simulation::standing(tx, enrolment, campaign.version).await?.ok_or(Refusal::Internal)?;
    run.learn(tx, std::slice::from_ref(&row)).await?;
    let (standing, person) = (run.standing(&row), run.person(&row));
    Ok((plan(standing, &run.sequence, &person, &run.policy, means, now), person.zone))
}

struct Run {
    campaign: Campaign,
    head: Option<Head>,
    sequence: Sequence,
    policy: Policy,
    rates: ByChannel<Rates>,
    account_zone: Zone,
    means: ByChannel<Means>,
    from: Millis,
    assumed: Option<&'static str>,
    /// Fingerprints by step row, of older versions.
    prints: HashMap<i64, String>,
    got: HashMap<i64, Vec<(String, i64)>>,
    subjects: Vec<Subject>,
    whom: Vec<(String, Zone)>,
    /// Subjects from here on are single messages: nothing follows them.
    alone_from: usize,
    lines: Vec<Line>,
}

impl Run {
    async fn read(
        tx: &mut Tx,
        campaign: Campaign,
        means: ByChannel<Means>,
        from: Millis,
    ) -> Result<Self, Refusal> {
        let (account, id) = (campaign.account_id, campaign.id);
        let sequence = campaigns::sequence(tx, account, id, campaign.version).await?;
        let mut limits = ByChannel::all(Rates::default());
        for channel in Channel::ALL {
            if let Some(profile) = campaign.profiles.of(channel) {
                let profile = sending_profiles::by_id(tx, profile).await?;
                *limits.of_mut(channel) = profile.as_ref().map(rates).unwrap_or_default();
            }
        }
        let zone = accounts::get(tx, account).await?.and_then(|a| a.timezone.parse().ok());
        let mut policy = campaign.policy.clone();
        let assumed = match campaign.state {
            State::Draft => Some("started now"),
            State::Paused => Some("resumed now"),
            State::Held => Some("released now"),
            _ => None,
        };
        let has_begun = campaign.started_at.is_some();
        if matches!(campaign.state, State::Draft | State::Scheduled | State::Paused | State::Held)
            && !has_begun
        {
            policy.starts_at = Some(campaign.schedule_at.filter(|at| *at > from).unwrap_or(from));
        }
        let mut prints = HashMap::new();
        for version in 1..campaign.version {
            let old = campaigns::sequence(tx, account, id, version).await?;
            prints.extend(old.steps.iter().map(|step| (step.id, step.fingerprint())));
        }
        Ok(Self {
            head: heads::head(tx, id).await?,
            sequence,
            policy,
            rates: limits,
            account_zone: zone.unwrap_or_default(),
            means,
            from,
            assumed,
            prints,
            got: HashMap::new(),
            subjects: Vec::new(),
            whom: Vec::new(),
            alone_from: 0,
            lines: Vec::new(),
            campaign,
        })
    }

    /// Reads everybody who is under way; whether there are more than one run follows.
    async fn take_in(&mut self, tx: &mut Tx) -> Result<bool, Refusal> {
        let most = MOST.min(MOST_MESSAGES / self.sequence.steps.len().max(1));
        let (mut after, mut truncated) = (0, false);
        loop {
            let rows =
                simulation::standings(tx, self.campaign.id, self.campaign.version, after, BATCH).await?;
            let Some(last) = rows.last() else { break };
            after = last.id;
            self.learn(tx, &rows).await?;
            rows.iter().for_each(|row| self.follow(row));
            if self.whom.len() >= most {
                truncated = true;
                break;
            }
        }
        truncated |= self.whom.len() < most && self.take_in_segment(tx, most).await?;
        self.alone_from = self.whom.len();
        for message in
            simulation::released(tx, self.campaign.account_id, self.campaign.id, MOST as i64).await?
        {
            self.follow_alone(&message);
        }
        Ok(truncated)
    }

    /// Reads who would be enrolled if the campaign were triggered now, where that has not happened in its round; whether
    /// there are more than one run follows.
    async fn take_in_segment(&mut self, tx: &mut Tx, most: usize) -> Result<bool, Refusal> {
        let Some(segment) = self.campaign.origin.segment else { return Ok(false) };
        if expansions::has_begun(tx, &self.campaign).await? {
            return Ok(false);
        }
        let Some(segment) = segments::get(tx, self.campaign.account_id, segment).await? else {
            return Ok(false);
        };
        let of = (self.campaign.account_id, self.campaign.id, self.campaign.round);
        let (mut run, mut after) =
            (expansions::of(&self.campaign, &segment, self.from), simulation::last_enrolment(tx).await?);
        loop {
            let look = expansions::look(tx, &self.campaign, &run, self.from).await?;
            let Some(end) = look.end else { return Ok(false) };
            let people: Vec<i64> = look.people.iter().filter(|p| p.may).map(|p| p.contact).collect();
            let rows = simulation::prospects(tx, of, &people, (after, self.from)).await?;
            self.learn(tx, &rows).await?;
            for row in &rows {
                if self.whom.len() >= most {
                    return Ok(true);
                }
                self.follow(row);
            }
            after = rows.last().map_or(after, |row| row.id);
            run.reached = end;
        }
    }

    /// What these people got under older versions.
    async fn learn(&mut self, tx: &mut Tx, rows: &[Row]) -> Result<(), Refusal> {
        self.got.clear();
        let Some(head) = self.head.as_ref().filter(|head| head.version > 1) else { return Ok(()) };
        let enrolments: Vec<i64> = rows.iter().map(|row| row.id).collect();
        for (contact, message, step) in planning::got(tx, head, &enrolments).await? {
            if let Some(print) = self.prints.get(&step) {
                self.got.entry(contact).or_default().push((print.clone(), message));
            }
        }
        Ok(())
    }

    fn person(&self, row: &Row) -> Person {
        let own = own_zone(row.timezone.as_deref(), row.phone_key.as_deref());
        Person {
            zone: self.policy.zone(own, self.account_zone),
            reach: ByChannel::new(|channel| row.reach(channel)),
            deleted: row.contact_state != "active",
            replied: false,
            got: self.got.get(&row.contact_id).cloned().unwrap_or_default(),
        }
    }

    /// The first step counts from the enrolment or the start, whichever is later.
    fn standing(&self, row: &Row) -> Standing {
        let base = match self.campaign.started_at {
            Some(start) if row.settled == 0 => row.base_at.max(start),
            _ => row.base_at,
        };
        Standing { settled: row.settled as u32, base }
    }

    fn follow(&mut self, row: &Row) {
        let (index, person) = (self.whom.len(), self.person(row));
        let address = row.email.clone().or_else(|| row.phone_key.clone());
        self.whom.push((address.unwrap_or_default(), person.zone));
        let mut subject = Subject { id: row.id, standing: self.standing(row), person, open: None };
        if let (Some("cancelled"), Some(step)) = (row.open_state.as_deref(), row.open_step) {
            let person = &subject.person;
            let passed = plan(subject.standing, &self.sequence, person, &self.policy, self.means, self.from);
            let (step, at, reasons) = (step as u32, passed.at, vec![Reason::Cancelled]);
            self.lines.push(Line { subject: index, step, at, action: Action::Skip, reasons });
            subject.standing = Standing { settled: step, base: at };
        }
        // A text without an instant goes when the planner would have it go; one that is held goes nowhere.
        let is_held = matches!(row.open_state.as_deref(), Some("held" | "uncertain"));
        let has_instant = row.open_at.is_some_and(|at| at < UNPLANNED) || is_held;
        if let Some(step) = row.open_step.filter(|_| has_instant) {
            let (step, planned) =
                (step as u32, row.open_at.filter(|at| *at < UNPLANNED).unwrap_or(self.from));
            let reasons = row.open_reasons.as_deref().unwrap_or_default();
            let reasons: Vec<Reason> = serde_json::from_str(reasons).unwrap_or_default();
            let state = row.open_state.as_deref().and_then(message::State::parse);
            match (state, row.open_slot) {
                (Some(message::State::Claimed | message::State::Sending), Some(slot)) => {
                    let at = slot_millis(slot);
                    self.lines.push(Line { subject: index, step, at, action: Action::Send, reasons });
                    subject.standing = Standing { settled: step, base: at };
                }
                (Some(message::State::Held | message::State::Uncertain), _) => {
                    let at = planned.max(self.from);
                    self.lines.push(Line { subject: index, step, at, action: Action::Hold, reasons });
                    return self.subjects.push(done(subject));
                }
                _ => subject.open = Some(self.not_before(step, planned, reasons)),
            }
        }
        if subject.open.is_none() {
            self.catch_up(index, &mut subject);
        }
        if subject.open.is_none() {
            subject = done(subject);
        }
        self.subjects.push(subject);
    }

    /// Asks the planner as it will be asked now: what is overdue comes first of all, and says that it is late.
    fn catch_up(&mut self, index: usize, subject: &mut Subject) {
        loop {
            let now = self.from.max(subject.standing.base);
            let decision =
                plan(subject.standing, &self.sequence, &subject.person, &self.policy, self.means, now);
            let Decision { action, step, at, reasons, .. } = decision;
            match action {
                Action::Write | Action::Send => {
                    subject.open = Some(self.not_before(step, at, reasons));
                    return;
                }
                Action::Complete => return,
                _ => self.lines.push(Line { subject: index, step, at, action, reasons }),
            }
            if action != Action::Skip {
                return;
            }
            subject.standing = Standing { settled: step, base: at };
        }
    }

    fn not_before(&self, step: u32, planned: Millis, mut reasons: Vec<Reason>) -> (u32, Millis, Vec<Reason>) {
        let late = Reason::Late { cause: Cause::Capacity };
        if planned < self.from && !reasons.contains(&late) {
            reasons.push(late);
        }
        (step, planned.max(self.from), reasons)
    }

    fn follow_alone(&mut self, message: &Released) {
        let index = self.whom.len();
        let zone = message.zone.parse().unwrap_or_default();
        self.whom.push((message.address.clone(), zone));
        let step = message.step_number as u32;
        let reasons = serde_json::from_str(&message.reasons).unwrap_or_default();
        // The planner is not to go on behind it: whose enrolment it was goes on by itself, or has ended.
        let person =
            Person { zone, reach: ByChannel::new(|_| Reach::open()), deleted: true, ..Person::default() };
        let standing = Standing { settled: step, base: message.planned_at };
        let mut subject = Subject { id: message.enrolment_id, standing, person, open: None };
        match message.slot {
            Some(slot) => {
                let at = slot_millis(slot);
                self.lines.push(Line { subject: index, step, at, action: Action::Send, reasons });
                subject = done(subject);
            }
            None => subject.open = Some(self.not_before(step, message.planned_at, reasons)),
        }
        self.subjects.push(subject);
    }

    fn finish(self, gates: (ByChannel<Gate>, Gate), until: Millis, truncated: bool) -> Future {
        let setting = Setting {
            sequence: &self.sequence,
            policy: &self.policy,
            profiles: ByChannel::new(|channel| (*gates.0.of(channel), *self.rates.of(channel))),
            campaign: (gates.1, self.policy.rates()),
            means: self.means,
        };
        let ids: Vec<i64> = self.subjects.iter().map(|s| s.id).collect();
        let mut lines: Vec<Line> = self.lines.into_iter().filter(|line| line.at <= until).collect();
        let mut alone_is_out = vec![false; ids.len()];
        for line in simulate(setting, self.subjects, until) {
            let is_alone = line.subject >= self.alone_from;
            if is_alone && std::mem::replace(&mut alone_is_out[line.subject], true) {
                continue;
            }
            lines.push(line);
        }
        lines.sort_by_key(|line| (line.at, ids[line.subject], line.step));
        let truncated = truncated || lines.len() > MOST;
        lines.truncate(MOST);
        let planned = |line: Line| {
            let (email, zone) = self.whom[line.subject].clone();
            Planned { email, step: line.step, at: line.at, zone, action: line.action, reasons: line.reasons }
        };
        Future {
            from: self.from,
            until,
            leads: self.alone_from,
            truncated,
            assumed: self.assumed,
            lines: lines.into_iter().map(planned).collect(),
        }
    }
}

/// A subject for whom the run has nothing left to do: it stands behind every step.
fn done(subject: Subject) -> Subject {
    let standing = Standing { settled: u32::MAX, base: subject.standing.base };
    Subject { standing, open: None, ..subject }
}
