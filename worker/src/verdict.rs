//! What the end of a hand-over means: rule 11 of SEND_PROTOCOL, the retry schedule, the bounce, the next step.

use crate::channels::{Outcome as Said, Refusal, Stage};
use crate::context::{Context, random_unit};
use crate::handlers::plan;
use crate::recorder::Ended;
use crate::scripts::Script;
use sendwright_store::claims::Claimed;
use sendwright_store::outcomes::{End, Outcome};
use sendwright_store::planning::Advance;
use sendwright_workflows::backoff;
use sendwright_workflows::campaign::{AfterUncertain, OnUncertain};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::rate_limit::slot_millis;
use sendwright_workflows::reason::{Cause, Reason};
use std::sync::Arc;
use std::time::Duration;

/// What the provider said as an outcome to record.
pub async fn ended(
    ctx: &Context,
    message: &Claimed,
    attempt: i64,
    subject: &str,
    said: Said,
    now: Millis,
) -> Ended {
    let (stage, reply, detail) = words(&said);
    let end = judge(message, said, now);
    let outcome = Outcome {
        attempt_id: attempt,
        message_id: message.id,
        account_id: message.account_id,
        campaign_id: message.campaign_id,
        contact_id: message.contact_id,
        enrolment_id: message.enrolment_id,
        step_number: message.step_number,
        fence: message.fence,
        slot: message.slot,
        address: message.address.clone(),
        address_hash: message.address_hash.clone(),
        subject: subject.to_owned(),
        then: then(ctx, message, &end).await,
        end,
        stage,
        reply,
        detail,
        at: now,
        crashed: false,
        suppression: None,
        mail: None,
        event_id: 0,
    };
    Ended { outcome, permit: None, segment: None, bell: None }
}

fn words(said: &Said) -> (Option<&'static str>, Option<u16>, Option<String>) {
    match said {
        Said::Accepted { code, reply } => (Some("answer"), Some(*code), Some(reply.clone())),
        Said::Refused { stage, code, reply, .. } => {
            (Some(stage_word(*stage)), Some(*code), Some(reply.clone()))
        }
        Said::NotStarted { reason } => (Some("body"), None, Some(reason.to_string())),
        Said::Unknown { detail } => (Some("answer"), None, Some(detail.clone())),
        Said::Failed { stage, detail } => (Some(stage_word(*stage)), None, Some(detail.clone())),
    }
}

fn stage_word(stage: Stage) -> &'static str {
    match stage {
        Stage::Prepare => "prepare",
        Stage::Mail => "mail",
        Stage::Rcpt => "rcpt",
        Stage::Data => "data",
        Stage::Body => "body",
        Stage::Answer => "answer",
    }
}

/// What follows from what was said: rule 11, the retry schedule, the age limit, the bounce.
fn judge(message: &Claimed, said: Said, now: Millis) -> End {
    let attempts = message.attempts as u32 + 1;
    let too_old = now - message.planned_at > backoff::GIVE_UP || attempts >= 24;
    let retry = |wait: Millis, reason: Reason| match too_old {
        true => End::Failed { reason, bounced: false },
        false => End::Retry { at: now + wait, reason },
    };
    match said {
        Said::Accepted { .. } => End::Accepted,
        Said::NotStarted { reason: Refusal::TooLate { .. } } => {
            retry(backoff::trouble(attempts, random_unit()), Reason::NotStarted)
        }
        Said::NotStarted { .. } => End::Retry { at: message.planned_at, reason: Reason::NotStarted },
        Said::Unknown { .. } if message.policy.on_uncertain == OnUncertain::Resend && !too_old => {
            retry(backoff::trouble(attempts, random_unit()), Reason::Uncertain)
        }
        Said::Unknown { .. } => End::Unknown,
        Said::Failed { .. } => {
            let wait = backoff::trouble(attempts, random_unit());
            retry(wait, Reason::Late { cause: Cause::Retry })
        }
        Said::Refused { code, permanent: false, .. } => {
            let wait = backoff::refused(attempts, random_unit());
            retry(wait, Reason::Refused { reply: code, until: Some(now + wait) })
        }
        Said::Refused { stage, code, enhanced, .. } => End::Failed {
            reason: Reason::Refused { reply: code, until: None },
            bounced: is_bad_address(stage, code, &enhanced),
        },
    }
}

/// Whether a refusal for good speaks of the address (RFC 3463 class 5.1 and 5.2.1) and not of us or the text.
fn is_bad_address(stage: Stage, code: u16, enhanced: &Option<String>) -> bool {
    match enhanced {
        Some(status) => status.starts_with("5.1.") || status == "5.2.1",
        None => stage == Stage::Rcpt && matches!(code, 550 | 551 | 553),
    }
}

/// Where the enrolment goes: on from this slot, or to its end.
async fn then(ctx: &Context, message: &Claimed, end: &End) -> Option<Advance> {
    if message.kind != "step" {
        return None;
    }
    let script = script(ctx, message).await?;
    let base = slot_millis(message.slot);
    let mut next = plan::after(ctx, &script, message.enrolment_id, message.step_number, base, message.zone);
    let failed = |bounced: &bool| if *bounced { "stopped" } else { "failed" };
    match end {
        End::Accepted => {}
        End::Retry { .. } => return None,
        End::Unknown if message.policy.after_uncertain == AfterUncertain::Hold => return None,
        End::Unknown => {}
        End::Failed { reason, bounced } => {
            next.state = failed(bounced);
            next.reason = serde_json::to_string(reason).ok();
            next.next_run_at = None;
        }
    }
    Some(next)
}

/// The steps the message was planned with, however long the database is away: without them the outcome would be
/// recorded and its enrolment forgotten.
async fn script(ctx: &Context, message: &Claimed) -> Option<Arc<Script>> {
    let (account, campaign) = (message.account_id, message.campaign_id);
    loop {
        match ctx.scripts.get(&ctx.store, account, campaign, message.version).await {
            Ok(script) => return Some(script),
            Err(error) if error.passes() => tracing::warn!(%error, "an outcome waits for the database"),
            Err(error) => {
                tracing::error!(%error, campaign, "an enrolment cannot go on");
                return None;
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
