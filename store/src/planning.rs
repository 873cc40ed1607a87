//! Enrolments whose next step the planner shall look at, and what it decided.

use crate::db::{Tx, execute, rows};
use crate::error::Result;
use crate::heads::Head;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::enrolment::Reach;
use sendwright_workflows::sequence::Channel;
use serde_json::{Value, json};

/// An enrolment that is due for planning, with what the planner and the templates need of the contact.
#[derive(Debug, Clone, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns of enrolments and contacts by their own names")]
pub struct DueEnrolment {
    pub id: i64,
    pub contact_id: i64,
    pub settled: i64,
    pub base_at: i64,
    pub replied_at: Option<i64>,
    pub contact_state: String,
    pub email: Option<String>,
    pub email_hash: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub company: Option<String>,
    pub title: Option<String>,
    pub phone: Option<String>,
    pub website: Option<String>,
    pub industry: Option<String>,
    pub timezone: Option<String>,
    pub attributes: String,
    pub phone_key: Option<String>,
    pub phone_hash: Option<String>,
    /// What stands for and against writing to them.
    #[sqlx(flatten)]
    pub said: Said,
    /// The run that wants its next text now.
    pub run_id: Option<i64>,
}

/// Campaigns that have an enrolment to plan, as (account, campaign): those that run, and those that will, so that their
/// first texts are written when they begin; and those whose next texts a run wants.
pub async fn campaigns_with_due(tx: &mut Tx, now: Millis) -> Result<Vec<(i64, i64)>> {
    rows!(
        tx,
        (i64, i64),
        "SELECT c.account_id, c.id FROM campaigns c
         WHERE c.state IN ('running', 'scheduled') AND c.mapped_version = c.version AND EXISTS (
             SELECT 1 FROM enrolments e WHERE e.campaign_id = c.id AND e.next_run_at <= $1)
         UNION
         SELECT c.account_id, c.id FROM runs r JOIN campaigns c ON c.id = r.campaign_id
         WHERE r.state = 'running' AND r.kind = 'generate' AND c.state IN ('draft', 'paused')
           AND c.mapped_version = c.version AND EXISTS (
             SELECT 1 FROM enrolments e WHERE e.campaign_id = c.id AND e.run_id IS NOT NULL AND e.next_run_at <= $1)
         ORDER BY 1, 2",
        now
    )
}

/// When the next enrolment of such a campaign is to be looked at.
pub async fn next_look(tx: &mut Tx) -> Result<Option<Millis>> {
    let found = rows!(
        tx,
        (Option<i64>,),
        "SELECT (SELECT MIN(e.next_run_at) FROM enrolments e
                 WHERE e.campaign_id = c.id AND e.next_run_at IS NOT NULL)
         FROM campaigns c WHERE c.state IN ('running', 'scheduled') AND c.mapped_version = c.version"
    )?;
    Ok(found.into_iter().filter_map(|r| r.0).min())
}

/// Which due enrolments of a campaign are planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// Everybody.
    All,
    /// Those whose next text a run wants.
    OfRuns,
}

/// How many enrolments of a campaign are due, counted up to `most`.
pub async fn count_due(tx: &mut Tx, campaign: i64, whom: Whom, now: Millis, most: i64) -> Result<i64> {
    let found = rows!(
        tx,
        (i64,),
        "SELECT COUNT(*) FROM (
             SELECT 1 AS one FROM enrolments WHERE campaign_id = $1 AND next_run_at <= $2
                AND ($4 OR run_id IS NOT NULL) LIMIT $3) AS due",
        campaign,
        now,
        most,
        whom == Whom::All
    )?;
    Ok(found.first().map_or(0, |r| r.0))
}

impl DueEnrolment {
    /// How a channel reaches the person.
    pub fn reach(&self, channel: Channel) -> Reach {
        self.said.reach(channel, self.address(channel).is_some())
    }

    /// The address on a channel, with its hash.
    pub fn address(&self, channel: Channel) -> Option<(&str, &str)> {
        let (address, hash) = match channel.is_phone() {
            true => (&self.phone_key, &self.phone_hash),
            false => (&self.email, &self.email_hash),
        };
        address.as_deref().zip(hash.as_deref())
    }
}

/// What stands for and against writing to a contact, by channel: why nothing may be sent, if so, and what the number's
/// owner said. Of the phone channels it is read where the sequence has such steps.
#[derive(Debug, Clone, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns by their own names")]
pub struct Said {
    pub suppressed: Option<String>,
    pub sms_suppressed: Option<String>,
    pub sms_consent: Option<String>,
    pub whatsapp_suppressed: Option<String>,
    pub whatsapp_consent: Option<String>,
}

