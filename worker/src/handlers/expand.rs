//! Expansions: segments are looked at window by window, and who is in them is enrolled.

use crate::context::Context;
use sendwright_store::runs::{self, Run};
use sendwright_store::{Result, campaigns, expansions, segments};
use sendwright_workflows::campaign::State;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::run::Kind;

/// Begins what is owed, and goes one window on with every run. Answers how many moved.
pub async fn pass(ctx: &Context, now: Millis) -> Result<usize> {
    let mut tx = ctx.store.read().await?;
    let owed = expansions::owed(&mut tx).await?;
    let open = runs::open(&mut tx).await?;
    tx.commit().await?;
    let mut moved = 0;
    for (account, campaign) in owed {
        moved += usize::from(begin(ctx, account, campaign, now).await?);
    }
    for run in open.into_iter().filter(|run| Kind::parse(&run.kind) == Some(Kind::Expand)) {
        moved += usize::from(match run.next_at {
            Some(at) if at > now => false,
            Some(_) => {
                let mut tx = ctx.store.begin().await?;
                let woken = expansions::wake(&mut tx, &run).await?;
                tx.commit().await?;
                woken
            }
            None => go_on(ctx, &run, now).await?,
        });
    }
    Ok(moved)
}

/// Begins the run of a campaign that was not triggered: its `schedule_time` came, or somebody started it.
async fn begin(ctx: &Context, account: i64, campaign: i64, now: Millis) -> Result<bool> {
    let id = ctx.store.ids.one("runs").await?;
    let mut tx = ctx.store.begin().await?;
    let found = campaigns::lock(&mut tx, account, campaign).await?.filter(|c| c.state == State::Running);
    let Some(campaign) = found else { return Ok(false) };
    if expansions::has_begun(&mut tx, &campaign).await? {
        return Ok(false);
    }
    let segment = campaign.origin.segment.unwrap_or_default();
    let Some(segment) = segments::get(&mut tx, account, segment).await? else { return Ok(false) };
    expansions::begin(&mut tx, (&campaign, &segment), (id, segment.size), now).await?;
    tx.commit().await?;
    tracing::info!(campaign = campaign.id, run = id, "a segment is enrolled");
    Ok(true)
}

async fn go_on(ctx: &Context, run: &Run, now: Millis) -> Result<bool> {
    let mut tx = ctx.store.read().await?;
    let found = campaigns::get(&mut tx, run.account_id, run.campaign_id).await?;
    let Some(campaign) = found.filter(|campaign| campaign.state != State::Archived) else {
        return Ok(false); // The sweep ends its run.
    };
    let look = expansions::look(&mut tx, &campaign, run, now).await?;
    tx.commit().await?;
    let enrolments = ctx.store.ids.take("enrolments", look.reachable()).await?;
    let told = ctx.store.ids.take("events", look.reachable()).await?;
    let mut tx = ctx.store.begin().await?;
    // Held: no edit, pause or completion of it commits before this does.
    let Some(campaign) = campaigns::hold(&mut tx, run.account_id, run.campaign_id).await? else {
        return Ok(false);
    };
    let taken = expansions::take(&mut tx, &campaign, (run, &look), (enrolments, told), now).await?;
    tx.commit().await?;
    Ok(taken)
}
