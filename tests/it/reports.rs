//! Reports and monitoring (S2-29 … S2-33, C-25): the document's names and numbers, which add up, agree with each other and
//! with the analytics, and say what the tables say.

use crate::support::desk::{Desk, START};
use crate::support::engine::{BOTH, On};
use crate::support::history::History;
use crate::support::phones::{begun, by, campaign, desk, number, post, text};
use sendwright_workflows::clock::{DAY, HOUR, MINUTE, rfc3339};
use sendwright_workflows::sequence::Channel;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A message as its row stands.
#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    campaign_id: i64,
    channel: String,
    state: String,
    provider_status: Option<String>,
    accepted_at: Option<i64>,
    delivered_at: Option<i64>,
    slot: Option<i64>,
    created_at: i64,
}

const ROWS: &str =
    "SELECT id, campaign_id, channel, state, provider_status, accepted_at, delivered_at, slot, created_at
     FROM messages WHERE kind = 'step' ORDER BY id DESC";

impl Row {
    /// The status, as decision 13 has it.
    fn status(&self) -> &'static str {
        match self.state.as_str() {
            "scheduled" | "writing" | "drafted" | "claimed" | "sending" => "PENDING",
            "accepted" => "SENT",
            "delivered" | "complained" => "DELIVERED",
            "failed" => "FAILED",
            "bounced" => match (self.accepted_at, self.provider_status.as_deref()) {
                (None, _) | (_, Some("failed" | "canceled")) => "FAILED",
                _ => "UNDELIVERED",
            },
            "held" => "HELD",
            "uncertain" => "UNCERTAIN",
            "suppressed" => "SUPPRESSED",
            "cancelled" => "CANCELLED",
            other => panic!("{other} has no status"),
        }
    }

    fn at(&self) -> i64 {
        self.accepted_at.or(self.slot.map(|slot| slot / 1_000)).unwrap_or(self.created_at)
    }
}

/// What is to be shown of rows: by status, and the numbers that are sums of them.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    by_status: BTreeMap<&'static str, i64>,
    sent: i64,
    delivered: i64,
    failed: i64,
    pending: i64,
    unsent: i64,
    rate: Option<f64>,
    average: Option<f64>,
}

fn to_one_digit(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| (part / whole * 10.0).round() / 10.0)
}

fn counts<'r>(rows: impl Iterator<Item = &'r Row> + Clone) -> Counts {
    let mut counts = Counts::default();
    let words = [
        "PENDING",
        "HELD",
        "UNCERTAIN",
        "SENT",
        "DELIVERED",
        "UNDELIVERED",
        "FAILED",
        "SUPPRESSED",
        "CANCELLED",
    ];
    counts.by_status.extend(words.map(|word| (word, 0)));
    for row in rows.clone() {
        *counts.by_status.get_mut(row.status()).unwrap() += 1;
    }
    let of = |words: &[&str]| words.iter().map(|word| counts.by_status[word]).sum::<i64>();
    (counts.sent, counts.delivered) =
        (of(&["SENT", "DELIVERED", "UNDELIVERED", "FAILED"]), of(&["DELIVERED"]));
    (counts.failed, counts.unsent) = (of(&["UNDELIVERED", "FAILED"]), of(&["SUPPRESSED", "CANCELLED"]));
    counts.pending = of(&["PENDING", "HELD", "UNCERTAIN", "SENT"]);
    let texts = rows.clone().filter(|row| row.channel != "email");
    let told = |words: &[&str]| texts.clone().filter(|row| words.contains(&row.status())).count() as f64;
    let handed = told(&["SENT", "DELIVERED", "UNDELIVERED", "FAILED"]);
    counts.rate = to_one_digit(told(&["DELIVERED"]) * 100.0, handed);
    let timed: Vec<i64> = rows
        .filter(|row| row.status() == "DELIVERED")
        .filter_map(|row| Some((row.delivered_at? - row.accepted_at?).max(0)))
        .collect();
    counts.average = to_one_digit(timed.iter().sum::<i64>() as f64 / MINUTE as f64, timed.len() as f64);
    counts
}

