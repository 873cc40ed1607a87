//! A restored backup: a new epoch, numbers that were never given out, and everything held until a person releases it
//! (DESIGN, Epoch). What was sent since the backup was made is in no row: only holding protects from sending it again.

use crate::campaigns::{self, Campaign};
use crate::claims::with_reasons;
use crate::db::{Tx, execute, row, rows};
use crate::error::{Error, Result};
use crate::events::{self, NewEvent};
use sendwright_workflows::campaign::{Policy, State};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::reason::Reason;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Numbers a line of time has to itself: no installation gives out so many.
pub const STRIDE: i64 = 1_000_000_000;
/// Messages settled in one statement.
const CHUNK: usize = 1_000;

/// An epoch that a recovery has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    /// Its word.
    pub epoch: String,
    /// Messages from this number on are not of it.
    pub messages_below: i64,
}

/// A recovery as it was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// When.
    pub at: Millis,
    /// The first worker since has this number or a higher one.
    pub first_worker: i64,
}

/// The epochs before the present one, the oldest first.
pub async fn former(tx: &mut Tx) -> Result<Vec<Former>> {
    Ok(meta(tx, "former_epochs").await?.unwrap_or_default())
}

/// The last recovery, if there was one.
pub async fn last(tx: &mut Tx) -> Result<Option<Restored>> {
    meta(tx, "restored").await
}

async fn meta<T: serde::de::DeserializeOwned>(tx: &mut Tx, name: &str) -> Result<Option<T>> {
    let found = row!(tx, (String,), "SELECT value FROM meta WHERE name = $1", name)?;
    let read = |(text,): (String,)| {
        serde_json::from_str(&text).map_err(|e| Error::Schema(format!("meta {name} does not read: {e}")))
    };
    found.map(read).transpose()
}

async fn set_meta(tx: &mut Tx, name: &str, value: String) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        name,
        value
    )?;
    Ok(())
}

/// How many other connections of this program the database has; nothing where it cannot tell.
pub async fn others(tx: &mut Tx) -> Result<i64> {
    if !tx.is_postgres() {
        return Ok(0);
    }
    let sql = "SELECT COUNT(*) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'sendwright' AND pid <> pg_backend_pid()";
    Ok(row!(tx, (i64,), sql)?.map_or(0, |r| r.0))
}

/// What a recovery is begun with; random, so that two that begin from the same backup do not meet.
#[derive(Debug, Clone)]
pub struct Anew {
    /// The new epoch.
    pub epoch: String,
    /// How far every number jumps: a multiple of [`STRIDE`].
    pub jump: i64,
    /// Epochs that the data directory knows of and the backup cannot.
    pub lost: Vec<String>,
}

/// Begins a recovery: everything in one transaction. `None`: it has begun already, and no worker has run since.
pub async fn begin(tx: &mut Tx, anew: &Anew, now: Millis) -> Result<Option<Restored>> {
    if let Some(last) = last(tx).await? {
        let sql = "SELECT id FROM workers WHERE id >= $1 LIMIT 1";
        if row!(&mut *tx, (i64,), sql, last.first_worker)?.is_none() {
            return Ok(None);
        }
    }
    let sql = "UPDATE id_blocks SET next = next + $1";
    execute!(&mut *tx, sql, anew.jump)?;
    let first = first_of(tx, "messages").await?.unwrap_or(anew.jump + 1);
    let first_id = first_id(tx).await? + anew.jump + 1;
    set_meta(tx, "first_id", first_id.to_string()).await?;
    begin_epoch(tx, anew, first).await?;
    jump_sequences(tx, anew.jump).await?;
    execute!(&mut *tx, "UPDATE workers SET state = 'dead' WHERE state = 'alive'")?;
    hold(tx, now).await?;
    let first_worker = first_of(tx, "workers").await?.unwrap_or(anew.jump + 1);
    let restored = Restored { at: now, first_worker };
    set_meta(tx, "restored", json!(restored).to_string()).await?;
    Ok(Some(restored))
}

async fn first_of(tx: &mut Tx, table: &str) -> Result<Option<i64>> {
    Ok(row!(tx, (i64,), "SELECT next FROM id_blocks WHERE name = $1", table)?.map(|r| r.0))
}

async fn first_id(tx: &mut Tx) -> Result<i64> {
    let sql = "SELECT CAST(value AS BIGINT) FROM meta WHERE name = 'first_id'";
    Ok(row!(tx, (i64,), sql)?.map_or(0, |r| r.0))
}

