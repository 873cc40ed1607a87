//! A delivery status notification (RFC 3464): a bounce, where it names a message of ours and whom that went to.

use super::parse::{Fate, Mail, Report};
use super::{aside, by_id, event, is_among, matched};
use crate::context::Context;
use crate::proof::prove;
use sendwright_queue::Job;
use sendwright_store::answers::{self, Answered};
use sendwright_store::inbound::{self, Understood, Waiting};
use sendwright_store::suppressions::{self, Suppression};
use sendwright_store::{Result, events};
use sendwright_workflows::address::Email;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::reason::Reason;
use serde_json::json;

/// Settles a notification. Its text is nobody's word: it moves a message only if it returns that message's id and
/// names the very address it went to, which no stranger knows together.
pub(super) async fn settle(
    ctx: &Context,
    waiting: &Waiting,
    mail: &Mail,
    report: &Report,
    now: Millis,
) -> Result<()> {
    if report.fates.is_empty() {
        return aside(ctx, waiting, Some(mail), "it is a report of another kind".into(), now).await;
    }
    let mut tx = ctx.store.read().await?;
    let ids: Vec<String> = report.about.iter().chain(&mail.answers).cloned().collect();
    let found = by_id(ctx, &mut tx, waiting.account_id, &ids).await?;
    tx.commit().await?;
    let Some(message) = found else {
        return aside(ctx, waiting, Some(mail), "it reports on no message of this account".into(), now).await;
    };
    let Some(fate) = fate_of(report, &message.address) else {
        let why = "it does not name the address that the message went to";
        return aside(ctx, waiting, Some(mail), why.into(), now).await;
    };
    // A server that could not pass it on had taken it.
    prove(ctx, &message, "a delivery report came", now).await?;
    match fate.action.as_str() {
        "failed" => bounced(ctx, waiting, mail, (&message, fate), now).await,
        _ => {
            let kind = if fate.action == "delayed" { "delay" } else { "other" };
            let what = Understood { kind, detail: Some(told(fate)), ..matched(mail, &message, "message_id") };
            let mut tx = ctx.store.begin().await?;
            inbound::understand(&mut tx, waiting.id, &what, now).await?;
            tx.commit().await
        }
    }
}

/// What became of the copy for an address: named by the report itself, or, where an alias stands there, by the
/// returned message together with a report on one recipient alone.
fn fate_of<'r>(report: &'r Report, address: &str) -> Option<&'r Fate> {
    let named = report.fates.iter().find(|fate| is_among(&fate.recipients, address));
    let only = || match report.fates.as_slice() {
        [only] if is_among(&report.addressed, address) => Some(only),
        _ => None,
    };
    named.or_else(only)
}

fn told(fate: &Fate) -> String {
    format!("{} {} {}", fate.action, fate.status, fate.diagnostic).trim().to_owned()
}

/// The three digits that the remote server's words begin with; else by the status's class.
fn reply(fate: &Fate) -> u16 {
    let said = fate.diagnostic.split_whitespace().next().and_then(|word| word.get(..3)?.parse().ok());
    let class = if is_permanent(fate) { 550 } else { 450 };
    said.filter(|code| (400..600).contains(code)).unwrap_or(class)
}

fn is_permanent(fate: &Fate) -> bool {
    fate.status.starts_with('5')
}

async fn bounced(
    ctx: &Context,
    waiting: &Waiting,
    mail: &Mail,
    (message, fate): (&Answered, &Fate),
    now: Millis,
) -> Result<()> {
    let (suppression, told_id) =
        (ctx.store.ids.one("suppressions").await?, ctx.store.ids.one("events").await?);
    let permanent = is_permanent(fate);
    let reason = Reason::Refused { reply: reply(fate), until: None };
    let what =
        Understood { kind: "bounce", detail: Some(told(fate)), ..matched(mail, message, "message_id") };
    let mut tx = ctx.store.begin().await?;
    if !inbound::understand(&mut tx, waiting.id, &what, now).await? {
        return tx.rollback().await;
    }
    if answers::bounce(&mut tx, message.id, &reason, now).await? {
        let data = json!({
            "email": message.address, "subject": message.subject, "step": message.step_number,
            "reply": reply(fate), "status": fate.status, "detail": fate.diagnostic, "permanent": permanent,
            "inbound_id": waiting.id,
        });
        events::insert(&mut tx, &[event(told_id, "email.bounced", message, &data, now)]).await?;
    }
    // No promise rests on a suppression from a bounce: it takes no barrier (SEND_PROTOCOL 4).
    if permanent {
        let new = Suppression {
            id: suppression,
            account_id: message.account_id,
            channel: "email".into(),
            address_hash: message.address_hash.clone(),
            hint: Email::parse(&message.address).map(|e| e.masked()).unwrap_or_default(),
            why: "bounced".into(),
            source: "report".into(),
            created_at: now,
        };
        suppressions::add(&mut tx, &new).await?;
        answers::stop_bounced(&mut tx, message.enrolment_id, &reason, now).await?;
    }
    tx.commit().await?;
    ctx.queue.push(Job::Sequence { account: message.account_id });
    Ok(())
}
