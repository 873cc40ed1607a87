//! T3 in groups: outcomes of many hand-overs, committed together, before their permits are released.

use crate::context::Context;
use crate::in_hand::Permit;
use crate::journal::Segment;
use crate::stop::{self, Stopped};
use futures::FutureExt;
use sendwright_fail::point;
use sendwright_store::consents::Numbers;
use sendwright_store::outcomes::{self, Against, End, Outcome};
use sendwright_store::{Error, Result, Tx};
use sendwright_workflows::address::Email;
use serde_json::json;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

/// Groups under way at once: one is worked out while another waits for its commit to be on the disk.
const HANDS: u32 = 2;
/// Most outcomes of one transaction.
const GROUP: usize = 256;
/// A smaller group waits a moment for others, while more hand-overs are under way than it has.
const SMALL: usize = 48;
/// How long.
const MOMENT: Duration = Duration::from_millis(3);

/// The end of one hand-over. Dropping it releases the permit and the journal's segment: only after the commit.
pub struct Ended {
    /// What to record.
    pub outcome: Outcome,
    /// One of D, which holds the message.
    pub permit: Option<Permit>,
    /// Where its dot and reply were noted.
    pub segment: Option<Arc<Segment>>,
    /// Its sender's bell: a permit is free again.
    pub bell: Option<Arc<Notify>>,
}

enum Order {
    Record(Box<Ended>),
    Flush(oneshot::Sender<()>),
}

/// Takes outcomes from hand-overs to the database.
#[derive(Default)]
pub struct Recorder(OnceLock<mpsc::UnboundedSender<Order>>);

impl Recorder {
    /// Hands an outcome in. How many wait is bounded by D: each holds its permit.
    pub fn record(&self, ended: Ended) {
        if let Some(sender) = self.0.get() {
            let _ = sender.send(Order::Record(Box::new(ended)));
        }
    }

    /// Returns when everything handed in before is committed.
    pub async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if let Some(sender) = self.0.get()
            && sender.send(Order::Flush(done)).is_ok()
        {
            let _ = wait.await;
        }
    }

    /// Starts the task that records, until the context is gone.
    pub fn start(ctx: &Arc<Context>) {
        let (sender, orders) = mpsc::unbounded_channel();
        if ctx.recorder.0.set(sender).is_ok() {
            tokio::spawn(run(ctx.clone(), orders));
        }
    }
}

async fn run(ctx: Arc<Context>, mut orders: mpsc::UnboundedReceiver<Order>) {
    let hands = Arc::new(Semaphore::new(HANDS as usize));
    let mut waiting = Vec::with_capacity(GROUP);
    // Only who has a hand free takes a group: what ends meanwhile makes it larger.
    while let Ok(hand) = hands.clone().acquire_owned().await {
        if orders.recv_many(&mut waiting, GROUP).await == 0 {
            return;
        }
        let open = ctx.settings.open_limit.saturating_sub(ctx.open.available_permits());
        if waiting.len() < SMALL.min(open / 2) {
            gather(&mut orders, &mut waiting).await;
        }
        let (mut ended, mut flushes) = (Vec::new(), Vec::new());
        for order in waiting.drain(..) {
            match order {
                Order::Record(one) => ended.push(*one),
                Order::Flush(done) => flushes.push(done),
            }
        }
        if flushes.is_empty() {
            let ctx = ctx.clone();
            tokio::spawn(async move {
                record(&ctx, ended).await;
                drop(hand);
            });
            continue;
        }
        record(&ctx, ended).await;
        // The other groups are over when their hands are free.
        drop(hand);
        drop(hands.acquire_many(HANDS).await);
        for done in flushes {
            let _ = done.send(());
        }
    }
}

/// A commit costs the same for one outcome as for many.
async fn gather(orders: &mut mpsc::UnboundedReceiver<Order>, waiting: &mut Vec<Order>) {
    let until = tokio::time::Instant::now() + MOMENT;
    while waiting.len() < SMALL && matches!(waiting.last(), Some(Order::Record(_))) {
        match tokio::time::timeout_at(until, orders.recv_many(waiting, GROUP)).await {
            Ok(more) if more > 0 => {}
            _ => return,
        }
    }
}

async fn record(ctx: &Context, mut ended: Vec<Ended>) {
    if ended.is_empty() {
        return;
    }
    let mut outcomes: Vec<Outcome> = ended.iter().map(|e| e.outcome.clone()).collect();
    settle(ctx, &mut outcomes).await;
    ring(ctx, &outcomes);
    let bells: Vec<_> = ended.iter_mut().filter_map(|e| e.bell.take()).collect();
    // Only now are permits free and segments let go: their outcomes are committed.
    drop(ended);
    bells.iter().for_each(|bell| bell.notify_one());
}

