//! The rules of outreach, pure: no input or output, no clock, no randomness

pub mod address;
pub mod render;
pub mod signing;
pub mod variables;
