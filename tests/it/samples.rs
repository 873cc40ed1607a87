//! The external document's own programs (S1, "Integration Examples"), word for word but for host and key, against a
//! served `up` (S1-64 … S1-67). They are in tests/samples as the document prints them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::process::{Process, call, run};

/// The two constants a reader replaces.
const HOST: &str = "https://your-domain.com";
const KEY: &str = "your_api_key_here";

const PYTHON: &str = include_str!("../samples/sample.py");
const JAVASCRIPT: &str = include_str!("../samples/sample.js");
const CURL: &str = include_str!("../samples/sample.sh");
const PHP: &str = include_str!("../samples/sample.php");

/// `up` with a mailbox, and a key.
struct Reader {
    up: Process,
    key: String,
    data: TempDir,
}

impl Reader {
    fn start() -> Reader {
        let data = tempfile::tempdir().unwrap();
        let environment = vec![("SENDWRIGHT_DATA", data.path().display().to_string())];
        // Samples follow one another faster than people type: a key without limits.
        let key =
            run(&["key", "create", "--name", "My Website Integration", "--tier", "unlimited"], &environment);
        let up = Process::start(&["up", "--bind", "127.0.0.1:0"], &environment);
        Reader { up, key: key.trim_end().to_owned(), data }
    }

    /// The sample as its reader has it: with a host and a key of their own.
    fn filled(&self, sample: &str) -> String {
        assert!(sample.contains(HOST) && sample.contains(KEY));
        sample.replace(HOST, &format!("http://{}", self.up.address())).replace(KEY, &self.key)
    }

    fn file(&self, name: &str, sample: &str) -> PathBuf {
        let path = self.data.path().join(name);
        std::fs::write(&path, self.filled(sample)).unwrap();
        path
    }

    async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let (status, answer) =
            call(self.up.address(), method, path, &[("x-api-key", &self.key)], body).await.unwrap();
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// The samples enrol into campaign 1, which their reader has.
    async fn with_a_campaign(self) -> Reader {
        let body = json!({
            "name": "The first", "steps": [{ "step_number": 1, "name": "Hello", "ai_prompt": "Say hello." }],
        });
        let made = self.ask("POST", "/api/external/campaigns", Some(&body)).await;
        assert_eq!(made["id"], 1);
        self
    }
}

fn output(mut command: Command) -> (bool, String) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let words = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&words).into_owned())
}

