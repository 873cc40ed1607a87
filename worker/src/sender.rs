//! The mail lane of one sending profile: claim, intent, hand-over (SEND_PROTOCOL, the protocol).

use crate::at_the_dot;
use crate::channels::smtp::{Dialer, Pool, PoolLimits, Profile as Server, Ready, Trouble};
use crate::channels::twilio::{self, Unready};
use crate::context::{Context, random_unit};
use crate::hand_over::Carrier;
use crate::outlet::{self, Route, To};
use crate::standing;
use sendwright_store::claims::{self, Claimed};
use sendwright_store::clock::boot_millis;
use sendwright_store::{Result, sending_profiles};
use sendwright_workflows::clock::{MINUTE, Millis, SECOND};
use sendwright_workflows::rate_limit::{is_out_of_sight, slot_millis};
use sendwright_workflows::reason::{Cause, Reason};
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

mod departure;
mod lead;

use lead::Lead;

/// How long a look waits for connections.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// The same, while there is something to hand over.
const CONNECT_BESIDE: Duration = Duration::from_millis(20);
/// How long a claim from a backlog waits for half of the connections: a commit costs the same for one message as for many.
const MOMENT: Duration = Duration::from_millis(5);
/// A profile with a hand-over older than this has a slow server: it gets one permit.
const SLOW: i64 = 30_000;

/// Up to `n` sessions. An empty hand waits for the first of them alone: one connection that takes its time must not keep
/// those waiting that are there.
async fn connected(pool: &Pool, n: usize, idle: bool) -> Ready {
    if !idle {
        return pool.ready(n, CONNECT_BESIDE).await;
    }
    let mut ready = pool.ready(n.min(1), CONNECT_WITHIN).await;
    if ready.trouble.is_none() && n > 1 {
        ready.sessions.extend(pool.ready(n - 1, CONNECT_BESIDE).await.sessions);
    }
    ready
}

/// A claimed message with the permit and connection it will leave on.
struct Seated {
    message: Claimed,
    carrier: Carrier,
}

/// What one turn did, and when the next is worth taking.
#[derive(Debug, Default, Clone, Copy)]
pub struct Turn {
    /// Something was claimed, begun or moved: take another turn at once.
    pub did: bool,
    /// Nothing will happen before this instant unless a bell rings.
    pub next: Option<Millis>,
}

/// The sender of one profile in one process.
pub struct Sender {
    ctx: Arc<Context>,
    profile: i64,
    route: Option<Route>,
    read_at: i64,
    pool: Option<(To, Pool)>,
    line: Option<Arc<twilio::Line>>,
    seated: Vec<Seated>,
    /// The last claim left more behind: the next one need not ask whether there is anything.
    backlog: bool,
    /// Letters whose slot was void before they were ready: the next slot finds them written.
    written: HashMap<i64, departure::Written>,
    /// Hand-overs under way: attempt id and the boot instant of its intent.
    under_way: Arc<Mutex<HashMap<i64, i64>>>,
    bell: Arc<Notify>,
    /// An end of this process waits for no connection.
    stop: CancellationToken,
    /// The boot instant until which the server counts as slow: intents are committed at the dot.
    slow_until: Arc<AtomicI64>,
    /// Between a claim and its intent in one transaction, and between a look at what is seated and its intent.
    leads: (Lead, Lead),
    /// Those that then wait there.
    at_the_dot: Arc<at_the_dot::Group>,
    /// Other profiles have work too: this one takes a quarter of D instead of three.
    pub shares: bool,
}

impl Sender {
    /// A sender that has not looked yet.
    pub fn new(ctx: Arc<Context>, profile: i64, bell: Arc<Notify>, stop: CancellationToken) -> Self {
        let under_way = Arc::default();
        Self {
            ctx,
            profile,
            route: None,
            read_at: 0,
            pool: None,
            line: None,
            seated: Vec::new(),
            backlog: false,
            written: HashMap::new(),
            under_way,
            bell,
            stop,
            slow_until: Arc::default(),
            leads: <(Lead, Lead)>::default(),
            at_the_dot: Arc::default(),
            shares: false,
        }
    }

    /// Whether nothing is in this sender's hands.
    pub fn is_idle(&self) -> bool {
        self.seated.is_empty() && self.open() == 0
    }

    fn open(&self) -> usize {
        self.under_way.lock().map_or(0, |open| open.len())
    }

