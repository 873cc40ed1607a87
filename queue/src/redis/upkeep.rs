//! What apalis-redis leaves lying: finished jobs, the traces of ended workers, a lane that is wedged.

use std::{convert::Infallible, sync::LazyLock, time::Duration};

use redis::{Script, aio::ConnectionManager};

use super::Link;
use crate::{Lane, metric};

const PATIENCE: Duration = Duration::from_secs(5);
/// How many finished jobs one script forgets: short enough to hold up nobody.
const TRIM_AT_ONCE: usize = 500;
/// A worker's metadata is forgotten this long after its last sign of life.
const METADATA_SECONDS: i64 = 3_600;

/// KEYS: done set, dead set, data hash, meta prefix. ARGV: how many. Returns how many it forgot.
static TRIM: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local forgotten = 0
         for i = 1, 2 do
           local ids = redis.call('SPOP', KEYS[i], ARGV[1])
           for _, id in ipairs(ids) do
             redis.call('HDEL', KEYS[3], id)
             redis.call('DEL', KEYS[4] .. ':' .. id)
           end
           forgotten = forgotten + #ids
         end
         return forgotten",
    )
});

/// KEYS: inflight set, data hash, meta prefix, workers set, worker metadata. ARGV: worker's name.
static BURY: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do
           redis.call('HDEL', KEYS[2], id)
           redis.call('DEL', KEYS[3] .. ':' .. id)
         end
         redis.call('DEL', KEYS[1], KEYS[5])
         return redis.call('ZREM', KEYS[4], ARGV[1])",
    )
});

/// Keeps a lane's memory flat while a worker lives: forgets what is done once a second.
pub(super) async fn keep(
    link: &Link,
    lane: Lane,
    worker: &str,
    mut connection: ConnectionManager,
) -> Infallible {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // An error here is the worker's own error too, and handled there.
        let _ = trim(link, lane, worker, &mut connection).await;
    }
}

async fn trim(
    link: &Link,
    lane: Lane,
    worker: &str,
    connection: &mut ConnectionManager,
) -> redis::RedisResult<()> {
    let config = link.config(lane);
    redis::cmd("EXPIRE")
        .arg(metadata_key(link, lane, worker))
        .arg(METADATA_SECONDS)
        .exec_async(connection)
        .await?;
    loop {
        let forgotten: usize = TRIM
            .key(config.done_jobs_set())
            .key(config.dead_jobs_set())
            .key(config.job_data_hash())
            .key(config.job_meta_hash())
            .arg(TRIM_AT_ONCE)
            .invoke_async(connection)
            .await?;
        if forgotten < TRIM_AT_ONCE {
            return Ok(());
        }
    }
}

/// Forgets an ended worker and what it had taken. Its handlers go on without it, so its jobs must not be
/// given to others; and a job it died of must not kill the next.
pub(super) async fn bury(link: &Link, lane: Lane, worker: &str) {
    let config = link.config(lane);
    let Ok(mut connection) = link.connection(PATIENCE) else { return };
    // If Redis is gone there is nothing to bury; if it is wedged, `reset` follows.
    let _ = BURY
        .key(format!("{}:{worker}", config.inflight_jobs_set()))
        .key(config.job_data_hash())
        .key(config.job_meta_hash())
        .key(config.workers_set())
        .key(metadata_key(link, lane, worker))
        .arg(worker)
        .invoke_async::<()>(&mut connection)
        .await;
}

/// Empties a wedged lane. The registered workers stay: a reset in one process must not end the workers of
/// the others.
pub(super) async fn reset(link: &Link, lane: Lane) {
    tracing::warn!(%lane, "the lane is wedged: its keys are deleted, the sweep fills it again");
    metric::reset(lane);
    if let Err(error) = delete_lane(link, lane).await {
        tracing::warn!(%lane, error = error.category(), "the lane could not be deleted yet");
    }
}

async fn delete_lane(link: &Link, lane: Lane) -> redis::RedisResult<()> {
    let config = link.config(lane);
    let mut connection = link.connection(PATIENCE)?;
    let workers = config.workers_set();
    let kind: String = redis::cmd("TYPE").arg(&workers).query_async(&mut connection).await?;
    let mut lane_keys = vec![
        config.active_jobs_list(),
        config.scheduled_jobs_set(),
        config.signal_list(),
        config.job_data_hash(),
        config.done_jobs_set(),
        config.dead_jobs_set(),
    ];
    if kind != "zset" {
        lane_keys.push(workers);
    }
    redis::cmd("UNLINK").arg(lane_keys).exec_async(&mut connection).await?;
    let pattern = format!("{}:*", config.job_meta_hash());
    let mut cursor = 0u64;
    loop {
        let (next, metas): (u64, Vec<String>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(&pattern)
            .arg("COUNT")
            .arg(1_000)
            .query_async(&mut connection)
            .await?;
        if !metas.is_empty() {
            redis::cmd("UNLINK").arg(metas).exec_async(&mut connection).await?;
        }
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}

fn metadata_key(link: &Link, lane: Lane, worker: &str) -> String {
    link.key(&format!("{lane}:workers:metadata:{worker}"))
}
