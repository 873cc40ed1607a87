//! Uncertain text messages: Twilio's list is asked whether they were made (SEND_PROTOCOL 9, 12, 16; FAULTS F63).
//!
//! A message that is in the list is proven accepted. One that is not, at the last of several looks, was not made, and goes
//! again. What looks alike and is not the same is left to a person, as is what can no longer be asked for.

use crate::channels::twilio::{Listed, Search, Sender, Trouble};
use crate::channels::{Outcome as Said, Refusal, Told};
use crate::context::Context;
use crate::outlet::{self, To};
use crate::recorder::settle;
use crate::recovery::claimed;
use crate::verdict::ended;
use sendwright_store::callbacks::{self, NewCallback};
use sendwright_store::searches::{self, Sought};
use sendwright_store::{Result, recovery};
use sendwright_workflows::backoff;
use sendwright_workflows::clock::{MINUTE, Millis};
use sendwright_workflows::receipt::Receipt;
use std::collections::HashSet;

/// Messages taken at once.
const BATCH: i64 = 32;
/// How far the provider's clock may be from ours, and how long it may have taken to make a message.
const SLACK: (Millis, Millis) = (2 * MINUTE, 15 * MINUTE);
/// How long a message is looked for whose provider does not answer.
const PATIENCE: Millis = backoff::GIVE_UP;

/// What a look came to.
enum Found {
    /// It is there.
    There(Box<Listed>),
    /// Nothing like it is.
    Absent,
    /// It cannot be told: something alike is there, or nobody can be asked. Only a person can.
    Unclear,
    /// Not now, since something is under way: looked again after so long, and it does not count.
    Later(Millis),
    /// The provider does not answer: the same, for all of the profile's.
    Away(Millis),
}

/// Looks for the messages whose time has come. Answers how many.
pub async fn pass(ctx: &Context, now: Millis) -> Result<usize> {
    let mut tx = ctx.store.begin().await?;
    let sought = searches::take(&mut tx, BATCH, now).await?;
    tx.commit().await?;
    let mut away = HashSet::new();
    for one in &sought {
        let found = match away.contains(&one.profile_id) {
            true => Found::Away(MINUTE),
            false => look(ctx, one).await?,
        };
        if matches!(found, Found::Away(_)) {
            away.insert(one.profile_id);
        }
        conclude(ctx, one, found, now).await?;
    }
    Ok(sought.len())
}

/// One look.
async fn look(ctx: &Context, sought: &Sought) -> Result<Found> {
    let mut tx = ctx.store.read().await?;
    let route = outlet::route(ctx, &mut tx, sought.profile_id).await?;
    let has_open = searches::has_open(&mut tx, sought).await?;
    tx.commit().await?;
    let sender = match route.to {
        To::Twilio(sender) if sought.provider.as_deref() == Some(&sender.access.sid) => sender,
        // The mailbox is a table of ours: what is not recorded as accepted is not in it.
        To::Mailbox if sought.provider.is_none() => return Ok(Found::Absent),
        _ => return Ok(Found::Unclear),
    };
    if has_open {
        return Ok(Found::Later(MINUTE));
    }
    match candidates(ctx, &sender, sought).await {
        Ok(candidates) => choose(ctx, sought, candidates).await,
        Err(trouble) => {
            tracing::warn!(message = sought.id, %trouble, "an uncertain message could not be looked for");
            let asked = match trouble {
                Trouble::Refused { retry_after, .. } => retry_after,
                _ => None,
            };
            Ok(Found::Away(asked.unwrap_or(3 * MINUTE)))
        }
    }
}

/// What Twilio has for this number around the hand-over.
async fn candidates(
    ctx: &Context,
    sender: &Sender,
    sought: &Sought,
) -> std::result::Result<Vec<Listed>, Trouble> {
    let (before, after) = SLACK;
    let search = Search { to: &sought.address, since: sought.since - before };
    let mut found = ctx.twilio.list(sender, search).await?;
    found.retain(|message| message.created_at <= sought.until + after);
    Ok(found)
}

