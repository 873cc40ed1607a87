//! Many people through two steps, on one process and on many: every message once, within every limit.
//!
//! `SENDWRIGHT_LEADS=10000 cargo test --release --test it scale` is the full run.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sendwright_workflows::quiet_hours::{G, QuietHours, W};
use sendwright_workflows::zone::Zone;
use serde_json::{Value, json};

use crate::support::site::{Shape, Site};
use crate::support::witness::Account;

/// How many people go through both steps.
fn people() -> usize {
    std::env::var("SENDWRIGHT_LEADS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_500)
}

async fn everybody_gets_everything_once(shape: Shape, what: &str) {
    let (people, site) = (people(), Site::start(Shape { slow_answers: false, ..shape }).await);
    let begun = Instant::now();
    let campaign = site.campaign(0..people, json!({}), json!({})).await;
    site.wait_until_through().await;
    println!("{what}: {} messages in {:?}", 2 * people, begun.elapsed());
    Account::of(&site, 2 * people).await.holds(2 * people, 0);
    // The native face counts the same.
    let counted = site.ask("GET", &format!("/api/v1/campaigns/{campaign}"), None).await;
    assert_eq!(counted["messages"], json!({ "accepted": 2 * people }));
    assert_eq!(counted["enrolments"], json!({ "completed": people }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_one_process_and_sqlite_every_message_arrives_once() {
    everybody_gets_everything_once(Shape::UP, "up on SQLite").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_two_workers_with_postgres_and_redis_every_message_arrives_once() {
    everybody_gets_everything_once(Shape::PARTS, "two workers on PostgreSQL and Redis").await;
}

/// By intents, over all workers: in no window of a second are there more than the rate, and the rate is used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_second_holds_more_intents_than_the_rate() {
    const RATE: usize = 50;
    let people = people() / 10;
    let site = Site::start(Shape::PARTS).await;
    site.campaign(0..people, json!({}), json!({ "rate_limit_per_second": RATE })).await;
    site.wait_until_through().await;
    Account::of(&site, 2 * people).await.holds(2 * people, 0);
    let intents: Vec<(i64,)> = site.rows("SELECT intent_at FROM attempts ORDER BY intent_at").await;
    assert!(intents.len() >= 2 * people);
    for window in intents.windows(RATE + 1) {
        let took = window[RATE].0 - window[0].0;
        assert!(took >= 1_000, "{} intents within {took} ms, at {}", RATE + 1, window[0].0);
    }
    let took = Duration::from_millis((intents[intents.len() - 1].0 - intents[0].0) as u64);
    println!("{} intents in {took:?} at {RATE} a second", intents.len());
    let workers: Vec<(i64,)> = site.rows("SELECT DISTINCT worker_id FROM attempts").await;
    assert_eq!(workers.len(), 2, "both workers send");
}

/// Zones in which the window below is over, begins within the run, or has begun.
const ZONES: [&str; 5] =
    ["America/Los_Angeles", "America/Sao_Paulo", "UTC", "Asia/Kolkata", "Asia/Kathmandu"];

/// Nothing is handed over in a recipient's quiet hours, nor so late that it could reach into them; who waits is
/// planned for their end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quiet_hours_hold_in_every_zone() {
    let people = 600;
    let site = Site::start(Shape { hard: false, ..Shape::UP }).await;
    // From the next minute in UTC, at least some seconds away, for seven hours.
    let start = (now() + 8_000) / 60_000 * 60_000 + 60_000;
    let minute = (start / 60_000 % 1_440) as u16;
    let end = (minute + 7 * 60) % 1_440;
    let quiet = QuietHours::new(minute, end).unwrap();
    let settings = json!({ "quiet_hours_start": quiet.start_text(), "quiet_hours_end": quiet.end_text() });
    // So slow that the window comes before everybody's turn.
    let left = (start - now()) as f64 / 1_000.0;
    let rate = f64::from(people as u32) / 2.5 / left;
    let campaign = site.campaign_of(&leads(people), settings, json!({ "rate_limit_per_second": rate })).await;
    while now() < start + 1_000 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    site.ask("POST", &format!("/api/v1/campaigns/{campaign}/pause"), None).await;
    let intents: Vec<(i64, String)> =
        site.rows("SELECT a.intent_at, m.zone FROM attempts a JOIN messages m ON m.id = a.message_id").await;
    for (at, zone) in &intents {
        let tz: Zone = zone.parse().unwrap();
        assert!(quiet.permits(*at, tz), "an intent at {at} in {zone}, in or before quiet hours");
    }
    let count = |zone: &str| intents.iter().filter(|(_, other)| other == zone).count();
    assert!(ZONES[..3].iter().all(|zone| count(zone) > 0), "the rest go out: {intents:?}");
    assert!(ZONES[3..].iter().all(|zone| count(zone) == 0), "they sleep");
    let last = intents.iter().filter(|(_, zone)| zone == "UTC").map(|(at, _)| *at).max().unwrap();
    println!("{} intents, the last in UTC {} ms before its window", intents.len(), start - last);
    let waiting: Vec<(i64, String)> =
        site.rows("SELECT planned_at, zone FROM messages WHERE state = 'drafted'").await;
    let asleep = |at: i64, zone: &str| quiet.next_permitted(at, zone.parse().unwrap()) == Some(at);
    assert!(waiting.iter().any(|(_, zone)| zone == "UTC"), "the window came before everybody's turn");
    for (at, zone) in waiting.iter().filter(|(at, zone)| *at > start && ZONES[2..].contains(&zone.as_str())) {
        assert!(asleep(*at, zone) && *at > start + W + G, "planned for {at} in {zone}");
    }
}

fn leads(people: usize) -> Value {
    let lead = |n| json!({ "email": format!("p{n}@example.com"), "timezone": ZONES[n % ZONES.len()] });
    (0..people).map(lead).collect()
}

#[allow(clippy::disallowed_methods, reason = "the window under test is the real clock's")]
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}
