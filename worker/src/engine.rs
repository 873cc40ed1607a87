//! A worker process: its lanes as loops over the store, woken by hints.

use crate::context::Context;
use crate::handlers::{plan, write};
use crate::recorder::Recorder;
use crate::recovery::{self, Watch};
use crate::sender::Sender;
use crate::sweep;
use crate::{callbacks, imap, inbound, tracking, verify};
use futures::FutureExt;
use sendwright_queue::{Job, Lane, Receiver, consume};
use sendwright_store::{Result, claims, planning};
use sendwright_workflows::clock::{Millis, SECOND};
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod webhooks;

/// A loop that has heard nothing asks the store itself after this long, jittered.
const POLL: Duration = Duration::from_millis(800);
/// The pause before a lane that panicked is begun anew.
const IN_PANIC: Duration = Duration::from_secs(1);
/// Passes over mailboxes under way at once: each holds those that it reads.
const IMAP_PASSES: usize = 4;
/// A sender without work ends after this long.
const IDLE: Duration = Duration::from_secs(60);

/// Runs the lanes of a worker until `stop`, then drains: no new claim, open hand-overs finish, claims go back.
pub async fn run(
    ctx: Arc<Context>,
    lanes: &[Lane],
    hints: Receiver,
    concurrency: usize,
    stop: CancellationToken,
) -> Result<()> {
    Recorder::start(&ctx);
    recovery::replay(&ctx).await?;
    ctx.life.begin(&ctx).await?;
    let loops = TaskTracker::new();
    let beating = CancellationToken::new();
    tokio::spawn(ctx.life.clone().keep(ctx.clone(), beating.clone()));
    loops.spawn(standing("watch", ctx.clone(), stop.clone(), watch));
    if lanes.contains(&Lane::Plan) {
        loops.spawn(standing("plan", ctx.clone(), stop.clone(), plan_lane));
    }
    if lanes.contains(&Lane::Write) {
        loops.spawn(standing("write", ctx.clone(), stop.clone(), write_lane));
    }
    if lanes.contains(&Lane::Mail) {
        loops
            .spawn(standing("mail", ctx.clone(), stop.clone(), |ctx, stop| send_lane(ctx, stop, Lane::Mail)));
    }
    if lanes.contains(&Lane::Sms) {
        loops.spawn(standing("sms", ctx.clone(), stop.clone(), |ctx, stop| send_lane(ctx, stop, Lane::Sms)));
        loops.spawn(standing("verify", ctx.clone(), stop.clone(), verify_lane));
    }
    if lanes.contains(&Lane::Sequence) {
        loops.spawn(standing("sequence", ctx.clone(), stop.clone(), webhooks::sequence_lane));
    }
    if lanes.contains(&Lane::Deliver) {
        loops.spawn(standing("deliver", ctx.clone(), stop.clone(), webhooks::deliver_lane));
    }
    if lanes.contains(&Lane::Inbound) {
        loops.spawn(standing("inbound", ctx.clone(), stop.clone(), inbound_lane));
        loops.spawn(standing("imap", ctx.clone(), stop.clone(), imap_lane));
    }
    loops.spawn(listen(ctx.clone(), lanes.to_vec(), hints, concurrency, stop.clone()));
    loops.close();
    stop.cancelled().await;
    drain(&ctx, loops).await;
    beating.cancel();
    Ok(())
}

/// Runs a loop until the end of the process: a panic in it is one pass's trouble, and it is begun anew.
async fn standing<F: Future<Output = ()>>(
    lane: &'static str,
    ctx: Arc<Context>,
    stop: CancellationToken,
    run: impl Fn(Arc<Context>, CancellationToken) -> F,
) {
    while AssertUnwindSafe(run(ctx.clone(), stop.clone())).catch_unwind().await.is_err() {
        metrics::counter!("sendwright_panics", "lane" => lane).increment(1);
        tracing::error!(lane, "a pass panicked; the lane is begun anew");
        if stop.run_until_cancelled(tokio::time::sleep(IN_PANIC)).await.is_none() {
            return;
        }
    }
}

/// Hints only ring bells: what is due is asked of the store.
async fn listen(
    ctx: Arc<Context>,
    lanes: Vec<Lane>,
    hints: Receiver,
    concurrency: usize,
    stop: CancellationToken,
) {
    let handler = Arc::new(move |job: Job| {
        match job {
            Job::Plan { .. } | Job::Remap { .. } => ctx.bells.plan.notify_one(),
            Job::Write { .. } => ctx.bells.write.notify_one(),
            Job::Deliver { .. } => ctx.bells.deliver.notify_one(),
            Job::Sequence { .. } => ctx.bells.sequence.notify_one(),
            Job::Inbound { .. } | Job::Callback { .. } => ctx.bells.inbound.notify_one(),
            Job::Sms { .. } => ctx.bells.sms.notify_one(),
            _ => ctx.bells.mail.notify_one(),
        }
        let done: futures::future::BoxFuture<'static, ()> = Box::pin(std::future::ready(()));
        done
    });
    consume(hints, &lanes, concurrency, stop, handler).await;
}

