//! What servers answer and what becomes of the message, through the worker's own loops (FAULTS F49 to F60).

use crate::support::engine::{BOTH, On, step};
use crate::support::loops::{Loops, PATIENCE};
use crate::support::smtp_server::{Act, At, Rule, Script, SmtpServer};
use sendwright_workflows::campaign::{OnUncertain, Policy};
use sendwright_workflows::clock::{HOUR, MINUTE, SECOND};
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::sequence::{Delay, Step};
use serde_json::Value;
use std::time::{Duration, Instant};

const ACCEPTED: &str = "SELECT COUNT(*) FROM messages WHERE state = 'accepted'";

fn one() -> [Step; 1] {
    [step(1, Delay::default())]
}

fn two() -> [Step; 2] {
    [step(1, Delay::default()), step(2, Delay { minutes: 5, ..Delay::default() })]
}

/// What the account is told of its profiles: names and contents.
async fn told(loops: &Loops) -> Vec<(String, Value)> {
    let rows = loops.world.rows::<(String, String)>(
        "SELECT kind, data FROM events WHERE kind LIKE 'profile.%' ORDER BY at, id",
    );
    rows.await.into_iter().map(|(kind, data)| (kind, serde_json::from_str(&data).unwrap())).collect()
}

fn script(rule: Rule) -> Script {
    Script::default().rule(rule)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_too_busy_to_greet_gets_everything_once_it_is_not() {
    for on in BOTH {
        let busy = script(Rule::at(At::Banner).times(2).reply("421 4.3.2 too many connections"));
        let loops = Loops::start(on, busy).await;
        let other = SmtpServer::start(Script::default()).await;
        let own = loops.own_server("other", &other.url()).await;
        loops.campaign("busy", 5, &Policy::default(), &one()).await;
        loops.campaign_on(own, "free", 5, &Policy::default(), &one()).await;
        other.wait_for(5, PATIENCE).await;
        loops.server.wait_for(5, PATIENCE).await;
        loops.until(ACCEPTED, 10).await;
        let (world, server) = loops.stop().await;
        assert_eq!((server.received().len(), other.received().len()), (5, 5));
        assert_eq!(
            world.number("SELECT COUNT(*) FROM attempts").await,
            10,
            "nothing was tried without a line"
        );
        assert_eq!(world.number("SELECT COUNT(*) FROM sending_profiles WHERE why IS NOT NULL").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_greylisted_message_arrives_once_at_its_second_try() {
    for on in BOTH {
        let loops = Loops::start(on, script(Rule::at(At::Rcpt).times(1).reply("450 4.2.0 greylisted"))).await;
        loops.campaign("grey", 1, &Policy::default(), &one()).await;
        loops.until("SELECT COUNT(*) FROM attempts WHERE state = 'refused'", 1).await;
        assert_eq!(loops.arrived().0, 0);
        loops.forward(75 * SECOND);
        loops.until(ACCEPTED, 1).await;
        loops.forward(HOUR);
        let (world, server) = loops.stop().await;
        assert_eq!(server.received().len(), 1);
        let attempts = world.pairs("SELECT state, stage FROM attempts ORDER BY id").await;
        assert_eq!(attempts, ["refused|rcpt", "accepted|answer"]);
        let reasons = world.rows::<(String,)>("SELECT reasons FROM messages").await.remove(0).0;
        assert!(reasons.contains("\"refused\"") && reasons.contains("450"), "{reasons}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_does_not_exist_bounces_is_suppressed_and_ends_its_enrolment() {
    for on in BOTH {
        let refusing = Rule::at(At::Rcpt).to("gone0").reply("550 5.1.1 no such user");
        let loops = Loops::start(on, script(refusing)).await;
        loops.campaign("gone", 2, &Policy::default(), &two()).await;
        loops.until(ACCEPTED, 1).await;
        loops.until("SELECT COUNT(*) FROM messages WHERE state = 'bounced'", 1).await;
        loops.forward(10 * MINUTE);
        loops.until(ACCEPTED, 2).await;
        let (world, server) = loops.stop().await;
        assert_eq!(server.received().len(), 2, "two steps to the other");
        assert_eq!(world.pairs("SELECT why, source FROM suppressions").await, ["bounced|smtp"]);
        assert_eq!(world.number("SELECT COUNT(*) FROM enrolments WHERE state = 'stopped'").await, 1);
        assert_eq!(world.number("SELECT COUNT(*) FROM attempts WHERE state = 'refused'").await, 1);
        assert_eq!(world.events().await.iter().filter(|e| *e == "email.bounced").count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_of_the_sender_or_the_text_suppresses_nobody() {
    for on in BOTH {
        let policy = Rule::at(At::Rcpt).to("a0").reply("550 5.7.1 you are on a list");
        let text = Rule::at(At::Dot).to("a1").reply("554 5.6.0 spam");
        let later = Rule::at(At::Dot).to("a2").times(1).reply("451 4.3.0 try later");
        let loops = Loops::start(on, script(policy).rule(text).rule(later)).await;
        loops.campaign("a", 3, &Policy::default(), &one()).await;
        loops.until("SELECT COUNT(*) FROM messages WHERE state = 'failed'", 2).await;
        loops.until("SELECT COUNT(*) FROM attempts WHERE state = 'refused'", 3).await;
        loops.forward(75 * SECOND);
        loops.until(ACCEPTED, 1).await;
        let (world, server) = loops.stop().await;
        assert_eq!(server.received().len(), 1);
        assert_eq!(world.number("SELECT COUNT(*) FROM suppressions").await, 0);
        assert_eq!(world.number("SELECT COUNT(*) FROM messages WHERE state = 'uncertain'").await, 0);
        assert_eq!(world.events().await.iter().filter(|e| *e == "email.failed").count(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_breaks_in_the_body_is_a_no_and_the_message_goes_again_once() {
    for on in BOTH {
        let loops = Loops::start(on, script(Rule::at(At::Body(200)).times(1).act(Act::Drop))).await;
        let approving = Policy { requires_approval: true, ..Policy::default() };
        loops.campaign("cut", 1, &approving, &one()).await;
        loops.until("SELECT COUNT(*) FROM messages WHERE state = 'held'", 1).await;
        // Longer than what the machine takes on the server's behalf: the end is not written yet.
        loops.world.exec(match loops.world.is_postgres() {
            true => "UPDATE drafts SET body = repeat(E'a line of a long letter\\n', 400000)",
            false => "UPDATE drafts SET body = replace(hex(zeroblob(400000)), '00', 'a line of a long letter' || char(10))",
        }).await;
        loops.world.exec("UPDATE messages SET state = 'drafted', approved = TRUE").await;
        loops.until("SELECT COUNT(*) FROM attempts WHERE state = 'refused'", 1).await;
        loops.forward(5 * SECOND);
        loops.until(ACCEPTED, 1).await;
        let (world, server) = loops.stop().await;
        assert_eq!(server.received().len(), 1);
        assert_eq!(world.number("SELECT COUNT(*) FROM events WHERE kind = 'message.uncertain'").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_past_its_dot_is_never_sent_twice() {
    for on in BOTH {
        let loops = Loops::start(on, script(Rule::at(At::Dot).times(1).act(Act::AcceptAndDrop))).await;
        loops.campaign("doubt", 1, &Policy::default(), &two()).await;
        loops.until("SELECT COUNT(*) FROM messages WHERE state = 'uncertain'", 1).await;
        loops.forward(10 * MINUTE);
        loops.until(ACCEPTED, 1).await;
        loops.forward(3 * HOUR);
        let (world, server) = loops.stop().await;
        let got = server.received();
        assert_eq!(got.len(), 2, "each step once");
        assert_ne!(got[0].header("Message-ID"), got[1].header("Message-ID"));
        assert_eq!(world.events().await.iter().filter(|e| *e == "message.uncertain").count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_chooses_resend_gets_exactly_one_double_under_the_same_message_id() {
    for on in BOTH {
        for by_profile in [false, true] {
            let loops = Loops::start(on, script(Rule::at(At::Dot).times(1).act(Act::AcceptAndDrop))).await;
            let policy = match by_profile {
                false => Policy { on_uncertain: OnUncertain::Resend, ..Policy::default() },
                true => Policy::default(),
            };
            loops.world.exec("UPDATE sending_profiles SET on_uncertain = NULL").await;
            let profile = loops.world.profile("main", &Default::default()).await;
            if by_profile {
                loops.world.exec("UPDATE sending_profiles SET on_uncertain = 'resend'").await;
            }
            loops.campaign_on(profile, "double", 1, &policy, &one()).await;
            loops.until("SELECT COUNT(*) FROM attempts WHERE state = 'uncertain'", 1).await;
            loops.forward(5 * SECOND);
            loops.until(ACCEPTED, 1).await;
            loops.forward(HOUR);
            assert_eq!(loops.arrived(), (2, 1), "two deliveries of one Message-ID");
            let (world, _server) = loops.stop().await;
            assert_eq!(world.events().await.iter().filter(|e| *e == "message.uncertain").count(), 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_keeps_only_its_own_profile_waiting() {
    for on in BOTH {
        for at in [At::Banner, At::Mail, At::Dot] {
            let loops = Loops::start(on, script(Rule::at(at).act(Act::Stall))).await;
            let other = SmtpServer::start(Script::default()).await;
            let own = loops.own_server("other", &other.url()).await;
            loops.campaign("tar", 100, &Policy::default(), &one()).await;
            if at != At::Banner {
                loops.until("SELECT COUNT(*) FROM (SELECT id FROM attempts WHERE state = 'sending' LIMIT 1) AS one", 1).await;
            }
            loops.campaign_on(own, "free", 200, &Policy::default(), &one()).await;
            other.wait_for(200, Duration::from_secs(20)).await;
            assert_eq!(loops.arrived().0, 0);
            let open = "SELECT COUNT(*) FROM attempts a JOIN messages m ON m.id = a.message_id
                 WHERE a.state = 'sending' AND m.address LIKE 'tar%'";
            let open = loops.world.number(open).await;
            let most = loops.ctx().settings.open_limit as i64 * 3 / 4;
            assert!(open <= most, "{open} hand-overs open on one profile");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_refused_logins_disable_the_profile_with_its_reason_and_keep_the_queue() {
    for on in BOTH {
        let login = Script::default().login("ann", "right");
        let refusing = login.rule(Rule::at(At::Auth).times(3).reply("535 5.7.8 no"));
        let loops = Loops::start(on, Script::default()).await;
        let server = SmtpServer::start(refusing).await;
        let url = server.url().replace("smtp://", "smtp://ann:right@");
        let profile = loops.own_server("locked", &url).await;
        loops.campaign_on(profile, "auth", 4, &Policy::default(), &one()).await;
        loops.until("SELECT COUNT(*) FROM sending_profiles WHERE state = 'disabled'", 1).await;
        let why = loops
            .world
            .rows::<(Option<String>,)>("SELECT why FROM sending_profiles WHERE state = 'disabled'");
        let why = why.await.remove(0).0.unwrap();
        assert!(why.contains("535") || why.contains("login"), "{why}");
        assert_eq!(loops.world.number("SELECT COUNT(*) FROM messages WHERE state = 'drafted'").await, 4);
        assert_eq!(server.seen(At::Auth), 3, "nobody is locked out by our trying");
        assert_eq!(told(&loops).await[0].0, "profile.disabled");
        loops.world.exec("UPDATE sending_profiles SET state = 'active'").await;
        loops.forward(MINUTE);
        server.wait_for(4, PATIENCE).await;
        loops.until(ACCEPTED, 4).await;
        assert_eq!(loops.world.number("SELECT COUNT(*) FROM attempts").await, 4);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_up_on_idle_lines_or_after_each_message_loses_and_doubles_nothing() {
    for on in BOTH {
        let idle = Script { close_after_idle: Some(Duration::from_millis(300)), ..Script::default() };
        let each = Script { close_after_each: true, ..Script::default() };
        for script in [idle, each] {
            let loops = Loops::start(on, script).await;
            let campaign = loops.campaign("first", 10, &Policy::default(), &one()).await;
            loops.until(ACCEPTED, 10).await;
            loops.server.wait_closed(PATIENCE).await;
            loops.people(campaign, "second", 10).await;
            loops.forward(MINUTE);
            loops.until("SELECT COUNT(*) FROM messages WHERE state IN ('accepted', 'drafted')", 20).await;
            loops.forward(MINUTE);
            loops.until(ACCEPTED, 20).await;
            assert_eq!(loops.arrived(), (20, 20));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_providers_limit_lets_the_profile_rest_and_the_rest_goes_later_once() {
    const PEOPLE: usize = 400;
    for on in BOTH {
        let limit = Rule::at(At::Rcpt).after(3).reply("452 4.7.0 daily limit reached");
        let loops = Loops::start(on, script(limit)).await;
        loops.campaign("daily", PEOPLE, &Policy::default(), &one()).await;
        loops.until("SELECT COUNT(*) FROM sending_profiles WHERE state = 'paused'", 1).await;
        loops.until("SELECT COUNT(*) FROM attempts WHERE state = 'sending'", 0).await;
        let tried = loops.world.number("SELECT COUNT(*) FROM attempts").await;
        // Those that were under way when it said so.
        assert!(tried < PEOPLE as i64 / 2, "{tried} tries: the server is asked no more once it has said so");
        let why =
            loops.world.rows::<(Option<String>,)>("SELECT why FROM sending_profiles WHERE state = 'paused'");
        assert!(why.await.remove(0).0.unwrap().contains("daily limit"));
        assert_eq!(loops.arrived().0, 3);
        loops.server.clear_rules();
        loops.forward(16 * MINUTE);
        loops.until(ACCEPTED, PEOPLE as i64).await;
        assert_eq!(loops.arrived(), (PEOPLE, PEOPLE));
        assert_eq!(
            loops.world.number("SELECT COUNT(*) FROM sending_profiles WHERE state = 'paused'").await,
            0
        );
        let told = told(&loops).await;
        let [(paused, why), (resumed, after)] = &told[..] else { panic!("{told:?}") };
        assert_eq!([paused.as_str(), resumed.as_str()], ["profile.paused", "profile.resumed"]);
        assert!(why["why"].as_str().unwrap().contains("daily limit"), "{why}");
        assert!(why["paused_until"].is_string() && why["name"] == "daily", "{why}");
        assert_eq!((&after["state"], &after["why"]), (&Value::from("active"), &Value::Null));
    }
}

/// The server needs three seconds for DATA: an intent before it is older than G at the dot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_slower_than_an_intent_may_be_old_gets_its_messages_with_the_intent_at_the_dot() {
    for on in BOTH {
        let slow =
            Rule::at(At::Data).act(Act::Trickle(b"354 go on\r\n".to_vec(), Duration::from_millis(270)));
        let gone = Rule::at(At::Rcpt).to("slow7").after(1).reply("550 5.1.1 gone");
        let loops = Loops::start(on, script(slow).rule(gone)).await;
        let rates = Rates { per_second: Some(2.0), per_day: Some(100), ..Rates::default() };
        let profile = loops.world.profile("slow", &rates).await;
        loops.campaign_on(profile, "slow", 12, &Policy::default(), &one()).await;
        loops
            .until(
                "SELECT COUNT(*) FROM (SELECT id FROM attempts WHERE state = 'not_started' LIMIT 1) AS n",
                1,
            )
            .await;
        assert_eq!(loops.arrived().0, 0, "no dot after an old intent");
        loops.until("SELECT COUNT(*) FROM messages WHERE state IN ('accepted', 'bounced')", 12).await;
        let (world, server) = loops.stop().await;
        assert_eq!(server.received().len() as i64, world.number(ACCEPTED).await);
        let intents: Vec<(i64,)> =
            world.rows("SELECT intent_at FROM attempts WHERE state = 'accepted' ORDER BY intent_at").await;
        for window in intents.windows(3) {
            assert!(window[2].0 - window[0].0 >= 1_000, "{on:?}: three intents in a second: {window:?}");
        }
        let counted = "SELECT CAST(SUM(day_count) AS BIGINT) FROM gates WHERE owner = 'profile'";
        let attempts = world.number("SELECT COUNT(*) FROM attempts").await;
        assert_eq!(world.number(counted).await, attempts, "{on:?}: what never had an intent does not count");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_slow_server_an_opt_out_while_the_body_waits_is_obeyed() {
    for on in BOTH {
        let slow =
            Rule::at(At::Data).act(Act::Trickle(b"354 go on\r\n".to_vec(), Duration::from_millis(270)));
        let loops = Loops::start(on, script(slow)).await;
        loops.campaign("slow", 3, &Policy::default(), &one()).await;
        loops.until("SELECT COUNT(*) FROM attempts WHERE state = 'not_started'", 3).await;
        let data = loops.server.seen(At::Data);
        while loops.server.seen(At::Data) < data + 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        loops
            .world
            .exec(
                "INSERT INTO suppressions (id, account_id, channel, address_hash, hint, why, source, created_at)
                 SELECT id, account_id, 'email', address_hash, '', 'opt_out', 'api', 0 FROM messages
                 WHERE address LIKE 'slow1%'",
            )
            .await;
        loops.until(ACCEPTED, 2).await;
        loops.until("SELECT COUNT(*) FROM messages WHERE state = 'suppressed'", 1).await;
        let (world, server) = loops.stop().await;
        assert_eq!(server.received().len(), 2);
        assert_eq!(world.number("SELECT COUNT(*) FROM enrolments WHERE state = 'stopped'").await, 1);
    }
}

/// A server that takes connections and greets nobody: a look waits 15 seconds for it, an end does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orderly_end_waits_for_no_connection_that_is_being_opened() {
    let loops = Loops::start(On::Sqlite, script(Rule::at(At::Banner).act(Act::Stall))).await;
    loops.campaign("silent", 3, &Policy::default(), &one()).await;
    let patience = Instant::now() + PATIENCE;
    while loops.server.connections() == 0 {
        assert!(Instant::now() < patience, "no connection was tried");
        tokio::task::yield_now().await;
    }
    let since = Instant::now();
    let (world, _) = loops.stop().await;
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    assert_eq!(world.number("SELECT COUNT(*) FROM messages WHERE state = 'drafted'").await, 3);
}
