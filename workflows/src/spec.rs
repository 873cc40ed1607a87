//! What a caller submits: campaigns, steps, sending profiles and leads, read from JSON or CSV and checked
//! whole. Every fault is told at once, by field and rule, before anything happens (ATTACKS, section 4).
//!
//! `null` and an absent field are the same thing. A wrong type is an error that names what was expected;
//! nothing is converted. Messages never repeat a value that may be a secret.

mod attributes;
mod broadcast;
mod business;
mod campaign;
mod columns;
mod draft;
mod enclosed;
mod endpoint;
mod fields;
mod key;
mod lead;
mod phone_sender;
mod profile;
mod segment;
mod step;
mod template;
mod user;
mod zone;

pub use broadcast::TemplateText;
pub use business::business;
pub use campaign::{CampaignBody, Demands};
pub use columns::Columns;
pub use draft::DraftBody;
pub use endpoint::EndpointBody;
pub use key::{KeySpec, overlap};
pub use lead::{LEAD_FIELDS, LeadBody};
pub use phone_sender::PhoneSender;
pub use profile::{Kept, ProfileBody};
pub use segment::{SegmentBody, filter};
pub use template::TemplateBody;
pub use user::{Evidence, USER_FIELDS, UserBody, column};
pub use zone::zone;

use serde::Serialize;
use serde_json::Value;

/// One fault, or one warning, of a submitted body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FieldError {
    /// Where: `name`, `steps[1].delay_days`, `sending_profile.from_email`; `body` for the whole.
    pub field: String,
    /// The rule, a closed code: `required`, `invalid_type`, `too_long`, `out_of_range`, `control_character`,
    /// `invalid_choice`, `invalid_format`, `invalid_timezone`, `invalid_email`, `invalid_template`,
    /// `reference_not_found`, `conflict`, `too_many`, `steps_min_1`, `steps_not_sequential`, `reserved_name`,
    /// `columns`, `duplicate`, `unknown_field`, `not_permitted`, `invalid_operator`, `too_deep`, `undeclared_variable`,
    /// `invalid_phone`, `invalid_consent_state`, `invalid_encoding`, and of a URL `insecure_url`, `blocked_port`,
    /// `blocked_address`; as a warning `unknown_field`, `unknown_variable`, `unused_variable`.
    pub code: &'static str,
    /// For people: the rule, and what to write instead.
    pub message: String,
    /// What was given, where it is no secret and short of words to say it (S2-39).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provided: Option<String>,
    /// What was expected, where `message` only says that it is not that (S2-39).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<&'static str>,
}

impl FieldError {
    /// A fault of `field` against the rule `code`.
    pub fn new(field: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { field: field.into(), code, message: message.into(), provided: None, expected: None }
    }

    /// The same, with what was given and what was expected.
    pub fn instead(self, provided: &str, expected: &'static str) -> Self {
        Self { expected: Some(expected), ..self.given(provided) }
    }

    /// The same, with what was given.
    pub fn given(self, provided: &str) -> Self {
        let provided = provided.chars().filter(|c| !c.is_control()).take(64).collect();
        Self { provided: Some(provided), ..self }
    }
}

/// The same faults, each with what stands in its place in the body, where that is one value (S2-39). The body holds no
/// secret, but for a sending profile's, of which nothing is said.
pub fn provided(errors: Vec<FieldError>, body: &Value) -> Vec<FieldError> {
    let given = |error: FieldError| {
        let place = format!("/{}", error.field.replace(['.', '['], "/").replace(']', ""));
        let is_secret = error.field.starts_with("sending_profile.");
        match body.pointer(&place).filter(|_| error.provided.is_none() && !is_secret) {
            Some(Value::String(text)) => error.given(text),
            Some(plain @ (Value::Number(_) | Value::Bool(_))) => error.given(&plain.to_string()),
            _ => error,
        }
    };
    errors.into_iter().map(given).collect()
}

/// Every fault on one line, as a terminal or a `detail` shows them.
pub fn sentence(errors: &[FieldError]) -> String {
    errors.iter().map(FieldError::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fault_says_what_stands_in_its_place_and_nothing_larger_than_a_word() {
        let body = json!({ "a": { "b": [1, { "c": "x\u{7}y" }] }, "long": "z".repeat(100), "list": [] });
        let of = |field: &str| {
            let errors = vec![FieldError::new(field, "invalid_type", "must be something else")];
            provided(errors, &body).pop().and_then(|error| error.provided)
        };
        assert_eq!((of("a.b[0]"), of("a.b[1].c")), (Some("1".into()), Some("xy".into())));
        assert_eq!(of("long").map(|text| text.len()), Some(64));
        assert_eq!([of("a"), of("list"), of("nothing"), of("body"), of("a.b[7].c")], [const { None }; 5]);
        let inner = vec![FieldError::new("sending_profile.password", "too_long", "is too long")];
        let secret = json!({ "sending_profile": { "password": "hunter2" } });
        assert_eq!(provided(inner.clone(), &secret), inner);
        let said = FieldError::new("long", "x", "y").given("another");
        assert_eq!(provided(vec![said.clone()], &body), [said], "who said it first knew better");
    }
}
