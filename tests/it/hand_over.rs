//! The whole worker, its loops and a real SMTP conversation: every message once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::support::engine::{BOTH, Lead, World, context, fresh_db, step};
use crate::support::smtp_server::{Script, SmtpServer};
use sendwright_queue::{Lane, Queue};
use sendwright_store::clock::{DatabaseClock, wall_millis};
use sendwright_worker::channels::mime::Party;
use sendwright_worker::context::Outlet;
use sendwright_worker::engine;
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::sequence::Delay;
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_steps_for_many_people_each_arrive_once() {
    let people: usize = std::env::var("SENDWRIGHT_PEOPLE").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    for on in BOTH {
        let server = SmtpServer::start(Script::default()).await;
        let (db, directory) = fresh_db(on).await;
        let clock = DatabaseClock::new(db.clone());
        clock.sample().await.unwrap();
        let from = Party { name: "Ada".into(), address: "ada@example.com".into() };
        let outlet = Outlet::Smtp { server: server.url().parse().unwrap(), from };
        let ctx = context(db, Arc::new(clock), |settings| settings.outlet = outlet).await;
        let world = World::over(ctx.clone(), wall_millis(), directory).await;
        let profile = world.profile("main", &Rates::default()).await;
        let steps = [step(1, Delay::default()), step(2, Delay { seconds: 1, ..Delay::default() })];
        let campaign = world.campaign("Two", profile, &Policy::default(), &steps).await;
        let leads: Vec<Lead> =
            (0..people).map(|n| Lead { email: format!("p{n}@example.com"), zone: None }).collect();
        world.enrol(campaign, &leads).await;
        let stop = CancellationToken::new();
        let (_, hints) = Queue::embedded();
        let started = std::time::Instant::now();
        let running = tokio::spawn(engine::run(ctx.clone(), &Lane::ALL, hints, 4, stop.clone()));
        server.wait_for(2 * people, Duration::from_secs(60)).await;
        println!("{on:?}: {} messages in {:?}", 2 * people, started.elapsed());
        stop.cancel();
        running.await.unwrap().unwrap();
        let mut seen: HashMap<String, usize> = HashMap::new();
        for message in server.received() {
            *seen.entry(message.header("Message-ID").unwrap()).or_default() += 1;
        }
        assert_eq!(seen.len(), 2 * people);
        assert!(seen.values().all(|n| *n == 1), "a message arrived twice");
        let states: Vec<(String, i64)> =
            world.rows("SELECT state, COUNT(*) FROM messages GROUP BY state").await;
        assert_eq!(states, [("accepted".to_owned(), 2 * people as i64)]);
    }
}