async fn get(desk: &Desk, path: &str) -> Value {
    let (status, shown) = desk.call("GET", path, None).await;
    assert_eq!(status, 200, "{path}: {shown}");
    shown
}

/// The numbers that every report has, under their names in this one.
fn holds(shown: &Value, names: [&str; 4], counts: &Counts) {
    let told = [counts.delivered, counts.failed, counts.pending, counts.unsent];
    for (name, n) in names.into_iter().zip(told) {
        assert_eq!(shown[name], json!(n), "{name} of {shown}: {counts:?}");
    }
    assert_eq!(shown["delivery_rate"], json!(counts.rate), "{shown}");
}

/// One campaign's summary: what its rows say, and what the analytics and the campaign itself say.
async fn summary_agrees(desk: &Desk, id: i64, rows: &[Row]) {
    let own = counts(rows.iter().filter(|row| row.campaign_id == id));
    let shown = get(desk, &format!("/api/v1/reporting/campaigns/{id}/summary")).await;
    let metrics = &shown["performance_metrics"];
    holds(metrics, ["messages_delivered", "messages_failed", "pending", "unsent"], &own);
    assert_eq!(metrics["messages_sent"], json!(own.sent));
    assert_eq!(metrics["average_delivery_time_minutes"], json!(own.average));
    assert_eq!(shown["status_breakdown"], json!(own.by_status));
    let errors: i64 =
        shown["error_analysis"].as_object().unwrap().values().map(|n| n.as_i64().unwrap()).sum();
    assert_eq!(errors, own.failed, "{shown}");
    let channels = shown["channels"].as_array().unwrap();
    for name in ["messages_sent", "messages_delivered", "messages_failed", "pending", "unsent"] {
        let sum: i64 = channels.iter().map(|channel| channel[name].as_i64().unwrap()).sum();
        assert_eq!(json!(sum), metrics[name], "{name} of {shown}");
    }
    let totals = get(desk, &format!("/api/v1/campaigns/{id}/analytics")).await["totals"].take();
    let of = |name: &str| totals[name].as_i64().unwrap();
    let by_analytics = Counts {
        sent: of("sent") + of("refused") + of("failed"),
        delivered: of("delivered"),
        failed: of("bounced") + of("failed"),
        unsent: of("suppressed") + of("cancelled"),
        pending: of("pending") + of("held") + of("uncertain") + of("sent") + of("refused")
            - of("delivered")
            - of("bounced"),
        by_status: own.by_status.clone(),
        ..own
    };
    assert_eq!(by_analytics, own, "{totals}");
    for (status, name) in [
        ("PENDING", "pending"),
        ("HELD", "held"),
        ("UNCERTAIN", "uncertain"),
        ("SUPPRESSED", "suppressed"),
        ("CANCELLED", "cancelled"),
    ] {
        assert_eq!(own.by_status[status], of(name), "{name} of {totals}");
    }
    let campaign = get(desk, &format!("/api/v1/campaigns/{id}")).await;
    assert_eq!(
        (&campaign["messages_sent"], &campaign["messages_failed"]),
        (&json!(own.sent), &json!(own.failed))
    );
}

