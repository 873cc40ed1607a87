//! Messages that a person looks at, releases, cancels, or sends as a test.

use crate::support::desk::{Desk, START};
use crate::support::engine::{BOTH, Lead, step};
use sendwright_api::Refusal;
use sendwright_api::operations::messages::{self, Recipient, TestBody};
use sendwright_worker::sweep;
use sendwright_workflows::address::Email;
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{DAY, HOUR, MINUTE};
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::sequence::{Delay, Step};
use serde_json::json;

fn two_steps() -> [Step; 2] {
    [step(1, Delay::default()), step(2, Delay { hours: 1, ..Delay::default() })]
}

fn leads(count: usize) -> Vec<Lead> {
    (0..count).map(|n| Lead { email: format!("p{n}@example.com"), zone: None }).collect()
}

async fn begun(desk: &Desk, policy: Policy, steps: &[Step], people: usize) -> i64 {
    let profile = desk.world.profile("main", &Rates::default()).await;
    let campaign = desk.world.campaign("Spring", profile, &policy, steps).await;
    desk.world.enrol(campaign, &leads(people)).await;
    campaign
}

fn conflict(refused: Refusal) -> String {
    match refused {
        Refusal::Conflict("message_state", text) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_message_held_for_approval_goes_out_once_it_is_released_and_not_before() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        let policy = Policy { requires_approval: true, ..Policy::default() };
        begun(&desk, policy, &two_steps(), 1).await;
        desk.until(START + 2 * HOUR).await;
        assert_eq!(desk.texts("SELECT state FROM messages").await, ["held"]);
        let released = desk.release(1).await.unwrap();
        assert_eq!((released.state.as_str(), released.approved, released.fence), ("drafted", true, 1));
        desk.until(START + 2 * HOUR + MINUTE).await;
        assert_eq!(desk.texts("SELECT state FROM messages ORDER BY step_number").await, ["accepted"]);
        // The second step counts from the slot, an hour after the approval, and wants its own.
        desk.until(START + 4 * HOUR).await;
        assert_eq!(desk.texts("SELECT state FROM messages ORDER BY step_number").await, ["accepted", "held"]);
        let audited = "SELECT actor || ' ' || action || ' ' || noun FROM audits WHERE noun = 'message'";
        assert_eq!(desk.texts(audited).await, ["command release message"]);
        assert!(conflict(desk.release(1).await.unwrap_err()).contains("only a held or an uncertain message"));
    }
}

#[tokio::test]
async fn a_cancelled_step_is_passed_over_and_the_next_counts_from_its_planned_instant() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        let policy = Policy { requires_approval: true, ..Policy::default() };
        begun(&desk, policy, &two_steps(), 1).await;
        desk.until(START + MINUTE).await;
        assert_eq!(desk.cancel(1).await.unwrap().state, "cancelled");
        desk.until(START + 2 * HOUR).await;
        let planned = "SELECT planned_at FROM messages WHERE step_number = 2 AND state = 'held'";
        assert_eq!(desk.number(planned).await, START + HOUR);
        let second = desk.number("SELECT id FROM messages WHERE state = 'held'").await;
        desk.cancel(second).await.unwrap();
        desk.until(START + 3 * HOUR).await;
        assert_eq!(desk.texts("SELECT state FROM enrolments").await, ["completed"]);
        assert_eq!(desk.number("SELECT COUNT(*) FROM mailbox").await, 0);
    }
}

#[tokio::test]
async fn an_uncertain_message_goes_again_with_its_message_id_only_when_a_person_says_so() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        begun(&desk, Policy::default(), &two_steps()[..1], 1).await;
        desk.until(START + MINUTE).await;
        desk.run("UPDATE messages SET state = 'uncertain', reasons = '[{\"code\":\"uncertain\"}]'").await;
        desk.until(START + DAY).await;
        assert_eq!(desk.number("SELECT COUNT(*) FROM mailbox").await, 1, "nothing is repeated by itself");
        assert_eq!(desk.texts("SELECT state FROM campaigns").await, ["completed"]);
        desk.release(1).await.unwrap();
        // The campaign runs until the message is out, though nobody is active in it.
        sweep::pass(&desk.world.ctx, desk.now()).await.unwrap();
        assert_eq!(desk.texts("SELECT state FROM campaigns").await, ["running"]);
        desk.until(desk.now() + MINUTE).await;
        let raw = desk.texts("SELECT raw FROM mailbox ORDER BY id").await;
        let id = |raw: &String| raw.lines().find(|l| l.starts_with("Message-ID:")).unwrap().to_owned();
        assert_eq!(raw.len(), 2);
        assert_eq!(id(&raw[0]), id(&raw[1]));
        assert_eq!(desk.texts("SELECT state FROM messages").await, ["accepted"]);
        assert_eq!(desk.texts("SELECT state FROM campaigns").await, ["completed"]);
        assert_eq!(desk.number("SELECT COUNT(*) FROM events WHERE kind = 'campaign.completed'").await, 1);
    }
}

