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
    Kind::parse(&run.kind) == Some(Kind::Generate)
}

/// Ends the runs that have nothing left to do, and those of campaigns that were put away.
pub async fn close(ctx: &Context, now: Millis) -> Result<()> {
    let mut tx = ctx.store.read().await?;
    let mut ending = Vec::new();
    for run in runs::open(&mut tx).await? {
        let Some(kind) = Kind::parse(&run.kind) else {
            ctx.unread.tell("runs", run.id, &format!("no run is a {:?}", run.kind));
            continue;
        };
        let end = end_of(&mut tx, &run, kind, now).await;
        ending.extend(ctx.unread.pass_over("runs", run.id, end)?.map(|(end, counts)| (run, end, counts)));
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

/// How a run ends, if it does, and what it keeps of its counts.
async fn end_of(tx: &mut Tx, run: &Run, kind: Kind, now: Millis) -> Result<Option<(Ended, String)>> {
    let campaign = campaigns::get(tx, run.account_id, run.campaign_id).await?;
    let is_over = |round| kind == Kind::Expand && round != run.round;
    let is_away = campaign.is_none_or(|c| c.state == State::Archived || is_over(c.round));
    let goes_on = match kind {
        Kind::Generate => runs::has_texts_to_write(tx, run).await?,
        Kind::Send => runs::has_more_to_send(tx, run).await?,
        Kind::Expand => true, // It ends itself, with its last window.
    };
    if goes_on && !is_away {
        return Ok(None);
    }
    let end = if is_away { Ended::Cancelled } else { Ended::Completed };
    Ok(Some((end, counts(tx, run, kind, now).await?)))
}

async fn counts(tx: &mut Tx, run: &Run, kind: Kind, now: Millis) -> Result<String> {
    let counts = match kind {
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
