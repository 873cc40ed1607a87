//! What Twilio answers and what becomes of the message, through the worker's own loops (S2-30, SC-03; FAULTS F62).

use crate::support::engine::BOTH;
use crate::support::loops::PATIENCE;
use crate::support::twilio_loops::{Phones, numbers, own, text};
use crate::support::twilio_server::{Act, TOKEN, TwilioServer};
use sendwright_store::clock::wall_millis;
use sendwright_worker::context::PhoneOutlet;
use sendwright_workflows::clock::{MINUTE, SECOND};
use sendwright_workflows::country::Country;
use sendwright_workflows::sequence::{Channel, Enclosed, Step};
use std::time::Duration;

const ACCEPTED: &str = "SELECT COUNT(*) FROM messages WHERE state = 'accepted'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_phone_channels_reach_everybody_once_and_keep_twilios_names() {
    for on in BOTH {
        let phones = Phones::start(on, []).await;
        phones.campaign(&numbers(20), &[text(1, Channel::Sms, 0), text(2, Channel::Whatsapp, 1)]).await;
        phones.twilio.wait_for(20, PATIENCE).await;
        phones.until(ACCEPTED, 20).await;
        phones.forward(2 * MINUTE);
        phones.until(ACCEPTED, 40).await;
        let (world, twilio) = phones.stop().await;
        let made = twilio.made();
        assert_eq!(made.len(), 40);
        let whatsapp = made.iter().filter(|m| m.to.starts_with("whatsapp:+1415555")).count();
        assert_eq!(whatsapp, 20, "S2-37");
        assert!(made.iter().all(|m| m.body == "Hi Ada, \u{1f44b} & welcome"));
        let senders: Vec<&str> = made.iter().map(|m| m.from.as_str()).collect();
        assert!(senders.contains(&"+15550001111") && senders.contains(&"whatsapp:+15550002222"));
        let callback = made[0].status_callback.as_deref().unwrap();
        assert!(callback.starts_with("http://127.0.0.1:8080/webhooks/status?attempt="), "{callback}");
        assert!(callback.ends_with("#rc=5&rp=ct,rt,5xx"), "{callback}");
        let named = "SELECT COUNT(*) FROM attempts a JOIN messages m ON m.id = a.message_id
             WHERE a.provider_id LIKE 'SM%' AND m.provider_status = 'queued'";
        assert_eq!(world.number(named).await, 40);
        let events = world.events().await;
        for kind in ["sms.sent", "whatsapp.sent"] {
            assert_eq!(events.iter().filter(|e| *e == kind).count(), 20, "{kind}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_that_twilio_refuses_fail_with_its_code_and_only_bad_ones_are_suppressed() {
    for on in BOTH {
        let phones = Phones::start(on, []).await;
        let magic = ["1", "2", "3", "4", "9"].map(|n| format!("+1500555000{n}"));
        phones
            .campaign(
                &[&magic[..], &numbers(1)].concat(),
                &[text(1, Channel::Sms, 0), text(2, Channel::Sms, 1)],
            )
            .await;
        phones.until("SELECT COUNT(*) FROM messages WHERE state = 'failed'", 5).await;
        phones.until(ACCEPTED, 1).await;
        phones.forward(10 * MINUTE);
        phones.until(ACCEPTED, 2).await;
        let (world, twilio) = phones.stop().await;
        assert_eq!((twilio.made().len(), twilio.asked()), (2, 7), "nobody is asked twice");
        let codes = "SELECT address, CAST(provider_code AS TEXT) FROM messages WHERE state = 'failed' ORDER BY address";
        let expected =
            ["1|21211", "2|21612", "3|21408", "4|21610", "9|21614"].map(|end| format!("+1500555000{end}"));
        assert_eq!(world.pairs(codes).await, expected);
        let why = "SELECT hint, channel || ' ' || why || ' ' || source FROM suppressions ORDER BY why, hint, channel";
        assert_eq!(
            world.pairs(why).await,
            [
                "+1500…01|sms bounced provider",
                "+1500…09|sms bounced provider",
                "+1500…04|sms stop provider",
                "+1500…04|whatsapp stop provider"
            ]
        );
        let said =
            "SELECT channel, state || ' ' || source FROM consents WHERE source = 'provider' ORDER BY channel";
        assert_eq!(world.pairs(said).await, ["sms|stop provider", "whatsapp|stop provider"]);
        assert_eq!(world.events().await.iter().filter(|e| *e == "sms.failed").count(), 5);
        let ends = world
            .pairs("SELECT state, CAST(COUNT(*) AS TEXT) FROM enrolments GROUP BY state ORDER BY state")
            .await;
        assert_eq!(ends, ["completed|1", "failed|2", "stopped|3"]);
    }
}

/// F62.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_to_slow_down_rests_as_long_as_it_is_told_and_doubles_nothing() {
    for on in BOTH {
        let phones = Phones::start(on, []).await;
        for _ in 0..3 {
            phones.twilio.next(Act::SlowDown(120));
        }
        phones.campaign(&numbers(12), &[text(1, Channel::Sms, 0)]).await;
        let paused = "SELECT COUNT(*) FROM sending_profiles WHERE state = 'paused'";
        phones.until(paused, 1).await;
        phones.until("SELECT COUNT(*) FROM attempts WHERE state = 'sending'", 0).await;
        let (until, why): (i64, String) = phones
            .world
            .rows("SELECT paused_until, why FROM sending_profiles WHERE state = 'paused'")
            .await
            .remove(0);
        let wait = until - wall_millis();
        assert!((100 * SECOND..=120 * SECOND).contains(&wait), "{wait}");
        assert!(why.contains("20429"), "{why}");
        for _ in 0..3 {
            phones.forward(125 * SECOND);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        phones.until(ACCEPTED, 12).await;
        let (world, twilio) = phones.stop().await;
        let mut to: Vec<String> = twilio.made().into_iter().map(|made| made.to).collect();
        to.sort();
        assert_eq!(to, numbers(12), "each once");
        assert_eq!(world.number(paused).await, 0);
        assert_eq!(
            world.number("SELECT COUNT(*) FROM messages WHERE state IN ('failed', 'uncertain')").await,
            0
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_credentials_switch_the_profile_off_before_anything_is_claimed() {
    for on in BOTH {
        let elsewhere = TwilioServer::start().await;
        let wrong = own(&elsewhere, "wrong");
        let phones = Phones::with(on, [], |settings| settings.phones = wrong).await;
        phones.campaign(&numbers(5), &[text(1, Channel::Sms, 0)]).await;
        phones.until("SELECT COUNT(*) FROM sending_profiles WHERE state = 'disabled'", 1).await;
        let (world, _) = phones.stop().await;
        let why = world
            .rows::<(String,)>("SELECT why FROM sending_profiles WHERE state = 'disabled'")
            .await
            .remove(0)
            .0;
        assert!(why.contains("401 (20003)"), "{why}");
        assert_eq!(elsewhere.asked(), 0);
        assert_eq!(world.number("SELECT COUNT(*) FROM attempts").await, 0);
        assert_eq!(world.number("SELECT COUNT(*) FROM messages WHERE state = 'drafted'").await, 5);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_cannot_send_is_switched_off_and_its_queue_is_kept() {
    for on in BOTH {
        let phones =
            Phones::start(on, [Act::Refuse(400, 21606, "The 'From' phone number is not valid")]).await;
        phones.campaign(&numbers(1), &[text(1, Channel::Sms, 0)]).await;
        phones.until("SELECT COUNT(*) FROM sending_profiles WHERE state = 'disabled'", 1).await;
        phones.until("SELECT COUNT(*) FROM messages WHERE state = 'drafted'", 1).await;
        phones.world.exec("UPDATE sending_profiles SET state = 'active', why = NULL").await;
        phones.forward(MINUTE);
        phones.until(ACCEPTED, 1).await;
        let (_, twilio) = phones.stop().await;
        assert_eq!(twilio.made().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_costs_no_message_an_attempt() {
    for on in BOTH {
        let away = {
            let gone = TwilioServer::start().await;
            own(&gone, TOKEN)
        };
        let phones = Phones::with(on, [], |settings| settings.phones = away).await;
        phones.campaign(&numbers(5), &[text(1, Channel::Sms, 0)]).await;
        phones.until("SELECT COUNT(*) FROM sending_profiles WHERE why LIKE '%no connection%'", 1).await;
        let (world, _) = phones.stop().await;
        assert_eq!(world.number("SELECT COUNT(*) FROM attempts").await, 0);
        assert_eq!(world.number("SELECT COUNT(*) FROM messages WHERE state = 'drafted'").await, 5);
        assert_eq!(world.number("SELECT COUNT(*) FROM sending_profiles WHERE state = 'active'").await, 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_account_texts_stay_in_the_mailbox_as_people_read_them() {
    for on in BOTH {
        let phones = Phones::with(on, [], |settings| settings.phones = PhoneOutlet::Mailbox).await;
        phones.campaign(&numbers(1), &[text(1, Channel::Sms, 0)]).await;
        phones.until(ACCEPTED, 1).await;
        let (world, twilio) = phones.stop().await;
        assert_eq!(twilio.asked(), 0);
        let rows: Vec<(String, String, String, String)> =
            world.rows("SELECT sender, recipient, subject, raw FROM mailbox").await;
        let (sender, recipient, subject, raw) = &rows[0];
        assert_eq!(
            (sender.as_str(), recipient.as_str(), subject.as_str()),
            ("default-sms", "+14155550000", "")
        );
        assert!(
            raw.contains("\nChannel: sms\n") && raw.ends_with("\n\nHi Ada, \u{1f44b} & welcome\n"),
            "{raw}"
        );
        assert_eq!(world.events().await.iter().filter(|e| *e == "sms.sent").count(), 1);
    }
}

/// S2-37.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_templates_have_their_variables_rendered_for_each_person_and_media_go_along() {
    for on in BOTH {
        let phones = Phones::start(on, []).await;
        let variables = [("1".to_owned(), "{{upper first_name}}".to_owned())].into();
        let content = Enclosed {
            content_sid: Some("HX0123456789abcdef0123456789abcdef".into()),
            content_variables: variables,
            ..Enclosed::default()
        };
        let media = Enclosed {
            media_urls: vec!["https://example.com/a.png".into(), "https://example.com/b.png".into()],
            ..Enclosed::default()
        };
        let steps = [
            Step { template: None, enclosed: content, ..text(1, Channel::Whatsapp, 0) },
            Step { enclosed: media, ..text(2, Channel::Sms, 1) },
        ];
        phones.campaign(&numbers(1), &steps).await;
        phones.until(ACCEPTED, 1).await;
        phones.forward(2 * MINUTE);
        phones.until(ACCEPTED, 2).await;
        let (_, twilio) = phones.stop().await;
        let made = twilio.made();
        assert_eq!(made[0].content_sid.as_deref(), Some("HX0123456789abcdef0123456789abcdef"));
        assert_eq!(made[0].content_variables.as_deref(), Some(r#"{"1":"ADA"}"#));
        assert_eq!((made[0].body.as_str(), made[1].media.len()), ("", 2));
    }
}

/// ATTACKS A42.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_of_countries_that_are_not_allowed_are_held_and_the_process_has_the_last_word() {
    for on in BOTH {
        for (process, profile, held) in [
            (&["US", "CA", "GB"][..], None, 2),
            (&["US"], Some(r#"["US", "DE"]"#), 2),
            (&["US", "DE"], None, 1),
            (&["US", "DE"], Some(r#"["US"]"#), 2),
        ] {
            let phones = Phones::with(on, [], |settings| {
                settings.allowed_countries =
                    process.iter().map(|code| Country::parse(code).unwrap()).collect();
            })
            .await;
            let to = ["+4930123456", "+88213300000"].map(String::from);
            let allows = match profile {
                None => "UPDATE sending_profiles SET allowed_countries = NULL",
                Some(r#"["US"]"#) => r#"UPDATE sending_profiles SET allowed_countries = '["US"]'"#,
                Some(_) => r#"UPDATE sending_profiles SET allowed_countries = '["US", "DE"]'"#,
            };
            phones.world.default_profile(Channel::Sms).await;
            phones.world.exec(allows).await;
            phones.campaign(&[&to[..], &numbers(1)].concat(), &[text(1, Channel::Sms, 0)]).await;
            phones.until("SELECT COUNT(*) FROM messages WHERE state = 'held'", held).await;
            phones.until(ACCEPTED, 3 - held).await;
            let (world, twilio) = phones.stop().await;
            assert_eq!(twilio.asked() as i64, 3 - held, "{on:?} {process:?} {profile:?}");
            let why = "SELECT COUNT(*) FROM messages WHERE reasons LIKE '%destination_not_allowed%'";
            assert_eq!(world.number(why).await, held);
        }
    }
}
