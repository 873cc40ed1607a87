//! Texts: what they answer, and what is held where one asks in words of its own to be left alone. STOP itself was obeyed
//! before the text came here.

use super::described;
use super::parse::Mail;
use crate::context::Context;
use sendwright_queue::Job;
use sendwright_store::answers::{self, Answered};
use sendwright_store::events::{self, NewEvent};
use sendwright_store::inbound::{self, Understood, Waiting};
use sendwright_store::{Result, Tx, contacts, texts};
use sendwright_workflows::answer::{self, Class, snippet};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::phone::Phone;
use serde_json::json;

/// A text as a letter, of which it has nothing but its sender and what it says.
pub(super) fn letter(waiting: &Waiting) -> Mail {
    Mail { sender: waiting.sender.clone(), text: waiting.body.clone().unwrap_or_default(), ..Mail::default() }
}

/// The message that a text answers: the last that went from where it was sent to, to where it came from.
pub(super) async fn answered(
    ctx: &Context,
    tx: &mut Tx,
    waiting: &Waiting,
) -> Result<Option<(Answered, &'static str)>> {
    let number = waiting.sender.as_deref().and_then(|sender| Phone::parse(sender).ok());
    let Some((number, profile)) = number.zip(waiting.profile_id) else { return Ok(None) };
    let hash = number.hash(ctx.store.salt());
    let last = texts::answered(tx, waiting.account_id, &[profile], &hash).await?;
    let Some(last) = last else { return Ok(None) };
    Ok(answers::message(tx, waiting.account_id, last.id).await?.map(|found| (found, "number")))
}

/// Holds whatever is still to be sent to a person who asked to be left alone, and tells of it. The caller holds the
/// account's barrier exclusively.
pub(super) async fn hold(
    tx: &mut Tx,
    waiting: &Waiting,
    contact: i64,
    event: i64,
    now: Millis,
) -> Result<NewEvent> {
    answers::hold_asked(tx, waiting.account_id, contact, now).await?;
    let text = snippet(waiting.body.as_deref().unwrap_or_default());
    Ok(NewEvent {
        id: event,
        account_id: waiting.account_id,
        kind: "contact.asked_to_stop",
        campaign_id: None,
        contact_id: Some(contact),
        enrolment_id: None,
        message_id: None,
        data: json!({ "phone": waiting.sender, "snippet": text, "inbound_id": waiting.id }).to_string(),
        at: now,
    })
}

/// What answers nothing of ours is kept and left alone, but for a person who asks to be left alone.
pub(super) async fn unmatched(ctx: &Context, waiting: &Waiting, mail: &Mail, now: Millis) -> Result<()> {
    let class = answer::class("", &mail.text, false);
    let event = ctx.store.ids.one("events").await?;
    let mut tx = ctx.store.begin().await?;
    tx.barrier(waiting.account_id, true).await?;
    let sender = waiting.sender.as_deref().unwrap_or_default();
    let contact = contacts::by_phone(&mut tx, waiting.account_id, sender).await?.map(|contact| contact.id);
    let what = Understood {
        kind: "other",
        contact_id: contact,
        classification: Some(class.as_str()),
        sentiment: Some(class.sentiment()),
        detail: Some("it answers no message".into()),
        ..described(mail)
    };
    if !inbound::understand(&mut tx, waiting.id, &what, now).await? {
        return tx.rollback().await; // Another worker has done it all.
    }
    if let (Class::OptOut, Some(contact)) = (class, contact) {
        let told = hold(&mut tx, waiting, contact, event, now).await?;
        events::insert(&mut tx, &[told]).await?;
    }
    tx.commit().await?;
    ctx.queue.push(Job::Sequence { account: waiting.account_id });
    Ok(())
}
