//! Time zones as people write them.

use crate::zone::Zone;

/// Reads an IANA zone, aliases such as `EST5EDT` included. An offset is refused: it knows no summer time.
///
/// # Errors
/// What is wrong and what to write, for people.
pub fn zone(text: &str) -> Result<Zone, &'static str> {
    let text = text.trim();
    if let Ok(zone) = text.parse() {
        return Ok(zone);
    }
    let after_name = text.trim_start_matches("UTC").trim_start_matches("GMT").trim_start_matches('Z');
    match after_name.chars().next() {
        Some('+' | '-' | '0'..='9') => {
            Err("an offset knows no summer time; write an IANA zone such as Europe/Berlin")
        }
        _ => Err("not an IANA zone; write one such as Europe/Berlin, America/New_York or UTC"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases_are_zones_and_offsets_are_not() {
        for good in ["UTC", "Europe/Berlin", "EST5EDT", "US/Eastern", "Asia/Calcutta", "Etc/GMT+5", " UTC "] {
            assert!(zone(good).is_ok(), "{good}");
        }
        for offset in ["+02:00", "-0500", "UTC+2", "GMT-3", "02:00"] {
            assert!(zone(offset).is_err_and(|why| why.contains("summer time")), "{offset}");
        }
        for unknown in ["", "Mars/X", "berlin", "Europe/Berlin\u{0}"] {
            assert!(zone(unknown).is_err_and(|why| why.contains("not an IANA zone")), "{unknown:?}");
        }
    }
}
