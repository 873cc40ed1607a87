//! A worker's life: its row, its beat, and the right to hand over that hangs on it.

use crate::context::Context;
use crate::journal::Journal;
use crate::latest;
use sendwright_store::clock::boot_millis;
use sendwright_store::{Result, recovery, workers};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A beat is not given up sooner than this: a new connection takes its time.
const SOONEST: Duration = Duration::from_secs(2);

/// One process's lease on its claims.
pub struct Life {
    lease: Duration,
    id: AtomicI64,
    /// Boot-time milliseconds at which the last beat that succeeded was sent.
    beaten: AtomicI64,
    journal: RwLock<Option<Arc<Journal>>>,
}

impl Life {
    /// A life that has not begun.
    pub fn new(lease: Duration) -> Self {
        Self {
            lease,
            id: AtomicI64::new(0),
            beaten: AtomicI64::new(i64::MIN / 2),
            journal: RwLock::new(None),
        }
    }

    /// The worker's row.
    pub fn id(&self) -> i64 {
        self.id.load(Ordering::Relaxed)
    }

    /// Whether a hand-over of `worker` may still go past its dot: others wait a whole lease before they give a
    /// worker up, so half of it is a safe bound for the worker itself. A life that began anew does not carry
    /// what was begun in the one before.
    pub fn holds(&self, worker: i64) -> bool {
        self.id() == worker
            && boot_millis() - self.beaten.load(Ordering::Relaxed) < self.lease.as_millis() as i64 / 2
    }

    /// The journal, where there is a directory for one.
    pub fn journal(&self) -> Option<Arc<Journal>> {
        self.journal.read().ok().and_then(|j| j.clone())
    }

    /// Whether hand-overs may begin: the journal, where there is to be one, takes lines.
    pub fn is_ready(&self, ctx: &Context) -> bool {
        let works = |journal: Arc<Journal>| journal.segment().is_ok();
        ctx.settings.journal.is_none() || self.journal().map_or_else(|| self.open_journal(ctx), works)
    }

    fn open_journal(&self, ctx: &Context) -> bool {
        let Some(root) = &ctx.settings.journal else { return true };
        let name = format!("{}-{}", self.id(), ctx.random_word());
        let journal = Journal::open(root, &name, self.id(), ctx.store.epoch())
            .inspect_err(|error| tracing::error!(%error, "the journal cannot be opened: no hand-over begins"))
            .ok();
        let opened = journal.is_some();
        if let Ok(mut slot) = self.journal.write() {
            *slot = journal.map(Arc::new);
        }
        opened
    }

    /// Enters the process under a fresh id, with a journal of its own.
    pub async fn begin(&self, ctx: &Context) -> Result<()> {
        let id = ctx.store.ids.one("workers").await?;
        let sent = boot_millis();
        let mut tx = ctx.store.begin().await?;
        let now = ctx.clock.now().unwrap_or_default();
        workers::register(&mut tx, id, &ctx.settings.name, ctx.settings.open_limit as i64, now).await?;
        tx.commit().await?;
        self.id.store(id, Ordering::Relaxed);
        latest::keep(ctx, id, 0);
        self.open_journal(ctx);
        self.beaten.store(sent, Ordering::Relaxed);
        tracing::info!(worker = id, "worker begins");
        Ok(())
    }

    /// Beats until told to stop. A worker that was given up begins anew: what it held under the old id is lost
    /// to it, and every intent under that id is refused.
    pub async fn keep(self: Arc<Self>, ctx: Arc<Context>, stop: CancellationToken) {
        let every = (self.lease / 12).max(Duration::from_millis(200));
        let patience = (self.lease / 4).max(SOONEST);
        while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            // A connection that is dead must not take the others' time.
            match tokio::time::timeout(patience, self.beat(&ctx)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "no heartbeat"),
                Err(_) => tracing::warn!("no heartbeat: the database does not answer"),
            }
        }
    }

    async fn beat(&self, ctx: &Context) -> Result<()> {
        let sent = boot_millis();
        let mut tx = ctx.store.begin().await?;
        let beat = workers::beat(&mut tx, self.id()).await?;
        tx.commit().await?;
        if let Some(beat) = beat {
            self.beaten.store(sent, Ordering::Relaxed);
            latest::keep(ctx, self.id(), beat);
            return Ok(());
        }
        tracing::warn!(worker = self.id(), "given up by others; beginning anew");
        self.begin(ctx).await
    }

    /// Ends in good order: nothing is in hand any more.
    pub async fn end(&self, ctx: &Context) -> Result<()> {
        let mut tx = ctx.store.begin().await?;
        let now = ctx.clock.now().unwrap_or_default();
        recovery::release(&mut tx, self.id(), |_| false, now).await?;
        let beat = workers::beat(&mut tx, self.id()).await?;
        workers::end(&mut tx, self.id()).await?;
        tx.commit().await?;
        if let Some(beat) = beat {
            latest::keep(ctx, self.id(), beat);
        }
        let journal = self.journal.write().ok().and_then(|mut j| j.take());
        if let Some(journal) = journal.and_then(Arc::into_inner) {
            journal.remove();
        }
        Ok(())
    }
}