    /// One look: begins what is seated and due, then claims what there are connections for.
    pub async fn turn(&mut self, now: Millis, claim: bool) -> Result<Turn> {
        let mut turn = Turn::default();
        // Seated before the clock was set back, it would keep the room of all others until its instant comes again.
        let lost: Vec<Seated> =
            self.seated.extract_if(.., |s| is_out_of_sight(s.message.slot, now)).collect();
        turn.did |= !lost.is_empty();
        self.give_back(lost, now).await?;
        let lead = self.leads.1.millis();
        let ripe = self.seated.extract_if(.., |s| slot_millis(s.message.slot) <= now + lead);
        let ripe: Vec<Seated> = ripe.collect();
        if !ripe.is_empty() {
            turn.did = true;
            self.begin(ripe, now).await?;
        }
        if claim {
            self.claim(now, &mut turn).await?;
        }
        let seated = self.seated.iter().map(|s| slot_millis(s.message.slot) - lead).min();
        turn.next = [turn.next, seated].into_iter().flatten().min();
        Ok(turn)
    }

    async fn claim(&mut self, now: Millis, turn: &mut Turn) -> Result<()> {
        let room = self.room();
        if room == 0 {
            return Ok(());
        }
        let backlog = std::mem::take(&mut self.backlog);
        let due = match backlog {
            false => self.ahead(now, room, turn).await?,
            true => {
                turn.did = true; // Whatever comes of it, the next turn asks.
                room
            }
        };
        if due == 0 {
            return Ok(());
        }
        let route = self.route(now).await?;
        if route.profile.state == "paused" && route.profile.paused_until.is_some_and(|until| until <= now) {
            turn.did = true;
            return self.mark(("paused", "active"), None, now).await;
        }
        if route.profile.state != "active" {
            // Nothing is kept open for a profile that rests.
            if let Some((_, pool)) = self.pool.take() {
                pool.close().await;
            }
            self.line = None;
        }
        if route.profile.state != "active" || !self.ctx.life.is_ready(&self.ctx) {
            turn.next = Some(now + SECOND);
            return Ok(());
        }
        if backlog && let Some((_, pool)) = &self.pool {
            pool.gather(pool.open() / 2, MOMENT).await;
        }
        let carriers = self.carriers(&route, due.min(room), now, turn).await?;
        if carriers.is_empty() {
            return Ok(());
        }
        match matches!(route.to, To::Smtp(_)) && boot_millis() < self.slow_until.load(Ordering::Relaxed) {
            true => self.claim_for_the_dot(&route, carriers, turn).await,
            false => {
                let most = carriers.len();
                let given = self.claim_and_begin(&route, carriers, turn).await?;
                self.backlog = given == most && (backlog || due > most);
                Ok(())
            }
        }
    }

    /// How much is due, up to `room`, and when the next is.
    async fn ahead(&self, now: Millis, room: usize, turn: &mut Turn) -> Result<usize> {
        let mut tx = self.ctx.store.read_promptly().await?;
        let (due, next) = claims::ahead(&mut tx, self.profile, now, room as i64).await?;
        tx.commit().await?;
        turn.next = next.filter(|at| *at > now);
        Ok(due)
    }

    /// How many more hand-overs this profile may have (SEND_PROTOCOL, words: D).
    fn room(&self) -> usize {
        let limit = self.ctx.settings.open_limit;
        let share = if self.shares { limit / 4 } else { limit - limit / 4 };
        let oldest = self.under_way.lock().ok().and_then(|open| open.values().copied().min());
        let share = if oldest.is_some_and(|since| boot_millis() - since > SLOW) { 1 } else { share.max(1) };
        share.saturating_sub(self.open() + self.seated.len()).min(self.ctx.open.available_permits())
    }

    /// The profile as stored, read again every second.
    async fn route(&mut self, _now: Millis) -> Result<Route> {
        if let Some(route) = self.route.as_ref().filter(|_| boot_millis() - self.read_at < SECOND) {
            return Ok(route.clone());
        }
        let mut tx = self.ctx.store.read_promptly().await?;
        let route = outlet::route(&self.ctx, &mut tx, self.profile).await?;
        tx.commit().await?;
        (self.route, self.read_at) = (Some(route.clone()), boot_millis());
        Ok(route)
    }

