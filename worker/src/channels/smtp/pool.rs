//! Sessions of one sending profile, kept ready ahead of need.
//!
//! Nothing may wait for a connection after its intent, so connections are counted before work is
//! claimed: [`Pool::ready`] answers with those that are there. The first connection, and the
//! first after a failure, is tried alone and with growing pauses, so that a server that is down,
//! full or refuses the password is asked once and not by every place at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{ConnectError, Dialer, Session};

/// The bounds of a pool.
#[derive(Debug, Clone)]
pub struct PoolLimits {
    /// Most connections at a time, in use or idle.
    pub connections: usize,
    /// A connection is closed after this many messages, if at all. Some providers hang up then.
    pub messages_per_connection: Option<u32>,
    /// A connection is closed after being idle for so long.
    pub idle: Duration,
    /// The pause after the first failure; it doubles with each further one.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            connections: 16,
            messages_per_connection: Some(1000),
            idle: Duration::from_secs(30),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(300),
        }
    }
}

/// What [`Pool::ready`] found.
#[derive(Debug)]
pub struct Ready {
    /// Alive and authenticated; possibly fewer than asked for. Each holds its place in the pool
    /// until it is given back or dropped.
    pub sessions: Vec<Session>,
    /// Why there are not more, if connecting is the cause.
    pub trouble: Option<Trouble>,
}

/// The state of a profile that cannot connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The last error.
    pub error: ConnectError,
    /// Attempts that have failed since one last succeeded.
    pub failures: u32,
    /// How many of them, without another error between, were a wrong login
    /// ([`ConnectError::is_wrong_login`]). At 3 the profile should be disabled.
    pub wrong_logins: u32,
    /// The next attempt is made no earlier.
    pub retry_at: Instant,
}

/// A number in 0..1, to spread retries: randomness comes from outside.
pub type Jitter = Box<dyn Fn() -> f64 + Send + Sync>;

/// The connections of one sending profile. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    dialer: Dialer,
    limits: PoolLimits,
    jitter: Jitter,
    places: Arc<Semaphore>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    idle: Vec<Session>,
    opening: usize,
    /// A connection has been opened, and none has failed since.
    proven: bool,
    trouble: Option<Trouble>,
    /// Rises with every failure, so that those that set out together and fail together are one.
    round: u64,
    /// This server has hung up on an idle connection before: ask before each use.
    hangs_up: bool,
    reaping: bool,
}

impl Pool {
    /// An empty pool; the first [`Self::ready`] opens connections.
    pub fn new(dialer: Dialer, limits: PoolLimits, jitter: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        let places = Arc::new(Semaphore::new(limits.connections));
        let state = Mutex::default();
        let changed = Notify::new();
        Self(Arc::new(Inner { dialer, limits, jitter: Box::new(jitter), places, state, changed }))
    }

    /// Up to `n` sessions that are alive now, opening what is missing, within `within` at most.
    /// It comes back early once there are `n`, or once no more can come. Connections that are
    /// still being opened go on and wait in the pool.
    pub async fn ready(&self, n: usize, within: Duration) -> Ready {
        let deadline = Instant::now() + within;
        // Lets the runtime notice what has happened to idle connections in the meantime.
        tokio::task::yield_now().await;
        let mut sessions = Vec::with_capacity(n);
        loop {
            let changed = self.0.changed.notified();
            self.collect(&mut sessions, n, deadline).await;
            let coming = sessions.len() < n && self.open_more(n - sessions.len());
            if !coming || timeout_at(deadline, changed).await.is_err() {
                break;
            }
        }
        let trouble = if sessions.len() < n { self.0.state().trouble.clone() } else { None };
        Ready { sessions, trouble }
    }

    /// Waits until `n` sessions are idle, `within` at most.
    pub async fn gather(&self, n: usize, within: Duration) {
        let deadline = Instant::now() + within;
        loop {
            let changed = self.0.changed.notified();
            if self.idle() >= n || timeout_at(deadline, changed).await.is_err() {
                return;
            }
        }
    }

    /// Takes a session back for the next message. One that is over, or has carried its share, is
    /// closed.
    pub fn give_back(&self, session: Session) {
        if session.hung_up {
            self.0.state().hangs_up = true;
        }
        if !session.is_usable() {
            return;
        }
        if self.0.limits.messages_per_connection.is_some_and(|most| session.used() >= most) {
            tokio::spawn(session.quit());
            return;
        }
        self.0.keep(session);
        self.reap_later();
    }

    /// Connections waiting for work.
    pub fn idle(&self) -> usize {
        self.0.state().idle.len()
    }

