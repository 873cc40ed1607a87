//! Campaigns.

mod origin;
mod steps;

pub use origin::{Origin, bring_forward, names};
pub use steps::{sequence, sequences};

use crate::db::{Tx, execute, row, rows};
use crate::error::{Error, Result};
use crate::page::{Page, in_order};
use crate::replan;
use sendwright_workflows::campaign::{Audience, Change, Policy, State};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::message::UNPLANNED;
use sendwright_workflows::sequence::{Channel, Step};
use serde_json::json;

/// A stored campaign.
#[derive(Debug, Clone, PartialEq)]
pub struct Campaign {
    /// Its row.
    pub id: i64,
    /// Whose it is.
    pub account_id: i64,
    /// The caller's own id, echoed.
    pub external_id: Option<String>,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Where it is.
    pub state: State,
    /// The newest version of its steps.
    pub version: i64,
    /// The version every enrolment has been mapped to.
    pub mapped_version: i64,
    /// The present round.
    pub round: i64,
    /// The last round whose completion was announced.
    pub completed_round: i64,
    /// How it sends.
    pub profiles: Profiles,
    /// What it was made of, and whom it is for.
    pub origin: Origin,
    /// Its settings.
    pub policy: Policy,
    /// When it starts by itself.
    pub schedule_at: Option<Millis>,
    /// When it was first started.
    pub started_at: Option<Millis>,
    /// When everybody was through.
    pub completed_at: Option<Millis>,
    /// When it was made.
    pub created_at: Millis,
    /// When it was last changed.
    pub updated_at: Millis,
}

/// The sending profiles that a campaign goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, sqlx::FromRow)]
pub struct Profiles {
    /// For its e-mail; a campaign without any has one as well.
    #[sqlx(rename = "profile_id")]
    pub email: i64,
    /// For its text messages, where it has any.
    #[sqlx(rename = "sms_profile_id")]
    pub sms: Option<i64>,
    /// For its WhatsApp messages, where it has any.
    #[sqlx(rename = "whatsapp_profile_id")]
    pub whatsapp: Option<i64>,
}

impl Profiles {
    /// The one of a channel.
    pub fn of(&self, channel: Channel) -> Option<i64> {
        match channel {
            Channel::Email => Some(self.email),
            Channel::Sms => self.sms,
            Channel::Whatsapp => self.whatsapp,
        }
    }

    /// Every one there is, with its channel.
    pub fn all(&self) -> impl Iterator<Item = (Channel, i64)> {
        Channel::ALL.into_iter().filter_map(|channel| Some((channel, self.of(channel)?)))
    }
}

/// A campaign as its row has it.
#[derive(sqlx::FromRow)]
struct Stored {
    id: i64,
    account_id: i64,
    external_id: Option<String>,
    name: String,
    description: Option<String>,
    state: String,
    version: i64,
    mapped_version: i64,
    round: i64,
    completed_round: i64,
    #[sqlx(flatten)]
    profiles: Profiles,
    template_id: Option<i64>,
    segment_id: Option<i64>,
    audience: Option<String>,
    policy: String,
    schedule_at: Option<Millis>,
    started_at: Option<Millis>,
    completed_at: Option<Millis>,
    created_at: Millis,
    updated_at: Millis,
}

impl TryFrom<Stored> for Campaign {
    type Error = Error;

    fn try_from(s: Stored) -> Result<Self> {
        let id = s.id;
        let misread = |column, detail| Error::Stored { table: "campaigns", column, id, detail };
        Ok(Campaign {
            id,
            account_id: s.account_id,
            external_id: s.external_id,
            name: s.name,
            description: s.description,
            state: State::parse(&s.state).ok_or_else(|| misread("state", s.state))?,
            version: s.version,
            mapped_version: s.mapped_version,
            round: s.round,
            completed_round: s.completed_round,
            profiles: s.profiles,
            origin: Origin {
                template: s.template_id,
                segment: s.segment_id,
                audience: s.audience.as_deref().and_then(Audience::parse).unwrap_or_default(),
            },
            policy: serde_json::from_str(&s.policy).map_err(|e| misread("policy", e.to_string()))?,
            schedule_at: s.schedule_at,
            started_at: s.started_at,
            completed_at: s.completed_at,
            created_at: s.created_at,
            updated_at: s.updated_at,
        })
    }
}

macro_rules! columns {
    () => {
        "id, account_id, external_id, name, description, state, version, mapped_version, round, completed_round,
         profile_id, sms_profile_id, whatsapp_profile_id, template_id, segment_id, audience, policy, schedule_at,
         started_at, completed_at, created_at, updated_at"
    };
}