impl Said {
    /// How a channel reaches the person.
    pub(crate) fn reach(&self, channel: Channel, has_address: bool) -> Reach {
        let (suppressed, consent) = match channel {
            Channel::Email => (&self.suppressed, &None),
            Channel::Sms => (&self.sms_suppressed, &self.sms_consent),
            Channel::Whatsapp => (&self.whatsapp_suppressed, &self.whatsapp_consent),
        };
        let opted_in = !channel.needs_consent() || consent.as_deref() == Some("opt_in");
        Reach { has_address, suppressed: suppressed.clone(), opted_in }
    }
}

/// What stands for and against each phone channel is read where the sequence has such steps.
macro_rules! due_sql {
    ($lock:literal) => {
        due_sql!(
            "CAST(NULL AS TEXT) AS sms_suppressed, CAST(NULL AS TEXT) AS sms_consent,
            CAST(NULL AS TEXT) AS whatsapp_suppressed, CAST(NULL AS TEXT) AS whatsapp_consent",
            "",
            $lock
        )
    };
    (phone $lock:literal) => {
        due_sql!($crate::planning::phone_columns!(), $crate::planning::phone_joins!(), $lock)
    };
    ($columns:expr, $joins:expr, $lock:literal) => {
        concat!(
        "SELECT e.id, e.contact_id, e.settled, e.base_at, e.replied_at, c.state AS contact_state, c.email,
            c.email_hash, c.first_name, c.last_name, c.company, c.title, c.phone, c.website, c.industry,
            c.timezone, c.attributes, c.phone_key, c.phone_hash, s.why AS suppressed, e.run_id, ", $columns, "
         FROM enrolments e
         JOIN contacts c ON c.id = e.contact_id
         LEFT JOIN suppressions s ON s.account_id = e.account_id AND s.channel = 'email'
              AND s.address_hash = c.email_hash ", $joins, "
         WHERE e.campaign_id = $1 AND e.next_run_at <= $2 AND ($4 OR e.run_id IS NOT NULL)
         ORDER BY e.next_run_at, e.id LIMIT $3", $lock)
    };
}

/// What was said for and against a contact's number, of the rows that [`phone_joins`] joins.
macro_rules! phone_columns {
    () => {
        "ss.why AS sms_suppressed, sy.state AS sms_consent, ws.why AS whatsapp_suppressed, wy.state AS whatsapp_consent"
    };
}

/// Joins what was said for and against the number of contact `c`.
macro_rules! phone_joins {
    () => {
        "LEFT JOIN suppressions ss ON ss.account_id = c.account_id AND ss.channel = 'sms'
              AND ss.address_hash = c.phone_hash
         LEFT JOIN consent_states sy ON sy.account_id = c.account_id AND sy.channel = 'sms'
              AND sy.address_hash = c.phone_hash
         LEFT JOIN suppressions ws ON ws.account_id = c.account_id AND ws.channel = 'whatsapp'
              AND ws.address_hash = c.phone_hash
         LEFT JOIN consent_states wy ON wy.account_id = c.account_id AND wy.channel = 'whatsapp'
              AND wy.address_hash = c.phone_hash"
    };
}

pub(crate) use {phone_columns, phone_joins};

/// Up to `most` due enrolments of a campaign in (next_run_at, id) order, locked until the transaction ends.
/// `phones`: its sequence has phone steps.
pub async fn due(
    tx: &mut Tx,
    campaign: i64,
    (whom, phones): (Whom, bool),
    now: Millis,
    most: i64,
) -> Result<Vec<DueEnrolment>> {
    // SQLite needs no row locks: the IMMEDIATE transaction is alone.
    let sql = match (phones, tx.is_postgres()) {
        (false, true) => due_sql!(" FOR UPDATE OF e SKIP LOCKED"),
        (false, false) => due_sql!(""),
        (true, true) => due_sql!(phone " FOR UPDATE OF e SKIP LOCKED"),
        (true, false) => due_sql!(phone ""),
    };
    rows!(tx, DueEnrolment, sql, campaign, now, most, whom == Whom::All)
}

/// One contact as templates see it, whatever its enrolments.
pub async fn contact(tx: &mut Tx, account: i64, id: i64) -> Result<Option<DueEnrolment>> {
    let found = rows!(
        tx,
        DueEnrolment,
        "SELECT CAST(0 AS BIGINT) AS id, c.id AS contact_id, CAST(0 AS BIGINT) AS settled,
                CAST(0 AS BIGINT) AS base_at, CAST(NULL AS BIGINT) AS replied_at, c.state AS contact_state, c.email, c.email_hash, c.first_name,
                c.last_name, c.company, c.title, c.phone, c.website, c.industry, c.timezone, c.attributes,
                c.phone_key, c.phone_hash, CAST(NULL AS TEXT) AS suppressed, CAST(NULL AS TEXT) AS sms_suppressed,
                CAST(NULL AS TEXT) AS sms_consent, CAST(NULL AS TEXT) AS whatsapp_suppressed,
                CAST(NULL AS TEXT) AS whatsapp_consent, CAST(NULL AS BIGINT) AS run_id
         FROM contacts c WHERE c.account_id = $1 AND c.id = $2",
        account,
        id
    )?;
    Ok(found.into_iter().next())
}

/// Steps a person got in this round under an older version, as (contact, message, step id).
pub async fn got(tx: &mut Tx, head: &Head, enrolments: &[i64]) -> Result<Vec<(i64, i64, i64)>> {
    rows!(
        tx,
        (i64, i64, i64),
        "SELECT m.contact_id, m.id, m.step_id
         FROM json_each($1) AS e
         JOIN messages m ON m.enrolment_id = CAST(e.value ->> 0 AS BIGINT)
         WHERE m.campaign_id = $2 AND m.round = $3 AND m.version < $4 AND m.kind = 'step'
           AND m.state IN ('accepted', 'delivered', 'bounced', 'complained', 'uncertain')",
        Value::from(enrolments.iter().map(|id| json!([id])).collect::<Vec<_>>()).to_string(),
        head.id,
        head.round,
        head.version
    )
}

/// A message as planned.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "columns of messages by their own names")]
pub struct NewMessage {
    pub id: i64,
    pub enrolment_id: i64,
    pub contact_id: i64,
    pub step_id: i64,
    pub step_number: u32,
    pub channel: &'static str,
    pub profile_id: i64,
    pub address: String,
    pub address_hash: String,
    pub zone: String,
    pub state: &'static str,
    pub planned_at: Millis,
    /// The planner's decision and its inputs, JSON.
    pub decision: String,
    /// The reasons so far, JSON.
    pub reasons: String,
    /// The run that asked for it: its text is written at once.
    pub run_id: Option<i64>,
    /// Its text, where a template wrote it at once.
    pub text: Option<NewText>,
}

/// A text that a template wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewText {
    /// The subject of an e-mail.
    pub subject: String,
    /// The body.
    pub body: String,
    /// What goes with a text message, a JSON object.
    pub enclosed: Option<String>,
}

