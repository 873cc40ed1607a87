//! Opens and clicks: never unless asked for, never anywhere but where the letter says, people and machines apart.

use crate::support::desk::{Desk, START};
use crate::support::engine::{BOTH, Lead, On, step};
use axum::body::Body;
use axum::http::Request;
use sendwright_worker::tracking;
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{MINUTE, SECOND};
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::sequence::{Delay, Step};
use sendwright_workflows::signing::{Secret, sign};
use sendwright_workflows::tracking::{CLICK, OPEN, name};
use serde_json::Value;

pub const HTML: &str = "<p>Hi, see <a href=\"https://shop.example/?a=1&amp;b=2\">this</a>, \
    <a href='https://docs.example/x'>that</a> or <a href=\"{{unsubscribe_url}}\">leave</a></p>";
pub const PERSON: &str = "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0";

pub fn both_on() -> Policy {
    Policy { track_opens: Some(true), track_clicks: Some(true), ..Policy::default() }
}

/// One message that has gone out.
pub async fn sent(on: On, policy: Policy, template: &str) -> (Desk, String) {
    let mut desk = Desk::new(on).await;
    let profile = desk.world.profile("main", &Rates::default()).await;
    let one = Step { template: Some(template.into()), ..step(1, Delay::default()) };
    let campaign = desk.world.campaign("Spring", profile, &policy, &[one]).await;
    desk.world.enrol(campaign, &[Lead { email: "p@example.org".into(), zone: None }]).await;
    desk.until(START + MINUTE).await;
    let raw = desk.texts("SELECT raw FROM mailbox").await.remove(0);
    let plain = raw.replace("=\r\n", "").replace("=3D", "=");
    (desk, plain)
}

/// The paths of a letter's links of one kind.
pub fn paths(raw: &str, kind: &str) -> Vec<String> {
    let start = format!("http://127.0.0.1:8080/{kind}/");
    let end = |c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c));
    let mut found: Vec<String> = raw
        .split(&start)
        .skip(1)
        .map(|rest| format!("/{kind}/{}", rest.split(end).next().unwrap().trim_end_matches('.')))
        .collect();
    found.sort();
    found.dedup();
    found
}

pub async fn hit(desk: &Desk, method: &str, path: &str, agent: &str) -> (u16, String) {
    let before = desk.number("SELECT COUNT(*) FROM hits").await;
    let request = Request::builder().method(method).uri(path).header("user-agent", agent);
    let response = tower::ServiceExt::oneshot(
        sendwright_api::router(desk.state.clone()),
        request.body(Body::empty()).unwrap(),
    );
    let response = response.await.unwrap();
    let location = response.headers().get("location").map_or("", |v| v.to_str().unwrap()).to_owned();
    let status = response.status().as_u16();
    if status < 400 {
        // It is written down beside the answer.
        while desk.number("SELECT COUNT(*) FROM hits").await == before {
            tokio::task::yield_now().await;
        }
    }
    (status, location)
}