/// A list of statuses and its summary: exactly the rows that are meant, whichever way it is walked.
async fn list_agrees(desk: &Desk, query: &str, rows: &[&Row]) {
    let own = counts(rows.iter().copied());
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let shown = get(desk, &format!("/api/v1/reporting/messages/status?limit=50&{query}{cursor}")).await;
        let summary = &shown["summary"];
        holds(summary, ["delivered", "failed", "pending", "unsent"], &own);
        assert_eq!((&summary["total_messages"], &shown["total"]), (&json!(rows.len()), &json!(rows.len())));
        assert_eq!(summary["status_breakdown"], json!(own.by_status), "{query}");
        seen.extend(shown["messages"].as_array().unwrap().clone());
        let Some(next) = shown["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen.len(), rows.len(), "{query}");
    for (shown, row) in seen.iter().zip(rows) {
        assert_eq!(shown["id"], json!(format!("03000000-0000-8000-8000-{:012x}", row.id)), "{query}");
        assert_eq!(shown["status"], json!(row.status()));
        let took = row.delivered_at.zip(row.accepted_at).map(|(d, a)| ((d - a).max(0) + 500) / 1_000);
        assert_eq!(shown["delivery_time_seconds"], json!(took));
        assert_eq!(shown["recipient_phone"].is_string(), row.channel != "email");
    }
}

async fn dashboard_agrees(desk: &Desk, rows: &[Row]) {
    let since = desk.now() - DAY;
    let recent: Vec<&Row> = rows.iter().filter(|row| row.at() >= since).collect();
    let own = counts(recent.iter().copied());
    let shown = get(desk, "/api/v1/monitoring/dashboard").await;
    let day = &shown["activity_24h"];
    holds(day, ["messages_delivered", "messages_failed", "pending", "unsent"], &own);
    assert_eq!(day["messages_sent"], json!(own.sent));
    let metrics = &shown["performance_metrics"];
    let error_rate = to_one_digit(own.failed as f64 * 100.0, own.sent as f64);
    assert_eq!(metrics["error_rate_percent"], json!(error_rate));
    assert_eq!(metrics["average_delivery_time_minutes"], json!(own.average));
    let errors: i64 =
        shown["recent_errors"].as_array().unwrap().iter().map(|error| error["count"].as_i64().unwrap()).sum();
    assert!(errors == own.failed || shown["recent_errors"].as_array().unwrap().len() == 10, "{shown}");
    list_agrees(desk, &format!("start_date={}", rfc3339(since)), &recent).await;
    let health = &shown["system_health"];
    let sum =
        ["opted_in_users", "opted_out_users", "unasked_users"].map(|name| health[name].as_i64().unwrap());
    assert_eq!(health["total_users"], json!(sum.iter().sum::<i64>()));
    let users = "SELECT COUNT(*) FROM contacts WHERE phone_key IS NOT NULL AND consent = 'opt_in'";
    assert_eq!(health["opted_in_users"], json!(desk.number(users).await));
    let inbound = get(desk, "/api/v1/monitoring/inbound?limit=1000").await;
    assert_eq!(day["inbound_messages"], inbound["summary"]["total_inbound_24h"]);
    assert_eq!(day["stop_commands"], inbound["summary"]["stop_commands"]);
    inbound_agrees(desk, &inbound, since).await;
}

async fn inbound_agrees(desk: &Desk, shown: &Value, since: i64) {
    let sql = "SELECT received_at, COALESCE(sender, ''), channel || ' ' || COALESCE(kind, '') FROM inbound";
    let rows: Vec<(i64, String, String)> = desk.world.rows(sql).await;
    let recent: Vec<_> = rows.iter().filter(|row| row.0 >= since).collect();
    let mut senders: Vec<&String> = recent.iter().map(|row| &row.1).collect();
    senders.sort();
    senders.dedup();
    let summary = &shown["summary"];
    assert_eq!(summary["total_inbound"], json!(recent.len()), "{summary}");
    assert_eq!(shown["inbound_events"].as_array().unwrap().len(), recent.len());
    assert_eq!(summary["unique_senders"], json!(senders.len()), "{summary}");
    let stops = recent.iter().filter(|row| row.2 != "email opt_out" && row.2.ends_with(" opt_out")).count();
    assert_eq!(summary["stop_commands"], json!(stops), "{summary}");
    let hourly = (recent.len() as f64 / 24.0 * 100.0).round() / 100.0;
    assert_eq!(summary["average_per_hour"], json!(hourly));
}

/// C-25, C-27.
#[tokio::test]
async fn after_any_history_every_report_says_what_the_tables_say() {
    for on in BOTH {
        let mut seen: BTreeMap<&'static str, i64> = BTreeMap::new();
        for seed in 11..=13 {
            let mut history = History::begin(on, seed).await;
            history.run(20).await;
            history.react().await;
            let desk = &history.desk;
            // So that the last 24 hours begin in the middle of it.
            desk.world.clock.set(START + DAY + HOUR);
            let rows: Vec<Row> = desk.world.rows(ROWS).await;
            let all: Vec<&Row> = rows.iter().collect();
            for id in [1, 2] {
                summary_agrees(desk, id, &rows).await;
                let own: Vec<&Row> = rows.iter().filter(|row| row.campaign_id == id).collect();
                list_agrees(desk, &format!("campaign_id={id}"), &own).await;
            }
            list_agrees(desk, "", &all).await;
            for (status, n) in counts(rows.iter()).by_status {
                let own: Vec<&Row> = rows.iter().filter(|row| row.status() == status).collect();
                list_agrees(desk, &format!("status={status}"), &own).await;
                *seen.entry(status).or_default() += n;
            }
            let until = START + HOUR;
            let early: Vec<&Row> = rows.iter().filter(|row| row.at() < until).collect();
            list_agrees(desk, &format!("end_date={}", rfc3339(until)), &early).await;
            dashboard_agrees(desk, &rows).await;
        }
        assert!(seen.values().all(|n| *n > 0), "the dice never fell on one of {seen:?}");
    }
}

/// A text to person 1 that was delivered after two minutes, and one to person 2 that Twilio refused.
async fn two_texts(on: On) -> Desk {
    let desk = begun(on, &[by(Channel::Sms, 1, 0)]).await;
    desk.run("UPDATE messages SET accepted_at = accepted_at - accepted_at % 60000").await;
    desk.run(
        "UPDATE messages SET state = 'delivered', provider_status = 'delivered', delivered_at = accepted_at + 120000
         WHERE id = 1",
    )
    .await;
    desk.run("UPDATE messages SET state = 'failed', accepted_at = NULL, provider_code = 21211 WHERE id = 2")
        .await;
    desk
}

/// S2-29.
#[tokio::test]
async fn a_summary_has_the_documents_names() {
    for on in BOTH {
        let desk = two_texts(on).await;
        desk.run("UPDATE campaigns SET state = 'completed', completed_at = started_at + 2700000").await;
        let shown =
            get(&desk, "/api/v1/reporting/campaigns/01000000-0000-8000-8000-000000000001/summary").await;
        let expected = json!({
            "campaign_id": "01000000-0000-8000-8000-000000000001", "campaign_name": "Spring",
            "performance_metrics": {
                "messages_sent": 2, "messages_delivered": 1, "messages_failed": 1, "pending": 0, "unsent": 0,
                "delivery_rate": 50.0, "average_delivery_time_minutes": 2.0,
            },
            "error_analysis": { "invalid_phone_number": 1, "network_error": 0, "rate_limit_exceeded": 0 },
        });
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&shown[name], value, "{name}");
        }
        let breakdown = &shown["status_breakdown"];
        for (status, n) in [("DELIVERED", 1), ("FAILED", 1), ("UNDELIVERED", 0), ("SENT", 0)] {
            assert_eq!(breakdown[status], n, "{status}");
        }
        let started = desk.number("SELECT started_at FROM campaigns").await;
        assert_eq!(
            shown["execution_timeline"],
            json!({
                "started_at": format!("{}Z", &rfc3339(started)[..19]),
                "completed_at": format!("{}Z", &rfc3339(started + 45 * MINUTE)[..19]),
                "duration_minutes": 45,
            })
        );
        desk.run("UPDATE campaigns SET state = 'running'").await;
        let shown = get(&desk, "/api/v1/reporting/campaigns/1/summary").await;
        let timeline = &shown["execution_timeline"];
        assert_eq!((&timeline["completed_at"], &timeline["duration_minutes"]), (&Value::Null, &Value::Null));
    }
}

