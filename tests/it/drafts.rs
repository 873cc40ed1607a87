//! Drafts: read, edited, approved, rejected, written again, and fixed once a hand-over has begun.

use crate::support::desk::{Desk, START};
use crate::support::engine::BOTH;
use sendwright_workflows::clock::{DAY, HOUR, MINUTE};
use serde_json::{Value, json};

/// A campaign whose texts are approved, with so many people, and its first texts written.
async fn written(desk: &mut Desk, people: usize) {
    let body = json!({ "name": "Spring", "requires_approval": true, "steps": [
        { "step_number": 1, "subject": "Hi", "template": "Hello {{first_name}}" },
        { "step_number": 2, "subject": "Again", "template": "Hello again", "delay_hours": 1 },
    ] });
    assert_eq!(desk.call("POST", "/api/v1/campaigns", Some(&body)).await.0, 201);
    let leads: Vec<Value> =
        (0..people).map(|n| json!({ "email": format!("p{n}@example.com"), "first_name": "Ada" })).collect();
    desk.call("POST", "/api/v1/campaigns/1/leads", Some(&json!(leads))).await;
    desk.call("POST", "/api/v1/campaigns/1/generate", None).await;
    desk.until(START + MINUTE).await;
}

async fn act(desk: &Desk, verb: &str, id: i64) -> (u16, Value) {
    desk.call("POST", &format!("/api/v1/drafts/{id}/{verb}"), None).await
}

fn states() -> &'static str {
    "SELECT state FROM messages ORDER BY id"
}

#[tokio::test]
async fn only_what_is_approved_is_sent() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        written(&mut desk, 3).await;
        let (_, listed) = desk.call("GET", "/api/v1/campaigns/1/drafts?state=approval", None).await;
        assert_eq!((&listed["total"], &listed["drafts"][0]["body"]), (&json!(3), &json!("Hello Ada")));
        assert_eq!(listed["drafts"][0]["waits_for_approval"], true);
        let (status, approved) = act(&desk, "approve", 1).await;
        assert_eq!(
            (status, &approved["state"], &approved["approved"]),
            (200, &json!("drafted"), &json!(true))
        );
        assert_eq!(act(&desk, "approve", 1).await.0, 200, "approving again is no error");
        desk.until(START + HOUR).await;
        assert_eq!(desk.texts(states()).await, ["drafted", "held", "held"], "approved is not started");
        desk.call("POST", "/api/v1/campaigns/1/send", None).await;
        desk.until(START + HOUR + 2 * MINUTE).await;
        assert_eq!(desk.texts(states()).await, ["accepted", "held", "held"]);
        let (_, many) =
            desk.call("POST", "/api/v1/campaigns/1/drafts/approve", Some(&json!({ "ids": [2, 1] }))).await;
        assert_eq!((&many["approved"], &many["errors"][0]["index"]), (&json!(1), &json!(1)));
        let (_, all) = desk.call("POST", "/api/v1/campaigns/1/drafts/approve", Some(&json!({}))).await;
        assert_eq!(all["approved"], 1);
        desk.until(START + HOUR + 4 * MINUTE).await;
        assert_eq!(desk.texts(states()).await, ["accepted", "accepted", "accepted"]);
    }
}

