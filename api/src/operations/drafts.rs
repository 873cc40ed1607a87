//! Texts before they go: read, edited, approved, rejected, written again. A text is fixed from the first hand-over on.

use super::messages::{self, missing};
use crate::refusal::Refusal;
use crate::state::Core;
use crate::work::{Barrier, Work};
use sendwright_queue::Job;
use sendwright_store::campaigns::{self, Campaign};
use sendwright_store::drafts::{self, Turn, UNSENT};
use sendwright_store::messages::{Message, Text};
use sendwright_store::writing::Written;
use sendwright_store::{Page, Tx, messages as stored};
use sendwright_workflows::campaign::State as CampaignState;
use sendwright_workflows::message::State;
use sendwright_workflows::reason::Reason;
use sendwright_workflows::spec::DraftBody;
use serde_json::json;

/// Most messages of one list to approve.
pub const MOST_LISTED: usize = 10_000;

/// A message with its text, once it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The message.
    pub message: Message,
    /// Subject, body and writer.
    pub text: Option<(String, String, String)>,
}

impl Draft {
    /// Whether it waits for approval.
    pub fn waits_for_approval(&self) -> bool {
        self.message.state() == State::Held && self.message.reasons().last() == Some(&Reason::Approval)
    }
}

/// Which drafts a list holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shown {
    /// Everything that was not tried yet.
    #[default]
    All,
    /// Messages in one state.
    In(State),
    /// What waits for approval.
    ForApproval,
}

/// A campaign's drafts by number, and how many there are.
pub async fn list(
    core: &Core,
    account: i64,
    campaign: i64,
    shown: Shown,
    page: Page,
) -> Result<(Vec<Draft>, i64), Refusal> {
    let held = [State::Held];
    let (states, for_approval) = match &shown {
        Shown::All => (&UNSENT[..], false),
        Shown::In(state) => (std::slice::from_ref(state), false),
        Shown::ForApproval => (&held[..], true),
    };
    let mut tx = core.store.read().await?;
    let found = campaigns::get(&mut tx, account, campaign).await?;
    found.ok_or_else(|| Refusal::no_campaign(campaign))?;
    let messages = drafts::list(&mut tx, account, campaign, (states, for_approval), page).await?;
    let total = drafts::count(&mut tx, account, campaign, (states, for_approval)).await?;
    let ids: Vec<i64> = messages.iter().map(|m| m.id).collect();
    let texts = drafts::texts(&mut tx, &ids).await?;
    tx.rollback().await?;
    let with_text = |message: Message| {
        let text = texts.iter().find(|(id, ..)| *id == message.id);
        let text = text.map(|(_, subject, body, writer)| (subject.clone(), body.clone(), writer.clone()));
        Draft { message, text }
    };
    Ok((messages.into_iter().map(with_text).collect(), total))
}

/// One draft, also one whose hand-over has begun.
pub async fn get(core: &Core, account: i64, id: i64) -> Result<Draft, Refusal> {
    let mut tx = core.store.read().await?;
    let found = read(&mut tx, account, id).await?;
    tx.rollback().await?;
    found.filter(|draft| draft.message.is_step()).ok_or_else(|| missing(id))
}

async fn read(tx: &mut Tx, account: i64, id: i64) -> Result<Option<Draft>, Refusal> {
    let Some(message) = stored::get(tx, account, id).await? else { return Ok(None) };
    let text = stored::text(tx, id).await?.map(|Text { subject, body, writer, .. }| (subject, body, writer));
    Ok(Some(Draft { message, text }))
}

