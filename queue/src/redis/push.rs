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
    waiting::{Offered, Waiting},
};

/// The longest one push may take.
const PATIENCE: Duration = Duration::from_millis(50);
/// The most jobs in one push.
const BATCH: usize = 100;
/// The pause after a push that failed: work goes on this soon after Redis does.
const PAUSE: Duration = Duration::from_millis(250);

/// Why a batch did not go through.
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
    /// Whether the lane itself is at fault (a key of a wrong kind, a script that fails), so that waiting will
    /// not help. A Redis that is loading, full, or a replica says something else.
    fn is_refusal(&self) -> bool {
        let error = match self {
            PushError::Slow => return false,
            PushError::Redis(error) | PushError::Apalis(apalis_redis::Error::Database(error)) => error,
            PushError::Apalis(_) => return true,
        };
        matches!(error.code(), Some("WRONGTYPE" | "ERR"))
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
            let mut all_well = true;
            for lane in Lane::ALL {
                all_well &= pusher.drain(lane, &waiting).await;
            }
            if all_well {
                waiting.any().await;
            } else {
                sleep(PAUSE).await;
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
    /// Pushes what waits for one lane, batch by batch; false if one failed. Its jobs wait on, as long as there
    /// is room: whether they arrived is unknown, and a doubled hint is harmless.
    async fn drain(&mut self, lane: Lane, waiting: &Waiting) -> bool {
        loop {
            let jobs = waiting.take(lane, BATCH);
            if jobs.is_empty() {
                return true;
            }
            let config = self.link.config(lane);
            let pushed = timeout(PATIENCE, push(&mut self.connection, &config, &jobs)).await;
            match pushed.unwrap_or(Err(PushError::Slow)) {
                Ok(pushed) => {
                    metric::pushed(lane, pushed);
                    metric::dropped(lane, jobs.len() - pushed);
                    self.wedges[lane as usize].over();
                }
                Err(error) => {
                    let lost = jobs.into_iter().filter(|&job| waiting.offer(job) == Offered::Full).count();
                    metric::dropped(lane, lost);
                    self.failed(lane, error).await;
                    return false;
                }
            }
        }
    }

    async fn failed(&mut self, lane: Lane, error: PushError) {
        metric::push_failed(lane);
        if self.log.now() {
            tracing::warn!(%lane, %error, "redis takes no hints: work goes on a little later");
        }
        if error.is_refusal() && self.wedges[lane as usize].another() {
            upkeep::reset(&self.link, lane).await;
        }
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
