//! Every metric of this crate, and the guard that keeps a storm out of the log.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use metrics::counter;

use crate::Lane;

/// A hint reached its lane.
pub(crate) fn pushed(lane: Lane, jobs: usize) {
    counter!("sendwright_queue_pushed_total", "lane" => lane.as_str()).increment(jobs as u64);
}

/// A hint was dropped: its lane, or this process's share of it, holds enough.
pub(crate) fn dropped(lane: Lane, jobs: usize) {
    counter!("sendwright_queue_dropped_total", "lane" => lane.as_str()).increment(jobs as u64);
}

/// Redis did not take a batch in time; it waits here.
pub(crate) fn push_failed(lane: Lane) {
    counter!("sendwright_queue_push_errors_total", "lane" => lane.as_str()).increment(1);
}

/// A handler ended; `how` is `done`, `panicked` or `timed_out`.
pub(crate) fn handled(lane: Lane, how: &'static str) {
    counter!("sendwright_queue_handled_total", "lane" => lane.as_str(), "how" => how).increment(1);
}

/// Something in a lane was no job.
pub(crate) fn undecodable(lane: Lane) {
    counter!("sendwright_queue_undecodable_total", "lane" => lane.as_str()).increment(1);
}

/// A lane's worker ended on an error and was started anew.
pub(crate) fn restarted(lane: Lane) {
    counter!("sendwright_queue_worker_restarts_total", "lane" => lane.as_str()).increment(1);
}

/// A lane gave the same error again and again, and its keys were deleted.
pub(crate) fn reset(lane: Lane) {
    counter!("sendwright_queue_lane_resets_total", "lane" => lane.as_str()).increment(1);
}

/// The limiter answered from this process because Redis did not.
pub(crate) fn limited_locally() {
    counter!("sendwright_rate_local_answers_total").increment(1);
}

/// Says yes at most once in ten seconds.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    const EVERY: Duration = Duration::from_secs(10);

    /// Whether it is time to speak again.
    pub(crate) fn now(&self) -> bool {
        let Ok(mut last) = self.0.lock() else { return false };
        let due = last.is_none_or(|at| at.elapsed() >= Self::EVERY);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}
