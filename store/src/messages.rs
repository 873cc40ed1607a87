//! Messages as people see and steer them: lists, one with its attempts, releases, cancellations, test sends.

use crate::claims::with_reasons;
use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use crate::page::Page;
use sendwright_workflows::clock::{Micros, Millis};
use sendwright_workflows::message::{State, UNPLANNED};
use sendwright_workflows::reason::Reason;
use sendwright_workflows::sequence::Channel;
use serde_json::json;

/// A stored message, without its text.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns of messages by their own names")]
pub struct Message {
    pub id: i64,
    pub account_id: i64,
    pub kind: String,
    pub campaign_id: i64,
    pub round: i64,
    pub enrolment_id: i64,
    pub contact_id: i64,
    pub profile_id: i64,
    pub step_id: i64,
    pub step_number: i64,
    pub version: i64,
    pub channel: String,
    pub address: String,
    pub address_hash: String,
    pub zone: String,
    pub state: String,
    pub planned_at: Millis,
    pub decision: String,
    pub reasons: String,
    pub slot: Option<Micros>,
    pub fence: i64,
    pub attempts: i64,
    /// Released by hand.
    pub approved: bool,
    pub accepted_at: Option<Millis>,
    pub opened_at: Option<Millis>,
    pub clicked_at: Option<Millis>,
    pub created_at: Millis,
    pub updated_at: Millis,
}

impl Message {
    /// The channel that it goes by.
    pub fn channel(&self) -> Channel {
        Channel::parse(&self.channel).unwrap_or_default()
    }

    /// Its state; one that this program does not know reads as held, which nothing happens to by itself.
    pub fn state(&self) -> State {
        State::parse(&self.state).unwrap_or(State::Held)
    }

    /// Every reason so far, the oldest first.
    pub fn reasons(&self) -> Vec<Reason> {
        serde_json::from_str(&self.reasons).unwrap_or_default()
    }

    /// The instant it is planned for; none before its campaign has a start to count from.
    pub fn planned(&self) -> Option<Millis> {
        (self.planned_at < UNPLANNED).then_some(self.planned_at)
    }

    /// Whether it belongs to a campaign's sequence; a test send does not.
    pub fn is_step(&self) -> bool {
        self.kind == "step"
    }
}

/// A message's text.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Text {
    /// The subject; empty where the thread's or the campaign's name stands in.
    pub subject: String,
    /// The body, without any footer.
    pub body: String,
    /// `template`, `model`, `offline` or `hand`.
    pub writer: String,
    /// A JSON object: model, prompt hash, tokens, attempts.
    pub writing: String,
    /// When it was written.
    pub created_at: Millis,
}

/// One hand-over that was begun.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Attempt {
    /// Its row.
    pub id: i64,
    /// The worker that began it.
    pub worker_id: i64,
    /// The slot it was begun in.
    pub slot: Micros,
    /// `sending`, `accepted`, `refused`, `not_started` or `uncertain`.
    pub state: String,
    /// How far it came: `prepare`, `mail`, `rcpt`, `data`, `body`, `answer`.
    pub stage: Option<String>,
    /// The provider's code.
    pub reply: Option<i64>,
    /// The provider's words, or ours where there was no answer.
    pub detail: Option<String>,
    /// When it was committed to.
    pub intent_at: Millis,
    /// When its end was recorded.
    pub ended_at: Option<Millis>,
}

/// Which messages a list holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter {
    /// In this state.
    pub state: Option<State>,
    /// Of this campaign.
    pub campaign: Option<i64>,
}

/// The columns of a [`Message`].
macro_rules! columns {
    () => {
        "id, account_id, kind, campaign_id, round, enrolment_id, contact_id, profile_id, step_id, step_number,
         version, channel, address, address_hash, zone, state, planned_at, decision, reasons, slot, fence,
         attempts, approved, accepted_at, opened_at, clicked_at, created_at,
         CASE WHEN accepted_at > updated_at THEN accepted_at ELSE updated_at END AS updated_at"
    };
}

pub(crate) use columns;

/// The condition of a filter over $1 account, $2 state, $3 campaign. There are three texts, since an index is
/// only used where the text itself says what the index holds.
macro_rules! filtered {
    ($filter:expr, $head:expr, $tail:literal) => {{
        let waiting = matches!($filter.state, Some(State::Held | State::Uncertain));
        match ($filter.campaign, waiting) {
            (Some(_), _) => concat!(
                $head,
                " FROM messages WHERE account_id = $1 AND (CAST($2 AS TEXT) IS NULL OR state = $2)
                    AND campaign_id = $3",
                $tail
            ),
            (None, true) => concat!(
                $head,
                " FROM messages WHERE account_id = $1 AND waits IN ('held', 'uncertain') AND waits = $2
                    AND CAST($3 AS BIGINT) IS NULL",
                $tail
            ),
            (None, false) => concat!(
                $head,
                " FROM messages WHERE account_id = $1 AND (CAST($2 AS TEXT) IS NULL OR state = $2)
                    AND CAST($3 AS BIGINT) IS NULL",
                $tail
            ),
        }
    }};
}

