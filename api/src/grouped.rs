//! Small writes of many requests, committed in groups: what comes while one commit is under way makes the next. Each
//! request is answered once its own commit is.

use crate::refusal::Refusal;
use crate::state::Core;
use futures::future::BoxFuture;
use std::sync::{Arc, OnceLock};
use tokio::sync::{mpsc, oneshot};

/// Most writes of one commit.
const GROUP: usize = 256;
/// Most writes that wait; who comes then is told to come again.
const MOST_WAITING: usize = 8_192;

/// Commits a group in its order; answers the row of its first one, behind which the others follow.
pub type Commit<T> = fn(Core, Arc<[T]>) -> BoxFuture<'static, Result<i64, Refusal>>;

type Waiting<T> = (T, oneshot::Sender<Result<i64, Refusal>>);

/// Where they are handed in. One for a process and a kind of write.
pub struct Grouped<T> {
    commit: Commit<T>,
    sender: Arc<OnceLock<mpsc::Sender<Waiting<T>>>>,
}

impl<T> Clone for Grouped<T> {
    fn clone(&self) -> Self {
        Self { commit: self.commit, sender: self.sender.clone() }
    }
}

impl<T: Send + Sync + 'static> Grouped<T> {
    /// Groups that are committed so.
    pub fn new(commit: Commit<T>) -> Self {
        Self { commit, sender: Arc::default() }
    }

    /// Adds one; answers its row once it is committed. [`Refusal::Unavailable`] where too many wait.
    pub async fn add(&self, core: &Core, one: T) -> Result<i64, Refusal> {
        let (done, answer) = oneshot::channel();
        let sender = self.sender.get_or_init(|| {
            let (sender, waiting) = mpsc::channel(MOST_WAITING);
            tokio::spawn(run(core.clone(), self.commit, waiting));
            sender
        });
        sender.try_send((one, done)).map_err(|_| Refusal::Unavailable)?;
        answer.await.map_err(|_| Refusal::Internal)?
    }
}

async fn run<T>(core: Core, commit: Commit<T>, mut waiting: mpsc::Receiver<Waiting<T>>) {
    let mut group = Vec::with_capacity(GROUP);
    while waiting.recv_many(&mut group, GROUP).await > 0 {
        let (items, answers): (Vec<T>, Vec<_>) = group.drain(..).unzip();
        let done = commit(core.clone(), items.into()).await;
        for (n, answer) in (0..).zip(answers) {
            // Who has gone meanwhile is answered by nobody; the row stands.
            let _ = answer.send(done.clone().map(|first| first + n));
        }
    }
}
