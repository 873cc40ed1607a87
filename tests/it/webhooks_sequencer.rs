//! Events are numbered without a gap, and none is missed, whatever commits late (DESIGN, promise 5).

use crate::support::engine::{BOTH, On};
use crate::support::hooks::Hooks;
use sendwright_store::events;
use sendwright_worker::handlers::sequence;
use sendwright_workflows::clock::Clock;
use serde_json::{Value, json};

async fn number(hooks: &Hooks) -> usize {
    sequence::pass(hooks.ctx(), hooks.clock.now().unwrap()).await.unwrap()
}

fn own(hooks: &Hooks, id: i64, kind: &str) -> [Value; 1] {
    [json!([id, hooks.world.account, kind, "{}"])]
}

async fn sequences(hooks: &Hooks) -> Vec<(i64, i64)> {
    hooks.world.rows("SELECT id, sequence FROM events WHERE sequence IS NOT NULL ORDER BY sequence").await
}

#[tokio::test]
async fn an_event_whose_transaction_commits_late_is_numbered_late_and_missed_by_nobody() {
    let hooks = Hooks::still(On::Postgres).await;
    hooks.register("https://example.com/", json!({})).await;
    let store = &hooks.ctx().store;
    let mut ids = store.ids.take("events", 3).await.unwrap();
    let late = ids.next().unwrap();
    let mut open = store.begin().await.unwrap();
    events::insert_own(&mut open, &own(&hooks, late, "custom.late"), 1).await.unwrap();
    for id in ids.clone() {
        let mut tx = store.begin().await.unwrap();
        events::insert_own(&mut tx, &own(&hooks, id, "custom.soon"), 2).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(number(&hooks).await, 2);
    let seen = hooks.done("GET", "/events?after=0", None).await;
    assert_eq!((&seen["next_after"], &seen["has_more"]), (&json!(2), &json!(false)));
    open.commit().await.unwrap();
    assert_eq!(number(&hooks).await, 1);
    assert_eq!(sequences(&hooks).await, [(ids.start, 1), (ids.start + 1, 2), (late, 3)]);
    let rest = hooks.done("GET", "/events?after=2", None).await;
    assert_eq!(
        (&rest["events"][0]["type"], &rest["events"][0]["sequence"]),
        (&json!("custom.late"), &json!(3))
    );
    let deliveries: Vec<(i64, i64)> =
        hooks.world.rows("SELECT event_id, number FROM deliveries ORDER BY number").await;
    assert_eq!(deliveries, [(ids.start, 1), (ids.start + 1, 2), (late, 3)]);
}

#[tokio::test]
async fn sequencers_side_by_side_leave_neither_gap_nor_double() {
    for on in BOTH {
        let hooks = Hooks::still(on).await;
        hooks.register("https://example.com/a", json!({})).await;
        hooks.register("https://example.com/b", json!({"events": ["custom.n"]})).await;
        hooks.register("https://example.com/c", json!({"events": ["email.sent"]})).await;
        hooks.tell_many(2_500).await;
        while hooks.world.number("SELECT COUNT(*) FROM events WHERE sequence IS NULL").await > 0 {
            let passes = (0..4).map(|_| number(&hooks));
            futures::future::join_all(passes).await;
        }
        let numbers: Vec<i64> = sequences(&hooks).await.into_iter().map(|(_, sequence)| sequence).collect();
        assert_eq!(numbers, (1..=2_500).collect::<Vec<i64>>());
        let lines: Vec<(i64, i64)> = hooks
            .world
            .rows("SELECT COUNT(*), MAX(number) FROM deliveries GROUP BY endpoint_id ORDER BY endpoint_id")
            .await;
        assert_eq!(lines, [(2_500, 2_500), (2_500, 2_500)]);
    }
}

#[tokio::test]
async fn a_pass_that_fails_before_its_commit_has_numbered_nothing() {
    for on in BOTH {
        let hooks = Hooks::still(on).await;
        hooks.register("https://example.com/", json!({})).await;
        hooks.tell_many(5).await;
        let store = &hooks.ctx().store;
        let ids = store.ids.take("deliveries", 5).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        let done =
            sendwright_store::sequencer::number(&mut tx, hooks.world.account, 9, ids, 1).await.unwrap();
        assert_eq!(done.events, 5);
        tx.rollback().await.unwrap();
        assert_eq!((sequences(&hooks).await.len(), number(&hooks).await), (0, 5));
        assert_eq!(hooks.world.number("SELECT MAX(sequence) FROM events").await, 5);
    }
}

#[tokio::test]
async fn the_ledger_is_read_by_number_and_filtered_by_any_name_of_an_event() {
    for on in BOTH {
        let hooks = Hooks::still(on).await;
        hooks.done("POST", "/leads", Some(json!({"email": "ada@example.com"}))).await;
        for n in 0..4 {
            hooks.tell("custom.n", json!({"n": n})).await;
        }
        number(&hooks).await;
        let page = hooks.done("GET", "/events?limit=3", None).await;
        assert_eq!((page["events"].as_array().unwrap().len(), &page["next_after"]), (3, &json!(3)));
        assert_eq!((&page["has_more"], &page["last"]), (&json!(true), &json!(5)));
        let rest = hooks.done("GET", "/events?after=3", None).await;
        let told: Vec<Value> =
            rest["events"].as_array().unwrap().iter().map(|e| e["sequence"].clone()).collect();
        assert_eq!(told, [4, 5]);
        let leads = hooks.done("GET", "/events?types=lead_created,email.*", None).await;
        assert_eq!(leads["events"].as_array().unwrap().len(), 1);
        assert_eq!((&leads["events"][0]["type"], &leads["next_after"]), (&json!("lead.created"), &json!(5)));
        let stranger = hooks.tenant("stranger").await;
        assert_eq!(hooks.ask_as(&stranger, &[], "GET", "/events", None).await.1["events"], json!([]));
        let more = hooks.done("GET", "/events?limit=3&cursor=1&fields=sequence", None).await;
        let expected = json!([{"sequence": 2}, {"sequence": 3}, {"sequence": 4}]);
        assert_eq!((&more["events"], &more["next_cursor"]), (&expected, &json!("4")));
        assert_eq!(hooks.done("GET", "/events?cursor=4", None).await["next_cursor"], json!(null));
        for query in ["after=-1", "limit=0", "limit=1001", "after=x", "after=1&cursor=1"] {
            assert_eq!(hooks.ask("GET", &format!("/events?{query}"), None).await.0, 400, "{query}");
        }
        for body in
            [json!({}), json!({"type": "lead.created"}), json!({"type": "custom.n", "data": 1}), json!([])]
        {
            assert!(
                (400..=422).contains(&hooks.ask("POST", "/events", Some(body.clone())).await.0),
                "{body}"
            );
        }
    }
}
