//! Histories of the rules, played on the real store: after every act it stands where the store in memory stands, on which
//! hundreds of thousands are played a minute (`histories`). `SENDWRIGHT_HISTORIES=1000` plays so many.

use crate::support::engine::{BOTH, Lead, On, World};
use crate::support::protocol::{dies, intend, opt_out, yes};
use sendwright_histories::memory::Memory;
use sendwright_histories::rows::Outcome;
use sendwright_histories::scene::WORKERS;
use sendwright_histories::{Act, History, Stage};
use sendwright_store::claims::{self, Claimed, Way};
use sendwright_store::intents::{self, Verdict};
use sendwright_store::messages::{self, Release};
use sendwright_worker::channels::{Outcome as Said, Refusal, Stage as At};
use sendwright_worker::context::Context;
use sendwright_worker::handlers::plan;
use sendwright_worker::{recorder, verdict};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::message::State;
use sendwright_workflows::outcome::End;
use sendwright_workflows::reason::Reason;
use sendwright_workflows::sequence::Channel;
use sendwright_workflows::zone::Zone;
use std::sync::Arc;

/// The real store, its workers, and what each of them holds.
struct Theatre {
    world: World,
    profile: i64,
    enrolments: Vec<i64>,
    workers: Vec<Arc<Context>>,
    hands: Vec<Vec<Claimed>>,
    open: Vec<Vec<(Claimed, i64)>>,
    ended: Vec<Vec<(Claimed, i64, Outcome, Millis)>>,
}

impl Theatre {
    async fn open(on: On, stage: &Stage) -> Self {
        let scene = &stage.scene;
        let world = World::new(on, scene.start).await;
        let profile = world.profile("main", &scene.rates).await;
        let campaign = world.campaign("One", profile, &scene.policy, &scene.sequence.steps).await;
        let lead =
            |(n, zone): (usize, &Zone)| Lead { email: format!("p{n}@example.com"), zone: Some(zone.name()) };
        let leads: Vec<Lead> = scene.zones.iter().enumerate().map(lead).collect();
        let enrolments = world.enrol(campaign, &leads).await;
        let mut theatre =
            Self { world, profile, enrolments, workers: vec![], hands: vec![], open: vec![], ended: vec![] };
        for _ in 0..WORKERS {
            theatre.come_up().await;
        }
        theatre
    }

    async fn come_up(&mut self) {
        self.workers.push(self.world.other().await);
        self.hands.push(vec![]);
        self.open.push(vec![]);
        self.ended.push(vec![]);
    }

    /// Does what the act does; `before` is the stage before it, `after` behind it.
    async fn act(&mut self, act: Act, before: &Stage, after: &Stage) {
        match act {
            Act::Pass(_) => self.world.clock.set(after.memory.now),
            Act::Plan => while plan::pass(&self.world.ctx, after.memory.now).await.unwrap() > 0 {},
            Act::Claim(w, most) => self.claim(w, most, before).await,
            Act::Intend(w) => self.intend(w, before).await,
            Act::Dot(w, _) => {
                let (claimed, attempt) = self.open[w].remove(0);
                let outcome = after.workers[w].ended.last().unwrap().clone();
                self.ended[w].push((claimed, attempt, outcome, after.memory.now));
            }
            Act::Record(w) => self.record(w).await,
            Act::Crash(w) => {
                self.hands[w].clear();
                self.open[w].clear();
                self.ended[w].clear();
            }
            Act::Cut(_) | Act::Heal(_) => {}
            Act::Bury(w) => dies(&self.workers[w], &self.world.ctx).await,
            Act::Start => self.come_up().await,
            Act::OptOut(person) => {
                let hashes: Vec<(String,)> =
                    self.world.rows("SELECT email_hash FROM contacts ORDER BY id").await;
                opt_out(&self.world.ctx, self.world.account, &hashes[person].0).await;
            }
            Act::Pause(true) => self.world.exec("UPDATE campaigns SET state = 'paused'").await,
            Act::Pause(false) => self.world.exec("UPDATE campaigns SET state = 'running'").await,
            Act::Rest(true) => self.world.exec("UPDATE sending_profiles SET state = 'paused'").await,
            Act::Rest(false) => self.world.exec("UPDATE sending_profiles SET state = 'active'").await,
            Act::Release(m) => self.release(m, before).await,
        }
    }