#[tokio::test]
async fn a_person_writes_and_what_was_approved_is_approved_again() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        written(&mut desk, 1).await;
        act(&desk, "approve", 1).await;
        let edit = json!({ "body": "By hand,\r\nfor you." });
        let (status, edited) = desk.call("PATCH", "/api/v1/drafts/1", Some(&edit)).await;
        assert_eq!(
            (status, &edited["subject"], &edited["writer"]),
            (200, &json!("Hi"), &json!("hand")),
            "{edited}"
        );
        assert_eq!((&edited["state"], &edited["approved"]), (&json!("held"), &json!(false)));
        for broken in [
            json!({ "subject": "a\r\nBcc: b@example.com" }),
            json!({ "body": "Hi {{first_name}}" }),
            json!({ "subject": "" }),
            json!({}),
        ] {
            let (status, refused) = desk.call("PATCH", "/api/v1/drafts/1", Some(&broken)).await;
            assert!([400, 422].contains(&status), "{refused}");
        }
        act(&desk, "approve", 1).await;
        desk.call("POST", "/api/v1/campaigns/1/send", None).await;
        desk.until(START + 3 * MINUTE).await;
        assert_eq!(desk.texts("SELECT state FROM messages WHERE id = 1").await, ["accepted"]);
        let mail = desk.texts("SELECT raw FROM mailbox").await;
        assert!(mail[0].contains("By hand,"), "{mail:?}");
        // The text is fixed: what was sent stays what it was.
        for (method, path, body) in [
            ("PATCH", "/api/v1/drafts/1", Some(&edit)),
            ("POST", "/api/v1/drafts/1/approve", None),
            ("POST", "/api/v1/drafts/1/reject", None),
            ("POST", "/api/v1/drafts/1/regenerate", None),
        ] {
            let (status, refused) = desk.call(method, path, body).await;
            assert_eq!((status, &refused["error"]), (409, &json!("draft_state")), "{path}");
        }
        assert_eq!(desk.number("SELECT COUNT(*) FROM attempts").await, 1);
    }
}

#[tokio::test]
async fn a_rejected_text_is_never_sent_and_its_sequence_goes_on() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        written(&mut desk, 1).await;
        desk.call("POST", "/api/v1/campaigns/1/send", None).await;
        desk.until(START + 2 * MINUTE).await;
        let (status, rejected) = act(&desk, "reject", 1).await;
        assert_eq!((status, &rejected["state"]), (200, &json!("cancelled")));
        desk.until(START + DAY).await;
        assert_eq!(desk.texts(states()).await.iter().filter(|s| *s == "held").count(), 1, "the second step");
        assert_eq!(desk.number("SELECT MAX(step_number) FROM messages WHERE state = 'held'").await, 2);
        assert_eq!(desk.number("SELECT COUNT(*) FROM attempts").await, 0);
    }
}

#[tokio::test]
async fn a_text_is_written_again_and_approved_anew() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        written(&mut desk, 1).await;
        desk.call("PATCH", "/api/v1/drafts/1", Some(&json!({ "subject": "By hand" }))).await;
        act(&desk, "approve", 1).await;
        let (status, again) = act(&desk, "regenerate", 1).await;
        assert_eq!((status, &again["state"], &again["approved"]), (202, &json!("scheduled"), &json!(false)));
        desk.until(START + 2 * MINUTE).await;
        let (_, shown) = desk.call("GET", "/api/v1/drafts/1", None).await;
        assert_eq!((&shown["subject"], &shown["writer"]), (&json!("Hi"), &json!("template")));
        assert_eq!((&shown["state"], &shown["waits_for_approval"]), (&json!("held"), &json!(true)));
        desk.call("POST", "/api/v1/campaigns/1/send", None).await;
        desk.until(START + HOUR).await;
        assert_eq!(desk.number("SELECT COUNT(*) FROM attempts").await, 0, "nobody approved it");
    }
}

#[tokio::test]
async fn drafts_are_their_accounts_own() {
    let mut desk = Desk::new(BOTH[0]).await;
    written(&mut desk, 1).await;
    let store = &desk.core().store;
    let other =
        sendwright_store::accounts::create(store, "other", "o@example.com", "UTC", START).await.unwrap();
    desk.world.account = other.id;
    desk.key = desk.new_key(&[]).await.1;
    for (method, path) in [
        ("GET", "/api/v1/drafts/1"),
        ("PATCH", "/api/v1/drafts/1"),
        ("POST", "/api/v1/drafts/1/approve"),
        ("POST", "/api/v1/drafts/1/reject"),
        ("POST", "/api/v1/drafts/1/regenerate"),
        ("GET", "/api/v1/campaigns/1/drafts"),
        ("POST", "/api/v1/campaigns/1/drafts/approve"),
        ("GET", "/api/v1/runs/1"),
    ] {
        let (edit, all) = (json!({ "body": "x" }), json!({}));
        let body = match (method, path.ends_with("/drafts/approve")) {
            ("PATCH", _) => Some(&edit),
            (_, true) => Some(&all),
            _ => None,
        };
        assert_eq!(desk.call(method, path, body).await.0, 404, "{method} {path}");
    }
    assert_eq!(desk.texts(states()).await, ["held"]);
}
