//! The queue between the processes, and what is said of the Redis that it lives in.

use crate::config::Config;
use crate::failure::Failure;
use sendwright_queue::{Health, Limiter, Queue, Receiver};
use std::time::Duration;

/// How often Redis is asked how it is.
const LOOK: Duration = Duration::from_secs(60);
/// The same while it does not answer.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The queue with its other end, and the limiter. Redis need not be there.
pub(super) async fn open(config: &Config) -> Result<(Queue, Receiver, Limiter), Failure> {
    let Some(redis) = &config.redis else {
        let (queue, receiver) = Queue::embedded();
        return Ok((queue, receiver, Limiter::in_process()));
    };
    let (url, prefix) = (redis.url.reveal(), &redis.prefix);
    let bad = |error| Failure::config(vec![format!("REDIS_URL: {error}")]);
    let queue = Queue::redis(url, prefix).await.map_err(bad)?;
    tokio::spawn(watch(queue.clone()));
    Ok((queue, Receiver::redis(url, prefix).map_err(bad)?, Limiter::redis(url, prefix).map_err(bad)?))
}

/// Says what is wrong with a Redis that answers: at the start, and whenever that changes.
async fn watch(queue: Queue) {
    let mut told = Health::Up;
    loop {
        let health = queue.ping().await;
        let pause = if matches!(health, Health::Down(_)) { LOOK_AGAIN } else { LOOK };
        if let Health::Evicting(policy) = &health
            && health != told
        {
            tracing::warn!(
                policy,
                "redis throws keys away when its memory is full: nothing is lost, but hints come later and rate limits \
                 forget calls; set maxmemory-policy noeviction"
            );
        }
        if !matches!(health, Health::Down(_)) {
            told = health;
        }
        tokio::time::sleep(pause).await;
    }
}
