//! The clock: apalis-cron ticks, and a tick only starts the sweep and the prune. N processes tick N times, harmlessly.

use crate::context::Context;
use crate::prune::Prune;
use crate::sweep;
use apalis::prelude::{Data, WorkerBuilder};
use apalis_cron::{CronScheduler, Tick};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// A ticker that says nothing for so long is not waited for.
const SILENCE: Duration = Duration::from_secs(2);

/// Runs the sweep and the prune at every tick until `stop`. A tick that comes while they run is one more afterwards.
pub async fn run(ctx: Arc<Context>, stop: CancellationToken) {
    let (tick, mut prune) = (Arc::new(Notify::new()), Prune::default());
    let ticking = tokio::spawn(tick_for_ever(tick.clone(), stop.clone()));
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tick.notified() => {}
            // A wall clock that is set back as the ticker reckons its next tick would have it wait as long.
            () = tokio::time::sleep(SILENCE) => {}
        }
        let Some(now) = ctx.clock.now() else { continue };
        if let Err(error) = sweep::pass(&ctx, now).await {
            tracing::warn!(%error, "a sweep failed; the next tick tries again");
        }
        if let Err(error) = prune.pass(&ctx, now).await {
            tracing::warn!(%error, "old rows could not be pruned; that is tried again");
        }
    }
    ticking.abort();
}

/// Ticks every second. A ticker that ends (a late poll is fatal to it) is begun anew, at most twice a second.
async fn tick_for_ever(tick: Arc<Notify>, stop: CancellationToken) {
    let Ok(every_second) = cron::Schedule::from_str("* * * * * *") else { return };
    while !stop.is_cancelled() {
        let ticker = WorkerBuilder::new("sweep")
            .backend(CronScheduler::new(every_second.clone()))
            .data(tick.clone())
            .build(on_tick);
        if let Err(error) = ticker.run().await {
            tracing::debug!(%error, "the ticker is begun anew");
        }
        tick.notify_one();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Only rings: a handler longer than its tick would end the ticker.
async fn on_tick(_: Tick, tick: Data<Arc<Notify>>) {
    tick.notify_one();
}
