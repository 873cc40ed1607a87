//! `/api/v1` and `/v1`: the native face. Uuids out, any face in; 201 for what was made; errors by S2-39.

pub mod analytics;
pub mod businesses;
pub mod campaigns;
pub mod drafts;
pub mod events;
pub mod imports;
pub mod inbound;
pub mod keys;
pub mod leads;
pub mod mailbox;
pub mod messages;
pub mod monitoring;
mod paging;
pub mod profiles;
pub mod reporting;
pub mod runs;
pub mod segments;
pub mod simulation;
pub mod spending;
pub mod suppressions;
pub mod templates;
pub mod told;
pub mod usage;
pub mod users;
mod view;
pub mod webhooks;

pub use paging::{Asked, cursor};

use crate::dialects::shape::Told;
use crate::refusal::Refusal;
use sendwright_workflows::clock::{Millis, parse_rfc3339, rfc3339};
use sendwright_workflows::spec::{FieldError, sentence};
use serde_json::{Value, json};

/// Most faults that one answer lists.
const MOST_FAULTS: usize = 20;

/// Whether faults are of form (400) rather than of rules (422).
pub fn is_shape(errors: &[FieldError]) -> bool {
    const SHAPES: [&str; 6] = [
        "invalid_type",
        "required",
        "invalid_operator",
        "too_deep",
        "invalid_phone",
        "invalid_consent_state",
    ];
    errors.iter().any(|error| SHAPES.contains(&error.code))
}

/// An instant as S0 and S2 print it: whole seconds.
fn seconds(at: Millis) -> String {
    let text = rfc3339(at);
    text.get(..19).map_or(text.clone(), |whole| format!("{whole}Z"))
}

/// Reads a field of a query that is an instant, or a day in UTC: then its first instant, and that it is one.
fn instant(name: &str, text: &str) -> Result<(Millis, bool), FieldError> {
    // A `+` in a query is a space to a form's reader.
    let text = text.replace(' ', "+");
    let day = parse_rfc3339(&format!("{text}T00:00:00Z")).map(|at| (at, true));
    day.or_else(|| parse_rfc3339(&text).map(|at| (at, false))).ok_or_else(|| {
        let text = "must be a day or an instant with its offset, such as 2026-03-15 or 2026-03-15T09:00:00Z";
        FieldError::new(name, "invalid_format", text)
    })
}

/// `{error, message, details | field, timestamp, request_id}` (S2-39, S2-40).
pub fn error(refusal: &Refusal, told: &Told) -> Value {
    let error = match refusal {
        Refusal::Invalid(_) => "validation_error",
        other => other.code(),
    };
    let message = match refusal {
        // Said in the document's words, with what was expected beside (S2-39).
        Refusal::Invalid(errors) if errors.len() == 1 && errors[0].expected.is_some() => {
            errors[0].message.clone()
        }
        Refusal::Invalid(errors) => sentence(&errors[..errors.len().min(5)]),
        other => other.to_string(),
    };
    let mut shown = json!({
        "error": error,
        "message": message,
        "timestamp": told.at.map(seconds),
        "request_id": told.request_id,
    });
    if let Refusal::Invalid(errors) = refusal {
        let first = errors.first();
        let field = first.map(|e| e.field.as_str());
        shown["field"] = json!(field);
        shown["details"] = json!({
            "field": field,
            "provided": first.and_then(|e| e.provided.as_deref()),
            "expected": first.map(|e| e.expected.unwrap_or(&e.message)),
            "errors": errors.iter().take(MOST_FAULTS).collect::<Vec<_>>(),
        });
    }
    if let Refusal::TooMany(wait) = refusal {
        shown["retry_after_seconds"] = json!(wait);
    }
    shown
}
