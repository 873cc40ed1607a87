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
    let spawn_all = async {
        // The place first, then the job: what waits here can still be coalesced.
        while let Ok(place) = places.clone().acquire_owned().await {
            let job = waiting.next(lane).await;
            let handler = handler.clone();
            running.spawn(async move {
                handle(handler, job).await;
                drop(place);
            });
        }
    };
    shutdown.run_until_cancelled(spawn_all).await;
    running.close();
    running.wait().await;
}
