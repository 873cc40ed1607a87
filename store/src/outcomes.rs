//! T3, the outcome: what the provider said, the events, and where the enrolment goes (SEND_PROTOCOL 9 to 13).

use crate::claims::with_reasons;
use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use crate::events::{self, NewEvent};
use crate::planning::{Advance, advance};
use sendwright_workflows::clock::{Micros, Millis};
use sendwright_workflows::event::on_channel;
use sendwright_workflows::message::State;
use sendwright_workflows::outcome::Had;
pub use sendwright_workflows::outcome::{Against, End};
use sendwright_workflows::reason::Reason;
use sendwright_workflows::receipt::Receipt;
use sendwright_workflows::sequence::Channel;
use serde_json::{Value, json};
use sql::{accept_sql, close_sql};

mod in_one;
mod sql;

/// An outcome to record. `event_id` is taken beforehand.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "columns of attempts and messages by their own names")]
pub struct Outcome {
    pub attempt_id: i64,
    pub message_id: i64,
    pub account_id: i64,
    pub campaign_id: i64,
    pub contact_id: i64,
    pub enrolment_id: i64,
    pub channel: Channel,
    pub step_number: u32,
    pub fence: i64,
    pub slot: Micros,
    pub address: String,
    pub address_hash: String,
    pub subject: String,
    pub end: End,
    pub stage: Option<&'static str>,
    pub reply: Option<u16>,
    pub detail: Option<String>,
    /// What a provider with an API of its own says beside.
    pub receipt: Receipt,
    /// When the provider is asked what became of it, where nobody knows.
    pub look_at: Option<Millis>,
    pub at: Millis,
    /// The worker died with it: an outcome that recovery found.
    pub crashed: bool,
    /// Where the enrolment goes when this step is settled.
    pub then: Option<Advance>,
    /// The suppression's row and the address as people may see it, where the address is [`Against::Bad`].
    pub suppression: Option<(i64, String)>,
    /// For the mailbox channel: the raw message, kept in this very transaction.
    pub mail: Option<Mail>,
    pub event_id: i64,
}

/// A message in the captured mailbox.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "columns of mailbox by their own names")]
pub struct Mail {
    pub id: i64,
    pub sender: String,
    pub raw: String,
}

/// Records outcomes, all or none. An attempt's own row always takes its truth; a message only follows where
/// this attempt is still the one that counts.
pub async fn settle(tx: &mut Tx, outcomes: &[Outcome]) -> Result<()> {
    let Some(last) = outcomes.last() else { return Ok(()) };
    let now = last.at;
    lock(tx, outcomes).await?;
    let (accepted, others): (Vec<_>, Vec<_>) = outcomes.iter().partition(|o| o.end == End::Accepted);
    let moved = match tx.is_postgres() {
        true => in_one::record(tx, &accepted, now).await?,
        false => record(tx, &accepted, now).await?,
    };
    keep_mail(tx, &moved).await?;
    close_attempts(tx, &others).await?;
    let mut moved = Vec::with_capacity(others.len());
    for outcome in others {
        if follow(tx, outcome).await? {
            moved.push(outcome);
        }
    }
    tell(tx, &moved, now).await?;
    suppress(tx, &moved).await?;
    keep_mail(tx, &moved).await
}

/// Records acceptances, a statement for each table. Answers those whose message had not been accepted before.
async fn record<'o>(tx: &mut Tx, accepted: &[&'o Outcome], now: Millis) -> Result<Vec<&'o Outcome>> {
    close_attempts(tx, accepted).await?;
    let taken = accept(tx, accepted, now).await?;
    let moved = accepted.iter().copied().filter(|o| taken.contains(&o.message_id)).collect::<Vec<_>>();
    tell(tx, &moved, now).await?;
    Ok(moved)
}

/// The events of outcomes, and where the enrolments of those go that settle a step.
async fn tell(tx: &mut Tx, moved: &[&Outcome], now: Millis) -> Result<()> {
    let told: Vec<_> = moved.iter().filter_map(|o| event_of(o)).collect();
    events::insert(tx, &told).await?;
    let advances: Vec<_> = moved.iter().filter(|o| o.end.settles()).filter_map(|o| o.then.clone()).collect();
    advance(tx, &advances, false, now).await
}

/// Holds the messages, in the order of their ids: an intent whose COMMIT had no answer is over by then, and its
/// attempt is seen if it stands.
async fn lock(tx: &mut Tx, outcomes: &[Outcome]) -> Result<()> {
    // What was accepted was begun, so its intent's COMMIT was answered.
    if tx.is_postgres() && outcomes.iter().any(|o| o.end != End::Accepted) {
        let ids = Value::from(outcomes.iter().map(|o| json!([o.message_id])).collect::<Vec<_>>()).to_string();
        let sql = "SELECT id FROM messages WHERE id IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM json_each($1) AS e)
             ORDER BY id FOR UPDATE";
        rows!(tx, (i64,), sql, ids)?;
    }
    Ok(())
}

