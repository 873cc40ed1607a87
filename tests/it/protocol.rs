//! Claim, intent, outcome: what may come between them, and what then holds (SEND_PROTOCOL 3, 4, 8, 9, 12, 15).

use crate::support::engine::{BOTH, On, World, context, fresh_db, step};
use crate::support::protocol::{claim, dies, intend, opt_out, record, yes};
use sendwright_queue::{Lane, Queue};
use sendwright_store::clock::{DatabaseClock, wall_millis};
use sendwright_store::intents::Verdict;
use sendwright_worker::channels::{Outcome as Said, Refusal};
use sendwright_worker::engine;
use sendwright_worker::hand_over::{self, Carrier};
use sendwright_worker::sender::Sender;
use sendwright_workflows::campaign::{AfterUncertain, OnUncertain, Policy};
use sendwright_workflows::clock::{Clock, HOUR, MINUTE, Millis, SECOND, parse_rfc3339};
use sendwright_workflows::quiet_hours::{QuietHours, W};
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::sequence::{Delay, Step};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

fn start() -> Millis {
    parse_rfc3339("2026-06-01T10:00:00Z").unwrap()
}

fn one() -> [Step; 1] {
    [step(1, Delay::default())]
}

fn two() -> [Step; 2] {
    [step(1, Delay::default()), step(2, Delay { hours: 1, ..Delay::default() })]
}

const MESSAGE: &str = "SELECT state, reasons FROM messages ORDER BY id";

/// The profile's next free slot is a second ahead: a row is claimed now and comes to its intent then.
const SECOND_AHEAD: &str = "UPDATE gates SET next = 1780308001000000 WHERE owner = 'profile'";

/// Claims one message, lets something happen, and lets the sender come to its intent.
async fn between(on: On, policy: &Policy, prepare: &'static str, happens: &'static str) -> World {
    let world = World::new(on, start()).await;
    let rates = Rates { per_minute: Some(5), per_day: Some(9), ..Rates::default() };
    let (profile, _) = world.drafted(1, &rates, policy, &one()).await;
    if !prepare.is_empty() {
        world.exec(prepare).await;
    }
    world.exec(SECOND_AHEAD).await;
    let mut sender = Sender::new(world.ctx.clone(), profile, Arc::default(), Default::default());
    sender.turn(start(), true).await.unwrap();
    assert_eq!(world.number("SELECT COUNT(*) FROM messages WHERE state = 'claimed'").await, 1);
    assert_eq!(
        world
            .number("SELECT CAST(SUM(minute_count + day_count) AS BIGINT) FROM gates WHERE owner = 'profile'")
            .await,
        2
    );
    world.exec(happens).await;
    world.clock.set(start() + SECOND);
    sender.turn(start() + SECOND, false).await.unwrap();
    world.recorded().await;
    world
}

