//! What dies of its work: processes without memory, and the message that kills whoever takes it.

use std::time::Duration;

use serde_json::json;

use crate::support::dice::{Dice, seeds};
use crate::support::memory;
use crate::support::process::Process;
use crate::support::site::{D, Shape, Site};
use crate::support::smtp_server::{Act, At, Rule};
use crate::support::trial::{MESSAGES, Trial, account, at_work, instant, mode, shown};

/// FAULTS F12.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_without_memory_loses_nothing() {
    const DEATHS: usize = 2;
    for (seed, shape) in seeds().flat_map(|seed| [Shape::UP, Shape::PARTS].map(|shape| (seed, shape))) {
        let (mut dice, mut site) = (Dice::new(seed), at_work(shape).await);
        for _ in 0..DEATHS {
            instant(&mut dice, &site).await;
            let victim = sender(&mut site, dice.below(2) as usize);
            let status = memory::take_from(victim);
            assert!(!status.success(), "{status}");
            victim.start_again();
        }
        let what = if site.workers.is_empty() { "up out of memory" } else { "worker out of memory" };
        account(&site, Trial { fault: "F12", what, seed, most_uncertain: DEATHS * D }).await;
    }
}

/// One of the processes that send.
fn sender(site: &mut Site, n: usize) -> &mut Process {
    match site.workers.is_empty() {
        true => &mut site.front,
        false => &mut site.workers[n],
    }
}

/// FAULTS F11 and F12: whoever has this message in hand dies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_kills_its_worker_twice_is_put_away_and_the_others_go_on() {
    const POISON: &str = "poison@example.com";
    for (seed, shape) in seeds().flat_map(|seed| [Shape::UP, Shape::PARTS].map(|shape| (seed, shape))) {
        let (mut dice, mut site) = (Dice::new(seed), at_work(shape).await);
        instant(&mut dice, &site).await;
        site.smtp.add(Rule::at(At::Rcpt).to(POISON).act(Act::Stall));
        site.campaign_of(
            &json!([{ "email": POISON }]),
            json!({ "name": "Poison", "steps": [
                { "step_number": 1, "name": "Only", "subject": "Hello", "template": "Hi" }
            ] }),
            json!({ "name": "Poison" }),
        )
        .await;
        let mut deaths = 0;
        loop {
            let found: Vec<(String, Option<i64>)> =
                site.rows("SELECT state, worker_id FROM messages WHERE address = 'poison@example.com'").await;
            match found.first().map(|(state, holder)| (state.as_str(), *holder)) {
                Some(("held", _)) => break,
                Some(("sending", Some(holder))) => {
                    let log = format!("\"worker\":{holder},");
                    let senders = if site.workers.is_empty() {
                        std::slice::from_ref(&site.front)
                    } else {
                        &site.workers
                    };
                    // A dead one holds it until its lease is over: the next victim is whoever claims it then.
                    let Some(n) = senders.iter().position(|process| process.log().contains(&log)) else {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        continue;
                    };
                    let victim = sender(&mut site, n);
                    memory::take_from(victim);
                    victim.start_again();
                    deaths += 1;
                }
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
            assert!(deaths < 4, "it goes on killing");
        }
        // One among others makes it a suspect, two alone put it away; one alone counts as both.
        assert!((2..=3).contains(&deaths), "{deaths}");
        // Its own enrolment waits for a person.
        site.until(
            "SELECT (SELECT COUNT(*) FROM enrolments WHERE state = 'active')
                  + (SELECT COUNT(*) FROM messages
                      WHERE state IN ('scheduled', 'writing', 'drafted', 'claimed', 'sending'))",
            1,
        )
        .await;
        let reasons: Vec<(String,)> = site.rows("SELECT reasons FROM messages WHERE state = 'held'").await;
        assert!(reasons.len() == 1 && reasons[0].0.contains("poison"), "{reasons:?}");
        let states: Vec<(String, i64)> = site
            .rows("SELECT state, COUNT(*) FROM messages WHERE address <> 'poison@example.com' GROUP BY state ORDER BY state")
            .await;
        let total: i64 = states.iter().map(|(_, count)| count).sum();
        let known =
            |(state, _): &(String, i64)| matches!(state.as_str(), "accepted" | "uncertain" | "cancelled");
        assert!(total == MESSAGES as i64 && states.iter().all(known), "{states:?}");
        assert!(site.smtp.received().iter().all(|mail| !mail.to.contains(&POISON.to_owned())));
        let row =
            Trial { fault: "F11, F12", what: "a message that kills its worker", seed, most_uncertain: 0 };
        shown(row, mode(&site), "put away, `poison`, after its second death alone; the 600 others went on");
    }
}
