//! The integration tests: one binary, one file per behaviour, private servers from `support`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod house;
mod servers;
mod support;
