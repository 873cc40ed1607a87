//! The transport and the limiter against a Redis of their own, and against its faults.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod faults;
mod fixture;
mod rate;
mod transport;
