//! Handlers, channels, the writing of texts and the scheduler

pub mod ai;
