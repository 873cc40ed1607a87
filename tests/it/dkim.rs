//! Signed mail, verified by another's hand; and the profile that it is set in.

use crate::program::Place;
use crate::support::api::App;
use crate::support::desk::{Desk, START};
use crate::support::engine::{BOTH, Lead, On, step};
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::MINUTE;
use sendwright_workflows::dkim::{Key, Signer};
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::sequence::{Delay, Step};
use serde_json::json;
use std::io::Write;
use std::process::{Command, Stdio};

const RSA: &str = include_str!("support/keys/rsa.pem");
const RSA_PKCS1: &str = include_str!("support/keys/rsa_pkcs1.pem");
const ED25519: &str = include_str!("support/keys/ed25519.pem");
const SHORT: &str = include_str!("support/keys/short.pem");

/// Whether dkimpy takes a message whose key is published as `record`.
fn verifies(message: &[u8], name: &str, record: &str) -> bool {
    const SCRIPT: &str = "import sys, dkim\n\
        name, record = sys.argv[1].encode(), sys.argv[2].encode()\n\
        found = lambda asked, timeout=5: record if asked.rstrip(b'.') == name else None\n\
        try:\n print(dkim.verify(sys.stdin.buffer.read(), dnsfunc=found))\n\
        except Exception as fault:\n print(fault)";
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", SCRIPT, name, record])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(message).unwrap();
    let done = python.wait_with_output().unwrap();
    assert!(done.status.success(), "dkimpy: {done:?}");
    String::from_utf8_lossy(&done.stdout).trim() == "True"
}

/// One message through the mailbox, signed with a key.
async fn sent(on: On, pem: &str, template: &str) -> (Desk, Vec<u8>) {
    let mut desk = Desk::new(on).await;
    desk.world.profile("main", &Rates::default()).await;
    let profile = desk.number("SELECT id FROM sending_profiles WHERE name = 'main'").await;
    let patch = json!({ "dkim_private_key": pem, "dkim_selector": "sw1", "from_name": "Ada Lövelace" });
    let (status, body) =
        desk.call("PATCH", &format!("/api/v1/sending-profiles/{profile}"), Some(&patch)).await;
    assert_eq!((status, body["signs"].as_bool()), (200, Some(true)), "{body}");
    assert!(!body.to_string().contains("PRIVATE"), "{body}");
    let one = Step { template: Some(template.into()), ..step(1, Delay::default()) };
    let campaign = desk.world.campaign("Spring", profile, &Policy::default(), &[one]).await;
    desk.world.enrol(campaign, &[Lead { email: "p@example.org".into(), zone: None }]).await;
    desk.until(START + MINUTE).await;
    let raw = desk.texts("SELECT raw FROM mailbox").await.remove(0);
    (desk, raw.into_bytes())
}

/// RFC 6376, RFC 8463.
#[tokio::test]
async fn a_signed_message_is_verified_by_another_hand_and_a_changed_one_is_not() {
    let html = "<p>Hi  {{first_name}}\t</p> \n\n<a href=\"https://a.example\">x</a>\n\n\n";
    for (pem, template, kind) in
        [(RSA, "Hi {{first_name}}  ü \n\n bye \n\n\n", "rsa"), (ED25519, html, "ed25519")]
    {
        let (_, raw) = sent(On::Sqlite, pem, template).await;
        let text = String::from_utf8(raw.clone()).unwrap();
        assert!(text.starts_with(&format!("DKIM-Signature: v=1; a={kind}-sha256;")), "{text}");
        let header = text.split("\r\n\tbh=").next().unwrap().to_lowercase();
        for name in ["from:from:", "subject", "message-id", "list-unsubscribe", "date", "to:"] {
            assert!(header.contains(name), "{header}");
        }
        let (name, record) = ("sw1._domainkey.example.com", Key::parse(pem).unwrap().record());
        assert!(verifies(&raw, name, &record), "{text}");
        for (from, to) in [
            ("Subject: ", "Subject: no "),
            ("List-Unsubscribe: <", "List-Unsubscribe: <x"),
            ("Hi", "Ho"),
            ("\r\nTo:", "\r\nFrom: e@v.il\r\nTo:"),
        ] {
            assert!(text.contains(from), "{from} in {text}");
            assert!(!verifies(text.replace(from, to).as_bytes(), name, &record), "{to}");
        }
        let other = if kind == "rsa" { ED25519 } else { RSA };
        assert!(!verifies(&raw, name, &Key::parse(other).unwrap().record()));
    }
}

