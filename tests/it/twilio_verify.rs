//! Hand-overs to Twilio without an answer: asked for, resolved, and never doubled (SEND_PROTOCOL 9, 12, 16; FAULTS F63).

use crate::support::engine::{BOTH, On};
use crate::support::twilio_loops::{Phones, numbers, text};
use crate::support::twilio_server::{Act, TwilioServer};
use sendwright_workflows::clock::{HOUR, MINUTE};
use sendwright_workflows::sequence::Channel;
use std::collections::BTreeMap;
use std::time::Duration;

const ACCEPTED: &str = "SELECT COUNT(*) FROM messages WHERE state = 'accepted'";
const UNCERTAIN: &str = "SELECT COUNT(*) FROM messages WHERE state = 'uncertain'";
/// Longer than a request may take.
const LONG: Duration = Duration::from_secs(60);

/// How many messages were made for each number.
fn made(twilio: &TwilioServer) -> BTreeMap<String, usize> {
    let mut made = BTreeMap::new();
    twilio.made().into_iter().for_each(|one| *made.entry(one.to).or_default() += 1);
    made
}

/// Puts the clock past every look but the last, waiting for each to be taken by all that are left.
async fn look_until_the_last(phones: &Phones, left: i64) {
    for (minutes, looks) in [
        (2, "SELECT COUNT(*) FROM messages WHERE state = 'uncertain' AND looks = 1"),
        (4, "SELECT COUNT(*) FROM messages WHERE state = 'uncertain' AND looks = 2"),
        (11, "SELECT COUNT(*) FROM messages WHERE state = 'uncertain' AND looks = 3"),
    ] {
        phones.forward(minutes * MINUTE);
        phones.until(looks, left).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_twilio_made_is_proven_and_what_it_did_not_make_goes_again_once() {
    for on in BOTH {
        let phones = Phones::start(on, []).await;
        let to = numbers(6);
        let acts = [
            Act::AcceptAndFail,
            Act::AcceptAndStall(LONG),
            Act::AcceptAndBreak,
            Act::Fail,
            Act::Stall(LONG),
            Act::Accept,
        ];
        to.iter().zip(acts).for_each(|(number, act)| phones.twilio.to_number(number, act));
        phones.campaign(&to, &[text(1, Channel::Sms, 0)]).await;
        phones.until(UNCERTAIN, 5).await;
        phones.until(ACCEPTED, 1).await;
        look_until_the_last(&phones, 2).await;
        assert_eq!(phones.world.number(ACCEPTED).await, 4, "the first look has proven what is in the list");
        assert!(phones.twilio.lists() > 6, "pages are followed, and asked for at every look");
        to.iter().for_each(|number| phones.twilio.to_number(number, Act::Accept));
        phones.forward(31 * MINUTE);
        phones.until(ACCEPTED, 6).await;
        phones.forward(5 * HOUR);
        let (world, twilio) = phones.stop().await;
        assert_eq!(
            made(&twilio),
            to.iter().map(|number| (number.clone(), 1)).collect(),
            "{on:?}: dup 0, lost 0"
        );
        let ends = world
            .pairs("SELECT state, CAST(COUNT(*) AS TEXT) FROM attempts GROUP BY state ORDER BY state")
            .await;
        assert_eq!(ends, ["accepted|6", "not_started|2"]);
        assert_eq!(world.number("SELECT COUNT(DISTINCT provider_id) FROM attempts").await, 6);
        assert_eq!(world.number("SELECT COUNT(*) FROM messages WHERE look_at IS NOT NULL").await, 0);
        let events = world.events().await;
        let count = |kind: &str| events.iter().filter(|event| *event == kind).count();
        assert_eq!((count("message.uncertain"), count("sms.sent")), (5, 6));
    }
}

/// Two uncertain texts to one number by one sender: the very same but for their places in the sequence.
async fn uncertain_twice(on: On, acts: [Act; 2]) -> Phones {
    let phones = Phones::start(on, acts).await;
    phones.campaign(&numbers(1), &[text(1, Channel::Sms, 0), text(2, Channel::Whatsapp, 0)]).await;
    phones.until(UNCERTAIN, 2).await;
    phones
        .world
        .exec("UPDATE messages SET channel = 'sms', profile_id = (SELECT MIN(profile_id) FROM messages)")
        .await;
    phones
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_found_message_proves_one_of_two_that_are_alike() {
    for on in BOTH {
        let phones = uncertain_twice(on, [Act::AcceptAndFail, Act::Fail]).await;
        look_until_the_last(&phones, 1).await;
        assert_eq!(phones.world.number(ACCEPTED).await, 1);
        phones.forward(31 * MINUTE);
        phones.until("SELECT COUNT(*) FROM attempts WHERE state = 'not_started'", 1).await;
        let (world, twilio) = phones.stop().await;
        assert!(twilio.made().len() <= 2);
        assert_eq!(
            world.number("SELECT COUNT(*) FROM attempts WHERE provider_id IS NOT NULL").await.min(1),
            1
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn something_alike_that_is_not_the_same_leaves_it_to_a_person() {
    for on in BOTH {
        let phones = Phones::start(on, [Act::Fail]).await;
        let to = numbers(1);
        phones.twilio.made_by_others(&to[0], "+15550009999", "Your code is 123456");
        phones.campaign(&to, &[text(1, Channel::Sms, 0)]).await;
        phones.until(UNCERTAIN, 1).await;
        look_until_the_last(&phones, 1).await;
        phones.forward(31 * MINUTE);
        phones.until("SELECT COUNT(*) FROM messages WHERE state = 'uncertain' AND look_at IS NULL", 1).await;
        phones.forward(5 * HOUR);
        let (_, twilio) = phones.stop().await;
        assert_eq!(twilio.asked(), 1, "never twice");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_another_uncertain_message_is_left_until_that_one_was_looked_for() {
    for on in BOTH {
        let phones = uncertain_twice(on, [Act::AcceptAndFail, Act::Fail]).await;
        let world = &phones.world;
        world.exec("UPDATE messages SET look_at = 4000000000000").await;
        world
            .exec(
                "UPDATE drafts SET body = 'Another text'
                 WHERE message_id = (SELECT id FROM messages WHERE step_number = 2)",
            )
            .await;
        let before = phones.twilio.lists();
        // The last look for the second finds the text of the first, which was not looked for yet.
        world.exec("UPDATE messages SET looks = 3, look_at = 1 WHERE step_number = 2").await;
        phones.forward(MINUTE);
        phones.until_listed(before).await;
        world.exec("UPDATE messages SET look_at = 1 WHERE step_number = 1").await;
        phones.forward(MINUTE);
        // The one is found; the other was not made, and goes.
        phones.until(ACCEPTED, 2).await;
        assert_eq!(phones.world.number("SELECT COUNT(*) FROM attempts WHERE state = 'not_started'").await, 1);
        phones.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_away_is_asked_again_and_nothing_is_decided_without_it() {
    for on in BOTH {
        let phones = Phones::start(on, [Act::AcceptAndFail]).await;
        phones.campaign(&numbers(1), &[text(1, Channel::Sms, 0)]).await;
        phones.until(UNCERTAIN, 1).await;
        phones.twilio.lists_fail(true);
        for _ in 0..4 {
            let before = phones.twilio.lists();
            phones.forward(40 * MINUTE);
            phones.until_listed(before).await;
        }
        assert_eq!(phones.world.number(UNCERTAIN).await, 1);
        phones.twilio.lists_fail(false);
        phones.forward(40 * MINUTE);
        phones.until(ACCEPTED, 1).await;
        let (_, twilio) = phones.stop().await;
        assert_eq!(twilio.asked(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_chooses_to_park_is_not_asked_for_and_who_chooses_resend_gets_it_again_at_once() {
    for (choice, twice) in [("park", 1), ("resend", 2)] {
        let phones = Phones::start(On::Sqlite, [Act::AcceptAndFail]).await;
        phones.world.default_profile(Channel::Sms).await;
        phones
            .world
            .exec(if twice == 1 {
                "UPDATE sending_profiles SET on_uncertain = 'park'"
            } else {
                "UPDATE sending_profiles SET on_uncertain = 'resend'"
            })
            .await;
        phones.campaign(&numbers(1), &[text(1, Channel::Sms, 0)]).await;
        phones.until("SELECT COUNT(*) FROM attempts WHERE state = 'uncertain'", 1).await;
        assert_eq!(phones.world.number("SELECT COUNT(*) FROM messages WHERE look_at IS NOT NULL").await, 0);
        phones.forward(HOUR);
        if twice == 2 {
            phones.until(ACCEPTED, 1).await;
        }
        let (_, twilio) = phones.stop().await;
        assert_eq!((twilio.asked(), twilio.lists()), (twice, 0), "{choice}");
    }
}