/// S2-30.
#[tokio::test]
async fn a_list_of_statuses_has_the_documents_names() {
    for on in BOTH {
        let desk = two_texts(on).await;
        let shown = get(&desk, "/api/v1/reporting/messages/status?status=delivered").await;
        let sent = desk.number("SELECT accepted_at FROM messages WHERE id = 1").await;
        let expected = json!({
            "recipient_phone": number(1), "campaign_name": "Spring", "status": "DELIVERED",
            "sent_at": format!("{}Z", &rfc3339(sent)[..19]),
            "delivered_at": format!("{}Z", &rfc3339(sent + 2 * MINUTE)[..19]),
            "delivery_time_seconds": 120, "error_code": null,
        });
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&shown["messages"][0][name], value, "{name}");
        }
        let all = get(&desk, "/api/v1/reporting/messages/status").await;
        let failed = &all["messages"][0];
        assert_eq!(
            (&failed["error_code"], &failed["error_message"]),
            (&json!(21211), &json!("Invalid 'To' phone number"))
        );
        for (name, n) in [("total_messages", 2), ("delivered", 1), ("failed", 1), ("pending", 0)] {
            assert_eq!(all["summary"][name], n, "{name}");
        }
        assert_eq!(all["summary"]["delivery_rate"], 50.0);
    }
}

