//! Texts reviewed by commands alone: generated, read, approved, sent, followed.

use serde_json::Value;

use crate::program::Place;
use crate::running::{Running, SOON, until};

const CAMPAIGN: &str = "
name: Spring
requires_approval: true
steps:
  - {step_number: 1, name: Hello, subject: 'Hello', template: 'Dear {{first_name}}, hello.'}
  - {step_number: 2, name: Later, delay_days: 3, subject: Later, template: Later.}
";

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {text}"))).collect()
}

#[tokio::test]
async fn texts_are_generated_read_approved_and_sent_by_commands() {
    let place = Place::new();
    let mut up = Running::start(place.command(&["up", "--bind", "127.0.0.1:0"]), place.path().join("log"));
    up.ready().await;
    let file = place.file("spring.yaml", CAMPAIGN);
    let csv = place.file("leads.csv", "email,first_name\nann@example.com,Ann\nbob@example.com,Bob\n");
    place.run(&["campaign", "create", file.to_str().unwrap()]).ok();
    place.run(&["leads", "import", csv.to_str().unwrap(), "--campaign", "1"]).ok();

    let run = place.run(&["campaign", "generate", "1"]).ok();
    assert_eq!(run, "1\n");
    let status = |run: &str| lines(&place.run(&["runs", "status", run, "--json"]).ok()).remove(0);
    until("both texts are written", SOON, async || status("1")["state"] == "completed").await;
    assert!(place.run(&["runs", "status", "1"]).ok().contains("written    2"));
    let drafts = lines(&place.run(&["campaign", "drafts", "1", "--waiting", "--json"]).ok());
    assert_eq!((drafts.len(), &drafts[0]["body"]), (2, &"Dear Ann, hello.".into()));
    assert!(place.run(&["campaign", "drafts", "1"]).ok().contains("waits for approval"));

    let first = drafts[0]["id"].as_str().unwrap();
    place.run(&["campaign", "approve", "1", first]).ok();
    assert!(place.run(&["campaign", "approve", "1", first]).failed(1).contains("do not wait"));
    let sending = place.run(&["campaign", "send", "1"]).ok();
    until("the approved one is out", SOON, async || status(sending.trim())["counts"]["sent"] == 1).await;
    assert_eq!(status(sending.trim())["counts"]["held"], 1);
    let ahead = lines(&place.run(&["campaign", "simulate", "1", "--json"]).ok());
    assert_eq!((ahead.len(), &ahead[0]["step"]), (1, &2.into()), "{ahead:?}");
    place.run(&["campaign", "approve", "1"]).ok();
    until("both are out", SOON, async || status(sending.trim())["counts"]["sent"] == 2).await;
    let listed = lines(&place.run(&["runs", "list", "--campaign", "1", "--json"]).ok());
    assert_eq!(
        (listed.len(), &listed[0]["kind"], &listed[1]["kind"]),
        (2, &"generate".into(), &"send".into())
    );
    assert!(place.run(&["account", "cap", "12.5"]).ok().starts_with("cap 12.5, spent 0"));
    let monthly = place.run(&["account", "cap", "12.5", "--period", "monthly"]).ok();
    assert!(monthly.starts_with("cap 12.5 a month, spent 0"), "{monthly}");
    assert!(place.run(&["account", "cap", "none"]).ok().starts_with("cap none"));
    for refused in
        [&["runs", "status", "9"][..], &["campaign", "generate", "9"], &["campaign", "drafts", "9"]]
    {
        assert!(place.run(refused).failed(1).contains("not found"), "{refused:?}");
    }
}
