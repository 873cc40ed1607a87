//! The texts that a worker has in hand: each is written beside the others, and none waits for another's model.

use super::write;
use crate::context::Context;
use crate::in_hand::Held;
use sendwright_store::Result;
use sendwright_store::writing::{self, Unwritten};
use sendwright_workflows::clock::Millis;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::task::{Id, JoinError, JoinSet};

/// Most texts of one account in hand, for each that may be written at once: whoever is done finds the next one claimed.
const IN_HAND: usize = 4;
/// Most texts in hand, as many as so many accounts have.
const ACCOUNTS: usize = 8;

/// What is being written.
#[derive(Default)]
pub struct Texts {
    under_way: JoinSet<()>,
    /// Whose each is.
    accounts: HashMap<Id, i64>,
    /// Whose were claimed last: the next in turn comes after it.
    last: i64,
}

impl Texts {
    /// Claims and begins texts that are wanted soon, as far as there is room for them, of every account in turn; how many.
    pub async fn fill(&mut self, ctx: &Arc<Context>, now: Millis) -> Result<usize> {
        let until = now + ctx.settings.write_ahead;
        let mut tx = ctx.store.read().await?;
        let mut accounts = writing::accounts_with_unwritten(&mut tx, until, now).await?;
        tx.commit().await?;
        let next = accounts.partition_point(|account| *account <= self.last);
        accounts.rotate_left(next);
        let (before, at_once) = (self.under_way.len(), ctx.writing.per_account());
        for account in accounts {
            let in_hand = self.accounts.values().filter(|of| **of == account).count();
            let left = (ACCOUNTS * IN_HAND * at_once).saturating_sub(self.under_way.len());
            let room = (IN_HAND * at_once).saturating_sub(in_hand).min(left);
            // A claim is a commit: for fewer it is not worth one.
            if room < at_once {
                continue;
            }
            self.last = account;
            for (held, message) in claim(ctx, account, room, until, now).await? {
                self.begin(ctx, held, message, now);
            }
        }
        Ok(self.under_way.len() - before)
    }

    fn begin(&mut self, ctx: &Arc<Context>, held: Held, message: Unwritten, now: Millis) {
        let (account, ctx) = (message.account_id, ctx.clone());
        let text = self.under_way.spawn(async move {
            let id = message.id;
            if let Err(error) = write(&ctx, message, now).await {
                tracing::warn!(%error, message = id, "a text could not be kept; it is claimed again");
            }
            drop(held);
        });
        self.accounts.insert(text.id(), account);
    }

    /// Waits until some of what is in hand has ended; `false` where nothing is.
    pub async fn ended(&mut self) -> bool {
        let mut next = self.under_way.join_next_with_id().await;
        let was_any = next.is_some();
        while let Some(ended) = next {
            self.accounts.remove(&ended.map_or_else(panicked, |(id, ())| id));
            next = self.under_way.try_join_next_with_id();
        }
        was_any
    }
}

/// Its text is nobody's any more, and is claimed again after the next look at what is in hand.
fn panicked(error: JoinError) -> Id {
    metrics::counter!("sendwright_panics", "lane" => "write").increment(1);
    tracing::error!(%error, "the writing of a text panicked");
    error.id()
}

async fn claim(
    ctx: &Context,
    account: i64,
    most: usize,
    until: Millis,
    now: Millis,
) -> Result<Vec<(Held, Unwritten)>> {
    let (worker, most) = (ctx.life.id(), most as i64);
    let mut tx = ctx.store.begin().await?;
    let mut claimed = writing::claim(&mut tx, account, worker, until, most, now).await?;
    let room = most - claimed.len() as i64;
    if room > 0 {
        // What is wanted soon comes before what a run wants ahead of its time.
        claimed.extend(writing::claim_early(&mut tx, account, worker, room, now).await?);
    }
    let held = claimed.into_iter().map(|message| (ctx.in_hand.take(message.id), message)).collect();
    tx.commit().await?;
    Ok(held)
}
