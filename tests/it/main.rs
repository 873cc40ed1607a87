//! The integration tests: one binary, one file per behaviour, private servers from `support`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_input;
mod external;
mod house;
mod native;
mod servers;
mod support;
mod unsubscribe;