    /// Connections in use, idle or being opened.
    pub fn open(&self) -> usize {
        self.0.limits.connections - self.0.places.available_permits()
    }

    /// Says goodbye on every idle connection.
    pub async fn close(&self) {
        let idle = std::mem::take(&mut self.0.state().idle);
        futures::future::join_all(idle.into_iter().map(Session::quit)).await;
    }

    /// Moves idle sessions that are alive into `sessions`.
    async fn collect(&self, sessions: &mut Vec<Session>, n: usize, deadline: Instant) {
        while sessions.len() < n {
            let (found, hangs_up) = {
                let mut state = self.0.state();
                (state.idle.pop(), state.hangs_up)
            };
            let Some(mut session) = found else { return };
            let asked = async { session.is_alive().await && (!hangs_up || session.answers().await) };
            match timeout_at(deadline, asked).await {
                Ok(true) => sessions.push(session),
                Ok(false) => self.0.state().hangs_up = true,
                // The question is still open: nobody may use the session after it.
                Err(_) => return,
            }
        }
    }

    /// Opens up to `wanted` connections, counting those on their way. False if none is coming.
    fn open_more(&self, wanted: usize) -> bool {
        let mut state = self.0.state();
        let resting = state.trouble.as_ref().is_some_and(|trouble| Instant::now() < trouble.retry_at);
        let most = match (resting, state.proven) {
            (true, _) => 0,
            (false, true) => wanted,
            (false, false) => 1,
        };
        while state.opening < most {
            let Ok(place) = Arc::clone(&self.0.places).try_acquire_owned() else { break };
            state.opening += 1;
            tokio::spawn(open_one(self.clone(), place, state.round));
        }
        state.opening > 0
    }

    /// Closes idle connections when their time has come, for as long as there are any.
    fn reap_later(&self) {
        let mut state = self.0.state();
        if !std::mem::replace(&mut state.reaping, true) {
            tokio::spawn(reap(Arc::downgrade(&self.0), self.0.limits.idle));
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, session: Session) {
        self.state().idle.push(session);
        self.changed.notify_waiters();
    }

    fn pause(&self, failures: u32) -> Duration {
        let doubled = self.limits.first_pause.saturating_mul(1 << failures.saturating_sub(1).min(20));
        // Up to a fifth later, never earlier: a pause is a promise to the server.
        doubled.min(self.limits.longest_pause).mul_f64(1.0 + (self.jitter)().clamp(0.0, 1.0) / 5.0)
    }
}

async fn open_one(pool: Pool, place: OwnedSemaphorePermit, round: u64) {
    let inner = Arc::clone(&pool.0);
    // On a task of its own, so that even a panic in there is one failed attempt.
    let opened = tokio::spawn(async move { inner.dialer.open().await }).await;
    let opened = opened.unwrap_or(Err(ConnectError::Broken { phase: "hello", detail: "gave up".into() }));
    let mut state = pool.0.state();
    state.opening -= 1;
    let news = state.round == round;
    match opened {
        Ok(mut session) => {
            session.place = Some(place);
            state.idle.push(session);
            if news {
                state.proven = true;
                state.trouble = None;
            }
        }
        Err(error) if news => {
            state.round += 1;
            state.proven = false;
            let (failures, wrong) = state.trouble.as_ref().map_or((0, 0), |t| (t.failures, t.wrong_logins));
            let wrong_logins = if error.is_wrong_login() { wrong + 1 } else { 0 };
            let retry_at = Instant::now() + pool.0.pause(failures + 1);
            // Without the error: a server's words may hold a user's address. `Trouble` carries it.
            tracing::warn!(failures = failures + 1, wrong_logins, "no connection for a sending profile");
            state.trouble = Some(Trouble { error, failures: failures + 1, wrong_logins, retry_at });
        }
        // Another of those that set out together: already counted.
        Err(_) => {}
    }
    drop(state);
    pool.0.changed.notify_waiters();
    pool.reap_later();
}

async fn reap(pool: std::sync::Weak<Inner>, idle: Duration) {
    let mut wake = Instant::now() + idle;
    loop {
        sleep_until(wake).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut state = pool.state();
        let (old, young): (Vec<_>, Vec<_>) = state.idle.drain(..).partition(|session| session.idle() >= idle);
        let oldest = young.iter().map(Session::idle).max();
        state.idle = young;
        state.reaping = oldest.is_some();
        drop(state);
        for session in old {
            tokio::spawn(session.quit());
        }
        match oldest {
            Some(age) => wake = Instant::now() + idle.saturating_sub(age),
            None => return,
        }
    }
}
