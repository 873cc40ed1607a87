//! How a list is asked for: behind a cursor, by page (S2-03), or by offset; oldest or newest first.
//!
//! `sort` has one key per list: that of its index and of its cursor. Any other would sort a million rows for a page, and a
//! second one behind it would never be asked, since the first, with the row's number, already tells every two rows apart.

use crate::refusal::Refusal;
use sendwright_store::Page;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::spec::FieldError;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Rows of a page where the caller does not say (S2-03).
const PER_PAGE: i64 = 20;
/// Most rows of a page.
const MOST_PER_PAGE: i64 = 100;
/// Most rows that are passed over; a longer list is read by its cursor.
const MOST_SKIPPED: i64 = 100_000;

/// A part of a list as it was asked for.
pub struct Asked {
    /// For the store.
    pub page: Page,
    number: i64,
}

impl Asked {
    /// Reads `cursor`, `page` and `per_page`, `offset` and `limit`, and `sort` by `created_at`.
    pub fn read(query: &HashMap<String, String>) -> Result<Self, Refusal> {
        Self::ordered("created_at", false, query)
    }

    /// The same for a list that has another order: `key` is what `sort` calls it.
    pub fn by(key: &str, query: &HashMap<String, String>) -> Result<Self, Refusal> {
        Self::ordered(key, false, query)
    }

    /// The same for a list that begins with its newest rows where nothing else is asked for.
    pub fn newest_by(key: &str, query: &HashMap<String, String>) -> Result<Self, Refusal> {
        Self::ordered(key, true, query)
    }

    fn ordered(key: &str, is_newest: bool, query: &HashMap<String, String>) -> Result<Self, Refusal> {
        let mut errors = Vec::new();
        let given = |name: &str| query.get(name).filter(|text| !text.is_empty());
        let mut number = |name: &str, least: i64, most: i64| {
            let text = given(name)?;
            let read = text.parse().ok().filter(|n| (least..=most).contains(n));
            if read.is_none() {
                let message = format!("must be a whole number from {least} to {most}");
                errors.push(FieldError::new(name, "out_of_range", message).given(text));
            }
            read
        };
        let (per_page, limit) = (number("per_page", 1, MOST_PER_PAGE), number("limit", 1, MOST_PER_PAGE));
        let limit = limit.or(per_page).unwrap_or(PER_PAGE);
        let page = number("page", 1, MOST_SKIPPED / limit);
        let offset = number("offset", 0, MOST_SKIPPED);
        let places: Vec<&str> =
            ["cursor", "page", "offset"].into_iter().filter(|name| given(name).is_some()).collect();
        if let [first, second, ..] = places[..] {
            let text = format!("give either {first} or {second}");
            errors.push(FieldError::new(second, "conflict", text));
        }
        if given("per_page").is_some() && given("limit").is_some() {
            errors.push(FieldError::new("limit", "conflict", "give either per_page or limit"));
        }
        let descending = match given("sort").map(String::as_str) {
            None => is_newest,
            Some(word) if word == key => false,
            Some(word) if word.strip_prefix('-') == Some(key) => true,
            Some(word) => {
                let text = format!("must be {key} or -{key}, and nothing beside");
                errors.push(FieldError::new("sort", "invalid_choice", text).given(word));
                false
            }
        };
        let after = match given("cursor").map(|text| cursor(text)) {
            None => Page::start(descending),
            Some(Ok(after)) => after,
            Some(Err(Refusal::Invalid(faults))) => {
                errors.extend(faults);
                (0, 0)
            }
            Some(Err(refusal)) => return Err(refusal),
        };
        if !errors.is_empty() {
            return Err(Refusal::Invalid(errors));
        }
        let skip = offset.unwrap_or_else(|| (page.unwrap_or(1) - 1) * limit);
        Ok(Self { page: Page { after, skip, limit, descending }, number: skip / limit + 1 })
    }

    /// The envelope of a list (S2-03), with the cursor of what follows.
    pub fn envelope(&self, noun: &str, rows: Vec<Value>, total: i64, last: Option<(Millis, i64)>) -> Value {
        let is_full = rows.len() as i64 == self.page.limit;
        let mut shown = json!({
            "total": total,
            "page": self.number,
            "per_page": self.page.limit,
            "pages": (total + self.page.limit - 1) / self.page.limit,
            "offset": self.page.skip,
            "next_cursor": last.filter(|_| is_full).map(|(at, id)| format!("{at}-{id}")),
        });
        shown[noun] = Value::Array(rows);
        shown
    }
}

/// Reads a cursor: where a list goes on. It opens nothing: rows are the account's own with or without it.
pub fn cursor(text: &str) -> Result<(Millis, i64), Refusal> {
    let read = text.split_once('-').and_then(|(at, id)| Some((at.parse().ok()?, id.parse().ok()?)));
    let fault = FieldError::new("cursor", "invalid_format", "must be a cursor that a list gave");
    read.ok_or_else(|| Refusal::Invalid(vec![fault.given(text)]))
}