/// The first that is the same and nobody else's.
async fn choose(ctx: &Context, sought: &Sought, mut candidates: Vec<Listed>) -> Result<Found> {
    let names: Vec<&str> = candidates.iter().filter_map(|message| message.receipt.id.as_deref()).collect();
    let mut tx = ctx.store.read().await?;
    let taken = searches::taken(&mut tx, &names, sought.attempt_id).await?;
    let has_rival = searches::has_rival(&mut tx, sought).await?;
    tx.commit().await?;
    candidates.retain(|message| message.receipt.id.as_ref().is_some_and(|name| !taken.contains(name)));
    let is_empty = candidates.is_empty();
    for message in candidates.into_iter().filter(|message| is_same(sought, message)) {
        let name = message.receipt.id.clone().unwrap_or_default();
        let mut tx = ctx.store.begin().await?;
        let is_named = searches::name(&mut tx, sought.account_id, sought.attempt_id, &name).await?;
        tx.commit().await?;
        if is_named {
            return Ok(Found::There(Box::new(message)));
        }
    }
    Ok(match (is_empty, has_rival) {
        (true, _) => Found::Absent,
        // The other's own look is the one to name it.
        (false, true) => Found::Later(MINUTE),
        (false, false) => Found::Unclear,
    })
}

/// Whether a text is what went out. A trial account puts words in front of it; a content template's text is Twilio's own.
fn is_same(sought: &Sought, message: &Listed) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let has_template =
        sought.enclosed.as_deref().is_some_and(|enclosed| enclosed.contains("\"content_sid\":\""));
    has_template || words(&message.body).ends_with(&words(&sought.body))
}

/// Records what a look came to.
async fn conclude(ctx: &Context, sought: &Sought, found: Found, now: Millis) -> Result<()> {
    let looks = sought.looks + 1;
    let next = u32::try_from(looks).ok().and_then(backoff::look).map(|wait| now + wait);
    match found {
        Found::There(message) => {
            let said = Said::Accepted { code: 200, reply: "found in Twilio's list".into() };
            // How far it came is told after it is proven, as any callback tells it.
            let receipt = Receipt { status: None, ..message.receipt.clone() };
            record(ctx, sought, Told { said, receipt }, now).await?;
            tell_status(ctx, sought, &message.receipt, now).await
        }
        Found::Absent if next.is_none() => {
            let reason = Refusal::Withdrawn("Twilio does not have it".into());
            record(ctx, sought, Said::NotStarted { reason }.into(), now).await
        }
        Found::Absent | Found::Unclear => again(ctx, sought, looks, next).await,
        Found::Later(wait) | Found::Away(wait) => {
            let at = (now - sought.until < PATIENCE).then(|| now + wait);
            again(ctx, sought, sought.looks, at).await
        }
    }
}

async fn tell_status(ctx: &Context, sought: &Sought, receipt: &Receipt, now: Millis) -> Result<()> {
    let (Some(name), Some(status)) = (&receipt.id, &receipt.status) else { return Ok(()) };
    let callback = NewCallback {
        attempt_id: Some(sought.attempt_id),
        provider_id: name.clone(),
        status: status.clone(),
        code: receipt.code.map(i64::from),
        raw: String::new(),
        proof: vec![sought.profile_id],
    };
    let id = ctx.store.ids.one("callbacks").await?;
    let mut tx = ctx.store.begin().await?;
    callbacks::keep(&mut tx, id, &[callback], now).await?;
    tx.commit().await?;
    ctx.bells.inbound.notify_one();
    Ok(())
}

async fn again(ctx: &Context, sought: &Sought, looks: i64, at: Option<Millis>) -> Result<()> {
    let mut tx = ctx.store.begin().await?;
    searches::again(&mut tx, sought.id, looks, at).await?;
    tx.commit().await
}

/// The outcome of the attempt, by its own number: whatever has become of the message since stands.
async fn record(ctx: &Context, sought: &Sought, told: Told, now: Millis) -> Result<()> {
    let mut tx = ctx.store.read().await?;
    let found = recovery::attempts(&mut tx, &[sought.attempt_id]).await?;
    tx.commit().await?;
    for attempt in found {
        let subject = attempt.subject.clone().unwrap_or_default();
        let row = claimed(ctx, attempt).await?;
        let mut outcome = ended(ctx, &row, sought.attempt_id, &subject, told.clone(), now).await.outcome;
        outcome.reply = None; // Nobody has said a code to it.
        tracing::info!(message = sought.id, attempt = sought.attempt_id, end = ?outcome.end, "an uncertain message is resolved");
        settle(ctx, std::slice::from_mut(&mut outcome)).await;
    }
    ctx.bells.send();
    Ok(())
}
