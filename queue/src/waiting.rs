//! Jobs that wait in this process: the whole of the embedded lanes, and the outbox before Redis.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{Job, Lane};

/// The most hints a lane is meant to hold. A job names a chunk of rows, so this is plenty; what is dropped
/// over it, the sweep offers again.
pub const LANE_CAPACITY: usize = 2_000;

/// What became of an offered job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It waits now.
    Added,
    /// Its equal was waiting already, and says the same.
    Known,
    /// The lane holds enough.
    Full,
}

/// One bounded line without duplicates for each lane, first in, first out.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    lines: [Mutex<Line>; Lane::COUNT],
    arrived: [Notify; Lane::COUNT],
    any: Notify,
}

#[derive(Debug, Default)]
struct Line {
    order: VecDeque<Job>,
    known: HashSet<Job>,
}

impl Waiting {
    /// Offers a job; never waits.
    pub(crate) fn offer(&self, job: Job) -> Offered {
        let lane = job.lane();
        {
            let mut line = self.line(lane);
            if line.known.contains(&job) {
                return Offered::Known;
            }
            if line.order.len() >= LANE_CAPACITY {
                return Offered::Full;
            }
            line.known.insert(job);
            line.order.push_back(job);
        }
        self.arrived[lane as usize].notify_one();
        self.any.notify_one();
        Offered::Added
    }

    /// Takes up to `most` of the jobs that waited longest in a lane.
    pub(crate) fn take(&self, lane: Lane, most: usize) -> Vec<Job> {
        let mut line = self.line(lane);
        let most = most.min(line.order.len());
        let jobs: Vec<Job> = line.order.drain(..most).collect();
        for job in &jobs {
            line.known.remove(job);
        }
        jobs
    }

    /// The next job of a lane; waits until there is one.
    pub(crate) async fn next(&self, lane: Lane) -> Job {
        loop {
            if let Some(job) = self.take(lane, 1).pop() {
                return job;
            }
            self.arrived[lane as usize].notified().await;
        }
    }

    /// Returns when a job was offered to any lane since the last call.
    pub(crate) async fn any(&self) {
        self.any.notified().await;
    }

    fn line(&self, lane: Lane) -> MutexGuard<'_, Line> {
        self.lines[lane as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_jobs_wait_once_and_may_come_again_once_taken() {
        let waiting = Waiting::default();
        let job = Job::Plan { account: 1 };
        assert_eq!(waiting.offer(job), Offered::Added);
        assert_eq!(waiting.offer(job), Offered::Known);
        assert_eq!(waiting.take(Lane::Plan, 9), [job]);
        assert_eq!(waiting.offer(job), Offered::Added);
    }

    #[test]
    fn a_full_lane_drops_and_leaves_the_others_alone() {
        let waiting = Waiting::default();
        for account in 0..LANE_CAPACITY as i64 {
            assert_eq!(waiting.offer(Job::Plan { account }), Offered::Added);
        }
        assert_eq!(waiting.offer(Job::Plan { account: -1 }), Offered::Full);
        assert_eq!(waiting.offer(Job::Mail { profile: 1 }), Offered::Added);
    }

    #[test]
    fn jobs_leave_in_the_order_they_came() {
        let waiting = Waiting::default();
        for account in [3, 1, 2] {
            waiting.offer(Job::Plan { account });
        }
        let plan = |account| Job::Plan { account };
        assert_eq!(waiting.take(Lane::Plan, 2), [plan(3), plan(1)]);
        assert_eq!(waiting.take(Lane::Plan, 2), [plan(2)]);
    }
}
