//! Test keys over whole installations: what they send only ever goes to the mailbox (DESIGN, Accounts).

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::process::call;
use crate::support::site::{Shape, Site, leads};

/// How long a message may take on a busy machine.
const SOON: Duration = Duration::from_secs(60);

async fn ask(site: &Site, key: &str, method: &str, path: &str, body: Option<&Value>) -> Value {
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str())];
    let answer = call(site.front.address(), method, path, &headers, body).await;
    let (status, answer) = answer.expect("the API answers");
    assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
    answer
}

/// The profile has an SMTP server of its own, which works: nothing of a test key arrives there, whoever sends.
#[tokio::test]
async fn a_test_keys_messages_go_to_the_mailbox_and_never_leave() {
    for shape in [Shape { hard: false, ..Shape::UP }, Shape { hard: false, ..Shape::PARTS }] {
        let site = Site::start(shape).await;
        let made = site.ask("POST", "/api/v1/keys", Some(&json!({ "name": "try", "test": true }))).await;
        let key = made["key"].as_str().unwrap();
        let campaign = json!({
            "name": "Try",
            "sending_profile": { "smtp_url": site.smtp.url(), "from_email": "ada@example.com" },
            "steps": [{ "step_number": 1, "subject": "Hello", "template": "Hi {{email}}" }],
        });
        let id = ask(&site, key, "POST", "/api/v1/campaigns", Some(&campaign)).await["id"].clone();
        let path = format!("/api/v1/campaigns/{}", id.as_str().unwrap());
        ask(&site, key, "POST", &format!("{path}/leads"), Some(&leads(0..3))).await;
        ask(&site, key, "POST", &format!("{path}/start"), None).await;
        let begun = Instant::now();
        let mailbox = loop {
            let shown = ask(&site, key, "GET", "/api/v1/mailbox", None).await;
            if shown["total"] == 3 {
                break shown;
            }
            assert!(begun.elapsed() < SOON, "only {shown}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let first = format!("/api/v1/mailbox/{}", mailbox["mailbox"][0]["id"]);
        let raw = ask(&site, key, "GET", &first, None).await["raw"].as_str().unwrap().to_owned();
        assert!(raw.contains("Subject: Hello") && raw.contains("@example.com"), "{raw}");
        assert_eq!(site.smtp.received().len(), 0);
        assert_eq!(site.smtp.connections(), 0);
        assert_eq!(site.ask("GET", "/api/v1/mailbox", None).await["total"], 0);
    }
}