/// Where an enrolment stands after planning, a hand-over or an end.
#[derive(Debug, Clone)]
pub struct Advance {
    /// The enrolment.
    pub id: i64,
    /// The version of the steps that it was reckoned with.
    pub version: i64,
    /// `active`, `completed`, `stopped` or `failed`.
    pub state: &'static str,
    /// The reason of an end, JSON.
    pub reason: Option<String>,
    /// The last settled step.
    pub settled: u32,
    /// The instant the next delay counts from.
    pub base_at: Millis,
    /// When the planner looks again; none while a message is open.
    pub next_run_at: Option<Millis>,
}

/// Inserts planned messages. Answers the ids that were inserted: the others' step has a message already.
pub async fn insert_messages(
    tx: &mut Tx,
    head: &Head,
    messages: &[NewMessage],
    now: Millis,
) -> Result<Vec<i64>> {
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<_> = messages
        .iter()
        .map(|m| {
            json!([
                m.id,
                m.enrolment_id,
                m.contact_id,
                m.step_id,
                m.step_number,
                m.channel,
                m.address,
                m.address_hash,
                m.zone,
                m.state,
                m.planned_at,
                m.decision,
                m.reasons,
                m.run_id,
                m.profile_id
            ])
        })
        .collect();
    let inserted = rows!(
        &mut *tx,
        (i64,),
        "INSERT INTO messages (id, account_id, campaign_id, round, version, profile_id, enrolment_id, contact_id,
             step_id, step_number, channel, address, address_hash, zone, state, planned_at, decision, reasons,
             run_id, write_at, created_at, updated_at)
         SELECT CAST(e.value ->> 0 AS BIGINT), $2, $3, $4, $5, CAST(e.value ->> 14 AS BIGINT), CAST(e.value ->> 1 AS BIGINT),
                CAST(e.value ->> 2 AS BIGINT), CAST(e.value ->> 3 AS BIGINT), CAST(e.value ->> 4 AS BIGINT),
                e.value ->> 5, e.value ->> 6, e.value ->> 7, e.value ->> 8, e.value ->> 9,
                CAST(e.value ->> 10 AS BIGINT), e.value ->> 11, e.value ->> 12,
                CAST(e.value ->> 13 AS BIGINT), CASE WHEN e.value ->> 13 IS NULL THEN NULL ELSE $6 END, $6, $6
         FROM json_each($1) AS e WHERE TRUE
         ON CONFLICT DO NOTHING RETURNING id",
        Value::from(rows).to_string(),
        head.account_id,
        head.id,
        head.round,
        head.version,
        now
    )?;
    let inserted: Vec<i64> = inserted.into_iter().map(|r| r.0).collect();
    insert_drafts(tx, head.account_id, messages.iter().filter(|m| inserted.contains(&m.id)), now).await?;
    Ok(inserted)
}