/// Replaces a text by hand. Where texts are approved, this one is to be approved again.
pub async fn edit(work: &mut Work<'_>, id: i64, edit: &DraftBody) -> Result<Draft, Refusal> {
    work.begin(Barrier::None).await?;
    let (account, now) = (work.account(), work.now());
    let (campaign, draft) = open(work, id).await?;
    let (subject, body) = match (&draft.text, &edit.subject, &edit.body) {
        (_, Some(subject), Some(body)) => (subject.clone(), body.clone()),
        (Some((subject, _, _)), None, Some(body)) => (subject.clone(), body.clone()),
        (Some((_, body, _)), Some(subject), None) => (subject.clone(), body.clone()),
        (None, ..) => {
            let name = if edit.subject.is_none() { "subject" } else { "body" };
            let text = "is required: the text is not written yet, so that both are needed";
            return Err(Refusal::field(name, "required", text));
        }
        (Some(_), None, None) => return Err(Refusal::field("body", "required", "is required")),
    };
    let turn = after_writing(&draft.message, &campaign);
    let tx = work.tx()?;
    if !drafts::turn(tx, &draft.message, &turn, now).await? {
        return Err(moved());
    }
    let text = Written { subject, body, writer: "hand", writing: "{}".into(), enclosed: None };
    drafts::write(tx, (id, account), &text, now).await?;
    let edited = read(tx, account, id).await?.ok_or(Refusal::Internal)?;
    work.audit(
        "edit",
        "draft",
        Some(id),
        &json!({ "from": draft.message.state, "to": edited.message.state }),
    );
    work.hint(Job::send(edited.message.channel(), edited.message.profile_id));
    Ok(edited)
}

/// Where a message goes that has a text now: to its approval, or on its way. What holds it for another reason
/// than its text goes on holding it.
fn after_writing(message: &Message, campaign: &Campaign) -> Turn {
    let keeps = is_held_otherwise(message);
    let mut reasons = message.reasons();
    reasons.retain(|reason| !is_of_text(reason));
    let to = match (keeps, campaign.policy.requires_approval) {
        (true, _) => State::Held,
        (false, true) => {
            reasons.push(Reason::Approval);
            State::Held
        }
        (false, false) => State::Drafted,
    };
    Turn { to, reasons: json!(reasons).to_string(), approved: false, write: false }
}

/// Whether a reason is about the text and nothing else. A cap that put the text off has moved the instant as well.
fn is_of_text(reason: &Reason) -> bool {
    use Reason::{Approval, MissingVariable, NoModel, SpendCap, WritingFailed};
    matches!(
        reason,
        Approval | NoModel | SpendCap { until: None } | WritingFailed { .. } | MissingVariable { .. }
    )
}

fn is_held_otherwise(message: &Message) -> bool {
    message.state() == State::Held && !message.reasons().last().is_some_and(is_of_text)
}

/// Lets a text go that waits for approval; one that needs none is left as it is.
pub async fn approve(work: &mut Work<'_>, id: i64) -> Result<Draft, Refusal> {
    work.begin(Barrier::None).await?;
    let (account, now) = (work.account(), work.now());
    let (campaign, draft) = open(work, id).await?;
    if draft.text.is_none() {
        return Err(conflict(&draft.message, "there is no text to approve yet"));
    }
    let tx = work.tx()?;
    let approved = drafts::approve(tx, account, campaign.id, Some(&[id]), now).await?;
    if approved.is_empty() && draft.message.state() != State::Drafted {
        return Err(conflict(
            &draft.message,
            "it does not wait for approval; its reasons say what it waits for",
        ));
    }
    let after = read(tx, account, id).await?.ok_or(Refusal::Internal)?;
    work.audit("approve", "draft", Some(id), &json!({ "approved": approved.len() }));
    work.hint(Job::send(after.message.channel(), after.message.profile_id));
    Ok(after)
}