#[tokio::test]
async fn whatever_forbids_between_claim_and_intent_is_obeyed_and_said_and_the_count_comes_back() {
    let quiet = QuietHours::new(9 * 60 + 30, 18 * 60);
    let quietly = serde_json::to_string(&Policy { quiet_hours: quiet, ..Policy::default() }).unwrap();
    let quietly: &'static str = format!("UPDATE campaigns SET policy = '{quietly}'").leak();
    let approving = Policy { requires_approval: true, ..Policy::default() };
    let policy = serde_json::to_string(&approving).unwrap();
    let approval: &'static str = format!("UPDATE campaigns SET policy = '{policy}'").leak();
    let approve = "UPDATE messages SET state = 'drafted', approved = TRUE";
    let plain = Policy::default();
    let cases: [(&Policy, &str, &str, &str); 11] = [
        (
            &plain,
            "",
            "INSERT INTO suppressions (id, account_id, channel, address_hash, hint, why, source, created_at)
             SELECT 1, account_id, 'email', address_hash, '', 'opt_out', 'api', 0 FROM messages",
            "suppressed|suppressed",
        ),
        (&plain, "", "UPDATE campaigns SET state = 'paused'", "drafted|paused"),
        (&plain, "", "UPDATE campaigns SET state = 'archived'", "drafted|paused"),
        (&plain, "", "UPDATE sending_profiles SET state = 'disabled'", "drafted|profile_paused"),
        (&plain, "", "UPDATE enrolments SET state = 'stopped'", "cancelled|cancelled"),
        (&plain, "", "UPDATE contacts SET state = 'deleted'", "cancelled|contact_deleted"),
        (&plain, "", "UPDATE campaigns SET version = 2", "drafted|edited"),
        (&plain, "", "UPDATE accounts SET active = FALSE", "held|account_inactive"),
        (&plain, "", quietly, "drafted|quiet_hours"),
        (&plain, "", approval, "held|approval"),
        (&approving, approve, "UPDATE messages SET approved = FALSE", "held|approval"),
    ];
    for on in BOTH {
        for (policy, prepare, happens, expected) in &cases {
            let world = between(on, policy, prepare, happens).await;
            let (state, code) = expected.split_once('|').unwrap();
            let found: Vec<(String, String)> = world.rows(MESSAGE).await;
            assert_eq!(found[0].0, state, "{on:?}: {happens}");
            assert!(found[0].1.contains(&format!("\"{code}\"")), "{on:?}: {happens}: {}", found[0].1);
            assert_eq!(world.number("SELECT COUNT(*) FROM attempts").await, 0, "{on:?}: {happens}");
            assert!(world.mailbox().await.is_empty(), "{on:?}: {happens}");
            let counts =
                "SELECT CAST(SUM(minute_count + day_count) AS BIGINT) FROM gates WHERE owner = 'profile'";
            assert_eq!(world.number(counts).await, 0, "{on:?}: {happens}");
        }
    }
}

#[tokio::test]
async fn quiet_hours_that_began_after_the_claim_move_the_message_to_their_end() {
    for on in BOTH {
        let quiet = QuietHours::new(9 * 60, 18 * 60);
        let policy = serde_json::to_string(&Policy { quiet_hours: quiet, ..Policy::default() }).unwrap();
        let begin: &'static str = format!("UPDATE campaigns SET policy = '{policy}'").leak();
        let mut world = between(on, &Policy::default(), "", begin).await;
        assert_eq!(world.number("SELECT planned_at FROM messages").await, start() + 8 * HOUR);
        world.run_until(start() + 8 * HOUR - 1).await;
        assert!(world.mailbox().await.is_empty());
        world.run_until(start() + 9 * HOUR).await;
        assert_eq!(world.mailbox().await.len(), 1);
        assert_eq!(world.number("SELECT slot FROM messages").await, (start() + 8 * HOUR) * 1_000);
    }
}

#[tokio::test]
async fn a_campaign_that_is_resumed_sends_what_came_back_once() {
    for on in BOTH {
        let mut world = between(on, &Policy::default(), "", "UPDATE campaigns SET state = 'paused'").await;
        world.run_until(start() + HOUR).await;
        assert!(world.mailbox().await.is_empty());
        world.exec("UPDATE campaigns SET state = 'running'").await;
        world.run_until(start() + 2 * HOUR).await;
        assert_eq!(world.mailbox().await.len(), 1);
    }
}

