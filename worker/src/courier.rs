//! A courier delivers to one endpoint: it claims what is due, makes attempts side by side, and records them in groups.
//!
//! What a courier does for a dead endpoint costs the others nothing: failing endpoints share permits of their own, and
//! each of them is tried by fewer at once and less often, the longer it fails.

mod attempt;

use crate::context::Context;
use crate::http::Http;
use attempt::{Made, Parcel, Target};
use sendwright_fail::point;
use sendwright_store::deliveries::{self, End, Ended};
use sendwright_store::endpoints::{self, Endpoint};
use sendwright_store::events::{self, NewEvent};
use sendwright_store::{Error, Result, Tx};
use sendwright_workflows::clock::{DAY, Millis};
use sendwright_workflows::ids::{Kind, uuid};
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Most attempts at one endpoint at once, and as many as a new courier begins with.
const WIDTH: (usize, usize) = (64, 8);
/// As many remain for an endpoint that does nothing but fail.
const NARROW: usize = 2;
/// Most attempts of one commit.
const GROUP: usize = 128;
/// How long an attempt that has ended waits for others to be committed with.
const MOMENT: Duration = Duration::from_millis(4);
/// How long a courier waits before it asks the store again; also after an error of the database.
const POLL: Duration = Duration::from_millis(800);
/// A courier without work ends after this long.
const IDLE: Duration = Duration::from_secs(30);
/// The pause of a failing endpoint: after the first group of failures, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// An endpoint that has failed for so long and so often is disabled.
const FAILING: (Millis, i64) = (5 * DAY, 10);

/// What the couriers of a process share.
pub struct Couriers {
    http: Http,
    healthy: Arc<Semaphore>,
    failing: Arc<Semaphore>,
}

impl Couriers {
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(allow_private: bool) -> std::result::Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let permits = |count| Arc::new(Semaphore::new(count));
        Ok(Self { http: Http::new(allow_private)?, healthy: permits(512), failing: permits(64) })
    }
}

/// One endpoint's courier.
pub struct Courier {
    ctx: Arc<Context>,
    shared: Arc<Couriers>,
    endpoint: i64,
    bell: Arc<Notify>,
    target: Option<Arc<Target>>,
    waiting: VecDeque<Parcel>,
    flying: JoinSet<Made>,
    in_flight: Vec<i64>,
    ended: Vec<Made>,
    /// When the first of them ended.
    since: Option<Instant>,
    width: usize,
    failing_since: Option<Millis>,
    pause: Duration,
    rests_until: Instant,
    /// The store may have more that is due.
    more: bool,
}

impl Courier {
    /// A courier with nothing in hand.
    pub fn new(ctx: Arc<Context>, shared: Arc<Couriers>, endpoint: i64, bell: Arc<Notify>) -> Self {
        Self {
            ctx,
            shared,
            endpoint,
            bell,
            target: None,
            waiting: VecDeque::new(),
            flying: JoinSet::new(),
            in_flight: Vec::new(),
            ended: Vec::new(),
            since: None,
            width: WIDTH.1,
            failing_since: None,
            pause: PAUSE.0,
            rests_until: Instant::now(),
            more: true,
        }
    }

