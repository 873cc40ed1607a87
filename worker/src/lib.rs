//! Handlers, channels, the writing of texts and the scheduler: everything that acts.

pub mod ai;
pub mod at_the_dot;
pub mod channels;
pub mod context;
pub mod courier;
pub mod engine;
pub mod hand_over;
pub mod handlers;
pub mod http;
pub mod imap;
pub mod inbound;
pub mod journal;
pub mod letter;
pub mod life;
pub mod outlet;
pub mod proof;
pub mod purse;
pub mod recorder;
pub mod recovery;
pub mod scheduler;
pub mod scripts;
pub mod sender;
pub mod sweep;
pub mod text;
pub mod tracking;
pub mod verdict;
