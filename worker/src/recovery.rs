//! What dead workers left behind: their journals first, then their rows.

use crate::channels::{Outcome as Said, Refusal, Stage, Told};
use crate::context::Context;
use crate::journal::{self, Found, Line};
use crate::outlet;
use crate::recorder::settle;
use crate::verdict::ended;
use sendwright_store::claims::Claimed;
use sendwright_store::clock::boot_millis;
use sendwright_store::recovery::{self, OpenAttempt};
use sendwright_store::{Result, heads, sending_profiles, workers};
use sendwright_workflows::clock::Millis;
use std::collections::HashMap;

/// Replays every journal whose owner is gone and settles that owner's rows at once: its death is proven.
pub async fn replay(ctx: &Context) -> Result<()> {
    let Some(root) = &ctx.settings.journal else { return Ok(()) };
    for found in journal::orphans(root) {
        if !ctx.store.epochs().any(|epoch| epoch == found.epoch) {
            tracing::warn!(directory = %found.directory.display(), "a journal speaks of another database; left alone");
            continue;
        }
        // A backup was restored: replies still prove what they say of its attempts, but what the journal has not may
        // have been recorded, and forgotten, after the backup was made.
        let is_whole = found.whole && found.epoch == ctx.store.epoch();
        replay_one(ctx, &found, is_whole).await?;
        found.remove();
    }
    Ok(())
}

async fn replay_one(ctx: &Context, found: &Found, is_whole: bool) -> Result<()> {
    let known = known(found);
    let mut tx = ctx.store.begin().await?;
    if workers::end(&mut tx, found.worker).await? {
        recovery::suspect(&mut tx, found.worker).await?;
    }
    let replied: Vec<i64> = known.iter().filter(|(_, reply)| reply.is_some()).map(|(id, _)| *id).collect();
    let mut attempts = recovery::attempts(&mut tx, &replied).await?;
    attempts.retain(|a| matches!(a.attempt_state.as_str(), "sending" | "uncertain"));
    let mut open = recovery::open_attempts(&mut tx, found.worker).await?;
    open.extend(recovery::uncertain_attempts(&mut tx, found.worker).await?);
    tx.commit().await?;
    attempts.extend(open.into_iter().filter(|a| !replied.contains(&a.attempt_id)));
    tracing::info!(worker = found.worker, attempts = attempts.len(), "a journal is replayed");
    record(ctx, attempts, |attempt| match known.get(&attempt.attempt_id) {
        Some(Some(reply)) => answer(reply),
        Some(None) => unknown().into(),
        // No dot was written, and the journal would know: certainly not sent.
        None if is_whole => {
            let reason = Refusal::Withdrawn("the worker died before the dot".into());
            Said::NotStarted { reason }.into()
        }
        None => unknown().into(),
    })
    .await?;
    release(ctx, found.worker).await
}

/// The attempts that a journal knows the dot of, with their replies.
fn known(found: &Found) -> HashMap<i64, Option<&Line>> {
    let mut known: HashMap<i64, Option<&Line>> = HashMap::new();
    for line in &found.lines {
        match line {
            Line::Dot { attempt } => drop(known.entry(*attempt).or_default()),
            Line::Reply { attempt, .. } => drop(known.insert(*attempt, Some(line))),
            Line::Open { .. } => {}
        }
    }
    known
}

fn answer(line: &Line) -> Told {
    let Line::Reply { code, text, permanent, stage, enhanced, receipt, .. } = line else {
        return unknown().into();
    };
    let said = match *code {
        200..300 => Said::Accepted { code: *code, reply: text.clone() },
        code => Said::Refused {
            stage: if stage == "rcpt" { Stage::Rcpt } else { Stage::Answer },
            code,
            reply: text.clone(),
            permanent: *permanent,
            enhanced: enhanced.clone(),
        },
    };
    Told { said, receipt: receipt.clone() }
}

fn unknown() -> Said {
    Said::Unknown { detail: "the worker died during the hand-over".into() }
}

/// Settles an attempt of this process whose task has panicked once it was under way: how it ended is not known.
pub(crate) async fn broke_off(ctx: &Context, attempt: i64) -> Result<()> {
    let mut tx = ctx.store.read().await?;
    let mut found = recovery::attempts(&mut tx, &[attempt]).await?;
    tx.commit().await?;
    found.retain(|attempt| attempt.attempt_state == "sending");
    record(ctx, found, |_| Said::Unknown { detail: "the hand-over broke off".into() }.into()).await
}

/// Declares a worker dead whose beat still reads as `seen`, and settles its rows. `false`: it moved.
pub async fn give_up(ctx: &Context, worker: i64, seen: i64) -> Result<bool> {
    let mut tx = ctx.store.begin().await?;
    let given_up = workers::bury(&mut tx, worker, seen).await?;
    if given_up {
        recovery::suspect(&mut tx, worker).await?;
    }
    tx.commit().await?;
    if given_up {
        settle_dead(ctx, worker).await?;
    }
    Ok(given_up)
}

/// Settles what a worker that is given up had in hand: hand-overs that had begun are uncertain, the rest is due.
pub async fn settle_dead(ctx: &Context, worker: i64) -> Result<()> {
    let mut tx = ctx.store.read().await?;
    let open = recovery::open_attempts(&mut tx, worker).await?;
    tx.commit().await?;
    tracing::warn!(worker, open = open.len(), "a worker is given up; its open hand-overs are uncertain");
    record(ctx, open, |_| unknown().into()).await?;
    release(ctx, worker).await
}

