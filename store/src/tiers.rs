//! Tiers of API limits: data, by dialect.

use crate::db::{Tx, row, rows};
use crate::error::{Error, Result};
use serde::Deserialize;
use std::collections::HashMap;

/// At most `limit` calls in any window of `seconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Limit {
    /// Calls.
    pub limit: u32,
    /// The window's length.
    pub seconds: u32,
}

/// Reads a tier's limits for one dialect; a dialect that is not named is unlimited.
pub fn limits(stored: &str, dialect: &str) -> Result<Vec<Limit>> {
    let mut all: HashMap<String, Vec<Limit>> = serde_json::from_str(stored).map_err(|e| Error::Stored {
        table: "tiers",
        column: "limits",
        id: 0,
        detail: e.to_string(),
    })?;
    Ok(all.remove(dialect).unwrap_or_default())
}

/// Whether there is a tier of this name.
pub async fn exists(tx: &mut Tx, name: &str) -> Result<bool> {
    Ok(row!(tx, (String,), "SELECT name FROM tiers WHERE name = $1", name)?.is_some())
}

/// The names of all tiers.
pub async fn names(tx: &mut Tx) -> Result<Vec<String>> {
    Ok(rows!(tx, (String,), "SELECT name FROM tiers ORDER BY name")?.into_iter().map(|r| r.0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialect_that_a_tier_does_not_name_is_unlimited() {
        let stored = r#"{"external":[{"limit":10,"seconds":1}]}"#;
        assert_eq!(limits(stored, "external").unwrap(), [Limit { limit: 10, seconds: 1 }]);
        assert_eq!(limits(stored, "v1").unwrap(), []);
        assert!(limits("nonsense", "v1").is_err());
    }
}