/// What a caller sets of a campaign, beside its steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The caller's own id.
    pub external_id: Option<String>,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// How it sends; profiles of the same account.
    pub profiles: Profiles,
    /// What it is made of, and whom it is for; of the same account.
    pub origin: Origin,
    /// Its settings.
    pub policy: Policy,
    /// When it starts by itself.
    pub schedule_at: Option<Millis>,
}

/// Inserts a campaign in its first version, with its gate. `step_ids` are as many as `steps`.
pub async fn insert(
    tx: &mut Tx,
    (account, id): (i64, i64),
    settings: &Settings,
    state: State,
    steps: (&[Step], std::ops::Range<i64>),
    now: Millis,
) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO campaigns (id, account_id, external_id, name, description, state, profile_id, policy,
                schedule_at, started_at, created_at, updated_at, sms_profile_id, whatsapp_profile_id, template_id,
                segment_id, audience)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12, $13, $14, $15, $16)",
        id,
        account,
        &settings.external_id,
        &settings.name,
        &settings.description,
        state.as_str(),
        settings.profiles.email,
        policy_text(&settings.policy),
        settings.schedule_at,
        (state == State::Running).then_some(now),
        now,
        settings.profiles.sms,
        settings.profiles.whatsapp,
        settings.origin.template,
        settings.origin.segment,
        settings.origin.audience_word()
    )?;
    let gate = "INSERT INTO gates (owner, owner_id, account_id) VALUES ('campaign', $1, $2)";
    execute!(tx, gate, id, account)?;
    steps::insert(tx, (account, id), 1, steps).await
}

/// Replaces settings and steps of a campaign that the caller has locked, under the account's exclusive
/// barrier: version + 1. Earlier versions stay, for what already went out; enrolments are mapped by a
/// background pass, until which `mapped_version` is behind.
pub async fn replace(
    tx: &mut Tx,
    campaign: &Campaign,
    settings: &Settings,
    steps: (&[Step], std::ops::Range<i64>),
    now: Millis,
) -> Result<i64> {
    let version = campaign.version + 1;
    execute!(
        tx,
        "UPDATE campaigns SET external_id = $2, name = $3, description = $4, profile_id = $5, policy = $6,
                schedule_at = $7, version = $8, updated_at = $9, state = $10, sms_profile_id = $11,
                whatsapp_profile_id = $12, template_id = $13, segment_id = $14, audience = $15 WHERE id = $1",
        campaign.id,
        &settings.external_id,
        &settings.name,
        &settings.description,
        settings.profiles.email,
        policy_text(&settings.policy),
        settings.schedule_at,
        version,
        now,
        rescheduled(campaign.state, settings.schedule_at, now).as_str(),
        settings.profiles.sms,
        settings.profiles.whatsapp,
        settings.origin.template,
        settings.origin.segment,
        settings.origin.audience_word()
    )?;
    steps::insert(tx, (campaign.account_id, campaign.id), version, steps).await?;
    Ok(version)
}

/// A campaign that has not begun follows its `schedule_time`: it waits for one that lies ahead, and is a draft
/// again where it has none any more.
fn rescheduled(state: State, at: Option<Millis>, now: Millis) -> State {
    match (state, at) {
        (State::Draft, Some(at)) if at > now => State::Scheduled,
        (State::Scheduled, None) => State::Draft,
        (state, _) => state,
    }
}

pub(crate) fn policy_text(policy: &Policy) -> String {
    // A Policy has nothing that JSON cannot say.
    serde_json::to_string(policy).unwrap_or_else(|_| "{}".into())
}

/// The account's campaign with this number, whatever its state.
pub async fn get(tx: &mut Tx, account: i64, id: i64) -> Result<Option<Campaign>> {
    let sql = concat!("SELECT ", columns!(), " FROM campaigns WHERE account_id = $1 AND id = $2");
    row!(tx, Stored, sql, account, id)?.map(Campaign::try_from).transpose()
}

/// The same, locked for the rest of the transaction. On SQLite the IMMEDIATE transaction is the lock.
pub async fn lock(tx: &mut Tx, account: i64, id: i64) -> Result<Option<Campaign>> {
    if !tx.is_postgres() {
        return get(tx, account, id).await;
    }
    tx.door(id, true).await?;
    let sql = concat!("SELECT ", columns!(), " FROM campaigns WHERE account_id = $1 AND id = $2 FOR UPDATE");
    row!(tx, Stored, sql, account, id)?.map(Campaign::try_from).transpose()
}

/// The same, and no edit, pause or completion of it commits before this transaction ends; several may hold it.
pub async fn hold(tx: &mut Tx, account: i64, id: i64) -> Result<Option<Campaign>> {
    if !tx.is_postgres() {
        return get(tx, account, id).await;
    }
    let sql = concat!("SELECT ", columns!(), " FROM campaigns WHERE account_id = $1 AND id = $2 FOR SHARE");
    row!(tx, Stored, sql, account, id)?.map(Campaign::try_from).transpose()
}

