//! T1 and T2 of a sender's rows, and what becomes of those that may not go (SEND_PROTOCOL 3, 4, 8).

use super::{Seated, Sender, Turn};
use crate::at_the_dot;
use crate::hand_over::{self, Carrier, Departing};
use crate::letter::{self, Sealed};
use crate::outlet::{self, Route};
use sendwright_fail::point;
use sendwright_store::claims::{self, Ahead, Claimed};
use sendwright_store::clock::boot_millis;
use sendwright_store::intents::{self, Seen, Verdict};
use sendwright_store::writing::{self, Earlier};
use sendwright_store::{Result, Tx, heads};
use sendwright_workflows::clock::{Millis, SECOND};
use sendwright_workflows::country::Country;
use sendwright_workflows::reason::{Cause, Reason};
use std::collections::HashMap;
use std::time::Duration;

/// How long the intent's commit may take before its outcome counts as unknown.
const INTENT_TIMEOUT: Duration = Duration::from_secs(2);

/// Rows that go back, with their next state and why.
type Refused = Vec<(Seated, &'static str, Reason)>;

/// What stands against a recipient on the way out, whoever let it in (ATTACKS A42).
fn forbidden(route: &Route, message: &Claimed) -> Option<Reason> {
    let is_allowed = !message.channel.is_phone() || route.reaches(&message.address);
    let country = || Country::of(&message.address).map(|country| country.to_string());
    (!is_allowed).then(|| Reason::DestinationNotAllowed { country: country() })
}

/// Rows whose intent is about to be committed, or is.
struct Intended {
    departing: Vec<(Seated, Sealed)>,
    /// The attempt each will have.
    attempts: Vec<i64>,
    /// The worker under whose id it is.
    worker: i64,
    /// The boot instant before the transaction.
    intent_at: i64,
    /// The intent's business instant.
    at: Millis,
    /// What the claim of this very transaction has read of them.
    seen: Vec<Seen>,
}

/// Letters kept at most for rows whose slot was void.
const MOST_WRITTEN: usize = 64;

/// A letter that is written, and what it was made of beside the profile.
pub(super) struct Written {
    subject: String,
    body: String,
    address: String,
    sealed: Sealed,
}

impl Written {
    fn new(message: &Claimed, sealed: Sealed) -> Self {
        let (subject, body) = (message.subject.clone(), message.body.clone());
        Self { subject, body, address: message.address.clone(), sealed }
    }

    /// The letter, if it is still this message's.
    fn of(self, message: &Claimed, earlier: &[Earlier]) -> Option<Sealed> {
        let same = self.subject == message.subject
            && self.body == message.body
            && self.address == message.address
            && self.sealed.thread.iter().eq(earlier.iter().map(|e| &e.message_id));
        same.then_some(self.sealed)
    }
}

impl Sender {
    /// T1 and T2 in one transaction for rows whose slot has come, T1 alone for those whose slot is to come. The
    /// barrier is its first statement, as of any intent. Answers how many rows got a slot.
    pub(super) async fn claim_and_begin(
        &mut self,
        route: &Route,
        mut carriers: Vec<Carrier>,
        turn: &mut Turn,
    ) -> Result<usize> {
        let attempts = self.ctx.store.ids.take("attempts", carriers.len()).await?.collect();
        let (intent_at, worker) = (boot_millis(), self.ctx.life.id());
        let mut tx = self.ctx.store.begin_behind(route.profile.account_id).await?;
        let Some(now) = self.ctx.clock.now() else { return Ok(0) };
        let most = carriers.len();
        let lead = self.leads.0.millis();
        let ahead = Ahead { clock: self.ctx.clock.as_ref(), lead };
        let mut claim = claims::claim_at_once(&mut tx, route.way(), worker, most, now, ahead).await?;
        let looked_at = claim.at - lead;
        turn.did |= !claim.claimed.is_empty() || !claim.ready.is_empty() || claim.moved > 0;
        turn.next = [turn.next, claim.next.map(|at| at - SECOND)].into_iter().flatten().min();
        let seen = std::mem::take(&mut claim.seen);
        let given = claim.claimed.len() + claim.ready.len();
        let later = self.seat(route, claim.claimed, &mut carriers);
        let ready = self.seat(route, claim.ready, &mut carriers);
        carriers.into_iter().for_each(|carrier| drop(carrier.into_permit()));
        let (departing, refused) = self.seal(route, ready, now).await?;
        if !departing.is_empty() {
            point("claimed");
        }
        let mut intended = Intended { departing, attempts, worker, intent_at, at: now, seen };
        let is_tried = !intended.departing.is_empty();
        let refused = self.intend(&mut tx, &mut intended, refused).await?;
        if is_tried {
            self.leads.0.learn(intended.at - looked_at);
        }
        self.write_back(&mut tx, route, &refused, now).await?;
        if self.commit(tx, intended, route, now).await {
            self.seated.extend(later);
        }
        refused.into_iter().for_each(|(seated, ..)| drop(seated.carrier.into_permit()));
        Ok(given)
    }

    /// T1 alone, for a slow server: hand-overs begin under the claim, and each commits its intent at its dot.
    pub(super) async fn claim_for_the_dot(
        &mut self,
        route: &Route,
        mut carriers: Vec<Carrier>,
        turn: &mut Turn,
    ) -> Result<()> {
        let attempts = self.ctx.store.ids.take("attempts", carriers.len()).await?;
        let (began, worker, most) = (boot_millis(), self.ctx.life.id(), carriers.len());
        let mut tx = self.ctx.store.begin_promptly().await?;
        let Some(now) = self.ctx.clock.now() else { return Ok(()) };
        let claim = claims::claim(&mut tx, route.way(), worker, most, now).await?;
        turn.did |= !claim.claimed.is_empty() || claim.moved > 0;
        turn.next = [turn.next, claim.next.map(|at| at - SECOND)].into_iter().flatten().min();
        let seated = self.seat(route, claim.claimed, &mut carriers);
        tx.commit().await?;
        carriers.into_iter().for_each(|carrier| drop(carrier.into_permit()));
        let (departing, refused) = self.seal(route, seated, now).await?;
        for (ready, attempt) in departing.into_iter().zip(attempts) {
            let departing = self.departing(route, ready, attempt, worker, (began, now));
            at_the_dot::start(self.ctx.clone(), departing, route.rates, self.at_the_dot.clone());
        }
        self.put_back(route, refused, now).await
    }

    /// Claimed messages with what they will leave on, in hand before their claim is committed.
    fn seat(&self, route: &Route, claimed: Vec<Claimed>, carriers: &mut Vec<Carrier>) -> Vec<Seated> {
        let seat = |mut message: Claimed| {
            outlet::when_uncertain(&mut message.policy, route.profile.on_uncertain.as_deref());
            message.provider = route.provider();
            let mut carrier = carriers.pop()?;
            carrier.hold(self.ctx.in_hand.take(message.id));
            Some(Seated { message, carrier })
        };
        claimed.into_iter().filter_map(seat).collect()
    }

    /// T2 for rows that were claimed before and whose slot has come, then their hand-overs, detached.
    pub(super) async fn begin(&mut self, ripe: Vec<Seated>, now: Millis) -> Result<()> {
        let route = self.route(now).await?;
        if !self.ctx.life.is_ready(&self.ctx) {
            let outage = Reason::Late { cause: Cause::Outage };
            let refused = ripe.into_iter().map(|seated| (seated, "drafted", outage.clone())).collect();
            return self.put_back(&route, refused, now).await;
        }
        let (departing, refused) = self.seal(&route, ripe, now).await?;
        let attempts = self.ctx.store.ids.take("attempts", departing.len()).await?.collect();
        let (intent_at, worker) = (boot_millis(), self.ctx.life.id());
        let mut intended = Intended { departing, attempts, worker, intent_at, at: now, seen: Vec::new() };
        let mut tx = self.ctx.store.begin_promptly().await?;
        let refused = self.intend(&mut tx, &mut intended, refused).await?;
        self.leads.1.learn(intended.at - now);
        self.commit(tx, intended, &route, now).await;
        self.put_back(&route, refused, now).await
    }

    /// Writes the intent of what may go; what may not joins `refused`, what is not ours any more is let go.
    async fn intend(
        &mut self,
        tx: &mut Tx,
        intended: &mut Intended,
        mut refused: Refused,
    ) -> Result<Refused> {
        let Some((first, _)) = intended.departing.first() else { return Ok(refused) };
        let account = first.message.account_id;
        let rows: Vec<_> = intended
            .departing
            .iter()
            .zip(intended.attempts.iter().copied())
            .map(|((s, _), id)| (&s.message, id))
            .collect();
        let (clock, seen) = (self.ctx.clock.as_ref(), std::mem::take(&mut intended.seen));
        let (at, verdicts) = intents::intend(tx, account, intended.worker, &rows, seen, clock).await?;
        intended.at = at;
        let (mut going, mut attempts) = (Vec::new(), Vec::new());
        let all =
            std::mem::take(&mut intended.departing).into_iter().zip(std::mem::take(&mut intended.attempts));
        for (((seated, sealed), attempt), verdict) in all.zip(verdicts) {
            match verdict {
                Verdict::Go => {
                    going.push((seated, sealed));
                    attempts.push(attempt);
                }
                Verdict::Back { state, reason } => {
                    if matches!(reason, Reason::Late { .. }) && self.written.len() < MOST_WRITTEN {
                        self.written.insert(seated.message.id, Written::new(&seated.message, sealed));
                    }
                    refused.push((seated, state, reason));
                }
                Verdict::Lost => {
                    tracing::info!(message = seated.message.id, "the claim was lost");
                    drop(seated.carrier.into_permit());
                }
            }
        }
        intended.departing = going;
        intended.attempts = attempts;
        Ok(refused)
    }

    /// Commits, and starts the hand-overs. `false`: how the commit ended is not known. Then nothing was sent for
    /// certain and whether the intent stands is not known; a `not_started` puts both right: it finds the attempt
    /// if it is there (SEND_PROTOCOL 8).
    async fn commit(&self, tx: Tx, intended: Intended, route: &Route, now: Millis) -> bool {
        let goes = !intended.departing.is_empty();
        if goes {
            point("intent-written");
        }
        let committed = match tokio::time::timeout(INTENT_TIMEOUT, tx.commit()).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "an intent's commit failed");
                false
            }
            Err(_) => false,
        };
        if goes {
            point("intent-committed");
        }
        let Intended { departing, attempts, worker, intent_at, at, .. } = intended;
        for ((seated, sealed), attempt) in departing.into_iter().zip(attempts) {
            if !committed {
                let Seated { message, carrier } = seated;
                hand_over::not_started(&self.ctx, message, carrier, attempt, sealed.subject, now);
                continue;
            }
            let departing = self.departing(route, (seated, sealed), attempt, worker, (intent_at, at));
            hand_over::start(self.ctx.clone(), departing);
        }
        committed
    }

    fn departing(
        &self,
        route: &Route,
        (seated, sealed): (Seated, Sealed),
        attempt: i64,
        worker: i64,
        (intent_at, at): (i64, Millis),
    ) -> Departing {
        Departing {
            message: seated.message,
            carrier: seated.carrier,
            attempt,
            sealed,
            sender: route.from.address.clone(),
            worker,
            intent_at,
            at,
            under_way: self.under_way.clone(),
            bell: self.bell.clone(),
            slow_until: self.slow_until.clone(),
        }
    }

    /// The bytes of each row; one that cannot be built is held.
    async fn seal(
        &mut self,
        route: &Route,
        seated: Vec<Seated>,
        now: Millis,
    ) -> Result<(Vec<(Seated, Sealed)>, Refused)> {
        let (mut departing, mut refused) = (Vec::new(), Vec::new());
        let earlier = self.earlier(&seated).await?;
        for seated in seated {
            if let Some(reason) = forbidden(route, &seated.message) {
                refused.push((seated, "held", reason));
                continue;
            }
            let thread = earlier.get(&seated.message.enrolment_id).map_or(&[][..], Vec::as_slice);
            let campaign = self.campaign_name(&seated.message).await?;
            let written = self.written.remove(&seated.message.id).and_then(|w| w.of(&seated.message, thread));
            let sealed = match written {
                Some(sealed) => Ok(sealed),
                None => letter::seal(&self.ctx, route, &seated.message, &campaign, thread, now),
            };
            match sealed {
                Ok(sealed) => departing.push((seated, sealed)),
                Err(error) => {
                    let reason = Reason::WritingFailed { detail: error.to_string() };
                    refused.push((seated, "held", reason));
                }
            }
        }
        Ok((departing, refused))
    }

    async fn write_back(&self, tx: &mut Tx, route: &Route, refused: &Refused, now: Millis) -> Result<()> {
        if refused.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> =
            refused.iter().map(|(s, state, reason)| (&s.message, *state, reason.clone())).collect();
        intents::put_back(tx, self.profile, &route.rates, &rows, now).await
    }

    pub(super) async fn put_back(&mut self, route: &Route, refused: Refused, now: Millis) -> Result<()> {
        if refused.is_empty() {
            return Ok(());
        }
        let mut tx = self.ctx.store.begin_promptly().await?;
        self.write_back(&mut tx, route, &refused, now).await?;
        tx.commit().await?;
        refused.into_iter().for_each(|(seated, ..)| drop(seated.carrier.into_permit()));
        self.route = None; // It may be the profile that changed.
        Ok(())
    }

    /// The accepted messages of those enrolments whose step quotes them.
    async fn earlier(&self, seated: &[Seated]) -> Result<HashMap<i64, Vec<Earlier>>> {
        let mut wanted = Vec::new();
        for Seated { message, .. } in
            seated.iter().filter(|s| s.message.step_number > 1 && s.message.kind == "step")
        {
            let (account, campaign) = (message.account_id, message.campaign_id);
            let script = self.ctx.scripts.get(&self.ctx.store, account, campaign, message.version).await?;
            if script.sequence.step(message.step_number).is_some_and(|step| step.include_previous_emails) {
                wanted.push(message.enrolment_id);
            }
        }
        let mut found: HashMap<i64, Vec<Earlier>> = HashMap::new();
        if !wanted.is_empty() {
            let mut tx = self.ctx.store.read().await?;
            for email in writing::earlier(&mut tx, &wanted).await? {
                found.entry(email.enrolment_id).or_default().push(email);
            }
            tx.commit().await?;
        }
        Ok(found)
    }

    /// Only a message without a subject needs its campaign's name.
    async fn campaign_name(&self, message: &Claimed) -> Result<String> {
        if !message.subject.is_empty() || message.channel.is_phone() {
            return Ok(String::new());
        }
        let mut tx = self.ctx.store.read().await?;
        let campaign = match message.campaign_id {
            0 => heads::campaign_of_message(&mut tx, message.id).await?.unwrap_or_default(),
            campaign => campaign,
        };
        let head = heads::head(&mut tx, campaign).await?;
        tx.commit().await?;
        Ok(head.map(|h| h.name).unwrap_or_default())
    }
}
