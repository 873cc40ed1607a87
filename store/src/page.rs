//! A part of a list: by key, so that a long list costs no more at its end than at its beginning.

use sendwright_workflows::clock::Millis;

/// Which rows of a list, ascending by (created_at, id): ids alone carry no order in time.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// The last row already seen; `(0, 0)` for the beginning.
    pub after: (Millis, i64),
    /// Rows to pass over behind `after`, for callers that count pages.
    pub skip: i64,
    /// The most rows to give.
    pub limit: i64,
}

impl Page {
    /// The first `limit` rows.
    pub fn first(limit: i64) -> Self {
        Self { after: (0, 0), skip: 0, limit }
    }
}
