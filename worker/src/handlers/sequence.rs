//! The sequence lane: events get their numbers, endpoints their deliveries.

use crate::context::Context;
use sendwright_fail::point;
use sendwright_queue::Job;
use sendwright_store::{Result, sequencer};
use sendwright_workflows::clock::Millis;

/// Most events of an account that one commit numbers.
const BATCH: i64 = 1_000;

/// Numbers a batch of every account's events. Answers how many.
pub async fn pass(ctx: &Context, now: Millis) -> Result<usize> {
    let mut tx = ctx.store.read().await?;
    let accounts = sequencer::accounts_with_unnumbered(&mut tx).await?;
    tx.commit().await?;
    let mut numbered = 0;
    for account in accounts {
        numbered += account_pass(ctx, account, now).await?;
    }
    Ok(numbered)
}

async fn account_pass(ctx: &Context, account: i64, now: Millis) -> Result<usize> {
    let mut tx = ctx.store.read().await?;
    let (events, endpoints) = sequencer::waiting(&mut tx, account, BATCH).await?;
    tx.commit().await?;
    let ids = ctx.store.ids.take("deliveries", (events * endpoints) as usize).await?;
    let mut tx = ctx.store.begin().await?;
    let done = sequencer::number(&mut tx, account, BATCH, ids, now).await?;
    point("numbers-written");
    tx.commit().await?;
    point("numbers-committed");
    if !done.endpoints.is_empty() {
        ctx.bells.deliver.notify_one();
        done.endpoints.into_iter().for_each(|endpoint| ctx.queue.push(Job::Deliver { endpoint }));
    }
    Ok(done.events)
}
