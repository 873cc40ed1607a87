//! The rules of outreach, pure: no input or output, no clock, no randomness.
//!
//! Everything here decides and does nothing else. The worker, `simulate`, `explain` and the tests call the
//! same functions, which is why they agree.

pub mod address;
pub mod answer;
pub mod backoff;
pub mod campaign;
pub mod clock;
pub mod consent;
pub mod contact;
pub mod dkim;
pub mod enrolment;
pub mod event;
pub mod identity;
pub mod ids;
pub mod message;
pub mod phone;
pub mod quiet_hours;
pub mod rate_limit;
pub mod reason;
pub mod render;
pub mod rows;
pub mod run;
pub mod sequence;
pub mod signing;
pub mod simulate;
pub mod spec;
pub mod spend;
pub mod statistics;
pub mod strategy;
pub mod tracking;
pub mod variables;
pub mod webhook;
