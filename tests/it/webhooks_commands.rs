//! `webhooks …` on the command line: list, listen, trigger, test, replay.

use crate::program::{Place, Ran};
use crate::support::process::{Environment, Process, call, run};
use crate::support::receiver::Receiver;
use sendwright_workflows::webhook::SigningSecret;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

/// `webhooks listen`, ended with the value.
struct Listener {
    child: Child,
    url: String,
}

impl Listener {
    fn start(place: &Place, args: &[&str]) -> Listener {
        let mut command = place.command(&[&["webhooks", "listen", "--bind", "127.0.0.1:0"], args].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let url = first.strip_prefix("listening for webhooks at ").unwrap_or_else(|| panic!("{first}"));
        let url = url.to_owned();
        std::thread::spawn(move || lines.for_each(drop));
        Listener { child, url }
    }

    /// What it printed of so many arrivals.
    fn lines(&mut self, count: usize) -> Vec<Value> {
        let out = BufReader::new(self.child.stdout.as_mut().unwrap());
        out.lines().take(count).map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// S0's payloads, sent to one's own machine without an installation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sample_goes_to_a_listener_that_verifies_prints_and_forwards_it() {
    let place = Place::new();
    let behind = Receiver::start([]).await;
    let secret = SigningSecret::new([9; 32]).reveal();
    let mut listener = Listener::start(&place, &["--secret", &secret, "--forward", &behind.url("/own")]);
    let send = |event: &str, secret: &str| {
        place.run(&["webhooks", "trigger", event, "--to", &listener.url, "--secret", secret])
    };
    let sent = send("email_sent", &secret);
    assert_eq!(sent.code, 0, "{sent:?}");
    let forged = send("reply_received", &SigningSecret::new([8; 32]).reveal()).failed(1);
    assert!(forged.contains("400"), "{forged}");
    send("email.lost", &secret).failed(65);
    let lines = listener.lines(2);
    assert_eq!((&lines[0]["verified"], &lines[0]["forwarded"]), (&json!(true), &json!(200)));
    assert_eq!(
        (&lines[0]["body"]["event"], &lines[0]["body"]["type"]),
        (&json!("email_sent"), &json!("email.sent"))
    );
    for field in ["business_name", "subject", "sent_at"] {
        assert!(lines[0]["body"]["data"][field].is_string(), "{field}");
    }
    assert_eq!((&lines[1]["verified"], &lines[1]["answered"]), (&json!(false), &json!(400)));
    let forwarded = behind.arrived();
    assert_eq!((forwarded.len(), forwarded[0].path.as_str()), (1, "/own"));
    assert!(forwarded[0].is_by(&secret));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_triggered_tested_listed_and_replayed_beside_a_running_program() {
    let data = tempfile::tempdir().unwrap();
    let environment: Environment = vec![
        ("SENDWRIGHT_DATA", data.path().display().to_string()),
        ("SENDWRIGHT_WEBHOOKS_ALLOW_PRIVATE", "1".to_owned()),
    ];
    let key = run(&["key", "create", "--name", "k", "--tier", "unlimited"], &environment);
    let up = Process::start(&["up", "--bind", "127.0.0.1:0"], &environment);
    assert!(up.log().contains("SENDWRIGHT_WEBHOOKS_ALLOW_PRIVATE=1"), "it is said loudly at the start");
    let receiver = Receiver::start([]).await;
    let body = json!({ "url": receiver.url("/"), "events": ["custom.*"] });
    let headers = [("x-api-key", key.trim_end())];
    let made = call(up.address(), "POST", "/api/v1/webhooks", &headers, Some(&body)).await.unwrap();
    assert_eq!(made.0, 201, "{made:?}");
    let own = |args: &[&str]| {
        let mut command = Place::new().command(args);
        command.current_dir(data.path()).envs(environment.iter().map(|(k, v)| (k, v)));
        Ran::of(command.output().unwrap())
    };
    let event = own(&["webhooks", "trigger", "custom.order_paid", "--payload", r#"{"amount":7}"#]).ok();
    let arrived = receiver.wait_for(1).await.remove(0);
    assert_eq!(
        (arrived.header("webhook-id"), &arrived.json()["data"]),
        (event.trim_end(), &json!({"amount": 7}))
    );
    let tested = own(&["webhooks", "test", "1"]);
    assert!(tested.code == 0 && tested.err.contains("it answered 200"), "{tested:?}");
    let replayed = own(&["webhooks", "replay", "1", "--event", event.trim_end(), "--all"]);
    // The test's event is among those since the first one once it has its number.
    let again: usize = replayed.err.split(' ').next().unwrap().parse().unwrap();
    assert!(replayed.code == 0 && (1..=2).contains(&again), "{replayed:?}");
    receiver.wait_for(2 + again).await;
    let listed: Value = serde_json::from_str(&own(&["webhooks", "list", "--json"]).ok()).unwrap();
    assert_eq!((&listed["state"], &listed["dead"]), (&json!("enabled"), &json!(0)));
    assert!(own(&["webhooks", "list"]).ok().contains("custom.*"));
    own(&["webhooks", "replay", "1"]).failed(2);
    own(&["webhooks", "replay", "77", "--event", event.trim_end()]).failed(1);
    own(&["webhooks", "trigger", "email.sent"]).failed(65);
}