async fn begin_epoch(tx: &mut Tx, anew: &Anew, messages_below: i64) -> Result<()> {
    let mut before = former(tx).await?;
    let sql = "SELECT value FROM meta WHERE name = 'epoch'";
    let ended = row!(&mut *tx, (String,), sql)?.map(|r| r.0);
    let known: Vec<String> = before.iter().map(|f| f.epoch.clone()).collect();
    // No message that there is came to be in what was lost: such an epoch ends where the backup's own does.
    let lost = anew.lost.iter().filter(|epoch| Some(*epoch) != ended.as_ref() && !known.contains(epoch));
    for epoch in ended.iter().chain(lost) {
        before.push(Former { epoch: epoch.clone(), messages_below });
    }
    set_meta(tx, "former_epochs", json!(before).to_string()).await?;
    set_meta(tx, "epoch", anew.epoch.clone()).await
}

/// Events and deliveries are numbered on beyond what receivers may have seen since the backup: a gap shows them that
/// something is missing, a number that came twice would hide it.
async fn jump_sequences(tx: &mut Tx, jump: i64) -> Result<()> {
    execute!(
        &mut *tx,
        "INSERT INTO event_counters (account_id, last) SELECT id, $1 FROM accounts WHERE TRUE
         ON CONFLICT (account_id) DO UPDATE SET last = event_counters.last + excluded.last",
        jump
    )?;
    execute!(tx, "UPDATE endpoints SET last_number = last_number + $1", jump)?;
    Ok(())
}

/// Holds every campaign and whatever of it is not settled. What was being handed over when the backup was made is left to
/// its worker's end, which makes it uncertain.
async fn hold(tx: &mut Tx, now: Millis) -> Result<()> {
    execute!(
        &mut *tx,
        "UPDATE campaigns SET held_from = state, state = 'held', updated_at = $1
         WHERE state NOT IN ('archived', 'held')",
        now
    )?;
    execute!(
        tx,
        "UPDATE messages SET state = 'held', fence = fence + 1, worker_id = NULL, slot = NULL, updated_at = $2,
             reasons = CASE WHEN reasons = '[]' THEN '[' ELSE SUBSTR(reasons, 1, LENGTH(reasons) - 1) || ',' END || $1 || ']'
         WHERE state IN ('scheduled', 'writing', 'drafted', 'claimed')",
        json!(Reason::Recovery).to_string(),
        now
    )?;
    Ok(())
}

/// A campaign that is held.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct HeldCampaign {
    /// The row.
    pub id: i64,
    /// Whose.
    pub account_id: i64,
    /// The account's name.
    pub account: String,
    /// What people call it.
    pub name: String,
    /// What it was.
    pub held_from: String,
    /// How many of its messages are held, or wait for its release.
    pub messages: i64,
    /// How many people are under way in it.
    pub people: i64,
}

/// The campaigns that are held, of an account or of all.
pub async fn held(tx: &mut Tx, account: Option<i64>) -> Result<Vec<HeldCampaign>> {
    rows!(
        tx,
        HeldCampaign,
        "SELECT c.id, c.account_id, a.name AS account, c.name, COALESCE(c.held_from, 'paused') AS held_from,
                (SELECT COUNT(*) FROM messages m WHERE m.account_id = c.account_id AND m.campaign_id = c.id
                   AND m.state IN ('held', 'scheduled', 'drafted')) AS messages,
                (SELECT COUNT(*) FROM enrolments e WHERE e.account_id = c.account_id AND e.campaign_id = c.id
                   AND e.state = 'active') AS people
         FROM campaigns c JOIN accounts a ON a.id = c.account_id
         WHERE c.state = 'held' AND (CAST($1 AS BIGINT) IS NULL OR c.account_id = $1)
         ORDER BY c.account_id, c.id",
        account
    )
}

/// What may go when something is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terms {
    /// What was planned up to this instant may have gone out since the backup was made: it is not sent again.
    Until(Millis),
    /// Everything, also what may have gone out.
    All,
}

impl Terms {
    fn until(self) -> Option<Millis> {
        match self {
            Terms::Until(at) => Some(at),
            Terms::All => None,
        }
    }
}

/// A message that a release is about.
#[derive(Debug, sqlx::FromRow)]
struct Waiting {
    id: i64,
    enrolment_id: i64,
    contact_id: i64,
    step_number: i64,
    planned_at: i64,
    reasons: String,
}

/// What a release did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Released {
    /// Messages that may go.
    pub let_go: u64,
    /// Messages that are uncertain from now on.
    pub uncertain: u64,
}

/// How many messages [`release`] will call uncertain: each needs the number of an event. `campaign` 0 are the test sends.
pub async fn doubtful(tx: &mut Tx, account: i64, campaign: i64, terms: Terms) -> Result<usize> {
    let found = row!(
        tx,
        (i64,),
        "SELECT COUNT(*) FROM messages WHERE account_id = $1 AND campaign_id = $2
           AND state IN ('held', 'scheduled', 'drafted') AND planned_at <= $3 AND (campaign_id > 0 OR reasons LIKE $4)",
        account,
        campaign,
        terms.until().unwrap_or(Millis::MIN),
        held_last()
    )?;
    Ok(found.map_or(0, |r| r.0) as usize)
}

