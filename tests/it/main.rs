//! The integration tests: one binary, one file per behaviour, private servers from `support`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cli;
mod config;
mod house;
mod program;
mod servers;
mod simulate;
mod support;
