//! What an edit does to the people who are under way: who moves where, which repeats are avoided, and which steps nobody
//! will get. The planner is asked; nothing changes.

use crate::refusal::Refusal;
use crate::state::Core;
use sendwright_store::campaigns::{self, Campaign};
use sendwright_store::simulation::{self, Standing as Row};
use sendwright_store::{Tx, drafts, heads, planning, standings};
use sendwright_workflows::campaign::{Policy, State};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::enrolment::{Action, Means, Person, Reach, Standing, plan};
use sendwright_workflows::reason::Reason;
use sendwright_workflows::sequence::{ByChannel, Sequence};
use sendwright_workflows::spec::CampaignBody;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Up to this many people each is asked for alone; more are asked for by where they stand.
pub const MOST_ALONE: i64 = 5_000;

/// What an edit does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effect {
    /// People under way.
    pub people: i64,
    /// How many go from one next step to another; step 0 is the end of the sequence.
    pub moves: BTreeMap<(u32, u32), i64>,
    /// Steps that somebody is not sent again, because the same text went to them under another number.
    pub repeats_avoided: i64,
    /// Steps of the new version that nobody who is under way will get.
    pub steps_nobody_gets: Vec<u32>,
    /// Messages not yet sent that are discarded and planned anew.
    pub discarded: i64,
    /// People were asked for by where they stand: a text that one of them did not get counts as got.
    pub estimated: bool,
}

/// What replacing a campaign's steps by a body's would do now.
pub async fn of_edit(core: &Core, account: i64, id: i64, body: &CampaignBody) -> Result<Effect, Refusal> {
    let now = core.now()?;
    let mut tx = core.store.snapshot().await?;
    let found = campaigns::get(&mut tx, account, id).await?.filter(|c| c.state != State::Archived);
    let campaign = found.ok_or_else(|| Refusal::no_campaign(id))?;
    let before = campaigns::sequence(&mut tx, account, id, campaign.version).await?;
    let after = Sequence { version: campaign.version + 1, steps: body.steps.clone() };
    let mut edit =
        Edit { before, after, policy: &body.policy, now, effect: Effect::default(), got: BTreeSet::new() };
    let groups = standings::groups(&mut tx, id, campaign.round).await?;
    let people: i64 = groups.iter().map(|(_, n)| n).sum();
    edit.effect.discarded = drafts::count(&mut tx, account, id, (&drafts::UNSENT, false)).await?;
    if people > MOST_ALONE {
        edit.effect.estimated = true;
        for (settled, n) in groups {
            edit.ask_for(settled, edit.prints_up_to(settled), n);
        }
    } else {
        ask_for_each(&mut tx, &campaign, &mut edit).await?;
    }
    tx.rollback().await?;
    Ok(edit.finish())
}

/// Asks for everybody, each with what they got under any version.
async fn ask_for_each(tx: &mut Tx, campaign: &Campaign, edit: &mut Edit<'_>) -> Result<(), Refusal> {
    let rows = simulation::standings(tx, campaign.id, campaign.version, 0, MOST_ALONE).await?;
    let Some(mut head) = heads::head(tx, campaign.id).await? else { return Ok(()) };
    head.version = campaign.version + 1;
    let mut prints: HashMap<i64, String> = HashMap::new();
    for version in 1..=campaign.version {
        let old = campaigns::sequence(tx, campaign.account_id, campaign.id, version).await?;
        prints.extend(old.steps.iter().map(|step| (step.id, step.fingerprint())));
    }
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let mut got: HashMap<i64, Vec<(String, i64)>> = HashMap::new();
    for (contact, message, step) in planning::got(tx, &head, &ids).await? {
        if let Some(print) = prints.get(&step) {
            got.entry(contact).or_default().push((print.clone(), message));
        }
    }
    for row in &rows {
        let mut prints = got.remove(&row.contact_id).unwrap_or_default();
        let settled = settled(row);
        // What is being handed over right now is as good as got.
        if i64::from(settled) > row.settled
            && let Some(step) = edit.before.step(settled)
        {
            prints.push((step.fingerprint(), 0));
        }
        edit.ask_for(settled, prints, 1);
    }
    Ok(())
}

/// The last step that is settled, or will be whatever is edited.
fn settled(row: &Row) -> u32 {
    let is_going = matches!(row.open_state.as_deref(), Some("claimed" | "sending" | "uncertain"));
    row.open_step.filter(|_| is_going).unwrap_or(row.settled) as u32
}

/// An edit being looked at.
struct Edit<'a> {
    before: Sequence,
    after: Sequence,
    policy: &'a Policy,
    now: Millis,
    effect: Effect,
    /// Steps of the new version that somebody will get.
    got: BTreeSet<u32>,
}

impl Edit<'_> {
    fn prints_up_to(&self, settled: u32) -> Vec<(String, i64)> {
        let there = self.before.steps.iter().filter(|step| step.number <= settled && step.active);
        there.map(|step| (step.fingerprint(), 0)).collect()
    }

    /// Asks the planner about `n` people who stand alike, to the end of the new sequence.
    fn ask_for(&mut self, settled: u32, got: Vec<(String, i64)>, n: i64) {
        let person = Person { reach: ByChannel::new(|_| Reach::open()), got, ..Person::default() };
        let mut standing = Standing { settled, base: self.now };
        let mut to = None;
        loop {
            let decision = plan(standing, &self.after, &person, self.policy, Means::EVERYWHERE, self.now);
            match decision.action {
                Action::Complete | Action::Stop => break,
                Action::Skip => {
                    let is_repeat = matches!(decision.reasons.first(), Some(Reason::AlreadySent { .. }));
                    self.effect.repeats_avoided += if is_repeat { n } else { 0 };
                }
                _ => {
                    to = to.or(Some(decision.step));
                    self.got.insert(decision.step);
                }
            }
            standing = Standing { settled: decision.step, base: decision.at };
        }
        let from = self.before.after(settled).map_or(0, |step| step.number);
        self.effect.people += n;
        *self.effect.moves.entry((from, to.unwrap_or(0))).or_default() += n;
    }

    fn finish(self) -> Effect {
        let Edit { after, got, effect, .. } = self;
        let nobody = after.steps.iter().map(|step| step.number).filter(|n| !got.contains(n));
        let steps_nobody_gets = if effect.people > 0 { nobody.collect() } else { Vec::new() };
        Effect { steps_nobody_gets, ..effect }
    }
}
