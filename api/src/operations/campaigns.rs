//! Campaigns: made, read, edited, started, paused, put away.

use crate::refusal::Refusal;
use crate::state::Core;
use crate::work::{Barrier, Work};
use sendwright_queue::Job;
use sendwright_store::campaigns::{self, Campaign, Origin, Profiles, Settings};
use sendwright_store::{Error, Page, Tx, enrolments, sending_profiles as stored};
use sendwright_workflows::campaign::{Change, Policy, State};
use sendwright_workflows::sequence::{Channel, Sequence};
use sendwright_workflows::spec::{CampaignBody, ProfileBody};
use serde_json::json;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{broadcasts, recovery, sending_profiles};

/// How long counting the messages of a list of campaigns may take.
const COUNTING: Duration = Duration::from_secs(2);

/// A campaign with its present steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Full {
    /// The campaign.
    pub campaign: Campaign,
    /// Its steps.
    pub sequence: Sequence,
    /// The name of the template it was made of.
    pub template_name: Option<String>,
    /// The name of the segment it is for.
    pub segment_name: Option<String>,
    /// How many of its messages were handed over, and how many failed for good; none where counting takes too long.
    pub totals: Option<Totals>,
}

/// What became of a campaign's messages, in two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Handed over, whatever came of it.
    pub sent: i64,
    /// Failed for good, or came back.
    pub failed: i64,
}

impl Totals {
    /// Counts messages by state.
    pub fn of(counts: &[(String, i64)]) -> Self {
        let sum = |words: &[&str]| -> i64 {
            counts.iter().filter(|(state, _)| words.contains(&state.as_str())).map(|(_, n)| n).sum()
        };
        Self {
            sent: sum(&["accepted", "delivered", "bounced", "complained", "failed"]),
            failed: sum(&["failed", "bounced"]),
        }
    }
}

/// What a new campaign is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// Running at once, or at its `schedule_time` (S1-13).
    Running,
    /// A draft, until somebody starts it or its `schedule_time` comes.
    Draft,
}

/// Which of a campaign's settings an edit replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of them: what the body leaves out is as in a new campaign.
    Whole,
    /// Name, description and steps, and the profile if one is given: a face that has no word for quiet hours
    /// and limits must not take them away (S1-14).
    Text,
}

/// Makes a campaign.
pub async fn create(work: &mut Work<'_>, body: &CampaignBody, begin: Begin) -> Result<Full, Refusal> {
    let now = work.now();
    check_schedule(body, now)?;
    let id = work.ids("campaigns", 1).await?.start;
    let step_ids = work.ids("steps", body.steps.len()).await?;
    let wanted = Wanted::of(work, body).await?;
    work.begin(Barrier::None).await?;
    let settings = Settings {
        external_id: body.external_id.clone(),
        name: body.name.clone(),
        description: body.description.clone(),
        profiles: wanted.settle(work).await?,
        origin: origin(body),
        policy: body.policy.clone(),
        schedule_at: body.schedule_time,
    };
    broadcasts::hold(work, body.segment_id).await?;
    let state = match (body.schedule_time, begin) {
        (Some(at), _) if at > now => State::Scheduled,
        (None, Begin::Draft) => State::Draft,
        _ => State::Running,
    };
    let account = work.account();
    campaigns::insert(work.tx()?, (account, id), &settings, state, (&body.steps, step_ids), now).await?;
    let full = full(work.tx()?, account, id).await?.ok_or(Refusal::Internal)?;
    work.audit("create", "campaign", Some(id), &json!({ "steps": body.steps.len() }));
    Ok(full)
}

/// Replaces a campaign's settings and all of its steps: a new version, onto which a background pass maps who
/// is under way.
pub async fn replace(
    work: &mut Work<'_>,
    id: i64,
    body: &CampaignBody,
    scope: Scope,
) -> Result<Full, Refusal> {
    let now = work.now();
    check_schedule(body, now)?;
    let step_ids = work.ids("steps", body.steps.len()).await?;
    let wanted = Wanted::of(work, body).await?;
    work.begin(Barrier::Exclusive).await?;
    let account = work.account();
    let before = locked(work.tx()?, account, id).await?;
    let profiles = match (&wanted.email, scope) {
        (Profile::Default, Scope::Text) => {
            Profiles { email: before.profiles.email, ..wanted.settle(work).await? }
        }
        _ => wanted.settle(work).await?,
    };
    let begun = before.policy.starts_at.filter(|_| before.started_at.is_some());
    let mut settings = Settings {
        external_id: body.external_id.clone(),
        name: body.name.clone(),
        description: body.description.clone(),
        profiles,
        origin: origin(body),
        // The first steps of a campaign that has begun are not counted anew.
        policy: Policy {
            starts_at: body.schedule_time.or(begun),
            passed_until: before.policy.passed_until,
            ..body.policy.clone()
        },
        schedule_at: body.schedule_time,
    };
    if scope == Scope::Text {
        settings.external_id = settings.external_id.or_else(|| before.external_id.clone());
        settings.origin = Origin { template: None, ..before.origin };
        (settings.policy, settings.schedule_at) = (before.policy.clone(), before.schedule_at);
    }
    broadcasts::hold(work, settings.origin.segment).await?;
    let steps = (&body.steps[..], step_ids);
    let version = campaigns::replace(work.tx()?, &before, &settings, steps, now).await?;
    let full = full(work.tx()?, account, id).await?.ok_or(Refusal::Internal)?;
    work.audit("update", "campaign", Some(id), &json!({ "version": version, "steps": body.steps.len() }));
    work.hint(Job::Remap { campaign: id });
    Ok(full)
}

