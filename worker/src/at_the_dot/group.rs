//! Intents of the connections of one profile that wait at their dots at the same moment: one transaction for all.

use crate::context::Context;
use sendwright_store::Result;
use sendwright_store::claims::Claimed;
use sendwright_store::clock::boot_millis;
use sendwright_store::intents::{self, AtTheDot};
use sendwright_workflows::rate_limit::Rates;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the intents' transaction may take before its outcome counts as unknown.
const INTENT_TIMEOUT: Duration = Duration::from_secs(2);
/// Most intents of one transaction.
const GROUP: usize = 64;

/// What the intent came to, and the boot instant before its transaction.
type Answer = (AtTheDot, i64);

struct Ask {
    message: Claimed,
    attempt: i64,
    rates: Rates,
    answer: oneshot::Sender<Answer>,
}

#[derive(Default)]
struct Asks {
    waiting: Vec<Ask>,
    /// Somebody answers.
    busy: bool,
}

/// Those of one profile that wait. While one transaction runs the next ones gather.
#[derive(Default)]
pub struct Group(Mutex<Asks>);

impl Group {
    /// Asks for the intent of one message. Nothing: whether it stands is not known, or the database is away.
    pub async fn ask(
        self: &Arc<Self>,
        ctx: &Arc<Context>,
        (message, attempt): (&Claimed, i64),
        rates: Rates,
    ) -> Option<Answer> {
        let (answer, answered) = oneshot::channel();
        let idle = {
            let mut asks = self.lock();
            asks.waiting.push(Ask { message: message.clone(), attempt, rates, answer });
            !std::mem::replace(&mut asks.busy, true)
        };
        if idle {
            // Detached: who asks may go, and the others' answers must not go with it.
            tokio::spawn(answer_all(self.clone(), ctx.clone()));
        }
        answered.await.ok()
    }

    fn lock(&self) -> MutexGuard<'_, Asks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next ones; where there are none, whoever asks next begins anew.
    fn next(&self) -> Vec<Ask> {
        let mut asks = self.lock();
        let most = asks.waiting.len().min(GROUP);
        let next: Vec<Ask> = asks.waiting.drain(..most).collect();
        asks.busy = !next.is_empty();
        next
    }
}

async fn answer_all(group: Arc<Group>, ctx: Arc<Context>) {
    loop {
        let mut asks = group.next();
        if asks.is_empty() {
            return;
        }
        asks.retain(|ask| !ask.answer.is_closed());
        // In the order of claims: the first of them takes the next slot.
        asks.sort_by_key(|ask| (ask.message.planned_at, ask.message.enrolment_id));
        answer(&ctx, asks).await;
    }
}

/// Who is gone by the time of the answer, or gets none, is recorded as not started: that finds the attempt if it stands
/// (SEND_PROTOCOL 8).
async fn answer(ctx: &Context, asks: Vec<Ask>) {
    let at = boot_millis();
    match tokio::time::timeout(INTENT_TIMEOUT, intend(ctx, &asks)).await {
        Ok(Ok(came)) => {
            for (ask, came) in asks.into_iter().zip(came) {
                let _ = ask.answer.send((came, at));
            }
        }
        // One row may be to blame: the others go without it (SEND_PROTOCOL 14).
        Ok(Err(error)) if !error.passes() && asks.len() > 1 => {
            for ask in asks {
                Box::pin(answer(ctx, vec![ask])).await;
            }
        }
        Ok(Err(error)) => tracing::warn!(%error, "an intent at the dot failed"),
        Err(_) => tracing::warn!("an intent at the dot had no answer in time"),
    }
}

async fn intend(ctx: &Context, asks: &[Ask]) -> Result<Vec<AtTheDot>> {
    let rows: Vec<(&Claimed, i64)> = asks.iter().map(|ask| (&ask.message, ask.attempt)).collect();
    let Some(rates) = asks.last().map(|ask| ask.rates) else { return Ok(Vec::new()) };
    let mut tx = ctx.store.begin().await?;
    let came = intents::intend_at_the_dot(&mut tx, ctx.life.id(), &rows, &rates, ctx.clock.as_ref()).await?;
    match came.iter().any(|came| matches!(came, AtTheDot::Go { .. })) {
        true => tx.commit().await?,
        false => tx.rollback().await?,
    }
    Ok(came)
}