/// The account's messages by number: those behind the page's last one.
pub async fn list(tx: &mut Tx, account: i64, filter: Filter, page: Page) -> Result<Vec<Message>> {
    // Numbers carry no order in time; they are what every one of these lists can be walked by without a sort.
    let sql = match page.descending {
        false => {
            filtered!(filter, concat!("SELECT ", columns!()), " AND id > $4 ORDER BY id LIMIT $5 OFFSET $6")
        }
        true => filtered!(
            filter,
            concat!("SELECT ", columns!()),
            " AND id < $4 ORDER BY id DESC LIMIT $5 OFFSET $6"
        ),
    };
    let state = filter.state.map(State::as_str);
    rows!(tx, Message, sql, account, state, filter.campaign, page.after.1, page.limit, page.skip)
}

/// How many messages a list holds, counted up to `most`.
pub async fn count(tx: &mut Tx, account: i64, filter: Filter, most: i64) -> Result<i64> {
    let sql = filtered!(filter, "SELECT COUNT(*) FROM (SELECT 1 AS one", " LIMIT $4) AS found");
    let state = filter.state.map(State::as_str);
    Ok(row!(tx, (i64,), sql, account, state, filter.campaign, most)?.map_or(0, |r| r.0))
}

/// The account's message with this number.
pub async fn get(tx: &mut Tx, account: i64, id: i64) -> Result<Option<Message>> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM messages WHERE account_id = $1 AND id = $2");
    row!(tx, Message, SQL, account, id)
}

/// The same, locked for the rest of the transaction. On SQLite the IMMEDIATE transaction is the lock.
pub async fn lock(tx: &mut Tx, account: i64, id: i64) -> Result<Option<Message>> {
    const SQL: &str =
        concat!("SELECT ", columns!(), " FROM messages WHERE account_id = $1 AND id = $2 FOR UPDATE");
    match tx.is_postgres() {
        true => row!(tx, Message, SQL, account, id),
        false => get(tx, account, id).await,
    }
}

/// A message's text, once it is written.
pub async fn text(tx: &mut Tx, message: i64) -> Result<Option<Text>> {
    let sql = "SELECT subject, body, writer, writing, created_at FROM drafts WHERE message_id = $1";
    row!(tx, Text, sql, message)
}

/// A message's attempts, in their order.
pub async fn attempts(tx: &mut Tx, message: i64) -> Result<Vec<Attempt>> {
    rows!(
        tx,
        Attempt,
        "SELECT id, worker_id, slot, state, stage, reply, detail, intent_at, ended_at
         FROM attempts WHERE message_id = $1 ORDER BY intent_at, id",
        message
    )
}

/// The messages of an enrolment, by step.
pub async fn of_enrolment(tx: &mut Tx, account: i64, enrolment: i64) -> Result<Vec<Message>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM messages WHERE account_id = $1 AND enrolment_id = $2 ORDER BY step_number, id"
    );
    rows!(tx, Message, SQL, account, enrolment)
}

/// Where a released message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// `Drafted`, or `Scheduled` where there is no text yet.
    pub to: State,
    /// The version and the sending profile it leaves under.
    pub version: i64,
    /// See `version`.
    pub profile_id: i64,
}

/// Lets a message go that waits for a person. `false`: it moved since it was read.
pub async fn release(tx: &mut Tx, message: &Message, release: Release, now: Millis) -> Result<bool> {
    let done = execute!(
        tx,
        "UPDATE messages SET state = $3, approved = TRUE, fence = fence + 1, version = $4, profile_id = $5,
             slot = NULL, worker_id = NULL, look_at = NULL, updated_at = $6
         WHERE id = $1 AND fence = $2 AND state IN ('held', 'uncertain')",
        message.id,
        message.fence,
        release.to.as_str(),
        release.version,
        release.profile_id,
        now
    )?;
    Ok(done == 1)
}

/// Lets an enrolment go on whose person asked in words of their own to be left alone: somebody has decided.
pub async fn let_go_on(tx: &mut Tx, enrolment: i64, now: Millis) -> Result<()> {
    let sql = "UPDATE enrolments SET asked_at = NULL, updated_at = $2 WHERE id = $1 AND asked_at IS NOT NULL";
    execute!(tx, sql, enrolment, now)?;
    Ok(())
}

/// Cancels a message that is in nobody's hands, under the account's exclusive barrier. A writer that has it
/// loses it. `false`: it moved since it was read.
pub async fn cancel(tx: &mut Tx, message: &Message, now: Millis) -> Result<bool> {
    let done = execute!(
        tx,
        "UPDATE messages SET state = 'cancelled', reasons = $3, fence = fence + 1, worker_id = NULL,
             look_at = NULL, updated_at = $4
         WHERE id = $1 AND fence = $2 AND state = $5",
        message.id,
        message.fence,
        with_reasons(&message.reasons, vec![Reason::Cancelled]),
        now,
        &message.state
    )?;
    Ok(done == 1)
}