#[tokio::test]
async fn an_uncertain_message_can_be_released_after_an_edit_and_keeps_its_text() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        let campaign = begun(&desk, Policy::default(), &two_steps()[..1], 1).await;
        desk.until(START + MINUTE).await;
        desk.run("UPDATE messages SET state = 'uncertain'").await;
        let edited = json!({ "name": "Summer", "steps": [
            { "step_number": 1, "name": "Step 1", "subject": "New", "template": "New text" } ] });
        let path = format!("/api/v1/campaigns/{campaign}");
        assert_eq!(desk.call("PUT", &path, Some(&edited)).await.0, 200);
        desk.until(desk.now() + MINUTE).await;
        desk.release(1).await.unwrap();
        // The sweep at the end of the first run maps the edit, which nobody was left to need before.
        desk.until(desk.now() + MINUTE).await;
        desk.until(desk.now() + MINUTE).await;
        assert_eq!(desk.texts("SELECT subject FROM mailbox ORDER BY id").await, ["Subject 1", "Subject 1"]);
        assert_eq!(desk.texts("SELECT state FROM messages").await, ["accepted"]);
    }
}

#[tokio::test]
async fn a_message_without_a_text_is_written_when_it_is_released() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        let wants = Step { template: Some("Dear {{title}}".into()), ..step(1, Delay::default()) };
        begun(&desk, Policy::default(), &[wants], 1).await;
        desk.until(START + MINUTE).await;
        let reasons = desk.texts("SELECT reasons FROM messages WHERE state = 'held'").await;
        assert!(reasons[0].contains("missing_variable"), "{reasons:?}");
        assert_eq!(desk.release(1).await.unwrap().state, "scheduled");
        desk.until(START + 2 * MINUTE).await;
        assert_eq!(desk.texts("SELECT state FROM messages").await, ["held"], "the value is missing still");
        desk.run("UPDATE contacts SET title = 'Dr. Ada'").await;
        desk.release(1).await.unwrap();
        desk.until(START + 3 * MINUTE).await;
        assert_eq!(desk.texts("SELECT state FROM messages").await, ["accepted"]);
    }
}

#[tokio::test]
async fn what_is_in_hand_or_over_is_not_cancelled_and_the_answer_says_what_to_do() {
    let mut desk = Desk::new(BOTH[0]).await;
    begun(&desk, Policy::default(), &two_steps()[..1], 1).await;
    desk.until(START + MINUTE).await;
    let cases = [
        ("UPDATE messages SET state = 'claimed'", "pause the campaign"),
        ("UPDATE messages SET state = 'sending'", "known in a moment"),
        ("UPDATE messages SET state = 'accepted'", "suppress the address"),
        ("UPDATE messages SET state = 'failed'", "nothing to cancel"),
        ("UPDATE messages SET state = 'cancelled'", "nothing to cancel"),
    ];
    for (sql, way_out) in cases {
        desk.run(sql).await;
        let text = conflict(desk.cancel(1).await.unwrap_err());
        assert!(text.contains(way_out), "{text}");
    }
    let missing = desk.cancel(99).await.unwrap_err();
    assert!(matches!(missing, Refusal::NotFound(_)), "{missing:?}");
}

#[tokio::test]
async fn nothing_is_released_to_an_address_that_opted_out() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        let policy = Policy { requires_approval: true, ..Policy::default() };
        begun(&desk, policy, &two_steps(), 1).await;
        desk.until(START + MINUTE).await;
        let (status, _) =
            desk.call("POST", "/api/v1/suppressions", Some(&json!({ "email": "p0@example.com" }))).await;
        assert_eq!(status, 201);
        let refused = desk.release(1).await.unwrap_err();
        assert!(matches!(refused, Refusal::Conflict("suppressed", _)), "{refused:?}");
        desk.cancel(1).await.unwrap();
    }
}

