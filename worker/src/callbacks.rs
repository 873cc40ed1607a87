//! What a provider says of messages on their way: proof that it took them, then how far they came (SEND_PROTOCOL 9, 16).

use crate::context::Context;
use crate::proof::prove_attempts;
use crate::stop::{self, Stopped};
use sendwright_queue::Job;
use sendwright_store::answers;
use sendwright_store::callbacks::{self, Change, Subject, Waiting};
use sendwright_store::consents::Numbers;
use sendwright_store::events::{self, NewEvent};
use sendwright_store::suppressions::{self, Suppression};
use sendwright_store::{Result, Tx};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::event::on_channel;
use sendwright_workflows::message::State;
use sendwright_workflows::twilio_code::{Remedy, find, remedy};
use serde_json::json;
use std::collections::BTreeSet;

/// Callbacks taken at once.
const BATCH: i64 = 64;
/// Events that one callback may tell: that it came, and that it was read.
const MOST_TOLD: usize = 2;

/// Acts on a batch of callbacks. Answers how many were done with; what is about no known message waits, and is looked at
/// again until it is a day old.
pub async fn pass(ctx: &Context, now: Millis) -> Result<usize> {
    let mut tx = ctx.store.begin().await?;
    let taken = callbacks::take(&mut tx, BATCH, now).await?;
    tx.commit().await?;
    let (known, gone) = sort(ctx, taken, now).await?;
    let unproven: BTreeSet<i64> =
        known.iter().filter(|(_, s)| is_unproven(s)).map(|(_, s)| s.attempt_id).collect();
    let unproven: Vec<i64> = unproven.into_iter().collect();
    prove_attempts(ctx, &unproven, "the provider called back", now).await?;
    let done = known.len() + gone.len();
    if let Err(error) = act(ctx, &known, &gone, now).await {
        tracing::warn!(%error, "callbacks are acted on one by one");
        act(ctx, &[], &gone, now).await?;
        for one in &known {
            if let Err(error) = act(ctx, std::slice::from_ref(one), &[], now).await {
                tracing::warn!(%error, callback = one.0.id, "a callback is looked at again later");
            }
        }
    }
    Ok(done)
}

/// Those that are about a message that their signature speaks for, and those that are about none and have waited enough.
async fn sort(
    ctx: &Context,
    taken: Vec<Waiting>,
    now: Millis,
) -> Result<(Vec<(Waiting, Subject)>, Vec<i64>)> {
    let (mut known, mut gone) = (Vec::new(), Vec::new());
    if taken.is_empty() {
        return Ok((known, gone));
    }
    let mut tx = ctx.store.read().await?;
    for waiting in taken {
        match callbacks::subject(&mut tx, &waiting).await? {
            Some(subject) if waiting.speaks_for(subject.profile_id, &subject.transport) => {
                known.push((waiting, subject));
            }
            Some(subject) => {
                tracing::warn!(
                    message = subject.message_id,
                    "a callback was signed by somebody else; left alone"
                );
                gone.push(waiting.id);
            }
            None if now - waiting.received_at >= callbacks::KEPT => gone.push(waiting.id),
            None => {}
        }
    }
    tx.commit().await?;
    // One order for all who lock messages.
    known.sort_by_key(|(waiting, subject)| (subject.message_id, waiting.received_at, waiting.id));
    Ok((known, gone))
}

fn is_unproven(subject: &Subject) -> bool {
    !State::parse(&subject.state).is_some_and(State::was_accepted)
}