/// Moves an enrolment past a step that will not be sent, if it still waits for it; the next delay counts from
/// `base`.
pub async fn pass_over(tx: &mut Tx, message: &Message, base: Millis, now: Millis) -> Result<bool> {
    let done = execute!(
        tx,
        "UPDATE enrolments SET settled = $2, base_at = $3, next_run_at = $4, updated_at = $4
         WHERE id = $1 AND state = 'active' AND settled < $2",
        message.enrolment_id,
        message.step_number,
        base,
        now
    )?;
    Ok(done == 1)
}

/// A test send: outside the counts and the enrolments, a round of its own, so that none is one too many.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "columns of messages by their own names")]
pub struct Test {
    pub id: i64,
    pub step_id: i64,
    pub step_number: u32,
    pub channel: Channel,
    pub profile_id: i64,
}

/// What the test sends of one request share.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "columns of messages by their own names")]
pub struct Tests<'a> {
    pub account_id: i64,
    pub contact_id: i64,
    pub version: i64,
    pub address: &'a str,
    pub address_hash: &'a str,
    pub zone: &'a str,
    pub decision: &'a str,
}

/// Inserts test sends, whose texts are written next.
pub async fn insert_tests(tx: &mut Tx, shared: &Tests<'_>, tests: &[Test], now: Millis) -> Result<()> {
    let rows: Vec<_> = tests
        .iter()
        .map(|t| json!([t.id, t.step_id, t.step_number, t.channel.as_str(), t.profile_id]))
        .collect();
    execute!(
        tx,
        "INSERT INTO messages (id, account_id, kind, campaign_id, round, version, profile_id, enrolment_id,
             contact_id, step_id, step_number, channel, address, address_hash, zone, state, planned_at, decision,
             reasons, created_at, updated_at)
         SELECT CAST(e.value ->> 0 AS BIGINT), $2, 'test', 0, CAST(e.value ->> 0 AS BIGINT), $3,
                CAST(e.value ->> 4 AS BIGINT), 0, $4, CAST(e.value ->> 1 AS BIGINT),
                CAST(e.value ->> 2 AS BIGINT), e.value ->> 3, $5, $6, $7, 'scheduled', $9, $8, '[]', $9, $9
         FROM json_each($1) AS e",
        serde_json::Value::from(rows).to_string(),
        shared.account_id,
        shared.version,
        shared.contact_id,
        shared.address,
        shared.address_hash,
        shared.zone,
        shared.decision,
        now
    )?;
    Ok(())
}

/// Due messages before this one in its profile's line, of its own campaign and of all others, each counted up
/// to `most`.
pub async fn ahead(tx: &mut Tx, message: &Message, now: Millis, most: i64) -> Result<(i64, i64)> {
    let found = row!(
        tx,
        (i64, i64),
        "SELECT (SELECT COUNT(*) FROM (SELECT 1 AS one FROM messages m WHERE m.profile_id = $1 AND m.waits = 'drafted'
                   AND m.campaign_id = $2 AND m.planned_at <= $3
                   AND (m.planned_at, m.enrolment_id) < ($4, $5) LIMIT $6) AS own),
                (SELECT COUNT(*) FROM (SELECT 1 AS one FROM campaigns c JOIN messages m ON m.campaign_id = c.id
                   WHERE (c.profile_id = $1 OR c.sms_profile_id = $1 OR c.whatsapp_profile_id = $1)
                   AND c.state = 'running' AND c.id <> $2 AND m.profile_id = $1
                   AND m.waits = 'drafted' AND m.planned_at <= $3
                   AND (m.planned_at, m.enrolment_id) < ($4, $5) LIMIT $6) AS others)",
        message.profile_id,
        message.campaign_id,
        now,
        message.planned_at,
        message.enrolment_id,
        most
    )?;
    Ok(found.unwrap_or_default())
}

/// What the planner did to an enrolment without making a message.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct PlanningEvent {
    /// `step.skipped` or `enrolment.stopped`.
    pub kind: String,
    /// A JSON object: step, instant, reasons.
    pub data: String,
    /// When.
    pub at: Millis,
}

/// Steps that were passed over and the end that the planner gave an enrolment.
pub async fn planning_events(tx: &mut Tx, account: i64, enrolment: i64) -> Result<Vec<PlanningEvent>> {
    rows!(
        tx,
        PlanningEvent,
        "SELECT kind, data, at FROM events
         WHERE account_id = $1 AND enrolment_id = $2 AND kind IN ('step.skipped', 'enrolment.stopped')
         ORDER BY at, id",
        account,
        enrolment
    )
}