    async fn claim(&mut self, w: usize, most: usize, before: &Stage) {
        let ctx = &self.workers[w];
        let way = Way { profile: self.profile, channel: Channel::Email, rates: &before.scene.rates };
        let mut tx = ctx.store.begin().await.unwrap();
        let claim = claims::claim(&mut tx, way, ctx.life.id(), most, before.memory.now).await.unwrap();
        tx.commit().await.unwrap();
        self.hands[w].extend(claim.claimed);
    }

    /// The person and the step of a message, as the real store names them.
    fn place(&self, memory: &Memory, m: usize) -> (i64, u32) {
        (self.enrolments[memory.messages[m].person], memory.messages[m].step)
    }

    async fn intend(&mut self, w: usize, before: &Stage) {
        let place = self.place(&before.memory, before.workers[w].hand[0].message);
        let held = self.hands[w].iter().position(|c| (c.enrolment_id, c.step_number) == place).unwrap();
        let claimed = self.hands[w].remove(held);
        let ctx = &self.workers[w];
        match intend(ctx, &claimed).await {
            (attempt, Verdict::Go) => self.open[w].push((claimed, attempt)),
            (_, Verdict::Back { state, reason }) => {
                let mut tx = ctx.store.begin().await.unwrap();
                let rows = [(&claimed, state, reason)];
                let rates = &before.scene.rates;
                intents::put_back(&mut tx, self.profile, rates, &rows, before.memory.now).await.unwrap();
                tx.commit().await.unwrap();
            }
            (_, Verdict::Lost) => {}
        }
    }

    async fn record(&mut self, w: usize) {
        let (claimed, attempt, outcome, at) = self.ended[w].remove(0);
        let refused = |code, permanent| Said::Refused {
            stage: At::Rcpt,
            code,
            permanent,
            enhanced: None,
            reply: "no".into(),
        };
        let said = match &outcome.end {
            End::Accepted => yes(),
            End::Unknown => Said::Unknown { detail: "the line broke".into() },
            End::Retry { reason: Reason::NotStarted, .. } => {
                Said::NotStarted { reason: Refusal::Withdrawn("too old".into()) }
            }
            End::Failed { against: Some(_), .. } => refused(550, true),
            End::Retry { .. } | End::Failed { .. } => refused(450, false),
        };
        let subject = claimed.subject.clone();
        let mut ended = verdict::ended(&self.workers[w], &claimed, attempt, &subject, said, at).await;
        // The same but for the dice of its wait.
        let is_same = std::mem::discriminant(&ended.outcome.end) == std::mem::discriminant(&outcome.end);
        assert!(is_same, "{:?} and not {:?}", ended.outcome.end, outcome.end);
        ended.outcome.end = outcome.end;
        recorder::settle(&self.workers[w], &mut [ended.outcome]).await;
    }

    async fn release(&self, m: usize, before: &Stage) {
        let (enrolment, step) = self.place(&before.memory, m);
        let ids: Vec<(i64, i64, i64)> =
            self.world.rows("SELECT id, enrolment_id, step_number FROM messages").await;
        let id = ids.iter().find(|row| (row.1, row.2) == (enrolment, i64::from(step))).unwrap().0;
        let mut tx = self.world.ctx.store.begin().await.unwrap();
        let message = messages::get(&mut tx, self.world.account, id).await.unwrap().unwrap();
        let release = Release { to: State::Drafted, version: 1, profile_id: self.profile };
        messages::release(&mut tx, &message, release, before.memory.now).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Where everything stands, a line for each row.
    async fn stands(&self) -> Vec<String> {
        let text = |rows: Vec<(String,)>| rows.into_iter().map(|row| row.0);
        let messages = text(
            self.world
                .rows(
                    "SELECT CONCAT_WS(' ', 'message', m.enrolment_id, m.step_number, m.state, m.planned_at,
                         COALESCE(m.slot, -1), m.fence, m.attempts, m.crashes)
                     FROM messages m ORDER BY m.enrolment_id, m.step_number",
                )
                .await,
        );
        let enrolments = text(
            self.world
                .rows(
                    "SELECT CONCAT_WS(' ', 'enrolment', id, state, settled, base_at, COALESCE(next_run_at, -1))
                     FROM enrolments ORDER BY id",
                )
                .await,
        );
        let attempts = text(
            self.world
                .rows(
                    "SELECT CONCAT_WS(' ', 'attempt', m.enrolment_id, m.step_number, a.fence, a.state, a.slot)
                     FROM attempts a JOIN messages m ON m.id = a.message_id
                     ORDER BY m.enrolment_id, m.step_number, a.fence",
                )
                .await,
        );
        let gates = text(
            self.world
                .rows(
                    "SELECT CONCAT_WS(' ', owner, next, minute_start, minute_count, day_start, day_count)
                     FROM gates WHERE owner = 'campaign'
                        OR owner_id = (SELECT id FROM sending_profiles WHERE name = 'main') ORDER BY owner",
                )
                .await,
        );
        messages.chain(enrolments).chain(attempts).chain(gates).collect()
    }

