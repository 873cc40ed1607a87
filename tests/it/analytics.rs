//! Analytics (S0-24): numbers that add up, and that the ledger of events bears out.

use crate::support::desk::{Desk, START};
use crate::support::engine::{BOTH, Lead, step};
use crate::support::history::History;
use sendwright_store::events::{self, NewEvent};
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{DAY, HOUR, MINUTE};
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::sequence::Delay;
use sendwright_workflows::statistics::Totals;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn sum(totals: &Value, names: &[&str]) -> i64 {
    names.iter().map(|name| totals[name].as_i64().unwrap_or_else(|| panic!("{name} of {totals}"))).sum()
}

/// Every message in one place, the steps and the intervals sum up, and the ledger says the same.
async fn adds_up(desk: &Desk, path: &str) -> Value {
    let (status, shown) = desk.call("GET", path, None).await;
    assert_eq!(status, 200, "{shown}");
    let totals = &shown["totals"];
    let places = ["pending", "held", "uncertain", "sent", "refused", "failed", "suppressed", "cancelled"];
    assert_eq!(sum(totals, &["messages"]), sum(totals, &places), "{totals}");
    let steps = shown["steps"].as_array().unwrap();
    for name in totals.as_object().unwrap().keys() {
        let by_step: i64 = steps.iter().map(|step| sum(step, &[name])).sum();
        assert_eq!(by_step, sum(totals, &[name]), "{name} of {shown}");
    }
    let channels = shown["channels"].as_array().unwrap();
    for name in totals.as_object().unwrap().keys() {
        let by_channel: i64 = channels.iter().map(|channel| sum(channel, &[name])).sum();
        assert_eq!(by_channel, sum(totals, &[name]), "{name} of {shown}");
    }
    let series = shown["series"].as_array().unwrap();
    for name in ["sent", "opened", "clicked", "replied", "bounced", "failed", "opted_out"] {
        let over_time: i64 = series.iter().map(|point| sum(point, &[name])).sum();
        assert_eq!(over_time, sum(totals, &[name]), "{name} of {shown}");
    }
    let held: i64 = shown["held"].as_array().unwrap().iter().map(|why| sum(why, &["count"])).sum();
    assert_eq!(held, sum(totals, &["held"]), "{shown}");
    shown
}

/// What the ledger says of a campaign's messages, by the names of the totals.
async fn ledger(desk: &Desk) -> BTreeMap<&'static str, i64> {
    let mut found = BTreeMap::new();
    // A message that came back and was read after all has arrived; one that was uncertain may have been proven.
    let counted = "SELECT v.kind || ' ' || CAST(COUNT(DISTINCT v.message_id) AS TEXT)
         FROM events v JOIN messages m ON m.id = v.message_id
         WHERE v.campaign_id = 1 AND v.kind NOT LIKE 'contact.%' AND v.data NOT LIKE '{\"by\":\"scanner\"%'
           AND (v.kind NOT LIKE '%.bounced' OR m.state = 'bounced')
           AND (v.kind <> 'message.uncertain' OR m.state = 'uncertain')
         GROUP BY v.kind ORDER BY v.kind";
    for line in desk.texts(counted).await {
        let (kind, n) = line.split_once(' ').unwrap();
        let n: i64 = n.parse().unwrap();
        let name = match kind.split_once('.').unwrap().1 {
            "received" => "replied",
            // Who complains got it.
            "complained" => {
                *found.entry("delivered").or_default() += n;
                "complained"
            }
            what => ["sent", "failed", "bounced", "opened", "clicked", "uncertain", "delivered"]
                .into_iter()
                .find(|name| *name == what)
                .unwrap_or_else(|| panic!("{kind} is in no count")),
        };
        *found.entry(name).or_default() += n;
    }
    let opted = "SELECT COUNT(*) FROM events WHERE kind = 'contact.opted_out' AND campaign_id = 1";
    found.insert("opted_out", desk.number(opted).await);
    let own = "SELECT COUNT(*) FROM messages WHERE campaign_id = 1";
    found.insert("messages", desk.number(own).await);
    let written =
        "SELECT COUNT(*) FROM drafts d JOIN messages m ON m.id = d.message_id WHERE campaign_id = 1";
    found.insert("written", desk.number(written).await);
    found
}

#[tokio::test]
async fn after_any_campaign_on_every_channel_the_numbers_add_up_and_the_ledger_bears_them_out() {
    for on in BOTH {
        let mut seen = Totals::default();
        for seed in 1..=3 {
            let mut history = History::begin(on, seed).await;
            history.run(24).await;
            history.react().await;
            let desk = &history.desk;
            let shown = adds_up(desk, "/api/v1/campaigns/1/analytics?interval=hour").await;
            let other = adds_up(desk, "/api/v1/campaigns/2/analytics?interval=hour").await;
            // Who is suppressed by hand opts out of the account, and of no campaign.
            let mut all = adds_up(desk, "/api/v1/analytics").await["totals"].take();
            let opted = desk.number("SELECT COUNT(*) FROM events WHERE kind = 'contact.opted_out'").await;
            assert_eq!(all["opted_out"], json!(opted));
            let (one, two): (Totals, Totals) = (
                serde_json::from_value(shown["totals"].clone()).unwrap(),
                serde_json::from_value(other["totals"].clone()).unwrap(),
            );
            all["opted_out"] = json!(one.opted_out + two.opted_out);
            assert_eq!(all, json!(one.plus(&two)));
            for (name, n) in ledger(desk).await {
                assert_eq!(shown["totals"][name], json!(n), "{name} of {}", shown["totals"]);
            }
            seen = seen.plus(&one).plus(&two);
            let channels: Vec<_> =
                shown["channels"].as_array().unwrap().iter().filter_map(|c| c["channel"].as_str()).collect();
            assert_eq!(channels, ["email", "sms", "whatsapp"]);
        }
        for (name, n) in json!(seen).as_object().unwrap() {
            assert!(n.as_i64().unwrap() > 0, "the dice never fell on {name}: {seen:?}");
        }
    }
}

