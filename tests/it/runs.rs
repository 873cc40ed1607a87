//! Runs (S0-22, S0-23): texts written ahead without being sent, a round sent, both followed.

use crate::support::desk::{Desk, START};
use crate::support::engine::BOTH;
use sendwright_workflows::clock::{DAY, HOUR, MINUTE, rfc3339};
use serde_json::{Value, json};

/// A draft with these steps and so many people.
async fn draft(desk: &Desk, steps: Value, more: Value, people: usize) {
    let mut body = json!({ "name": "Spring", "steps": steps });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (status, made) = desk.call("POST", "/api/v1/campaigns", Some(&body)).await;
    assert_eq!(status, 201, "{made}");
    let leads: Vec<Value> =
        (0..people).map(|n| json!({ "email": format!("p{n}@example.com"), "first_name": "Ada" })).collect();
    let (status, added) = desk.call("POST", "/api/v1/campaigns/1/leads", Some(&json!(leads))).await;
    assert_eq!((status, &added["enrolled"]), (200, &json!(people)), "{added}");
}

fn two_steps() -> Value {
    json!([
        { "step_number": 1, "ai_prompt": "Say hello.", "delay_hours": 2 },
        { "step_number": 2, "subject": "Again", "template": "Hi {{first_name}}", "delay_days": 1 },
    ])
}

async fn counts(desk: &Desk, run: i64) -> Value {
    let (status, shown) = desk.call("GET", &format!("/api/v1/runs/{run}"), None).await;
    assert_eq!(status, 200, "{shown}");
    shown
}

fn states() -> &'static str {
    "SELECT step_number || ' ' || state FROM messages ORDER BY step_number, id"
}

#[tokio::test]
async fn generate_writes_every_next_text_of_a_draft_and_nothing_is_sent() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        draft(&desk, two_steps(), json!({}), 3).await;
        let (status, run) = desk.call("POST", "/api/v1/campaigns/1/generate", None).await;
        assert_eq!(
            (status, &run["kind"], &run["state"]),
            (202, &json!("generate"), &json!("running")),
            "{run}"
        );
        desk.until(START + 2 * DAY).await;
        assert_eq!(desk.texts(states()).await, ["1 drafted", "1 drafted", "1 drafted"]);
        assert_eq!(desk.number("SELECT COUNT(*) FROM attempts").await, 0);
        let run = counts(&desk, 1).await;
        let expected = json!({ "total": 3, "already": 0, "written": 3, "held": 0, "pending": 0, "none": 0 });
        assert_eq!((&run["state"], &run["counts"]), (&json!("completed"), &expected));
        let (_, shown) = desk.call("GET", "/api/v1/drafts/1", None).await;
        assert_eq!((&shown["planned_at"], &shown["writer"]), (&Value::Null, &json!("offline")));
        // A second run finds everything written.
        desk.call("POST", "/api/v1/campaigns/1/generate", None).await;
        desk.until(START + 2 * DAY + MINUTE).await;
        let again = counts(&desk, 2).await;
        assert_eq!((&again["state"], &again["counts"]["already"]), (&json!("completed"), &json!(3)));
    }
}

