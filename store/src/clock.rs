//! Business time in production: the database's clock, sampled and carried on by the local boot-time clock.

use crate::db::{Db, row};
use crate::error::Result;
use sendwright_workflows::clock::{Clock, Millis};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Without a sample for this long nobody claims anything. Milliseconds.
const STALE: i64 = 30_000;
/// How long the database may take for its time.
const PATIENCE: Duration = Duration::from_secs(3);

/// Milliseconds since the machine booted, sleep included; never set by anybody.
pub fn boot_millis() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
}

/// The machine's wall clock. Only the sample on SQLite and the age check at the dot read it.
pub fn wall_millis() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
}

#[derive(Clone, Copy)]
struct Sample {
    database: Millis,
    boot: i64,
}

/// The [`Clock`] of production. Call [`sample`](Self::sample) every few seconds.
#[derive(Clone)]
pub struct DatabaseClock {
    db: Db,
    last: Arc<Mutex<Option<Sample>>>,
}

impl DatabaseClock {
    /// A clock that knows nothing until its first sample.
    pub fn new(db: Db) -> Self {
        Self { db, last: Arc::default() }
    }

    /// Asks the database for its time. On SQLite the system clock is the sample; a step of over a second is
    /// logged.
    pub async fn sample(&self) -> Result<()> {
        let (before, database, boot) = match self.db.is_postgres() {
            true => self.ask().await?,
            false => (boot_millis(), wall_millis(), boot_millis()),
        };
        let fresh = Sample { database, boot: before + (boot - before) / 2 };
        if let Ok(mut last) = self.last.lock() {
            if let Some(old) = *last {
                let step = (fresh.database - fresh.boot) - (old.database - old.boot);
                if step.abs() > 1_000 {
                    tracing::warn!(step_ms = step, "the database's clock stepped");
                }
            }
            *last = Some(fresh);
        }
        Ok(())
    }
}

impl DatabaseClock {
    /// What Postgres says, between the boot instants of the question and the answer.
    async fn ask(&self) -> Result<(i64, Millis, i64)> {
        let mut tx = self.db.read().await?;
        tx.answer_within(PATIENCE);
        let before = boot_millis();
        let told = row!(&mut tx, (i64,), "SELECT database_millis()")?;
        let boot = boot_millis();
        tx.commit().await?;
        Ok((before, told.map_or(0, |(millis,)| millis), boot))
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Option<Millis> {
        let sample = (*self.last.lock().ok()?)?;
        let passed = boot_millis() - sample.boot;
        (passed <= STALE).then_some(sample.database + passed)
    }
}
