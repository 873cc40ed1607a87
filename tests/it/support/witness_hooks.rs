//! The oracle of webhooks: the receivers' own logs beside the events that were told.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use sendwright_store::clock::wall_millis;
use sendwright_store::events;
use sendwright_store::ids::Ids;
use sendwright_workflows::ids::{Kind, uuid};
use serde_json::{Value, json};

use super::receiver::Receiver;
use super::site::{Site, extend};
use super::trial::{Trial, tell_of};

/// An endpoint as its account has it.
pub struct Endpoint {
    /// Its id as paths take it.
    pub id: String,
    /// What it verifies by.
    pub secret: String,
}

/// What became of the deliveries of a trial.
#[derive(Default)]
pub struct Deliveries {
    /// Events that were told, once for each endpoint that chose them.
    pub told: usize,
    /// Of them those that no receiver took.
    pub missing: usize,
    /// How often one was taken again.
    pub repeated: usize,
    /// Given up, listed, and replayed.
    pub dead: usize,
}

impl Site {
    /// Registers an endpoint.
    pub async fn endpoint(&self, url: &str, more: Value) -> Endpoint {
        let mut body = json!({ "url": url, "events": ["*"] });
        extend(&mut body, more);
        let made = self.ask("POST", "/api/v1/webhooks", Some(&body)).await;
        let text = |name: &str| made[name].as_str().expect("a text").to_owned();
        Endpoint { id: text("id"), secret: text("secret") }
    }

    /// Enters events as any transaction does: unnumbered. Their ids as a receiver sees them.
    pub async fn told(&self, kind: &str, count: usize) -> HashSet<String> {
        let ids = Ids::new(self.db.clone()).take("events", count).await.unwrap();
        let mut tx = self.db.begin().await.unwrap();
        let rows: Vec<Value> = ids.clone().map(|id| json!([id, 1, kind, "{}"])).collect();
        events::insert_own(&mut tx, &rows, wall_millis()).await.unwrap();
        tx.commit().await.unwrap();
        ids.map(|id| uuid(Kind::Event, id)).collect()
    }

    /// Waits until every event is numbered and every delivery to an endpoint that is not switched off has ended; what waits for
    /// its next attempt is brought forward.
    pub async fn delivered(&self) -> Duration {
        let begun = Instant::now();
        let open = "SELECT (SELECT COUNT(*) FROM deliveries d JOIN endpoints e ON e.id = d.endpoint_id
                             WHERE d.state = 'pending' AND e.state = 'enabled')
                         + (SELECT COUNT(*) FROM events WHERE sequence IS NULL)";
        loop {
            let left = self.rows::<(i64,)>(open).await[0].0;
            if left == 0 {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < Duration::from_secs(180), "{left} are still on their way");
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.hasten_deliveries().await;
        }
    }

    /// The same, and replays what the endpoint's schedule has given up by then; how many that is.
    pub async fn delivered_but(&self, endpoint: &Endpoint) -> usize {
        self.delivered().await;
        self.replay(endpoint).await
    }

    /// Replays what an endpoint's schedule has given up; how many that is.
    pub async fn replay(&self, endpoint: &Endpoint) -> usize {
        let path = format!("/api/v1/webhooks/{}", endpoint.id);
        let dead = self.ask("GET", &format!("{path}/deliveries?status=dead&per_page=100"), None).await;
        let listed = dead["total"].as_u64().expect("a total");
        let since = json!({ "since": "2020-01-01T00:00:00Z" });
        let replayed = self.ask("POST", &format!("{path}/replay"), Some(&since)).await;
        assert_eq!(replayed["replayed"], listed, "each that is listed");
        listed as usize
    }
}

impl Deliveries {
    /// Adds what a receiver took of what was told: every event, each by a signature of the endpoint's, and of its numbers not
    /// one missing.
    #[track_caller]
    pub fn count(&mut self, receiver: &Receiver, endpoint: &Endpoint, told: &HashSet<String>) {
        let (taken, arrived) = (receiver.taken(), receiver.arrived());
        let ids: HashSet<&String> = taken.iter().collect();
        self.told += told.len();
        self.missing += told.iter().filter(|id| !ids.contains(id)).count();
        self.repeated += taken.len() - ids.len();
        assert!(
            arrived.iter().all(|one| one.is_by(&endpoint.secret)),
            "every attempt is signed for its instant"
        );
        let numbers: HashSet<i64> = arrived.iter().filter_map(|one| one.json()["number"].as_i64()).collect();
        assert_eq!(numbers, (1..=told.len() as i64).collect(), "numbers without a gap");
    }

    /// The end of a trial: nothing is missing, and the figures are told.
    #[track_caller]
    pub fn tell(self, site: &Site, trial: Trial<'_>, took: Duration) {
        let figures = json!({
            "deliveries": self.told, "missing": self.missing, "repeated": self.repeated, "dead": self.dead,
        });
        tell_of(trial, site, figures, took.as_secs_f64());
        assert_eq!(self.missing, 0, "deliveries are missing at their receiver");
    }
}
