//! Handlers, channels, the writing of texts and the scheduler.
//!
//! [`channels`] carries one message out of the house and says truthfully what became of it.

pub mod channels;
