//! The transport of hints.
//!
//! A [`Job`] names rows and nothing else. The database is the truth: a hint may be lost, doubled, late or
//! stale, and nothing goes wrong, because the handler reads the row again and claims it, and the sweep
//! offers every due row anew. So this crate never makes a caller wait, never fails one, and holds at most
//! [`LANE_CAPACITY`] hints a lane.
//!
//! * [`Queue`] is the face of those who hint (the API, the scheduler, a worker's own follow-up).
//! * [`consume`] is the face of those who work: it gives the jobs of some [`Lane`]s to a handler.
//! * [`Limiter`] counts API calls, in Redis where there is one.
//!
//! Both transports, `embedded` (in process) and `redis` (apalis-redis), pass the same tests. Why Redis is
//! driven the way it is: `docs/decisions/0003-queue-transport.md`.

mod consume;
mod embedded;
mod job;
mod metric;
mod queue;
mod rate;
mod redis;
mod waiting;

pub use consume::{HANDLER_LIMIT, Handler, Receiver, consume};
pub use job::{Job, Lane, UnknownLane};
pub use queue::{Health, Queue};
pub use rate::{Allowance, Limiter, Rule};
pub use redis::BadUrl;
pub use waiting::LANE_CAPACITY;
