//! The consumer's face: jobs of some lanes, given to one handler.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    Job, Lane, embedded, metric,
    redis::{BadUrl, Link, work},
    waiting::Waiting,
};

/// What is done with a job. It returns nothing: what happened is in the database.
pub type Handler = Arc<dyn Fn(Job) -> BoxFuture<'static, ()> + Send + Sync>;

/// The longest a handler may run before it is dropped and its place given to another. Far above every
/// timeout a handler sets for itself: it frees the place of one that hangs.
pub const HANDLER_LIMIT: Duration = Duration::from_secs(600);

/// The end of a transport that jobs come out of.
#[derive(Clone)]
pub struct Receiver(Source);

#[derive(Clone)]
enum Source {
    Embedded(Arc<Waiting>),
    Redis(Arc<Link>),
}

impl Receiver {
    pub(crate) fn embedded(waiting: Arc<Waiting>) -> Receiver {
        Receiver(Source::Embedded(waiting))
    }

    /// The lanes in Redis that [`Queue::redis`](crate::Queue::redis) fills with the same `prefix`. Redis need
    /// not be there yet.
    ///
    /// # Errors
    /// Only where `url` is no address this build can use.
    pub fn redis(url: &str, prefix: &str) -> Result<Receiver, BadUrl> {
        Ok(Receiver(Source::Redis(Arc::new(Link::open(url, prefix)?))))
    }
}

/// Gives the jobs of `lanes` to `handler`, at most `concurrency` at once **in each lane**, until `shutdown`.
/// Then it takes no more and returns when the running handlers have ended; who cannot wait that long wraps it
/// in a timeout (a handler left behind is then cut off with the runtime, as by a crash).
///
/// A panic or a hang in a handler costs that job only. A lost, flushed, paused or poisoned Redis costs hints
/// only: the workers come back by themselves, for ever.
pub async fn consume(
    receiver: Receiver,
    lanes: &[Lane],
    concurrency: usize,
    shutdown: CancellationToken,
    handler: Handler,
) {
    let concurrency = concurrency.max(1);
    let mut workers = JoinSet::new();
    for &lane in lanes {
        let (shutdown, handler) = (shutdown.clone(), handler.clone());
        match &receiver.0 {
            Source::Embedded(waiting) => {
                workers.spawn(embedded::run(waiting.clone(), lane, concurrency, shutdown, handler))
            }
            Source::Redis(link) => {
                workers.spawn(work::run(link.clone(), lane, concurrency, shutdown, handler))
            }
        };
    }
    while let Some(ended) = workers.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a lane ended on a panic of its own; restart this process");
        }
    }
}

/// Runs one job to its end, whatever that is.
pub(crate) async fn handle(handler: Handler, job: Job) {
    let lane = job.lane();
    let run = AssertUnwindSafe(async move { handler(job).await }).catch_unwind();
    let how = match tokio::time::timeout(HANDLER_LIMIT, run).await {
        Ok(Ok(())) => "done",
        Ok(Err(_)) => {
            tracing::error!(%lane, ?job, "a handler panicked; its rows are offered again by the sweep");
            "panicked"
        }
        Err(_) => {
            tracing::error!(%lane, ?job, "a handler hung and was dropped; its rows are offered again by the sweep");
            "timed_out"
        }
    };
    metric::handled(lane, how);
}
