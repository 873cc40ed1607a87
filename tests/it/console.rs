//! The console and the mailbox: who gets in, what a form may do, and what a captured message may not.

use axum::body::Body;
use axum::http::{HeaderMap, Request};
use sendwright_api::{Console, metrics_router};
use sendwright_store::accounts;
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{DAY, HOUR, MINUTE};
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::sequence::{Channel, Delay, Step};
use serde_json::{Value, json};
use std::sync::Arc;
use tower::ServiceExt;

use crate::support::desk::{Desk, START};
use crate::support::engine::{BOTH, Lead, step};
use crate::support::phones;

const HOME: &str = "127.0.0.1:8080";

async fn begun(desk: &Desk, steps: &[Step]) -> i64 {
    let profile = desk.world.profile("main", &Rates::default()).await;
    let campaign = desk.world.campaign("Spring <b>", profile, &Policy::default(), steps).await;
    desk.world.enrol(campaign, &[Lead { email: "p0@example.com".into(), zone: None }]).await;
    campaign
}

async fn at_home() -> Desk {
    let mut desk = Desk::new(BOTH[0]).await;
    desk.state = desk.state.clone().with_console(Console::loopback(8080));
    desk
}

/// A request as a browser on this machine sends it, with more headers or others.
async fn ask(
    desk: &Desk,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    form: &str,
) -> (u16, HeaderMap, String) {
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", HOME);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    desk.send(request.body(Body::from(form.to_owned())).unwrap()).await
}

async fn look(desk: &Desk, path: &str) -> (u16, HeaderMap, String) {
    ask(desk, "GET", path, &[("accept", "text/html")], "").await
}

/// The token of a page's forms.
fn token(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"token\" value=\"").unwrap_or_else(|| panic!("no form: {page}"));
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn another_name_for_this_machine_or_another_sites_page_is_refused_on_every_path() {
    let desk = at_home().await;
    let paths = [
        ("GET", "/"),
        ("GET", "/console.css"),
        ("GET", "/console/dashboard"),
        ("GET", "/mailbox"),
        ("GET", "/mailbox/messages"),
        ("GET", "/mailbox/1"),
        ("GET", "/mailbox/1/html"),
        ("GET", "/mailbox/1/raw"),
        ("POST", "/console/campaigns/1/pause"),
        ("POST", "/console/campaigns/1/start"),
        ("POST", "/console/keys/1/revoke"),
        ("POST", "/login"),
        ("POST", "/logout"),
    ];
    for (method, path) in paths {
        for host in ["rebound.example:8080", "127.0.0.1:9999", "localhost", "127.0.0.1.example:8080"] {
            let (status, _, body) = ask(&desk, method, path, &[("host", host)], "").await;
            assert_eq!(status, 403, "{method} {path} of {host}: {body}");
        }
        for origin in ["http://evil.example", "null", "http://127.0.0.1:9999"] {
            let (status, _, body) = ask(&desk, method, path, &[("origin", origin)], "").await;
            assert_eq!(status, 403, "{method} {path} from {origin}: {body}");
        }
    }
    for host in [HOME, "localhost:8080", "[::1]:8080"] {
        let origin = format!("http://{host}");
        let (status, _, _) = ask(&desk, "GET", "/", &[("host", host), ("origin", &origin)], "").await;
        assert_eq!(status, 200, "{host}");
    }
}

#[tokio::test]
async fn a_form_without_its_pages_own_fresh_token_changes_nothing() {
    let desk = at_home().await;
    begun(&desk, &[step(1, Delay::default())]).await;
    let good = token(&look(&desk, "/").await.2);
    let mut wrong = good.clone();
    let last = if wrong.ends_with('A') { "B" } else { "A" };
    wrong.replace_range(wrong.len() - 1.., last);
    let unsubscribe = sendwright_workflows::signing::sign(
        &desk.state.secrets[0],
        "unsubscribe",
        desk.core().store.epoch(),
        &[1, 0, START / HOUR],
    );
    for form in ["".to_owned(), "token=".into(), format!("token={wrong}x"), format!("token={unsubscribe}")] {
        let (status, _, _) = ask(&desk, "POST", "/console/campaigns/1/pause", &[], &form).await;
        assert_eq!(status, 403, "{form}");
    }
    assert_eq!(desk.texts("SELECT state FROM campaigns").await, ["running"]);
    desk.world.clock.set(START + 2 * DAY);
    let (status, _, _) =
        ask(&desk, "POST", "/console/campaigns/1/pause", &[], &format!("token={good}")).await;
    assert_eq!(status, 403, "two days old");
    let fresh = format!("token={}", token(&look(&desk, "/").await.2));
    let (status, headers, _) = ask(&desk, "POST", "/console/campaigns/1/pause", &[], &fresh).await;
    assert_eq!((status, headers["location"].to_str().unwrap()), (303, "/"));
    assert_eq!(desk.texts("SELECT state FROM campaigns").await, ["paused"]);
    let (status, _, _) = ask(&desk, "POST", "/console/campaigns/1/start", &[], &fresh).await;
    assert_eq!(status, 303);
    assert_eq!(desk.texts("SELECT state FROM campaigns").await, ["running"]);
    let audited = "SELECT actor || ' ' || action FROM audits WHERE noun = 'campaign' ORDER BY id";
    assert_eq!(desk.texts(audited).await, ["console pause", "console start"]);
}

