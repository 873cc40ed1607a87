//! `/api/v1` and `/v1`: the native face. Uuids out, any face in; 201 for what was made; errors by S2-39.

pub mod analytics;
pub mod businesses;
pub mod campaigns;
pub mod drafts;
pub mod events;
pub mod inbound;
pub mod leads;
pub mod messages;
pub mod profiles;
pub mod runs;
pub mod simulation;
pub mod spending;
pub mod suppressions;
pub mod told;
mod view;
pub mod webhooks;

use crate::dialects::shape::Told;
use crate::refusal::Refusal;
use sendwright_store::Page;
use sendwright_workflows::clock::{Millis, rfc3339};
use sendwright_workflows::spec::{FieldError, sentence};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Rows of a page where the caller does not say (S2-03).
const PER_PAGE: i64 = 20;
/// Most rows of a page.
const MOST_PER_PAGE: i64 = 100;
/// Most rows that `page` passes over; a longer list is read by its cursor.
const MOST_SKIPPED: i64 = 100_000;
/// Most faults that one answer lists.
const MOST_FAULTS: usize = 20;

/// A page as it was asked for: by number (S2-03), or behind a cursor.
pub struct Asked {
    /// For the store.
    pub page: Page,
    number: i64,
}

impl Asked {
    /// Reads `page`, `per_page` and `cursor`.
    pub fn read(query: &HashMap<String, String>) -> Result<Self, Refusal> {
        let number = |name: &str, default: i64, most: i64| match query.get(name) {
            None => Ok(default),
            Some(text) => text.parse().ok().filter(|n| (1..=most).contains(n)).ok_or_else(|| {
                Refusal::field(name, "out_of_range", format!("must be a whole number from 1 to {most}"))
            }),
        };
        let limit = number("per_page", PER_PAGE, MOST_PER_PAGE)?;
        let page = number("page", 1, MOST_SKIPPED / limit)?;
        let after = query.get("cursor").map_or(Ok((0, 0)), |text| cursor(text))?;
        Ok(Self { page: Page { after, skip: (page - 1) * limit, limit }, number: page })
    }

    /// The envelope of a list (S2-03), with the cursor of what follows.
    pub fn envelope(&self, noun: &str, rows: Vec<Value>, total: i64, last: Option<(Millis, i64)>) -> Value {
        let is_full = rows.len() as i64 == self.page.limit;
        let mut shown = json!({
            "total": total,
            "page": self.number,
            "per_page": self.page.limit,
            "pages": (total + self.page.limit - 1) / self.page.limit,
            "next_cursor": last.filter(|_| is_full).map(|(at, id)| format!("{at}-{id}")),
        });
        shown[noun] = Value::Array(rows);
        shown
    }
}

/// Reads a cursor: where a list goes on. It opens nothing: rows are the account's own with or without it.
pub fn cursor(text: &str) -> Result<(Millis, i64), Refusal> {
    let read = text.split_once('-').and_then(|(at, id)| Some((at.parse().ok()?, id.parse().ok()?)));
    read.ok_or_else(|| Refusal::field("cursor", "invalid_format", "must be a cursor that a list gave"))
}

/// Whether faults are of form (400) rather than of rules (422).
pub fn is_shape(errors: &[FieldError]) -> bool {
    errors.iter().any(|error| matches!(error.code, "invalid_type" | "required"))
}

/// An instant as S0 and S2 print it: whole seconds.
fn seconds(at: Millis) -> String {
    let text = rfc3339(at);
    text.get(..19).map_or(text.clone(), |whole| format!("{whole}Z"))
}

/// `{error, message, details | field, timestamp, request_id}` (S2-39, S2-40).
pub fn error(refusal: &Refusal, told: &Told) -> Value {
    let error = match refusal {
        Refusal::Invalid(_) => "validation_error",
        other => other.code(),
    };
    let message = match refusal {
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
        let first = errors.first().map(|e| e.field.as_str());
        shown["field"] = json!(first);
        shown["details"] = json!({
            "field": first,
            "expected": errors.first().map(|e| e.message.as_str()),
            "errors": errors.iter().take(MOST_FAULTS).collect::<Vec<_>>(),
        });
    }
    if let Refusal::TooMany(wait) = refusal {
        shown["retry_after_seconds"] = json!(wait);
    }
    shown
}
