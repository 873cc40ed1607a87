//! Requests without a key: those of the person in front of this machine, whose data directory it is (C-10).

use super::limits::{Class, Counted};
use super::{Caller, Refused, actor};
use crate::console;
use crate::operations::keys::Rights;
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::state::ApiState;
use axum::http::{Extensions, HeaderMap, header};
use sendwright_store::accounts::{self, Account};
use sendwright_store::users::{self, User};
use sendwright_store::{Result, Tx, tiers};

/// The tier of whoever has no key.
const TIER: &str = "keyless";

/// Whether a request is let in without a key: it shows none at all, no web site sent it, and it came by this machine's
/// own name, where `up` listens on loopback alone.
pub fn is_open(state: &ApiState, class: Class, headers: &HeaderMap) -> bool {
    let shows_a_key = headers.contains_key("x-api-key") || headers.contains_key(header::AUTHORIZATION);
    class != Class::External && !shows_a_key && console::is_at_home(state, headers)
}

/// The owner of the only account, the call counted under its address.
pub async fn enter(
    state: &ApiState,
    extensions: &Extensions,
) -> std::result::Result<(Caller, Option<Counted>), Refused> {
    let read = async {
        let mut tx = state.core.store.read().await?;
        let found = (tiers::get(&mut tx, TIER).await?, owner(&mut tx).await?);
        tx.rollback().await?;
        Ok::<_, sendwright_store::Error>(found)
    };
    let (tier, owner) = read.await.map_err(|error| (error.into(), None))?;
    let who = format!("address:{}", Peer::of(extensions).0);
    // S2 has one limit for an address, whatever it asks for (S2-43).
    let counted = Counted::by_tier(state, &tier.unwrap_or_default(), Class::Native, &who).await?;
    let refusal = match (counted.as_ref().and_then(Counted::refused), &owner) {
        (Some(refusal), _) => refusal,
        (None, None) => Refusal::WhichAccount,
        (None, Some((account, user))) if !account.active || !user.active => Refusal::Inactive,
        (None, Some((account, user))) => {
            let actor = actor(extensions, account.id, "owner".into());
            return Ok((Caller { actor, user_email: user.email.clone(), rights: Rights::all() }, counted));
        }
    };
    Err((refusal, counted))
}

/// The only account and its first user.
async fn owner(tx: &mut Tx) -> Result<Option<(Account, User)>> {
    let Some(account) = accounts::only(tx).await? else { return Ok(None) };
    let first = users::list(tx, account.id, 0, 1).await?.pop();
    Ok(first.map(|user| (account, user)))
}
