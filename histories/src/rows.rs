//! Rows as the database has them, and what workers hold of them.

use sendwright_workflows::clock::{Micros, Millis};
use sendwright_workflows::message::State;
use sendwright_workflows::outcome::End;
use sendwright_workflows::zone::Zone;

/// Where an enrolment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// Goes on.
    Active,
    /// Through.
    Completed,
    /// Ended before that.
    Stopped,
    /// Ended by a refusal for good.
    Failed,
}

impl Stand {
    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Stand::Active => "active",
            Stand::Completed => "completed",
            Stand::Stopped => "stopped",
            Stand::Failed => "failed",
        }
    }
}

/// One person in the campaign.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "columns by their own names")]
pub struct Enrolment {
    pub zone: Zone,
    pub suppressed: Option<&'static str>,
    pub stand: Stand,
    pub settled: u32,
    pub base: Millis,
    pub next_run_at: Option<Millis>,
}

/// One message; it is found by its person and step.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "columns by their own names")]
pub struct Message {
    pub person: usize,
    pub step: u32,
    pub state: State,
    pub planned: Millis,
    pub slot: Option<Micros>,
    pub fence: i64,
    pub attempts: i64,
    pub worker: Option<usize>,
    pub crashes: i64,
    pub approved: bool,
}

/// A hand-over that was begun.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "columns by their own names")]
pub struct Attempt {
    pub message: usize,
    pub fence: i64,
    pub worker: usize,
    pub slot: Micros,
    pub state: &'static str,
    pub intent_at: Millis,
}

/// A message as its claim has read it: what a worker holds.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "columns by their own names")]
pub struct Claimed {
    pub message: usize,
    pub fence: i64,
    pub slot: Micros,
    pub attempts: i64,
    pub planned: Millis,
}

/// What is recorded of an attempt.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The attempt, by its place.
    pub attempt: usize,
    /// The message as it was claimed.
    pub claimed: Claimed,
    /// How it ended.
    pub end: End,
    /// Recovery found it.
    pub crashed: bool,
}

/// What an intent came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// The hand-over begins, as this attempt.
    Go(usize),
    /// Something forbids it.
    Back,
    /// It is somebody else's.
    Lost,
}
