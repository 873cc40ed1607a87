//! The ledger of events: read behind a number, and added to by the caller's own.

mod intake;

pub use intake::{Intake, Own, intake};

use crate::refusal::Refusal;
use crate::state::Core;
use crate::work::{Barrier, Work};
use sendwright_queue::Job;
use sendwright_store::events::{self, Content};
use serde_json::json;

/// How many numbers one look passes over at most: a rare kind is sought in several.
const LOOK: i64 = 10_000;

/// A part of the ledger.
pub struct Ledger {
    /// Events in the order of their numbers.
    pub events: Vec<Content>,
    /// Ask on behind this number.
    pub next_after: i64,
    /// The number of the account's last event.
    pub last: i64,
}

/// The account's events numbered above `after`, of these stored kinds or of all.
pub async fn list(
    core: &Core,
    account: i64,
    after: i64,
    kinds: Option<&[&str]>,
    limit: i64,
) -> Result<Ledger, Refusal> {
    let mut tx = core.store.read().await?;
    // Read first: everything up to it is there to be seen.
    let last = events::last_sequence(&mut tx, account).await?;
    let until = last.min(after.saturating_add(LOOK));
    let found = events::between(&mut tx, account, (after, until), kinds, limit).await?;
    tx.rollback().await?;
    let is_full = found.len() as i64 == limit;
    let next = found.last().and_then(|event| event.sequence).filter(|_| is_full).unwrap_or(until);
    Ok(Ledger { events: found, next_after: next.max(after), last })
}

/// Adds an event of the caller's own. Its row is the record of it: it has no line in the audit.
pub async fn create(work: &mut Work<'_>, kind: &str, data: &str) -> Result<i64, Refusal> {
    let id = work.ids("events", 1).await?.start;
    work.begin(Barrier::None).await?;
    let (account, now) = (work.account(), work.now());
    events::insert_own(work.tx()?, &[json!([id, account, kind, data])], now).await?;
    work.hint(Job::Sequence { account });
    Ok(id)
}