#[tokio::test]
async fn the_page_counts_campaigns_masks_keys_and_escapes_names() {
    let mut desk = at_home().await;
    begun(&desk, &[step(1, Delay::default())]).await;
    desk.until(START + MINUTE).await;
    let (status, headers, page) = look(&desk, "/").await;
    assert_eq!(status, 200, "{page}");
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'self'") && policy.contains("frame-ancestors 'none'"));
    assert!(!page.contains("<script") && !page.contains("style=\""));
    assert!(page.contains("Spring &lt;b&gt;") && !page.contains("Spring <b>"));
    assert!(page.contains(&desk.key[..16]) && !page.contains(&desk.key[..20]));
    assert!(page.contains("Health: ready") && page.contains("/mailbox"));
    let cells: Vec<&str> = page.split("<td>").map(|cell| cell.split('<').next().unwrap()).collect();
    assert!(cells.windows(5).any(|row| row == ["1", "0", "0", "0", "0"]), "accepted … failed: {cells:?}");
    let form = format!("token={}", token(&page));
    assert_eq!(ask(&desk, "POST", "/console/keys/1/revoke", &[], &form).await.0, 303);
    assert_eq!(desk.call("GET", "/api/v1/leads", None).await.0, 401, "revoked at once");
}

/// What the dashboard says as tiles, what came in, and what messages failed by; whatever people write is only shown.
#[tokio::test]
async fn the_dashboard_shows_the_last_day_and_escapes_what_people_write() {
    for on in BOTH {
        let mut desk = phones::begun(on, &[phones::by(Channel::Sms, 1, 0)]).await;
        desk.state = desk.state.clone().with_console(Console::loopback(8080));
        desk.run(
            "UPDATE messages SET state = 'failed', accepted_at = NULL, provider_code = 21211 WHERE id = 2",
        )
        .await;
        for (sid, n, body) in [("SM1", 1, "Is this <b>real</b>?"), ("SM2", 2, "STOP")] {
            let from = phones::number(n);
            let text = phones::text(sid, &from, body);
            assert_eq!(phones::post(&desk, "/webhooks/inbound", &text).await.0, 200);
        }
        let (status, headers, page) = look(&desk, "/console/dashboard").await;
        assert_eq!(status, 200, "{page}");
        assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'self'"));
        for tile in [
            "<span>Sent</span><b>2</b>",
            "<span>Failed</span><b>1</b><small>50.0 %</small>",
            "<span>Came in</span><b>2</b><small>2 texts</small>",
            "<span>STOP</span><b>1</b>",
            "<span>People by phone</span><b>2</b><small>1 in, 1 out, 0 not asked</small>",
        ] {
            assert!(page.contains(tile), "{tile} is not in {page}");
        }
        assert!(page.contains("Is this &lt;b&gt;real&lt;/b&gt;?") && !page.contains("<b>real"), "{page}");
        assert!(
            page.contains("<td>21211</td><td>Invalid &#x27;To&#x27; phone number</td><td>1</td>"),
            "{page}"
        );
        assert!(!page.contains("<script") && !page.contains("style=\""));
        desk.world.clock.set(desk.now() + 2 * DAY);
        let (_, _, later) = look(&desk, "/console/dashboard").await;
        assert!(later.contains("Nobody wrote.") && later.contains("Nothing failed."), "{later}");
    }
}

