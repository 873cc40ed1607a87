//! A part of a list: by key, so that a long list costs no more at its end than at its beginning.

use sendwright_workflows::clock::Millis;

/// Which rows of a list, in the order of (created_at, id): ids alone carry no order in time.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// The last row already seen; [`Page::start`] for the beginning.
    pub after: (Millis, i64),
    /// Rows to pass over behind `after`, for callers that count pages.
    pub skip: i64,
    /// The most rows to give.
    pub limit: i64,
    /// Whether the newest come first.
    pub descending: bool,
}

impl Page {
    /// The first `limit` rows.
    pub fn first(limit: i64) -> Self {
        Self { after: Self::start(false), skip: 0, limit, descending: false }
    }

    /// What stands before every row of a list in this direction.
    pub fn start(descending: bool) -> (Millis, i64) {
        if descending { (Millis::MAX, i64::MAX) } else { (0, 0) }
    }
}

/// The text of a list in a page's direction: `in_order!(page, "k.", "SELECT … WHERE k.account_id = $1")`, where `k.` is
/// what its columns are called by. `$2` and `$3` are the row behind which it begins, `$4` its length, `$5` what is
/// passed over.
macro_rules! in_order {
    ($page:expr, $of:literal, $($head:expr),+ $(,)?) => {
        if $page.descending {
            concat!($($head),+, " AND (", $of, "created_at, ", $of, "id) < ($2, $3) ORDER BY ", $of,
                "created_at DESC, ", $of, "id DESC LIMIT $4 OFFSET $5")
        } else {
            concat!($($head),+, " AND (", $of, "created_at, ", $of, "id) > ($2, $3) ORDER BY ", $of,
                "created_at, ", $of, "id LIMIT $4 OFFSET $5")
        }
    };
}

pub(crate) use in_order;