/// The first program that says yes to a question.
fn able(programs: &[&str], question: &[&str], what: &str) -> String {
    let says_yes = |program: &&&str| {
        let mut command = Command::new(program);
        command.args(question).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let found = programs.iter().find(says_yes);
    (*found.unwrap_or_else(|| panic!("no {what} here: `make test` installs what the tests need"))).to_owned()
}

/// S1-64.
#[tokio::test]
async fn the_python_sample_runs_unchanged() {
    let python = able(&["python3", "/usr/bin/python3"], &["-c", "import requests"], "python3 with requests");
    let reader = Reader::start().with_a_campaign().await;
    let mut command = Command::new(python);
    command.arg(reader.file("sample.py", PYTHON));
    let (done, said) = output(command);
    assert!(done, "{said}");
    let lines: Vec<&str> = said.lines().collect();
    for (line, beginning, parts) in [
        (
            lines[0],
            "Lead created successfully: {",
            ["'id': 1", "'email': 'prospect@company.com'", "'status': 'active'"],
        ),
        (
            lines[1],
            "Campaign created successfully: {",
            ["'id': 2", "'name': 'Product Demo Follow-up'", "'status': 'active'"],
        ),
    ] {
        assert!(line.starts_with(beginning) && parts.iter().all(|part| line.contains(part)), "{said}");
    }
    assert_eq!(lines[2..], ["Found 2 active campaigns"], "{said}");
}

/// S1-65.
#[tokio::test]
async fn the_javascript_sample_runs_unchanged() {
    let modules = axios();
    let reader = Reader::start().with_a_campaign().await;
    let mut command = Command::new("node");
    command.arg(reader.file("sample.js", JAVASCRIPT)).env("NODE_PATH", modules).env("NO_COLOR", "1");
    let (done, said) = output(command);
    assert!(done && said.starts_with("Bulk creation result: {"), "{said}");
    for part in ["created: 2", "errors: []", "email: 'lead1@company.com'", "email: 'lead2@company.com'"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let campaign = reader.ask("GET", "/api/v1/campaigns/1", None).await;
    let enrolled: i64 = campaign["enrolments"].as_object().unwrap().values().filter_map(Value::as_i64).sum();
    assert_eq!(enrolled, 2, "{campaign}");
}

/// Where node finds axios: the system's, or one that npm has put below target.
fn axios() -> PathBuf {
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join("axios");
    let modules = own.join("node_modules");
    let is_there = || {
        let mut command = Command::new("node");
        command
            .args(["-e", "require('axios')"])
            .env("NODE_PATH", &modules)
            .current_dir(env!("CARGO_TARGET_TMPDIR"));
        command.stdin(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    if !is_there() {
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--no-save", "--prefix"]).arg(&own).arg("axios@1");
        let said = npm.stdin(Stdio::null()).output();
        assert!(is_there(), "no node with axios here: `make test` installs what the tests need ({said:?})");
    }
    modules
}

/// S1-67.
#[tokio::test]
async fn the_php_sample_runs_unchanged() {
    let question = ["-r", "exit(function_exists('curl_init') ? 0 : 1);"];
    let php = able(&["php"], &question, "php with its curl extension");
    let reader = Reader::start().with_a_campaign().await;
    let mut command = Command::new(php);
    command.arg(reader.file("sample.php", PHP));
    let (done, said) = output(command);
    let answer = said.strip_prefix("Lead created successfully: ").unwrap_or_else(|| panic!("{said}"));
    let answer: Value = serde_json::from_str(answer.trim()).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert!(done);
    assert_eq!((&answer["id"], &answer["email"]), (&json!(1), &json!("prospect@company.com")));
    assert_eq!((&answer["company"], &answer["status"]), (&json!("Prospect Corp"), &json!("active")));
}

/// The section's calls by their comments, each as it stands.
struct Calls {
    reader: Reader,
    calls: Vec<(String, String)>,
}

impl Calls {
    fn read(reader: Reader) -> Calls {
        // curl's own file of options: the answer's status after its body, and no progress bar.
        std::fs::write(reader.data.path().join(".curlrc"), "silent\nwrite-out = \"\\n%{http_code}\"\n")
            .unwrap();
        // The one slip of the document: an apostrophe within the shell's single quotes, which no shell reads.
        assert_eq!(CURL.matches("you'll").count(), 1);
        let sample = reader.filled(CURL).replace("you'll", r"you'\''ll");
        let calls = sample.split("\n\n").map(|call| {
            let comment = call.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap();
            (comment.to_owned(), call.to_owned())
        });
        Calls { calls: calls.collect(), reader }
    }

    fn run(&self, comment: &str) -> (u16, Value) {
        let (_, call) = self.calls.iter().find(|(known, _)| known == comment).expect(comment);
        let mut command = Command::new("bash");
        command.args(["-c", call]).env("CURL_HOME", self.reader.data.path());
        let (done, said) = output(command);
        assert!(done, "{comment}: {said}");
        let (body, status) = said.rsplit_once('\n').expect(comment);
        (status.parse().expect(comment), serde_json::from_str(body).expect(comment))
    }

    #[track_caller]
    fn ok(&self, comment: &str) -> Value {
        let (status, body) = self.run(comment);
        assert_eq!(status, 200, "{comment}: {body}");
        body
    }
}

fn has(body: &Value, expected: Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&body[name], value, "{name} of {body}");
    }
}

/// S1-66: every call, in an order in which each finds what it names.
#[tokio::test]
async fn the_curl_samples_run_unchanged() {
    able(&["curl"], &["--version"], "curl");
    let calls = Calls::read(Reader::start());
    assert_eq!(calls.calls.len(), 9);
    let status = calls.ok("Check API status");
    has(
        &status,
        json!({ "status": "active", "message": "External API is operational",
        "authenticated_user": "owner@localhost" }),
    );
    let (code, early) = calls.run("Create a single lead");
    assert_eq!((code, &early["detail"]), (404, &json!("Campaign 1 not found or inactive")));
    let described = json!({ "id": 1, "name": "Product Demo Sequence", "description": "2-step follow-up sequence",
        "status": "active" });
    has(&calls.ok("Create a new campaign"), described.clone());
    has(
        &calls.ok("Create a single lead"),
        json!({ "email": "prospect@company.com", "first_name": "John",
        "last_name": "Doe", "company": "Prospect Corp", "status": "active" }),
    );
    let (code, again) = calls.run("Create a single lead");
    assert_eq!(
        (code, &again["detail"]),
        (400, &json!("Lead with email prospect@company.com already exists"))
    );
    let all = calls.ok("Get all campaigns with full details");
    assert_eq!(all.as_array().unwrap().len(), 1);
    has(&all[0], described);
    let single = calls.ok("Get single campaign");
    assert_eq!(single, all[0]);
    has(
        &single["steps"][1],
        json!({ "step_number": 2, "name": "Second Touch", "delay_days": 3, "is_active": true,
        "subject": "Quick question about {{company_name}}", "include_previous_emails": false }),
    );
    let changed =
        |status: &str, message: &str| json!({ "message": message, "campaign_id": 1, "status": status });
    assert_eq!(calls.ok("Pause campaign"), changed("paused", "Campaign paused successfully"));
    let updated = calls.ok("Update campaign");
    has(
        &updated,
        json!({ "id": 1, "name": "Updated Demo Sequence", "status": "paused",
        "description": "Updated 2-step follow-up sequence", "created_at": single["created_at"] }),
    );
    let single = calls.ok("Get single campaign");
    assert_eq!(single["steps"].as_array().unwrap().len(), 1);
    has(
        &single["steps"][0],
        json!({ "name": "Updated Initial Follow-up",
        "template": "Hi {{first_name}}, updated message..." }),
    );
    let (code, refused) = calls.run("Delete campaign (soft delete)");
    assert_eq!(code, 400, "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("active leads"), "{refused}");
    assert_eq!(calls.ok("Resume campaign"), changed("active", "Campaign unpaused successfully"));
    until_nobody_is_active(&calls.reader).await;
    assert_eq!(
        calls.ok("Delete campaign (soft delete)"),
        changed("inactive", "Campaign deleted successfully")
    );
    assert_eq!(calls.ok("Get single campaign")["status"], "inactive");
}

/// The one step that is left needs no waiting: its message goes to the mailbox, and the lead is through.
async fn until_nobody_is_active(reader: &Reader) {
    let begun = Instant::now();
    while reader.ask("GET", "/api/v1/campaigns/1", None).await["enrolments"]["active"].is_number() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", reader.up.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
