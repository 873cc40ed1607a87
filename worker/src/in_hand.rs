//! Attempts that this process has in hand: from their intent to the commit of their outcome.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The ids of all of them.
#[derive(Debug, Default)]
pub struct InHand(Mutex<HashSet<i64>>);

impl InHand {
    /// One more.
    pub fn take(&self, attempt: i64) {
        self.lock().insert(attempt);
    }

    /// These are recorded, or never became any.
    pub fn let_go(&self, attempts: impl IntoIterator<Item = i64>) {
        let mut held = self.lock();
        for attempt in attempts {
            held.remove(&attempt);
        }
    }

    /// Whether this is one.
    pub fn has(&self, attempt: i64) -> bool {
        self.lock().contains(&attempt)
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
