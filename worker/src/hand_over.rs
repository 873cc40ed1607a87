//! From the intent to the outcome: a detached task that nothing cancels (SEND_PROTOCOL 5, 6, 11).

use crate::channels::smtp::{DotGate, Pool, Session, hand_over};
use crate::channels::twilio;
use crate::channels::{Outcome as Said, Refusal, Stage, Told};
use crate::context::Context;
use crate::in_hand::{Held, Permit};
use crate::journal::{Line, Segment};
use crate::letter::{self, Sealed};
use crate::recorder::Ended;
use crate::recovery;
use crate::standing;
use crate::verdict::{Rest, ended, rest};
use futures::FutureExt;
use sendwright_fail::point;
use sendwright_store::claims::Claimed;
use sendwright_store::clock::{boot_millis, wall_millis};
use sendwright_store::outcomes::Mail;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::quiet_hours::G;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, OwnedSemaphorePermit};

mod by_twilio;

/// A server on which an intent grew too old counts as slow for so long, boot-time milliseconds.
const SLOW_FOR: i64 = 15 * 60_000;

/// What a message leaves on: one of D, and a connection where the channel has one.
pub struct Carrier {
    permit: Permit,
    pub(crate) exit: Option<Exit>,
}

/// The way out of the house; the mailbox has none.
pub(crate) enum Exit {
    /// An authenticated connection and its pool.
    Smtp(Box<Session>, Pool),
    /// A sender of Twilio's.
    Twilio(Arc<twilio::Line>),
}

impl Carrier {
    /// Leaves into the captured mailbox.
    pub fn mailbox(permit: OwnedSemaphorePermit) -> Self {
        Self { permit: Permit::new(permit), exit: None }
    }

    /// Leaves on an authenticated connection, which goes back to its pool.
    pub fn smtp(permit: OwnedSemaphorePermit, session: Session, pool: Pool) -> Self {
        Self { permit: Permit::new(permit), exit: Some(Exit::Smtp(Box::new(session), pool)) }
    }

    /// Leaves by a request to Twilio.
    pub fn twilio(permit: OwnedSemaphorePermit, line: Arc<twilio::Line>) -> Self {
        Self { permit: Permit::new(permit), exit: Some(Exit::Twilio(line)) }
    }

    /// This message leaves on it, and is in hand as long as the permit is taken.
    pub fn hold(&mut self, held: Held) {
        self.permit.hold(held);
    }

    /// Frees the permit and gives the connection back to its pool.
    pub fn into_permit(self) -> Permit {
        if let Some(Exit::Smtp(session, pool)) = self.exit {
            pool.give_back(*session);
        }
        self.permit
    }
}

/// A message whose intent is committed.
pub struct Departing {
    /// The claimed row.
    pub message: Claimed,
    /// What it leaves on.
    pub carrier: Carrier,
    /// The attempt's row.
    pub attempt: i64,
    /// The bytes.
    pub sealed: Sealed,
    /// The envelope's sender.
    pub sender: String,
    /// Under which the intent is committed.
    pub worker: i64,
    /// The boot instant before the intent's commit.
    pub intent_at: i64,
    /// The intent's business instant.
    pub at: Millis,
    /// The sender's list of open hand-overs.
    pub under_way: Arc<Mutex<HashMap<i64, i64>>>,
    /// The sender's bell.
    pub bell: Arc<Notify>,
    /// The boot instant until which the sender's server counts as slow.
    pub slow_until: Arc<AtomicI64>,
}

/// Starts a hand-over. It ends with a record, whatever happens to whoever started it.
pub fn start(ctx: Arc<Context>, departing: Departing) {
    if let Ok(mut open) = departing.under_way.lock() {
        open.insert(departing.attempt, departing.intent_at);
    }
    match departing.carrier.exit {
        Some(Exit::Smtp(..)) => whole(ctx, departing, by_smtp),
        Some(Exit::Twilio(_)) => whole(ctx, departing, by_twilio::run),
        None => into_mailbox(&ctx, departing),
    }
}

