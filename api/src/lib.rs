//! HTTP in, rows and hints out.
//!
//! A request is parsed by a dialect, done by an operation, rendered by the dialect again. A mutation is one
//! [`Work`]: one transaction with its rows, events, audit line and stored answer; hints follow its commit.
//! No handler talks to a mail server, a model or anybody's webhook: this crate cannot.

pub mod answer;
mod auth;
pub mod console;
mod crossing;
mod dialects;
mod grouped;
mod health;
mod holders;
mod inbound;
mod intake;
mod json;
pub mod meter;
mod metrics;
pub mod openapi;
pub mod operations;
mod peer;
pub mod refusal;
mod request;
mod router;
pub mod scope;
mod showing;
mod state;
mod tracking;
mod unsubscribe;
pub mod work;

pub use answer::Answer;
pub use console::Console;
pub use metrics::{Render, metrics_router};
pub use refusal::Refusal;
pub use router::router;
pub use state::{ApiState, Core, Provider, ProviderAccount};
pub use work::{Actor, Once, Work};

/// What the native face shows, for the command line's `--json`.
pub mod shown {
    pub use crate::dialects::v1::campaigns::triggered;
    pub use crate::dialects::v1::drafts::draft;
    pub use crate::dialects::v1::runs::run;
    pub use crate::dialects::v1::told::{explanation, lead_explained};
}