/// Starts, resumes or pauses a campaign; doing it again is no error. Nothing is handed over once a pause is
/// answered.
pub async fn change(work: &mut Work<'_>, id: i64, change: Change) -> Result<Campaign, Refusal> {
    let (account, now) = (work.account(), work.now());
    work.begin(if change == Change::Pause { Barrier::Exclusive } else { Barrier::None }).await?;
    let campaign = locked(work.tx()?, account, id).await?;
    let state = campaigns::change(work.tx()?, &campaign, change, now).await?;
    let Some(state) = state else {
        let text = match campaign.state {
            State::Held => format!("the campaign is held: {}", recovery::WAY_OUT),
            state => format!("a campaign that is {} cannot be changed so", state.as_str()),
        };
        return Err(Refusal::Conflict("campaign_state", text));
    };
    let action = if change == Change::Pause { "pause" } else { "start" };
    work.audit(
        action,
        "campaign",
        Some(id),
        &json!({ "from": campaign.state.as_str(), "to": state.as_str() }),
    );
    if change != Change::Pause {
        work.hint(Job::Plan { account });
        campaign.profiles.all().for_each(|(channel, profile)| work.hint(Job::send(channel, profile)));
    }
    Ok(Campaign { state, ..campaign })
}

/// Puts a campaign away. Refused while people are under way in it (S1-51), unless they are stopped with it.
pub async fn archive(work: &mut Work<'_>, id: i64, force: bool) -> Result<Campaign, Refusal> {
    let (account, now) = (work.account(), work.now());
    work.begin(Barrier::Exclusive).await?;
    let tx = work.tx()?;
    let campaign = locked(tx, account, id).await?;
    let mut stopped = 0;
    if enrolments::active(tx, &campaign).await? > 0 {
        if !force {
            let text = "Cannot delete campaign with active leads";
            return Err(Refusal::Conflict("active_leads", text.into()));
        }
        stopped = enrolments::stop_of_campaign(tx, &campaign, "cancelled", now).await?;
    }
    campaigns::change(tx, &campaign, Change::Archive, now).await?;
    work.audit("archive", "campaign", Some(id), &json!({ "stopped": stopped }));
    Ok(Campaign { state: State::Archived, ..campaign })
}

/// One campaign, also one that is put away.
pub async fn get(core: &Core, account: i64, id: i64) -> Result<Full, Refusal> {
    let mut tx = core.store.read().await?;
    let found = full(&mut tx, account, id).await?;
    tx.rollback().await?;
    found.ok_or_else(|| Refusal::no_campaign(id))
}

/// Campaigns in these states with their steps, and how many there are in all.
pub async fn list(
    core: &Core,
    account: i64,
    states: &[State],
    page: Page,
) -> Result<(Vec<Full>, i64), Refusal> {
    let mut tx = core.store.read().await?;
    let found = campaigns::list(&mut tx, account, states, page).await?;
    let versions: Vec<(i64, i64)> = found.iter().map(|c| (c.id, c.version)).collect();
    let mut sequences = campaigns::sequences(&mut tx, account, &versions).await?;
    let ids: Vec<i64> = found.iter().map(|c| c.id).collect();
    let mut names = campaigns::names(&mut tx, account, &ids).await?;
    let total = campaigns::count(&mut tx, account, states).await?;
    tx.rollback().await?;
    let totals = all_totals(core, account, &ids).await?;
    let full = found.into_iter().filter_map(|campaign| {
        let sequence = sequences.remove(&campaign.id)?;
        let (template_name, segment_name) = names.remove(&campaign.id).unwrap_or_default();
        let totals = totals.get(&campaign.id).copied();
        Some(Full { campaign, sequence, template_name, segment_name, totals })
    });
    Ok((full.collect(), total))
}

/// Counts the messages of each of these campaigns, as far as there is time for it.
async fn all_totals(core: &Core, account: i64, ids: &[i64]) -> Result<HashMap<i64, Totals>, Refusal> {
    let (mut totals, until) = (HashMap::new(), Instant::now() + COUNTING);
    for &id in ids {
        let mut tx = core.store.read().await?;
        let counted = async {
            let _deadline = tx.until(until).await?;
            campaigns::counts(&mut tx, account, id).await
        };
        match counted.await {
            Ok(counts) => totals.insert(id, Totals::of(&counts)),
            Err(Error::TooSlow(_)) => break,
            Err(other) => return Err(other.into()),
        };
    }
    Ok(totals)
}

/// How many enrolments and how many messages of a campaign are in each state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// By state.
    pub enrolments: Vec<(String, i64)>,
    /// By state.
    pub messages: Vec<(String, i64)>,
}

