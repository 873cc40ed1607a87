//! What a text may cost is taken before a model is asked, and what it did cost is settled after: an account's spend cap
//! is never passed.

use crate::ai::{Draft, Tokens, WriteError};
use crate::context::Context;
use sendwright_store::Result;
use sendwright_store::spending::{self, Reserve};
use sendwright_store::writing::Unwritten;
use sendwright_workflows::clock::Millis;
use std::time::Duration;
use tokio::time::Instant;

/// How long a text waits for what other texts have reserved: longer than any of them is written.
const PATIENCE: Duration = Duration::from_secs(150);
/// The pause before it asks again.
const PAUSE: Duration = Duration::from_millis(100);

/// The reserve of one text. One that is never settled (a crash) counts as spent when the text is asked for again.
pub struct Purse {
    account: i64,
    message: i64,
    most: Tokens,
}

impl Purse {
    /// Takes the most that a text can cost; `Err` where that would pass the cap, with the instant at which the next
    /// period begins where that helps.
    pub async fn open(
        ctx: &Context,
        message: &Unwritten,
        most: Tokens,
        now: Millis,
    ) -> Result<std::result::Result<Self, Option<Millis>>> {
        let purse = Self { account: message.account_id, message: message.id, most };
        let amount = purse.cost(ctx, most);
        if amount == 0 {
            return Ok(Ok(purse));
        }
        let begun = Instant::now();
        loop {
            let mut tx = ctx.store.begin().await?;
            let reserve = spending::reserve(&mut tx, purse.account, purse.message, amount, now).await?;
            tx.commit().await?;
            match reserve {
                Reserve::Taken => return Ok(Ok(purse)),
                Reserve::Later { .. } if begun.elapsed() < PATIENCE => tokio::time::sleep(PAUSE).await,
                Reserve::Later { until } | Reserve::Over { until } => return Ok(Err(until)),
            }
        }
    }

    /// Settles what was spent. A server that does not count its tokens is taken to have spent the most.
    pub async fn settle(
        self,
        ctx: &Context,
        answer: &std::result::Result<Draft, WriteError>,
        now: Millis,
    ) -> Result<()> {
        if self.cost(ctx, self.most) == 0 {
            return Ok(());
        }
        let uncounted = |tokens: &Tokens| if *tokens == Tokens::default() { self.most } else { *tokens };
        let spent = match answer {
            Ok(draft) => uncounted(&draft.tokens),
            Err(WriteError::Refused { tokens, .. }) => uncounted(tokens),
            Err(WriteError::Retry { tokens, .. }) => *tokens,
            Err(WriteError::Unavailable { .. }) => Tokens::default(),
        };
        let mut tx = ctx.store.begin().await?;
        spending::settle(&mut tx, self.account, self.message, self.cost(ctx, spent), now).await?;
        tx.commit().await
    }

    fn cost(&self, ctx: &Context, tokens: Tokens) -> i64 {
        ctx.settings.prices.cost(tokens.prompt, tokens.completion)
    }
}