    /// Works until `stop`, or until there has been nothing to do for a while. Ends with nothing in hand.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut quiet = Instant::now();
        while !stop.is_cancelled() && quiet.elapsed() < IDLE {
            if let Err(error) = self.turn().await {
                tracing::warn!(%error, endpoint = self.endpoint, "a turn failed; tried again");
                tokio::time::sleep(POLL).await;
            }
            if !self.flying.is_empty() || !self.waiting.is_empty() {
                quiet = Instant::now();
            }
            self.rest(&stop).await;
        }
        if let Err(error) = self.end().await {
            tracing::warn!(%error, endpoint = self.endpoint, "deliveries stay in hand; the lease gives them back");
        }
    }

    /// Records what has ended, claims what is due, and begins what may be begun.
    async fn turn(&mut self) -> Result<()> {
        while let Some(done) = self.flying.try_join_next() {
            self.landed(done);
        }
        let ripe = self.ended.len() >= GROUP.min(self.width)
            || self.flying.is_empty()
            || self.since.is_some_and(|since| since.elapsed() >= MOMENT);
        let hungry = self.more && self.waiting.len() < self.width && self.rests_until <= Instant::now();
        // A long line is claimed along with the ends of a group; a claim for each attempt would be a commit for each.
        let idle = self.waiting.is_empty() && self.flying.len() < self.width;
        if (hungry && (idle || ripe)) || (ripe && !self.ended.is_empty()) {
            self.exchange(hungry).await?;
        }
        self.begin();
        Ok(())
    }

    /// One commit: attempts are recorded, deliveries are claimed.
    async fn exchange(&mut self, hungry: bool) -> Result<()> {
        let Some(now) = self.ctx.clock.now() else { return Ok(()) };
        let group: Vec<Ended> = self.ended.iter().map(|made| made.ended.clone()).collect();
        let is_suspect = self.ended.iter().any(|made| made.is_gone)
            || self.failing_since.is_some_and(|since| since <= now - FAILING.0);
        let event = if is_suspect { self.ctx.store.ids.one("events").await? } else { 0 };
        let mut tx = self.ctx.store.begin().await?;
        if !group.is_empty() {
            match deliveries::settle(&mut tx, &group).await {
                Err(error) if !error.passes() => return self.bare(error),
                done => done?,
            }
            self.judge(&mut tx, event, now).await?;
        }
        let endpoint = endpoints::enabled(&mut tx, self.endpoint).await?;
        let claimed = match (&endpoint, hungry) {
            (Some(_), true) => self.claim(&mut tx, now).await?,
            _ => Vec::new(),
        };
        let contents = match claimed.is_empty() {
            true => Vec::new(),
            false => events::contents(&mut tx, claimed.iter().map(|c| c.event_id)).await?,
        };
        pass(&group, &claimed, ["deliveries-claiming", "deliveries-recording"]);
        tx.commit().await?;
        pass(&group, &claimed, ["deliveries-claimed", "deliveries-recorded"]);
        if hungry {
            self.more = !claimed.is_empty();
        }
        self.recorded(&group, now);
        self.take(endpoint, claimed, contents, now).await
    }

    async fn claim(&self, tx: &mut Tx, now: Millis) -> Result<Vec<deliveries::Claimed>> {
        let most = (2 * self.width).saturating_sub(self.waiting.len());
        let waiting = self.waiting.iter().map(|parcel| parcel.claimed.id);
        let held: Vec<i64> = waiting.chain(self.in_flight.iter().copied()).collect();
        deliveries::claim(tx, self.endpoint, self.ctx.life.id(), &held, most as i64, now).await
    }

    /// What a group says of the endpoint itself: well, failing, or gone.
    async fn judge(&mut self, tx: &mut Tx, event: i64, now: Millis) -> Result<()> {
        if self.ended.iter().any(|made| made.ended.end == End::Delivered) {
            return endpoints::succeeded(tx, self.endpoint).await;
        }
        let (since, failures) = endpoints::failed(tx, self.endpoint, self.ended.len() as i64, now).await?;
        self.failing_since = Some(since);
        let why = match self.ended.iter().any(|made| made.is_gone) {
            true => "gone",
            false if event > 0 && since <= now - FAILING.0 && failures >= FAILING.1 => "failing",
            false => return Ok(()),
        };
        if endpoints::disable(tx, self.endpoint, why, now).await? {
            tracing::warn!(endpoint = self.endpoint, why, "a webhook endpoint is disabled");
            let account = self.target.as_ref().map_or(0, |target| target.account);
            events::insert(tx, &[disabled(event, account, self.endpoint, why, since, now)]).await?;
        }
        Ok(())
    }

    /// A group that the database does not take as it is keeps its ends and loses its words.
    fn bare(&mut self, error: Error) -> Result<()> {
        tracing::error!(%error, endpoint = self.endpoint, "attempts are recorded without their words");
        let has_words =
            self.ended.iter().any(|made| made.ended.answer.is_some() || made.ended.error.is_some());
        self.ended.iter_mut().for_each(|made| (made.ended.answer, made.ended.error) = (None, None));
        if !has_words {
            self.ended.clear();
        }
        Err(error)
    }

    /// After the commit: what was recorded is let go, and decides how the endpoint is treated.
    fn recorded(&mut self, group: &[Ended], now: Millis) {
        if group.is_empty() {
            return;
        }
        let delivered = group.iter().filter(|ended| ended.end == End::Delivered).count();
        metrics::counter!("sendwright_delivery_attempts", "end" => "delivered").increment(delivered as u64);
        metrics::counter!("sendwright_delivery_attempts", "end" => "failed")
            .increment((group.len() - delivered) as u64);
        if delivered > 0 {
            (self.failing_since, self.pause) = (None, PAUSE.0);
            self.width = (self.width * 2).min(WIDTH.0);
        } else {
            self.width = (self.width / 2).max(NARROW);
            self.rests_until = Instant::now() + self.pause;
            self.pause = (self.pause * 2).min(PAUSE.1);
        }
        let asked = self.ended.iter().filter_map(|made| made.hold).max();
        if let Some(hold) = asked {
            self.rests_until = Instant::now() + Duration::from_millis(hold.max(0) as u64);
        }
        if group.iter().any(|ended| matches!(ended.end, End::Again(at) if at <= now)) {
            self.more = true;
        }
        self.ended.clear();
        self.since = None;
    }

    async fn take(
        &mut self,
        endpoint: Option<Endpoint>,
        claimed: Vec<deliveries::Claimed>,
        contents: Vec<events::Content>,
        now: Millis,
    ) -> Result<()> {
        let Some(endpoint) = endpoint else {
            self.more = false;
            return self.give_back().await;
        };
        self.failing_since = endpoint.failing_since;
        let target = Arc::new(Target::of(&self.ctx, &endpoint, now)?);
        self.waiting.extend(attempt::parcels(&target, claimed, contents));
        self.target = Some(target);
        Ok(())
    }

    fn begin(&mut self) {
        let Some(target) = self.target.clone() else { return };
        let Some(now) = self.ctx.clock.now() else { return };
        let pool = if self.failing_since.is_some() { &self.shared.failing } else { &self.shared.healthy };
        while self.flying.len() < self.width && self.rests_until <= Instant::now() {
            let Ok(permit) = pool.clone().try_acquire_owned() else { return };
            let Some(parcel) = self.waiting.pop_front() else { return };
            let (shared, target, ctx) = (self.shared.clone(), target.clone(), self.ctx.clone());
            self.in_flight.push(parcel.claimed.id);
            self.flying.spawn(async move {
                let made = attempt::make(&shared.http, &target, parcel, now, &*ctx.clock).await;
                drop(permit);
                made
            });
        }
    }

    fn landed(&mut self, done: std::result::Result<Made, tokio::task::JoinError>) {
        match done {
            Ok(made) => {
                self.in_flight.retain(|id| *id != made.ended.delivery_id);
                self.since.get_or_insert_with(Instant::now);
                self.ended.push(made);
            }
            // Which one it was is not known: all that are not in the air any more are claimed anew.
            Err(error) => {
                tracing::error!(%error, endpoint = self.endpoint, "an attempt panicked");
                if self.flying.is_empty() {
                    self.in_flight.clear();
                }
            }
        }
    }

    /// Waits for an attempt to end, a bell, or the next look.
    async fn rest(&mut self, stop: &CancellationToken) {
        let now = Instant::now();
        let wait = match self.since {
            Some(since) => (since + MOMENT).saturating_duration_since(now),
            None if self.more && self.flying.is_empty() => {
                self.rests_until.saturating_duration_since(now).max(MOMENT)
            }
            None if self.waiting.is_empty() => POLL,
            None => self.rests_until.saturating_duration_since(now).max(MOMENT),
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.bell.notified() => self.more = true,
            Some(done) = self.flying.join_next() => self.landed(done),
            () = tokio::time::sleep(wait) => self.more |= self.since.is_none(),
        }
    }

    /// Attempts under way end and are recorded; what was not begun goes back.
    async fn end(&mut self) -> Result<()> {
        while let Some(done) = self.flying.join_next().await {
            self.landed(done);
        }
        if !self.ended.is_empty() {
            self.exchange(false).await?;
        }
        self.give_back().await
    }

    async fn give_back(&mut self) -> Result<()> {
        let ids: Vec<i64> = self.waiting.drain(..).map(|parcel| parcel.claimed.id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let mut tx = self.ctx.store.begin().await?;
        deliveries::release(&mut tx, self.ctx.life.id(), &ids).await?;
        tx.commit().await
    }
}

/// The points of an exchange: of its claim and of its record, where it has them.
fn pass(group: &[Ended], claimed: &[deliveries::Claimed], [claim, record]: [&'static str; 2]) {
    if !claimed.is_empty() {
        point(claim);
    }
    if !group.is_empty() {
        point(record);
    }
}

fn disabled(id: i64, account: i64, endpoint: i64, why: &str, since: Millis, now: Millis) -> NewEvent {
    let data = json!({
        "webhook_id": uuid(Kind::Endpoint, endpoint), "why": why,
        "failing_since": sendwright_workflows::clock::rfc3339(since),
    });
    NewEvent {
        id,
        account_id: account,
        kind: "webhook.disabled",
        campaign_id: None,
        contact_id: None,
        enrolment_id: None,
        message_id: None,
        data: data.to_string(),
        at: now,
    }
}
