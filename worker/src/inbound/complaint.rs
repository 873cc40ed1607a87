//! A complaint (RFC 5965): a provider says that the recipient calls a message of ours spam.

use super::opt_out::{Rows, Subject, opt_out};
use super::parse::{Feedback, Mail, Report};
use super::{aside, by_id, event, is_among, matched, of_token};
use crate::context::Context;
use crate::proof::prove;
use crate::text::UNSUBSCRIBE;
use sendwright_queue::Job;
use sendwright_store::answers::{self, Answered};
use sendwright_store::inbound::{self, Understood, Waiting};
use sendwright_store::{Result, Tx, events};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::signing::verify_in;
use serde_json::json;

/// What a report's type says of its recipient. The other types of RFC 5965 and its successors (`virus`, `other`,
/// `not-spam`, `auth-failure`) come from machines, or say that nothing is wrong.
const COMPLAINTS: [&str; 4] = ["abuse", "fraud", "opt-out", "opt-out-list"];

/// Settles a report. Its text is nobody's word: it counts only if the message that it returns carries a token of ours,
/// or that message's id together with the very address it went to, which no stranger knows.
pub(super) async fn settle(
    ctx: &Context,
    waiting: &Waiting,
    mail: &Mail,
    (report, feedback): (&Report, &Feedback),
    now: Millis,
) -> Result<()> {
    if !COMPLAINTS.contains(&feedback.kind.as_str()) {
        let why = format!("a feedback report of type {}, which is no complaint", feedback.kind);
        return aside(ctx, waiting, Some(mail), why, now).await;
    }
    let mut tx = ctx.store.read().await?;
    let found = find(ctx, &mut tx, waiting.account_id, report, feedback).await?;
    tx.commit().await?;
    let Some((message, by)) = found else {
        let why = "it complains of no message of this account, or not for whom that went to";
        return aside(ctx, waiting, Some(mail), why.into(), now).await;
    };
    // Whoever complains has it.
    prove(ctx, &message, "a complaint came", now).await?;
    complained(ctx, waiting, mail, (&message, by), feedback, now).await
}

/// The message that is complained of, and what shows it.
async fn find(
    ctx: &Context,
    tx: &mut Tx,
    account: i64,
    report: &Report,
    feedback: &Feedback,
) -> Result<Option<(Answered, &'static str)>> {
    let links = report.unsubscribe.iter().filter_map(|url| {
        let token = url.rsplit_once("/u/")?.1;
        match verify_in(&ctx.settings.secrets, UNSUBSCRIBE, ctx.store.epochs(), token)?[..] {
            [of, _, message] if of == account => Some(message),
            _ => None,
        }
    });
    let tokens = report.answered.iter().filter_map(|address| of_token(ctx, address));
    for id in links.chain(tokens) {
        if let Some(found) = answers::message(tx, account, id).await? {
            return Ok(Some((found, "token")));
        }
    }
    let found = by_id(ctx, tx, account, &report.about).await?;
    let named = |message: &Answered| {
        is_among(&feedback.recipients, &message.address) || is_among(&report.addressed, &message.address)
    };
    Ok(found.filter(named).map(|message| (message, "message_id")))
}

async fn complained(
    ctx: &Context,
    waiting: &Waiting,
    mail: &Mail,
    (message, by): (&Answered, &'static str),
    feedback: &Feedback,
    now: Millis,
) -> Result<()> {
    let (told_id, rows) = (ctx.store.ids.one("events").await?, Rows::take(ctx).await?);
    let what =
        Understood { kind: "complaint", detail: Some(feedback.kind.clone()), ..matched(mail, message, by) };
    let mut tx = ctx.store.begin().await?;
    tx.barrier(message.account_id, true).await?;
    if !inbound::understand(&mut tx, waiting.id, &what, now).await? {
        return tx.rollback().await;
    }
    if answers::complain(&mut tx, message.id, now).await? {
        let data = json!({
            "email": message.address, "subject": message.subject, "step": message.step_number,
            "feedback_type": feedback.kind, "reporter": feedback.agent, "inbound_id": waiting.id,
            "matched_by": by,
        });
        events::insert(&mut tx, &[event(told_id, "email.complained", message, &data, now)]).await?;
    }
    let subject = Subject {
        account: message.account_id,
        contact: (message.contact_id > 0).then_some(message.contact_id),
        address: &message.address,
        hash: &message.address_hash,
        inbound: waiting.id,
        why: "complained",
        source: "report",
    };
    opt_out(&mut tx, &rows, &subject, now).await?;
    tx.commit().await?;
    ctx.queue.push(Job::Sequence { account: message.account_id });
    Ok(())
}
