//! The integration tests: one binary, one file per behaviour, private servers from `support`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod analytics;
mod bad_input;
mod cli;
mod commands;
mod config;
mod console;
mod crash;
mod doctor;
mod drafts;
mod edit_effect;
mod explain;
mod external;
mod hand_over;
mod house;
mod journal;
mod live_edit;
mod messages;
mod native;
mod outreach;
mod program;
mod protocol;
mod roles;
mod running;
mod runs;
mod samples;
mod scale;
mod servers;
mod simulate;
mod simulation;
mod smtp_outcomes;
mod spending;
mod support;
mod unsubscribe;
mod up;
