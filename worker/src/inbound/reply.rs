//! An answer: the sequence ends, an opt-out suppresses, and the account is told.

use super::opt_out::{Rows, Subject, opt_out};
use super::parse::Mail;
use super::{aside, described, event, find, matched, named, text};
use crate::context::Context;
use crate::proof::prove;
use sendwright_queue::Job;
use sendwright_store::answers::{self, Answered};
use sendwright_store::events::{self, NewEvent};
use sendwright_store::inbound::{self, Understood, Waiting};
use sendwright_store::{Result, contacts};
use sendwright_workflows::address::Email;
use sendwright_workflows::answer::{self, Class, is_unsubscribe, snippet};
use sendwright_workflows::clock::{Millis, rfc3339};
use serde_json::json;

/// Settles an answer.
pub(super) async fn settle(ctx: &Context, waiting: &Waiting, mail: &Mail, now: Millis) -> Result<()> {
    // A copy of our own, such as one in a folder of what was sent, answers the step before it.
    if mail.id.as_deref().is_some_and(|id| named(ctx, id).is_some()) {
        return aside(ctx, waiting, Some(mail), "it is a message of ours".into(), now).await;
    }
    let mut tx = ctx.store.read().await?;
    let found = find(ctx, &mut tx, waiting, mail).await?;
    tx.commit().await?;
    let Some((message, by)) = found else { return unmatched(ctx, waiting, mail, now).await };
    let class = class(ctx, waiting, mail).await;
    prove(ctx, &message, "an answer came", now).await?;
    let ids = Ids::take(ctx).await?;
    let mut tx = ctx.store.begin().await?;
    if class.is_person() {
        tx.barrier(waiting.account_id, true).await?;
    }
    let what = Understood {
        kind: "reply",
        classification: Some(class.as_str()),
        sentiment: Some(class.sentiment()),
        ..matched(mail, &message, by)
    };
    if !inbound::understand(&mut tx, waiting.id, &what, now).await? {
        return tx.rollback().await; // Another worker has done it all.
    }
    let is_step = message.kind == "step";
    let mut told = Vec::new();
    // By e-mail it is an opt-out at once; the rules for texts were made for one word, so that more of them is judged by
    // a person, and nothing is sent until then.
    let asks = class == Class::OptOut && message.channel != "email";
    if asks && message.contact_id > 0 {
        let asked = text::hold(&mut tx, waiting, message.contact_id, ids.opt_out, now).await?;
        let NewEvent { campaign_id, enrolment_id, message_id, .. } = event(0, "", &message, &json!({}), now);
        told.push(NewEvent { campaign_id, enrolment_id, message_id, ..asked });
    }
    if is_step {
        if class.is_person() && !asks {
            answers::stop_replied(&mut tx, message.enrolment_id, now).await?;
        }
        told.push(event(
            ids.reply,
            "reply.received",
            &message,
            &data(waiting, mail, &message, class, by),
            now,
        ));
    }
    // A Message-ID can be guessed by whoever got one, a token cannot: an opt-out by the former must come from there.
    if class == Class::OptOut && !asks && (by == "token" || is_from(mail, &message.address)) {
        let subject = Subject {
            account: waiting.account_id,
            contact: (is_step && message.contact_id > 0).then_some(message.contact_id),
            address: &message.address,
            hash: &message.address_hash,
            inbound: waiting.id,
            why: "opt_out",
            source: "reply",
        };
        if opt_out(&mut tx, &ids.rows, &subject, now).await? {
            let data = json!({ "email": message.address, "source": "reply", "why": "opt_out" });
            told.push(event(ids.opt_out, "contact.opted_out", &message, &data, now));
        }
    }
    events::insert(&mut tx, &told).await?;
    tx.commit().await?;
    ctx.queue.push(Job::Sequence { account: waiting.account_id });
    Ok(())
}