async fn release(ctx: &Context, worker: i64) -> Result<()> {
    let now = ctx.clock.now().unwrap_or_default();
    let mut tx = ctx.store.begin().await?;
    let released = recovery::release(&mut tx, worker, |_| false, now).await?;
    tx.commit().await?;
    if released > 0 {
        tracing::info!(worker, released, "claimed rows are due again");
        ctx.bells.send();
        ctx.bells.write.notify_one();
    }
    Ok(())
}

async fn record(
    ctx: &Context,
    attempts: Vec<OpenAttempt>,
    told: impl Fn(&OpenAttempt) -> Told,
) -> Result<()> {
    let now = ctx.clock.now().unwrap_or_default();
    let mut outcomes = Vec::with_capacity(attempts.len());
    for attempt in attempts {
        let told = told(&attempt);
        let (id, subject) = (attempt.attempt_id, attempt.subject.clone().unwrap_or_default());
        let message = claimed(ctx, attempt).await?;
        let mut outcome = ended(ctx, &message, id, &subject, told, now).await.outcome;
        outcome.crashed = true;
        outcomes.push(outcome);
    }
    for group in outcomes.chunks_mut(256) {
        settle(ctx, group).await;
    }
    Ok(())
}

/// An attempt as the claim that it began with.
pub(crate) async fn claimed(ctx: &Context, attempt: OpenAttempt) -> Result<Claimed> {
    let mut tx = ctx.store.read().await?;
    let head = heads::head(&mut tx, attempt.campaign_id).await?;
    let profile = sending_profiles::by_id(&mut tx, attempt.profile_id).await?;
    tx.commit().await?;
    let mut policy = head.map(|h| h.policy).unwrap_or_default();
    let own = profile.as_ref().and_then(|p| p.on_uncertain.as_deref());
    outlet::when_uncertain(&mut policy, own);
    Ok(Claimed {
        id: attempt.message_id,
        account_id: attempt.account_id,
        campaign_id: attempt.campaign_id,
        kind: attempt.kind,
        round: 0,
        enrolment_id: attempt.enrolment_id,
        contact_id: attempt.contact_id,
        profile_id: attempt.profile_id,
        channel: profile.as_ref().map(|p| p.channel()).unwrap_or_default(),
        step_number: attempt.step_number as u32,
        version: attempt.version,
        address: attempt.address,
        address_hash: attempt.address_hash,
        zone: attempt.zone.parse().unwrap_or_default(),
        planned_at: attempt.planned_at,
        fence: attempt.fence,
        // The intent has counted this attempt already.
        attempts: attempt.attempts - 1,
        slot: attempt.slot,
        subject: attempt.subject.unwrap_or_default(),
        body: String::new(),
        enclosed: None,
        reasons: "[]".into(),
        provider: None,
        policy,
    })
}

/// Settles what this process has no more in hand, though the database says so: an outcome whose commit a failover has
/// lost. And puts back what it has claimed and holds no more: a transaction whose COMMIT had no answer, a pass that an
/// error or a panic ended. That is no crash of the message.
async fn own(ctx: &Context) -> Result<()> {
    let Some(now) = ctx.clock.now() else { return Ok(()) };
    let worker = ctx.life.id();
    let mut tx = ctx.store.read().await?;
    let lease = ctx.settings.lease.as_millis() as Millis;
    let mut forgotten = recovery::forgotten_attempts(&mut tx, worker, now - lease).await?;
    tx.commit().await?;
    forgotten.retain(|attempt| !ctx.in_hand.has(attempt.message_id));
    if !forgotten.is_empty() {
        tracing::error!(
            forgotten = forgotten.len(),
            "the database has hand-overs as open that are over here"
        );
        let told = ctx.life.journal().map(|journal| journal.told());
        let known = told.as_ref().map(known).unwrap_or_default();
        // That the journal has no dot proves nothing here: what is recorded may be gone from it, and the record lost.
        let told = |id| known.get(&id).copied().flatten().map_or_else(|| unknown().into(), answer);
        record(ctx, forgotten, |attempt| told(attempt.attempt_id)).await?;
    }
    let mut tx = ctx.store.begin().await?;
    let released = recovery::release(&mut tx, worker, |message| ctx.in_hand.has(message), now).await?;
    tx.commit().await?;
    if released > 0 {
        tracing::warn!(released, "forgotten claims are due again");
        ctx.bells.send();
        ctx.bells.write.notify_one();
    }
    Ok(())
}

/// Watches other workers' beats by this process's boot-time clock.
#[derive(Default)]
pub struct Watch(HashMap<i64, (i64, i64)>);

impl Watch {
    /// One look: workers whose beat has stood still for a lease are given up, and their rows settled.
    pub async fn look(&mut self, ctx: &Context) -> Result<()> {
        let mut tx = ctx.store.read().await?;
        let alive = workers::alive(&mut tx).await?;
        let unfinished = workers::dead_with_rows(&mut tx).await?;
        tx.commit().await?;
        let now = boot_millis();
        self.0.retain(|id, _| alive.iter().any(|w| w.id == *id));
        for worker in alive {
            let seen = self.0.entry(worker.id).or_insert((worker.beat, now));
            if seen.0 != worker.beat {
                *seen = (worker.beat, now);
            } else if now - seen.1 > ctx.settings.lease.as_millis() as Millis && worker.id != ctx.life.id() {
                give_up(ctx, worker.id, worker.beat).await?;
            }
        }
        for worker in unfinished {
            settle_dead(ctx, worker).await?;
        }
        own(ctx).await
    }
}