/// The same for somebody who comes in: nobody changes it before this transaction ends, and whoever else comes in waits for
/// nobody's disk. Where it was completed it is locked after all, and reopened. An archived one takes nobody.
pub async fn admit(tx: &mut Tx, account: i64, id: i64, now: Millis) -> Result<Option<Campaign>> {
    let is_completed = |found: &Option<Campaign>| found.as_ref().is_some_and(|c| c.state == State::Completed);
    let mut found = get(tx, account, id).await?;
    if found.is_some() && !is_completed(&found) {
        tx.door(id, false).await?;
        found = get(tx, account, id).await?;
    }
    // Where it was completed between the two, two in the door may want it alone: Postgres ends one, which is tried again.
    if is_completed(&found) {
        found = lock(tx, account, id).await?;
    }
    let Some(campaign) = found.filter(|c| c.state != State::Archived) else { return Ok(None) };
    change(tx, &campaign, Change::Reopen, now).await?;
    Ok(Some(campaign))
}

/// The account's campaigns in these states.
pub async fn list(tx: &mut Tx, account: i64, states: &[State], page: Page) -> Result<Vec<Campaign>> {
    let found = rows!(
        tx,
        Stored,
        in_order!(
            page,
            "",
            "SELECT ",
            columns!(),
            " FROM campaigns
              WHERE account_id = $1 AND state IN (SELECT e.value ->> 0 FROM json_each($6) AS e)"
        ),
        account,
        page.after.0,
        page.after.1,
        page.limit,
        page.skip,
        words(states)
    )?;
    found.into_iter().map(Campaign::try_from).collect()
}

/// How many campaigns the account has in these states.
pub async fn count(tx: &mut Tx, account: i64, states: &[State]) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM campaigns
                WHERE account_id = $1 AND state IN (SELECT e.value ->> 0 FROM json_each($2) AS e)";
    Ok(row!(tx, (i64,), sql, account, words(states))?.map_or(0, |r| r.0))
}

fn words(states: &[State]) -> String {
    json!(states.iter().map(|s| [s.as_str()]).collect::<Vec<_>>()).to_string()
}

/// Changes the state of a campaign that the caller has locked: the new one, or `None` where it is refused. A
/// first start that has no `schedule_time` counts the first steps from now.
pub async fn change(tx: &mut Tx, campaign: &Campaign, change: Change, now: Millis) -> Result<Option<State>> {
    let later = campaign.schedule_at.is_some_and(|at| at > now);
    let Some(state) = campaign.state.change(change, later) else { return Ok(None) };
    if state == campaign.state {
        return Ok(Some(state));
    }
    let mut policy = campaign.policy.clone();
    if change == Change::Start && campaign.started_at.is_none() {
        policy.starts_at = Some(campaign.schedule_at.filter(|_| later).unwrap_or(now));
    }
    let changed = execute!(
        tx,
        "UPDATE campaigns SET state = $3, policy = $4, updated_at = $5,
                started_at = CASE WHEN $3 = 'running' THEN COALESCE(started_at, $5) ELSE started_at END,
                completed_at = CASE WHEN $3 = 'completed' THEN $5 ELSE completed_at END
          WHERE id = $1 AND state = $2",
        campaign.id,
        campaign.state.as_str(),
        state.as_str(),
        policy_text(&policy),
        now
    )?;
    if policy.starts_at != campaign.policy.starts_at {
        // Texts that were written before there was a start have their instants only now.
        replan::wake(tx, campaign.id, now).await?;
    }
    Ok((changed == 1).then_some(state))
}

/// How many messages of the campaign are in each state, over all rounds.
pub async fn counts(tx: &mut Tx, account: i64, campaign: i64) -> Result<Vec<(String, i64)>> {
    rows!(
        tx,
        (String, i64),
        "SELECT state, COUNT(*) FROM messages
          WHERE account_id = $1 AND campaign_id = $2 AND kind = 'step' GROUP BY state ORDER BY state",
        account,
        campaign
    )
}

/// When something of the campaign is looked at next: a message that waits for its instant, or an enrolment that
/// waits for its next step.
pub async fn next_due(tx: &mut Tx, account: i64, campaign: i64) -> Result<Option<Millis>> {
    let found = row!(
        tx,
        (Option<i64>, Option<i64>),
        "SELECT (SELECT MIN(planned_at) FROM messages
                  WHERE account_id = $1 AND campaign_id = $2 AND kind = 'step'
                    AND state IN ('scheduled', 'drafted') AND planned_at < $3),
                (SELECT MIN(next_run_at) FROM enrolments WHERE campaign_id = $2 AND next_run_at IS NOT NULL)",
        account,
        campaign,
        UNPLANNED
    )?;
    Ok(found.and_then(|(message, enrolment)| message.into_iter().chain(enrolment).min()))
}