#[tokio::test]
async fn a_slot_is_void_from_w_on_and_the_row_is_due_again() {
    for on in BOTH {
        for (late, sent) in [(W - 1, 1), (W, 0)] {
            let mut world = World::new(on, start()).await;
            let (profile, _) = world.drafted(1, &Rates::default(), &Policy::default(), &one()).await;
            world.exec(SECOND_AHEAD).await;
            let mut sender = Sender::new(world.ctx.clone(), profile, Arc::default(), Default::default());
            sender.turn(start(), true).await.unwrap();
            world.clock.set(start() + SECOND + late);
            sender.turn(start() + SECOND + late, false).await.unwrap();
            world.recorded().await;
            assert_eq!(world.mailbox().await.len(), sent, "{on:?} {late} ms late");
            world.run_until(start() + MINUTE).await;
            assert_eq!(world.mailbox().await.len(), 1, "{on:?} {late} ms late");
            let reasons = world.rows::<(String,)>("SELECT reasons FROM messages").await.remove(0).0;
            assert_eq!(reasons.contains("capacity"), sent == 0, "{reasons}");
        }
    }
}

/// Thousands of opt-outs, each against the intent of its own address: what the opt-out saw committed under its
/// barrier is all that ever is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_intent_commits_after_the_opt_out_of_its_address() {
    let world = World::new(On::Postgres, start()).await;
    let (profile, _) = world.drafted(4_000, &Rates::default(), &Policy::default(), &one()).await;
    let (account, began) = (world.account, Instant::now());
    let (mut rounds, mut went, mut refused) = (0, 0, 0);
    while began.elapsed() < Duration::from_secs(10) {
        let claimed = claim(&world.ctx, profile, 4).await;
        if claimed.is_empty() {
            break;
        }
        let racing = claimed.into_iter().map(|message| {
            let (ctx, hash) = (world.ctx.clone(), message.address_hash.clone());
            let out = tokio::spawn({
                let (ctx, hash) = (ctx.clone(), hash.clone());
                async move { opt_out(&ctx, account, &hash).await }
            });
            let sent = tokio::spawn(async move { intend(&ctx, &message).await.1 });
            async move { (out.await.unwrap(), sent.await.unwrap()) }
        });
        for (before, verdict) in futures::future::join_all(racing).await {
            rounds += 1;
            match (before, verdict) {
                (1, Verdict::Go) => went += 1,
                (0, Verdict::Back { state: "suppressed", .. }) => refused += 1,
                other => panic!("round {rounds}: {other:?}"),
            }
        }
    }
    let open = "SELECT COUNT(*) FROM attempts";
    assert_eq!(world.number(open).await, went);
    println!("{rounds} opt-outs: {went} after the intent, {refused} before it");
    assert!(went > 50 && refused > 50, "{went} and {refused}: the race was none");
}

