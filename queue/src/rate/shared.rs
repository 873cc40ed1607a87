//! Calls counted in Redis, for all processes.

use std::{sync::LazyLock, time::Duration};

use redis::{RedisError, Script, aio::ConnectionManager};
use tokio::time::timeout;

use super::{Allowance, Rule, SLICES, Seen, judge};
use crate::redis::{BadUrl, Link};

/// Redis has this long to answer; then this process answers.
const PATIENCE: Duration = Duration::from_millis(50);

static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("take.lua")));

/// Why Redis gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Silent {
    #[error("no answer in time")]
    Slow,
    #[error("redis: {}", .0.category())]
    Redis(#[from] RedisError),
    #[error("redis answered for {got} rules of {asked}")]
    Short { asked: usize, got: usize },
}

pub(super) struct Shared {
    link: Link,
    connection: ConnectionManager,
}

impl Shared {
    pub(super) fn open(url: &str, prefix: &str) -> Result<Shared, BadUrl> {
        let link = Link::open(url, prefix)?;
        let connection = link.connection(PATIENCE).map_err(BadUrl)?;
        Ok(Shared { link, connection })
    }

    /// Counts one call if every rule has room for it.
    pub(super) async fn take(&self, key: &str, rules: &[Rule]) -> Result<Allowance, Silent> {
        let mut call = TAKE.prepare_invoke();
        call.arg(SLICES);
        for rule in rules {
            // The braces keep the windows of one key on one node of a cluster.
            call.key(self.link.key(&format!("rate:{{{key}}}:{}", rule.millis())));
            call.arg(rule.limit).arg(rule.slice_micros());
        }
        let mut connection = self.connection.clone();
        let answer = timeout(PATIENCE, call.invoke_async(&mut connection)).await.map_err(|_| Silent::Slow)?;
        let (now, allowed, counts): (u64, bool, Vec<(u32, u64, u64)>) = answer?;
        if counts.len() != rules.len() {
            return Err(Silent::Short { asked: rules.len(), got: counts.len() });
        }
        let seen: Vec<Seen> = rules
            .iter()
            .zip(counts)
            .map(|(rule, (used, first, last))| Seen::new(rule, used, first, last, now))
            .collect();
        Ok(judge(rules, &seen, allowed))
    }
}