#[tokio::test]
async fn elsewhere_a_key_opens_a_session_that_ends_with_the_key() {
    for on in BOTH {
        let desk = Desk::new(on).await;
        begun(&desk, &[step(1, Delay::default())]).await;
        assert_eq!(desk.state.console, Console::keyed(false), "asking for a key is what happens by itself");
        for path in ["/", "/console/dashboard", "/mailbox", "/mailbox/1"] {
            let (status, _, page) = look(&desk, path).await;
            assert_eq!(status, 401);
            assert!(page.contains("API key") && !page.contains("Spring"), "{page}");
        }
        let (status, _, body) = ask(&desk, "GET", "/mailbox/messages", &[], "").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["error"]), (401, &json!("invalid_api_key")));
        let (status, headers, _) = ask(&desk, "POST", "/login", &[], "key=sk_live_wrong").await;
        assert_eq!((status, headers.get("set-cookie")), (401, None));
        let (status, headers, _) = ask(&desk, "POST", "/login", &[], &format!("key={}", desk.key)).await;
        let cookie = headers["set-cookie"].to_str().unwrap().to_owned();
        assert_eq!(status, 303);
        for word in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
            assert!(cookie.contains(word), "{cookie}");
        }
        assert!(!cookie.contains(&desk.key));
        let pair = cookie.split(';').next().unwrap();
        let (status, _, page) = ask(&desk, "GET", "/", &[("cookie", pair)], "").await;
        assert_eq!(status, 200, "{page}");
        let form = format!("token={}", token(&page));
        // The token belongs to the session: another's, or none, does nothing with it.
        assert_eq!(ask(&desk, "POST", "/console/campaigns/1/pause", &[], &form).await.0, 401);
        let (_, other) = desk.new_key(&[]).await;
        let with_other = [("x-api-key", other.as_str())];
        assert_eq!(ask(&desk, "POST", "/console/campaigns/1/pause", &with_other, &form).await.0, 403);
        assert_eq!(ask(&desk, "POST", "/console/campaigns/1/pause", &[("cookie", pair)], &form).await.0, 303);
        assert_eq!(desk.texts("SELECT state FROM campaigns").await, ["paused"]);
        assert_eq!(ask(&desk, "GET", "/", &[("x-api-key", &desk.key)], "").await.0, 200);
        assert_eq!(ask(&desk, "GET", "/", &[("cookie", &format!("{pair}x"))], "").await.0, 401);
        desk.run("UPDATE keys SET revoked_at = 1 WHERE id = 1").await;
        assert_eq!(ask(&desk, "GET", "/", &[("cookie", pair)], "").await.0, 401, "revoked");
    }
}

#[tokio::test]
async fn a_session_ends_by_itself_and_a_reading_key_only_reads() {
    let desk = Desk::new(BOTH[0]).await;
    begun(&desk, &[step(1, Delay::default())]).await;
    let (_, reader) = desk.new_key(&["read"]).await;
    let (_, headers, _) = ask(&desk, "POST", "/login", &[], &format!("key={reader}")).await;
    let cookie = headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let (status, _, page) = ask(&desk, "GET", "/", &[("cookie", &cookie)], "").await;
    assert_eq!(status, 200);
    let form = format!("token={}", token(&page));
    let (status, _, _) =
        ask(&desk, "POST", "/console/campaigns/1/pause", &[("cookie", &cookie)], &form).await;
    assert_eq!(status, 403);
    assert_eq!(desk.texts("SELECT state FROM campaigns").await, ["running"]);
    desk.world.clock.set(START + 12 * HOUR);
    assert_eq!(ask(&desk, "GET", "/", &[("cookie", &cookie)], "").await.0, 401);
}

