//! What a provider says of messages on their way: kept, in groups, for a worker to act on.

use crate::grouped::Grouped;
use crate::refusal::Refusal;
use crate::state::Core;
use sendwright_queue::Job;
use sendwright_store::callbacks::{self, NewCallback};
use std::sync::Arc;

/// Where they are handed in. One for a process.
pub type Callbacks = Grouped<NewCallback>;

/// A place to hand them in.
pub fn intake() -> Callbacks {
    Grouped::new(|core, group| Box::pin(commit(core, group)))
}

async fn commit(core: Core, group: Arc<[NewCallback]>) -> Result<i64, Refusal> {
    let now = core.now()?;
    let first = core.store.ids.take("callbacks", group.len()).await?.start;
    let mut tx = core.store.begin().await?;
    callbacks::keep(&mut tx, first, &group, now).await?;
    tx.commit().await?;
    core.queue.push(Job::Callback { callback: first });
    Ok(first)
}
