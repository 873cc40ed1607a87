//! What pixels and links tell: kept as it came.

use crate::refusal::Refusal;
use crate::state::Core;
use sendwright_store::hits::{self, Hit};
use sendwright_workflows::tracking::find;

/// A pixel that was loaded, or a link that was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The message it was in.
    pub message: i64,
    /// `open` or `click`.
    pub kind: &'static str,
    /// Where the link led.
    pub url: Option<String>,
    /// `GET` or `HEAD`.
    pub method: String,
    /// What the program calls itself, shortened.
    pub agent: String,
    /// The network it came from.
    pub prefix: String,
}

/// Where a link of a message leads: to what stands under that name in its own text.
pub async fn link(core: &Core, message: i64, link: i64) -> Result<Option<String>, Refusal> {
    let mut tx = core.store.read().await?;
    let body = hits::body(&mut tx, message).await?;
    tx.rollback().await?;
    Ok(body.and_then(|body| find(&body, link)))
}

/// Writes it down.
pub async fn note(core: &Core, seen: Seen) -> Result<(), Refusal> {
    let (id, now) = (core.store.ids.one("hits").await?, core.now()?);
    let hit = Hit {
        id,
        message_id: seen.message,
        kind: seen.kind.to_owned(),
        url: seen.url,
        method: seen.method,
        user_agent: seen.agent,
        address_prefix: seen.prefix,
        at: now,
    };
    let mut tx = core.store.begin().await?;
    hits::keep(&mut tx, &hit).await?;
    tx.commit().await?;
    Ok(())
}
