//! A submitted segment: a name, and the tree of conditions that says who is in it.

mod operand;
mod tree;

use super::FieldError;
use super::campaign::warn_of_unknown;
use super::fields::{Fields, Lines};
use crate::segment::Filter;
use serde_json::Value;

const KNOWN: &[&str] =
    &["id", "name", "description", "filter_criteria", "estimated_audience_size", "created_at", "updated_at"];

/// A segment that passed every check.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentBody {
    /// What people call it.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// The tree as it was given.
    pub criteria: Value,
    /// The tree as it is understood.
    pub filter: Filter,
    /// What was odd and did no harm.
    pub warnings: Vec<FieldError>,
}

impl SegmentBody {
    /// Reads and checks a segment.
    ///
    /// # Errors
    /// Every fault at once, by its place in the tree; never an empty list.
    pub fn from_json(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        read(body, &mut errors).filter(|_| errors.is_empty()).ok_or(errors)
    }
}

/// Reads a tree alone, as a segment keeps it.
///
/// # Errors
/// As [`SegmentBody::from_json`].
pub fn filter(criteria: &Value) -> Result<Filter, Vec<FieldError>> {
    tree::Reader::default().read(criteria)
}

fn read(body: &Value, errors: &mut Vec<FieldError>) -> Option<SegmentBody> {
    let mut fields = Fields::open("", body, errors)?;
    let mut warnings = Vec::new();
    warn_of_unknown(&fields, KNOWN, &mut warnings);
    let name = fields.required("name", 200);
    let description = fields.text("description", 10_000, Lines::Many);
    let Some(criteria) = fields.value("filter_criteria") else {
        fields.fault("filter_criteria", "required", "is required: one condition, or a group of them");
        return None;
    };
    match filter(criteria) {
        Ok(filter) => Some(SegmentBody {
            name: name.unwrap_or_default(),
            description,
            criteria: criteria.clone(),
            filter,
            warnings,
        }),
        Err(faults) => {
            fields.errors().extend(faults);
            None
        }
    }
}
