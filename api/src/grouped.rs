//! What many requests ask of the database at once, done in groups: what comes while one group is under way makes the
//! next. Each request is answered once its own group is done, which began after the request came.

use crate::refusal::Refusal;
use crate::state::Core;
use futures::future::BoxFuture;
use std::sync::{Arc, OnceLock};
use tokio::sync::{mpsc, oneshot};

/// Most requests of one group.
const GROUP: usize = 256;
/// Most requests that wait; who comes then is told to come again.
const MOST_WAITING: usize = 8_192;

/// Does a group in one transaction; answers each of it, in its order.
pub type Transact<T, A> = fn(Core, Arc<[T]>) -> BoxFuture<'static, Result<Vec<A>, Refusal>>;

type Waiting<T, A> = (T, oneshot::Sender<Result<A, Refusal>>);

/// Where requests are handed in. One for a process and a kind of request.
pub struct Grouped<T, A = i64> {
    transact: Transact<T, A>,
    sender: Arc<OnceLock<mpsc::Sender<Waiting<T, A>>>>,
}

impl<T, A> Clone for Grouped<T, A> {
    fn clone(&self) -> Self {
        Self { transact: self.transact, sender: self.sender.clone() }
    }
}

impl<T: Send + Sync + 'static, A: Send + 'static> Grouped<T, A> {
    /// Groups that are done so.
    pub fn new(transact: Transact<T, A>) -> Self {
        Self { transact, sender: Arc::default() }
    }

    /// Adds one; answers it once its group is done. [`Refusal::Unavailable`] where too many wait.
    pub async fn add(&self, core: &Core, one: T) -> Result<A, Refusal> {
        let (done, answer) = oneshot::channel();
        let sender = self.sender.get_or_init(|| {
            let (sender, waiting) = mpsc::channel(MOST_WAITING);
            tokio::spawn(run(core.clone(), self.transact, waiting));
            sender
        });
        sender.try_send((one, done)).map_err(|_| Refusal::Unavailable)?;
        answer.await.map_err(|_| Refusal::Internal)?
    }
}

async fn run<T, A>(core: Core, transact: Transact<T, A>, mut waiting: mpsc::Receiver<Waiting<T, A>>) {
    let mut group = Vec::with_capacity(GROUP);
    while waiting.recv_many(&mut group, GROUP).await > 0 {
        let (items, requests): (Vec<T>, Vec<_>) = group.drain(..).unzip();
        // Who has gone meanwhile is answered by nobody; what was done stands.
        match transact(core.clone(), items.into()).await {
            Ok(answers) => requests.into_iter().zip(answers).for_each(|(request, answer)| {
                let _ = request.send(Ok(answer));
            }),
            Err(refusal) => requests.into_iter().for_each(|request| {
                let _ = request.send(Err(refusal.clone()));
            }),
        }
    }
}
