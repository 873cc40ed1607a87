//! The background pusher: from the waiting jobs of this process into the lanes in Redis.

use std::{sync::Arc, time::Duration};

use apalis::prelude::TaskBuilder;
use apalis_redis::{Config, RedisTask};
use redis::{RedisError, aio::ConnectionManager};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Link, Wedge, upkeep};
use crate::{
    Job, LANE_CAPACITY, Lane,
    metric::{self, Seldom},
    waiting::Waiting,
};

/// The longest one push may take; the jobs of one that takes longer are dropped.
const PATIENCE: Duration = Duration::from_millis(50);
/// The most jobs in one push.
const BATCH: usize = 100;
/// The pause after a push that failed: short enough that work goes on soon after Redis does.
const PAUSE: Duration = Duration::from_millis(250);

/// Why a batch was dropped.
#[derive(Debug, thiserror::Error)]
enum PushError {
    #[error("no answer in time")]
    Slow,
    #[error("redis: {}", .0.category())]
    Redis(#[from] RedisError),
    #[error("redis: {0}")]
    Apalis(#[from] apalis_redis::Error),
}

impl PushError {
    /// Whether Redis is there and refuses, so that waiting will not help.
    fn is_refusal(&self) -> bool {
        let error = match self {
            PushError::Slow => return false,
            PushError::Redis(error) | PushError::Apalis(apalis_redis::Error::Database(error)) => error,
            PushError::Apalis(_) => return true,
        };
        error.code().is_some()
    }
}

/// Pushes until `end`.
pub(crate) async fn run(link: Arc<Link>, waiting: Arc<Waiting>, end: CancellationToken) {
    let mut pusher = match link.connection(PATIENCE) {
        Ok(connection) => Pusher { link, connection, wedges: Default::default(), log: Seldom::default() },
        Err(error) => {
            tracing::error!(%error, "no hint of this process will reach redis: the sweep finds all work, later");
            return;
        }
    };
    let push_all = async {
        loop {
            waiting.any().await;
            for lane in Lane::ALL {
                pusher.drain(lane, &waiting).await;
            }
        }
    };
    end.run_until_cancelled(push_all).await;
}

struct Pusher {
    link: Arc<Link>,
    connection: ConnectionManager,
    wedges: [Wedge; Lane::COUNT],
    log: Seldom,
}

impl Pusher {
    /// Pushes what waits for one lane, batch by batch, until nothing does or one fails.
    async fn drain(&mut self, lane: Lane, waiting: &Waiting) {
        loop {
            let jobs = waiting.take(lane, BATCH);
            if jobs.is_empty() {
                return;
            }
            let config = self.link.config(lane);
            let pushed = timeout(PATIENCE, push(&mut self.connection, &config, &jobs)).await;
            match pushed.unwrap_or(Err(PushError::Slow)) {
                Ok(pushed) => {
                    metric::pushed(lane, pushed);
                    if pushed < jobs.len() {
                        metric::dropped(lane, "full", jobs.len() - pushed);
                    }
                    self.wedges[lane as usize].over();
                }
                Err(error) => {
                    metric::dropped(lane, "redis", jobs.len());
                    self.failed(lane, error).await;
                    return;
                }
            }
        }
    }

    async fn failed(&mut self, lane: Lane, error: PushError) {
        if self.log.now() {
            tracing::warn!(%lane, %error, "hints were dropped: the sweep finds their rows, a little later");
        }
        if error.is_refusal() && self.wedges[lane as usize].another() {
            upkeep::reset(&self.link, lane).await;
        }
        sleep(PAUSE).await;
    }
}

/// Pushes as many of `jobs` as the lane has room for; returns how many. Several processes may fill it past
/// [`LANE_CAPACITY`] by a batch each: far from the 8,000 at which apalis-redis would stop.
async fn push(connection: &mut ConnectionManager, config: &Config, jobs: &[Job]) -> Result<usize, PushError> {
    let (scheduled, active): (usize, usize) = redis::pipe()
        .zcard(config.scheduled_jobs_set())
        .llen(config.active_jobs_list())
        .query_async(connection)
        .await?;
    let room = LANE_CAPACITY.saturating_sub(scheduled + active).min(jobs.len());
    let tasks: Vec<RedisTask> = jobs[..room]
        .iter()
        .filter_map(|job| serde_json::to_vec(job).ok())
        .map(|payload| TaskBuilder::new(payload).build())
        .collect();
    if !tasks.is_empty() {
        apalis_redis::queries::push_tasks(connection, config, &tasks).await?;
    }
    Ok(tasks.len())
}