#[tokio::test]
async fn the_mailbox_shows_a_message_as_it_would_arrive_and_lets_its_html_do_nothing() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        desk.state = desk.state.clone().with_console(Console::loopback(8080));
        let html = "<p>Hi {{first_name}}</p><script>alert(1)</script>";
        let steps = [
            Step { subject: Some("Grüße <i>".into()), ..step(1, Delay::default()) },
            Step { template: Some(html.into()), ..step(2, Delay { minutes: 1, ..Delay::default() }) },
        ];
        begun(&desk, &steps).await;
        desk.until(START + HOUR).await;
        let (_, _, list) = look(&desk, "/mailbox").await;
        assert!(list.contains("Grüße &lt;i&gt;") && list.contains("Subject 2"), "{list}");
        let (status, _, body) = ask(&desk, "GET", "/mailbox/messages?to=P0@example.com", &[], "").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["total"]), (200, &json!(2)), "{body}");
        let (newest, oldest) = (&body["messages"][0], &body["messages"][1]);
        assert_eq!((&newest["subject"], &oldest["subject"]), (&json!("Subject 2"), &json!("Grüße <i>")));
        assert!(oldest["text"].as_str().unwrap().starts_with("Hi Ada of Acme"), "{oldest}");
        assert!(newest["html"].as_str().unwrap().contains("<p>Hi Ada</p>"), "{newest}");
        assert!(oldest["headers"]["Message-ID"].as_str().unwrap().starts_with("<m-"), "{oldest}");
        let (_, _, none) = ask(&desk, "GET", "/mailbox/messages?to=other@example.com", &[], "").await;
        let none: Value = serde_json::from_str(&none).unwrap();
        assert_eq!((&none["messages"], &none["total"]), (&json!([]), &json!(0)));
        let id = newest["id"].as_i64().unwrap();
        let (_, _, shown) = look(&desk, &format!("/mailbox/{id}")).await;
        assert!(shown.contains("<iframe class=\"letter\" sandbox"), "{shown}");
        assert!(
            !shown.contains("<script")
                && shown.contains("List-Unsubscribe")
                && shown.contains("handed over at")
        );
        let (_, headers, framed) = look(&desk, &format!("/mailbox/{id}/html")).await;
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(framed.contains("<script") && policy.starts_with("sandbox; default-src 'none'"), "{policy}");
        let (_, headers, raw) = look(&desk, &format!("/mailbox/{id}/raw")).await;
        assert!(
            raw.contains("\r\n\r\n") && headers["content-type"].to_str().unwrap().starts_with("text/plain")
        );
        assert_eq!(look(&desk, "/mailbox/999").await.0, 404);
    }
}

#[tokio::test]
async fn a_mailbox_is_its_own_accounts() {
    let mut desk = Desk::new(BOTH[0]).await;
    begun(&desk, &[step(1, Delay::default())]).await;
    desk.until(START + MINUTE).await;
    let store = &desk.core().store;
    let other = accounts::create(store, "other", "o@example.com", "UTC", START).await.unwrap().id;
    desk.run("UPDATE keys SET account_id = 2, user_id = 2 WHERE id = 1").await;
    assert_eq!(other, 2);
    let (status, _, body) = ask(&desk, "GET", "/mailbox/messages", &[("x-api-key", &desk.key)], "").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["messages"]), (200, &json!([])));
    let id = desk.number("SELECT id FROM mailbox").await;
    let (status, _, _) = ask(&desk, "GET", &format!("/mailbox/{id}"), &[("x-api-key", &desk.key)], "").await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn metrics_tell_what_there_is_to_do() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        begun(&desk, &[step(1, Delay::default()), step(2, Delay { hours: 1, ..Delay::default() })]).await;
        desk.until(START + 2 * HOUR).await;
        desk.run("UPDATE messages SET state = 'drafted' WHERE step_number = 2").await;
        desk.run("UPDATE messages SET state = 'uncertain' WHERE step_number = 1").await;
        desk.run("UPDATE campaigns SET state = 'running'").await;
        let render = Arc::new(|| "sendwright_http_requests_total 3".to_owned());
        let routes = metrics_router(desk.state.clone(), render);
        let request = Request::builder().uri("/metrics").body(Body::empty()).unwrap();
        let body = routes.oneshot(request).await.unwrap().into_body();
        let text = String::from_utf8(axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
        for line in [
            "sendwright_http_requests_total 3",
            "sendwright_store_up 1",
            "sendwright_messages_open{state=\"drafted\"} 1",
            "sendwright_messages_open{state=\"uncertain\"} 1",
            "sendwright_messages_open{state=\"held\"} 0",
            "sendwright_messages_due 1",
            "sendwright_oldest_due_seconds 3600",
            "sendwright_workers_alive 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
        let public = Request::builder().uri("/metrics").header("x-api-key", &desk.key);
        assert_eq!(
            desk.send(public.body(Body::empty()).unwrap()).await.0,
            404,
            "never on the public address"
        );
    }
}

#[tokio::test]
async fn a_campaigns_numbers_have_a_page_of_their_own_and_are_their_accounts_own() {
    let mut desk = at_home().await;
    let campaign = begun(&desk, &[step(1, Delay::default())]).await;
    desk.until(START + HOUR).await;
    let (_, _, home) = look(&desk, "/").await;
    let path = format!("/console/campaigns/{campaign}/analytics");
    assert!(home.contains(&path), "{home}");
    let (status, _, page) = look(&desk, &path).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("Spring &lt;b&gt;") && page.contains("2026-01-15: 1 sent, 0 opened"), "{page}");
    assert!(page.contains("<rect") && !page.contains("<script") && !page.contains("style="), "{page}");
    assert_eq!(look(&desk, "/console/campaigns/99/analytics").await.0, 404);
}