pub async fn judged(desk: &Desk, after: i64) -> Vec<Value> {
    desk.world.clock.set(desk.now() + after);
    tracking::pass(&desk.world.ctx, desk.now()).await.unwrap();
    let told = desk
        .texts("SELECT data FROM events WHERE kind IN ('email.opened', 'email.clicked') ORDER BY id")
        .await;
    told.iter().map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[tokio::test]
async fn nothing_is_tracked_unless_it_is_asked_for() {
    let (_, raw) = sent(On::Sqlite, Policy::default(), HTML).await;
    assert_eq!((paths(&raw, "o").len(), paths(&raw, "c").len()), (0, 0), "{raw}");
    assert!(raw.contains("https://shop.example/?a=1&amp;b=2"), "{raw}");
    let opens = Policy { track_opens: Some(true), ..Policy::default() };
    let (_, raw) = sent(On::Sqlite, opens, HTML).await;
    assert_eq!((paths(&raw, "o").len(), paths(&raw, "c").len()), (1, 0), "{raw}");
}

#[tokio::test]
async fn a_profile_asks_for_all_its_campaigns_and_a_campaign_may_decline() {
    for (clicks, expected) in [(None, 1), (Some(false), 0)] {
        let mut desk = Desk::new(On::Sqlite).await;
        let profile = desk.world.profile("main", &Rates::default()).await;
        let patch = serde_json::json!({ "track_clicks": true });
        desk.call("PATCH", &format!("/api/v1/sending-profiles/{profile}"), Some(&patch)).await;
        let policy = Policy { track_clicks: clicks, ..Policy::default() };
        let one = Step { template: Some("See https://shop.example/.".into()), ..step(1, Delay::default()) };
        let campaign = desk.world.campaign("C", profile, &policy, &[one]).await;
        desk.world.enrol(campaign, &[Lead { email: "p@example.org".into(), zone: None }]).await;
        desk.until(START + MINUTE).await;
        let raw = desk.texts("SELECT raw FROM mailbox").await.remove(0).replace("=\r\n", "");
        assert_eq!(paths(&raw, "c").len(), expected, "{raw}");
    }
}

/// S1-61, S1-62, A30.
#[tokio::test]
async fn a_person_opens_and_clicks_and_arrives_where_the_letter_says() {
    for on in BOTH {
        let (desk, raw) = sent(on, both_on(), HTML).await;
        let (pixel, links) = (paths(&raw, "o").remove(0), paths(&raw, "c"));
        assert_eq!((links.len(), paths(&raw, "u").len()), (2, 1), "the unsubscribe link stays: {raw}");
        assert_eq!(hit(&desk, "GET", &pixel, PERSON).await, (200, String::new()));
        desk.world.clock.set(desk.now() + MINUTE);
        let (status, location) = hit(&desk, "GET", &links[0], PERSON).await;
        assert_eq!(status, 302);
        assert!(
            ["https://shop.example/?a=1&b=2", "https://docs.example/x"].contains(&location.as_str()),
            "{location}"
        );
        let told = judged(&desk, MINUTE).await;
        assert_eq!(told.len(), 2, "{told:?}");
        for data in &told {
            assert_eq!((&data["by"], &data["first"]), (&Value::from("person"), &Value::from(true)), "{data}");
            assert_eq!(data["evidence"]["user_agent"], PERSON);
            assert_eq!(data["evidence"]["address_prefix"], "0.0.0.0/24");
            assert!(data["evidence"]["ms_since_acceptance"].as_i64().unwrap() > 3 * SECOND, "{data}");
        }
        assert_eq!(told[1]["link"], location.as_str());
        assert_eq!(
            desk.number("SELECT COUNT(*) FROM messages WHERE opened_at > 0 AND clicked_at > 0").await,
            1
        );
        assert_eq!(judged(&desk, MINUTE).await.len(), 2, "once each");
        assert_eq!(desk.number("SELECT COUNT(*) FROM suppressions").await, 0, "a GET opts nobody out");
    }
}

#[tokio::test]
async fn machines_are_told_apart_and_say_why() {
    let (desk, raw) = sent(On::Sqlite, both_on(), HTML).await;
    let (pixel, links) = (paths(&raw, "o").remove(0), paths(&raw, "c"));
    hit(&desk, "HEAD", &links[0], PERSON).await;
    hit(&desk, "GET", &pixel, "Barracuda Sentinel (EE)").await;
    desk.world.clock.set(desk.now() + MINUTE);
    hit(&desk, "GET", &links[0], PERSON).await;
    hit(&desk, "GET", &links[1], PERSON).await;
    let told = judged(&desk, MINUTE).await;
    let mut why: Vec<&str> = told.iter().map(|data| data["why"].as_str().unwrap()).collect();
    why.sort();
    assert_eq!(why, ["head_request", "many_links", "many_links", "user_agent"]);
    assert!(told.iter().all(|data| data["by"] == "scanner"));
    assert_eq!(desk.number("SELECT COUNT(*) FROM messages WHERE opened_at > 0").await, 0);
}

#[tokio::test]
async fn who_opens_within_seconds_of_acceptance_is_a_machine() {
    let (desk, raw) = sent(On::Sqlite, both_on(), HTML).await;
    desk.run("UPDATE messages SET accepted_at = 1768473060000 - 500").await;
    desk.world.clock.set(START + MINUTE);
    hit(&desk, "GET", &paths(&raw, "o")[0], PERSON).await;
    assert_eq!(judged(&desk, MINUTE).await[0]["why"], "at_once");
}

#[tokio::test]
async fn a_plain_text_is_tracked_by_its_links_alone() {
    let text = "See https://shop.example/a. Bye";
    let (desk, raw) = sent(On::Sqlite, both_on(), text).await;
    assert_eq!((paths(&raw, "o").len(), paths(&raw, "c").len()), (0, 1), "{raw}");
    assert_eq!(hit(&desk, "GET", &paths(&raw, "c")[0], PERSON).await.1, "https://shop.example/a");
}

/// A30, A31.
#[tokio::test]
async fn a_forged_link_leads_nowhere_and_tells_nothing() {
    let (desk, raw) = sent(On::Sqlite, both_on(), HTML).await;
    let epoch = desk.world.ctx.store.epoch();
    let ours = Secret::new([42; 32]);
    let evil = name("https://evil.example/");
    let good = paths(&raw, "c").remove(0);
    let forged = [
        "/c/x".to_owned(),
        "/o/x.gif".into(),
        format!("/c/{}", sign(&Secret::new([1; 32]), CLICK, epoch, &[1, name("https://docs.example/x")])),
        format!("/c/{}", sign(&ours, CLICK, epoch, &[1, evil])),
        format!("/c/{}", sign(&ours, OPEN, epoch, &[1])),
        format!("/o/{}.gif", sign(&ours, CLICK, epoch, &[1, evil])),
        format!("/c/{}", sign(&ours, CLICK, "another", &[1, evil])),
        format!("{good}x"),
        good.replace("/c/", "/u/"),
    ];
    for path in forged {
        assert_eq!(hit(&desk, "GET", &path, PERSON).await.0, 404, "{path}");
    }
    assert_eq!(hit(&desk, "GET", &format!("{good}?url=https://evil.example/"), PERSON).await.0, 302);
    assert_eq!(desk.number("SELECT COUNT(*) FROM hits").await, 1);
    for method in ["POST", "PUT"] {
        let request = Request::builder().method(method).uri(&good).body(Body::empty()).unwrap();
        assert_eq!(desk.send(request).await.0, 405);
    }
}

/// SEND_PROTOCOL 9.
#[tokio::test]
async fn the_first_open_proves_that_an_uncertain_message_was_accepted() {
    for on in BOTH {
        let (desk, raw) = sent(on, both_on(), HTML).await;
        desk.run("UPDATE messages SET state = 'uncertain', accepted_at = NULL").await;
        desk.run("UPDATE attempts SET state = 'uncertain'").await;
        hit(&desk, "GET", &paths(&raw, "o")[0], PERSON).await;
        judged(&desk, MINUTE).await;
        assert_eq!(desk.texts("SELECT state FROM messages").await, ["accepted"]);
        assert_eq!(desk.texts("SELECT state FROM attempts").await, ["accepted"]);
    }
}

#[tokio::test]
async fn a_flood_of_hits_is_counted_to_a_bound() {
    let (desk, raw) = sent(On::Sqlite, both_on(), HTML).await;
    let pixel = paths(&raw, "o").remove(0);
    for _ in 0..100 {
        let request = Request::get(&pixel).header("user-agent", PERSON).body(Body::empty()).unwrap();
        let router = sendwright_api::router(desk.state.clone());
        assert_eq!(tower::ServiceExt::oneshot(router, request).await.unwrap().status().as_u16(), 200);
    }
    let told = judged(&desk, MINUTE).await;
    assert!(told.len() <= 30, "{}", told.len());
    assert!(told.iter().filter(|data| data["first"] == true).count() <= 1);
}
