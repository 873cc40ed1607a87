//! What is lost, doubled or unknown when processes die amid text messages (F1 with F62 to F64): nothing, nothing, and what
//! was unknown is told by the provider's callbacks or found in its list.
//!
//! `SENDWRIGHT_SEEDS=20` runs more seeds.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::caller::{Caller, Fate};
use crate::support::dice::{Dice, seeds};
use crate::support::site::{D, Shape, Site};
use crate::support::twilio_server::Act;

/// How many people are under way when something breaks; each gets two messages.
const PEOPLE: usize = 400;
/// How often something is killed.
const KILLS: usize = 3;

/// Everything that a provider does wrong, and mostly nothing: slow down, fail before and after making it, break off, sleep.
fn acts(dice: &mut Dice) -> Vec<Act> {
    let mut act = |_| match dice.below(200) {
        0 => Act::SlowDown(1),
        1 => Act::Fail,
        2..=3 => Act::AcceptAndFail,
        4..=5 => Act::AcceptAndBreak,
        6..=7 => Act::AcceptAndStall(Duration::from_secs(2)),
        n => Act::AcceptAndStall(Duration::from_millis(n % 10)),
    };
    (0..2 * PEOPLE).map(&mut act).collect()
}

/// Kills what sends, again and again, at instants of the seed's choice, while the provider calls back.
async fn killed(site: &mut Site, caller: &mut Caller, dice: &mut Dice) {
    for _ in 0..KILLS {
        let there = site.twilio.asked();
        let wanted = there + 1 + dice.below((2 * PEOPLE / KILLS) as u64 * 3 / 4) as usize;
        let begun = Instant::now();
        while site.twilio.asked() < wanted && begun.elapsed() < Duration::from_secs(10) {
            caller.turn(&site.twilio, site.front.address()).await;
            tokio::time::sleep(Duration::from_micros(dice.below(4_000))).await;
        }
        let victim = dice.below(site.workers.len().max(1) as u64) as usize;
        let victim = site.workers.get_mut(victim).unwrap_or(&mut site.front);
        victim.kill();
        victim.start_again();
    }
}

/// What the stand-in made, the database's messages and attempts, and what was called back, beside each other.
async fn account(site: &Site, campaign: &str, caller: &Caller, what: &str) {
    let made = site.twilio.made();
    let mut times: HashMap<(&str, &str), usize> = HashMap::new();
    made.iter().for_each(|one| *times.entry((&one.to, &one.body)).or_default() += 1);
    let doubled: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(doubled.is_empty(), "{what}: made twice: {doubled:?}");

    type Row = (String, String, String, String, String);
    let rows: Vec<Row> = site
        .rows(
            "SELECT m.address, d.body, m.state, m.reasons, COALESCE(a.provider_id, '') FROM messages m
               JOIN drafts d ON d.message_id = m.id
               LEFT JOIN attempts a ON a.message_id = m.id AND a.state = 'accepted'",
        )
        .await;
    assert_eq!(rows.len(), 2 * PEOPLE, "{what}: lost, or accepted by two attempts");
    let mut states: HashMap<&str, usize> = HashMap::new();
    for (address, body, state, reasons, sid) in &rows {
        *states.entry(state).or_default() += 1;
        let there = times.contains_key(&(address.as_str(), body.as_str()));
        let fate = caller.fates.get(sid).copied();
        match state.as_str() {
            "accepted" => {
                assert!(there && fate.is_none_or(|f| f == Fate::Sent || f == Fate::Silence), "{sid} {fate:?}")
            }
            "delivered" => assert_eq!((there, fate), (true, Some(Fate::Delivered)), "{what}: {sid}"),
            "bounced" => assert_eq!((there, fate), (true, Some(Fate::Undelivered)), "{what}: {sid}"),
            "cancelled" => assert!(!there && reasons.contains("overtaken"), "{what}: {address} {reasons}"),
            other => panic!("{what}: {address} is {other}: {reasons}"),
        }
    }
    let names: HashSet<&str> = rows.iter().map(|row| row.4.as_str()).filter(|sid| !sid.is_empty()).collect();
    let unnamed: Vec<_> = made.iter().filter(|one| !names.contains(one.sid.as_str())).collect();
    assert!(unnamed.is_empty(), "{what}: made, and not recorded: {unnamed:?}");
    let gone = states.get("cancelled").copied().unwrap_or_default();
    assert_eq!(made.len(), 2 * PEOPLE - gone, "{what}");

    let shown = site.ask("GET", &format!("/api/v1/campaigns/{campaign}"), None).await;
    assert_eq!(shown["messages"], json!(states), "{what}: the statistics say the same");
    let events: Vec<(String, i64, i64)> = site
        .rows(
            "SELECT kind, COUNT(*), COUNT(DISTINCT message_id) FROM events
              WHERE kind IN ('sms.sent', 'sms.delivered', 'sms.bounced') GROUP BY kind",
        )
        .await;
    for (kind, count, messages) in events {
        let state = |state| states.get(state).copied().unwrap_or_default() as i64;
        let expected = match kind.as_str() {
            "sms.sent" => made.len() as i64,
            "sms.delivered" => state("delivered"),
            _ => state("bounced"),
        };
        assert_eq!((count, messages), (expected, expected), "{what}: {kind} is told once of each");
    }
    let waiting = site.rows::<(i64,)>("SELECT COUNT(*) FROM callbacks").await[0].0;
    assert_eq!(waiting as usize, caller.unknown, "{what}: only what is about nobody's message is kept");
}

async fn amid_texts(shape: Shape, what: &str) {
    for seed in seeds() {
        let (mut dice, mut caller) = (Dice::new(seed), Caller::new(Dice::new(!seed)));
        let mut site = Site::start(Shape { phones: true, ..shape }).await;
        acts(&mut dice).into_iter().for_each(|act| site.twilio.next(act));
        site.users(&site.key, 0..PEOPLE).await;
        let campaign = site.texts(&site.key, "Two", 2).await;
        killed(&mut site, &mut caller, &mut dice).await;
        site.wait_until_through().await;
        let uncertain = "SELECT COUNT(*) FROM attempts WHERE state = 'uncertain'";
        let unknown = site.rows::<(i64,)>(uncertain).await[0].0;
        while caller.turn(&site.twilio, site.front.address()).await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        site.callbacks_heard(caller.unknown).await;
        let left = site.rows::<(i64,)>(uncertain).await[0].0;
        site.twilio.forget_script();
        site.resolve_uncertain().await;
        while caller.turn(&site.twilio, site.front.address()).await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        site.callbacks_heard(caller.unknown).await;
        let what = format!("{what}, seed {seed}");
        println!(
            "{what}: {} requests, {} made, {} callbacks; {unknown} uncertain, of them {left} after the callbacks, {} after \
             the list",
            site.twilio.asked(),
            site.twilio.made().len(),
            caller.posted,
            site.rows::<(i64,)>(uncertain).await[0].0
        );
        assert!(unknown as usize <= KILLS * D + 2 * PEOPLE / 20, "{what}: {unknown} were uncertain");
        account(&site, &campaign, &caller, &what).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_killed_amid_texts_lose_and_double_nothing() {
    amid_texts(Shape::PARTS, "two workers on PostgreSQL and Redis").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_killed_amid_texts_loses_and_doubles_nothing() {
    amid_texts(Shape::UP, "up on SQLite").await;
}