async fn insert_drafts(
    tx: &mut Tx,
    account: i64,
    messages: impl Iterator<Item = &NewMessage>,
    now: Millis,
) -> Result<()> {
    let rows: Vec<_> = messages
        .filter_map(|m| m.text.as_ref().map(|t| json!([m.id, t.subject, t.body, t.enclosed])))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    execute!(
        tx,
        "INSERT INTO drafts (message_id, account_id, subject, body, writer, created_at, enclosed)
         SELECT CAST(e.value ->> 0 AS BIGINT), $2, e.value ->> 1, e.value ->> 2, 'template', $3, e.value ->> 3
         FROM json_each($1) AS e",
        Value::from(rows).to_string(),
        account,
        now
    )?;
    Ok(())
}

/// Moves enrolments on. A row that was ended meanwhile stays ended, and one that settled this step already
/// (an uncertain one, released by hand) stays where it is; `replan` moves rows within their step too. Where the
/// steps were edited since this was reckoned, the planner looks again at once: there may be more to come.
macro_rules! advance_sql {
    ($from:literal, $id:literal, $version:literal, $state:literal, $reason:literal, $settled:literal, $base:literal,
     $next:literal, $replan:literal, $now:literal) => {
        concat!(
            "UPDATE enrolments SET reason = ",
            $reason,
            ",
                 state = CASE WHEN ",
            $state,
            " = 'completed' AND c.version > ",
            $version,
            "
                              THEN 'active' ELSE ",
            $state,
            " END,
                 settled = ",
            $settled,
            ", base_at = ",
            $base,
            ",
                 next_run_at = CASE WHEN ",
            $state,
            " IN ('active', 'completed') AND c.version > ",
            $version,
            "
                                    THEN ",
            $now,
            " ELSE ",
            $next,
            " END,
                 -- A run has what it asked for as soon as nobody needs to look again.
                 run_id = CASE WHEN ",
            $next,
            " IS NULL THEN NULL ELSE run_id END,
                 version = ",
            $version,
            ", updated_at = ",
            $now,
            "
             FROM ",
            $from,
            ", campaigns c
             WHERE enrolments.id = ",
            $id,
            " AND enrolments.state = 'active' AND c.id = enrolments.campaign_id
               AND (enrolments.settled < ",
            $settled,
            " OR ",
            $replan,
            ")"
        )
    };
}

pub(crate) use advance_sql;

/// Moves enrolments on, as [`advance_sql`] says.
pub async fn advance(tx: &mut Tx, advances: &[Advance], replan: bool, now: Millis) -> Result<()> {
    const SQL: &str = advance_sql!(
        "json_each($1) AS e",
        "CAST(e.value ->> 0 AS BIGINT)",
        "CAST(e.value ->> 6 AS BIGINT)",
        "(e.value ->> 1)",
        "e.value ->> 2",
        "CAST(e.value ->> 3 AS BIGINT)",
        "CAST(e.value ->> 4 AS BIGINT)",
        "CAST(e.value ->> 5 AS BIGINT)",
        "$2",
        "$3"
    );
    if advances.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = advances
        .iter()
        .map(|a| json!([a.id, a.state, a.reason, a.settled, a.base_at, a.next_run_at, a.version]))
        .collect();
    execute!(tx, SQL, Value::from(rows).to_string(), replan, now)?;
    Ok(())
}
