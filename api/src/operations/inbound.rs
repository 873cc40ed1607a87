//! Mail that comes back: kept as it came and answered once that is committed; a worker understands it.

use crate::refusal::Refusal;
use crate::state::Core;
use crate::work::{Barrier, Work};
use sendwright_queue::Job;
use sendwright_store::Page;
use sendwright_store::inbound::{self, Inbound, NewInbound};
use serde_json::json;
use sha2::{Digest, Sha256};

/// Keeps a message; the same one again is no second. Answers its row and whether it is new.
pub async fn keep(work: &mut Work<'_>, raw: &[u8]) -> Result<(i64, bool), Refusal> {
    let id = work.ids("inbound", 1).await?.start;
    work.begin(Barrier::None).await?;
    let new = NewInbound {
        id,
        account_id: work.account(),
        hash: hex::encode(Sha256::digest(raw)),
        source: "api",
        profile_id: None,
        raw: raw.to_vec(),
        received_at: work.now(),
    };
    let (id, is_new) = inbound::keep(work.tx()?, &new).await?;
    work.audit("receive", "inbound", Some(id), &json!({ "bytes": raw.len(), "new": is_new }));
    work.hint(Job::Inbound { inbound: id });
    Ok((id, is_new))
}

/// One inbound message.
pub async fn get(core: &Core, account: i64, id: i64) -> Result<Inbound, Refusal> {
    let mut tx = core.store.read().await?;
    let found = inbound::get(&mut tx, account, id).await?;
    tx.rollback().await?;
    found.ok_or_else(|| missing(id))
}

/// The words for an inbound message that is not there, or another tenant's.
pub fn missing(face: impl std::fmt::Display) -> Refusal {
    Refusal::NotFound(format!("Inbound message {face} not found"))
}

/// The account's inbound messages, and how many there are.
pub async fn list(core: &Core, account: i64, page: Page) -> Result<(Vec<Inbound>, i64), Refusal> {
    let mut tx = core.store.read().await?;
    let found = inbound::list(&mut tx, account, page).await?;
    let total = inbound::count(&mut tx, account).await?;
    tx.rollback().await?;
    Ok((found, total))
}
