//! Events of callers' own, committed in groups.

use crate::grouped::Grouped;
use crate::refusal::Refusal;
use crate::state::Core;
use sendwright_queue::Job;
use sendwright_store::events;
use serde_json::json;
use std::sync::Arc;

/// An event of a caller's own.
pub struct Own {
    /// Whose it is.
    pub account: i64,
    /// Its name.
    pub kind: String,
    /// A JSON object, as its text stands.
    pub data: String,
}

/// Where they are handed in. One for a process.
pub type Intake = Grouped<Own>;

/// A place to hand them in.
pub fn intake() -> Intake {
    Grouped::new(|core, group| Box::pin(commit(core, group)))
}

/// The first row of the group; the others follow.
async fn commit(core: Core, group: Arc<[Own]>) -> Result<i64, Refusal> {
    let now = core.now()?;
    let first = core.store.ids.take("events", group.len()).await?.start;
    let rows: Vec<_> =
        (first..).zip(&*group).map(|(id, one)| json!([id, one.account, one.kind, one.data])).collect();
    let mut tx = core.store.begin().await?;
    events::insert_own(&mut tx, &rows, now).await?;
    tx.commit().await?;
    let mut accounts: Vec<i64> = group.iter().map(|one| one.account).collect();
    accounts.dedup();
    accounts.into_iter().for_each(|account| core.queue.push(Job::Sequence { account }));
    Ok(first)
}
