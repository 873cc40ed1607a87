//! A worker with all its loops against a scripted SMTP server, under a clock that can be put forward.

use super::engine::{Lead, On, World, context, fresh_db};
use super::smtp_server::{Script, SmtpServer};
use sendwright_queue::{Lane, Queue};
use sendwright_store::clock::wall_millis;
use sendwright_store::sending_profiles::{self, NewProfile};
use sendwright_worker::channels::mime::Party;
use sendwright_worker::context::{Context, Outlet, Settings};
use sendwright_worker::engine;
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{Clock, Millis};
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::sequence::Step;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The machine's time and what was added to it.
#[derive(Default)]
pub struct ShiftedClock(AtomicI64);

impl ShiftedClock {
    /// Puts it forward.
    pub fn pass(&self, by: Millis) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> Option<Millis> {
        Some(wall_millis() + self.0.load(Ordering::Relaxed))
    }
}

/// The longest that a test waits for something to happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running worker, its server and its database.
pub struct Loops {
    pub world: World,
    pub server: SmtpServer,
    pub clock: Arc<ShiftedClock>,
    stop: CancellationToken,
    running: JoinHandle<sendwright_store::Result<()>>,
}

impl Loops {
    pub async fn start(on: On, script: Script) -> Loops {
        Self::with(on, script, |_| {}).await
    }

    pub async fn with(on: On, script: Script, change: impl FnOnce(&mut Settings)) -> Loops {
        let server = SmtpServer::start(script).await;
        let (db, directory) = fresh_db(on).await;
        let clock = Arc::new(ShiftedClock::default());
        let from = Party { name: "Ada".into(), address: "ada@example.com".into() };
        let outlet = Outlet::Smtp { server: server.url().parse().unwrap(), from };
        let ctx = context(db, clock.clone(), |settings| {
            settings.outlet = outlet;
            settings.lease = Duration::from_secs(30);
            change(settings);
        })
        .await;
        let world = World::over(ctx.clone(), wall_millis(), directory).await;
        let stop = CancellationToken::new();
        let (_, hints) = Queue::embedded();
        let running = tokio::spawn(engine::run(ctx, &Lane::ALL, hints, 4, stop.clone()));
        Loops { world, server, clock, stop, running }
    }

    pub fn ctx(&self) -> &Arc<Context> {
        &self.world.ctx
    }

    /// A campaign of these steps to `people` on the process's own server.
    pub async fn campaign(&self, name: &str, people: usize, policy: &Policy, steps: &[Step]) -> i64 {
        let profile = self.world.profile(name, &Rates::default()).await;
        self.campaign_on(profile, name, people, policy, steps).await
    }

    pub async fn campaign_on(
        &self,
        profile: i64,
        name: &str,
        people: usize,
        policy: &Policy,
        steps: &[Step],
    ) -> i64 {
        let campaign = self.world.campaign(name, profile, policy, steps).await;
        self.people(campaign, name, people).await;
        campaign
    }

    pub async fn people(&self, campaign: i64, name: &str, people: usize) {
        let leads: Vec<Lead> =
            (0..people).map(|n| Lead { email: format!("{name}{n}@example.com"), zone: None }).collect();
        self.world.enrol(campaign, &leads).await;
        self.ctx().bells.plan.notify_one();
    }

    /// A profile with a server of its own.
    pub async fn own_server(&self, name: &str, url: &str) -> i64 {
        let id = self.ctx().store.ids.one("sending_profiles").await.unwrap();
        let new = NewProfile {
            id,
            account_id: self.world.account,
            name: name.into(),
            transport: "smtp".into(),
            url_sealed: Some(self.ctx().seals.seal(sending_profiles::TABLE, id, url).unwrap()),
            from_email: Some("own@example.com".into()),
            timezone: "UTC".into(),
            ..NewProfile::default()
        };
        let mut tx = self.ctx().store.begin().await.unwrap();
        sending_profiles::insert(&mut tx, &new, wall_millis()).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    /// Puts the clock forward and wakes everybody.
    pub fn forward(&self, by: Millis) {
        self.clock.0.fetch_add(by, Ordering::Relaxed);
        self.ctx().bells.plan.notify_one();
        self.ctx().bells.send();
    }

    /// Waits until a query counts `expected`.
    pub async fn until(&self, sql: &'static str, expected: i64) {
        let began = Instant::now();
        loop {
            let found = self.world.number(sql).await;
            if found == expected {
                return;
            }
            if began.elapsed() > PATIENCE {
                let states =
                    "SELECT state, reasons FROM messages WHERE state <> 'accepted' ORDER BY id LIMIT 3";
                panic!("{sql}: {found}, not {expected}; {:?}", self.world.pairs(states).await);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How many messages the server took, and Message-IDs among them.
    pub fn arrived(&self) -> (usize, usize) {
        let received = self.server.received();
        let mut ids: Vec<_> = received.iter().map(|m| m.header("Message-ID").unwrap()).collect();
        ids.sort();
        ids.dedup();
        (received.len(), ids.len())
    }

    /// An orderly end.
    pub async fn stop(self) -> (World, SmtpServer) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
        (self.world, self.server)
    }
}