/// Commits outcomes, however long the database is away: the truth is never discarded. A group that fails for
/// another cause is halved until the row that is to blame stands alone (SEND_PROTOCOL 14).
pub async fn settle(ctx: &Context, outcomes: &mut [Outcome]) {
    let mut wait = Duration::from_millis(50);
    let mut tries = 0;
    loop {
        // A panic takes the transaction with it, and not the task that all outcomes come to.
        let error = match AssertUnwindSafe(commit(ctx, outcomes)).catch_unwind().await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => {
                metrics::counter!("sendwright_panics", "lane" => "record").increment(1);
                Error::Schema("recording panicked".into())
            }
        };
        if !error.passes() {
            if let [single] = outcomes {
                tries += 1;
                if tries > 2 {
                    tracing::error!(attempt = single.attempt_id, %error, "an outcome cannot be recorded");
                    return; // It stays `sending`, and is uncertain in time; the others go on.
                }
                bare(single, &error);
            } else {
                let (left, right) = outcomes.split_at_mut(outcomes.len() / 2);
                Box::pin(settle(ctx, left)).await;
                Box::pin(settle(ctx, right)).await;
                return;
            }
        }
        metrics::counter!("sendwright_outcome_retries").increment(1);
        tracing::warn!(%error, rows = outcomes.len(), "outcomes wait for the database");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(5));
    }
}

/// A single outcome that cannot be written as it is keeps its state and loses its words.
fn bare(outcome: &mut Outcome, error: &Error) {
    tracing::error!(attempt = outcome.attempt_id, %error, "an outcome is recorded without its details");
    outcome.detail = None;
    outcome.mail = None;
    outcome.subject.clear();
}

async fn commit(ctx: &Context, outcomes: &mut [Outcome]) -> Result<()> {
    let told = ctx.store.ids.take("events", outcomes.len()).await?;
    let forbidden = outcomes.iter().filter(|o| is_bad(o)).count();
    let mut suppressed = ctx.store.ids.take("suppressions", forbidden).await?;
    for (outcome, event) in outcomes.iter_mut().zip(told) {
        outcome.event_id = event;
        if is_bad(outcome) {
            outcome.suppression = suppressed.next().map(|id| (id, masked(outcome)));
        }
    }
    let stops = stops(ctx, outcomes).await?;
    let mut tx = ctx.store.begin_promptly().await?;
    for (outcome, numbers) in stops {
        record_stop(&mut tx, outcome, numbers).await?;
    }
    outcomes::settle(&mut tx, outcomes).await?;
    point("outcome-written");
    tx.commit().await?;
    point("outcome-committed");
    count(outcomes);
    Ok(())
}

fn is_bad(outcome: &Outcome) -> bool {
    matches!(outcome.end, End::Failed { against: Some(Against::Bad), .. })
}

/// Those whose recipient has told the provider to stop, by account, with numbers for what is written down of it.
async fn stops<'o>(ctx: &Context, outcomes: &'o [Outcome]) -> Result<Vec<(&'o Outcome, Numbers)>> {
    let stopped = |o: &&Outcome| matches!(o.end, End::Failed { against: Some(Against::Stopped), .. });
    let mut stops = Vec::new();
    for outcome in outcomes.iter().filter(stopped) {
        stops.push((outcome, stop::numbers(&ctx.store.ids).await?));
    }
    stops.sort_by_key(|(outcome, _)| outcome.account_id);
    Ok(stops)
}

/// A STOP that came by the provider's refusal.
async fn record_stop(tx: &mut Tx, outcome: &Outcome, numbers: Numbers) -> Result<()> {
    let stopped = Stopped {
        account: outcome.account_id,
        contact: outcome.contact_id,
        address: &outcome.address,
        address_hash: &outcome.address_hash,
        evidence: json!({ "attempt": outcome.attempt_id, "code": outcome.receipt.code }).to_string(),
    };
    stop::record(tx, &stopped, numbers, outcome.at).await
}

fn masked(outcome: &Outcome) -> String {
    match outcome.channel.is_phone() {
        true => stop::hint(&outcome.address),
        false => Email::parse(&outcome.address).map(|email| email.masked()).unwrap_or_default(),
    }
}

fn count(outcomes: &[Outcome]) {
    for outcome in outcomes {
        let end = match outcome.end {
            End::Accepted => "accepted",
            End::Retry { .. } => "retry",
            End::Failed { .. } => "failed",
            End::Unknown => "uncertain",
        };
        metrics::counter!("sendwright_hand_overs", "end" => end).increment(1);
    }
}

/// Work that the outcomes made: the next steps, and what is tried again.
fn ring(ctx: &Context, outcomes: &[Outcome]) {
    ctx.bells.sequence.notify_one();
    let soon = |at: i64| at <= outcomes.last().map_or(0, |o| o.at) + 1_000;
    if outcomes.iter().any(|o| o.then.as_ref().and_then(|t| t.next_run_at).is_some_and(soon)) {
        ctx.bells.plan.notify_one();
    }
    if outcomes.iter().any(|o| matches!(o.end, End::Retry { at, .. } if soon(at))) {
        ctx.bells.send();
    }
}
