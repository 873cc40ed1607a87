//! How a sending profile stands, as those who send find it: marked, and told to its account.

use crate::context::Context;
use sendwright_queue::Job;
use sendwright_store::Result;
use sendwright_store::sending_profiles::{self, standing};
use sendwright_workflows::clock::Millis;

/// Moves a profile that stands at `from`, with the reason people read; another state is an event.
pub async fn mark(
    ctx: &Context,
    profile: i64,
    (from, to): (&str, &str),
    until: Option<Millis>,
    why: Option<&str>,
    now: Millis,
) -> Result<()> {
    let event = if from == to { None } else { Some(ctx.store.ids.one("events").await?) };
    let mut tx = ctx.store.begin().await?;
    let marked = sending_profiles::mark(&mut tx, profile, (from, to), until, why, now).await?;
    let stored = match event.filter(|_| marked) {
        Some(_) => sending_profiles::by_id(&mut tx, profile).await?,
        None => None,
    };
    if let (Some(event), Some(stored)) = (event, &stored) {
        standing::tell(&mut tx, event, stored, "worker", now).await?;
    }
    tx.commit().await?;
    if let Some(stored) = stored {
        ctx.queue.push(Job::Sequence { account: stored.account_id });
    }
    Ok(())
}
