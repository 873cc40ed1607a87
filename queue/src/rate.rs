//! API rate limits: how many calls a key may make, counted in Redis, and in this process too.
//!
//! Every rule is a sliding window cut into [`SLICES`] slices. A call is forgotten when its whole slice is
//! older than the window, so **no** window of that length ever holds more calls than the limit; the price is
//! that a place may come free up to one slice late.

mod local;
mod shared;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    metric::{self, Seldom},
    redis::BadUrl,
};
use local::Local;
use shared::Shared;

/// Into how many slices a window is cut.
const SLICES: u64 = 20;
/// How long Redis is left alone after it failed to answer; one call then tries again.
const RECOVERY: Duration = Duration::from_secs(1);

/// At most `limit` calls in any `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Calls.
    pub limit: u32,
    /// Length of the window; whole milliseconds, at least 20.
    pub window: Duration,
}

impl Rule {
    /// At most `limit` calls in any second.
    pub const fn per_second(limit: u32) -> Rule {
        Rule { limit, window: Duration::from_secs(1) }
    }

    /// At most `limit` calls in any minute.
    pub const fn per_minute(limit: u32) -> Rule {
        Rule { limit, window: Duration::from_secs(60) }
    }

    /// At most `limit` calls in any hour.
    pub const fn per_hour(limit: u32) -> Rule {
        Rule { limit, window: Duration::from_secs(3_600) }
    }

    /// The window as a name within a key.
    fn millis(&self) -> u64 {
        (self.window.as_millis() as u64).max(SLICES)
    }

    /// The length of a slice.
    fn slice_micros(&self) -> u64 {
        self.millis() * 1_000 / SLICES
    }
}

/// The answer to one call, as the tightest rule sees it: the refusing rule with the longest wait, else the
/// one with the smallest part of its limit left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Whether the call may go on. A refused call is not counted.
    pub allowed: bool,
    /// The rule's limit (`X-RateLimit-Limit`).
    pub limit: u32,
    /// The rule's window, in whole seconds.
    pub window_seconds: u64,
    /// Calls left after this one (`X-RateLimit-Remaining`).
    pub remaining: u32,
    /// Whole seconds until every call counted so far is forgotten (`X-RateLimit-Reset`, once added to now).
    pub reset_seconds: u64,
    /// Whole seconds, at least 1, after which a refused call may succeed (`Retry-After`); 0 if allowed.
    pub retry_after_seconds: u64,
}

impl Allowance {
    /// What a key without rules gets.
    const UNLIMITED: Allowance = Allowance {
        allowed: true,
        limit: u32::MAX,
        window_seconds: 0,
        remaining: u32::MAX,
        reset_seconds: 0,
        retry_after_seconds: 0,
    };
}

/// What one rule had counted when a call came.
#[derive(Clone, Copy, Debug)]
struct Seen {
    used: u32,
    /// Until the first counted call is forgotten.
    first_leaves: Duration,
    /// Until the last counted call, this one included where it was allowed, is forgotten.
    last_leaves: Duration,
}

impl Seen {
    /// `first` and `last` are slice numbers, `now` microseconds on the clock that numbered them.
    fn new(rule: &Rule, used: u32, first: u64, last: u64, now: u64) -> Seen {
        let leaves = |slice: u64| {
            Duration::from_micros(((slice + SLICES + 1) * rule.slice_micros()).saturating_sub(now))
        };
        Seen { used, first_leaves: leaves(first), last_leaves: leaves(last) }
    }
}

/// The tightest of `rules`, given what each had counted.
fn judge(rules: &[Rule], seen: &[Seen], allowed: bool) -> Allowance {
    let whole = |wait: Duration| wait.as_millis().div_ceil(1_000) as u64;
    let views = rules.iter().zip(seen).map(|(rule, seen)| {
        let refuses = seen.used >= rule.limit;
        Allowance {
            allowed,
            limit: rule.limit,
            window_seconds: rule.window.as_secs(),
            remaining: rule.limit.saturating_sub(seen.used + u32::from(allowed)),
            reset_seconds: whole(seen.last_leaves),
            retry_after_seconds: if refuses { whole(seen.first_leaves).max(1) } else { 0 },
        }
    });
    let tightest = if allowed {
        let part = |view: &Allowance| f64::from(view.remaining) / f64::from(view.limit.max(1));
        views
            .min_by(|a, b| part(a).total_cmp(&part(b)))
            .map(|view| Allowance { retry_after_seconds: 0, ..view })
    } else {
        views.max_by_key(|view| view.retry_after_seconds)
    };
    tightest.unwrap_or(Allowance::UNLIMITED)
}

/// Counts calls. Cheap to clone; one for a process.
#[derive(Clone)]
pub struct Limiter(Arc<Inner>);

struct Inner {
    local: Local,
    shared: Option<Shared>,
    /// Redis failed, and is asked again from this instant on.
    away_until: Mutex<Option<Instant>>,
    log: Seldom,
}

impl Limiter {
    /// Counts in this process alone.
    pub fn in_process() -> Limiter {
        Limiter::new(None)
    }

    /// Counts in Redis, under keys that begin with `prefix`, for all processes together; while Redis is away
    /// or slower than 50 ms, in each process for itself.
    ///
    /// # Errors
    /// Only where `url` is no address this build can use.
    pub fn redis(url: &str, prefix: &str) -> Result<Limiter, BadUrl> {
        Ok(Limiter::new(Some(Shared::open(url, prefix)?)))
    }

    fn new(shared: Option<Shared>) -> Limiter {
        let local = Local::new(Instant::now());
        Limiter(Arc::new(Inner { local, shared, away_until: Mutex::default(), log: Seldom::default() }))
    }

    /// Counts one call of `key` if every rule has room for it, all or none.
    ///
    /// This process counts its own calls first and always: so losing Redis, or getting it back empty, gives
    /// nobody a second allowance here, and a flood is refused without asking Redis.
    pub async fn check(&self, key: &str, rules: &[Rule]) -> Allowance {
        if rules.is_empty() {
            return Allowance::UNLIMITED;
        }
        let now = Instant::now();
        let here = self.0.local.take(key, rules, now);
        if !here.allowed {
            return here;
        }
        match self.0.ask(key, rules, now).await {
            Some(there) if !there.allowed => {
                self.0.local.give_back(key, rules, now);
                there
            }
            Some(there) if there.remaining <= here.remaining => there,
            Some(_) | None => here,
        }
    }
}

impl Inner {
    /// What Redis says; none where there is none or it is away.
    async fn ask(&self, key: &str, rules: &[Rule], now: Instant) -> Option<Allowance> {
        let shared = self.shared.as_ref()?;
        if !self.may_ask(now) {
            metric::limited_locally();
            return None;
        }
        match shared.take(key, rules).await {
            Ok(allowance) => {
                self.set_away(None);
                Some(allowance)
            }
            Err(error) => {
                self.set_away(Some(Instant::now() + RECOVERY));
                metric::limited_locally();
                if self.log.now() {
                    tracing::warn!(%error, "rate limits are counted in each process for itself until redis answers");
                }
                None
            }
        }
    }

    /// Whether Redis is worth asking; while it is away, one call at a time finds out.
    fn may_ask(&self, now: Instant) -> bool {
        let mut away = self.away_until.lock().unwrap_or_else(PoisonError::into_inner);
        match *away {
            Some(until) if now < until => false,
            Some(_) => {
                *away = Some(now + RECOVERY);
                true
            }
            None => true,
        }
    }

    fn set_away(&self, until: Option<Instant>) {
        *self.away_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}
