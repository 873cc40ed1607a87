//! Rows that this program does not understand: a newer one's, or a hand's in the database. They are left as they are.

use sendwright_store::{Error, Result};
use std::collections::HashSet;
use std::sync::Mutex;

/// Which of them have been told of: each once in a process's life.
#[derive(Debug, Default)]
pub struct Unread(Mutex<HashSet<(&'static str, i64)>>);

impl Unread {
    /// Counts a row that is passed over, and tells of it where that is new.
    pub fn tell(&self, table: &'static str, id: i64, why: &str) {
        metrics::counter!("sendwright_unread_rows_total", "table" => table).increment(1);
        if self.0.lock().is_ok_and(|mut told| told.insert((table, id))) {
            tracing::warn!(table, id, why, "a row of a newer program, or of somebody's hand, is passed over");
        }
    }

    /// What came of work on one row: where it cannot be read, nothing, and everybody else's goes on.
    pub fn pass_over<T: Default>(&self, table: &'static str, id: i64, done: Result<T>) -> Result<T> {
        match done {
            Err(error @ Error::Stored { .. }) => {
                self.tell(table, id, &error.to_string());
                Ok(T::default())
            }
            done => done,
        }
    }
}
