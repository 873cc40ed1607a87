//! A lane's worker: apalis runs it, and it is started again whenever it ends.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use apalis::prelude::{
    BackendExt, Codec, ParallelizeExt, PollSnapshot, PollStrategy, WorkerBuilder, WorkerError,
};
use apalis_redis::RedisStorage;
use futures::{FutureExt, future::BoxFuture};
use tokio::{
    sync::Semaphore,
    time::{Interval, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::limit::GlobalConcurrencyLimitLayer;

use super::{Link, Wedge, upkeep};
use crate::{
    Handler, Job, Lane,
    consume::handle,
    metric::{self, Seldom},
};

/// How often an idle lane is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long Redis may take to answer a worker; a pause shorter than this is not even noticed.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause before a new start, doubled from the first to the second while starts keep failing.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(2)];
/// A worker that lived this long was sound.
const SOUND: Duration = Duration::from_secs(30);
/// How long a worker may take after its last handler to say so to Redis.
const FAREWELL: Duration = Duration::from_secs(1);

/// Works one lane until `shutdown`, then lets the running handlers end.
pub(crate) async fn run(
    link: Arc<Link>,
    lane: Lane,
    concurrency: usize,
    shutdown: CancellationToken,
    handler: Handler,
) {
    let post = Post {
        link,
        lane,
        places: Arc::new(Semaphore::new(concurrency)),
        running: TaskTracker::new(),
        shutdown,
        handler,
        log: Arc::default(),
    };
    let (mut pause, mut wedge) = (PAUSES[0], Wedge::default());
    while !post.shutdown.is_cancelled() {
        let started = Instant::now();
        let Err(error) = post.worker_life().await else { continue };
        metric::restarted(lane);
        if post.log.now() {
            tracing::warn!(%lane, %error, "the lane's worker ended and is started again");
        }
        if started.elapsed() >= SOUND {
            pause = PAUSES[0];
            wedge.over();
        }
        if post.link.ping().await.is_ok() && wedge.another() {
            upkeep::reset(&post.link, lane).await;
        }
        post.shutdown.run_until_cancelled(sleep(pause)).await;
        pause = (pause * 2).min(PAUSES[1]);
    }
    post.running.close();
    post.running.wait().await;
}

/// What outlives each worker of a lane: above all its handlers and the places they take.
struct Post {
    link: Arc<Link>,
    lane: Lane,
    places: Arc<Semaphore>,
    running: TaskTracker,
    shutdown: CancellationToken,
    handler: Handler,
    log: Arc<Seldom>,
}

/// Why a worker ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{0}")]
    Failed(WorkerError),
    #[error("redis: {}", .0.category())]
    Redis(#[from] redis::RedisError),
    #[error("the system gave no randomness for a name")]
    Nameless(#[from] getrandom::Error),
    #[error("apalis panicked")]
    Panicked,
}

impl Post {
    /// The life of one worker, from its name to its grave. Ok after a shutdown.
    async fn worker_life(&self) -> Result<(), Ended> {
        // New each time: apalis refuses a name that it thinks is still alive.
        let name = format!("{}-{:016x}", self.lane, getrandom::u64()?);
        let ended = tokio::select! {
            ended = AssertUnwindSafe(self.worker(&name)?).catch_unwind() => match ended {
                Ok(ended) => ended.map_err(Ended::Failed),
                Err(_) => Err(Ended::Panicked),
            },
            never = upkeep::keep(&self.link, self.lane, &name, self.link.connection(PATIENCE)?) => match never {},
            () = self.dismissed() => Ok(()),
        };
        let _ = timeout(FAREWELL, upkeep::bury(&self.link, self.lane, &name)).await;
        ended
    }

    /// A worker, from its registration to its error or the shutdown. Boxed here, in a plain function, because
    /// the compiler cannot prove apalis' tower of types `Send` from within another future.
    fn worker(&self, name: &str) -> Result<BoxFuture<'static, Result<(), WorkerError>>, redis::RedisError> {
        let backend = RedisStorage::<Vec<u8>>::new(self.link.connection(PATIENCE)?)
            .with_config(self.link.config(self.lane))
            .with_codec(Verbatim)
            .poll_with_strategy(Look::every(LOOK));
        let (running, shutdown) = (self.running.clone(), self.shutdown.clone());
        let (lane, handler, log) = (self.lane, self.handler.clone(), self.log.clone());
        let ending = self.shutdown.clone();
        let worker = WorkerBuilder::new(name)
            .backend(backend)
            .parallelize(move |handling| running.spawn(handling))
            // Inside the spawned part, and shared by every worker of the lane: a handler whose worker has
            // ended keeps its place.
            .layer(GlobalConcurrencyLimitLayer::with_semaphore(self.places.clone()))
            .build(move |payload: Vec<u8>| {
                let (handler, log, ending) = (handler.clone(), log.clone(), ending.clone());
                async move {
                    // apalis looks for a free place before it looks for the shutdown: it may come with one more.
                    if ending.is_cancelled() {
                        return;
                    }
                    match decode(&payload, lane) {
                        Some(job) => handle(handler, job).await,
                        None => {
                            metric::undecodable(lane);
                            if log.now() {
                                tracing::warn!(%lane, bytes = payload.len(), "something in the lane is no job; dropped");
                            }
                        }
                    }
                }
            });
        let signal = async move {
            shutdown.cancelled().await;
            Ok::<(), std::io::Error>(())
        };
        Ok(worker.run_until(signal).boxed())
    }

    /// Returns when there is a shutdown, every handler has ended, and there was time to say so.
    async fn dismissed(&self) {
        self.shutdown.cancelled().await;
        self.running.close();
        self.running.wait().await;
        sleep(FAREWELL).await;
    }
}

/// The job in a payload, if it is one and belongs here.
fn decode(payload: &[u8], lane: Lane) -> Option<Job> {
    serde_json::from_slice(payload).ok().filter(|job: &Job| job.lane() == lane)
}

/// Hands payloads through as they are: one that apalis cannot decode would end the worker.
#[derive(Clone)]
struct Verbatim;

impl Codec<Vec<u8>> for Verbatim {
    type Error = Infallible;
    type Compact = Vec<u8>;

    fn encode(&self, payload: &Vec<u8>) -> Result<Vec<u8>, Infallible> {
        Ok(payload.clone())
    }

    fn decode(&self, payload: &Vec<u8>) -> Result<Vec<u8>, Infallible> {
        Ok(payload.clone())
    }
}

/// Wakes an idle worker. The strategies of apalis forget to arm their timer again and lose the wake-up.
struct Look(Interval);

impl Look {
    fn every(period: Duration) -> Look {
        let mut timer = interval(period);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Look(timer)
    }
}

impl PollStrategy for Look {
    fn poll_drive(&mut self, cx: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        let mut due = Poll::Pending;
        // Until it is pending: only then is this task's waker registered for the next tick.
        while self.0.poll_tick(cx).is_ready() {
            due = Poll::Ready(Some(()));
        }
        due
    }
}
