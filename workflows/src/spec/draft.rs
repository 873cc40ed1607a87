//! A text as a person edits it before it goes.

use super::FieldError;
use super::fields::{Fields, Lines, check_text};
use crate::render::MAX_SUBJECT;
use serde_json::Value;

/// Most bytes of a body that a person writes.
const MOST_BODY: usize = 256 * 1024;

/// What an edit replaces; at least one of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DraftBody {
    /// One line, fit for a header.
    pub subject: Option<String>,
    /// Plain text with `\n` line ends.
    pub body: Option<String>,
}

impl DraftBody {
    /// Reads and checks an edit. The text goes out as it stands, so that nothing in it may wait to be filled in.
    ///
    /// # Errors
    /// Every fault at once, never an empty list.
    pub fn from_json(value: &Value) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let read = read(value, &mut errors);
        read.filter(|_| errors.is_empty()).ok_or(errors)
    }
}

fn read(value: &Value, errors: &mut Vec<FieldError>) -> Option<DraftBody> {
    let mut fields = Fields::open("", value, errors)?;
    for name in fields.names().filter(|name| !["subject", "body"].contains(&name.as_str())) {
        let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        fields.fault(&name, "unknown_field", "is not known; an edit takes subject and body");
    }
    if fields.value("subject").is_none() && fields.value("body").is_none() {
        fields.fault("body", "required", "give a subject, a body or both");
    }
    let subject = fields.string("subject").map(str::trim);
    if let Some(text) = subject {
        check(&mut fields, "subject", text, Lines::One);
        if text.len() > MAX_SUBJECT {
            fields.fault("subject", "too_long", format!("must have at most {MAX_SUBJECT} bytes"));
        }
        if text.contains(['\u{2028}', '\u{2029}']) {
            fields.fault("subject", "control_character", "must be one line without control characters");
        }
    }
    let body = fields.string("body").map(|text| text.replace("\r\n", "\n").replace('\r', "\n"));
    if let Some(text) = &body {
        check(&mut fields, "body", text, Lines::Many);
        if text.len() > MOST_BODY {
            fields.fault("body", "too_long", format!("must have at most {MOST_BODY} bytes"));
        }
    }
    Some(DraftBody { subject: subject.map(str::to_owned), body })
}

fn check(fields: &mut Fields, name: &str, text: &str, lines: Lines) {
    if text.trim().is_empty() {
        fields.fault(name, "required", "must say something");
    }
    if let Err((code, message)) = check_text(text, MOST_BODY, lines) {
        fields.fault(name, code, message);
    }
    if text.contains("{{") {
        fields.fault(name, "invalid_template", "goes out as it stands: write the value instead of {{…}}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn codes(value: Value) -> Vec<(String, &'static str)> {
        let faults = DraftBody::from_json(&value).unwrap_err();
        faults.into_iter().map(|fault| (fault.field, fault.code)).collect()
    }

    #[test]
    fn a_header_is_one_line_and_nothing_waits_to_be_filled_in() {
        let broken =
            json!({ "subject": "Hi\r\nBcc: x@example.com", "body": "Dear {{first_name}}", "to": "x" });
        let found = codes(broken);
        for expected in
            [("subject", "control_character"), ("body", "invalid_template"), ("to", "unknown_field")]
        {
            assert!(found.iter().any(|(field, code)| (field.as_str(), *code) == expected), "{found:?}");
        }
        assert_eq!(codes(json!({})), [("body".to_owned(), "required")]);
        assert_eq!(codes(json!({ "body": " \n" })), [("body".to_owned(), "required")]);
        assert_eq!(codes(json!({ "subject": "x".repeat(999) })), [("subject".to_owned(), "too_long")]);
        let read = DraftBody::from_json(&json!({ "subject": " Hi ", "body": "a\r\nb" })).unwrap();
        assert_eq!((read.subject.as_deref(), read.body.as_deref()), (Some("Hi"), Some("a\nb")));
    }
}
