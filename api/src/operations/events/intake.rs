//! Events of callers' own, committed in groups: what comes while one commit is under way makes the next. Each is answered
//! once its own commit is.

use crate::refusal::Refusal;
use crate::state::Core;
use sendwright_queue::Job;
use sendwright_store::events;
use std::sync::{Arc, OnceLock};
use tokio::sync::{mpsc, oneshot};

/// Most events of one commit.
const GROUP: usize = 256;

/// An event that waits for its commit.
struct Waiting {
    account: i64,
    kind: String,
    data: String,
    done: oneshot::Sender<Result<i64, Refusal>>,
}

/// Where they are handed in. One for a process.
#[derive(Clone, Default)]
pub struct Intake(Arc<OnceLock<mpsc::UnboundedSender<Waiting>>>);

impl Intake {
    /// Adds an event; answers its row once it is committed.
    pub async fn add(&self, core: &Core, account: i64, kind: String, data: String) -> Result<i64, Refusal> {
        let (done, answer) = oneshot::channel();
        let sender = self.0.get_or_init(|| {
            let (sender, waiting) = mpsc::unbounded_channel();
            tokio::spawn(run(core.clone(), waiting));
            sender
        });
        sender.send(Waiting { account, kind, data, done }).map_err(|_| Refusal::Internal)?;
        answer.await.map_err(|_| Refusal::Internal)?
    }
}

async fn run(core: Core, mut waiting: mpsc::UnboundedReceiver<Waiting>) {
    let mut group = Vec::with_capacity(GROUP);
    while waiting.recv_many(&mut group, GROUP).await > 0 {
        let done = commit(&core, &group).await;
        let mut accounts: Vec<i64> = group.iter().map(|one| one.account).collect();
        accounts.dedup();
        if done.is_ok() {
            accounts.into_iter().for_each(|account| core.queue.push(Job::Sequence { account }));
        }
        for (n, one) in (0..).zip(group.drain(..)) {
            // Who has gone meanwhile is answered by nobody; the event stands.
            let _ = one.done.send(done.clone().map(|first| first + n));
        }
    }
}

/// The first row of the group; the others follow.
async fn commit(core: &Core, group: &[Waiting]) -> Result<i64, Refusal> {
    let now = core.now()?;
    let first = core.store.ids.take("events", group.len()).await?.start;
    let rows: Vec<_> = (first..)
        .zip(group)
        .map(|(id, one)| serde_json::json!([id, one.account, one.kind, one.data]))
        .collect();
    let mut tx = core.store.begin().await?;
    events::insert_own(&mut tx, &rows, now).await?;
    tx.commit().await?;
    Ok(first)
}
