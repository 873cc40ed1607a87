//! The steps of one hand-over, one at a time: what lies between them is what the protocol is about.

use super::engine::{Lead, World, context};
use sendwright_store::claims::{self, Claimed, Way};
use sendwright_store::intents::{self, Verdict};
use sendwright_store::suppressions::{self, Suppression};
use sendwright_store::{Db, Tx};
use sendwright_worker::channels::Outcome as Said;
use sendwright_worker::context::Context;
use sendwright_worker::handlers::plan;
use sendwright_worker::{recorder, recovery, verdict};
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::sequence::{Channel, Step};
use std::sync::Arc;

impl World {
    /// A campaign whose people are planned and drafted at this very instant.
    pub async fn drafted(&self, people: usize, rates: &Rates, policy: &Policy, steps: &[Step]) -> (i64, i64) {
        let profile = self.profile("main", rates).await;
        let campaign = self.campaign("One", profile, policy, steps).await;
        let leads: Vec<Lead> =
            (0..people).map(|n| Lead { email: format!("p{n}@example.com"), zone: None }).collect();
        self.enrol(campaign, &leads).await;
        while plan::pass(&self.ctx, self.clock.read()).await.unwrap() > 0 {}
        (profile, campaign)
    }

    /// Another worker process on the same database.
    pub async fn other(&self) -> Arc<Context> {
        context(self.ctx.store.db.clone(), self.clock.clone(), |_| {}).await
    }

    /// Runs a statement and commits it.
    pub async fn exec(&self, sql: &'static str) {
        let mut tx = self.ctx.store.begin().await.unwrap();
        tx.barrier(self.account, true).await.unwrap();
        match &mut tx {
            Tx::Postgres(tx) => drop(sqlx::query(sql).execute(&mut **tx).await.unwrap()),
            Tx::Sqlite(tx) => drop(sqlx::query(sql).execute(&mut **tx).await.unwrap()),
        }
        tx.commit().await.unwrap();
    }

    /// One number.
    pub async fn number(&self, sql: &'static str) -> i64 {
        self.rows::<(Option<i64>,)>(sql).await[0].0.unwrap_or_default()
    }

    /// The rows as `a|b`, in the query's order.
    pub async fn pairs(&self, sql: &'static str) -> Vec<String> {
        let rows: Vec<(String, String)> = self.rows(sql).await;
        rows.into_iter().map(|(a, b)| format!("{a}|{b}")).collect()
    }

    /// Events in the order they happened.
    pub async fn events(&self) -> Vec<String> {
        let rows: Vec<(String,)> = self.rows("SELECT kind FROM events ORDER BY at, id").await;
        rows.into_iter().map(|r| r.0).collect()
    }

    /// Message-IDs of what the mailbox holds.
    pub async fn mailbox(&self) -> Vec<String> {
        let rows: Vec<(String,)> = self.rows("SELECT raw FROM mailbox ORDER BY received_at, id").await;
        let id = |raw: String| raw.lines().find_map(|l| l.strip_prefix("Message-ID: ").map(str::to_owned));
        rows.into_iter().map(|r| id(r.0).unwrap()).collect()
    }

    /// Whether this runs on Postgres.
    pub fn is_postgres(&self) -> bool {
        matches!(self.ctx.store.db, Db::Postgres(_))
    }
}

/// T1 of at most `most` rows.
pub async fn claim(ctx: &Context, profile: i64, most: usize) -> Vec<Claimed> {
    let (now, rates) = (ctx.clock.now().unwrap(), Rates::default());
    let mut tx = ctx.store.begin().await.unwrap();
    let claim = claims::claim(
        &mut tx,
        Way { profile, channel: Channel::Email, rates: &rates },
        ctx.life.id(),
        most,
        now,
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    claim.claimed
}

/// T2 of one row: its attempt and what was said.
pub async fn intend(ctx: &Context, message: &Claimed) -> (i64, Verdict) {
    let attempt = ctx.store.ids.one("attempts").await.unwrap();
    let mut tx = ctx.store.begin().await.unwrap();
    let rows = [(message, attempt)];
    let (_, verdicts) =
        intents::intend(&mut tx, message.account_id, ctx.life.id(), &rows, Vec::new(), ctx.clock.as_ref())
            .await
            .unwrap();
    tx.commit().await.unwrap();
    (attempt, verdicts.into_iter().next().unwrap())
}

/// T3 of one attempt.
pub async fn record(ctx: &Context, message: &Claimed, attempt: i64, said: Said) {
    let now = ctx.clock.now().unwrap();
    let ended = verdict::ended(ctx, message, attempt, &message.subject, said, now).await;
    recorder::settle(ctx, &mut [ended.outcome]).await;
}

pub fn yes() -> Said {
    Said::Accepted { code: 250, reply: "queued".into() }
}

/// The opt-out of an address, as the API commits it; the attempts to it that were committed before.
pub async fn opt_out(ctx: &Context, account: i64, address_hash: &str) -> i64 {
    let id = ctx.store.ids.one("suppressions").await.unwrap();
    let new = Suppression {
        id,
        account_id: account,
        channel: "email".into(),
        address_hash: address_hash.into(),
        hint: "p***@example.com".into(),
        why: "opt_out".into(),
        source: "unsubscribe_link".into(),
        created_at: ctx.clock.now().unwrap(),
    };
    let mut tx = ctx.store.begin().await.unwrap();
    tx.barrier(account, true).await.unwrap();
    suppressions::add(&mut tx, &new).await.unwrap();
    let before =
        suppressions::open_hand_overs(&mut tx, account, &[address_hash.to_owned()], 0).await.unwrap();
    tx.commit().await.unwrap();
    before
}

/// A worker process dies, and another finds out.
pub async fn dies(dead: &Context, observer: &Context) {
    let mut tx = observer.store.read().await.unwrap();
    let alive = sendwright_store::workers::alive(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    let beat = alive.iter().find(|w| w.id == dead.life.id()).unwrap().beat;
    assert!(recovery::give_up(observer, dead.life.id(), beat).await.unwrap());
}
