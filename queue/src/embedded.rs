//! The transport in process.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Handler, Lane, consume::handle, waiting::Waiting};

/// Works one lane until `shutdown`, then lets the running handlers end.
pub(crate) async fn run(
    waiting: Arc<Waiting>,
    lane: Lane,
    concurrency: usize,
    shutdown: CancellationToken,
    handler: Handler,
) {
    let places = Arc::new(Semaphore::new(concurrency));
    let running = TaskTracker::new();
    // The place first, then the job: what waits here can still be coalesced.
    let next = async || (places.clone().acquire_owned().await, waiting.next(lane).await);
    loop {
        let (place, job) = tokio::select! {
            // First: a place that comes free with the shutdown starts nothing.
            biased;
            () = shutdown.cancelled() => break,
            next = next() => next,
        };
        let handler = handler.clone();
        running.spawn(async move {
            handle(handler, job).await;
            drop(place);
        });
    }
    running.close();
    running.wait().await;
}
