//! Runs: whom they are about is taken on piece by piece, and they end when nothing of them is left to do.

use crate::context::Context;
use sendwright_store::runs::{self, Run};
use sendwright_store::{Result, Tx, campaigns};
use sendwright_workflows::campaign::State;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::run::{Ended, Generated, Kind, Sent};
use serde_json::json;

/// People taken on in one transaction.
const BATCH: i64 = 2_000;

/// Takes on the next people of every run of texts. Answers how many runs moved.
pub async fn take_on(ctx: &Context, now: Millis) -> Result<usize> {
    let mut tx = ctx.store.read().await?;
    let open = runs::open(&mut tx).await?;
    tx.commit().await?;
    let mut moved = 0;
    for run in open.iter().filter(|run| is_of_texts(run) && run.reached < run.upto) {
        let mut tx = ctx.store.begin().await?;
        moved += usize::from(runs::take_on(&mut tx, run, BATCH, now).await?);
        tx.commit().await?;
    }
    Ok(moved)
}

fn is_of_texts(run: &Run) -> bool {
    kind(run) == Kind::Generate
}

fn kind(run: &Run) -> Kind {
    Kind::parse(&run.kind).unwrap_or(Kind::Send)
}

/// Ends the runs that have nothing left to do, and those of campaigns that were put away.
pub async fn close(ctx: &Context, now: Millis) -> Result<()> {
    let mut tx = ctx.store.read().await?;
    let mut ending = Vec::new();
    for run in runs::open(&mut tx).await? {
        let campaign = campaigns::get(&mut tx, run.account_id, run.campaign_id).await?;
        let is_over = |round| kind(&run) == Kind::Expand && round != run.round;
        let is_away = campaign.is_none_or(|c| c.state == State::Archived || is_over(c.round));
        let goes_on = match kind(&run) {
            Kind::Generate => runs::has_texts_to_write(&mut tx, &run).await?,
            Kind::Send => runs::has_more_to_send(&mut tx, &run).await?,
            Kind::Expand => true, // It ends itself, with its last window.
        };
        if is_away || !goes_on {
            let counts = counts(&mut tx, &run, now).await?;
            ending.push((run, if is_away { Ended::Cancelled } else { Ended::Completed }, counts));
        }
    }
    tx.commit().await?;
    for (run, end, counts) in ending {
        let mut tx = ctx.store.begin().await?;
        if runs::end(&mut tx, run.id, end.as_str(), &counts, now).await? {
            tracing::info!(run = run.id, state = end.as_str(), "a run ends");
        }
        tx.commit().await?;
    }
    Ok(())
}

/// What a run that ends keeps of its counts.
async fn counts(tx: &mut Tx, run: &Run, now: Millis) -> Result<String> {
    let counts = match kind(run) {
        Kind::Expand => return Ok(run.counts.clone().unwrap_or_default()),
        Kind::Generate => {
            let unplanned = runs::unplanned(tx, run).await?;
            let written = runs::written(tx, run.id).await?;
            json!(Generated::count((run.total, run.already), unplanned, &written))
        }
        Kind::Send => {
            let active = runs::pace(tx, run, now).await?.active;
            json!(Sent::count((run.total, active), &run.before, &runs::states(tx, run).await?))
        }
    };
    Ok(counts.to_string())
}
