//! Files of users, and how far each is.

use super::common::Listing;
use utoipa::{IntoParams, ToSchema};

/// A form with one file.
#[derive(ToSchema)]
#[schema(example = json!({"file": "people.csv"}))]
pub struct UploadInput {
    /// CSV under a header with `phone_e164` (commas, semicolons or tabs), a JSON list, or JSON with an object a line; in
    /// UTF-8. Columns besides `phone_e164`, `consent_state` and `channel` are attributes.
    #[schema(format = Binary, content_media_type = "application/octet-stream", value_type = String)]
    pub file: String,
}

/// What an upload goes on from.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UploadOf {
    /// The import that the same file began, where it was sent without an `Idempotency-Key`.
    #[param(example = "0f000000-0000-8000-8000-000000000001")]
    pub import_id: Option<String>,
}

/// A row of a file that was not taken.
#[derive(ToSchema)]
pub struct RefusedRow {
    /// Its place among the rows, from 1; the header of a CSV is none.
    #[schema(example = 3)]
    pub row: i64,
    /// Its line in the file, from 1.
    #[schema(example = 4)]
    pub line: i64,
    /// The first field that is wrong; `row` for the whole.
    #[schema(example = "phone_e164")]
    pub field: String,
    /// What is wrong, for programs.
    #[schema(example = "invalid_phone")]
    pub error: String,
    /// All that is wrong, for people.
    #[schema(example = "phone_e164: Invalid phone number format")]
    pub message: String,
    /// What was given there, or whose row it is.
    #[schema(example = "1234567890")]
    pub provided: Option<String>,
}

/// What became of a file: `processed` is the sum of `created`, `updated` and `errors`.
#[derive(ToSchema)]
pub struct Uploaded {
    /// For people.
    #[schema(example = "Bulk upload completed")]
    pub message: String,
    /// Rows.
    #[schema(example = 1000)]
    pub processed: i64,
    /// Users that are new.
    #[schema(example = 850)]
    pub created: i64,
    /// Users that were there.
    #[schema(example = 150)]
    pub updated: i64,
    /// Rows that were refused.
    #[schema(example = 0)]
    pub errors: i64,
    /// The first 100 of them; `GET /imports/{id}/errors` has all, under the id in `X-Import-Id`.
    pub validation_errors: Vec<RefusedRow>,
}

/// An import: a file that is taken chunk by chunk.
#[derive(ToSchema)]
pub struct Import {
    /// Its id.
    #[schema(example = "0f000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// `users` or `leads`.
    #[schema(example = "users")]
    pub kind: String,
    /// The campaign that leads are enrolled in.
    #[schema(example = "01000000-0000-8000-8000-000000000001")]
    pub campaign_id: Option<String>,
    /// `running`, `completed`, `interrupted` (the same file goes on where it was) or `failed`.
    #[schema(example = "completed")]
    pub state: String,
    /// Rows that are committed.
    #[schema(example = 1000)]
    pub processed: i64,
    /// People that are new.
    #[schema(example = 850)]
    pub created: i64,
    /// People that were there.
    #[schema(example = 150)]
    pub updated: i64,
    /// Rows that were refused.
    #[schema(example = 0)]
    pub errors: i64,
    /// Why it did not come to its end.
    #[schema(example = "the connection was closed")]
    pub why: Option<String>,
    /// When it was begun.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub created_at: String,
    /// When it was last moved on.
    #[schema(format = DateTime, example = "2026-01-15T10:30:04Z")]
    pub updated_at: String,
    /// When it ended.
    #[schema(format = DateTime, example = "2026-01-15T10:30:04Z")]
    pub ended_at: Option<String>,
}

/// Imports.
#[derive(ToSchema)]
pub struct ImportList {
    /// The rows.
    pub imports: Vec<Import>,
    /// Where the list stands.
    #[serde(flatten)]
    pub listing: Listing,
}

/// Rows that were refused.
#[derive(ToSchema)]
pub struct RefusedRows {
    /// The rows.
    pub errors: Vec<RefusedRow>,
    /// Where the list stands.
    #[serde(flatten)]
    pub listing: Listing,
}
