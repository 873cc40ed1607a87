//! Sending profiles for phones over the API and the command: what is taken, kept secret and refused (S2-16, S2-37; A5, A8, A53).

use crate::program::{Place, Ran};
use crate::support::api::App;
use crate::support::desk::{Desk, START};
use crate::support::engine::BOTH;
use crate::support::phones;
use crate::support::twilio_server::{SID, TOKEN, TwilioServer};
use sendwright_workflows::clock::MINUTE;
use sendwright_workflows::sequence::Channel;
use serde_json::{Value, json};

const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
const PATH: &str = "/api/v1/sending-profiles";

fn own() -> Value {
    json!({"name": "texts", "channel": "sms", "from_phone": "+14155550100", "twilio_account_sid": ACCOUNT,
        "twilio_auth_token": "hunter2", "allowed_countries": ["us", "DE"], "rate_limit_per_second": 3})
}

fn codes(answer: &Value) -> Vec<String> {
    let word =
        |error: &Value| format!("{} {}", error["field"].as_str().unwrap(), error["code"].as_str().unwrap());
    answer["details"]["errors"].as_array().unwrap_or(&vec![]).iter().map(word).collect()
}

#[tokio::test]
async fn a_profile_with_its_own_account_is_taken_and_its_token_never_comes_out() {
    for app in App::both().await {
        let made = app.call("POST", PATH, Some(&own())).await.done();
        assert_eq!((&made["channel"], &made["transport"]), (&json!("sms"), &json!("twilio")));
        assert_eq!(made["allowed_countries"], json!(["US", "DE"]));
        let shown = app.call("GET", PATH, None).await;
        assert!(!shown.text.contains("hunter2"));
        assert!(
            !app.text("SELECT twilio_sealed FROM sending_profiles WHERE name = 'texts'")
                .await
                .contains("hunter2")
        );
        let path = format!("{PATH}/{}", made["id"].as_str().unwrap());
        let changed =
            json!({"from_phone": null, "messaging_service_sid": "MG0123456789abcdef0123456789abcdef"});
        let changed = app.call("PATCH", &path, Some(&changed)).await.done();
        assert_eq!((&changed["from_phone"], &changed["transport"]), (&Value::Null, &json!("twilio")));
        assert_eq!(
            app.number("SELECT COUNT(*) FROM sending_profiles WHERE twilio_sealed IS NOT NULL").await,
            1
        );
        // Another account has another token.
        let other = json!({"twilio_account_sid": "AC00000000000000000000000000000000"});
        let refused = app.call("PATCH", &path, Some(&other)).await;
        assert_eq!(
            (refused.code(), codes(&refused.json())),
            (400, vec!["twilio_auth_token required".into()])
        );
        let cleared = app.call("PATCH", &path, Some(&json!({"twilio_account_sid": null}))).await.done();
        assert_eq!(cleared["transport"], "default");
        assert_eq!(
            app.number("SELECT COUNT(*) FROM sending_profiles WHERE twilio_sealed IS NOT NULL").await,
            0
        );
    }
}