/// Counts what a campaign has, from the ledger.
pub async fn counts(core: &Core, account: i64, id: i64) -> Result<Counts, Refusal> {
    let mut tx = core.store.read().await?;
    let enrolments = enrolments::counts(&mut tx, account, id).await?;
    let messages = campaigns::counts(&mut tx, account, id).await?;
    tx.rollback().await?;
    Ok(Counts { enrolments, messages })
}

async fn full(tx: &mut Tx, account: i64, id: i64) -> Result<Option<Full>, Refusal> {
    let Some(campaign) = campaigns::get(tx, account, id).await? else { return Ok(None) };
    let sequence = campaigns::sequence(tx, account, id, campaign.version).await?;
    let (template_name, segment_name) =
        campaigns::names(tx, account, &[id]).await?.remove(&id).unwrap_or_default();
    Ok(Some(Full { campaign, sequence, template_name, segment_name, totals: None }))
}

async fn locked(tx: &mut Tx, account: i64, id: i64) -> Result<Campaign, Refusal> {
    let found = campaigns::lock(tx, account, id).await?.filter(|c| c.state != State::Archived);
    found.ok_or_else(|| Refusal::no_campaign(id))
}

fn origin(body: &CampaignBody) -> Origin {
    Origin { template: body.template_id, segment: body.segment_id, audience: body.audience }
}

fn check_schedule(body: &CampaignBody, now: i64) -> Result<(), Refusal> {
    body.stale_schedule(now).map_or(Ok(()), |fault| Err(Refusal::Invalid(vec![fault])))
}

/// Which profiles a body asks for.
struct Wanted<'b> {
    email: Profile<'b>,
    sms: Option<Phone>,
    whatsapp: Option<Phone>,
}

/// The profile of a phone channel.
enum Phone {
    /// A stored one, by the field that names it.
    Stored(&'static str, i64),
    /// The account's default, or this number's where it has none yet.
    Default(i64),
}

impl<'b> Wanted<'b> {
    async fn of(work: &Work<'_>, body: &'b CampaignBody) -> Result<Self, Refusal> {
        let mut phones = [None, None];
        let channels = [Channel::Sms, Channel::Whatsapp];
        let given = [body.sms_profile_id, body.whatsapp_profile_id];
        for ((phone, channel), given) in phones.iter_mut().zip(channels).zip(given) {
            *phone = match given {
                Some(id) => Some(Phone::Stored(Phone::field(channel), id)),
                None if body.steps.iter().any(|step| step.channel == channel) => {
                    Some(Phone::Default(work.ids("sending_profiles", 1).await?.start))
                }
                None => None,
            };
        }
        let [sms, whatsapp] = phones;
        Ok(Self { email: Profile::of(work, body).await?, sms, whatsapp })
    }

    /// Their numbers, once it is sure that they are the account's.
    async fn settle(&self, work: &mut Work<'_>) -> Result<Profiles, Refusal> {
        let email = self.email.settle(work).await?;
        let (mut sms, mut whatsapp) = (None, None);
        if let Some(phone) = &self.sms {
            sms = Some(phone.settle(work, Channel::Sms).await?);
        }
        if let Some(phone) = &self.whatsapp {
            whatsapp = Some(phone.settle(work, Channel::Whatsapp).await?);
        }
        Ok(Profiles { email, sms, whatsapp })
    }
}

impl Phone {
    fn field(channel: Channel) -> &'static str {
        match channel {
            Channel::Whatsapp => "whatsapp_profile_id",
            _ => "sms_profile_id",
        }
    }

    async fn settle(&self, work: &mut Work<'_>, channel: Channel) -> Result<i64, Refusal> {
        let (account, now) = (work.account(), work.now());
        match *self {
            Phone::Stored(field, id) => sending_profiles::existing(work, (field, id), channel).await,
            Phone::Default(spare) => {
                let tx = work.tx()?;
                Ok(stored::default_or_new(tx, account, channel, spare, now).await?)
            }
        }
    }
}

/// Which profile for e-mail a body asks for.
enum Profile<'b> {
    /// A stored one.
    Stored(i64),
    /// One given inline, under this number.
    Inline(i64, &'b ProfileBody),
    /// The account's default.
    Default,
}

impl<'b> Profile<'b> {
    async fn of(work: &Work<'_>, body: &'b CampaignBody) -> Result<Self, Refusal> {
        Ok(match (body.sending_profile_id, &body.sending_profile) {
            (Some(id), _) => Profile::Stored(id),
            (None, Some(inline)) => Profile::Inline(work.ids("sending_profiles", 1).await?.start, inline),
            (None, None) => Profile::Default,
        })
    }

    /// The profile's number, once it is sure that it is the account's; an inline one is made.
    async fn settle(&self, work: &mut Work<'_>) -> Result<i64, Refusal> {
        match *self {
            Profile::Stored(id) => {
                sending_profiles::existing(work, ("sending_profile_id", id), Channel::Email).await
            }
            Profile::Inline(id, body) => sending_profiles::insert_inline(work, id, body).await,
            Profile::Default => sending_profiles::default_of(work).await,
        }
    }
}
