//! Messages: read, released, cancelled, explained, and sent as a test.

mod explain;
mod test_send;
mod words;

use super::recovery;
use crate::refusal::Refusal;
use crate::state::Core;
use crate::work::{Barrier, Work};
use sendwright_queue::Job;
use sendwright_store::messages::{self, Attempt, Message, Release, Text};
use sendwright_store::{Page, Tx, campaigns, enrolments, suppressions};
use sendwright_workflows::campaign::{Change, State as CampaignState};
use sendwright_workflows::message::State;
use sendwright_workflows::rate_limit::slot_millis;
use serde_json::json;

pub use explain::{EnrolmentExplained, Explanation, LeadExplained, explain, explain_lead};
pub use sendwright_store::messages::Filter;
pub use test_send::{Recipient, TestBody, test_send};
pub use words::{Told, told};

/// Messages are counted up to this many; a longer list says so by saying this.
pub const MOST_COUNTED: i64 = 100_000;

/// A message with its text and its attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    /// The message.
    pub message: Message,
    /// Its text, once it is written.
    pub text: Option<Text>,
    /// Its hand-overs, in their order.
    pub attempts: Vec<Attempt>,
}

/// The account's messages by number, and how many there are, counted up to [`MOST_COUNTED`].
pub async fn list(
    core: &Core,
    account: i64,
    filter: Filter,
    page: Page,
) -> Result<(Vec<Message>, i64), Refusal> {
    let mut tx = core.store.read().await?;
    let found = messages::list(&mut tx, account, filter, page).await?;
    let total = messages::count(&mut tx, account, filter, MOST_COUNTED).await?;
    tx.rollback().await?;
    Ok((found, total))
}

/// One message.
pub async fn get(core: &Core, account: i64, id: i64) -> Result<Full, Refusal> {
    let mut tx = core.store.read().await?;
    let found = full(&mut tx, account, id).await?;
    tx.rollback().await?;
    found.ok_or_else(|| missing(id))
}

async fn full(tx: &mut Tx, account: i64, id: i64) -> Result<Option<Full>, Refusal> {
    let Some(message) = messages::get(tx, account, id).await? else { return Ok(None) };
    let text = messages::text(tx, id).await?;
    let attempts = messages::attempts(tx, id).await?;
    Ok(Some(Full { message, text, attempts }))
}

/// The words for a message that is not there, or another tenant's.
pub fn missing(face: impl std::fmt::Display) -> Refusal {
    Refusal::NotFound(format!("Message {face} not found"))
}

/// Lets a held or uncertain message go. An uncertain one is sent again with its Message-ID, because a person
/// asked; one without a text is written first.
pub async fn release(work: &mut Work<'_>, id: i64) -> Result<Message, Refusal> {
    let (account, now) = (work.account(), work.now());
    work.begin(Barrier::None).await?;
    let tx = work.tx()?;
    // The campaign is locked before its message (DESIGN, lock order), so it is looked up first.
    let campaign_id = messages::get(tx, account, id).await?.ok_or_else(|| missing(id))?.campaign_id;
    let campaign = match campaign_id {
        0 => None,
        campaign => campaigns::lock(tx, account, campaign).await?,
    };
    let message = messages::lock(tx, account, id).await?.ok_or_else(|| missing(id))?;
    if !message.state().may_release() {
        return Err(conflict(&message, "only a held or an uncertain message can be released"));
    }
    may_go(tx, &message).await?;
    let text = messages::text(tx, id).await?;
    let to = if text.is_some() { State::Drafted } else { State::Scheduled };
    let (mut version, mut profile_id) = (message.version, message.profile_id);
    if let Some(campaign) = &campaign {
        if campaign.state == CampaignState::Archived {
            return Err(conflict(&message, "its campaign is put away, so that nothing of it is sent"));
        }
        if campaign.state == CampaignState::Held {
            return Err(conflict(&message, recovery::WAY_OUT));
        }
        // Everybody may be through by now: the campaign runs again until this message is out.
        campaigns::change(tx, campaign, Change::Reopen, now).await?;
        // An uncertain message outlives edits. The same text goes again, as a part of the present version.
        if message.state() == State::Uncertain {
            let present = campaign.profiles.of(message.channel());
            (version, profile_id) = (campaign.version, present.unwrap_or(profile_id));
        }
    }
    if !messages::release(tx, &message, Release { to, version, profile_id }, now).await? {
        return Err(moved());
    }
    messages::let_go_on(tx, message.enrolment_id, now).await?;
    let released = messages::get(tx, account, id).await?.ok_or(Refusal::Internal)?;
    work.audit(
        "release",
        "message",
        Some(id),
        &json!({ "from": message.state, "to": released.state, "attempts": message.attempts }),
    );
    work.hint(match to {
        State::Drafted => Job::send(message.channel(), profile_id),
        _ => Job::Write { account },
    });
    Ok(released)
}

/// Refuses what the intent would refuse anyway, where a person can still be told.
async fn may_go(tx: &mut Tx, message: &Message) -> Result<(), Refusal> {
    let suppressed =
        suppressions::find(tx, message.account_id, &message.channel, &message.address_hash).await?;
    if let Some(found) = suppressed {
        let text = format!("nothing is sent to this address any more ({}); cancel the message", found.why);
        return Err(Refusal::Conflict("suppressed", text));
    }
    if message.is_step() {
        let of_contact = enrolments::of_contact(tx, message.account_id, message.contact_id).await?;
        let enrolment = of_contact.into_iter().find(|e| e.id == message.enrolment_id);
        match enrolment.as_ref().map(|e| e.state.as_str()) {
            Some("active" | "completed") => {}
            state => {
                let state = state.unwrap_or("gone");
                return Err(conflict(message, &format!("its enrolment is {state}; cancel the message")));
            }
        }
    }
    Ok(())
}

/// Cancels a message that waits. Its enrolment, where it waits for this step, goes on with the next one, whose
/// delay counts from this one's instant.
pub async fn cancel(work: &mut Work<'_>, id: i64) -> Result<Message, Refusal> {
    let (account, now) = (work.account(), work.now());
    work.begin(Barrier::Exclusive).await?;
    let tx = work.tx()?;
    let message = messages::lock(tx, account, id).await?.ok_or_else(|| missing(id))?;
    if !message.state().may_cancel() {
        return Err(conflict(&message, words::way_out(message.state())));
    }
    if !messages::cancel(tx, &message, now).await? {
        return Err(moved());
    }
    // What may have gone out counts from its slot, like every hand-over; what did not, like a skipped step.
    let base = match (message.state(), message.slot) {
        (State::Uncertain, Some(slot)) => slot_millis(slot),
        _ => message.planned_at,
    };
    // Before the campaign has a start there is no instant to count from: the start passes over the step.
    let went_on = message.is_step()
        && message.planned().is_some()
        && messages::pass_over(tx, &message, base, now).await?;
    let cancelled = messages::get(tx, account, id).await?.ok_or(Refusal::Internal)?;
    work.audit("cancel", "message", Some(id), &json!({ "from": message.state, "went_on": went_on }));
    if went_on {
        work.hint(Job::Plan { account });
    }
    Ok(cancelled)
}

fn conflict(message: &Message, why: &str) -> Refusal {
    Refusal::Conflict("message_state", format!("the message is {}: {why}", message.state))
}

fn moved() -> Refusal {
    Refusal::Conflict("message_state", "the message moved in this very moment; look at it again".into())
}