#[tokio::test]
async fn what_belongs_to_another_channel_or_does_not_read_is_refused_all_at_once() {
    let app = App::sqlite().await;
    let cases = [
        (json!({"name": "a", "from_phone": "+14155550100"}), vec!["from_phone conflict"]),
        (json!({"name": "a", "channel": "fax"}), vec!["channel invalid_choice"]),
        (
            json!({"name": "a", "channel": "whatsapp", "smtp_url": "smtp://h", "from_email": "a@b.example", "track_opens": true}),
            vec!["smtp_url conflict", "from_email conflict", "track_opens conflict"],
        ),
        (
            json!({"name": "a", "channel": "sms", "from_phone": "0155", "messaging_service_sid": "MG1",
                "twilio_account_sid": "x", "allowed_countries": ["US", "UK", 3]}),
            vec![
                "from_phone invalid_phone",
                "messaging_service_sid invalid_format",
                "twilio_account_sid invalid_format",
                "allowed_countries[1] invalid_choice",
                "allowed_countries[2] invalid_choice",
                "messaging_service_sid conflict",
                "twilio_auth_token required",
            ],
        ),
        (
            json!({"name": "a", "channel": "sms", "twilio_auth_token": "t"}),
            vec!["twilio_account_sid required"],
        ),
        (
            json!({"name": "a", "channel": "sms", "twilio_account_sid": ACCOUNT, "twilio_auth_token": "t"}),
            vec!["from_phone required"],
        ),
    ];
    for (body, expected) in cases {
        let refused = app.call("POST", PATH, Some(&body)).await;
        assert!(matches!(refused.code(), 400 | 422), "{body}: {}", refused.text);
        assert_eq!(codes(&refused.json()), expected, "{body}");
        assert!(!refused.text.contains("hunter2"));
    }
    assert_eq!(app.number("SELECT COUNT(*) FROM sending_profiles WHERE name = 'a'").await, 0);
    let inline = json!({"name": "C", "sending_profile": {"channel": "sms"}, "steps": [{"step_number": 1, "name": "x", "template": "y"}]});
    let refused = app.call("POST", "/api/v1/campaigns", Some(&inline)).await;
    assert_eq!(codes(&refused.json()), ["sending_profile.channel conflict"]);
}

#[tokio::test]
async fn what_a_step_encloses_is_checked_and_comes_back_as_it_was_given() {
    let app = App::sqlite().await;
    let step = |more: Value| {
        let mut step = json!({"step_number": 1, "name": "x"});
        step.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"name": "C", "steps": [step]})
    };
    let sid = "HX0123456789abcdef0123456789abcdef";
    let good = step(
        json!({"channel": "whatsapp", "content_sid": sid, "content_variables": {"1": "{{first_name}}"}}),
    );
    let made = app.call("POST", "/api/v1/campaigns", Some(&good)).await.done();
    assert_eq!(made["steps"][0]["content_sid"], sid);
    assert_eq!(made["steps"][0]["content_variables"], json!({"1": "{{first_name}}"}));
    let url = "https://example.com/a.png";
    let cases = [
        (json!({"template": "x", "media_urls": [url]}), vec!["steps[0].media_urls conflict"]),
        (
            json!({"channel": "sms", "content_sid": "HX1", "content_variables": {"a b": "x", "1": "{{#if"}, "ai_prompt": "p"}),
            vec![
                "steps[0].content_sid invalid_format",
                "steps[0].content_variables.1 invalid_template",
                "steps[0].content_variables invalid_type",
                "steps[0].ai_prompt conflict",
            ],
        ),
        (
            json!({"channel": "whatsapp", "template": "x", "media_urls": ["http://example.com/a", "file:///etc/passwd", url]}),
            vec![
                "steps[0].media_urls too_many_items",
                "steps[0].media_urls[0] invalid_format",
                "steps[0].media_urls[1] invalid_format",
            ],
        ),
        (
            json!({"channel": "sms", "template": "x", "content_variables": {"1": "y"}}),
            vec!["steps[0].content_sid required"],
        ),
        (json!({"channel": "sms"}), vec!["steps[0].ai_prompt required"]),
    ];
    for (body, expected) in cases {
        let refused = app.call("POST", "/api/v1/campaigns", Some(&step(body.clone()))).await;
        assert!(matches!(refused.code(), 400 | 422), "{body}: {}", refused.text);
        assert_eq!(codes(&refused.json()), expected, "{body}");
    }
}