/// S2-30: a day is meant whole, and every fault is named at once.
#[tokio::test]
async fn filters_mean_what_they_say_and_name_what_is_wrong() {
    let desk = two_texts(BOTH[0]).await;
    let day = &rfc3339(START)[..10];
    let before = &rfc3339(START - DAY)[..10];
    for (query, n) in [
        (format!("start_date={day}&end_date={day}"), 2),
        (format!("end_date={before}"), 0),
        (format!("start_date={before}"), 2),
        (format!("start_date={day}&status=FAILED&campaign_id=1"), 1),
        (format!("start_date={}", rfc3339(START + DAY).replace('Z', "%2B00:00")), 0),
    ] {
        let shown = get(&desk, &format!("/api/v1/reporting/messages/status?{query}")).await;
        assert_eq!(shown["summary"]["total_messages"], n, "{query}");
    }
    let wrong = "campaign_id=x&status=LOST&start_date=soon&end_date=2026-13-01&limit=0&sort=name";
    let (status, shown) = desk.call("GET", &format!("/api/v1/reporting/messages/status?{wrong}"), None).await;
    let fields: Vec<_> =
        shown["details"]["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
    assert_eq!((status, &shown["error"]), (400, &json!("validation_error")));
    assert_eq!(fields, ["campaign_id", "status", "start_date", "end_date", "limit", "sort"]);
    for (query, field) in
        [("campaign_id=9", "campaign_id"), ("start_date=2026-02-01&end_date=2026-01-01", "end_date")]
    {
        let (status, shown) =
            desk.call("GET", &format!("/api/v1/reporting/messages/status?{query}"), None).await;
        assert_eq!((status, &shown["field"]), (400, &json!(field)), "{shown}");
    }
    let (status, shown) = desk.call("GET", "/api/v1/monitoring/inbound?hours=721&limit=0", None).await;
    let fields: Vec<_> =
        shown["details"]["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
    assert_eq!((status, fields), (400, vec!["hours", "limit"]));
}

/// S2-31.
#[tokio::test]
async fn a_dashboard_has_the_documents_names() {
    for on in BOTH {
        let mut desk = two_texts(on).await;
        desk.state.began -= 720 * HOUR;
        desk.run("UPDATE campaigns SET state = 'running'").await;
        let shown = get(&desk, "/api/v1/monitoring/dashboard").await;
        assert_eq!(
            shown["system_health"],
            json!({
                "active_campaigns": 1, "total_users": 2, "opted_in_users": 2, "opted_out_users": 0, "unasked_users": 0,
            })
        );
        for (name, value) in
            [("messages_sent", 2.into()), ("messages_delivered", 1.into()), ("delivery_rate", json!(50.0))]
        {
            assert_eq!(shown["activity_24h"][name], value, "{name}");
        }
        assert_eq!(
            shown["performance_metrics"],
            json!({
                "average_delivery_time_minutes": 2.0, "system_uptime_hours": 720.0, "error_rate_percent": 50.0,
            })
        );
        let error = &shown["recent_errors"][0];
        assert_eq!((&error["error_code"], &error["count"]), (&json!(21211), &json!(1)));
        assert_eq!(error["message"], "Invalid 'To' phone number");
        assert!(error["timestamp"].is_string());
        // A day later nothing of it is recent.
        desk.world.clock.set(START + 2 * DAY);
        let later = get(&desk, "/api/v1/monitoring/dashboard").await;
        assert_eq!(
            (&later["activity_24h"]["messages_sent"], &later["recent_errors"]),
            (&json!(0), &json!([]))
        );
        assert_eq!(later["performance_metrics"]["error_rate_percent"], Value::Null);
    }
}

/// S2-32.
#[tokio::test]
async fn inbound_activity_has_the_documents_names() {
    for on in BOTH {
        let mut desk = desk(on).await;
        campaign(&desk.world, 2, &[by(Channel::Sms, 1, 0)]).await;
        desk.until(START + MINUTE).await;
        for (sid, n, body) in
            [("SM1", 1, "Hello, I need help with my order"), ("SM2", 1, "Hello?"), ("SM3", 2, "STOP")]
        {
            let from = number(n);
            assert_eq!(post(&desk, "/webhooks/inbound", &text(sid, &from, body)).await.0, 200);
            desk.world.clock.set(desk.now() + 20 * HOUR);
        }
        let shown = get(&desk, "/api/v1/monitoring/inbound?hours=72").await;
        let oldest = &shown["inbound_events"][2];
        let expected = json!({
            "from_phone": number(1), "to_phone": crate::support::phones::NUMBER, "channel": "sms",
            "body": "Hello, I need help with my order", "received_at": "2026-01-15T10:31:00Z", "message_sid": "SM1",
        });
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&oldest[name], value, "{name}");
        }
        assert_eq!(
            shown["summary"],
            json!({
                "hours": 72, "total_inbound_24h": 1, "total_inbound": 3, "texts": 3, "unique_senders": 2,
                "average_per_hour": 0.04, "stop_commands": 1,
            })
        );
        let few = get(&desk, "/api/v1/monitoring/inbound?hours=72&limit=1").await;
        assert_eq!(few["inbound_events"].as_array().unwrap().len(), 1);
        assert_eq!((&few["inbound_events"][0]["body"], &few["summary"]), (&json!("STOP"), &shown["summary"]));
        let day = get(&desk, "/api/v1/monitoring/inbound").await;
        assert_eq!((&day["summary"]["total_inbound"], &day["summary"]["hours"]), (&json!(1), &json!(24)));
    }
}