/// S0-33.
#[tokio::test]
async fn a_completed_campaign_carries_its_totals() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        let profile = desk.world.profile("main", &Rates::default()).await;
        let campaign =
            desk.world.campaign("Spring", profile, &Policy::default(), &[step(1, Delay::default())]).await;
        let leads: Vec<Lead> =
            (0..3).map(|n| Lead { email: format!("p{n}@example.com"), zone: None }).collect();
        desk.world.enrol(campaign, &leads).await;
        desk.until(START + MINUTE).await;
        let told = desk.texts("SELECT data FROM events WHERE kind = 'campaign.completed'").await;
        let data: Value = serde_json::from_str(&told[0]).unwrap();
        assert_eq!(
            (&data["round"], &data["totals"]["sent"], &data["totals"]["messages"]),
            (&json!(1), &json!(3), &json!(3))
        );
    }
}

#[tokio::test]
async fn what_is_held_says_why_and_another_account_sees_nothing() {
    let mut desk = Desk::new(BOTH[0]).await;
    let profile = desk.world.profile("main", &Rates::default()).await;
    let policy = Policy { requires_approval: true, ..Policy::default() };
    let campaign = desk.world.campaign("Spring", profile, &policy, &[step(1, Delay::default())]).await;
    desk.world.enrol(campaign, &[Lead { email: "a@example.com".into(), zone: None }]).await;
    desk.until(START + DAY).await;
    let shown = adds_up(&desk, "/api/v1/campaigns/1/analytics").await;
    assert_eq!(shown["held"], json!([{ "reason": "approval", "count": 1 }]));
    assert_eq!((&shown["totals"]["written"], &shown["rates"]["opened"]), (&json!(1), &Value::Null));
    assert_eq!(desk.call("GET", "/api/v1/campaigns/1/analytics?interval=week", None).await.0, 400);
    let store = &desk.core().store;
    let other =
        sendwright_store::accounts::create(store, "other", "o@example.com", "UTC", START).await.unwrap();
    desk.world.account = other.id;
    desk.key = desk.new_key(&[]).await.1;
    assert_eq!(desk.call("GET", "/api/v1/campaigns/1/analytics", None).await.0, 404);
    assert_eq!(adds_up(&desk, "/api/v1/analytics").await["totals"]["messages"], 0);
}

/// What a mail client fetches ahead, a scanner follows and a robot answers is in the ledger, and in no number.
#[tokio::test]
async fn what_machines_do_is_not_counted() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        let profile = desk.world.profile("main", &Rates::default()).await;
        let campaign =
            desk.world.campaign("Spring", profile, &Policy::default(), &[step(1, Delay::default())]).await;
        desk.world.enrol(campaign, &[Lead { email: "a@example.com".into(), zone: None }]).await;
        desk.until(START + MINUTE).await;
        let counted = async |kind: &'static str, data: Value, at: i64| {
            let id = desk.core().store.ids.one("events").await.unwrap();
            let message: Vec<(i64, i64)> = desk.world.rows("SELECT id, contact_id FROM messages").await;
            let event = NewEvent {
                id,
                account_id: desk.world.account,
                kind,
                campaign_id: Some(campaign),
                contact_id: Some(message[0].1),
                enrolment_id: None,
                message_id: Some(message[0].0),
                data: data.to_string(),
                at,
            };
            let mut tx = desk.core().store.begin().await.unwrap();
            events::insert(&mut tx, &[event]).await.unwrap();
            tx.commit().await.unwrap();
            let shown = adds_up(&desk, "/api/v1/campaigns/1/analytics?interval=hour").await;
            let of = |name: &str| shown["totals"][name].as_i64().unwrap();
            (of("opened"), of("clicked"), of("replied"))
        };
        let forged = json!({ "by": "machine", "evidence": { "user_agent": "\"by\":\"person\"" } });
        assert_eq!(counted("email.opened", forged.clone(), START).await, (0, 0, 0));
        assert_eq!(counted("email.clicked", forged, START).await, (0, 0, 0));
        assert_eq!(counted("reply.received", json!({ "automatic": true }), START).await, (0, 0, 0));
        let person = json!({ "by": "person" });
        assert_eq!(counted("email.opened", person.clone(), START + HOUR).await, (1, 0, 0));
        assert_eq!(counted("email.clicked", person, START + HOUR).await, (1, 1, 0));
        let reply = json!({ "automatic": false, "text": "\"automatic\":true" });
        assert_eq!(counted("reply.received", reply, START + HOUR).await, (1, 1, 1));
    }
}
