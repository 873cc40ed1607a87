//! Ready-made Standard Webhooks verifiers of other languages accept what is sent, and refuse what was changed.

use crate::support::engine::On;
use crate::support::hooks::Hooks;
use crate::support::receiver::{Arrived, Receiver};
use sendwright_workflows::webhook;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const PYTHON: &str = "
import json, sys
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
said = json.load(sys.stdin)
try:
    Webhook(said['secret']).verify(said['body'], said['headers'])
    print('verified')
except WebhookVerificationError as error:
    print('refused')
";

const NODE: &str = "
const { Webhook } = require('standardwebhooks');
const said = JSON.parse(require('fs').readFileSync(0, 'utf8'));
try {
    new Webhook(said.secret).verify(said.body, said.headers);
    console.log('verified');
} catch (error) {
    console.log('refused');
}
";

/// A real delivery of a real worker, and its endpoint's secret.
async fn delivered() -> (Arrived, String) {
    let hooks = Hooks::start(On::Sqlite).await;
    let receiver = Receiver::start([]).await;
    let (_, secret) = hooks.register(&receiver.url("/"), json!({})).await;
    hooks.tell("custom.order", json!({"name": "Zoë \u{1f4e7} \"quoted\""})).await;
    (receiver.wait_for(1).await.remove(0), secret)
}

/// What the library says of a delivery, once as it came and once changed.
fn judged(command: impl Fn() -> Command, arrived: &Arrived, secret: &str) -> [String; 2] {
    let body = String::from_utf8(arrived.body.to_vec()).unwrap();
    [body.clone(), body.replace("custom.order", "custom.ordeR")].map(|body| {
        let headers = [webhook::ID, webhook::TIMESTAMP, webhook::SIGNATURE];
        let headers: serde_json::Map<String, Value> =
            headers.into_iter().map(|name| (name.to_owned(), arrived.header(name).into())).collect();
        let said = json!({ "secret": secret, "headers": headers, "body": body }).to_string();
        let mut child =
            command().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(said.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
    })
}

fn installs(command: &mut Command, what: &str) -> bool {
    let done =
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !done {
        println!("skipped: {what} could not be installed here (no such program, or no network)");
    }
    done
}

#[tokio::test]
async fn the_python_library_accepts_a_delivery() {
    let place = tempfile::tempdir().unwrap();
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
    if !installs(pip.arg(place.path()).arg("standardwebhooks"), "the Python package standardwebhooks") {
        return;
    }
    let (arrived, secret) = delivered().await;
    let python = |place: &Path| {
        let mut command = Command::new("python3");
        command.args(["-c", PYTHON]).env("PYTHONPATH", place);
        command
    };
    assert_eq!(judged(|| python(place.path()), &arrived, &secret), ["verified", "refused"]);
}

#[tokio::test]
async fn the_javascript_library_accepts_a_delivery() {
    let place = tempfile::tempdir().unwrap();
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "--no-audit", "--no-fund", "standardwebhooks", "--prefix"]);
    if !installs(npm.arg(place.path()), "the JavaScript package standardwebhooks") {
        return;
    }
    let (arrived, secret) = delivered().await;
    let node = |place: &Path| {
        let mut command = Command::new("node");
        command.args(["-e", NODE]).current_dir(place);
        command
    };
    assert_eq!(judged(|| node(place.path()), &arrived, &secret), ["verified", "refused"]);
}
