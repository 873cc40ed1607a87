//! The producer's face.

use std::sync::Arc;

use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    Job, Receiver, metric,
    redis::{BadUrl, Link, push},
    waiting::{Offered, Waiting},
};

/// Where hints are left. Cheap to clone; one for a process.
#[derive(Clone)]
pub struct Queue {
    waiting: Arc<Waiting>,
    link: Option<Arc<Link>>,
    /// Ends the background pusher with the last clone.
    _pusher: Option<Arc<DropGuard>>,
}

/// How the transport is, for `/readyz` and `doctor`. A queue that is down degrades, it stops nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// In process: there is nothing that could be down.
    Embedded,
    /// Redis answers.
    Up,
    /// Redis answers, and throws keys away by this policy once its memory is full: hints vanish and are found again,
    /// and counted calls may be forgotten.
    Evicting(String),
    /// Redis does not answer; the reason names no address and no secret.
    Down(String),
}

impl Queue {
    /// Lanes in this process, and the end to [`consume`](crate::consume) them from.
    pub fn embedded() -> (Queue, Receiver) {
        let waiting = Arc::new(Waiting::default());
        (Queue { waiting: waiting.clone(), link: None, _pusher: None }, Receiver::embedded(waiting))
    }

    /// Lanes in Redis, under keys that begin with `prefix`. Redis may be absent now and later: the connection
    /// is made in the background and made again for ever.
    ///
    /// # Errors
    /// Only where `url` is no address this build can use (`redis://…` or `redis+unix://…`).
    pub async fn redis(url: &str, prefix: &str) -> Result<Queue, BadUrl> {
        let link = Arc::new(Link::open(url, prefix)?);
        let waiting = Arc::new(Waiting::default());
        let end = CancellationToken::new();
        tokio::spawn(push::run(link.clone(), waiting.clone(), end.clone()));
        Ok(Queue { waiting, link: Some(link), _pusher: Some(Arc::new(end.drop_guard())) })
    }

    /// Leaves a hint. Never waits, never fails: equal hints that still wait in this process are one, and a
    /// hint over the lane's capacity is dropped, counted, and found again by the sweep.
    pub fn push(&self, job: Job) {
        match self.waiting.offer(job) {
            Offered::Added if self.link.is_none() => metric::pushed(job.lane(), 1),
            Offered::Added | Offered::Known => {}
            Offered::Full => metric::dropped(job.lane(), 1),
        }
    }

    /// Asks the transport how it is; answers within half a second.
    pub async fn ping(&self) -> Health {
        match &self.link {
            None => Health::Embedded,
            Some(link) => match link.ping().await {
                Ok(()) => link.eviction().await.map_or(Health::Up, Health::Evicting),
                Err(reason) => Health::Down(reason),
            },
        }
    }
}
