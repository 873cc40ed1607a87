//! What of a contact's value is compared: its text and, where it reads as one, its number and its instant.

use crate::clock::{Millis, parse_rfc3339};
use chrono::{NaiveDate, NaiveDateTime};
use serde_json::Value;

/// Most characters of a text that is compared; what is over is as if it were not there.
pub const MOST_TEXT: usize = 256;

/// A value as conditions see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Indexed {
    /// Its text, at most [`MOST_TEXT`] characters; of a list or a map its JSON.
    pub text: String,
    /// The number it is, or reads as.
    pub number: Option<f64>,
    /// The instant it reads as.
    pub instant: Option<Millis>,
}

impl Indexed {
    /// Reads a value; none where it is absent or says nothing.
    pub fn of(value: &Value) -> Option<Indexed> {
        match value {
            Value::Null => None,
            Value::Bool(is) => Some(Indexed::plain(&is.to_string())),
            Value::Number(n) => Some(Indexed { number: n.as_f64(), ..Indexed::plain(&n.to_string()) }),
            Value::String(text) => Indexed::text(text),
            Value::Array(_) | Value::Object(_) => Some(Indexed::plain(&value.to_string())),
        }
    }

    /// Reads a text; none where it says nothing.
    pub fn text(text: &str) -> Option<Indexed> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return None;
        }
        Some(Indexed { number: number(trimmed), instant: instant(trimmed), ..Indexed::plain(text) })
    }

    fn plain(text: &str) -> Indexed {
        let end = text.char_indices().nth(MOST_TEXT).map_or(text.len(), |(at, _)| at);
        Indexed { text: text[..end].to_owned(), number: None, instant: None }
    }
}

/// A number as people write one: digits, a sign, a point, an exponent.
pub fn number(text: &str) -> Option<f64> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    let read = || text.parse().ok().filter(|number: &f64| number.is_finite());
    (is_plain && text.len() <= 40).then(read).flatten()
}

/// An instant: RFC 3339, or a date, or a date and a time without an offset, which are UTC here.
pub fn instant(text: &str) -> Option<Millis> {
    // Most texts are none, and shall not cost a parser each.
    if !(10..=40).contains(&text.len()) || text.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    let date = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    let time = || {
        let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
        formats.into_iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
    };
    parse_rfc3339(text).or_else(|| date().or_else(time).map(|at| at.and_utc().timestamp_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_is_a_text_and_whatever_else_it_reads_as() {
        let read = |value: Value| Indexed::of(&value).map(|i| (i.text, i.number, i.instant));
        assert_eq!(read(json!("premium")), Some(("premium".into(), None, None)));
        assert_eq!(read(json!(" 42 ")), Some((" 42 ".into(), Some(42.0), None)));
        assert_eq!(read(json!(4.5)), Some(("4.5".into(), Some(4.5), None)));
        assert_eq!(read(json!(true)), Some(("true".into(), None, None)));
        assert_eq!(read(json!("2024-01-01")), Some(("2024-01-01".into(), None, Some(1_704_067_200_000))));
        assert_eq!(read(json!("2024-01-01T01:00:00+01:00")).unwrap().2, Some(1_704_067_200_000));
        assert_eq!(read(json!("2024-01-01 00:00:00")).unwrap().2, Some(1_704_067_200_000));
        assert_eq!(read(json!(["a", 1])), Some(("[\"a\",1]".into(), None, None)));
        for nothing in [json!(null), json!(""), json!("  \n")] {
            assert_eq!(read(nothing), None);
        }
        for word in ["inf", "NaN", "0x10", "2024-13-01", "20240101", "1_000"] {
            let indexed = Indexed::text(word).unwrap();
            assert_eq!(indexed.instant, None, "{word}");
            assert!(indexed.number.is_none_or(f64::is_finite), "{word}");
        }
        assert_eq!(read(json!("é".repeat(300))).unwrap().0.chars().count(), MOST_TEXT);
    }
}
