//! The integration tests: one binary, one file per behaviour, private servers from `support`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_input;
mod cli;
mod config;
mod crash;
mod external;
mod hand_over;
mod house;
mod native;
mod program;
mod samples;
mod scale;
mod servers;
mod simulate;
mod simulation;
mod support;
mod unsubscribe;