/// Acts on callbacks and removes them, in one transaction; another worker may have been first.
async fn act(ctx: &Context, known: &[(Waiting, Subject)], gone: &[i64], now: Millis) -> Result<()> {
    let ids: Vec<i64> = known.iter().map(|(waiting, _)| waiting.id).chain(gone.iter().copied()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let mut told = ctx.store.ids.take("events", MOST_TOLD * known.len()).await?;
    let mut forbids = Vec::with_capacity(known.len());
    for (waiting, _) in known {
        forbids.push(Rows::take(ctx, waiting).await?);
    }
    let mut tx = ctx.store.begin().await?;
    // Addresses are locked before messages, by everybody.
    for account in
        known.iter().filter(|(w, _)| is_for_good(w)).map(|(_, s)| s.account_id).collect::<BTreeSet<_>>()
    {
        tx.lock_addresses(account).await?;
    }
    let ours = callbacks::remove(&mut tx, &ids).await?;
    let (mut events, mut accounts) = (Vec::new(), BTreeSet::new());
    for ((waiting, subject), rows) in known.iter().zip(forbids).filter(|((w, _), _)| ours.contains(&w.id)) {
        let change = callbacks::advance(&mut tx, subject, waiting, now).await?;
        if change.bounced
            && let Some(rows) = rows
        {
            forbid(&mut tx, (waiting, subject), rows, now).await?;
        }
        for what in whats(change) {
            events.extend(event(told.next().unwrap_or_default(), what, waiting, subject));
            accounts.insert(subject.account_id);
        }
    }
    events::insert(&mut tx, &events).await?;
    tx.commit().await?;
    accounts.into_iter().for_each(|account| ctx.queue.push(Job::Sequence { account }));
    Ok(())
}

fn whats(change: Change) -> impl Iterator<Item = &'static str> {
    let all = [(change.delivered, "delivered"), (change.bounced, "bounced"), (change.read, "opened")];
    all.into_iter().filter(|(is_so, _)| *is_so).map(|(_, what)| what)
}

fn event(id: i64, what: &str, of: &Waiting, subject: &Subject) -> Option<NewEvent> {
    let some = |id: i64| (id > 0).then_some(id);
    let known = of.code.and_then(|code| find(u32::try_from(code).ok()?));
    let mut data = json!({
        "phone": subject.address, "step": subject.step_number, "provider_id": of.provider_id, "status": of.status,
    });
    match what {
        "bounced" => {
            data["code"] = json!(of.code);
            data["detail"] = json!(known.map(|known| known.meaning));
            data["permanent"] = json!(is_for_good(of));
        }
        "opened" => data["by"] = json!("person"),
        _ => {}
    }
    Some(NewEvent {
        id,
        account_id: subject.account_id,
        kind: on_channel(&subject.channel, what)?,
        campaign_id: some(subject.campaign_id),
        contact_id: some(subject.contact_id),
        enrolment_id: some(subject.enrolment_id),
        message_id: Some(subject.message_id),
        data: data.to_string(),
        at: of.received_at,
    })
}

fn follows(of: &Waiting) -> Option<Remedy> {
    of.code.map(|code| remedy(u32::try_from(code).ok(), 400))
}

fn is_for_good(of: &Waiting) -> bool {
    matches!(follows(of), Some(Remedy::BadNumber | Remedy::Stopped))
}

/// Row numbers, taken before the transaction.
struct Rows {
    suppression: i64,
    consents: Numbers,
}

impl Rows {
    async fn take(ctx: &Context, of: &Waiting) -> Result<Option<Self>> {
        if !is_for_good(of) {
            return Ok(None);
        }
        let ids = &ctx.store.ids;
        let consents = stop::numbers(ids).await?;
        Ok(Some(Self { suppression: ids.one("suppressions").await?, consents }))
    }
}

/// The number is bad, or its owner has said STOP to the provider: nothing more goes there, and the enrolment ends. No
/// promise rests on either, so neither takes the barrier (SEND_PROTOCOL 4).
async fn forbid(tx: &mut Tx, (of, subject): (&Waiting, &Subject), rows: Rows, now: Millis) -> Result<()> {
    if follows(of) == Some(Remedy::Stopped) {
        let stopped = Stopped {
            account: subject.account_id,
            contact: subject.contact_id,
            address: &subject.address,
            address_hash: &subject.address_hash,
            evidence: json!({ "provider_id": of.provider_id, "code": of.code }).to_string(),
        };
        stop::record(tx, &stopped, rows.consents, now).await?;
    } else {
        let new = Suppression {
            id: rows.suppression,
            account_id: subject.account_id,
            channel: subject.channel.clone(),
            address_hash: subject.address_hash.clone(),
            hint: stop::hint(&subject.address),
            why: "bounced".into(),
            source: "provider".into(),
            created_at: now,
        };
        suppressions::add(tx, &new).await?;
    }
    answers::stop_bounced(tx, subject.enrolment_id, &callbacks::reason(of.code), now).await
}