/// A step counts from the start however long before it its text was written: nothing goes early.
#[tokio::test]
async fn what_was_drafted_before_the_start_goes_its_delay_after_it() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        draft(&desk, two_steps(), json!({}), 2).await;
        desk.call("POST", "/api/v1/campaigns/1/generate", None).await;
        desk.until(START + 3 * HOUR).await;
        let written = desk.texts("SELECT body FROM drafts ORDER BY message_id").await;
        let (status, run) = desk.call("POST", "/api/v1/campaigns/1/send", None).await;
        assert_eq!(
            (status, &run["kind"], &run["campaign"]["status"]),
            (202, &json!("send"), &json!("RUNNING"))
        );
        desk.until(START + 5 * HOUR - MINUTE).await;
        assert_eq!(desk.texts(states()).await, ["1 drafted", "1 drafted"]);
        let planned = desk.texts("SELECT CAST(planned_at AS TEXT) FROM messages").await;
        assert!(planned.iter().all(|at| *at == (START + 5 * HOUR).to_string()), "{planned:?}");
        desk.until(START + 5 * HOUR + MINUTE).await;
        assert_eq!(desk.texts(states()).await, ["1 accepted", "1 accepted"]);
        assert_eq!(desk.texts("SELECT body FROM drafts ORDER BY message_id").await, written);
        let half = counts(&desk, 2).await;
        assert_eq!((&half["state"], &half["counts"]["sent"]), (&json!("running"), &json!(2)));
        assert!(half["estimated_end"].as_str().unwrap() >= &rfc3339(START + DAY)[..10], "{half}");
        desk.until(START + 2 * DAY).await;
        let run = counts(&desk, 2).await;
        assert_eq!((&run["state"], &run["counts"]["sent"]), (&json!("completed"), &json!(4)));
        assert_eq!((&run["counts"]["through"], &run["progress"]["percent"]), (&json!(2), &json!(100)));
        assert_eq!(desk.number("SELECT COUNT(*) FROM attempts").await, 4);
    }
}

/// The simulation of a draft tells the instants that its drafted texts will have.
#[tokio::test]
async fn drafted_texts_are_simulated_from_the_start() {
    let mut desk = Desk::new(BOTH[0]).await;
    draft(&desk, two_steps(), json!({}), 1).await;
    desk.call("POST", "/api/v1/campaigns/1/generate", None).await;
    desk.until(START + HOUR).await;
    let (_, future) = desk.call("GET", "/api/v1/campaigns/1/simulation", None).await;
    assert_eq!(future["messages"][0]["at"], json!(rfc3339(START + 3 * HOUR)), "{future}");
    assert_eq!(future["messages"].as_array().unwrap().len(), 2);
}

/// Ahead of its instant, not beside the planner: quiet hours and delay stay what they are.
#[tokio::test]
async fn a_running_campaigns_next_text_is_written_ahead_and_sent_at_its_own_instant() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        let quiet = json!({ "timezone": "UTC", "quiet_hours_start": "11:00", "quiet_hours_end": "08:00" });
        let steps = json!([
            { "step_number": 1, "subject": "Hi", "template": "Hello" },
            { "step_number": 2, "ai_prompt": "Ask again.", "delay_hours": 3 },
        ]);
        draft(&desk, steps, quiet, 1).await;
        desk.call("POST", "/api/v1/campaigns/1/send", None).await;
        desk.until(START + MINUTE).await;
        assert_eq!(desk.texts(states()).await, ["1 accepted"]);
        desk.call("POST", "/api/v1/campaigns/1/generate", None).await;
        desk.until(START + 2 * MINUTE).await;
        assert_eq!(desk.texts(states()).await, ["1 accepted", "2 drafted"]);
        assert_eq!(counts(&desk, 2).await["counts"]["written"], 1);
        // Three hours later lie in the quiet hours: the next morning at eight.
        let morning = START - START.rem_euclid(DAY) + DAY + 8 * HOUR;
        let planned = desk.number("SELECT planned_at FROM messages WHERE step_number = 2").await;
        assert_eq!(planned, morning);
        desk.until(morning - MINUTE).await;
        assert_eq!(desk.texts(states()).await, ["1 accepted", "2 drafted"]);
        desk.until(morning + MINUTE).await;
        assert_eq!(desk.texts(states()).await, ["1 accepted", "2 accepted"]);
    }
}

