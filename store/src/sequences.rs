//! Versions of a campaign's steps, and the campaign as those who plan and send see it.

use crate::db::{Tx, row, rows};
use crate::error::{Error, Result};
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::sequence::{Channel, Delay, Sequence, Step};

/// A campaign, as much as planning and sending need.
#[derive(Debug, Clone)]
pub struct Head {
    /// The row.
    pub id: i64,
    /// Whose.
    pub account_id: i64,
    /// What people call it.
    pub name: String,
    /// `workflows::campaign::State` as its word.
    pub state: String,
    /// The present version of its steps.
    pub version: i64,
    /// The present round.
    pub round: i64,
    /// What sends it.
    pub profile_id: i64,
    /// Its settings.
    pub policy: Policy,
    /// When it was started.
    pub started_at: Option<Millis>,
}

#[derive(sqlx::FromRow)]
struct HeadRow {
    id: i64,
    account_id: i64,
    name: String,
    state: String,
    version: i64,
    round: i64,
    profile_id: i64,
    policy: String,
    started_at: Option<i64>,
}

/// Reads a campaign's head.
pub async fn head(tx: &mut Tx, campaign: i64) -> Result<Option<Head>> {
    let found = row!(
        tx,
        HeadRow,
        "SELECT id, account_id, name, state, version, round, profile_id, policy, started_at
         FROM campaigns WHERE id = $1",
        campaign
    )?;
    found.map(head_of).transpose()
}

fn head_of(row: HeadRow) -> Result<Head> {
    Ok(Head {
        policy: policy_of(row.id, &row.policy)?,
        id: row.id,
        account_id: row.account_id,
        name: row.name,
        state: row.state,
        version: row.version,
        round: row.round,
        profile_id: row.profile_id,
        started_at: row.started_at,
    })
}

/// Reads the settings column of campaign `id`.
pub fn policy_of(id: i64, text: &str) -> Result<Policy> {
    serde_json::from_str(text).map_err(|e| Error::Stored {
        table: "campaigns",
        column: "policy",
        id,
        detail: e.to_string(),
    })
}

#[derive(sqlx::FromRow)]
struct StepRow {
    id: i64,
    step_number: i64,
    name: String,
    channel: String,
    subject: Option<String>,
    template: Option<String>,
    ai_prompt: Option<String>,
    delay_days: i64,
    delay_hours: i64,
    delay_minutes: i64,
    delay_seconds: i64,
    include_previous_emails: bool,
    active: bool,
}

/// Reads one version of a campaign's steps. A version never changes: callers may keep it.
pub async fn sequence(tx: &mut Tx, campaign: i64, version: i64) -> Result<Sequence> {
    let found = rows!(
        tx,
        StepRow,
        "SELECT id, step_number, name, channel, subject, template, ai_prompt, delay_days, delay_hours,
                delay_minutes, delay_seconds, include_previous_emails, active
         FROM steps WHERE campaign_id = $1 AND version = $2 ORDER BY step_number",
        campaign,
        version
    )?;
    Ok(Sequence { version, steps: found.into_iter().map(step_of).collect() })
}

fn step_of(row: StepRow) -> Step {
    Step {
        id: row.id,
        number: row.step_number as u32,
        name: row.name,
        channel: Channel::parse(&row.channel).unwrap_or_default(),
        subject: row.subject,
        template: row.template,
        ai_prompt: row.ai_prompt,
        delay: Delay {
            days: row.delay_days as u32,
            hours: row.delay_hours as u32,
            minutes: row.delay_minutes as u32,
            seconds: row.delay_seconds as u32,
        },
        include_previous_emails: row.include_previous_emails,
        active: row.active,
    }
}