#[tokio::test]
async fn another_account_sees_nothing_of_it() {
    for on in BOTH {
        let mut history = History::begin(on, 5).await;
        history.run(6).await;
        let mut desk = history.desk;
        let store = &desk.core().store;
        let other =
            sendwright_store::accounts::create(store, "other", "o@example.com", "UTC", START).await.unwrap();
        desk.world.account = other.id;
        desk.key = desk.new_key(&["analytics:read"]).await.1;
        assert_eq!(desk.call("GET", "/api/v1/reporting/campaigns/1/summary", None).await.0, 404);
        assert_eq!(desk.call("GET", "/api/v1/reporting/messages/status?campaign_id=1", None).await.0, 400);
        let list = get(&desk, "/api/v1/reporting/messages/status").await;
        assert_eq!((&list["summary"]["total_messages"], &list["messages"]), (&json!(0), &json!([])));
        let dashboard = get(&desk, "/api/v1/monitoring/dashboard").await;
        for (part, names) in [
            ("system_health", vec!["active_campaigns", "total_users"]),
            ("activity_24h", vec!["messages_sent", "pending", "unsent", "inbound_messages"]),
        ] {
            for name in names {
                assert_eq!(dashboard[part][name], 0, "{name} of {dashboard}");
            }
        }
        let inbound = get(&desk, "/api/v1/monitoring/inbound").await;
        assert_eq!(
            (&inbound["summary"]["total_inbound"], &inbound["inbound_events"]),
            (&json!(0), &json!([]))
        );
    }
}