/// By the intents' own instants, over two worker processes and the database's clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_second_holds_more_intents_than_the_limit_over_two_workers() {
    let (rate, people) = (40, 160);
    let (db, directory) = fresh_db(On::Postgres).await;
    let clock = DatabaseClock::new(db.clone());
    clock.sample().await.unwrap();
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let workers = [context(db.clone(), clock.clone(), |_| {}).await, context(db, clock, |_| {}).await];
    let world = World::over(workers[0].clone(), wall_millis(), directory).await;
    let rates = Rates { per_second: Some(rate as f64), ..Rates::default() };
    world.drafted(people, &rates, &Policy::default(), &one()).await;
    let stop = CancellationToken::new();
    let running = workers.clone().map(|ctx| {
        let (_, hints) = Queue::embedded();
        tokio::spawn(engine::run(ctx, &Lane::ALL, hints, 4, stop.clone()))
    });
    let began = Instant::now();
    while world.number("SELECT COUNT(*) FROM messages WHERE state = 'accepted'").await < people as i64 {
        assert!(began.elapsed() < Duration::from_secs(60), "the campaign does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.cancel();
    futures::future::join_all(running).await;
    let intents: Vec<(i64, i64)> =
        world.rows("SELECT intent_at, worker_id FROM attempts ORDER BY intent_at").await;
    for window in intents.windows(rate + 1) {
        assert!(window[rate].0 - window[0].0 >= 1_000, "{} intents in a second: {window:?}", rate + 1);
    }
    let by_first = intents.iter().filter(|i| i.1 == intents[0].1).count();
    println!("{people} intents in {:?}, {by_first} by the first worker", began.elapsed());
}

#[tokio::test]
async fn a_worker_that_was_given_up_still_brings_its_truth_and_nothing_is_handed_over_twice() {
    for on in BOTH {
        let mut world = World::new(on, start()).await;
        let (profile, _) = world.drafted(1, &Rates::default(), &Policy::default(), &two()).await;
        let zombie = world.other().await;
        let message = claim(&zombie, profile, 1).await.remove(0);
        let (attempt, verdict) = intend(&zombie, &message).await;
        assert_eq!(verdict, Verdict::Go);
        dies(&zombie, &world.ctx).await;
        assert_eq!(
            world.pairs("SELECT state, reasons FROM messages").await[0],
            "uncertain|[{\"code\":\"uncertain\"}]"
        );
        world.run_until(start() + MINUTE).await;
        assert!(world.mailbox().await.is_empty(), "an uncertain message is not repeated");
        record(&zombie, &message, attempt, yes()).await;
        assert_eq!(world.rows::<(String,)>("SELECT state FROM messages").await[0].0, "accepted");
        assert_eq!(world.rows::<(String,)>("SELECT state FROM attempts").await[0].0, "accepted");
        world.run_until(start() + 3 * HOUR).await;
        assert_eq!(world.mailbox().await.len(), 1, "the second step alone");
        assert_eq!(
            world
                .number("SELECT MAX(step_number) FROM mailbox b JOIN messages m ON m.id = b.message_id")
                .await,
            2
        );
        assert_eq!(
            world.number("SELECT slot / 1000 FROM messages WHERE step_number = 2").await,
            start() + HOUR
        );
        let events = world.events().await;
        assert_eq!(events, ["message.uncertain", "email.sent", "email.sent", "campaign.completed"]);
    }
}

#[tokio::test]
async fn a_dead_workers_late_no_makes_the_message_due_unless_a_later_step_went_first() {
    for on in BOTH {
        for later_step in [false, true] {
            let mut world = World::new(on, start()).await;
            let (profile, _) = world.drafted(1, &Rates::default(), &Policy::default(), &two()).await;
            let zombie = world.other().await;
            let message = claim(&zombie, profile, 1).await.remove(0);
            let (attempt, _) = intend(&zombie, &message).await;
            dies(&zombie, &world.ctx).await;
            if later_step {
                world.run_until(start() + 2 * HOUR).await;
            }
            let no = Said::NotStarted { reason: Refusal::LeaseLost };
            record(&zombie, &message, attempt, no).await;
            world.run_until(start() + 5 * HOUR).await;
            let states = world.pairs("SELECT state, reasons FROM messages ORDER BY step_number").await;
            match later_step {
                false => assert!(states.iter().all(|s| s.starts_with("accepted|")), "{on:?}: {states:?}"),
                true => assert!(
                    states[0].starts_with("cancelled|") && states[0].contains("overtaken"),
                    "{states:?}"
                ),
            }
            assert_eq!(world.mailbox().await.len(), if later_step { 1 } else { 2 });
            let completed = world.events().await.iter().filter(|e| *e == "campaign.completed").count();
            assert_eq!(completed, 1);
        }
    }
}

#[tokio::test]
async fn an_intent_whose_commit_had_no_answer_is_closed_unsent_and_goes_out_once() {
    for on in BOTH {
        for stands in [true, false] {
            let mut world = World::new(on, start()).await;
            let (profile, _) = world.drafted(1, &Rates::default(), &Policy::default(), &one()).await;
            let message = claim(&world.ctx, profile, 1).await.remove(0);
            let attempt = match stands {
                true => intend(&world.ctx, &message).await.0,
                false => world.ctx.store.ids.one("attempts").await.unwrap(),
            };
            let permit = world.ctx.open.clone().try_acquire_owned().unwrap();
            let carrier = Carrier::mailbox(permit);
            hand_over::not_started(&world.ctx, message, carrier, attempt, String::new(), start());
            world.recorded().await;
            assert_eq!(world.rows::<(String,)>("SELECT state FROM messages").await[0].0, "drafted");
            world.run_until(start() + MINUTE).await;
            assert_eq!(world.mailbox().await.len(), 1);
            let states = world.pairs("SELECT state, COALESCE(detail, '') FROM attempts ORDER BY id").await;
            assert_eq!(states.len(), if stands { 2 } else { 1 });
            assert_eq!(states.iter().any(|s| s.starts_with("not_started|withdrawn")), stands, "{states:?}");
        }
    }
}

/// Claims what there is for one more worker, which dies with it in hand.
async fn claims_and_dies(world: &World, profile: i64, most: usize) -> usize {
    let worker = world.other().await;
    let claimed = claim(&worker, profile, most).await.len();
    dies(&worker, &world.ctx).await;
    claimed
}

#[tokio::test]
async fn a_message_that_two_workers_died_with_alone_is_held() {
    for on in BOTH {
        let world = World::new(on, start()).await;
        let (profile, _) = world.drafted(1, &Rates::default(), &Policy::default(), &one()).await;
        assert_eq!(claims_and_dies(&world, profile, 8).await, 1);
        assert_eq!(world.rows::<(String,)>("SELECT state FROM messages").await[0].0, "drafted");
        assert_eq!(claims_and_dies(&world, profile, 8).await, 1);
        assert_eq!(world.pairs(MESSAGE).await, ["held|[{\"code\":\"poison\"}]"]);
    }
}

#[tokio::test]
async fn a_death_in_company_only_makes_suspects_and_each_is_then_claimed_alone() {
    for on in BOTH {
        let mut world = World::new(on, start()).await;
        let (profile, _) = world.drafted(3, &Rates::default(), &Policy::default(), &one()).await;
        for _ in 0..2 {
            let worker = world.other().await;
            assert!(!claim(&worker, profile, 1).await.is_empty());
            let more = claim(&worker, profile, 8).await.len();
            assert!(more > 0 || world.number("SELECT MAX(crashes) FROM messages").await > 0);
            dies(&worker, &world.ctx).await;
            if more == 0 {
                break;
            }
            assert_eq!(world.number("SELECT MAX(crashes) FROM messages").await, 1, "{on:?}");
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM messages WHERE crashes = 2").await, 1);
        world.run_until(start() + MINUTE).await;
        assert_eq!(world.mailbox().await.len(), 3, "suspects that harm nobody go out, one by one");
        assert_eq!(world.number("SELECT MAX(crashes) FROM messages").await, 0);
    }
}

#[tokio::test]
async fn a_released_message_goes_out_again_under_its_own_message_id() {
    const RELEASE: &str =
        "UPDATE messages SET state = 'drafted', approved = TRUE, fence = fence + 1, slot = NULL";
    for on in BOTH {
        for proof_comes_first in [false, true] {
            let mut world = World::new(on, start()).await;
            let (profile, _) = world.drafted(1, &Rates::default(), &Policy::default(), &one()).await;
            let zombie = world.other().await;
            let message = claim(&zombie, profile, 1).await.remove(0);
            let (attempt, _) = intend(&zombie, &message).await;
            dies(&zombie, &world.ctx).await;
            world.run_until(start() + MINUTE).await;
            assert_eq!(world.rows::<(String,)>("SELECT state FROM campaigns").await[0].0, "completed");
            world.exec("UPDATE campaigns SET state = 'running'").await;
            world.exec(RELEASE).await;
            sendwright_worker::sweep::pass(&world.ctx, world.clock.read()).await.unwrap();
            assert_eq!(world.rows::<(String,)>("SELECT state FROM campaigns").await[0].0, "running");
            if proof_comes_first {
                record(&zombie, &message, attempt, yes()).await;
            }
            world.run_until(start() + HOUR).await;
            let id = format!("<m-{}.{}@example.com>", message.id, world.ctx.store.epoch());
            let expected = if proof_comes_first { vec![] } else { vec![id] };
            assert_eq!(world.mailbox().await, expected, "{on:?}, proof first: {proof_comes_first}");
            assert_eq!(world.rows::<(String,)>("SELECT state FROM messages").await[0].0, "accepted");
            assert_eq!(world.rows::<(String,)>("SELECT state FROM campaigns").await[0].0, "completed");
            let completed = world.events().await.iter().filter(|e| *e == "campaign.completed").count();
            assert_eq!(completed, 1, "{on:?}");
        }
    }
}

#[tokio::test]
async fn proof_that_comes_while_a_released_message_is_under_way_ends_it() {
    for on in BOTH {
        let mut world = World::new(on, start()).await;
        let (profile, _) = world.drafted(1, &Rates::default(), &Policy::default(), &two()).await;
        let zombie = world.other().await;
        let first = claim(&zombie, profile, 1).await.remove(0);
        let (attempt, _) = intend(&zombie, &first).await;
        dies(&zombie, &world.ctx).await;
        world.exec("UPDATE messages SET state = 'drafted', approved = TRUE, fence = fence + 1").await;
        let again = claim(&world.ctx, profile, 1).await.remove(0);
        let (second, verdict) = intend(&world.ctx, &again).await;
        assert_eq!((verdict, again.id), (Verdict::Go, first.id));
        record(&zombie, &first, attempt, yes()).await;
        let trouble = Said::NotStarted { reason: Refusal::LeaseLost };
        record(&world.ctx, &again, second, trouble).await;
        assert_eq!(world.rows::<(String,)>("SELECT state FROM messages").await[0].0, "accepted");
        world.run_until(start() + 2 * HOUR).await;
        assert_eq!(world.mailbox().await.len(), 1, "{on:?}: the second step alone");
    }
}

#[tokio::test]
async fn an_enrolment_waits_for_a_person_where_the_campaign_says_so() {
    for on in BOTH {
        let policy = Policy { after_uncertain: AfterUncertain::Hold, ..Policy::default() };
        let mut world = World::new(on, start()).await;
        let (profile, _) = world.drafted(1, &Rates::default(), &policy, &two()).await;
        let zombie = world.other().await;
        let message = claim(&zombie, profile, 1).await.remove(0);
        let (attempt, _) = intend(&zombie, &message).await;
        dies(&zombie, &world.ctx).await;
        world.run_until(start() + 9 * HOUR).await;
        assert!(world.mailbox().await.is_empty(), "{on:?}");
        record(&zombie, &message, attempt, yes()).await;
        world.run_until(start() + 10 * HOUR).await;
        assert_eq!(world.mailbox().await.len(), 1);
    }
}

#[tokio::test]
async fn who_chooses_resend_is_told_of_the_doubt_and_proof_still_stops_the_second() {
    for on in BOTH {
        for proof in [false, true] {
            let mut world = World::new(on, start()).await;
            let policy = Policy { on_uncertain: OnUncertain::Resend, ..Policy::default() };
            let (profile, _) = world.drafted(1, &Rates::default(), &policy, &one()).await;
            let zombie = world.other().await;
            let message = claim(&zombie, profile, 1).await.remove(0);
            let (attempt, _) = intend(&zombie, &message).await;
            dies(&zombie, &world.ctx).await;
            assert_eq!(world.rows::<(String,)>("SELECT state FROM attempts").await[0].0, "uncertain");
            if proof {
                record(&zombie, &message, attempt, yes()).await;
            }
            world.run_until(start() + HOUR).await;
            assert_eq!(world.mailbox().await.len(), usize::from(!proof), "{on:?}");
            assert_eq!(world.events().await.iter().filter(|e| *e == "message.uncertain").count(), 1);
        }
    }
}