async fn close_attempts(tx: &mut Tx, outcomes: &[&Outcome]) -> Result<()> {
    const SQL: &str = close_sql!(
        "json_each($1) AS e",
        "CAST(e.value ->> 0 AS BIGINT)",
        "e.value ->> 1",
        "e.value ->> 2",
        "CAST(e.value ->> 3 AS BIGINT)",
        "e.value ->> 4",
        "CAST(e.value ->> 5 AS BIGINT)",
        "e.value ->> 6"
    );
    if outcomes.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = outcomes
        .iter()
        .map(|o| json!([o.attempt_id, o.end.of_attempt(), o.stage, o.reply, o.detail, o.at, o.receipt.id]))
        .collect();
    execute!(tx, SQL, Value::from(rows).to_string())?;
    Ok(())
}

async fn accept(tx: &mut Tx, outcomes: &[&Outcome], now: Millis) -> Result<Vec<i64>> {
    const SQL: &str = accept_sql!(
        "json_each($1) AS e",
        "CAST(e.value ->> 0 AS BIGINT)",
        "CAST(e.value ->> 1 AS BIGINT)",
        "CAST(e.value ->> 2 AS BIGINT)",
        "e.value ->> 3",
        "$2"
    );
    if outcomes.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<_> =
        outcomes.iter().map(|o| json!([o.message_id, o.at, o.slot, o.receipt.status])).collect();
    let taken = rows!(tx, (i64,), SQL, Value::from(rows).to_string(), now)?;
    Ok(taken.into_iter().map(|r| r.0).collect())
}

/// What is stored of a message that an outcome is about.
#[derive(sqlx::FromRow)]
struct Stored {
    state: String,
    reasons: String,
    crashes: i64,
    campaign_id: i64,
    overtaken: bool,
}

/// Writes a message's state after anything but an acceptance. `false`: another attempt counts by now.
async fn follow(tx: &mut Tx, outcome: &Outcome) -> Result<bool> {
    let Some(stored) = stored(tx, outcome.message_id).await? else { return Ok(false) };
    let had = Had {
        overtaken: stored.overtaken,
        crashed: outcome.crashed,
        crashes: stored.crashes,
        bounces: !outcome.channel.is_phone(),
    };
    let (state, planned, reason) = outcome.end.follows(had);
    // What is no proof of acceptance follows only from `sending`, or settles what was thought uncertain.
    let from_uncertain = i64::from(outcome.end != End::Unknown);
    // An intent whose COMMIT failed left no attempt, and the fence is the next claim's: its `not_started` may come when
    // that one is under way.
    // A server that takes its time may refuse before the intent at the dot: that is a try as well.
    let before_intent = i64::from(outcome.end.of_attempt() == "refused");
    let crashes = if outcome.crashed { stored.crashes } else { 0 };
    let done = execute!(
        &mut *tx,
        "UPDATE messages SET state = $3, planned_at = COALESCE($4, planned_at), reasons = $5, worker_id = NULL,
             slot = CASE WHEN $3 = 'drafted' THEN NULL ELSE slot END, crashes = $6, updated_at = $7,
             provider_code = $10, look_at = $11, looks = 0,
             attempts = attempts + CASE WHEN state = 'claimed' AND $9 = 1 THEN 1 ELSE 0 END
         WHERE id = $1 AND fence = $2 AND (state = 'claimed' OR ((state = 'sending' OR (state = 'uncertain' AND $8 = 1))
               AND EXISTS (SELECT 1 FROM attempts a WHERE a.id = $12)))",
        outcome.message_id,
        outcome.fence,
        state.as_str(),
        planned,
        with_reasons(&stored.reasons, vec![reason]),
        crashes,
        outcome.at,
        from_uncertain,
        before_intent,
        outcome.receipt.code.map(i64::from),
        outcome.look_at,
        outcome.attempt_id
    )?;
    if done == 1 && stored.state == "uncertain" && state == State::Drafted {
        reopen(tx, stored.campaign_id, outcome.at).await?;
    }
    Ok(done == 1)
}

