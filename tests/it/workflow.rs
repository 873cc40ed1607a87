//! The document's complete workflow (S2-44), word for word but for the host and the ids that its reader fills in: without
//! a key under `up`, and with one elsewhere. It is in tests/samples as the document prints it.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::running::{SOON, until};
use crate::support::process::{Process, call, run};

const WORKFLOW: &str = include_str!("../samples/workflow.sh");
const HOST: &str = "http://localhost:5000";

/// The five commands, each without the line that names it.
fn steps() -> Vec<&'static str> {
    let steps: Vec<&str> = WORKFLOW.split("\n\n").map(|step| step.split_once('\n').unwrap().1).collect();
    assert_eq!(steps.len(), 5);
    assert!(steps.iter().all(|step| step.starts_with("curl ") && step.contains(HOST)));
    steps
}

/// Runs one of them against another host, with the words that its reader puts in for others.
fn curl(step: &str, to: SocketAddr, filled: &[(&str, &str)]) -> Value {
    let mut text = step.replace(HOST, &format!("http://{to}"));
    for (word, own) in filled {
        assert!(text.contains(word), "{word} is not in {text}");
        text = text.replace(word, own);
    }
    let said = Command::new("bash").args(["-c", &text]).stdin(Stdio::null()).output().unwrap();
    assert!(said.status.success(), "{text}: {said:?}");
    let body = String::from_utf8(said.stdout).unwrap();
    serde_json::from_str(&body).unwrap_or_else(|_| panic!("{text}: {body}"))
}

/// Follows the document from its first command to its last; its report counts the messages
/// that went out.
async fn follow(to: SocketAddr, key: Option<&str>, recipients: i64, sent: i64) {
    let header = key.map(|key| format!("curl -H 'Authorization: Bearer {key}' "));
    let curl = |step: &str, filled: &[(&str, &str)]| match &header {
        Some(header) => curl(&step.replace("curl ", header), to, filled),
        None => curl(step, to, filled),
    };
    let [template, segment, campaign, trigger, report] = steps()[..] else { panic!("five steps") };
    let template = curl(template, &[]);
    assert_eq!((&template["name"], &template["variables"]), (&json!("Welcome Message"), &json!(["name"])));
    let segment = curl(segment, &[]);
    assert_eq!(segment["name"], "New Users");
    let id = |made: &Value| made["id"].as_str().unwrap_or_else(|| panic!("no id: {made}")).to_owned();
    let ids = [("template-uuid", id(&template)), ("segment-uuid", id(&segment))];
    let campaign = curl(campaign, &ids.each_ref().map(|(word, own)| (*word, own.as_str())));
    let campaign = id(&campaign);
    let filled = [("campaign-uuid", campaign.as_str())];
    let triggered = curl(trigger, &filled);
    let document = json!({
        "message": "Campaign triggered successfully", "campaign_id": campaign,
        "estimated_recipients": recipients, "execution_started": true,
    });
    document
        .as_object()
        .unwrap()
        .iter()
        .for_each(|(name, value)| assert_eq!(&triggered[name], value, "{name}"));
    until("the report counts what went out", SOON, async || {
        let report = curl(report, &filled);
        assert_eq!(
            (&report["campaign_id"], &report["campaign_name"]),
            (&json!(campaign), &json!("Welcome Campaign"))
        );
        report["performance_metrics"]["messages_sent"] == sent
    })
    .await;
}

fn user(phone: &str, signed_up: &str) -> Value {
    json!({
        "phone_e164": phone, "consent_state": "OPT_IN", "attributes": { "name": "Ada", "signup_date": signed_up },
    })
}

#[tokio::test]
async fn the_documents_workflow_runs_unchanged_without_a_key_under_up() {
    let data = tempfile::tempdir().unwrap();
    let environment = vec![("SENDWRIGHT_DATA", data.path().display().to_string())];
    let up = Process::start(&["up", "--bind", "127.0.0.1:0"], &environment);
    for (phone, signed_up) in [("+14155551234", "2024-06-01"), ("+14155551235", "2023-06-01")] {
        let made = call(up.address(), "POST", "/api/v1/users", &[], Some(&user(phone, signed_up))).await;
        assert_eq!(made.unwrap().0, 201);
    }
    follow(up.address(), None, 1, 1).await;
    let mut told = Vec::new();
    until("the text is in the mailbox", SOON, async || {
        let (_, mailbox) = call(up.address(), "GET", "/mailbox/messages", &[], None).await.unwrap();
        told = mailbox["messages"].as_array().unwrap().iter().map(|text| text["text"].to_string()).collect();
        !told.is_empty()
    })
    .await;
    assert!(told.len() == 1 && told[0].contains("Hi Ada! Welcome to our service."), "{told:?}");
}

#[tokio::test]
async fn elsewhere_the_same_workflow_runs_with_a_key_and_with_none_at_all_does_nothing() {
    let data = tempfile::tempdir().unwrap();
    let environment = vec![("SENDWRIGHT_DATA", data.path().display().to_string())];
    let key = run(&["key", "create", "--name", "workflow"], &environment);
    let api = Process::start(&["api", "--bind", "127.0.0.1:0"], &environment);
    for step in steps() {
        let refused = curl(step, api.address(), &[]);
        assert_eq!(
            (&refused["error"], &refused["message"]),
            (&json!("invalid_api_key"), &json!("Invalid API key"))
        );
    }
    let headers = [("x-api-key", key.trim_end())];
    let listed = call(api.address(), "GET", "/api/v1/templates", &headers, None).await.unwrap().1;
    assert_eq!(listed["total"], 0);
    follow(api.address(), Some(key.trim_end()), 0, 0).await;
}