#[test]
fn hard_texts_are_canonical_as_everybody_has_them() {
    let signer = Signer::new(Key::parse(RSA).unwrap(), "example.com", "a");
    let record = signer_record(RSA);
    for body in
        ["", "\r\n", "\r\n\r\n", " \r\n", "a \t b\t \r\n\r\n \r\n", "no end", "\r\n\r\na\r\n.\r\n", "\t\r\nx"]
    {
        let message = format!(
            "From: a@example.com\r\nSubject:  folded\r\n \t text \r\nTo: b@example.org\r\nX-Other: 1\r\n\r\n{body}"
        );
        let signed = signer.sign(message.as_bytes(), 1_768_473_000_123).unwrap();
        assert!(verifies(&signed, "a._domainkey.example.com", &record), "{body:?}");
        assert_eq!(signer.sign(message.as_bytes(), 1_768_473_000_123).unwrap(), signed, "the same again");
    }
}

fn signer_record(pem: &str) -> String {
    Key::parse(pem).unwrap().record()
}

#[test]
fn a_key_is_read_in_both_forms_and_a_short_one_is_refused() {
    assert_eq!(signer_record(RSA), signer_record(RSA_PKCS1));
    assert!(Key::parse(SHORT).unwrap_err().to_string().contains("2048"));
    let shown = format!("{:?}", Key::parse(ED25519).unwrap());
    assert_eq!(shown, "Key(ed25519, …)");
}

/// A53: a secret of one column opens in no other, and none is ever shown.
#[tokio::test]
async fn keys_and_urls_are_sealed_and_never_told() {
    let app = App::sqlite().await;
    let body = json!({
        "name": "own", "from_email": "ada@example.com", "dkim_private_key": RSA, "dkim_selector": "s",
        "imap_url": "imaps://ada:hunter2@mail.example.com/INBOX",
    });
    let made = app.call("POST", "/api/v1/sending-profiles", Some(&body)).await;
    assert_eq!(made.code(), 201, "{made:?}");
    assert!(!made.text.contains("hunter2") && !made.text.contains("PRIVATE"), "{made:?}");
    assert_eq!((&made.json()["signs"], &made.json()["polls"]), (&json!(true), &json!(true)));
    let key = RSA.lines().nth(1).unwrap().as_bytes();
    let bytes = app.bytes();
    assert!(!bytes.windows(key.len()).any(|found| found == key));
    assert!(!bytes.windows(7).any(|found| found == b"hunter2"));
}