    /// Permits of D with ready connections, at most `most`.
    async fn carriers(
        &mut self,
        route: &Route,
        most: usize,
        now: Millis,
        turn: &mut Turn,
    ) -> Result<Vec<Carrier>> {
        let mut permits = Vec::with_capacity(most);
        while permits.len() < most {
            match self.ctx.open.clone().try_acquire_owned() {
                Ok(permit) => permits.push(permit),
                Err(_) => break,
            }
        }
        match &route.to {
            To::Nowhere => {
                turn.next = Some(now + MINUTE);
                let why = match route.profile.channel().is_phone() {
                    true => sending_profiles::NO_PHONE_TRANSPORT,
                    false => sending_profiles::NO_TRANSPORT,
                };
                self.mark(("active", "active"), Some(why), now).await?;
                Ok(Vec::new())
            }
            To::Mailbox => {
                self.is_well(route, now).await?;
                Ok(permits.into_iter().map(Carrier::mailbox).collect())
            }
            To::Twilio(sender) => {
                let line = self.line(sender);
                let ready = line.ready(&self.ctx.twilio);
                match self.stop.run_until_cancelled(ready).await {
                    Some(Ok(())) => {
                        self.is_well(route, now).await?;
                        Ok(permits.into_iter().map(|permit| Carrier::twilio(permit, line.clone())).collect())
                    }
                    Some(Err(unready)) => {
                        self.is_unready(unready, now, turn).await?;
                        Ok(Vec::new())
                    }
                    None => Ok(Vec::new()),
                }
            }
            To::Smtp(server) => {
                let pool = self.pool(&route.to, server).await;
                // What is ready goes, and what is seated keeps its slot: only an empty hand waits.
                let idle = self.seated.is_empty() && pool.idle() == 0;
                let ready = self.stop.run_until_cancelled(connected(&pool, permits.len(), idle)).await;
                let Some(ready) = ready else { return Ok(Vec::new()) };
                let carriers: Vec<Carrier> = ready
                    .sessions
                    .into_iter()
                    .zip(permits)
                    .map(|(s, p)| Carrier::smtp(p, s, pool.clone()))
                    .collect();
                if let Some(trouble) = ready.trouble.filter(|_| carriers.is_empty()) {
                    self.in_trouble(trouble, now, turn).await?;
                } else if !carriers.is_empty() {
                    self.is_well(route, now).await?;
                }
                Ok(carriers)
            }
        }
    }

    /// The line of a sender; another sender, another line.
    fn line(&mut self, sender: &twilio::Sender) -> Arc<twilio::Line> {
        match &self.line {
            Some(line) if line.sender == *sender => line.clone(),
            _ => {
                let line = Arc::new(twilio::Line::new(sender.clone()));
                self.line = Some(line.clone());
                line
            }
        }
    }

    /// Nothing can leave by Twilio: the profile says why, and is switched off where only a person can help.
    async fn is_unready(&mut self, unready: Unready, now: Millis, turn: &mut Turn) -> Result<()> {
        let Unready { why, wait, is_final } = unready;
        turn.next = Some(now + (wait.as_millis() as Millis).max(100));
        tracing::warn!(profile = self.profile, why, "nothing can leave by Twilio");
        if is_final {
            self.line = None; // Whoever switches it on again means a new try.
        }
        let to = if is_final { "disabled" } else { "active" };
        self.mark(("active", to), Some(&why), now).await
    }

    async fn pool(&mut self, to: &To, server: &Server) -> Pool {
        match &self.pool {
            Some((present, pool)) if present == to => return pool.clone(),
            Some((_, old)) => old.close().await,
            None => {}
        }
        let limits = PoolLimits { connections: self.ctx.settings.connections, ..PoolLimits::default() };
        let pool =
            Pool::new(Dialer::new(server.clone(), self.ctx.settings.timeouts.clone()), limits, random_unit);
        self.pool = Some((to.clone(), pool.clone()));
        pool
    }

    /// No connection: the profile says why, and after three refused logins it is switched off, so that nobody
    /// is locked out by our trying.
    async fn in_trouble(&mut self, trouble: Trouble, now: Millis, turn: &mut Turn) -> Result<()> {
        let wait = trouble.retry_at.saturating_duration_since(std::time::Instant::now().into());
        turn.next = Some(now + (wait.as_millis() as Millis).max(100));
        let why = trouble.error.to_string();
        if trouble.wrong_logins >= 3 {
            tracing::error!(
                profile = self.profile,
                why,
                "three logins were refused: the profile is disabled"
            );
            self.pool = None; // Whoever switches it on again means a new try.
            return self.mark(("active", "disabled"), Some(&why), now).await;
        }
        tracing::warn!(profile = self.profile, why, failures = trouble.failures, "no connection");
        self.mark(("active", "active"), Some(&why), now).await
    }

    /// What was wrong with the profile is so no more.
    async fn is_well(&mut self, route: &Route, now: Millis) -> Result<()> {
        match route.profile.why {
            Some(_) => self.mark(("active", "active"), None, now).await,
            None => Ok(()),
        }
    }

    async fn mark(&mut self, change: (&str, &str), why: Option<&str>, now: Millis) -> Result<()> {
        standing::mark(&self.ctx, self.profile, change, None, why, now).await?;
        self.route = None;
        Ok(())
    }

    /// Gives back what is seated and has not begun: an orderly end.
    pub async fn stop(&mut self, now: Millis) -> Result<()> {
        let seated = std::mem::take(&mut self.seated);
        self.give_back(seated, now).await?;
        if let Some((_, pool)) = self.pool.take() {
            pool.close().await;
        }
        Ok(())
    }

    async fn give_back(&mut self, seated: Vec<Seated>, now: Millis) -> Result<()> {
        if seated.is_empty() {
            return Ok(());
        }
        let route = self.route(now).await?;
        let reason = Reason::Late { cause: Cause::Outage };
        let rows = seated.into_iter().map(|s| (s, "drafted", reason.clone())).collect();
        self.put_back(&route, rows, now).await
    }
}
