//! Analytics (S0-24): numbers that add up, and that the ledger of events bears out.

use crate::support::desk::{Desk, START};
use crate::support::engine::{BOTH, Lead, step};
use crate::support::protocol::{claim, intend, record, yes};
use sendwright_store::events::{self, NewEvent};
use sendwright_store::intents::Verdict;
use sendwright_worker::channels::{Outcome as Said, Stage};
use sendwright_worker::handlers::plan;
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{DAY, HOUR, MINUTE};
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::sequence::Delay;
use sendwright_workflows::statistics::Totals;
use serde_json::{Value, json};

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn said(dice: &mut Dice) -> Said {
    let refused = |stage, code, enhanced: &str| Said::Refused {
        stage,
        code,
        permanent: code >= 500,
        enhanced: Some(enhanced.into()),
        reply: "no".into(),
    };
    match dice.roll(10) {
        0 => refused(Stage::Rcpt, 550, "5.1.1"),
        1 => refused(Stage::Answer, 554, "5.6.0"),
        2 => Said::Unknown { detail: "the line broke after the dot".into() },
        3 => refused(Stage::Rcpt, 450, "4.2.0"),
        _ => yes(),
    }
}

/// Plans, claims and hands over what is due, with random ends; some of it a person cancels instead.
async fn happen(desk: &Desk, profile: i64, dice: &mut Dice) {
    let ctx = &desk.world.ctx;
    while plan::pass(ctx, desk.now()).await.unwrap() > 0 {}
    for message in claim(ctx, profile, 7).await {
        let (attempt, verdict) = intend(ctx, &message).await;
        if verdict == Verdict::Go {
            record(ctx, &message, attempt, said(dice)).await;
        }
    }
    let waiting = "SELECT id FROM messages WHERE state = 'drafted' ORDER BY id";
    let waiting: Vec<(i64,)> = desk.world.rows(waiting).await;
    if let Some((id,)) = waiting.first().filter(|_| dice.roll(4) == 0) {
        desk.cancel(*id).await.unwrap();
    }
}

/// Openings, clicks, answers and opt-outs, some of them more than once.
async fn react(desk: &Desk, dice: &mut Dice) {
    let sql = "SELECT id, campaign_id, contact_id FROM messages WHERE state = 'accepted' ORDER BY id";
    let sent: Vec<(i64, i64, i64)> = desk.world.rows(sql).await;
    let store = &desk.core().store;
    let mut told = Vec::new();
    for (message, campaign, contact) in sent {
        for kind in ["email.opened", "email.opened", "email.clicked", "reply.received", "contact.opted_out"] {
            if dice.roll(3) == 0 {
                let data = match kind {
                    "reply.received" => json!({ "text": "\"automatic\":true", "automatic": false }),
                    _ => json!({ "by": "person" }),
                };
                told.push(NewEvent {
                    id: store.ids.one("events").await.unwrap(),
                    account_id: desk.world.account,
                    kind,
                    campaign_id: Some(campaign),
                    contact_id: Some(contact),
                    enrolment_id: None,
                    message_id: Some(message),
                    data: data.to_string(),
                    at: desk.now() + dice.roll(3) as i64 * HOUR,
                });
            }
        }
    }
    let mut tx = store.begin().await.unwrap();
    events::insert(&mut tx, &told).await.unwrap();
    tx.commit().await.unwrap();
}

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
    let series = shown["series"].as_array().unwrap();
    for name in ["sent", "opened", "clicked", "replied", "bounced", "failed", "opted_out"] {
        let over_time: i64 = series.iter().map(|point| sum(point, &[name])).sum();
        assert_eq!(over_time, sum(totals, &[name]), "{name} of {shown}");
    }
    let held: i64 = shown["held"].as_array().unwrap().iter().map(|why| sum(why, &["count"])).sum();
    assert_eq!(held, sum(totals, &["held"]), "{shown}");
    shown
}

#[tokio::test]
async fn after_any_campaign_the_numbers_add_up_and_the_ledger_bears_them_out() {
    for on in BOTH {
        let mut seen = Totals::default();
        for seed in 1..=3 {
            let mut dice = Dice(seed);
            let desk = Desk::new(on).await;
            let profile = desk.world.profile("main", &Rates::default()).await;
            let steps = [step(1, Delay::default()), step(2, Delay { minutes: 30, ..Delay::default() })];
            let policy = Policy { requires_approval: false, ..Policy::default() };
            let campaign = desk.world.campaign("Spring", profile, &policy, &steps).await;
            let leads: Vec<Lead> =
                (0..25).map(|n| Lead { email: format!("p{n}@example.com"), zone: None }).collect();
            desk.world.enrol(campaign, &leads).await;
            for turn in 0..14 {
                happen(&desk, profile, &mut dice).await;
                if turn == 6 {
                    let email = json!({ "email": "p24@example.com" });
                    desk.call("POST", "/api/v1/suppressions", Some(&email)).await;
                }
                desk.world.clock.set(desk.now() + 7 * MINUTE);
            }
            react(&desk, &mut dice).await;
            let shown = adds_up(&desk, "/api/v1/campaigns/1/analytics?interval=hour").await;
            // Who is suppressed by hand opts out of the account, and of no campaign.
            let mut all = adds_up(&desk, "/api/v1/analytics").await["totals"].take();
            let opted = desk.number("SELECT COUNT(*) FROM events WHERE kind = 'contact.opted_out'").await;
            assert_eq!(all["opted_out"], json!(opted));
            all["opted_out"] = shown["totals"]["opted_out"].clone();
            assert_eq!(all, shown["totals"]);

            let totals = &shown["totals"];
            let counted = "SELECT kind || ' ' || CAST(COUNT(DISTINCT message_id) AS TEXT) FROM events
                WHERE message_id IS NOT NULL AND kind <> 'contact.opted_out' GROUP BY kind ORDER BY kind";
            for line in desk.texts(counted).await {
                let (kind, n) = line.split_once(' ').unwrap();
                let name = match kind {
                    "email.sent" => "sent",
                    "email.failed" => "failed",
                    "email.bounced" => "bounced",
                    "email.opened" => "opened",
                    "email.clicked" => "clicked",
                    "reply.received" => "replied",
                    "message.uncertain" => "uncertain",
                    other => panic!("{other} is in no count"),
                };
                assert_eq!(totals[name], json!(n.parse::<i64>().unwrap()), "{name} of {totals}");
            }
            let opted = "SELECT COUNT(*) FROM events WHERE kind = 'contact.opted_out' AND campaign_id = 1";
            assert_eq!(totals["opted_out"], json!(desk.number(opted).await));
            assert_eq!(totals["messages"], json!(desk.number("SELECT COUNT(*) FROM messages").await));
            assert_eq!(totals["written"], json!(desk.number("SELECT COUNT(*) FROM drafts").await));
            seen = seen.plus(&serde_json::from_value(totals.clone()).unwrap());
        }
        let seen = json!(seen);
        for name in ["sent", "bounced", "failed", "uncertain", "cancelled", "opened", "opted_out"] {
            assert!(seen[name].as_i64().unwrap() > 0, "the dice never fell on {name}");
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
