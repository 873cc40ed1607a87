//! Segments over many contacts: what an evaluation takes.
//!
//! `SENDWRIGHT_CONTACTS=1000000 cargo test --release --test it segments_scale -- --nocapture --test-threads 1` is the
//! full run; bench/README.md has what it measured.

use std::time::{Duration, Instant};

use sendwright_store::contacts::{self, Details};
use sendwright_store::{Db, segments};
use sendwright_workflows::clock::DAY;
use sendwright_workflows::spec;
use serde_json::{Value, json};

use crate::support::api::{App, START};

/// How many people there are.
fn people() -> i64 {
    std::env::var("SENDWRIGHT_CONTACTS").ok().and_then(|n| n.parse().ok()).unwrap_or(3_000)
}

/// Fills the database as an import does, ten thousand contacts a transaction.
async fn fill(app: &App) {
    let store = &app.state.core.store;
    let begun = Instant::now();
    for first in (0..people()).step_by(10_000) {
        let part = first..people().min(first + 10_000);
        let ids = store.ids.take("contacts", (part.end - part.start) as usize).await.unwrap();
        let details: Vec<Details> = part.map(person).collect();
        let new: Vec<(i64, &Details)> = ids.zip(&details).collect();
        let mut tx = store.begin().await.unwrap();
        contacts::insert(&mut tx, app.account, &new, START).await.unwrap();
        tx.commit().await.unwrap();
    }
    println!("{} contacts stored and indexed in {:?}", people(), begun.elapsed());
    app.run("UPDATE contacts SET phone_key = '+1' || CAST(2000000000 + id AS TEXT), phone_hash = 'h' || id")
        .await;
    app.run(
        "INSERT INTO consent_states (account_id, channel, address_hash, state, at)
         SELECT account_id, 'sms', phone_hash, CASE WHEN id % 10 = 0 THEN 'stop' ELSE 'opt_in' END, 1 FROM contacts",
    )
    .await;
    if let Db::Postgres(pool) = &store.db {
        // As autovacuum would have by the time that somebody evaluates.
        sqlx::query("VACUUM ANALYZE").execute(pool).await.unwrap();
    }
}

fn person(n: i64) -> Details {
    let signup = START / DAY - n % 1_000;
    let date = sendwright_workflows::clock::rfc3339(signup * DAY);
    let tier = if n % 2 == 0 { "premium" } else { "standard" };
    let attributes = json!({
        "city": format!("City {}", n % 100), "tier": tier,
        "age": n % 80, "signup_date": &date[..10],
    });
    Details {
        email: Some(format!("p{n}@example.com")),
        email_key: Some(format!("p{n}@example.com")),
        email_hash: Some(format!("e{n}")),
        first_name: Some(format!("P{n}")),
        attributes: attributes.to_string(),
        ..Details::default()
    }
}

async fn evaluations_take_no_longer_than_they_may(app: &App, on: &str) {
    fill(app).await;
    let city = json!({ "attribute": "city", "operator": "equals", "value": "City 7" });
    let tier = json!({ "attribute": "tier", "operator": "equals", "value": "premium" });
    let age = json!({ "attribute": "age", "operator": "less_than", "value": 20 });
    let signup = json!({ "attribute": "signup_date", "operator": "within_last_days", "value": 30 });
    let consent = json!({ "consent": "sms", "operator": "equals", "value": "OPT_IN" });
    let group = |joint: &str, parts: &[&Value]| json!({ "operator": joint, "conditions": parts });
    let n = people();
    let cases = [
        ("one in a hundred, equals", city.clone(), Some(n / 100)),
        ("every second, equals", tier.clone(), Some(n / 2)),
        ("a quarter, less_than", age.clone(), None),
        ("the last 30 days of a date", signup.clone(), None),
        ("equals AND equals", group("AND", &[&city, &tier]), None),
        ("equals (half) AND less_than", group("AND", &[&tier, &age]), None),
        ("equals OR equals", group("OR", &[&city, &tier]), None),
        ("NOT equals (half)", group("NOT", &[&tier]), Some(n / 2)),
        ("equals (half) AND consent", group("AND", &[&tier, &consent]), None),
        ("contains", json!({ "attribute": "city", "operator": "contains", "value": "y 7" }), None),
        ("consent alone", consent.clone(), Some(n * 9 / 10)),
        ("exists", json!({ "attribute": "first_name", "operator": "exists" }), Some(n)),
    ];
    for (what, criteria, expected) in cases {
        let filter = spec::filter(&criteria).unwrap();
        let mut took = Vec::new();
        for _ in 0..3 {
            let mut tx = app.state.core.store.read().await.unwrap();
            let begun = Instant::now();
            let found = segments::size(&mut tx, app.account, &filter, START).await.unwrap();
            took.push(begun.elapsed());
            assert!(expected.is_none_or(|expected| expected == found), "{what}: {found}, not {expected:?}");
        }
        took.sort();
        println!("{on}: {what}: {:?}", took[1]);
        assert!(took[1] < Duration::from_secs(5), "{what}: {:?}", took[1]);
    }
    let filter = spec::filter(&tier).unwrap();
    let mut tx = app.state.core.store.read().await.unwrap();
    let begun = Instant::now();
    let sms = [sendwright_workflows::sequence::Channel::Sms];
    segments::reach(&mut tx, app.account, &filter, &sms, START).await.unwrap();
    println!("{on}: every second, and can be reached by SMS: {:?}", begun.elapsed());
}

#[tokio::test]
async fn evaluations_on_sqlite_take_no_longer_than_they_may() {
    evaluations_take_no_longer_than_they_may(&App::sqlite().await, "SQLite").await;
}

#[tokio::test]
async fn evaluations_on_postgres_take_no_longer_than_they_may() {
    evaluations_take_no_longer_than_they_may(&App::postgres().await, "PostgreSQL").await;
}
