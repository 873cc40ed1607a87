//! Operators and what they compare with.

use super::tree::Reader;
use crate::clock::Millis;
use crate::segment::{MOST_TEXT, MOST_VALUES, Test, instant};
use crate::spec::fields::{Lines, check_text};
use serde_json::Value;

const MOST_DAYS: i64 = 36_500;

/// What is compared with, by the operator.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operand {
    Nothing,
    Any,
    Many,
    Text,
    Number,
    Instant,
    Days,
    Range,
}

/// Every operator, with what it takes.
pub(super) const OPERATORS: [(&str, Operand); 18] = [
    ("equals", Operand::Any),
    ("not_equals", Operand::Any),
    ("in", Operand::Many),
    ("not_in", Operand::Many),
    ("contains", Operand::Text),
    ("starts_with", Operand::Text),
    ("ends_with", Operand::Text),
    ("exists", Operand::Nothing),
    ("not_exists", Operand::Nothing),
    ("greater_than", Operand::Number),
    ("greater_than_or_equal", Operand::Number),
    ("less_than", Operand::Number),
    ("less_than_or_equal", Operand::Number),
    ("before", Operand::Instant),
    ("after", Operand::Instant),
    ("within_last_days", Operand::Days),
    ("between", Operand::Range),
    ("not_contains", Operand::Text),
];
/// What a column of text takes.
pub(super) const OF_TEXTS: [Operand; 4] = [Operand::Nothing, Operand::Any, Operand::Many, Operand::Text];
/// What a column that is an instant takes.
pub(super) const OF_INSTANTS: [Operand; 4] =
    [Operand::Nothing, Operand::Instant, Operand::Days, Operand::Range];
/// What consent takes.
pub(super) const OF_CONSENT: [Operand; 3] = [Operand::Nothing, Operand::Any, Operand::Many];

/// The operators that take one of these.
pub(super) fn operators(of: &[Operand]) -> Vec<&'static str> {
    OPERATORS.iter().filter(|(_, operand)| of.contains(operand)).map(|(word, _)| *word).collect()
}

impl Reader {
    pub(super) fn operator(
        &mut self,
        path: &str,
        value: &Value,
        allowed: &[&'static str],
    ) -> Option<(&'static str, Operand)> {
        let word = value["operator"].as_str().unwrap_or_default();
        let found = OPERATORS.into_iter().find(|(known, _)| *known == word && allowed.contains(known));
        if found.is_none() {
            let message = format!("must be one of {}", allowed.join(", "));
            self.fault(format!("{path}.operator"), "invalid_operator", message);
        }
        found
    }

    pub(super) fn test(
        &mut self,
        path: &str,
        value: &Value,
        (word, operand): (&str, Operand),
    ) -> Option<Test> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        Some(match operand {
            Operand::Nothing => {
                self.nothing(path, value, word);
                Test::Exists
            }
            Operand::Any => self.is(path, std::slice::from_ref(value))?,
            Operand::Many => self.list(path, value).and_then(|list| self.is(path, list))?,
            Operand::Text => {
                let text = self.text(path, value)?;
                match word {
                    "starts_with" => Test::StartsWith(text),
                    "ends_with" => Test::EndsWith(text),
                    _ => Test::Contains(text),
                }
            }
            Operand::Number => {
                let Some(number) = value.as_f64() else {
                    self.fault(
                        path.to_owned(),
                        "invalid_type",
                        "must be a number; dates take before and after",
                    );
                    return None;
                };
                match word {
                    "greater_than" => Test::Number(Excluded(number), Unbounded),
                    "greater_than_or_equal" => Test::Number(Included(number), Unbounded),
                    "less_than" => Test::Number(Unbounded, Excluded(number)),
                    _ => Test::Number(Unbounded, Included(number)),
                }
            }
            Operand::Instant => {
                let at = self.instant(path, value)?;
                match word {
                    "before" => Test::Instant(Unbounded, Excluded(at)),
                    _ => Test::Instant(Excluded(at), Unbounded),
                }
            }
            Operand::Days => Test::WithinDays(self.days(path, value)?),
            Operand::Range => self.range(path, value)?,
        })
    }

    pub(super) fn nothing(&mut self, path: &str, value: &Value, word: &str) {
        if !value.is_null() {
            self.fault(path.to_owned(), "conflict", format!("is not looked at by {word}; leave it out"));
        }
    }

    pub(super) fn list<'v>(&mut self, path: &str, value: &'v Value) -> Option<&'v [Value]> {
        let list = value.as_array().filter(|list| (1..=MOST_VALUES).contains(&list.len()));
        if list.is_none() {
            let message = format!("must be a list of 1 to {MOST_VALUES} values");
            self.fault(path.to_owned(), "invalid_type", message);
        }
        list.map(Vec::as_slice)
    }

    fn is(&mut self, path: &str, values: &[Value]) -> Option<Test> {
        let (mut texts, mut numbers) = (Vec::new(), Vec::new());
        for value in values {
            match value {
                Value::Bool(is) => texts.push(is.to_string()),
                Value::Number(number) => numbers.extend(number.as_f64()),
                Value::String(_) => texts.push(self.text(path, value)?),
                _ => {
                    let message = "must be a text, a number, true or false";
                    self.fault(path.to_owned(), "invalid_type", message);
                    return None;
                }
            }
        }
        Some(Test::Is { texts, numbers })
    }

    fn text(&mut self, path: &str, value: &Value) -> Option<String> {
        let Some(text) = value.as_str().filter(|text| !text.trim().is_empty()) else {
            self.fault(path.to_owned(), "invalid_type", "must be a text that says something");
            return None;
        };
        match check_text(text, MOST_TEXT, Lines::Many) {
            Ok(()) => Some(text.to_owned()),
            Err((code, message)) => {
                self.fault(path.to_owned(), code, message);
                None
            }
        }
    }

    fn instant(&mut self, path: &str, value: &Value) -> Option<Millis> {
        let at = value.as_str().and_then(|text| instant(text.trim()));
        if at.is_none() {
            let message =
                "must be a date such as 2024-01-01, which begins at midnight UTC, or an RFC 3339 instant";
            self.fault(path.to_owned(), "invalid_type", message);
        }
        at
    }

    pub(super) fn days(&mut self, path: &str, value: &Value) -> Option<i64> {
        let days = value.as_i64().filter(|days| (1..=MOST_DAYS).contains(days));
        if days.is_none() {
            let message = format!("must be a whole number of days, 1 to {MOST_DAYS}");
            self.fault(path.to_owned(), "invalid_type", message);
        }
        days
    }

    /// Two numbers, or two instants, both ends included.
    fn range(&mut self, path: &str, value: &Value) -> Option<Test> {
        use std::ops::Bound::Included;
        let pair = value.as_array().map(Vec::as_slice);
        let (test, in_order) = match pair {
            Some([low, high]) if low.is_number() && high.is_number() => {
                let (low, high) = (low.as_f64()?, high.as_f64()?);
                (Test::Number(Included(low), Included(high)), low <= high)
            }
            Some([low, high]) if low.is_string() && high.is_string() => {
                let (low, high) = (self.instant(path, low)?, self.instant(path, high)?);
                (Test::Instant(Included(low), Included(high)), low <= high)
            }
            _ => {
                let message = "must be two numbers or two dates, the lower one first";
                self.fault(path.to_owned(), "invalid_type", message);
                return None;
            }
        };
        if !in_order {
            self.fault(path.to_owned(), "out_of_range", "must begin with the lower of the two");
        }
        Some(test)
    }
}