/// By the model where there is one; what the rules know for certain is not asked.
async fn class(ctx: &Context, waiting: &Waiting, mail: &Mail) -> Class {
    let ruled = answer::class(&mail.subject, &mail.text, mail.automatic);
    let Some(writer) = ctx.writer.as_ref().filter(|_| !matches!(ruled, Class::OutOfOffice | Class::OptOut))
    else {
        return ruled;
    };
    let _permit = ctx.writing.acquire(waiting.account_id).await;
    writer.class(&mail.subject, &mail.text).await.unwrap_or(ruled)
}

fn data(
    waiting: &Waiting,
    mail: &Mail,
    message: &Answered,
    class: Class,
    by: &'static str,
) -> serde_json::Value {
    let address = if message.channel == "email" { "email" } else { "phone" };
    json!({
        "business_name": message.company, "company": message.company, address: message.address,
        "channel": message.channel,
        "reply_date": rfc3339(waiting.received_at), "sentiment": class.sentiment(),
        "classification": class.as_str(), "snippet": snippet(&mail.text), "subject": mail.subject,
        "step": message.step_number, "inbound_id": waiting.id, "matched_by": by,
        "from": mail.sender, "automatic": !class.is_person(),
    })
}

/// Whether a letter comes from an address, or at least from its house.
fn is_from(mail: &Mail, address: &str) -> bool {
    let parse = |text: &str| Email::parse(text).ok();
    match (mail.sender.as_deref().and_then(parse), parse(address)) {
        (Some(from), Some(to)) => from.key() == to.key() || from.domain() == to.domain(),
        _ => false,
    }
}

/// What answers nothing of ours is kept and left alone, but for the mail that a `List-Unsubscribe` with a mailto asks
/// for: its subject says it all, and it names no message.
async fn unmatched(ctx: &Context, waiting: &Waiting, mail: &Mail, now: Millis) -> Result<()> {
    if waiting.channel != "email" {
        return text::unmatched(ctx, waiting, mail, now).await;
    }
    let sender = mail.sender.as_deref().and_then(|from| Email::parse(from).ok());
    let asks = is_unsubscribe(&mail.subject).then_some(sender).flatten();
    let ids = Ids::take(ctx).await?;
    let mut tx = ctx.store.begin().await?;
    let account = waiting.account_id;
    let mut what =
        Understood { kind: "other", detail: Some("it answers no message".into()), ..described(mail) };
    if asks.is_some() {
        tx.barrier(account, true).await?;
    }
    let contact = match &asks {
        Some(from) => contacts::by_email(&mut tx, account, &from.key()).await?,
        None => None,
    };
    if let (Some(contact), Some(from)) = (contact, asks) {
        what = Understood {
            kind: "opt_out",
            contact_id: Some(contact.id),
            matched_by: Some("sender"),
            classification: Some(Class::OptOut.as_str()),
            sentiment: Some(Class::OptOut.sentiment()),
            detail: None,
            ..what
        };
        let hash = from.hash(ctx.store.salt());
        let subject = Subject {
            account,
            contact: Some(contact.id),
            address: from.as_str(),
            hash: &hash,
            inbound: waiting.id,
            why: "opt_out",
            source: "reply",
        };
        if opt_out(&mut tx, &ids.rows, &subject, now).await? {
            let told = NewEvent {
                id: ids.opt_out,
                account_id: account,
                kind: "contact.opted_out",
                campaign_id: None,
                contact_id: Some(contact.id),
                enrolment_id: None,
                message_id: None,
                data: json!({ "email": from.as_str(), "source": "reply", "why": "opt_out" }).to_string(),
                at: now,
            };
            events::insert(&mut tx, &[told]).await?;
        }
    }
    match inbound::understand(&mut tx, waiting.id, &what, now).await? {
        true => tx.commit().await,
        false => tx.rollback().await,
    }
}

/// Row numbers, taken before the transaction.
struct Ids {
    reply: i64,
    opt_out: i64,
    rows: Rows,
}

impl Ids {
    async fn take(ctx: &Context) -> Result<Self> {
        let events = ctx.store.ids.take("events", 2).await?.start;
        Ok(Self { reply: events, opt_out: events + 1, rows: Rows::take(ctx).await? })
    }
}
