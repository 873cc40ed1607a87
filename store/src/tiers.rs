//! Tiers of API limits: data, by kinds of routes.

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

/// Reads a tier's limits for routes of a kind: those of the first of its `names` that the tier has; where it has none of
/// them they are unlimited.
pub fn limits(stored: &str, names: &[&str]) -> Result<Vec<Limit>> {
    let mut all: HashMap<String, Vec<Limit>> = serde_json::from_str(stored).map_err(|e| Error::Stored {
        table: "tiers",
        column: "limits",
        id: 0,
        detail: e.to_string(),
    })?;
    Ok(names.iter().find_map(|name| all.remove(*name)).unwrap_or_default())
}

/// The limits of the tier of this name, as stored.
pub async fn get(tx: &mut Tx, name: &str) -> Result<Option<String>> {
    Ok(row!(tx, (String,), "SELECT limits FROM tiers WHERE name = $1", name)?.map(|r| r.0))
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
    fn the_first_name_that_a_tier_has_counts_and_without_any_there_is_no_limit() {
        let stored = r#"{"external":[{"limit":10,"seconds":1}],"v1":[{"limit":100,"seconds":60}]}"#;
        assert_eq!(limits(stored, &["external"]).unwrap(), [Limit { limit: 10, seconds: 1 }]);
        assert_eq!(limits(stored, &["messaging", "v1"]).unwrap(), [Limit { limit: 100, seconds: 60 }]);
        assert_eq!(limits(stored, &["messaging"]).unwrap(), []);
        assert!(limits("nonsense", &["v1"]).is_err());
    }
}
