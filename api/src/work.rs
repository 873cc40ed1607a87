//! One mutation: one transaction that holds its effect, its audit line and its stored answer.
//!
//! Ids are taken before it begins, hints are left after it is committed, and a [`Work`] that is dropped has
//! done nothing.

use crate::answer::Answer;
use crate::refusal::Refusal;
use crate::state::Core;
use sendwright_queue::Job;
use sendwright_store::audits::{self, Audit};
use sendwright_store::idempotency::{self, Found};
use sendwright_store::{Store, Tx};
use sendwright_workflows::clock::Millis;
use serde_json::Value;
use std::ops::Range;

/// On whose behalf something is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The account it is done in.
    pub account: i64,
    /// As the audit has it: `key:12`, `command`, `recipient`.
    pub who: String,
    /// As ledgers have it: `api`, `command`, `unsubscribe_link`.
    pub source: &'static str,
    /// The request, where there is one.
    pub request_id: Option<String>,
}

impl Actor {
    /// A person at the command line.
    pub fn command(account: i64) -> Self {
        Self { account, who: "command".into(), source: "command", request_id: None }
    }
}

/// An `Idempotency-Key` and the hash of the request that came with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The caller's key.
    pub key: String,
    /// SHA-256 of method, path and body, hex.
    pub request: String,
}

/// Whether what is done forbids hand-overs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barrier {
    /// It does not.
    None,
    /// It does: the account's barrier is held exclusively (SEND_PROTOCOL 4).
    Exclusive,
}

/// A mutation under way.
pub struct Work<'c> {
    core: &'c Core,
    actor: Actor,
    once: Option<Once>,
    now: Millis,
    tx: Option<Tx>,
    audit_id: i64,
    audit: Option<Audit>,
    hints: Vec<Job>,
}

impl<'c> Work<'c> {
    /// Nothing is open yet.
    pub fn new(core: &'c Core, actor: Actor) -> Result<Self, Refusal> {
        let now = core.now()?;
        Ok(Self { core, actor, once: None, now, tx: None, audit_id: 0, audit: None, hints: vec![] })
    }

    /// Does it once for an `Idempotency-Key`.
    pub fn once(mut self, once: Option<Once>) -> Self {
        self.once = once;
        self
    }

    /// The instant it happens at.
    pub fn now(&self) -> Millis {
        self.now
    }

    /// The account it happens in.
    pub fn account(&self) -> i64 {
        self.actor.account
    }

    /// On whose behalf.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// What the process holds.
    pub fn core(&self) -> &'c Core {
        self.core
    }

    /// The store.
    pub fn store(&self) -> &'c Store {
        &self.core.store
    }

    /// Ascending numbers for rows; before [`begin`](Self::begin).
    pub async fn ids(&self, table: &'static str, count: usize) -> Result<Range<i64>, Refusal> {
        Ok(self.core.store.ids.take(table, count).await?)
    }

    /// Opens the transaction. A key that has its answer already ends it here, [`Refusal::Replayed`].
    pub async fn begin(&mut self, barrier: Barrier) -> Result<(), Refusal> {
        self.audit_id = self.core.store.ids.one("audits").await?;
        let mut tx = self.core.store.begin().await?;
        if let Some(once) = &self.once {
            let found =
                idempotency::take(&mut tx, self.actor.account, &once.key, &once.request, self.now).await?;
            if found != Found::New {
                tx.rollback().await?;
                return Err(used(found));
            }
        }
        if barrier == Barrier::Exclusive {
            tx.barrier(self.actor.account, true).await?;
        }
        self.tx = Some(tx);
        Ok(())
    }

    /// The transaction. Asking before [`begin`](Self::begin) is a defect.
    pub fn tx(&mut self) -> Result<&mut Tx, Refusal> {
        self.tx.as_mut().ok_or(Refusal::Internal)
    }

    /// The audit line: one a mutation, counts and versions only.
    pub fn audit(&mut self, action: &str, noun: &str, noun_id: Option<i64>, data: &Value) {
        self.audit = Some(Audit {
            id: self.audit_id,
            account_id: self.actor.account,
            actor: self.actor.who.clone(),
            action: action.into(),
            noun: noun.into(),
            noun_id,
            request_id: self.actor.request_id.clone(),
            data: data.to_string(),
            at: self.now,
        });
    }

    /// A hint to leave once it is committed.
    pub fn hint(&mut self, job: Job) {
        self.hints.push(job);
    }

    /// Stores the answer, commits, leaves the hints, and gives the answer back.
    pub async fn answer(self, answer: Answer) -> Result<Answer, Refusal> {
        self.answer_once(answer.clone(), answer).await
    }

    /// The same with a secret in what is given back, which is told this once: `stored` is without it.
    pub async fn answer_once(mut self, stored: Answer, given: Answer) -> Result<Answer, Refusal> {
        let (account, now, once) = (self.actor.account, self.now, self.once.take());
        if let Some(once) = once {
            let stored = (i64::from(stored.status), stored.body.as_str());
            idempotency::store(self.tx()?, account, &once.key, &once.request, stored, now).await?;
        }
        self.commit().await?;
        Ok(given)
    }

    /// Commits and leaves the hints, for callers that are not answered in JSON.
    pub async fn commit(mut self) -> Result<(), Refusal> {
        if let Some(line) = self.audit.take() {
            audits::add(self.tx()?, &line).await?;
        }
        if let Some(tx) = self.tx.take() {
            tx.commit().await?;
        }
        self.hints.iter().for_each(|job| self.core.queue.push(*job));
        Ok(())
    }
}

/// What a key that is not new is answered with.
fn used(found: Found) -> Refusal {
    let text = "a request with this Idempotency-Key is under way; ask again for its answer";
    match found {
        Found::New | Found::Busy => Refusal::Conflict("idempotency_key_busy", text.into()),
        Found::Other => Refusal::OtherRequest,
        Found::Answered(status, body) => match u16::try_from(status) {
            Ok(status) => Refusal::Replayed(Answer { status, body }),
            Err(_) => Refusal::Internal,
        },
    }
}