/// Runs a hand-over to its record. Where it breaks off behind its own care, nobody knows how it ended.
pub(crate) fn whole<F>(
    ctx: Arc<Context>,
    departing: Departing,
    run: impl FnOnce(Arc<Context>, Departing) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let (attempt, under_way, bell) = (departing.attempt, departing.under_way.clone(), departing.bell.clone());
    let whole = AssertUnwindSafe(run(ctx.clone(), departing)).catch_unwind();
    ctx.clone().under_way.spawn(async move {
        if whole.await.is_ok() {
            return;
        }
        metrics::counter!("sendwright_panics", "lane" => "hand-over").increment(1);
        if let Err(error) = recovery::broke_off(&ctx, attempt).await {
            tracing::error!(attempt, %error, "a hand-over broke off; what it left open is settled later");
        }
        if let Ok(mut open) = under_way.lock() {
            open.remove(&attempt);
        }
        bell.notify_one();
    });
}

/// The mailbox is a table of ours: the message and its acceptance are one transaction, and nothing can be
/// uncertain.
fn into_mailbox(ctx: &Arc<Context>, departing: Departing) {
    let Departing { message, carrier, attempt, sealed, sender, at, under_way, bell, .. } = departing;
    let ctx = ctx.clone();
    ctx.clone().under_way.spawn(async move {
        let said = Said::Accepted { code: 250, reply: "captured in the mailbox".into() };
        let mut ended = ended(&ctx, &message, attempt, &sealed.subject, said, at).await;
        match ctx.store.ids.one("mailbox").await {
            Ok(id) => {
                let raw = letter::captured(&ctx, &message, &sender, &sealed);
                ended.outcome.mail = Some(Mail { id, sender, raw });
            }
            Err(error) => {
                tracing::warn!(%error, "no room in the mailbox");
                ended = not_begun(&ctx, &message, attempt, &sealed.subject, at).await;
            }
        }
        ended.permit = Some(carrier.into_permit());
        finish(&ctx, ended, &under_way, bell);
    });
}

async fn by_smtp(ctx: Arc<Context>, departing: Departing) {
    let Departing { message, mut carrier, attempt, sealed, sender, worker, intent_at, at, .. } = departing;
    let (under_way, bell, slow_until) = (departing.under_way, departing.bell, departing.slow_until);
    let segment = ctx.life.journal().and_then(|journal| journal.segment().ok());
    let said = match carrier.exit.as_mut() {
        Some(Exit::Smtp(session, _)) => {
            let asked = Arc::new(AtomicBool::new(false));
            let intent_at = Arc::new(AtomicI64::new(intent_at));
            let ask = last_question(&ctx, segment.clone(), attempt, (worker, intent_at), asked.clone());
            let whole = hand_over(session, &sender, &message.address, &sealed.bytes, DotGate::now(ask));
            AssertUnwindSafe(whole).catch_unwind().await.unwrap_or_else(|_| broke_off(&asked))
        }
        _ => Said::Failed { stage: Stage::Prepare, detail: "no connection".into() },
    };
    if matches!(said, Said::NotStarted { reason: Refusal::TooLate { .. } }) {
        slow_until.store(boot_millis() + SLOW_FOR, Ordering::Relaxed);
    }
    let now = ctx.clock.now().unwrap_or(at + (boot_millis() - intent_at));
    let told = said.into();
    settle(&ctx, Ending { message, carrier, attempt, sealed, segment, told, now }, &under_way, bell).await;
}

/// A hand-over that is over: what was said, and what is to be freed once that is recorded.
pub(crate) struct Ending {
    pub message: Claimed,
    pub carrier: Carrier,
    pub attempt: i64,
    pub sealed: Sealed,
    pub segment: Option<Arc<Segment>>,
    pub told: Told,
    pub now: Millis,
}

/// Notes the answer and hands its meaning to the recorder.
pub(crate) async fn settle(
    ctx: &Arc<Context>,
    ending: Ending,
    under_way: &Mutex<HashMap<i64, i64>>,
    bell: Arc<Notify>,
) {
    let Ending { message, carrier, attempt, sealed, segment, told, now } = ending;
    point("answered");
    note(segment.as_deref(), attempt, &told);
    point("reply-noted");
    if let Some(rests) = rest(&message, &told, now) {
        rest_profile(ctx, message.profile_id, rests, now).await;
    }
    let mut ended = ended(ctx, &message, attempt, &sealed.subject, told, now).await;
    ended.permit = Some(carrier.into_permit());
    ended.segment = segment;
    finish(ctx, ended, under_way, bell);
}