#[tokio::test]
async fn a_test_send_goes_out_and_is_in_no_count_and_no_enrolment() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        let profile = desk.world.profile("main", &Rates::default()).await;
        let policy = Policy { requires_approval: true, ..Policy::default() };
        let campaign = desk.world.campaign("Spring", profile, &policy, &two_steps()).await;
        desk.world.enrol(campaign, &leads(1)).await;
        desk.call("POST", &format!("/api/v1/campaigns/{campaign}/pause"), None).await;
        let path = format!("/api/v1/campaigns/{campaign}/test");
        let (status, refused) = desk.call("POST", &path, Some(&json!({ "to": "me@example.org" }))).await;
        assert_eq!((status, &refused["field"]), (400, &json!("lead_id")), "{refused}");
        let body = json!({ "to": "me@example.org", "lead_id": 1 });
        let (status, sent) = desk.call("POST", &path, Some(&body)).await;
        assert_eq!((status, sent["message_ids"].as_array().map(Vec::len)), (202, Some(2)), "{sent}");
        assert_eq!(desk.call("POST", &path, Some(&body)).await.0, 202, "as often as one likes");
        let own = TestBody {
            to: Recipient::Email(Email::parse("p0@example.com").unwrap()),
            step: Some(2),
            lead: None,
        };
        let mut work = desk.work();
        assert_eq!(messages::test_send(&mut work, campaign, &own, &[]).await.unwrap().len(), 1);
        work.commit().await.unwrap();
        desk.until(START + MINUTE).await;
        let got = "SELECT DISTINCT recipient || ' ' || subject FROM mailbox ORDER BY 1";
        let expected = ["me@example.org Subject 1", "me@example.org Subject 2", "p0@example.com Subject 2"];
        assert_eq!(desk.texts(got).await, expected);
        assert_eq!(desk.number("SELECT COUNT(*) FROM mailbox").await, 5);
        assert_eq!(desk.number("SELECT COUNT(*) FROM messages WHERE kind = 'step'").await, 0);
        let shown = desk.call("GET", &format!("/api/v1/campaigns/{campaign}"), None).await.1;
        assert_eq!((&shown["messages"], &shown["messages_sent"]), (&json!({}), &json!(0)));
    }
}

#[tokio::test]
async fn a_test_send_without_a_subject_carries_its_campaigns_name() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        let step = Step { subject: None, ..step(1, Delay::default()) };
        let campaign = begun(&desk, Policy::default(), &[step], 1).await;
        desk.call("POST", &format!("/api/v1/campaigns/{campaign}/pause"), None).await;
        let body = json!({ "to": "me@example.org", "lead_id": 1 });
        desk.call("POST", &format!("/api/v1/campaigns/{campaign}/test"), Some(&body)).await;
        desk.until(START + MINUTE).await;
        assert_eq!(desk.texts("SELECT subject FROM mailbox").await, ["Spring"]);
    }
}

#[tokio::test]
async fn a_test_send_to_a_suppressed_address_is_refused() {
    let desk = Desk::new(BOTH[0]).await;
    let campaign = begun(&desk, Policy::default(), &two_steps(), 1).await;
    desk.call("POST", "/api/v1/suppressions", Some(&json!({ "email": "p0@example.com" }))).await;
    let path = format!("/api/v1/campaigns/{campaign}/test");
    let (status, body) = desk.call("POST", &path, Some(&json!({ "to": "p0@example.com" }))).await;
    assert_eq!((status, &body["error"]), (409, &json!("suppressed")));
}

#[tokio::test]
async fn a_list_is_walked_by_its_cursor_and_narrowed_by_state_and_campaign() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        let campaign = begun(&desk, Policy::default(), &two_steps(), 5).await;
        desk.until(START + MINUTE).await;
        desk.run("UPDATE messages SET state = 'held' WHERE id IN (2, 4)").await;
        let mut seen = Vec::new();
        let mut path = "/api/v1/messages?per_page=2".to_owned();
        loop {
            let (status, page) = desk.call("GET", &path, None).await;
            assert_eq!((status, &page["total"]), (200, &json!(5)), "{page}");
            seen.extend(page["messages"].as_array().unwrap().iter().map(|m| m["to"].clone()));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/api/v1/messages?per_page=2&cursor={cursor}");
        }
        seen.sort_by_key(ToString::to_string);
        assert_eq!(seen, (0..5).map(|n| json!(format!("p{n}@example.com"))).collect::<Vec<_>>());
        for query in ["state=held", &format!("state=held&campaign_id={campaign}")] {
            let held = desk.call("GET", &format!("/api/v1/messages?{query}"), None).await.1;
            assert_eq!(held["total"], 2, "{held}");
        }
        let none = desk.call("GET", "/api/v1/messages?campaign_id=77", None).await.1;
        assert_eq!(none["messages"], json!([]));
        assert_eq!(desk.call("GET", "/api/v1/messages?state=lost", None).await.0, 400);
        let id = desk.call("GET", "/api/v1/messages?per_page=1", None).await.1["messages"][0]["id"].clone();
        let one = desk.call("GET", &format!("/api/v1/messages/{}", id.as_str().unwrap()), None).await.1;
        assert_eq!((&one["subject"], &one["attempts"][0]["reply"]), (&json!("Subject 1"), &json!(250)));
        assert_eq!(desk.call("GET", "/api/v1/messages/99", None).await.0, 404);
    }
}
