//! Many people by phone, with the provider's callbacks doubled and out of order: every message once, and numbers that add up:
//! what the stand-in made, the messages, the statistics, and every callback.
//!
//! `SENDWRIGHT_TEXTS=100000 cargo test --release --test it scale_phones -- --nocapture` is the full run.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::caller::{Caller, Fate};
use crate::support::dice::Dice;
use crate::support::site::{Shape, Site};

/// How many people get a text.
fn people() -> usize {
    std::env::var("SENDWRIGHT_TEXTS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_500)
}

/// How far it is, told a tenth at a time, with the memory of whatever sends.
struct Progress {
    begun: Instant,
    told: usize,
}

impl Progress {
    fn tell(&mut self, site: &Site, caller: &Caller) {
        let made = site.twilio.made_count();
        if made * 10 / people() <= self.told {
            return;
        }
        self.told = made * 10 / people();
        let memory: Vec<u64> = site.senders().map(|process| process.memory()).collect();
        let (took, posted) = (self.begun.elapsed(), caller.posted);
        println!("{made} made, {posted} called back after {took:?}; memory of what sends, MiB: {memory:?}");
    }
}

/// Lets it run and calls back, until everything is through and heard.
async fn through(site: &Site, caller: &mut Caller) {
    let mut progress = Progress { begun: Instant::now(), told: 0 };
    let mut moved = (Instant::now(), 0);
    loop {
        let left = caller.turn(&site.twilio, site.front.address()).await;
        progress.tell(site, caller);
        let done = site.twilio.made_count() + caller.posted;
        if done > moved.1 {
            moved = (Instant::now(), done);
        } else if left == 0 && moved.0.elapsed() > Duration::from_secs(2) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (made, took) = (site.twilio.made_count(), moved.0 - progress.begun);
    println!("{made} texts and {} callbacks in {took:?}", caller.posted);
    site.wait_until_through().await;
    site.callbacks_heard(caller.unknown).await;
    println!("all were acted on after {:?}", progress.begun.elapsed());
}

async fn numbers_add_up(shape: Shape, what: &str) {
    let (people, mut caller) = (people(), Caller::new(Dice::new(7)));
    let site = Site::start(Shape { phones: true, ..shape }).await;
    let begun = Instant::now();
    site.users(&site.key, 0..people).await;
    println!("{what}: {people} people uploaded in {:?}", begun.elapsed());
    let campaign = site.texts(&site.key, "Once", 1).await;
    through(&site, &mut caller).await;

    let made = site.twilio.made();
    let mut to: Vec<&str> = made.iter().map(|one| one.to.as_str()).collect();
    to.sort_unstable();
    to.dedup();
    assert_eq!((made.len(), to.len(), site.twilio.asked()), (people, people, people), "everybody once");

    let fates = |fate: Fate| caller.fates.values().filter(|other| **other == fate).count();
    let (delivered, bounced) = (fates(Fate::Delivered), fates(Fate::Undelivered));
    let accepted = people - delivered - bounced;
    let expected = json!({ "accepted": accepted, "delivered": delivered, "bounced": bounced });
    let shown = site.ask("GET", &format!("/api/v1/campaigns/{campaign}"), None).await;
    assert_eq!(shown["messages"], expected);
    assert_eq!(shown["enrolments"], json!({ "completed": people }));
    let told = site.ask("GET", &format!("/api/v1/campaigns/{campaign}/analytics"), None).await;
    assert_eq!(sums(&told), (people, delivered, bounced), "{told}");

    let messages: Vec<(String, i64)> = site.rows("SELECT state, COUNT(*) FROM messages GROUP BY state").await;
    let messages: HashMap<String, i64> = messages.into_iter().collect();
    assert_eq!(json!(messages), expected);
    let named = "SELECT COUNT(DISTINCT a.provider_id), COUNT(*) FROM attempts a WHERE a.state = 'accepted'";
    assert_eq!(
        site.rows::<(i64, i64)>(named).await,
        [(people as i64, people as i64)],
        "each by a name of its own"
    );
    let events: Vec<(String, i64)> = site
        .rows("SELECT kind, COUNT(*) FROM events WHERE kind LIKE 'sms.%' GROUP BY kind ORDER BY kind")
        .await;
    let event = |what: &str, count: usize| (format!("sms.{what}"), count as i64);
    assert_eq!(events, [event("bounced", bounced), event("delivered", delivered), event("sent", people)]);
    let words: Vec<(String, i64)> = site
        .rows("SELECT COALESCE(provider_status, ''), COUNT(*) FROM messages GROUP BY provider_status ORDER BY 1")
        .await;
    let words: HashMap<String, i64> = words.into_iter().collect();
    let word = |word: &str| words.get(word).copied().unwrap_or_default() as usize;
    assert_eq!(
        (word("delivered"), word("undelivered"), word("sent")),
        (delivered, bounced, fates(Fate::Sent)),
        "the furthest word stands: {words:?}"
    );
    assert_eq!(
        word("queued"),
        fates(Fate::Silence),
        "of whom nothing was told, what was answered: {words:?}"
    );
}

/// Sent, delivered and bounced, as the statistics have them.
fn sums(told: &Value) -> (usize, usize, usize) {
    let number = |name: &str| told["totals"][name].as_u64().unwrap_or_else(|| panic!("{told}")) as usize;
    (number("sent"), number("delivered"), number("bounced"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_one_process_and_sqlite_numbers_add_up() {
    numbers_add_up(Shape::UP, "up on SQLite").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_two_workers_with_postgres_numbers_add_up() {
    numbers_add_up(Shape::PARTS, "two workers on PostgreSQL and Redis").await;
}
