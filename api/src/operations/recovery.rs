//! After a restored backup: what was held goes on.

use crate::refusal::Refusal;
use crate::work::{Barrier, Work};
use sendwright_queue::Job;
use sendwright_store::campaigns;
use sendwright_store::restored::{self, Released, Terms};
use sendwright_workflows::campaign::State;
use serde_json::json;

/// What to do about a campaign that is held.
pub const WAY_OUT: &str =
    "a backup was restored, and what it sent since is not known; `sendwright recovery release` lets it go on";

/// Releases a campaign that a recovery holds.
pub async fn release(work: &mut Work<'_>, id: i64, terms: Terms) -> Result<Released, Refusal> {
    let (account, now) = (work.account(), work.now());
    let events = events(work, id, terms).await?;
    work.begin(Barrier::Exclusive).await?;
    let tx = work.tx()?;
    let campaign = campaigns::lock(tx, account, id).await?.ok_or_else(|| Refusal::no_campaign(id))?;
    if campaign.state != State::Held {
        let text =
            format!("the campaign is {}: nothing of it is held by a recovery", campaign.state.as_str());
        return Err(Refusal::Conflict("campaign_state", text));
    }
    let released = restored::release(tx, &campaign, terms, events, now).await?;
    work.audit("release", "campaign", Some(id), &told(released, terms));
    work.hint(Job::Plan { account });
    campaign.profiles.all().for_each(|(channel, profile)| work.hint(Job::send(channel, profile)));
    Ok(released)
}

/// Releases the account's test sends.
pub async fn release_tests(work: &mut Work<'_>, terms: Terms) -> Result<Released, Refusal> {
    let (account, now) = (work.account(), work.now());
    let events = events(work, 0, terms).await?;
    work.begin(Barrier::Exclusive).await?;
    let released = restored::release_messages(work.tx()?, account, 0, terms, events, now).await?;
    work.audit("release", "account", Some(account), &told(released, terms));
    work.hint(Job::Write { account });
    Ok(released)
}

/// The numbers of the events that a release tells: nothing of what is held moves in between.
async fn events(work: &Work<'_>, campaign: i64, terms: Terms) -> Result<std::ops::Range<i64>, Refusal> {
    let mut tx = work.store().read().await?;
    let count = restored::doubtful(&mut tx, work.account(), campaign, terms).await?;
    tx.rollback().await?;
    work.ids("events", count).await
}

fn told(released: Released, terms: Terms) -> serde_json::Value {
    let until = match terms {
        Terms::Until(at) => Some(at),
        Terms::All => None,
    };
    json!({ "let_go": released.let_go, "uncertain": released.uncertain, "until": until })
}