/// A defect of ours ended the hand-over: one message's trouble and nobody else's.
pub(crate) fn broke_off(asked: &AtomicBool) -> Said {
    tracing::error!("a hand-over panicked");
    let detail = "the hand-over broke off".into();
    match asked.load(Ordering::Relaxed) {
        true => Said::Unknown { detail },
        false => Said::Failed { stage: Stage::Body, detail },
    }
}

fn finish(ctx: &Context, mut ended: Ended, under_way: &Mutex<HashMap<i64, i64>>, bell: Arc<Notify>) {
    if let Ok(mut open) = under_way.lock() {
        open.remove(&ended.outcome.attempt_id);
    }
    ended.bell = Some(bell);
    ctx.recorder.record(ended);
}

/// Directly before the dot: the intent is young by the boot-time clock, the clocks agree, the lease stands,
/// and the journal has taken the line.
pub(crate) fn last_question(
    ctx: &Arc<Context>,
    segment: Option<Arc<Segment>>,
    attempt: i64,
    (worker, intent_at): (i64, Arc<AtomicI64>),
    asked: Arc<AtomicBool>,
) -> impl FnMut() -> Result<(), Refusal> + Send + 'static {
    let life = ctx.life.clone();
    let wants_journal = ctx.settings.journal.is_some();
    let drift = wall_millis() - boot_millis();
    let mut noted = false;
    move || {
        let age = boot_millis() - intent_at.load(Ordering::Relaxed);
        if age > G {
            return Err(Refusal::TooLate { age_ms: age as u64, allowed_ms: G as u64 });
        }
        if ((wall_millis() - boot_millis()) - drift).abs() > 1_000 {
            return Err(Refusal::ClockStepped);
        }
        if !life.holds(worker) {
            return Err(Refusal::LeaseLost);
        }
        if wants_journal && !noted {
            let segment = segment.as_ref().ok_or(Refusal::JournalFailed)?;
            point("dot-asked");
            segment.write(&Line::Dot { attempt }).map_err(|_| Refusal::JournalFailed)?;
            noted = true;
        }
        point("dot-noted");
        asked.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Notes the provider's answer. If that fails a crash before the commit leaves the message uncertain, no worse.
fn note(segment: Option<&Segment>, attempt: i64, told: &Told) {
    let receipt = told.receipt.clone();
    let line = match &told.said {
        Said::Accepted { code, reply } => Line::Reply {
            attempt,
            code: *code,
            text: reply.clone(),
            permanent: false,
            stage: "answer".into(),
            enhanced: None,
            receipt,
        },
        Said::Refused { stage, code, reply, permanent, enhanced } => Line::Reply {
            attempt,
            code: *code,
            text: reply.clone(),
            permanent: *permanent,
            stage: stage.to_string(),
            enhanced: enhanced.clone(),
            receipt,
        },
        _ => return,
    };
    if let Some(Err(error)) = segment.map(|s| s.write(&line)) {
        tracing::error!(%error, "the journal did not take a reply");
    }
}

async fn not_begun(ctx: &Context, message: &Claimed, attempt: i64, subject: &str, now: Millis) -> Ended {
    let said = Said::NotStarted { reason: Refusal::Withdrawn("before its beginning".into()) };
    ended(ctx, message, attempt, subject, said, now).await
}

/// Records that a hand-over whose intent may or may not be committed did not begin.
pub fn not_started(
    ctx: &Arc<Context>,
    message: Claimed,
    carrier: Carrier,
    attempt: i64,
    subject: String,
    now: Millis,
) {
    let ctx = ctx.clone();
    ctx.clone().under_way.spawn(async move {
        let mut ended = not_begun(&ctx, &message, attempt, &subject, now).await;
        ended.permit = Some(carrier.into_permit());
        ctx.recorder.record(ended);
    });
}

/// The provider takes no more for now, or at all: the profile rests, and its queue is kept.
async fn rest_profile(ctx: &Context, profile: i64, Rest { until, why }: Rest, now: Millis) {
    let to = if until.is_some() { "paused" } else { "disabled" };
    tracing::warn!(profile, why, "the provider takes no more: the profile is {to}");
    if let Err(error) = standing::mark(ctx, profile, ("active", to), until, Some(&why), now).await {
        tracing::warn!(%error, profile, "the profile's rest is not recorded; the next refusal tries again");
    }
}
