//! The rules of outreach, pure: no input or output, no clock, no randomness.
//!
//! Everything here decides and does nothing else. The worker, `simulate`, `explain` and the tests call the
//! same functions, which is why they agree.

pub mod address;
pub mod answer;
pub mod backoff;
pub mod callback;
pub mod campaign;
pub mod clock;
pub mod consent;
pub mod contact;
pub mod country;
pub mod dkim;
pub mod enrolment;
pub mod event;
pub mod fault;
pub mod identity;
pub mod ids;
pub mod intent;
pub mod keyword;
pub mod message;
pub mod outcome;
pub mod phone;
pub mod quiet_hours;
pub mod rate_limit;
pub mod reason;
pub mod receipt;
pub mod render;
pub mod report;
pub mod rows;
pub mod run;
pub mod segment;
pub mod sequence;
pub mod signing;
pub mod simulate;
pub mod sms;
pub mod spec;
pub mod spend;
pub mod statistics;
pub mod strategy;
pub mod tracking;
pub mod twilio_code;
pub mod variables;
pub mod webhook;
pub mod zone;