/// Waits for what is under way, within the grace; the rest is left to the journal and the lease.
async fn drain(ctx: &Arc<Context>, loops: TaskTracker) {
    let grace = ctx.settings.grace;
    let orderly = async {
        loops.wait().await;
        ctx.under_way.close();
        ctx.under_way.wait().await;
        ctx.recorder.flush().await;
        ctx.life.end(ctx).await
    };
    match tokio::time::timeout(grace, orderly).await {
        Ok(Ok(())) => tracing::info!("worker ends in good order"),
        Ok(Err(error)) => tracing::warn!(%error, "worker ends; its row could not be closed"),
        Err(_) => tracing::warn!(
            open = ctx.under_way.len(),
            "grace is over; open hand-overs are left to the journal"
        ),
    }
}

/// Sleeps until a bell, `next` or the poll, whichever comes first; `false` at the end of the process.
async fn rest(ctx: &Context, bell: &Notify, next: Option<Millis>, stop: &CancellationToken) -> bool {
    let poll = POLL + Duration::from_millis((crate::context::random_unit() * 400.0) as u64);
    let until = next.zip(ctx.clock.now()).map(|(at, now)| Duration::from_millis((at - now).max(1) as u64));
    let wait = until.map_or(poll, |until| until.min(poll));
    tokio::select! {
        () = stop.cancelled() => false,
        () = bell.notified() => true,
        () = tokio::time::sleep(wait) => true,
    }
}

async fn plan_lane(ctx: Arc<Context>, stop: CancellationToken) {
    let mut next = None;
    while !stop.is_cancelled() {
        let Some(now) = ctx.clock.now() else {
            rest(&ctx, &ctx.bells.plan, None, &stop).await;
            continue;
        };
        match plan_turn(&ctx, now).await {
            Ok((looked, at)) => {
                // What is due and was not looked at is left to the poll.
                next = at.filter(|at| *at > now);
                if looked > 0 {
                    ctx.bells.send();
                    ctx.bells.write.notify_one();
                    continue;
                }
            }
            Err(error) => tracing::warn!(%error, lane = "plan", "a pass failed; tried again"),
        }
        rest(&ctx, &ctx.bells.plan, next, &stop).await;
    }
}

async fn plan_turn(ctx: &Context, now: Millis) -> Result<(usize, Option<Millis>)> {
    let looked = plan::pass(ctx, now).await?;
    let mut tx = ctx.store.read().await?;
    let next = planning::next_look(&mut tx).await?;
    tx.commit().await?;
    Ok((looked, next))
}

async fn write_lane(ctx: Arc<Context>, stop: CancellationToken) {
    let mut texts = write::Texts::default();
    while !stop.is_cancelled() {
        if let Some(now) = ctx.clock.now()
            && let Err(error) = texts.fill(&ctx, now).await
        {
            tracing::warn!(%error, lane = "write", "a look failed; tried again");
        }
        tokio::select! {
            _ = rest(&ctx, &ctx.bells.write, None, &stop) => {}
            true = texts.ended() => {}
        }
    }
    while texts.ended().await {}
}

async fn inbound_lane(ctx: Arc<Context>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Some(now) = ctx.clock.now() {
            let all = async {
                let understood = inbound::pass(&ctx, now).await? + callbacks::pass(&ctx, now).await?;
                Ok::<_, sendwright_store::Error>(understood + tracking::pass(&ctx, now).await?)
            };
            match all.await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(error) => tracing::warn!(%error, lane = "inbound", "a pass failed; tried again"),
            }
        }
        rest(&ctx, &ctx.bells.inbound, None, &stop).await;
    }
}

/// Looks for uncertain messages where their provider can be asked.
async fn verify_lane(ctx: Arc<Context>, stop: CancellationToken) {
    let never = Notify::new();
    while rest(&ctx, &never, None, &stop).await {
        let Some(now) = ctx.clock.now() else { continue };
        if let Err(error) = verify::pass(&ctx, now).await {
            tracing::warn!(%error, lane = "verify", "a pass failed; tried again");
        }
    }
}

