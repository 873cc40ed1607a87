//! The spend cap: priced before a campaign starts, reserved before a model is asked, settled after, never passed.

use crate::support::desk::{Desk, START};
use crate::support::engine::{BOTH, On, World};
use crate::support::model_server::{Answer, ModelServer};
use sendwright_store::spending::{self, Reserve};
use sendwright_worker::ai::{ModelSettings, ModelWriter, Writer};
use sendwright_workflows::clock::{DAY, HOUR, MINUTE, rfc3339};
use sendwright_workflows::spend::{Period, Prices};
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
    for wrong in [
        json!({}),
        json!({ "cap": -1 }),
        json!({ "cap": "5" }),
        json!({ "cap": 1e300 }),
        json!({ "cap": 1, "period": "weekly" }),
    ] {
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
        let over = Reserve::Over { until: None };
        let mut tx = store.begin().await.unwrap();
        spending::set_cap(&mut tx, account, Some(100), Period::Total, START).await.unwrap();
        assert_eq!(spending::reserve(&mut tx, account, 1, 60, START).await.unwrap(), Reserve::Taken);
        assert_eq!(
            spending::reserve(&mut tx, account, 2, 60, START).await.unwrap(),
            Reserve::Later { until: None }
        );
        assert_eq!(spending::reserve(&mut tx, account, 3, 101, START).await.unwrap(), over);
        assert_eq!(spending::reserve(&mut tx, account, 1, 30, START).await.unwrap(), Reserve::Taken);
        spending::settle(&mut tx, account, 1, 10, START).await.unwrap();
        let now = spending::of(&mut tx, account, START).await.unwrap();
        assert_eq!((now.spent, now.reserved), (70, 0));
        assert_eq!(spending::reserve(&mut tx, account, 2, 31, START).await.unwrap(), over);
        tx.commit().await.unwrap();
    }
}

/// In the account's zone: there it is 23:30 when the day's money is gone, and half an hour later there is new.
#[tokio::test]
async fn a_daily_cap_lets_the_rest_be_written_on_the_next_day() {
    for on in BOTH {
        let server = ModelServer::always(Answer::Writes("Hello", "A word to you.")).await;
        let mut desk = desk(on, &server, 3).await;
        desk.run("UPDATE accounts SET timezone = 'Asia/Kathmandu'").await; // UTC+05:45
        let (evening, midnight) = (START + 7 * HOUR + 15 * MINUTE, START + 7 * HOUR + 45 * MINUTE);
        desk.until(evening).await;
        let mut tx = desk.core().store.begin().await.unwrap();
        spending::settle(&mut tx, desk.world.account, 99, 150_000, evening).await.unwrap();
        tx.commit().await.unwrap();
        // One text can cost more than 0.1 and less than 0.2.
        let body = json!({ "cap": 0.2, "period": "daily" });
        let (status, shown) = desk.call("PUT", "/api/v1/spending", Some(&body)).await;
        assert_eq!((status, &shown["period"], &shown["spent"]), (200, &json!("daily"), &json!(0.15)));
        assert_eq!(shown["renews_at"], rfc3339(midnight));
        desk.call("POST", "/api/v1/campaigns/1/send", None).await;
        desk.until(evening + 5 * MINUTE).await;
        assert_eq!(server.asked().len(), 0);
        assert_eq!(desk.texts("SELECT DISTINCT state FROM messages").await, ["scheduled"]);
        let (_, explained) = desk.call("GET", "/api/v1/messages/1/explain", None).await;
        let summary = explained["summary"].as_str().unwrap();
        assert!(summary.contains("begins anew at 2026-01-16T00:00:00+05:45"), "{explained}");
        desk.until(midnight - 1).await;
        desk.until(midnight).await;
        assert_eq!(server.asked().len(), 0);
        desk.until(midnight + HOUR).await;
        assert_eq!(server.asked().len(), 3);
        assert_eq!(desk.texts("SELECT DISTINCT state FROM messages").await, ["accepted"]);
        let (_, shown) = desk.call("GET", "/api/v1/spending", None).await;
        assert_eq!(
            (&shown["spent"], &shown["spent_total"]),
            (&json!(3.0 * TEXT), &json!(0.15 + 3.0 * TEXT)),
            "{shown}"
        );
        let monthly = json!({ "cap": 0.2, "period": "monthly" });
        let (_, shown) = desk.call("PUT", "/api/v1/spending", Some(&monthly)).await;
        assert_eq!(shown["spent"], shown["spent_total"], "the month has all of it: {shown}");
    }
}

/// Many at once, for three days; the cap changes while they reserve.
#[tokio::test]
async fn no_day_ever_costs_more_than_its_cap_however_many_write_at_once() {
    const MOST: i64 = 30;
    for on in BOTH {
        let desk = Desk::new(on).await;
        let (store, account) = (&desk.core().store, desk.world.account);
        for (day, cap) in [1_000, 500, 740].into_iter().enumerate() {
            let now = START + day as i64 * DAY;
            let mut tx = store.begin().await.unwrap();
            spending::set_cap(&mut tx, account, Some(cap), Period::Daily, now).await.unwrap();
            tx.commit().await.unwrap();
            let writer = |n: i64| async move {
                let (mut taken, mut over) = (0, 0);
                while over < 3 {
                    let message = n * 1_000 + taken;
                    let mut tx = store.begin().await.unwrap();
                    let done = spending::reserve(&mut tx, account, message, MOST, now).await.unwrap();
                    let stands = spending::of(&mut tx, account, now).await.unwrap();
                    assert!(stands.spent + stands.reserved <= cap, "{stands:?}");
                    tx.commit().await.unwrap();
                    match done {
                        Reserve::Taken => {
                            taken += 1;
                            let cost = MOST - message % 7;
                            let mut tx = store.begin().await.unwrap();
                            spending::settle(&mut tx, account, message, cost, now).await.unwrap();
                            tx.commit().await.unwrap();
                        }
                        Reserve::Later { .. } => tokio::task::yield_now().await,
                        Reserve::Over { .. } => over += 1,
                    }
                }
                taken
            };
            let done = futures::future::join_all((0..12).map(writer)).await;
            let taken: i64 = done.iter().sum();
            let mut tx = store.read().await.unwrap();
            let stands = spending::of(&mut tx, account, now).await.unwrap();
            tx.rollback().await.unwrap();
            assert!(taken >= cap / MOST, "{taken}");
            assert!(stands.reserved == 0 && stands.spent <= cap && stands.spent > cap - MOST, "{stands:?}");
        }
    }
}
