//! The oracle of texts: what the stand-in made, joined with the database by number and text, and with what was called back.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use super::caller::{Caller, Fate};
use super::site::Site;
use super::trial::{Trial, tell_of};

/// How many attempts nobody knows the end of.
const UNCERTAIN: &str = "SELECT COUNT(*) FROM attempts WHERE state = 'uncertain'";

/// The end of a trial amid texts: everything comes through, the provider tells how each ended or is asked for its list, and
/// what it made is what the database says.
pub async fn account_texts(
    site: &Site,
    trial: Trial<'_>,
    campaign: &str,
    caller: &mut Caller,
    messages: usize,
) {
    let is_over = AtomicBool::new(false);
    let through = async {
        let took = site.hasten().await;
        is_over.store(true, Ordering::Relaxed);
        took.as_secs_f64()
    };
    let calls = async {
        while !is_over.load(Ordering::Relaxed) {
            caller.turn(&site.twilio, site.front.address()).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (seconds, ()) = tokio::join!(through, calls);
    let ever = "SELECT COUNT(DISTINCT message_id) FROM events WHERE kind = 'message.uncertain'";
    let uncertain = site.rows::<(i64,)>(ever).await[0].0 as usize;
    heard(site, caller).await;
    let left = site.rows::<(i64,)>(UNCERTAIN).await[0].0;
    site.twilio.forget_script();
    site.resolve_uncertain().await;
    heard(site, caller).await;
    let what = format!("{}, seed {}", trial.what, trial.seed);
    println!(
        "{what}: {} requests, {} made, {} callbacks; {uncertain} uncertain, of them {left} after the callbacks, {} after the list",
        site.twilio.asked(),
        site.twilio.made().len(),
        caller.posted,
        site.rows::<(i64,)>(UNCERTAIN).await[0].0
    );
    let overtaken = account(site, campaign, caller, (&what, messages)).await;
    let figures = json!({ "messages": messages, "lost": 0, "doubled": 0, "uncertain": uncertain, "overtaken": overtaken });
    tell_of(trial, site, figures, seconds);
    assert!(uncertain <= trial.most_uncertain, "{what}: {uncertain} were uncertain");
}

/// Has the provider say everything that it has to say.
async fn heard(site: &Site, caller: &mut Caller) {
    while caller.turn(&site.twilio, site.front.address()).await > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    site.callbacks_heard(caller.unknown).await;
}

/// What the stand-in made, the database's messages and attempts, and what was called back, beside each other.
///
/// Answers how many never left, since the next step had when that was known.
async fn account(site: &Site, campaign: &str, caller: &Caller, (what, messages): (&str, usize)) -> usize {
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
    assert_eq!(rows.len(), messages, "{what}: lost, or accepted by two attempts");
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
    assert_eq!(made.len(), messages - gone, "{what}");

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
    gone
}