/// Reads mailboxes beside the understanding of what came: a slow server keeps nobody waiting but its like.
async fn imap_lane(ctx: Arc<Context>, stop: CancellationToken) {
    let never = Notify::new();
    let mut passes = JoinSet::new();
    while rest(&ctx, &never, None, &stop).await {
        while passes.try_join_next().is_some() {}
        let Some(now) = ctx.clock.now().filter(|_| passes.len() < IMAP_PASSES) else { continue };
        let ctx = ctx.clone();
        passes.spawn(async move {
            if let Err(error) = imap::pass(&ctx, now).await {
                tracing::warn!(%error, lane = "imap", "a pass failed; tried again");
            }
        });
    }
}

/// Keeps one sender per profile with work in its lane; each has its own bell, so that none waits for another.
async fn send_lane(ctx: Arc<Context>, stop: CancellationToken, lane: Lane) {
    let look = if lane == Lane::Sms { &ctx.bells.sms } else { &ctx.bells.mail };
    let mut bells: HashMap<i64, Arc<Notify>> = HashMap::new();
    let senders = TaskTracker::new();
    let busy = Arc::new(AtomicUsize::new(0));
    let (ended, mut ends) = tokio::sync::mpsc::unbounded_channel();
    while !stop.is_cancelled() {
        while let Ok(profile) = ends.try_recv() {
            bells.remove(&profile);
        }
        match profiles(&ctx, lane).await {
            Ok(due) => {
                for profile in due {
                    bells.entry(profile).or_insert_with(|| {
                        let bell = Arc::new(Notify::new());
                        let task = Task {
                            ctx: ctx.clone(),
                            bell: bell.clone(),
                            busy: busy.clone(),
                            stop: stop.clone(),
                        };
                        let ended = ended.clone();
                        let busy = busy.clone();
                        senders.spawn(async move {
                            busy.fetch_add(1, Ordering::Relaxed);
                            if AssertUnwindSafe(task.run(profile)).catch_unwind().await.is_err() {
                                tracing::error!(profile, "a sender panicked; the next look begins it anew");
                            }
                            busy.fetch_sub(1, Ordering::Relaxed);
                            let _ = ended.send(profile);
                        });
                        bell
                    });
                }
            }
            Err(error) => tracing::warn!(%error, %lane, "a look failed; tried again"),
        }
        bells.values().for_each(|bell| bell.notify_one());
        rest(&ctx, look, None, &stop).await;
    }
    bells.values().for_each(|bell| bell.notify_one());
    senders.close();
    senders.wait().await;
}

async fn profiles(ctx: &Context, lane: Lane) -> Result<Vec<i64>> {
    let Some(now) = ctx.clock.now() else { return Ok(Vec::new()) };
    let mut tx = ctx.store.read().await?;
    // A little ahead, so that connections are open when the instant comes.
    let due = claims::profiles_with_due(&mut tx, now + 2 * SECOND).await?;
    tx.commit().await?;
    let in_lane = due.into_iter().filter(|due| Job::send(due.channel(), due.profile).lane() == lane);
    Ok(in_lane.map(|due| due.profile).collect())
}

struct Task {
    ctx: Arc<Context>,
    bell: Arc<Notify>,
    busy: Arc<AtomicUsize>,
    stop: CancellationToken,
}

impl Task {
    async fn run(self, profile: i64) {
        let mut sender = Sender::new(self.ctx.clone(), profile, self.bell.clone(), self.stop.clone());
        let mut quiet = tokio::time::Instant::now();
        while !self.stop.is_cancelled() && quiet.elapsed() < IDLE {
            sender.shares = self.busy.load(Ordering::Relaxed) > 1;
            let next = match self.ctx.clock.now() {
                None => None,
                Some(now) => match sender.turn(now, true).await {
                    Ok(turn) if turn.did => {
                        quiet = tokio::time::Instant::now();
                        continue;
                    }
                    Ok(turn) => turn.next,
                    Err(error) => {
                        tracing::warn!(%error, profile, "a turn failed; tried again");
                        None
                    }
                },
            };
            if !sender.is_idle() {
                quiet = tokio::time::Instant::now();
            }
            rest(&self.ctx, &self.bell, next, &self.stop).await;
        }
        if let Some(now) = self.ctx.clock.now()
            && let Err(error) = sender.stop(now).await
        {
            tracing::warn!(%error, profile, "claims could not be given back; the lease will do it");
        }
    }
}

/// Looks after dead workers and live edits, beside the scheduler: any process does.
async fn watch(ctx: Arc<Context>, stop: CancellationToken) {
    let mut watch = Watch::default();
    let every = (ctx.settings.lease / 10).max(Duration::from_millis(250));
    while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        if let Err(error) = watch.look(&ctx).await {
            tracing::warn!(%error, "a look at the other workers failed");
        }
        if let Some(now) = ctx.clock.now()
            && let Err(error) = sweep::map_edited(&ctx, now).await
        {
            tracing::warn!(%error, "a live edit could not be mapped yet");
        }
    }
}
