//! A worker with all its loops before a stand-in for Twilio, under a clock that can be put forward.

use super::engine::{On, World, context, fresh_db, step};
use super::loops::{PATIENCE, ShiftedClock};
use super::twilio_server::{Act, SID, TOKEN, TwilioServer};
use sendwright_queue::{Lane, Queue};
use sendwright_store::campaigns::Profiles;
use sendwright_store::clock::wall_millis;
use sendwright_worker::channels::twilio::{Access, From, Own};
use sendwright_worker::context::{PhoneOutlet, Settings};
use sendwright_worker::engine;
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::sequence::{Channel, Delay, Step};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A worker with all its loops before a stand-in for Twilio.
pub struct Phones {
    pub world: World,
    pub twilio: TwilioServer,
    pub clock: Arc<ShiftedClock>,
    stop: CancellationToken,
    running: JoinHandle<sendwright_store::Result<()>>,
}

/// The stand-in as the process's own account.
pub fn own(twilio: &TwilioServer, token: &str) -> PhoneOutlet {
    let access = Access { base: twilio.base(), sid: SID.into(), token: token.into() };
    PhoneOutlet::Twilio(Box::new(Own {
        access,
        sms: Some(From::Number("+15550001111".into())),
        whatsapp: Some(From::Number("+15550002222".into())),
    }))
}

impl Phones {
    pub async fn start(on: On, script: impl IntoIterator<Item = Act>) -> Self {
        Self::with(on, script, |_| {}).await
    }

    pub async fn with(
        on: On,
        script: impl IntoIterator<Item = Act>,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let twilio = TwilioServer::scripted(script).await;
        let (db, directory) = fresh_db(on).await;
        let clock = Arc::new(ShiftedClock::default());
        let outlet = own(&twilio, TOKEN);
        let ctx = context(db, clock.clone(), |settings| {
            settings.phones = outlet;
            settings.lease = Duration::from_secs(30);
            change(settings);
        })
        .await;
        let world = World::over(ctx.clone(), wall_millis(), directory).await;
        let stop = CancellationToken::new();
        let (_, hints) = Queue::embedded();
        let running = tokio::spawn(engine::run(ctx, &Lane::ALL, hints, 4, stop.clone()));
        Phones { world, twilio, clock, stop, running }
    }

    /// A campaign of these steps to these numbers, all of whom have opted in.
    pub async fn campaign(&self, numbers: &[String], steps: &[Step]) -> i64 {
        let profiles = Profiles {
            email: self.world.default_profile(Channel::Email).await,
            sms: Some(self.world.default_profile(Channel::Sms).await),
            whatsapp: Some(self.world.default_profile(Channel::Whatsapp).await),
        };
        let campaign = self.world.campaign_by("phones", profiles, &Policy::default(), steps).await;
        self.world.people_with_phones(campaign, numbers).await;
        self.world.ctx.bells.plan.notify_one();
        campaign
    }

    /// Puts the clock forward and wakes everybody.
    pub fn forward(&self, by: Millis) {
        self.clock.pass(by);
        self.world.ctx.bells.plan.notify_one();
        self.world.ctx.bells.send();
    }

    /// Waits until a query counts `expected`.
    pub async fn until(&self, sql: &'static str, expected: i64) {
        let began = Instant::now();
        loop {
            let found = self.world.number(sql).await;
            if found == expected {
                return;
            }
            let states = "SELECT state, reasons FROM messages ORDER BY id LIMIT 3";
            assert!(
                began.elapsed() < PATIENCE,
                "{sql}: {found}, not {expected}; {:?}",
                self.world.pairs(states).await
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until Twilio's list has been asked for once more than `before`.
    pub async fn until_listed(&self, before: usize) {
        let began = Instant::now();
        while self.twilio.lists() == before {
            assert!(began.elapsed() < PATIENCE, "it is not asked again");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// An orderly end.
    pub async fn stop(self) -> (World, TwilioServer) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
        (self.world, self.twilio)
    }
}

/// So many numbers of people in California.
pub fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("+1415555{n:04}")).collect()
}

/// A step for phones, so long after the one before.
pub fn text(number: u32, channel: Channel, minutes: u32) -> Step {
    let delay = Delay { minutes, ..Delay::default() };
    Step {
        channel,
        subject: None,
        template: Some("Hi {{first_name}}, \u{1f44b} & welcome".into()),
        ..step(number, delay)
    }
}