async fn stored(tx: &mut Tx, message: i64) -> Result<Option<Stored>> {
    row!(
        tx,
        Stored,
        "SELECT m.state, m.reasons, m.crashes, m.campaign_id,
                m.state = 'uncertain' AND EXISTS (
                    SELECT 1 FROM messages l WHERE l.enrolment_id = m.enrolment_id AND l.enrolment_id > 0
                       AND l.step_number > m.step_number AND l.attempts > 0) AS overtaken
         FROM messages m WHERE m.id = $1",
        message
    )
}

/// Something is to be sent in a campaign that may be through: it runs until that is settled. By its door, because whoever
/// completes it at this instant does not see yet what is open again. The door comes after the message, against the order of
/// locks, so that no acceptance waits for it; a person who releases that very message meanwhile is tried again.
async fn reopen(tx: &mut Tx, campaign: i64, now: Millis) -> Result<()> {
    tx.door(campaign, false).await?;
    let sql = "UPDATE campaigns SET state = 'running', updated_at = $2 WHERE id = $1 AND state = 'completed'";
    execute!(tx, sql, campaign, now)?;
    Ok(())
}

fn event_of(outcome: &Outcome) -> Option<NewEvent> {
    let what = match &outcome.end {
        End::Accepted => "sent",
        End::Failed { .. } if outcome.end.is_bounce(!outcome.channel.is_phone()) => "bounced",
        End::Failed { .. } => "failed",
        End::Unknown | End::Retry { reason: Reason::Uncertain, .. } => "uncertain",
        End::Retry { .. } => return None,
    };
    let kind = match what {
        "uncertain" => "message.uncertain",
        what => on_channel(outcome.channel.as_str(), what)?,
    };
    let mut data = json!({ "step": outcome.step_number, "reply": outcome.reply, "detail": outcome.detail });
    match outcome.channel.is_phone() {
        false => {
            data["email"] = json!(outcome.address);
            data["subject"] = json!(outcome.subject);
        }
        true => {
            data["phone"] = json!(outcome.address);
            data["provider_id"] = json!(outcome.receipt.id);
            data["code"] = json!(outcome.receipt.code);
        }
    }
    Some(NewEvent {
        id: outcome.event_id,
        account_id: outcome.account_id,
        kind,
        campaign_id: (outcome.campaign_id > 0).then_some(outcome.campaign_id),
        contact_id: (outcome.contact_id > 0).then_some(outcome.contact_id),
        enrolment_id: (outcome.enrolment_id > 0).then_some(outcome.enrolment_id),
        message_id: Some(outcome.message_id),
        data: data.to_string(),
        at: outcome.at,
    })
}

/// Suppression on a provider's word takes no barrier: no promise rests on it.
async fn suppress(tx: &mut Tx, outcomes: &[&Outcome]) -> Result<()> {
    let rows: Vec<_> = outcomes
        .iter()
        .filter_map(|o| {
            let (id, hint) = o.suppression.as_ref()?;
            let source = if o.channel.is_phone() { "provider" } else { "smtp" };
            Some(json!([id, o.account_id, o.address_hash, hint, o.at, o.channel.as_str(), source]))
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    execute!(
        tx,
        "INSERT INTO suppressions (id, account_id, channel, address_hash, hint, why, source, created_at)
         SELECT CAST(e.value ->> 0 AS BIGINT), CAST(e.value ->> 1 AS BIGINT), e.value ->> 5, e.value ->> 2,
                e.value ->> 3, 'bounced', e.value ->> 6, CAST(e.value ->> 4 AS BIGINT)
         FROM json_each($1) AS e WHERE TRUE ON CONFLICT DO NOTHING",
        Value::from(rows).to_string()
    )?;
    Ok(())
}

async fn keep_mail(tx: &mut Tx, outcomes: &[&Outcome]) -> Result<()> {
    let rows: Vec<_> = outcomes
        .iter()
        .filter_map(|o| o.mail.as_ref().map(|mail| (o, mail)))
        .map(|(o, mail)| {
            json!([
                mail.id,
                o.account_id,
                o.message_id,
                o.attempt_id,
                mail.sender,
                o.address,
                o.subject,
                mail.raw,
                o.at
            ])
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    execute!(
        tx,
        "INSERT INTO mailbox (id, account_id, message_id, attempt_id, sender, recipient, subject, raw, received_at)
         SELECT CAST(e.value ->> 0 AS BIGINT), CAST(e.value ->> 1 AS BIGINT), CAST(e.value ->> 2 AS BIGINT),
                CAST(e.value ->> 3 AS BIGINT), e.value ->> 4, e.value ->> 5, e.value ->> 6, e.value ->> 7,
                CAST(e.value ->> 8 AS BIGINT)
         FROM json_each($1) AS e",
        Value::from(rows).to_string()
    )?;
    Ok(())
}