/// Approves a campaign's texts, all that wait or a list. The list's ids that do not wait come back by place.
pub async fn approve_many(
    work: &mut Work<'_>,
    campaign: i64,
    only: Option<&[i64]>,
) -> Result<(usize, Vec<usize>), Refusal> {
    if only.is_some_and(|ids| ids.is_empty() || ids.len() > MOST_LISTED) {
        let text = format!("must hold 1 to {MOST_LISTED} ids; leave it out to approve all");
        return Err(Refusal::field("ids", "too_many_items", text));
    }
    work.begin(Barrier::None).await?;
    let (account, now) = (work.account(), work.now());
    let tx = work.tx()?;
    let found = campaigns::get(tx, account, campaign).await?.filter(|c| c.state != CampaignState::Archived);
    let found = found.ok_or_else(|| Refusal::no_campaign(campaign))?;
    let approved = drafts::approve(tx, account, campaign, only, now).await?;
    let ids = only.unwrap_or_default();
    let others = (0..ids.len()).filter(|&place| !approved.contains(&ids[place])).collect();
    work.audit("approve", "campaign", Some(campaign), &json!({ "approved": approved.len() }));
    found.profiles.all().for_each(|(channel, profile)| work.hint(Job::send(channel, profile)));
    Ok((approved.len(), others))
}

/// Never sends this text: its message is cancelled, and its sequence goes on with the next step.
pub async fn reject(work: &mut Work<'_>, id: i64) -> Result<Draft, Refusal> {
    let core = work.core();
    let draft = get(core, work.account(), id).await?;
    if draft.message.attempts > 0 || !UNSENT.contains(&draft.message.state()) {
        return Err(fixed(&draft.message));
    }
    let message = messages::cancel(work, id).await?;
    work.audit("reject", "draft", Some(id), &json!({ "from": draft.message.state }));
    Ok(Draft { message, ..draft })
}

/// Has the text written anew, at once; until then the message is not sent.
pub async fn regenerate(work: &mut Work<'_>, id: i64) -> Result<Draft, Refusal> {
    work.begin(Barrier::None).await?;
    let (account, now) = (work.account(), work.now());
    let (_, draft) = open(work, id).await?;
    if is_held_otherwise(&draft.message) {
        return Err(conflict(&draft.message, "another text would not let it go; its reasons say what would"));
    }
    let mut reasons = draft.message.reasons();
    reasons.retain(|reason| !is_of_text(reason));
    let reasons = json!(reasons).to_string();
    let turn = Turn { to: State::Scheduled, reasons, approved: false, write: true };
    let tx = work.tx()?;
    if !drafts::turn(tx, &draft.message, &turn, now).await? {
        return Err(moved());
    }
    let after = read(tx, account, id).await?.ok_or(Refusal::Internal)?;
    work.audit("regenerate", "draft", Some(id), &json!({ "from": draft.message.state }));
    work.hint(Job::Write { account });
    Ok(after)
}

/// A draft that may still be changed, locked, with its campaign, which is locked before it (DESIGN, lock order).
async fn open(work: &mut Work<'_>, id: i64) -> Result<(Campaign, Draft), Refusal> {
    let account = work.account();
    let tx = work.tx()?;
    let found = stored::get(tx, account, id).await?.filter(Message::is_step).ok_or_else(|| missing(id))?;
    let campaign = campaigns::lock(tx, account, found.campaign_id).await?.ok_or_else(|| missing(id))?;
    stored::lock(tx, account, id).await?;
    let draft = read(tx, account, id).await?.ok_or_else(|| missing(id))?;
    if draft.message.attempts > 0 || !UNSENT.contains(&draft.message.state()) {
        return Err(fixed(&draft.message));
    }
    if campaign.state == CampaignState::Archived {
        return Err(conflict(&draft.message, "its campaign is put away, so that nothing of it is sent"));
    }
    if draft.message.version != campaign.version {
        return Err(conflict(
            &draft.message,
            "the campaign was edited; the text is discarded and written anew",
        ));
    }
    Ok((campaign, draft))
}

fn fixed(message: &Message) -> Refusal {
    conflict(message, "a text is fixed from the first hand-over on, and once it is cancelled")
}

fn conflict(message: &Message, why: &str) -> Refusal {
    Refusal::Conflict("draft_state", format!("the message is {}: {why}", message.state))
}

fn moved() -> Refusal {
    Refusal::Conflict("draft_state", "the message moved in this very moment; look at it again".into())
}
