//! What the end of a hand-over means: rule 11 of SEND_PROTOCOL, the retry schedule, the bounce, the next step.

use crate::channels::{Outcome as Said, Refusal, Stage, Told};
use crate::context::{Context, random_unit};
use crate::handlers::plan;
use crate::recorder::Ended;
use crate::scripts::Script;
use sendwright_store::claims::Claimed;
use sendwright_store::outcomes::{Against, End, Outcome};
use sendwright_store::planning::Advance;
use sendwright_workflows::backoff;
use sendwright_workflows::campaign::{AfterUncertain, OnUncertain};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::rate_limit::slot_millis;
use sendwright_workflows::reason::{Cause, Reason};
use sendwright_workflows::receipt::Receipt;
use sendwright_workflows::twilio_code::{Remedy, remedy};
use std::sync::Arc;
use std::time::Duration;

/// A profile that rests because of what its provider said.
pub struct Rest {
    /// Until when; none: until a person looks.
    pub until: Option<Millis>,
    /// The provider's words.
    pub why: String,
}

/// What the provider said as an outcome to record.
pub async fn ended(
    ctx: &Context,
    message: &Claimed,
    attempt: i64,
    subject: &str,
    told: impl Into<Told>,
    now: Millis,
) -> Ended {
    let Told { said, receipt } = told.into();
    let (stage, reply, detail) = words(&said, receipt.code);
    let end = judge(message, said, &receipt, now);
    let outcome = Outcome {
        attempt_id: attempt,
        message_id: message.id,
        account_id: message.account_id,
        campaign_id: message.campaign_id,
        contact_id: message.contact_id,
        enrolment_id: message.enrolment_id,
        channel: message.channel,
        step_number: message.step_number,
        fence: message.fence,
        slot: message.slot,
        address: message.address.clone(),
        address_hash: message.address_hash.clone(),
        subject: subject.to_owned(),
        then: then(ctx, message, &end).await,
        look_at: look_at(message, &end, now),
        receipt,
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

fn words(said: &Said, provider_code: Option<u32>) -> (Option<&'static str>, Option<u16>, Option<String>) {
    match said {
        Said::Accepted { code, reply } => (Some("answer"), Some(*code), Some(reply.clone())),
        Said::Refused { stage, code, reply, .. } => {
            (Some(stage_word(*stage)), Some(*code), Some(with_code(provider_code, reply)))
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

/// A provider's own code in front of its words.
fn with_code(code: Option<u32>, reply: &str) -> String {
    code.map_or_else(|| reply.to_owned(), |code| format!("{code}: {reply}"))
}

/// When the provider is asked what became of a message, where nobody knows and it can be asked.
fn look_at(message: &Claimed, end: &End, now: Millis) -> Option<Millis> {
    let may_ask = message.channel.is_phone() && message.policy.on_uncertain == OnUncertain::Verify;
    (may_ask && *end == End::Unknown).then(|| now + backoff::look(0).unwrap_or_default())
}

/// Whether the whole profile rests after this: its provider speaks of how much was sent, or of who sends.
pub fn rest(message: &Claimed, told: &Told, now: Millis) -> Option<Rest> {
    let Said::Refused { code, reply, permanent, enhanced, .. } = &told.said else { return None };
    let why = with_code(told.receipt.code, reply);
    let until = |wait| Rest { until: Some(now + wait), why: why.clone() };
    if !message.channel.is_phone() {
        return (!permanent && is_provider_limit(*code, enhanced.as_deref()))
            .then(|| until(backoff::PROVIDER));
    }
    match remedy(told.receipt.code, *code) {
        Remedy::SlowDown => Some(until(wait_of(message, &told.receipt))),
        Remedy::SwitchOff => Some(Rest { until: None, why: why.clone() }),
        _ => None,
    }
}

/// Whether a refusal for now speaks of how much we have sent, and so of every further message: 452 but for a
/// full mailbox (RFC 3463 4.2.x), or 4.7.28, a rate limit.
fn is_provider_limit(code: u16, enhanced: Option<&str>) -> bool {
    enhanced == Some("4.7.28") || (code == 452 && !enhanced.is_some_and(|e| e.starts_with("4.2.")))
}

/// How long a message waits whose sender is to blame: as long as the provider asks for, or a little.
fn wait_of(message: &Claimed, receipt: &Receipt) -> Millis {
    receipt.retry_after.unwrap_or_else(|| backoff::trouble(message.attempts as u32 + 1, random_unit()))
}

/// What follows from what was said: rule 11, the retry schedule, the age limit, the bounce.
fn judge(message: &Claimed, said: Said, receipt: &Receipt, now: Millis) -> End {
    let attempts = message.attempts as u32 + 1;
    let too_old = now - message.planned_at > backoff::GIVE_UP || attempts >= 24;
    let retry = |wait: Millis, reason: Reason| match too_old {
        true => End::Failed { reason, against: None },
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
        Said::Refused { code, .. } if message.channel.is_phone() => by_code(message, code, receipt, now),
        Said::Refused { code, permanent: false, .. } => {
            let wait = backoff::refused(attempts, random_unit());
            retry(wait, Reason::Refused { reply: code, until: Some(now + wait) })
        }
        Said::Refused { stage, code, enhanced, .. } => End::Failed {
            reason: Reason::Refused { reply: code, until: None },
            against: is_bad_address(stage, code, &enhanced).then_some(Against::Bad),
        },
    }
}

/// What follows from a code of Twilio's, by the one table of them. Where the sender is to blame the message waits, however
/// often that was: only its age gives it up.
fn by_code(message: &Claimed, status: u16, receipt: &Receipt, now: Millis) -> End {
    let remedy = remedy(receipt.code, status);
    let reply = receipt.code.and_then(|code| u16::try_from(code).ok()).unwrap_or(status);
    let against = match remedy {
        Remedy::BadNumber => Some(Against::Bad),
        Remedy::Stopped => Some(Against::Stopped),
        Remedy::SlowDown | Remedy::Login | Remedy::SwitchOff
            if now - message.planned_at <= backoff::GIVE_UP =>
        {
            let at = now + wait_of(message, receipt);
            return End::Retry { at, reason: Reason::Refused { reply, until: Some(at) } };
        }
        _ => None,
    };
    End::Failed { reason: Reason::Refused { reply, until: None }, against }
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
    // Who cannot be reached by one channel goes on by the others.
    let goes_on = script.sequence.is_mixed();
    match end {
        End::Accepted => {}
        End::Retry { .. } => return None,
        End::Unknown if message.policy.after_uncertain == AfterUncertain::Hold => return None,
        End::Unknown => {}
        End::Failed { against, .. } if goes_on && (against.is_some() || message.channel.is_phone()) => {}
        End::Failed { reason, against } => {
            next.state = if against.is_some() { "stopped" } else { "failed" };
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