/// Releases a campaign, which the caller has locked behind its account's exclusive barrier: it is what it was, and of its
/// messages those go on that may. `event_ids` are as many as [`doubtful`] has counted.
pub async fn release(
    tx: &mut Tx,
    campaign: &Campaign,
    terms: Terms,
    event_ids: impl Iterator<Item = i64>,
    now: Millis,
) -> Result<Released> {
    let passed_until = campaign.policy.passed_until.max(terms.until());
    let policy = Policy { passed_until, ..campaign.policy.clone() };
    execute!(
        &mut *tx,
        // Somebody may have been enrolled while it was held, which a campaign that was through begins again for.
        "UPDATE campaigns SET held_from = NULL, policy = $2, updated_at = $3,
             state = CASE WHEN held_from = 'completed' AND EXISTS (
                 SELECT 1 FROM enrolments e WHERE e.campaign_id = $1 AND e.state = 'active') THEN 'running'
                 ELSE COALESCE(held_from, 'paused') END
         WHERE id = $1 AND state = $4",
        campaign.id,
        campaigns::policy_text(&policy),
        now,
        State::Held.as_str()
    )?;
    release_messages(tx, campaign.account_id, campaign.id, terms, event_ids, now).await
}

/// The same for the messages alone: `campaign` 0 are the account's test sends.
pub async fn release_messages(
    tx: &mut Tx,
    account: i64,
    campaign: i64,
    terms: Terms,
    mut event_ids: impl Iterator<Item = i64>,
    now: Millis,
) -> Result<Released> {
    let mut released = Released::default();
    if let Some(until) = terms.until() {
        let waiting = rows!(
            &mut *tx,
            Waiting,
            "SELECT id, enrolment_id, contact_id, step_number, planned_at, reasons FROM messages
             WHERE account_id = $1 AND campaign_id = $2 AND state IN ('held', 'scheduled', 'drafted')
               AND planned_at <= $3 AND (campaign_id > 0 OR reasons LIKE $4) ORDER BY id",
            account,
            campaign,
            until,
            held_last()
        )?;
        for chunk in waiting.chunks(CHUNK) {
            released.uncertain += doubt(tx, chunk, now).await?;
            let told: Vec<NewEvent> =
                chunk.iter().zip(&mut event_ids).map(|(m, id)| told(m, id, account, campaign, now)).collect();
            events::insert(tx, &told).await?;
        }
    }
    // What waits for a person for another reason goes on waiting.
    released.let_go = execute!(
        tx,
        "UPDATE messages SET updated_at = $3, state = CASE WHEN EXISTS (
             SELECT 1 FROM drafts d WHERE d.message_id = messages.id) THEN 'drafted' ELSE 'scheduled' END
         WHERE account_id = $1 AND campaign_id = $2 AND state = 'held' AND reasons LIKE $4",
        account,
        campaign,
        now,
        held_last()
    )?;
    Ok(released)
}

/// What the reasons of a message are like that the recovery alone holds.
fn held_last() -> String {
    format!("%{}]", json!(Reason::Recovery))
}

/// Calls messages uncertain, and moves their enrolments past them.
async fn doubt(tx: &mut Tx, messages: &[Waiting], now: Millis) -> Result<u64> {
    let lines: Vec<Value> = messages
        .iter()
        .map(|m| {
            let reasons = with_reasons(&m.reasons, vec![Reason::Recovery]);
            json!([m.id, reasons, m.enrolment_id, m.step_number, m.planned_at])
        })
        .collect();
    let lines = Value::from(lines).to_string();
    let done = execute!(
        &mut *tx,
        "UPDATE messages SET state = 'uncertain', reasons = e.value ->> 1, fence = fence + 1, slot = NULL,
             worker_id = NULL, look_at = NULL, updated_at = $2
         FROM json_each($1) AS e WHERE messages.id = CAST(e.value ->> 0 AS BIGINT)",
        &lines,
        now
    )?;
    execute!(
        tx,
        "UPDATE enrolments SET settled = CAST(e.value ->> 3 AS BIGINT), base_at = CAST(e.value ->> 4 AS BIGINT),
             next_run_at = $2, updated_at = $2
         FROM json_each($1) AS e
         WHERE enrolments.id = CAST(e.value ->> 2 AS BIGINT) AND enrolments.state = 'active'
           AND enrolments.settled < CAST(e.value ->> 3 AS BIGINT)",
        &lines,
        now
    )?;
    Ok(done)
}

fn told(message: &Waiting, id: i64, account: i64, campaign: i64, now: Millis) -> NewEvent {
    let some = |id: i64| (id > 0).then_some(id);
    NewEvent {
        id,
        account_id: account,
        kind: "message.uncertain",
        campaign_id: some(campaign),
        contact_id: some(message.contact_id),
        enrolment_id: some(message.enrolment_id),
        message_id: Some(message.id),
        data: json!({ "step": message.step_number, "reasons": [Reason::Recovery] }).to_string(),
        at: now,
    }
}