#[tokio::test]
async fn a_profile_changes_where_it_is_named_and_stays_where_it_is_not() {
    for app in App::both().await {
        let body = json!({ "name": "own", "smtp_url": "smtp://a:b@mail.example.com", "from_email": "ada@example.com",
            "from_name": "Ada", "rate_limit_per_second": 2.5, "dkim_private_key": ED25519, "dkim_selector": "s" });
        app.call("POST", "/api/v1/sending-profiles", Some(&body)).await.done();
        let path =
            format!("/api/v1/sending-profiles/{}", app.number("SELECT MAX(id) FROM sending_profiles").await);
        let (app, path) = (&app, &path);
        let patch = |body| async move { app.call("PATCH", path, Some(&body)).await };
        let changed =
            patch(json!({ "from_name": "Bea", "rate_limit_per_second": null, "track_opens": true })).await;
        let changed = changed.done();
        for (name, value) in [
            ("from_name", json!("Bea")),
            ("from_email", json!("ada@example.com")),
            ("rate_limit_per_second", json!(null)),
            ("transport", json!("smtp")),
            ("signs", json!(true)),
            ("track_opens", json!(true)),
            ("track_clicks", json!(false)),
        ] {
            assert_eq!(changed[name], value, "{name}: {changed}");
        }
        assert_eq!(patch(json!({ "state": "paused" })).await.done()["status"], "paused");
        assert_eq!(patch(json!({ "state": "active", "smtp_url": null })).await.done()["status"], "active");
        let unsigned = json!({ "dkim_private_key": null, "dkim_selector": null });
        assert_eq!(patch(unsigned).await.done()["signs"], false);
        assert_eq!(app.number("SELECT COUNT(*) FROM audits WHERE action = 'update'").await, 4);
        for (wrong, field) in [
            (json!({ "name": "other" }), "name"),
            (json!({ "account_id": 2 }), "account_id"),
            (json!({ "state": "disabled" }), "state"),
            (json!({ "dkim_private_key": "x", "dkim_selector": "s" }), "dkim_private_key"),
            (json!({ "dkim_private_key": SHORT, "dkim_selector": "s" }), "dkim_private_key"),
            (json!({ "dkim_private_key": ED25519 }), "dkim_selector"),
            (json!({ "dkim_selector": "s" }), "dkim_private_key"),
            (json!({ "imap_url": "http://x" }), "imap_url"),
            (json!({ "reply_domain": "a b" }), "reply_domain"),
        ] {
            let refused = patch(wrong).await;
            assert!(matches!(refused.code(), 400 | 422), "{refused:?}");
            assert_eq!(refused.json()["field"], field, "{refused:?}");
        }
        let (_, other) = app.tenant("other").await;
        let foreign = app.call_as(&other, "PATCH", path, Some(&json!({ "from_name": "X" }))).await;
        assert_eq!(foreign.code(), 404);
    }
}

/// Once a pause is answered, nothing more of the profile is handed over.
#[tokio::test]
async fn a_paused_profile_sends_nothing_and_an_active_one_does() {
    for (on, again) in [(BOTH[0], false), (BOTH[1], false), (BOTH[0], true)] {
        let mut desk = Desk::new(on).await;
        let profile = desk.world.profile("main", &Rates::default()).await;
        let campaign =
            desk.world.campaign("C", profile, &Policy::default(), &[step(1, Delay::default())]).await;
        let path = format!("/api/v1/sending-profiles/{profile}");
        assert_eq!(desk.call("PATCH", &path, Some(&json!({ "state": "paused" }))).await.0, 200);
        if again {
            assert_eq!(desk.call("PATCH", &path, Some(&json!({ "state": "active" }))).await.0, 200);
        }
        desk.world.enrol(campaign, &[Lead { email: "p@example.org".into(), zone: None }]).await;
        desk.until(START + MINUTE).await;
        assert_eq!(desk.number("SELECT COUNT(*) FROM mailbox").await, i64::from(again));
        let told = desk.texts("SELECT kind FROM events WHERE kind LIKE 'profile.%' ORDER BY id").await;
        assert_eq!(told, ["profile.paused", "profile.resumed"][..1 + usize::from(again)]);
    }
}

#[test]
fn the_command_line_takes_a_key_from_a_file() {
    let place = Place::new();
    let file = place.path().join("key.pem");
    std::fs::write(&file, ED25519).unwrap();
    let key = file.to_str().unwrap();
    let made = ["profile", "create", "--name", "own", "--from-email", "a@example.com", "--dkim-key", key];
    place.run(&[&made[..], &["--dkim-selector", "s", "--track-opens"]].concat()).ok();
    let listed = place.run(&["profile", "list", "--json"]).ok();
    assert!(listed.contains("\"signs\":true") && listed.contains("\"dkim_selector\":\"s\""), "{listed}");
    std::fs::write(&file, SHORT).unwrap();
    let ran = place.run(&["profile", "create", "--name", "b", "--dkim-key", key, "--dkim-selector", "s"]);
    assert!(ran.code != 0 && ran.err.contains("2048") && !ran.err.contains("PRIVATE"), "{ran:?}");
}
