//! The latest state of the database that a data directory knows of: an older one is a backup that was put in its place.
//!
//! DATA/latest holds the beat of the last worker that worked here, written once it is committed, so that it is never ahead
//! of the database it speaks of. It lies beside the database and not in it: a restored backup does not take it back.

use crate::context::Context;
use sendwright_store::{Result, Store, workers};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::{fs, io};

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest {
    /// The database's epoch.
    pub epoch: String,
    /// Its epochs before that.
    pub former: Vec<String>,
    /// A worker, and how far its beat had come.
    pub worker: i64,
    /// See `worker`.
    pub beat: i64,
}

impl Latest {
    /// Reads it; `None` where nothing was kept, or nothing that reads.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
    }

    /// Whether the database is older than this: it has not seen the beat, or not even the epoch. Of a database that has
    /// nothing to do with it nothing is said.
    pub async fn is_ahead_of(&self, store: &Store) -> Result<bool> {
        if self.former.iter().any(|epoch| epoch == store.epoch()) {
            return Ok(true);
        }
        if self.epoch != store.epoch() {
            return Ok(false);
        }
        let mut tx = store.read().await?;
        let beat = workers::beat_of(&mut tx, self.worker).await?;
        tx.commit().await?;
        Ok(beat.is_none_or(|beat| beat < self.beat))
    }

    /// The epochs it knows of, if one of them is this: what the database itself may have lost.
    pub fn epochs_with(self, epoch: &str) -> Vec<String> {
        let mut epochs = self.former;
        epochs.push(self.epoch);
        if epochs.iter().any(|known| known == epoch) { epochs } else { Vec::new() }
    }
}

/// Keeps a beat that is committed. Where that fails, a backup may later not be told as one.
pub(crate) fn keep(ctx: &Context, worker: i64, beat: i64) {
    let Some(path) = &ctx.settings.latest else { return };
    let mut epochs = ctx.store.epochs().map(str::to_owned);
    let Some(epoch) = epochs.next() else { return };
    let latest = Latest { epoch, former: epochs.collect(), worker, beat };
    if let Err(error) = write(path, &latest, worker) {
        tracing::warn!(%error, path = %path.display(), "the latest beat could not be kept");
    }
}

fn write(path: &Path, latest: &Latest, worker: i64) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let draft = path.with_extension(worker.to_string());
    fs::write(&draft, serde_json::to_string(latest).unwrap_or_default())?;
    fs::rename(draft, path)
}
