//! The spend cap: priced before a campaign starts, reserved before a model is asked, settled after, never passed.

use crate::support::desk::{Desk, START};
use crate::support::engine::{BOTH, On, World};
use crate::support::model_server::{Answer, ModelServer};
use sendwright_store::spending::{self, Reserve};
use sendwright_worker::ai::{ModelSettings, ModelWriter, Writer};
use sendwright_workflows::clock::MINUTE;
use sendwright_workflows::spend::Prices;
use serde_json::{Value, json};

/// A text of the scripted server takes 100 tokens read and 20 written: 300 millionths.
const PRICES: Prices = Prices { input: 1.0, output: 10.0 };
const TEXT: f64 = 0.0003;

async fn desk(on: On, server: &ModelServer, people: usize) -> Desk {
    let settings = ModelSettings::new(server.base_url().parse().unwrap(), None, "scripted");
    let writer = Writer::Model(Box::new(ModelWriter::new(settings).unwrap()));
    let mut desk = Desk::in_world(World::written_by(on, START, writer, PRICES).await).await;
    desk.state = desk.state.clone().with_prices(PRICES);
    let body = json!({ "name": "Dentists SF", "business_type": "Dentists" });
    assert_eq!(desk.call("POST", "/api/v1/campaigns", Some(&body)).await.0, 201);
    let leads: Vec<Value> = (0..people).map(|n| json!({ "email": format!("p{n}@example.com") })).collect();
    desk.call("POST", "/api/v1/campaigns/1/leads", Some(&json!(leads))).await;
    desk
}

async fn cap(desk: &Desk, cap: Value) -> Value {
    let (status, shown) = desk.call("PUT", "/api/v1/spending", Some(&json!({ "cap": cap }))).await;
    assert_eq!(status, 200, "{shown}");
    shown
}

#[tokio::test]
async fn nothing_is_asked_of_the_model_that_the_cap_does_not_leave() {
    for on in BOTH {
        let server = ModelServer::always(Answer::Writes("Hello", "A word to you.")).await;
        let mut desk = desk(on, &server, 6).await;
        assert_eq!(cap(&desk, json!(0.001)).await["left"], 0.001);
        desk.call("POST", "/api/v1/campaigns/1/generate", None).await;
        desk.until(START + MINUTE).await;
        assert_eq!(server.asked().len(), 0);
        let held = desk.texts("SELECT state || reasons FROM messages").await;
        assert!(
            held.len() == 6 && held.iter().all(|m| m.starts_with("held") && m.contains("spend_cap")),
            "{held:?}"
        );
        // More than one text can cost at most, less than two: they are written one after the other.
        cap(&desk, json!(0.2)).await;
        for id in 1..=6 {
            assert_eq!(desk.call("POST", &format!("/api/v1/drafts/{id}/regenerate"), None).await.0, 202);
        }
        desk.until(START + 2 * MINUTE).await;
        assert_eq!(server.asked().len(), 6);
        let (_, shown) = desk.call("GET", "/api/v1/spending", None).await;
        assert_eq!((&shown["spent"], &shown["reserved"]), (&json!(6.0 * TEXT), &json!(0.0)), "{shown}");
        // What is left is less than a text can cost.
        cap(&desk, json!(0.01)).await;
        desk.call("POST", "/api/v1/drafts/1/regenerate", None).await;
        desk.until(START + 3 * MINUTE).await;
        assert_eq!(server.asked().len(), 6);
        assert_eq!(desk.number("SELECT COUNT(*) FROM messages WHERE state = 'held'").await, 1);
    }
}

#[tokio::test]
async fn a_campaign_is_priced_before_it_starts() {
    let server = ModelServer::always(Answer::Writes("Hello", "A word to you.")).await;
    let desk = desk(BOTH[0], &server, 3).await;
    cap(&desk, json!(0.001)).await;
    let (_, future) = desk.call("GET", "/api/v1/campaigns/1/simulation", None).await;
    let (_, sent) = desk.call("POST", "/api/v1/campaigns/1/send", None).await;
    let (_, started) = desk.call("POST", "/api/v1/campaigns/1/start", None).await;
    for cost in [&future["cost"], &sent["cost"], &started["cost"]] {
        assert_eq!((&cost["texts"], &cost["within_cap"]), (&json!(3), &json!(false)), "{cost}");
        assert!(cost["estimate"].as_f64().unwrap() > 3.0 * TEXT, "{cost}");
    }
    assert_eq!(cap(&desk, Value::Null).await["cap"], Value::Null);
    for wrong in [json!({}), json!({ "cap": -1 }), json!({ "cap": "5" }), json!({ "cap": 1e300 })] {
        let (status, refused) = desk.call("PUT", "/api/v1/spending", Some(&wrong)).await;
        assert!([400, 422].contains(&status), "{refused}");
    }
}

/// A worker that died between its question and the answer may have spent everything it had reserved.
#[tokio::test]
async fn a_reserve_whose_end_nobody_knows_counts_as_spent() {
    for on in BOTH {
        let desk = Desk::new(on).await;
        let (store, account) = (&desk.core().store, desk.world.account);
        let mut tx = store.begin().await.unwrap();
        spending::set_cap(&mut tx, account, Some(100)).await.unwrap();
        assert_eq!(spending::reserve(&mut tx, account, 1, 60).await.unwrap(), Reserve::Taken);
        assert_eq!(spending::reserve(&mut tx, account, 2, 60).await.unwrap(), Reserve::Later);
        assert_eq!(spending::reserve(&mut tx, account, 3, 101).await.unwrap(), Reserve::Over);
        assert_eq!(spending::reserve(&mut tx, account, 1, 30).await.unwrap(), Reserve::Taken);
        spending::settle(&mut tx, account, 1, 10).await.unwrap();
        let now = spending::of(&mut tx, account).await.unwrap();
        assert_eq!((now.spent, now.reserved), (70, 0));
        assert_eq!(spending::reserve(&mut tx, account, 2, 31).await.unwrap(), Reserve::Over);
        tx.commit().await.unwrap();
    }
}
