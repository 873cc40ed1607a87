//! What an account used in a period.

use crate::refusal::Refusal;
use crate::state::Core;
use sendwright_store::usage::{self, Endpoint, Period};

/// Most endpoints that are shown.
const MOST: i64 = 1_000;

/// What was used.
#[derive(Debug, Clone)]
pub struct Usage {
    /// All requests, and those answered with an error.
    pub requests: (i64, i64),
    /// By key and endpoint, the busiest first.
    pub endpoints: Vec<Endpoint>,
    /// Messages that a provider took; the account's, whichever key is asked about.
    pub sent: i64,
    /// Tokens that a model read and wrote; the account's.
    pub tokens: (i64, i64),
}

/// Reads it.
pub async fn read(core: &Core, account: i64, period: Period) -> Result<Usage, Refusal> {
    let mut tx = core.store.read().await?;
    let used = Usage {
        requests: usage::totals(&mut tx, account, period).await?,
        endpoints: usage::endpoints(&mut tx, account, period, MOST).await?,
        sent: usage::sent(&mut tx, account, period).await?,
        tokens: usage::tokens(&mut tx, account, period).await?,
    };
    tx.rollback().await?;
    Ok(used)
}