/// ATTACKS A42.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_goes_to_a_number_where_its_country_is_allowed() {
    for on in BOTH {
        let mut desk = phones::desk(on).await;
        let steps = [phones::by(Channel::Email, 1, 0), phones::by(Channel::Sms, 2, 1)];
        let campaign = phones::campaign(&desk.world, 1, &steps).await;
        let path = format!("/api/v1/campaigns/{campaign}/test");
        let send = async |desk: &Desk, to: &str| {
            desk.call("POST", &path, Some(&json!({"to": to, "lead_id": 1}))).await
        };
        for (to, code) in
            [("+4930123456", "destination_not_allowed"), ("+19005551234", "destination_not_allowed")]
        {
            let (status, refused) = send(&desk, to).await;
            assert_eq!((status, &refused["details"]["errors"][0]["code"]), (422, &json!(code)), "{refused}");
        }
        let (status, refused) = send(&desk, "+1 415").await;
        assert_eq!(
            (status, &refused["details"]["errors"][0]["code"]),
            (400, &json!("invalid_phone")),
            "{refused}"
        );
        let (status, sent) = send(&desk, "+14155559999").await;
        assert_eq!((status, sent["message_ids"].as_array().map(Vec::len)), (202, Some(1)), "{sent}");
        desk.until(START + MINUTE).await;
        let got = desk
            .world
            .pairs("SELECT recipient, subject FROM mailbox WHERE recipient LIKE '+1415555999%'")
            .await;
        assert_eq!(got, ["+14155559999|"]);
        let page = desk.call("GET", "/api/v1/mailbox?to=%2B14155559999", None).await.1;
        assert_eq!(page["mailbox"][0]["channel"], "sms", "{page}");
    }
}

#[test]
fn the_command_makes_one_and_lists_it_without_its_token() {
    let place = Place::new();
    let run = |args: &[&str]| Ran::of(place.command(args).output().unwrap());
    run(&["key", "create", "--name", "first"]).ok();
    let args = ["profile", "create", "--name", "wa", "--channel", "whatsapp", "--from-phone", "+14155238886"];
    let more = ["--twilio-account", ACCOUNT, "--twilio-token", "hunter2", "--allow-country", "US,DE"];
    run(&[&args[..], &more].concat()).ok();
    let listed = run(&["profile", "list", "--json"]).ok();
    let line: Value = serde_json::from_str(listed.lines().last().unwrap()).unwrap();
    assert_eq!((&line["channel"], &line["from_phone"]), (&json!("whatsapp"), &json!("+14155238886")));
    assert_eq!(line["allowed_countries"], json!(["US", "DE"]));
    assert!(!listed.contains("hunter2"));
    let refused = run(&["profile", "create", "--name", "x", "--channel", "sms", "--smtp-url", "smtp://h"]);
    assert_eq!(refused.code, 65, "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_asks_for_the_account_and_says_what_to_do() {
    let place = Place::new();
    let twilio = TwilioServer::start().await;
    let base = twilio.base();
    let doctor = async |token: &str, base: &str| {
        let mut command = place.command(&["doctor"]);
        command.envs([
            ("TWILIO_ACCOUNT_SID", SID),
            ("TWILIO_AUTH_TOKEN", token),
            ("TWILIO_FROM", "+15550001111"),
            ("TWILIO_WHATSAPP_FROM", "whatsapp:+14155238886"),
            ("TWILIO_API_BASE", base),
        ]);
        let ran = tokio::task::spawn_blocking(move || Ran::of(command.output().unwrap())).await.unwrap();
        let line = ran.out.lines().find(|line| line.contains("  phones")).unwrap().to_owned();
        assert!(!ran.out.contains(token) && !ran.err.contains(token), "{ran:?}");
        (ran.code, line)
    };
    let (code, line) = doctor(TOKEN, &base).await;
    assert_eq!(code, 0, "{line}");
    assert!(
        line.contains("active: SMS from +15550001111, WhatsApp from +14155238886, to US, CA, GB alone"),
        "{line}"
    );
    assert!(line.starts_with("note") && line.contains("SENDWRIGHT_PUBLIC_URL"), "{line}");
    let (code, line) = doctor("hunter2", &base).await;
    assert!(code == 1 && line.starts_with("BAD") && line.contains("check TWILIO_ACCOUNT_SID"), "{line}");
    twilio.account_is("suspended");
    assert!(doctor(TOKEN, &base).await.1.contains("the Twilio account is suspended"));
    let (_, line) = doctor(TOKEN, "http://127.0.0.1:1").await;
    assert!(line.contains("no connection; check TWILIO_API_BASE"), "{line}");
    assert_eq!(twilio.asked(), 0, "nothing is sent");
}
