//! The sweep: what does the store say is due? Every pass is idempotent, so any number of schedulers is harmless.

use crate::context::Context;
use crate::handlers::run;
use sendwright_queue::Job;
use sendwright_store::{Result, claims, deliveries, due, mapping, planning, sequencer, writing};
use sendwright_workflows::clock::Millis;

/// One pass: starts what is scheduled, maps what was edited, completes what is through, and offers due rows.
pub async fn pass(ctx: &Context, now: Millis) -> Result<()> {
    start_scheduled(ctx, now).await?;
    map_edited(ctx, now).await?;
    complete(ctx, now).await?;
    run::close(ctx, now).await?;
    offer(ctx, now).await
}

async fn start_scheduled(ctx: &Context, now: Millis) -> Result<()> {
    let mut tx = ctx.store.begin().await?;
    let started = due::start_scheduled(&mut tx, now).await?;
    tx.commit().await?;
    if started > 0 {
        tracing::info!(started, "scheduled campaigns begin");
    }
    Ok(())
}

/// Maps campaigns after a live edit: the plan lane's own work, offered to it by hints and by this pass.
pub async fn map_edited(ctx: &Context, now: Millis) -> Result<()> {
    let mut tx = ctx.store.read().await?;
    let owed = mapping::owed(&mut tx).await?;
    tx.commit().await?;
    for campaign in owed {
        let done = map(ctx, campaign, now).await;
        ctx.unread.pass_over("campaigns", campaign, done)?;
    }
    Ok(())
}

async fn map(ctx: &Context, campaign: i64, now: Millis) -> Result<()> {
    let mut tx = ctx.store.begin().await?;
    let mapped = mapping::map(&mut tx, campaign, now).await?;
    tx.commit().await?;
    tracing::info!(campaign, mapped, "a live edit is mapped");
    Ok(())
}

async fn complete(ctx: &Context, now: Millis) -> Result<()> {
    let mut tx = ctx.store.read().await?;
    let through = due::campaigns_through(&mut tx).await?;
    tx.commit().await?;
    for campaign in through {
        let event = ctx.store.ids.one("events").await?;
        let mut tx = ctx.store.begin().await?;
        let completed = due::complete(&mut tx, campaign, event, now).await?;
        tx.commit().await?;
        if completed {
            tracing::info!(campaign, "campaign completed");
        }
    }
    Ok(())
}

async fn offer(ctx: &Context, now: Millis) -> Result<()> {
    let mut tx = ctx.store.read().await?;
    let mut jobs: Vec<Job> = Vec::new();
    let campaigns = planning::campaigns_with_due(&mut tx, now).await?;
    let mut accounts: Vec<i64> = campaigns.into_iter().map(|(account, _)| account).collect();
    accounts.dedup();
    jobs.extend(accounts.into_iter().map(|account| Job::Plan { account }));
    let unwritten = writing::accounts_with_unwritten(&mut tx, now + ctx.settings.write_ahead, now).await?;
    jobs.extend(unwritten.into_iter().map(|account| Job::Write { account }));
    let profiles = claims::profiles_with_due(&mut tx, now).await?;
    jobs.extend(profiles.into_iter().map(|due| Job::send(due.channel(), due.profile)));
    let unnumbered = sequencer::accounts_with_unnumbered(&mut tx).await?;
    jobs.extend(unnumbered.into_iter().map(|account| Job::Sequence { account }));
    let endpoints = deliveries::endpoints_with_due(&mut tx, now).await?;
    jobs.extend(endpoints.into_iter().map(|endpoint| Job::Deliver { endpoint }));
    tx.commit().await?;
    jobs.into_iter().for_each(|job| ctx.queue.push(job));
    Ok(())
}
