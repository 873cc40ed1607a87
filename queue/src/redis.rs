//! The transport in Redis, by way of apalis-redis. Whatever is in it may vanish at any instant.

pub(crate) mod push;
mod upkeep;
pub(crate) mod work;

use std::time::Duration;

use apalis_redis::Config;
use redis::{
    Client, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::time::timeout;

use crate::Lane;

/// A Redis address that can never work; one that merely does not answer is no error.
#[derive(Debug, thiserror::Error)]
#[error(
    "this is no Redis address: write redis://[user:password@]host[:port][/database], or rediss:// for TLS"
)]
pub struct BadUrl(#[source] pub(crate) RedisError);

/// How long an answer may take before Redis counts as down for `/readyz`.
const PING_PATIENCE: Duration = Duration::from_millis(250);
/// How long making a connection may take; a request that cannot wait so long gives up, the next finds it made.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
/// A worker misses this many heartbeats, so far apart, before its jobs are given to others.
const HEARTBEAT: Duration = Duration::from_secs(5);
const MISSED_HEARTBEATS: usize = 3;

/// Where Redis is and what our keys there begin with.
pub(crate) struct Link {
    client: Client,
    prefix: String,
    pinger: ConnectionManager,
}

impl Link {
    pub(crate) fn open(url: &str, prefix: &str) -> Result<Link, BadUrl> {
        let client = Client::open(url).map_err(BadUrl)?;
        let pinger = connection(&client, PING_PATIENCE).map_err(BadUrl)?;
        Ok(Link { client, prefix: prefix.to_owned(), pinger })
    }

    /// A connection that is made when first used and made anew when lost, one attempt a request.
    pub(crate) fn connection(&self, patience: Duration) -> Result<ConnectionManager, RedisError> {
        connection(&self.client, patience)
    }

    /// A key of ours.
    pub(crate) fn key(&self, rest: &str) -> String {
        format!("{}:{rest}", self.prefix)
    }

    /// Ok if Redis answers in time; else why not, in words that name no address.
    pub(crate) async fn ping(&self) -> Result<(), String> {
        let mut pinger = self.pinger.clone();
        match timeout(PING_PATIENCE, redis::cmd("PING").exec_async(&mut pinger)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.category().to_owned()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    /// The policy by which Redis throws keys away once its memory is full, if it does and lets us know.
    pub(crate) async fn eviction(&self) -> Option<String> {
        let mut pinger = self.pinger.clone();
        let mut ask = redis::cmd("INFO");
        let asked = ask.arg("memory").query_async::<String>(&mut pinger);
        let told = timeout(PING_PATIENCE, asked).await.ok()?.ok()?;
        let field = |name: &str| told.lines().find_map(|line| line.strip_prefix(name));
        let policy = field("maxmemory_policy:").filter(|policy| *policy != "noeviction")?;
        (field("maxmemory:") != Some("0")).then(|| policy.to_owned())
    }

    /// How apalis keeps a lane.
    ///
    /// One job a fetch: apalis sends no heartbeat while it holds fetched jobs it has no place for, so with
    /// slow handlers a batch would make a live worker look dead. No locks (each costs a walk of the backlog)
    /// and no published events.
    fn config(&self, lane: Lane) -> Config {
        Config::default()
            .queue(self.key(lane.as_str()))
            .batch_size(1)
            .heartbeat_interval(HEARTBEAT)
            .missed_heartbeats(MISSED_HEARTBEATS)
            .lock_tasks(false)
            .emit_events(false)
    }
}

/// A connection to `client` whose answers may take `patience`.
pub(crate) fn connection(client: &Client, patience: Duration) -> Result<ConnectionManager, RedisError> {
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(0)
        .set_connection_timeout(Some(CONNECT_PATIENCE))
        .set_response_timeout(Some(patience));
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

/// Counts errors in a row that Redis itself answered with. A hint lane that gives nothing else is wedged, and
/// emptying it costs nothing.
#[derive(Default)]
struct Wedge(u32);

impl Wedge {
    const AFTER: u32 = 4;

    /// Notes one more; true when the lane is to be emptied.
    fn another(&mut self) -> bool {
        self.0 += 1;
        if self.0 < Self::AFTER {
            return false;
        }
        self.0 = 0;
        true
    }

    fn over(&mut self) {
        self.0 = 0;
    }
}
