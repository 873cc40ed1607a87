//! The integration tests: one binary, one file per behaviour, private servers from `support`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_input;
mod cli;
mod commands;
mod config;
mod console;
mod crash;
mod doctor;
mod document;
mod explain;
mod external;
mod hand_over;
mod house;
mod journal;
mod keys;
mod live_edit;
mod messages;
mod native;
mod program;
mod protocol;
mod roles;
mod running;
mod samples;
mod scale;
mod sdks;
mod servers;
mod simulate;
mod simulation;
mod smtp_outcomes;
mod support;
mod surface;
mod unsubscribe;
mod up;
mod usage;
