//! The lanes of webhooks: events are numbered, and every endpoint with something due has its courier.

use super::rest;
use crate::context::Context;
use crate::courier::{Courier, Couriers};
use crate::handlers::sequence;
use sendwright_store::{Result, deliveries};
use sendwright_workflows::clock::SECOND;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A pass waits this long for the next one's events: a commit costs the same for one as for many.
const GATHER: Duration = Duration::from_millis(20);

/// Numbers events as they come.
pub async fn sequence_lane(ctx: Arc<Context>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Some(now) = ctx.clock.now() {
            match sequence::pass(&ctx, now).await {
                Ok(0) => {}
                Ok(_) => {
                    tokio::time::sleep(GATHER).await;
                    continue;
                }
                Err(error) => tracing::warn!(%error, lane = "sequence", "a pass failed; tried again"),
            }
        }
        rest(&ctx, &ctx.bells.sequence, None, &stop).await;
    }
}

/// Keeps one courier per endpoint with work; each has its own bell, so that none waits for another.
pub async fn deliver_lane(ctx: Arc<Context>, stop: CancellationToken) {
    let shared = match Couriers::new(ctx.settings.webhooks_allow_private) {
        Ok(shared) => Arc::new(shared),
        Err(error) => {
            tracing::error!(%error, "webhooks cannot be delivered: TLS cannot be set up");
            return stop.cancelled().await;
        }
    };
    let mut bells: HashMap<i64, Arc<Notify>> = HashMap::new();
    let couriers = TaskTracker::new();
    let (ended, mut ends) = tokio::sync::mpsc::unbounded_channel();
    while !stop.is_cancelled() {
        while let Ok(endpoint) = ends.try_recv() {
            bells.remove(&endpoint);
        }
        let due = due(&ctx).await.unwrap_or_else(|error| {
            tracing::warn!(%error, lane = "deliver", "a look failed; tried again");
            Vec::new()
        });
        for endpoint in due {
            if let Some(bell) = bells.get(&endpoint) {
                bell.notify_one();
                continue;
            }
            let bell = Arc::new(Notify::new());
            let courier = Courier::new(ctx.clone(), shared.clone(), endpoint, bell.clone());
            let (stop, ended) = (stop.clone(), End(ended.clone(), endpoint));
            couriers.spawn(async move {
                courier.run(stop).await;
                drop(ended);
            });
            bells.insert(endpoint, bell);
        }
        rest(&ctx, &ctx.bells.deliver, None, &stop).await;
    }
    couriers.close();
    couriers.wait().await;
}

async fn due(ctx: &Context) -> Result<Vec<i64>> {
    let Some(now) = ctx.clock.now() else { return Ok(Vec::new()) };
    let mut tx = ctx.store.read().await?;
    let due = deliveries::endpoints_with_due(&mut tx, now + SECOND).await?;
    tx.commit().await?;
    Ok(due)
}

/// Says that a courier has ended, even by a panic: the next look begins it anew.
struct End(tokio::sync::mpsc::UnboundedSender<i64>, i64);

impl Drop for End {
    fn drop(&mut self) {
        let _ = self.0.send(self.1);
    }
}