/// An edit discards what was written; a run of a draft writes it anew in the new version.
#[tokio::test]
async fn an_edit_of_a_draft_discards_its_texts() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        draft(&desk, two_steps(), json!({}), 2).await;
        desk.call("POST", "/api/v1/campaigns/1/generate", None).await;
        desk.until(START + MINUTE).await;
        let edited =
            json!({ "name": "Spring", "steps": [{ "step_number": 1, "subject": "New", "template": "New" }] });
        desk.call("PUT", "/api/v1/campaigns/1", Some(&edited)).await;
        desk.until(START + 2 * MINUTE).await;
        assert_eq!(desk.number("SELECT COUNT(*) FROM drafts").await, 0);
        desk.call("POST", "/api/v1/campaigns/1/generate", None).await;
        desk.until(START + 3 * MINUTE).await;
        assert_eq!(desk.texts("SELECT subject || ' ' || body FROM drafts").await, ["New New", "New New"]);
        desk.call("POST", "/api/v1/campaigns/1/send", None).await;
        desk.until(START + 4 * MINUTE).await;
        assert_eq!(desk.texts(states()).await, ["1 accepted", "1 accepted"]);
    }
}

#[tokio::test]
async fn runs_are_listed_by_campaign_and_are_their_accounts_own() {
    let mut desk = Desk::new(BOTH[0]).await;
    draft(&desk, two_steps(), json!({}), 1).await;
    let (_, first) = desk.call("POST", "/api/v1/campaigns/1/generate", None).await;
    let (_, again) = desk.call("POST", "/api/v1/campaigns/1/generate", None).await;
    assert_eq!(first["id"], again["id"], "the same people, the same run");
    desk.until(START + MINUTE).await;
    let (_, sending) = desk.call("POST", "/api/v1/campaigns/1/send", None).await;
    let (_, listed) = desk.call("GET", "/api/v1/runs?campaign_id=1", None).await;
    assert_eq!((&listed["total"], &listed["runs"][0]["id"]), (&json!(2), &first["id"]));
    let (_, none) = desk.call("GET", "/api/v1/runs?campaign_id=2", None).await;
    assert_eq!(none["total"], 0);
    for path in ["/api/v1/runs/99", "/api/v1/runs/x", "/api/v1/runs/99/events"] {
        assert_eq!(desk.call("GET", path, None).await.0, 404, "{path}");
    }
    for verb in ["generate", "send"] {
        assert_eq!(desk.call("POST", &format!("/api/v1/campaigns/99/{verb}"), None).await.0, 404);
    }
    let (status, _) = desk.call("DELETE", "/api/v1/campaigns/1?force=true", None).await;
    assert_eq!(status, 200);
    desk.until(START + 2 * MINUTE).await;
    let (_, ended) =
        desk.call("GET", &format!("/api/v1/runs/{}", sending["id"].as_str().unwrap()), None).await;
    assert_eq!(ended["state"], "cancelled");
}

#[tokio::test]
async fn a_run_is_streamed_to_its_end() {
    let mut desk = Desk::new(BOTH[0]).await;
    draft(&desk, two_steps(), json!({}), 2).await;
    desk.call("POST", "/api/v1/campaigns/1/generate", None).await;
    let request = || {
        let request =
            axum::http::Request::builder().uri("/api/v1/runs/1/events").header("x-api-key", &desk.key);
        request.body(axum::body::Body::empty()).unwrap()
    };
    let streaming = tokio::spawn({
        let (router, request) = (sendwright_api::router(desk.state.clone()), request());
        async move {
            let answer = tower::ServiceExt::oneshot(router, request).await.unwrap();
            assert_eq!(answer.headers()["content-type"], "text/event-stream");
            axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap()
        }
    });
    tokio::task::yield_now().await;
    desk.until(START + MINUTE).await;
    let text = String::from_utf8(streaming.await.unwrap().to_vec()).unwrap();
    assert!(text.starts_with("event: progress\n") || text.starts_with("event: end\n"), "{text}");
    let last = text.trim_end().rsplit("\n\n").next().unwrap();
    let data = last.strip_prefix("event: end\ndata: ").unwrap_or_else(|| panic!("{text}"));
    let run: Value = serde_json::from_str(data).unwrap();
    assert_eq!((&run["state"], &run["counts"]["written"]), (&json!("completed"), &json!(2)));
}
