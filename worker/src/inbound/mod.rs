//! The inbound lane: what came back is understood once, and what follows is done in one transaction with that.

mod bounce;
mod complaint;
mod opt_out;
pub mod parse;
mod reply;
mod text;

use crate::context::Context;
use parse::Mail;
use sendwright_store::answers::{self, Answered};
use sendwright_store::events::NewEvent;
use sendwright_store::inbound::{self, Understood, Waiting};
use sendwright_store::{Result, Tx};
use sendwright_workflows::address::Email;
use sendwright_workflows::answer::snippet;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::message::of_message_id;
use sendwright_workflows::signing::verify_hex_in;

/// Messages taken at once.
const BATCH: i64 = 8;
/// What reply tokens are signed for; their ids are `[message]`.
pub const REPLY: &str = "reply";

/// Understands a batch of what has come in. Answers how many were taken.
pub async fn pass(ctx: &Context, now: Millis) -> Result<usize> {
    let mut tx = ctx.store.begin().await?;
    let taken = inbound::take(&mut tx, BATCH, now).await?;
    tx.commit().await?;
    let count = taken.len();
    for waiting in taken {
        let id = waiting.id;
        if let Err(error) = understand(ctx, waiting, now).await {
            tracing::warn!(%error, inbound = id, "an inbound message is looked at again later");
        }
    }
    Ok(count)
}

async fn understand(ctx: &Context, waiting: Waiting, now: Millis) -> Result<()> {
    if waiting.channel != "email" {
        return reply::settle(ctx, &waiting, &text::letter(&waiting), now).await;
    }
    let raw = waiting.raw.clone();
    let read = tokio::task::spawn_blocking(move || parse::read(&raw)).await;
    let mail = match read {
        Ok(Ok(mail)) => mail,
        Ok(Err(why)) => return aside(ctx, &waiting, None, why.to_string(), now).await,
        Err(_) => return aside(ctx, &waiting, None, "it could not be read".into(), now).await,
    };
    match &mail.report {
        Some(report) => match &report.feedback {
            Some(feedback) => complaint::settle(ctx, &waiting, &mail, (report, feedback), now).await,
            None => bounce::settle(ctx, &waiting, &mail, report, now).await,
        },
        None => reply::settle(ctx, &waiting, &mail, now).await,
    }
}

/// Writes down that a message is none of ours to act on, and why.
async fn aside(
    ctx: &Context,
    waiting: &Waiting,
    mail: Option<&Mail>,
    why: String,
    now: Millis,
) -> Result<()> {
    let what = Understood { detail: Some(why), ..mail.map(described).unwrap_or_default() };
    let mut tx = ctx.store.begin().await?;
    inbound::understand(&mut tx, waiting.id, &Understood { kind: "other", ..what }, now).await?;
    tx.commit().await
}

/// What is known of a message before it is matched.
fn described(mail: &Mail) -> Understood {
    Understood {
        sender: mail.sender.clone(),
        subject: Some(mail.subject.clone()),
        snippet: Some(snippet(&mail.text)),
        ..Understood::default()
    }
}

/// The same, with what it was matched to.
fn matched(mail: &Mail, message: &Answered, by: &'static str) -> Understood {
    let some = |id: i64| (id > 0).then_some(id);
    Understood {
        message_id: Some(message.id),
        campaign_id: some(message.campaign_id),
        enrolment_id: some(message.enrolment_id),
        contact_id: some(message.contact_id),
        matched_by: Some(by),
        ..described(mail)
    }
}

/// The message of the account that was answered: by a token of ours among the recipients, else by the Message-IDs. What
/// a text answers is the last that its sender was sent from where it went to.
async fn find(
    ctx: &Context,
    tx: &mut Tx,
    waiting: &Waiting,
    mail: &Mail,
) -> Result<Option<(Answered, &'static str)>> {
    let account = waiting.account_id;
    if waiting.channel != "email" {
        return text::answered(ctx, tx, waiting).await;
    }
    for id in mail.recipients.iter().filter_map(|address| of_token(ctx, address)) {
        if let Some(found) = answers::message(tx, account, id).await? {
            return Ok(Some((found, "token")));
        }
    }
    Ok(by_id(ctx, tx, account, &mail.answers).await?.map(|found| (found, "message_id")))
}

async fn by_id(ctx: &Context, tx: &mut Tx, account: i64, ids: &[String]) -> Result<Option<Answered>> {
    for id in ids.iter().filter_map(|id| named(ctx, id)) {
        if let Some(found) = answers::message(tx, account, id).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The message of ours that a Message-ID names.
fn named(ctx: &Context, id: &str) -> Option<i64> {
    let message = ctx.store.epochs().find_map(|epoch| of_message_id(id, epoch))?;
    // A number of one epoch under the word of another is nobody's.
    of_message_id(id, ctx.store.epoch_of(message))
}

/// The message whose answers go to this address: `reply+<token>@…`.
fn of_token(ctx: &Context, address: &str) -> Option<i64> {
    let (local, _) = address.split_once('@')?;
    let local = local.to_ascii_lowercase();
    let token = local.strip_prefix("reply+")?;
    match verify_hex_in(&ctx.settings.secrets, REPLY, ctx.store.epochs(), token)?[..] {
        [message] => Some(message),
        _ => None,
    }
}

/// Whether an address stands in a list, however it is written there.
fn is_among(list: &[String], address: &str) -> bool {
    let key = |text: &str| Email::parse(text).ok().map(|email| email.key());
    key(address).is_some_and(|own| list.iter().any(|one| key(one).as_ref() == Some(&own)))
}

/// An event about a message that something came back for.
fn event(id: i64, kind: &'static str, message: &Answered, data: &serde_json::Value, at: Millis) -> NewEvent {
    let some = |id: i64| (id > 0).then_some(id);
    NewEvent {
        id,
        account_id: message.account_id,
        kind,
        campaign_id: some(message.campaign_id),
        contact_id: some(message.contact_id),
        enrolment_id: some(message.enrolment_id),
        message_id: Some(message.id),
        data: data.to_string(),
        at,
    }
}
