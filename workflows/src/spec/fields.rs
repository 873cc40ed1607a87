//! Reading a JSON object field by field, with every fault collected under its path.

use super::{FieldError, zone};
use crate::address::Email;
use crate::zone::Zone;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// Whether a text may run over several lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    /// No control character at all.
    One,
    /// Line breaks and tabs.
    Many,
}

/// An object being read. Each getter answers `None` for an absent field and for a faulty one, whose fault is
/// then on the list.
pub(super) struct Fields<'a, 'e> {
    prefix: String,
    object: &'a Map<String, Value>,
    errors: &'e mut Vec<FieldError>,
}

impl<'a, 'e> Fields<'a, 'e> {
    /// Opens `value` at `path` (empty for the body itself); a fault where it is no object.
    pub(super) fn open(path: &str, value: &'a Value, errors: &'e mut Vec<FieldError>) -> Option<Self> {
        let Some(object) = value.as_object() else {
            let field = if path.is_empty() { "body" } else { path };
            errors.push(wrong_type(field, "an object", value));
            return None;
        };
        let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
        Some(Self { prefix, object, errors })
    }

    /// The path of one of its fields.
    pub(super) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The list that faults go to.
    pub(super) fn errors(&mut self) -> &mut Vec<FieldError> {
        self.errors
    }

    /// The object's own names.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a String> + use<'a> {
        self.object.keys()
    }

    /// A fault of one of its fields.
    pub(super) fn fault(&mut self, name: &str, code: &'static str, message: impl Into<String>) {
        self.errors.push(FieldError::new(self.path(name), code, message));
    }

    /// The value as it stands, `null` included.
    pub(super) fn given(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name)
    }

    /// The value as it stands; `null` is absent.
    pub(super) fn value(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    fn typed<T>(&mut self, name: &str, expected: &str, read: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
        let value = self.value(name)?;
        let got = read(value);
        if got.is_none() {
            self.errors.push(wrong_type(&self.path(name), expected, value));
        }
        got
    }

    /// A text as given.
    pub(super) fn string(&mut self, name: &str) -> Option<&'a str> {
        self.typed(name, "a string", Value::as_str)
    }

    /// A text of at most `most` characters.
    pub(super) fn text(&mut self, name: &str, most: usize, lines: Lines) -> Option<String> {
        let text = self.string(name)?;
        match check_text(text, most, lines) {
            Ok(()) => Some(text.to_owned()),
            Err((code, message)) => {
                self.fault(name, code, message);
                None
            }
        }
    }

    /// A text that must be there and say something; its ends are trimmed.
    pub(super) fn required(&mut self, name: &str, most: usize) -> Option<String> {
        let blank = self.value(name).is_none_or(|value| value.as_str().is_some_and(|s| s.trim().is_empty()));
        if blank {
            self.fault(name, "required", "is required");
            return None;
        }
        self.text(name, most, Lines::One).map(|text| text.trim().to_owned())
    }

    /// A whole number within `range`.
    pub(super) fn integer(&mut self, name: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let number = self.typed(name, "an integer", |value| match value {
            // Beyond 64 bits it is still a number, and out of every range.
            Value::Number(n) if !n.is_f64() => Some(n.as_i64().unwrap_or(i64::MAX)),
            _ => None,
        })?;
        if range.contains(&number) {
            return Some(number);
        }
        self.fault(name, "out_of_range", format!("must be {} to {}", range.start(), range.end()));
        None
    }

    /// A number above 0 and at most `most`; fractions are allowed.
    pub(super) fn rate(&mut self, name: &str, most: f64) -> Option<f64> {
        let number = self.typed(name, "a number", Value::as_f64)?;
        if number > 0.0 && number <= most {
            return Some(number);
        }
        self.fault(name, "out_of_range", format!("must be above 0 and at most {most}"));
        None
    }

    /// A yes or no.
    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        self.typed(name, "true or false", Value::as_bool)
    }

    /// A list.
    pub(super) fn list(&mut self, name: &str) -> Option<&'a Vec<Value>> {
        self.typed(name, "a list", Value::as_array)
    }

    /// One word of a closed set.
    pub(super) fn choice<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Option<T> {
        let given = self.string(name)?;
        let found = words.iter().find(|(word, _)| *word == given).map(|(_, value)| *value);
        if found.is_none() {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.fault(name, "invalid_choice", format!("must be {}", words.join(" or ")));
        }
        found
    }

    /// An IANA zone.
    pub(super) fn zone(&mut self, name: &str) -> Option<Zone> {
        match zone(self.string(name)?) {
            Ok(zone) => Some(zone),
            Err(why) => {
                self.fault(name, "invalid_timezone", why);
                None
            }
        }
    }

    /// One e-mail address.
    pub(super) fn email(&mut self, name: &str) -> Option<Email> {
        match Email::parse(self.string(name)?) {
            Ok(email) => Some(email),
            Err(why) => {
                self.fault(name, "invalid_email", why.to_string());
                None
            }
        }
    }

    /// The id of another row, in any face: a number, or a string that holds a number or a uuid.
    pub(super) fn reference(&mut self, name: &str, kind: crate::ids::Kind, missing: &str) -> Option<i64> {
        let face = match self.value(name)? {
            Value::Number(number) if !number.is_f64() => number.to_string(),
            Value::String(face) => face.trim().to_owned(),
            other => {
                let error = wrong_type(&self.path(name), "an id", other);
                self.errors.push(error);
                return None;
            }
        };
        let id = crate::ids::parse(kind, &face);
        if id.is_none() {
            let face: String = face.chars().filter(|c| !c.is_control()).take(64).collect();
            self.fault(name, "reference_not_found", missing.replace("{}", &face));
        }
        id
    }
}

/// Whether a text is short enough and holds no control character that it must not.
pub(super) fn check_text(text: &str, most: usize, lines: Lines) -> Result<(), (&'static str, String)> {
    let allowed = |c: char| lines == Lines::Many && matches!(c, '\n' | '\r' | '\t');
    if text.chars().any(|c| c.is_control() && !allowed(c)) {
        let what = if lines == Lines::One {
            "must be one line without control characters"
        } else {
            "holds a control character"
        };
        return Err(("control_character", what.to_owned()));
    }
    // Bytes bound characters from above: most texts are never counted.
    if text.len() > most && text.chars().count() > most {
        return Err(("too_long", format!("must have at most {most} characters")));
    }
    Ok(())
}

fn wrong_type(field: &str, expected: &str, value: &Value) -> FieldError {
    let got = match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(n) if n.is_f64() => "a decimal number",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    FieldError::new(field, "invalid_type", format!("must be {expected}, not {got}"))
}
