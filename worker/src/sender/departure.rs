//! T2 of a sender's claimed rows, and what becomes of those that may not go (SEND_PROTOCOL 3, 4, 8).

use super::{Seated, Sender};
use crate::hand_over::{self, Departing};
use crate::letter;
use crate::outlet::Route;
use sendwright_store::claims::Claimed;
use sendwright_store::clock::boot_millis;
use sendwright_store::intents::{self, Verdict};
use sendwright_store::writing::{self, Earlier};
use sendwright_store::{Result, heads};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::reason::{Cause, Reason};
use std::collections::HashMap;
use std::time::Duration;

/// How long the intent's transaction may take before its outcome counts as unknown.
const INTENT_TIMEOUT: Duration = Duration::from_secs(2);

impl Sender {
    /// T2 for the rows whose slot has come, then their hand-overs, detached.
    pub(super) async fn begin(&mut self, ripe: Vec<Seated>, now: Millis) -> Result<()> {
        let route = self.route(now).await?;
        if !self.ctx.life.is_ready(&self.ctx) {
            let outage = Reason::Late { cause: Cause::Outage };
            let refused = ripe.into_iter().map(|seated| (seated, "drafted", outage.clone())).collect();
            return self.put_back(&route, refused, now).await;
        }
        let (mut departing, mut refused) = (Vec::new(), Vec::new());
        let earlier = self.earlier(&ripe).await?;
        for seated in ripe {
            let thread = earlier.get(&seated.message.enrolment_id).map_or(&[][..], Vec::as_slice);
            let campaign = self.campaign_name(&seated.message).await?;
            match letter::seal(&self.ctx, &route, &seated.message, &campaign, thread, now) {
                Ok(sealed) => departing.push((seated, sealed)),
                Err(error) => {
                    let reason = Reason::WritingFailed { detail: error.to_string() };
                    refused.push((seated, "held", reason));
                }
            }
        }
        let attempts = self.ctx.store.ids.take("attempts", departing.len()).await?;
        let rows: Vec<_> =
            departing.iter().zip(attempts.clone()).map(|((s, _), id)| (&s.message, id)).collect();
        let (intent_at, worker) = (boot_millis(), self.ctx.life.id());
        let (at, verdicts) = match tokio::time::timeout(INTENT_TIMEOUT, self.intend(&rows, worker)).await {
            Ok(Ok(intents)) => intents,
            // Nothing was sent for certain; whether the intent stands is not known. Both are put right by a
            // `not_started`, which finds the attempt if it is there (SEND_PROTOCOL 8).
            failed => {
                if let Ok(Err(error)) = &failed {
                    tracing::warn!(%error, "an intent failed");
                }
                departing.into_iter().zip(attempts).for_each(|((seated, sealed), attempt)| {
                    hand_over::not_started(
                        &self.ctx,
                        seated.message,
                        seated.carrier,
                        attempt,
                        sealed.subject,
                        now,
                    );
                });
                return self.put_back(&route, refused, now).await;
            }
        };
        for (((seated, sealed), attempt), verdict) in departing.into_iter().zip(attempts).zip(verdicts) {
            match verdict {
                Verdict::Lost => {
                    tracing::info!(message = seated.message.id, "the claim was lost");
                    drop(seated.carrier.into_permit());
                }
                Verdict::Back { state, reason } => refused.push((seated, state, reason)),
                Verdict::Go => {
                    let departing = Departing {
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
                    };
                    hand_over::start(self.ctx.clone(), departing);
                }
            }
        }
        self.put_back(&route, refused, now).await
    }

    async fn intend(&self, rows: &[(&Claimed, i64)], worker: i64) -> Result<(Millis, Vec<Verdict>)> {
        let Some((first, _)) = rows.first() else { return Ok((0, Vec::new())) };
        let mut tx = self.ctx.store.begin().await?;
        let intents =
            intents::intend(&mut tx, first.account_id, worker, rows, self.ctx.clock.as_ref()).await?;
        tx.commit().await?;
        Ok(intents)
    }

    pub(super) async fn put_back(
        &mut self,
        route: &Route,
        refused: Vec<(Seated, &'static str, Reason)>,
        now: Millis,
    ) -> Result<()> {
        if refused.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> =
            refused.iter().map(|(s, state, reason)| (&s.message, *state, reason.clone())).collect();
        let mut tx = self.ctx.store.begin().await?;
        intents::put_back(&mut tx, self.profile, &route.rates, &rows, now).await?;
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
        if !message.subject.is_empty() {
            return Ok(String::new());
        }
        let mut tx = self.ctx.store.read().await?;
        let head = heads::head(&mut tx, message.campaign_id).await?;
        tx.commit().await?;
        Ok(head.map(|h| h.name).unwrap_or_default())
    }
}
