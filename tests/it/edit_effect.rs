//! What an edit does, told before and with it (DESIGN, Live edit).

use crate::support::desk::{Desk, START};
use crate::support::engine::BOTH;
use sendwright_worker::sweep;
use sendwright_workflows::clock::{HOUR, MINUTE};
use serde_json::{Value, json};

fn body(texts: &[&str]) -> Value {
    let steps: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(n, text)| {
            let delay = if n == 0 { 0 } else { 2 };
            json!({ "step_number": n + 1, "subject": text, "template": text, "delay_hours": delay })
        })
        .collect();
    json!({ "name": "Spring", "steps": steps })
}

#[tokio::test]
async fn a_dry_run_counts_who_moves_where_and_is_what_then_happens() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        desk.call("POST", "/api/v1/campaigns", Some(&body(&["one", "two", "three"]))).await;
        let leads = json!([{ "email": "a@example.com" }, { "email": "b@example.com" }]);
        desk.call("POST", "/api/v1/campaigns/1/leads", Some(&leads)).await;
        desk.call("POST", "/api/v1/campaigns/1/start", None).await;
        desk.until(START + HOUR).await;
        desk.call("POST", "/api/v1/campaigns/1/leads", Some(&json!([{ "email": "c@example.com" }]))).await;
        // Two got "one" and wait for step 2; the third has not been looked at yet.
        let edited = body(&["new", "one", "two"]);
        let (status, told) = desk.call("PUT", "/api/v1/campaigns/1?dry_run=1", Some(&edited)).await;
        assert_eq!((status, &told["dry_run"]), (200, &json!(true)), "{told}");
        let expected = json!({
            "people": 3,
            "moves": [
                { "from_step": 1, "to_step": 1, "people": 1 },
                { "from_step": 2, "to_step": 3, "people": 2 },
            ],
            "repeats_avoided": 2, "steps_nobody_gets": [], "messages_discarded": 0, "estimated": false,
        });
        assert_eq!(told["effect"], expected);
        assert_eq!(desk.number("SELECT version FROM campaigns").await, 1, "nothing was changed");
        let (_, done) = desk.call("PUT", "/api/v1/campaigns/1", Some(&edited)).await;
        assert_eq!((&done["effect"], &done["version"]), (&expected, &json!(2)));
        sweep::pass(&desk.world.ctx, desk.now()).await.unwrap();
        desk.until(START + 8 * HOUR).await;
        let got = "SELECT recipient || ' ' || subject FROM mailbox ORDER BY recipient, received_at, id";
        let expected = [
            "a@example.com one",
            "a@example.com two",
            "b@example.com one",
            "b@example.com two",
            "c@example.com new",
            "c@example.com one",
            "c@example.com two",
        ];
        assert_eq!(desk.texts(got).await, expected);
    }
}

#[tokio::test]
async fn steps_that_nobody_will_get_are_named_and_a_dry_run_refuses_what_an_edit_would() {
    let mut desk = Desk::new(BOTH[0]).await;
    desk.call("POST", "/api/v1/campaigns", Some(&body(&["one", "two"]))).await;
    desk.call("POST", "/api/v1/campaigns/1/leads", Some(&json!([{ "email": "a@example.com" }]))).await;
    desk.call("POST", "/api/v1/campaigns/1/start", None).await;
    desk.until(START + MINUTE).await;
    let edited = body(&["other", "one"]);
    let (_, told) = desk.call("PUT", "/api/v1/campaigns/1?dry_run=true", Some(&edited)).await;
    assert_eq!(told["effect"]["moves"], json!([{ "from_step": 2, "to_step": null, "people": 1 }]));
    assert_eq!(told["effect"]["steps_nobody_gets"], json!([1, 2]));
    let empty = json!({ "name": "Spring", "steps": [] });
    assert_eq!(desk.call("PUT", "/api/v1/campaigns/1?dry_run=1", Some(&empty)).await.0, 422);
    assert_eq!(desk.call("PUT", "/api/v1/campaigns/99?dry_run=1", Some(&edited)).await.0, 404);
}
