//! How the process is.

use super::common::Error;
use std::collections::HashMap;
use utoipa::ToSchema;

/// How everything is that the process stands on.
#[derive(ToSchema)]
pub struct Health {
    /// `healthy`, `not ready` or `shutting down`.
    #[schema(example = "healthy")]
    pub status: String,
    /// The program's version.
    #[schema(example = "0.1.0")]
    pub version: String,
    /// Now; null where the clock cannot be told.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00.000Z")]
    pub timestamp: Option<String>,
    /// Each part by its name, in a word.
    #[schema(example = json!({"database": "ok", "schema": "ok", "queue": "embedded", "clock": "ok"}))]
    pub checks: HashMap<String, String>,
}

/// Why there is no work for the moment: the same as when all is well, or a refusal where not even the key could be read.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum Unhealthy {
    /// What is missing.
    Told(Health),
    /// A refusal.
    Refused(Error),
}
