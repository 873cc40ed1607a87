//! People by phone in a whole installation, and what their provider posts to it.

use std::ops::Range;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::phones::sign;
use super::process::{call, exchange, run};
use super::site::{Site, extend};

const BOUNDARY: &str = "----a-boundary";

/// The number of person `n`, of ten million.
pub fn number(n: usize) -> String {
    format!("+1415{n:07}")
}

/// Which person's number it is.
pub fn person(number: &str) -> usize {
    number.strip_prefix("+1415").and_then(|n| n.parse().ok()).expect("a number of ours")
}

impl Site {
    /// Makes another account; a key of it.
    pub fn account(&self, name: &str) -> String {
        run(&["account", "create", name], &self.environment);
        let words = ["key", "create", "--name", name, "--tier", "unlimited", "--account", name];
        run(&words, &self.environment).trim_end().to_owned()
    }

    /// One request with somebody's key that must be answered with success.
    pub async fn ask_as(&self, key: &str, method: &str, path: &str, body: Value) -> Value {
        let body = Some(body).filter(|body| !body.is_null());
        let headers = [("x-api-key", key)];
        let answer = call(self.front.address(), method, path, &headers, body.as_ref()).await;
        let (status, answer) = answer.expect("the API answers");
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// Uploads these people, who have opted in.
    pub async fn users(&self, key: &str, people: Range<usize>) {
        let line = |n| json!({ "phone_e164": number(n), "consent_state": "OPT_IN", "kind": "reader" });
        let count = people.len();
        let mut file = String::new();
        people.map(line).for_each(|line| file.push_str(&format!("{line}\n")));
        let form = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"users.json\"\r\n\r\n{file}\
             \r\n--{BOUNDARY}--\r\n"
        );
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        let headers = [("x-api-key", key), ("content-type", &kind)];
        let path = "/api/v1/users/bulk/upload";
        let answer = exchange(self.front.address(), "POST", path, &headers, form.as_bytes()).await;
        let (status, answer) = answer.expect("the API answers");
        let counts: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!((status, &counts["created"]), (200, &json!(count)), "{answer}");
    }

    /// Triggers a campaign of texts to everybody of a key's account, a second between its steps; each text begins with the
    /// name and the step's number. Its id as paths take it.
    pub async fn texts(&self, key: &str, name: &str, steps: usize) -> String {
        self.texts_with(key, name, steps, json!({})).await
    }

    /// The same with more settings for the campaign.
    pub async fn texts_with(&self, key: &str, name: &str, steps: usize, settings: Value) -> String {
        let readers = json!({ "attribute": "kind", "operator": "equals", "value": "reader" });
        let segment = json!({ "name": format!("{name} readers"), "filter_criteria": readers });
        let segment = self.ask_as(key, "POST", "/api/v1/segments", segment).await;
        let step = |n| {
            json!({ "step_number": n, "name": format!("Step {n}"), "channel": "sms",
                    "template": format!("{name} {n} for you"), "delay_seconds": usize::from(n > 1) })
        };
        let steps: Vec<Value> = (1..=steps).map(step).collect();
        let mut body = json!({ "name": name, "segment_id": segment["id"], "steps": steps });
        extend(&mut body, settings);
        let campaign = self.ask_as(key, "POST", "/api/v1/campaigns", body).await;
        let id = campaign["id"].as_str().expect("an id").to_owned();
        self.ask_as(key, "POST", &format!("/api/v1/campaigns/{id}/trigger"), Value::Null).await;
        id
    }

    /// Posts a form as the provider does, again while it is told to come again, as the provider does.
    pub async fn provider_posts(&self, path: &str, fields: &[(&str, &str)]) {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let signature = sign(path, fields);
        let headers =
            [("content-type", "application/x-www-form-urlencoded"), ("x-twilio-signature", &signature)];
        loop {
            let answer = exchange(self.front.address(), "POST", path, &headers, body.as_bytes()).await;
            match answer {
                Ok((200, _)) => return,
                Ok((503, _)) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                Ok((status, answer)) => panic!("{path}: {status} {answer}"),
            }
        }
    }

    /// Waits until every callback is done with but so many, which are about nobody's message.
    pub async fn callbacks_heard(&self, but: usize) {
        let begun = Instant::now();
        let waiting = "SELECT COUNT(*) FROM callbacks";
        while self.rows::<(i64,)>(waiting).await[0].0 > but as i64 {
            assert!(begun.elapsed() < Duration::from_secs(300), "callbacks wait for ever");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Has every uncertain message looked for at once, however long its next look is off, until none is left to be looked
    /// for and nothing is on its way.
    pub async fn resolve_uncertain(&self) {
        let begun = Instant::now();
        // In one look: what was not made is on its way again, and may then be uncertain again.
        let left = "SELECT (SELECT COUNT(*) FROM enrolments WHERE state = 'active')
             + (SELECT COUNT(*) FROM messages WHERE look_at IS NOT NULL
                   OR state IN ('scheduled', 'writing', 'drafted', 'claimed', 'sending'))";
        while self.rows::<(i64,)>(left).await[0].0 > 0 {
            if begun.elapsed() > Duration::from_secs(240) {
                let rows: Vec<(i64, String, i64, String)> = self
                    .rows("SELECT id, state, looks, reasons FROM messages WHERE look_at IS NOT NULL")
                    .await;
                panic!("they stay uncertain: {rows:?}");
            }
            self.execute("UPDATE messages SET look_at = 1 WHERE look_at IS NOT NULL AND state = 'uncertain'")
                .await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
