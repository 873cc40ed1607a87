//! The tokens of Twilio accounts that profiles have of their own, kept for a moment: a burst of callbacks is not a burst of
//! questions to the database.

use crate::refusal::Refusal;
use crate::state::Core;
use sendwright_store::sending_profiles::{self, Line};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long they are kept: a token that is changed is heard of so much later.
const KEPT: Duration = Duration::from_secs(2);
/// Most Twilio accounts that are kept; anybody can invent one.
const MOST: usize = 1_000;

/// A profile with the token of its Twilio account.
#[derive(Clone)]
pub struct Voucher {
    /// The profile.
    pub line: Line,
    /// The token.
    pub token: Arc<str>,
}

type Known = HashMap<String, (Instant, Arc<[Voucher]>)>;

/// The tokens that this process has seen lately.
#[derive(Clone, Default)]
pub struct Tokens(Arc<Mutex<Known>>);

impl Tokens {
    /// The profiles that have this Twilio account of their own, with their tokens.
    pub async fn of(&self, core: &Core, account_sid: &str) -> Result<Arc<[Voucher]>, Refusal> {
        // Held while the database is asked: whoever comes meanwhile has the same question.
        let mut known = self.0.lock().await;
        if let Some((at, found)) = known.get(account_sid)
            && at.elapsed() < KEPT
        {
            return Ok(found.clone());
        }
        let found: Arc<[Voucher]> = read(core, account_sid).await?.into();
        known.retain(|_, (at, _)| at.elapsed() < KEPT);
        if known.len() < MOST {
            known.insert(account_sid.to_owned(), (Instant::now(), found.clone()));
        }
        Ok(found)
    }
}

async fn read(core: &Core, account_sid: &str) -> Result<Vec<Voucher>, Refusal> {
    let mut tx = core.store.read().await?;
    let lines = sending_profiles::of_twilio(&mut tx, account_sid).await?;
    tx.rollback().await?;
    let voucher = |line: Line| {
        let token =
            core.seals.open(sending_profiles::TWILIO, line.id, line.twilio_sealed.as_deref()?).ok()?;
        Some(Voucher { token: token.into(), line: Line { twilio_sealed: None, ..line } })
    };
    Ok(lines.into_iter().filter_map(voucher).collect())
}
