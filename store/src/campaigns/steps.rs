//! The versions of a campaign's steps.

use crate::db::{Tx, execute, rows};
use crate::error::{Error, Result};
use sendwright_workflows::sequence::{Channel, Delay, Enclosed, Sequence, Step, Syntax};
use serde_json::json;
use std::collections::HashMap;

/// Inserts the steps of one version; there are as many ids as steps.
pub(super) async fn insert(
    tx: &mut Tx,
    (account, campaign): (i64, i64),
    version: i64,
    (steps, ids): (&[Step], std::ops::Range<i64>),
) -> Result<()> {
    let rows: Vec<_> = ids
        .zip(steps)
        .map(|(id, s)| {
            json!([
                id,
                s.number,
                s.name,
                s.channel.as_str(),
                s.subject,
                s.template,
                s.ai_prompt,
                s.delay.days,
                s.delay.hours,
                s.delay.minutes,
                s.delay.seconds,
                u8::from(s.include_previous_emails),
                u8::from(s.active),
                s.syntax.as_str(),
                s.enclosed.stored()
            ])
        })
        .collect();
    execute!(
        tx,
        "INSERT INTO steps (account_id, campaign_id, version, id, step_number, name, channel, subject, template,
                ai_prompt, delay_days, delay_hours, delay_minutes, delay_seconds, include_previous_emails, active,
                syntax, enclosed)
         SELECT $1, $2, $3, CAST(e.value ->> 0 AS BIGINT), CAST(e.value ->> 1 AS BIGINT), e.value ->> 2,
                e.value ->> 3, e.value ->> 4, e.value ->> 5, e.value ->> 6, CAST(e.value ->> 7 AS BIGINT),
                CAST(e.value ->> 8 AS BIGINT), CAST(e.value ->> 9 AS BIGINT), CAST(e.value ->> 10 AS BIGINT),
                CAST(e.value ->> 11 AS BIGINT) = 1, CAST(e.value ->> 12 AS BIGINT) = 1,
                e.value ->> 13, e.value ->> 14
           FROM json_each($4) AS e",
        account,
        campaign,
        version,
        serde_json::Value::Array(rows).to_string()
    )?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct StoredStep {
    campaign_id: i64,
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
    syntax: String,
    enclosed: Option<String>,
}

impl TryFrom<StoredStep> for Step {
    type Error = Error;

    fn try_from(s: StoredStep) -> Result<Self> {
        let id = s.id;
        let misread = |column, detail: String| Error::Stored { table: "steps", column, id, detail };
        let small = |column, n: i64| u32::try_from(n).map_err(|_| misread(column, n.to_string()));
        Ok(Step {
            id,
            number: small("step_number", s.step_number)?,
            name: s.name,
            channel: Channel::parse(&s.channel).ok_or_else(|| misread("channel", s.channel))?,
            subject: s.subject,
            template: s.template,
            syntax: Syntax::parse(&s.syntax).ok_or_else(|| misread("syntax", s.syntax))?,
            ai_prompt: s.ai_prompt,
            delay: Delay {
                days: small("delay_days", s.delay_days)?,
                hours: small("delay_hours", s.delay_hours)?,
                minutes: small("delay_minutes", s.delay_minutes)?,
                seconds: small("delay_seconds", s.delay_seconds)?,
            },
            include_previous_emails: s.include_previous_emails,
            active: s.active,
            enclosed: match s.enclosed {
                Some(text) => serde_json::from_str(&text).map_err(|e| misread("enclosed", e.to_string()))?,
                None => Enclosed::default(),
            },
        })
    }
}

/// The steps of one version, ascending by number.
pub async fn sequence(tx: &mut Tx, account: i64, campaign: i64, version: i64) -> Result<Sequence> {
    let mut found = sequences(tx, account, &[(campaign, version)]).await?;
    Ok(found.remove(&campaign).unwrap_or(Sequence { version, steps: vec![] }))
}

/// The steps of one version of each of these campaigns, by campaign.
pub async fn sequences(tx: &mut Tx, account: i64, of: &[(i64, i64)]) -> Result<HashMap<i64, Sequence>> {
    let found = rows!(
        tx,
        StoredStep,
        "SELECT s.campaign_id, s.id, s.step_number, s.name, s.channel, s.subject, s.template, s.ai_prompt,
                s.delay_days, s.delay_hours, s.delay_minutes, s.delay_seconds, s.include_previous_emails, s.active,
                s.syntax, s.enclosed
           FROM (SELECT CAST(e.value ->> 0 AS BIGINT) AS campaign, CAST(e.value ->> 1 AS BIGINT) AS version
                   FROM json_each($2) AS e) AS w
           JOIN steps s ON s.account_id = $1 AND s.campaign_id = w.campaign AND s.version = w.version
          ORDER BY s.campaign_id, s.step_number",
        account,
        json!(of).to_string()
    )?;
    let mut sequences: HashMap<i64, Sequence> =
        of.iter().map(|&(campaign, version)| (campaign, Sequence { version, steps: vec![] })).collect();
    for row in found {
        if let Some(sequence) = sequences.get_mut(&row.campaign_id) {
            sequence.steps.push(row.try_into()?);
        }
    }
    Ok(sequences)
}
