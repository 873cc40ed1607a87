//! A submitted key, and a submitted rotation.

use super::FieldError;
use super::fields::Fields;
use crate::clock::{Millis, SECOND, parse_rfc3339};
use serde_json::Value;

/// Most scopes of a key.
const MOST_SCOPES: usize = 100;

/// What a key is asked to be; whether its scopes, its tier and its user exist is for the caller to look up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySpec {
    /// What people call it.
    pub name: String,
    /// What it may do; absent: everything its user may.
    pub scopes: Option<Vec<String>>,
    /// The limits it lives under; absent: those of the caller.
    pub tier: Option<String>,
    /// When it stops working; absent: never.
    pub expires_at: Option<Millis>,
    /// Whether it is a key of the account's test twin.
    pub test: bool,
}

impl KeySpec {
    /// Reads a key.
    ///
    /// # Errors
    /// Every fault at once, never an empty list.
    pub fn from_json(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let read = Self::read(body, &mut errors);
        read.filter(|_| errors.is_empty()).ok_or(errors)
    }

    fn read(body: &Value, errors: &mut Vec<FieldError>) -> Option<Self> {
        let mut fields = Fields::open("", body, errors)?;
        refuse_unknown(&mut fields, &["name", "scopes", "tier", "expires_at", "test"]);
        Some(Self {
            name: fields.required("name", 200).unwrap_or_default(),
            scopes: read_scopes(&mut fields),
            tier: fields.string("tier").map(str::to_owned),
            expires_at: read_end(&mut fields),
            test: fields.flag("test").unwrap_or(false),
        })
    }
}

/// Reads how long an old key opens beside its successor; milliseconds, absent where it is not said.
///
/// # Errors
/// Every fault at once, never an empty list.
pub fn overlap(body: &Value, most: Millis) -> Result<Option<Millis>, Vec<FieldError>> {
    let mut errors = Vec::new();
    let read = Fields::open("", body, &mut errors).map(|mut fields| {
        refuse_unknown(&mut fields, &["overlap_seconds"]);
        fields.integer("overlap_seconds", 0..=most / SECOND).map(|seconds| seconds * SECOND)
    });
    read.filter(|_| errors.is_empty()).ok_or(errors)
}

/// A key is no place for guesses: a name that nobody reads may have been meant to narrow it.
fn refuse_unknown(fields: &mut Fields, known: &[&str]) {
    let unknown: Vec<String> = fields
        .names()
        .filter(|name| !known.contains(&name.as_str()))
        .take(20)
        .map(|name| name.chars().filter(|c| !c.is_control()).take(64).collect())
        .collect();
    for name in unknown {
        fields.fault(&name, "unknown_field", "is not known");
    }
}

fn read_scopes(fields: &mut Fields) -> Option<Vec<String>> {
    let list = fields.list("scopes")?;
    if list.is_empty() || list.len() > MOST_SCOPES {
        let text = format!("must name 1 to {MOST_SCOPES} scopes; leave it out for all");
        fields.fault("scopes", "out_of_range", text);
    }
    let words: Vec<String> = list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    if words.len() < list.len() {
        fields.fault("scopes", "invalid_type", "must be a list of words such as leads:read");
    }
    Some(words)
}

fn read_end(fields: &mut Fields) -> Option<Millis> {
    let at = parse_rfc3339(fields.string("expires_at")?);
    if at.is_none() {
        let text = "must be an RFC 3339 instant with its offset, such as 2027-03-15T09:00:00+01:00";
        fields.fault("expires_at", "invalid_format", text);
    }
    at
}
