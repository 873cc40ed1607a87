//! Whose keys requests show. The keys of requests that come together are looked up together, by a look-up that began
//! after the last of them came: a revocation that was answered holds for every request after it, in every process, and
//! nothing is kept.

use crate::grouped::Grouped;
use crate::refusal::Refusal;
use crate::state::Core;
use sendwright_store::keys::{self, Holder};
use std::collections::HashMap;
use std::sync::Arc;

/// Where prefixes are handed in; answers the key that has it. One for a process.
pub type Holders = Grouped<String, Option<Holder>>;

/// A place to hand them in.
pub fn holders() -> Holders {
    Grouped::new(|core, prefixes| Box::pin(find(core, prefixes)))
}

async fn find(core: Core, prefixes: Arc<[String]>) -> Result<Vec<Option<Holder>>, Refusal> {
    let mut tx = core.store.read_promptly().await?;
    let found = keys::find_all(&mut tx, prefixes.iter().map(String::as_str)).await?;
    tx.rollback().await?;
    let by_prefix: HashMap<&str, &Holder> = found.iter().map(|holder| (holder.prefix(), holder)).collect();
    Ok(prefixes.iter().map(|prefix| by_prefix.get(prefix.as_str()).map(|found| (*found).clone())).collect())
}