    /// The same of the store in memory.
    fn should_stand(&self, memory: &Memory) -> Vec<String> {
        let mut messages: Vec<_> = memory.messages.iter().collect();
        messages.sort_by_key(|m| (m.person, m.step));
        let messages = messages.into_iter().map(|m| {
            let (enrolment, slot) = (self.enrolments[m.person], m.slot.unwrap_or(-1));
            let (state, planned) = (m.state.as_str(), m.planned);
            let counts = format!("{} {} {}", m.fence, m.attempts, m.crashes);
            format!("message {enrolment} {} {state} {planned} {slot} {counts}", m.step)
        });
        let enrolments = memory.enrolments.iter().zip(&self.enrolments).map(|(row, id)| {
            let next = row.next_run_at.unwrap_or(-1);
            format!("enrolment {id} {} {} {} {next}", row.stand.as_str(), row.settled, row.base)
        });
        let mut attempts: Vec<_> = memory
            .attempts
            .iter()
            .map(|a| (self.place(memory, a.message), a.fence, a.state, a.slot))
            .collect();
        attempts.sort_unstable();
        let attempts = attempts.into_iter().map(|((enrolment, step), fence, state, slot)| {
            format!("attempt {enrolment} {step} {fence} {state} {slot}")
        });
        let gates = [("campaign", &memory.campaign_gate), ("profile", &memory.profile_gate)];
        let gates = gates.into_iter().map(|(owner, g)| {
            let (minute, day) = (g.minute, g.day);
            let next = g.next;
            format!("{owner} {next} {} {} {} {}", minute.start, minute.count, day.start, day.count)
        });
        messages.chain(enrolments).chain(attempts).chain(gates).collect()
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|n| n.parse().ok())
}

async fn plays_the_same(on: On, seed: u64) {
    let history = History::draw(seed);
    assert_eq!(history.broken, None, "seed {seed}");
    let mut stage = Stage::new(history.scene.clone());
    let mut theatre = Theatre::open(on, &stage).await;
    for (place, act) in history.acts.iter().enumerate() {
        let before = stage.clone();
        stage.apply(*act).unwrap();
        theatre.act(*act, &before, &stage).await;
        let is_seen =
            !matches!(act, Act::Pass(_) | Act::Dot(..) | Act::Crash(_) | Act::Cut(_) | Act::Heal(_));
        if is_seen {
            let (stands, should) = (theatre.stands().await, theatre.should_stand(&stage.memory));
            assert_eq!(stands, should, "{on:?}, seed {seed}, act {place}: {act:?} of {:?}", history.acts);
        }
    }
    // A server has only so many connections, and the next history wants its own.
    theatre.world.ctx.store.db.close().await;
}

#[tokio::test]
async fn the_real_store_plays_histories_as_the_one_in_memory() {
    let first = number("SENDWRIGHT_FIRST_SEED").unwrap_or(1);
    let histories = number("SENDWRIGHT_HISTORIES").unwrap_or(8);
    for on in BOTH {
        for seed in first..first + histories {
            plays_the_same(on, seed).await;
        }
        println!("{on:?}: {histories} histories from seed {first} on, every act the same");
    }
}
