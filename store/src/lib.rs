//! The truth: every table and every transaction.
//!
//! One file per table family; every function takes a transaction, and one SQL text serves SQLite and Postgres.

pub mod accounts;
pub mod answers;
pub mod audits;
pub mod callbacks;
pub mod campaigns;
pub mod claims;
pub mod clock;
pub mod consents;
pub mod contacts;
pub mod db;
pub mod deliveries;
pub mod drafts;
pub mod due;
pub mod endpoints;
pub mod enrolments;
pub mod error;
pub mod events;
pub mod expansions;
pub mod gates;
pub mod gauges;
pub mod heads;
pub mod hits;
pub mod idempotency;
pub mod ids;
pub mod imap;
pub mod imports;
pub mod inbound;
pub mod intents;
pub mod keys;
pub mod mailbox;
pub mod mapping;
pub mod messages;
pub mod migrate;
pub mod outcomes;
pub mod page;
pub mod planning;
pub mod prune;
pub mod recovery;
pub mod replan;
pub mod restored;
pub mod runs;
pub mod searches;
pub mod secrets;
pub mod segments;
pub mod sending_profiles;
pub mod sequencer;
pub mod simulation;
pub mod spending;
pub mod standings;
pub mod statistics;
pub mod suppressions;
pub mod templates;
pub mod texts;
pub mod tiers;
pub mod usage;
pub mod users;
pub mod values;
pub mod workers;
pub mod writing;

pub use db::{Db, Tx};
pub use error::{Error, Result};
pub use page::Page;

use std::sync::Arc;
use std::time::Duration;

/// Longer than the database lets anybody wait for a lock.
const PROMPTLY: Duration = Duration::from_secs(6);

/// What every part of a process holds of the database.
#[derive(Clone)]
pub struct Store {
    /// The pools.
    pub db: Db,
    /// The allocator of row numbers.
    pub ids: ids::Ids,
    facts: Arc<Facts>,
}

/// What never changes while a process runs.
struct Facts {
    epoch: String,
    former: Vec<restored::Former>,
    salt: Vec<u8>,
}

impl Store {
    /// Opens a migrated database and reads its epoch and address salt, making both where they are missing.
    pub async fn open(db: Db) -> Result<Self> {
        migrate::check(&db).await?;
        let mut tx = db.begin().await?;
        let epoch = meta(&mut tx, "epoch", 8).await?;
        let salt = meta(&mut tx, "address_salt", 16).await?;
        let former = restored::former(&mut tx).await?;
        tx.commit().await?;
        let facts = Facts { epoch, former, salt: salt.into_bytes() };
        Ok(Self { ids: ids::Ids::new(db.clone()), db, facts: Arc::new(facts) })
    }

    /// A writing transaction.
    pub async fn begin(&self) -> Result<Tx> {
        self.db.begin().await
    }

    /// A transaction that only reads.
    pub async fn read(&self) -> Result<Tx> {
        self.db.read().await
    }

    /// A writing transaction for a lane that serves many: a connection that has died unheard costs it seconds.
    pub async fn begin_promptly(&self) -> Result<Tx> {
        let mut tx = self.begin().await?;
        tx.answer_within(PROMPTLY);
        Ok(tx)
    }

    /// The same, behind an account's shared barrier.
    pub async fn begin_behind(&self, account: i64) -> Result<Tx> {
        self.db.begin_behind(account, PROMPTLY).await
    }

    /// The same, only reading.
    pub async fn read_promptly(&self) -> Result<Tx> {
        let mut tx = self.read().await?;
        tx.answer_within(PROMPTLY);
        Ok(tx)
    }

    /// A transaction that only reads, all of it at one instant.
    pub async fn snapshot(&self) -> Result<Tx> {
        self.db.snapshot().await
    }

    /// The random word that signed links, journal lines and Message-IDs carry; a restored backup changes it.
    pub fn epoch(&self) -> &str {
        &self.facts.epoch
    }

    /// The present epoch and those before it: what was sent in any of them comes back to the same rows.
    pub fn epochs(&self) -> impl Iterator<Item = &str> {
        [self.epoch()].into_iter().chain(self.facts.former.iter().map(|former| former.epoch.as_str()))
    }

    /// The epoch in which a message came to be: its Message-ID is the same for ever, whatever was restored since.
    pub fn epoch_of(&self, message: i64) -> &str {
        let first = self.facts.former.iter().find(|former| message < former.messages_below);
        first.map_or(self.epoch(), |former| &former.epoch)
    }

    /// The salt of address hashes.
    pub fn salt(&self) -> &[u8] {
        &self.facts.salt
    }
}

/// Reads a random word of `bytes` bytes in hex, or makes it: the first of several processes wins.
async fn meta(tx: &mut Tx, name: &str, bytes: usize) -> Result<String> {
    let mut random = vec![0_u8; bytes];
    getrandom::fill(&mut random).map_err(|e| Error::Schema(format!("no randomness: {e}")))?;
    db::execute!(
        &mut *tx,
        "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        name,
        hex::encode(&random)
    )?;
    let found = db::row!(&mut *tx, (String,), "SELECT value FROM meta WHERE name = $1", name)?;
    Ok(found.map(|v| v.0).unwrap_or_default())
}
