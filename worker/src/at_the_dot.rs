//! Hand-overs on a slow server: MAIL, RCPT and the body first, and the intent only at the dot (SEND_PROTOCOL 3).
//!
//! An intent is a promise that is G old at most when the dot is written. A server that takes longer than that
//! for its envelope and the body would never get a message, so there the body is written under the claim alone,
//! and the intent is committed by [`DotGate::after`], in the gates' next free slot, grouped over the connections that
//! wait there.

use crate::channels::smtp::{DotGate, hand_over};
use crate::channels::{Outcome as Said, Refusal, Stage};
use crate::context::Context;
use crate::hand_over::{self, Departing, Ending, Exit, broke_off, last_question};
use futures::FutureExt;
use sendwright_store::Result;
use sendwright_store::claims::Claimed;
use sendwright_store::intents::{self, AtTheDot};
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::reason::Reason;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

mod group;

pub use group::Group;

/// What became of the intent while the hand-over waited at its dot.
#[derive(Default)]
struct Intent {
    /// The boot instant before its commit.
    at: Arc<AtomicI64>,
    /// Its slot; 0 where none was taken.
    slot: AtomicI64,
    /// What forbade it.
    back: Mutex<Option<(&'static str, Reason)>>,
}

/// Starts a hand-over whose intent is still to come. It ends with a record, or with its row put back.
pub fn start(ctx: Arc<Context>, departing: Departing, rates: Rates, group: Arc<Group>) {
    if let Ok(mut open) = departing.under_way.lock() {
        open.insert(departing.attempt, departing.intent_at);
    }
    hand_over::whole(ctx, departing, |ctx, departing| run(ctx, departing, rates, group));
}

async fn run(ctx: Arc<Context>, departing: Departing, rates: Rates, group: Arc<Group>) {
    let Departing { mut message, mut carrier, attempt, sealed, sender, worker, at, .. } = departing;
    let (under_way, bell) = (departing.under_way, departing.bell);
    let segment = ctx.life.journal().and_then(|journal| journal.segment().ok());
    let intent = Arc::new(Intent::default());
    let said = match carrier.exit.as_mut() {
        Some(Exit::Smtp(session, _)) => {
            let asked = Arc::new(AtomicBool::new(false));
            let ask =
                last_question(&ctx, segment.clone(), attempt, (worker, intent.at.clone()), asked.clone());
            let wait = wait(ctx.clone(), group, (message.clone(), attempt), rates, intent.clone());
            let whole =
                hand_over(session, &sender, &message.address, &sealed.bytes, DotGate::after(wait, ask));
            AssertUnwindSafe(whole).catch_unwind().await.unwrap_or_else(|_| broke_off(&asked))
        }
        _ => Said::Failed { stage: Stage::Prepare, detail: "no connection".into() },
    };
    let now = ctx.clock.now().unwrap_or(at);
    let back = intent.back.lock().ok().and_then(|mut back| back.take());
    if let Some((state, reason)) = back {
        // If this fails the claim is let go below, and found again.
        if let Err(error) = put_back(&ctx, &rates, (&message, state, reason)).await {
            tracing::warn!(%error, "a row could not be put back yet");
        }
        if let Ok(mut open) = under_way.lock() {
            open.remove(&attempt);
        }
        drop(carrier.into_permit());
        return bell.notify_one();
    }
    match intent.slot.load(Ordering::Relaxed) {
        0 => give_count_back(&ctx, &message, &rates).await,
        slot => message.slot = slot,
    }
    let ending = Ending { message, carrier, attempt, sealed, segment, told: said.into(), now };
    hand_over::settle(&ctx, ending, &under_way, bell).await;
}

/// With the body written: asks for the intent until there is a slot, or a reason against it.
async fn wait(
    ctx: Arc<Context>,
    group: Arc<Group>,
    (message, attempt): (Claimed, i64),
    rates: Rates,
    intent: Arc<Intent>,
) -> std::result::Result<(), Refusal> {
    let withdrawn = |why: &str| Err(Refusal::Withdrawn(why.into()));
    loop {
        let Some((came, at)) = group.ask(&ctx, (&message, attempt), rates).await else {
            // Whether it stands is not known; what is recorded next finds its attempt if it is there.
            return withdrawn("the intent had no answer");
        };
        match came {
            AtTheDot::Go { slot } => {
                intent.at.store(at, Ordering::Relaxed);
                intent.slot.store(slot, Ordering::Relaxed);
                return Ok(());
            }
            AtTheDot::Wait { until } => {
                let wait = ctx.clock.now().map_or(1_000, |now| (until - now).clamp(1, 1_000));
                tokio::time::sleep(Duration::from_millis(wait as u64)).await;
            }
            AtTheDot::Back { state, reason } => {
                if let Ok(mut back) = intent.back.lock() {
                    *back = Some((state, reason));
                }
                return withdrawn("at its intent");
            }
            AtTheDot::Lost => return withdrawn("the claim was lost"),
        }
    }
}

async fn put_back(ctx: &Context, rates: &Rates, row: (&Claimed, &'static str, Reason)) -> Result<()> {
    let (profile, now) = (row.0.profile_id, ctx.clock.now().unwrap_or_default());
    let mut tx = ctx.store.begin().await?;
    intents::put_back(&mut tx, profile, rates, &[row], now).await?;
    tx.commit().await
}

/// A count that cannot be returned only sends less.
async fn give_count_back(ctx: &Context, message: &Claimed, rates: &Rates) {
    let given = async {
        let mut tx = ctx.store.begin().await?;
        intents::give_count_back(&mut tx, message, rates).await?;
        tx.commit().await
    };
    if let Err(error) = given.await {
        tracing::warn!(%error, "a slot's count was not given back");
    }
}
