//! What every list and every refusal is made of.

use utoipa::{IntoParams, ToSchema};

/// Which part of a list is shown: behind a cursor, by page, or by offset; never by two of them at once.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Part {
    /// Where to go on: the `next_cursor` of the answer before.
    #[param(example = "1768473000000-20")]
    pub cursor: Option<String>,
    /// The page, from 1.
    #[param(minimum = 1, example = 1)]
    pub page: Option<i64>,
    /// Rows of a page; 20 where it is left out.
    #[param(minimum = 1, maximum = 100, example = 20)]
    pub per_page: Option<i64>,
    /// Rows to give; another word for `per_page`.
    #[param(minimum = 1, maximum = 100, example = 20)]
    pub limit: Option<i64>,
    /// Rows to pass over.
    #[param(minimum = 0, maximum = 100000, example = 0)]
    pub offset: Option<i64>,
    /// The names to show of each row, with commas between; all where it is left out.
    #[param(example = "id")]
    pub fields: Option<String>,
}

/// The order of a list that is walked by time.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ByTime {
    /// The order: `created_at`, or `-created_at` for the newest first. One key: rows of one instant follow by their numbers, so
    /// that a cursor has one place.
    #[param(example = "-created_at")]
    pub sort: Option<String>,
}

/// The order of a list that is walked by its rows' numbers.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ById {
    /// The order: `id`, or `-id` for the highest first. One key.
    #[param(example = "-id")]
    pub sort: Option<String>,
}

/// Which fields of one row are shown.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Shown {
    /// The names to show, with commas between; all where it is left out.
    #[param(example = "id,created_at")]
    pub fields: Option<String>,
}

/// A field that breaks a rule.
#[derive(ToSchema)]
pub struct Fault {
    /// Where it is, such as `steps[2].subject`.
    #[schema(example = "email")]
    pub field: String,
    /// What is wrong, for programs.
    #[schema(example = "invalid_email")]
    pub code: String,
    /// What is wrong and what to do, for people.
    #[schema(example = "must be an address such as ada@example.com")]
    pub message: String,
    /// What was given. (sometimes)
    #[schema(example = "1234567890")]
    pub provided: Option<String>,
    /// What was expected. (sometimes)
    #[schema(example = "E.164 format (+1234567890)")]
    pub expected: Option<String>,
}

/// Which fields were wrong.
#[derive(ToSchema)]
pub struct FaultDetails {
    /// The first of them.
    #[schema(example = "email")]
    pub field: Option<String>,
    /// What was given, where that is said.
    #[schema(example = "1234567890")]
    pub provided: Option<String>,
    /// What it should have been.
    #[schema(example = "must be an address such as ada@example.com")]
    pub expected: Option<String>,
    /// All of them, at most 20.
    pub errors: Vec<Fault>,
}

/// Why a request was not done.
#[derive(ToSchema)]
pub struct Error {
    /// The stable code.
    #[schema(example = "validation_error")]
    pub error: String,
    /// One sentence for people.
    #[schema(example = "email must be an address such as ada@example.com")]
    pub message: String,
    /// The first field that was wrong. (sometimes)
    #[schema(example = "email")]
    pub field: Option<String>,
    /// Every field that was wrong. (sometimes)
    pub details: Option<FaultDetails>,
    /// Seconds after which the same request may succeed (429). (sometimes)
    #[schema(example = 12)]
    pub retry_after_seconds: Option<i64>,
    /// When.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub timestamp: Option<String>,
    /// The request's id, as in `X-Request-Id`; the log knows it by this.
    #[schema(example = "req_5f2b8c1d9e3a4f60718293a4")]
    pub request_id: String,
}

/// Where a list stands.
#[derive(ToSchema)]
pub struct Listing {
    /// All rows of the list.
    #[schema(example = 1)]
    pub total: i64,
    /// The page, from 1.
    #[schema(example = 1)]
    pub page: i64,
    /// Rows of a page; 20 where it is left out.
    #[schema(example = 20)]
    pub per_page: i64,
    /// Pages there are.
    #[schema(example = 1)]
    pub pages: i64,
    /// Rows passed over.
    #[schema(example = 0)]
    pub offset: i64,
    /// Where the list goes on; null at its end.
    #[schema(example = "1768473000000-20")]
    pub next_cursor: Option<String>,
}

/// That a row is gone.
#[derive(ToSchema)]
pub struct Deletion {
    /// For people.
    #[schema(example = "Template deleted successfully")]
    pub message: String,
    /// What its id was.
    #[schema(example = "0b000000-0000-8000-8000-000000000001")]
    pub id: String,
}

/// A fault that did no harm.
#[derive(ToSchema)]
pub struct Warning {
    /// Where it is.
    #[schema(example = "steps[0].colour")]
    pub field: String,
    /// What is odd, for programs.
    #[schema(example = "unknown_field")]
    pub code: String,
    /// What is odd, for people.
    #[schema(example = "is not known and was ignored")]
    pub message: String,
}
