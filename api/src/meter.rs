//! Requests counted in memory by key, endpoint and hour, and added to the store in groups: no request waits for a
//! write of its own. What a crash leaves uncounted is at most what came since the last group.

use crate::state::ApiState;
use sendwright_store::Store;
use sendwright_store::usage::{self, Count};
use sendwright_workflows::clock::{HOUR, Millis};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often counts are added to the store.
const EVERY: Duration = Duration::from_secs(10);
/// Most counts that are kept while the store takes none; what comes above is not counted.
const MOST: usize = 20_000;

/// Account, key, hour, method, route.
type Place = (i64, i64, Millis, &'static str, String);

/// The counts of this process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Meter(Arc<Mutex<HashMap<Place, (i64, i64)>>>);

impl Meter {
    /// Counts one answered request.
    pub fn count(&self, account: i64, key: i64, asked: (&'static str, &str), is_error: bool, now: Millis) {
        let place = (account, key, now - now.rem_euclid(HOUR), asked.0, asked.1.to_owned());
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() < MOST || counts.contains_key(&place) {
            let count = counts.entry(place).or_default();
            *count = (count.0 + 1, count.1 + i64::from(is_error));
        }
    }

    /// Adds what was counted to the store, in one write; where that fails it is kept for the next time.
    pub async fn flush(&self, store: &Store) -> sendwright_store::Result<()> {
        let taken = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if taken.is_empty() {
            return Ok(());
        }
        let as_row = |(place, count): (&Place, &(i64, i64))| {
            let (account, key, hour, method, route) = place.clone();
            Count { account, key, hour, method, route, requests: count.0, errors: count.1 }
        };
        let rows: Vec<Count> = taken.iter().map(as_row).collect();
        let written = async {
            let mut tx = store.begin().await?;
            usage::add(&mut tx, &rows).await?;
            tx.commit().await
        };
        let written = written.await;
        if written.is_err() {
            let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            for (place, (requests, errors)) in taken {
                let count = counts.entry(place).or_default();
                *count = (count.0 + requests, count.1 + errors);
            }
        }
        written
    }
}

/// Adds the counts of a serving process to the store until `stop`, and once more then.
pub async fn keep(state: ApiState, stop: impl Future<Output = ()>) {
    let flush = async || {
        if let Err(error) = state.meter.flush(&state.core.store).await {
            tracing::warn!(%error, "the use of keys is counted on and stored later");
        }
    };
    let forever = async {
        loop {
            tokio::time::sleep(EVERY).await;
            flush().await;
        }
    };
    tokio::select! {
        () = forever => {}
        () = stop => flush().await,
    }
}
