//! The commands that do what the API does, beside a running `up`.

use serde_json::Value;

use crate::program::Place;
use crate::running::{Running, SOON, get, until};
use crate::support::process::call;

const CAMPAIGN: &str = "
name: Spring
steps:
  - {step_number: 1, name: Hello, subject: 'Hello {{nickname}}', template: 'Dear {{nickname}}, hello.'}
  - {step_number: 2, name: Later, delay_days: 3, subject: Later, template: Later.}
";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(json).collect()
}

async fn running(place: &Place) -> Running {
    let mut up = Running::start(place.command(&["up", "--bind", "127.0.0.1:0"]), place.path().join("log"));
    up.ready().await;
    up
}

#[tokio::test]
async fn a_campaign_goes_from_its_file_to_the_mailbox_by_commands_alone() {
    let place = Place::new();
    let up = running(&place).await;
    let file = place.file("spring.yaml", CAMPAIGN);
    let csv = place.file(
        "leads.csv",
        "email,nickname\nann@example.com,Ann\nnonsense,Nobody\nbob@example.com,Bob\nANN@example.com,Twin\ncyd@example.com,\n",
    );
    let id = place.run(&["campaign", "create", file.to_str().unwrap()]).ok();
    assert_eq!(id, "1\n");
    let import = ["leads", "import", csv.to_str().unwrap(), "--campaign", "1"];
    let first = place.run(&import);
    assert_eq!((first.code, first.out.as_str()), (0, ""));
    for part in
        ["line 3: email", "line 5: email: is in the file twice", "3 new leads", "3 enrolled", "2 refused"]
    {
        assert!(first.err.contains(part), "{part}: {}", first.err);
    }
    let again = place.run(&import);
    assert!(again.err.contains("0 new leads, 3 known; 0 enrolled"), "{}", again.err);

    let status = || json(&place.run(&["campaign", "status", "1", "--json"]).ok());
    assert_eq!((&status()["state"], &status()["enrolments"]["active"]), (&"draft".into(), &3.into()));
    place.run(&["campaign", "start", "1"]).ok();
    until("two are out and one is held", SOON, async || {
        let messages = &status()["messages"];
        messages["accepted"] == 2 && messages["held"] == 1
    })
    .await;
    let now = status();
    assert_eq!((&now["sent"], &now["expected"]), (&2.into(), &6.into()));
    assert!(now["next_due"].is_string(), "{now}");

    let held = lines(&place.run(&["messages", "list", "--state", "held", "--json"]).ok());
    assert_eq!((held.len(), &held[0]["to"]), (1, &"cyd@example.com".into()));
    let held = held[0]["id"].to_string();
    let why = place.run(&["explain", &held]).ok();
    assert!(why.contains("held") && why.contains("nickname"), "{why}");
    let lead = place.run(&["explain", "cyd@example.com"]).ok();
    assert!(lead.contains("Spring") && lead.contains(&format!("Message {held}")), "{lead}");
    place.run(&["messages", "cancel", &held]).ok();
    assert_eq!(json(&place.run(&["explain", &held, "--json"]).ok())["state"], "cancelled");
    let refused = place.run(&["messages", "release", &held]).failed(65);
    assert!(refused.contains("cancelled"), "{refused}");

    place.run(&["campaign", "pause", "1"]).ok();
    let listed = lines(&place.run(&["campaign", "list", "--json"]).ok());
    assert_eq!((listed.len(), &listed[0]["state"], &listed[0]["steps"]), (1, &"paused".into(), &2.into()));
    let table = place.run(&["campaign", "status", "1"]).ok();
    assert!(table.contains("Spring (1) is paused") && table.contains("2 of 6 sent"), "{table}");
    up.stop("TERM").await;
}

#[tokio::test]
async fn a_suppressed_address_gets_nothing_and_is_listed_masked() {
    let place = Place::new();
    let up = running(&place).await;
    let file = place.file("spring.yaml", CAMPAIGN);
    let csv = place.file("leads.csv", "email,nickname\nann@example.com,Ann\nbob@example.com,Bob\n");
    place.run(&["campaign", "create", file.to_str().unwrap()]).ok();
    place.run(&["suppress", "add", "Ann@Example.com"]).ok();
    let imported = place.run(&["leads", "import", csv.to_str().unwrap(), "--campaign", "1"]).err;
    assert!(imported.contains("1 of them are suppressed"), "{imported}");
    place.run(&["campaign", "start", "1"]).ok();
    until("one is out", SOON, async || {
        let messages = lines(&place.run(&["messages", "list", "--state", "accepted", "--json"]).ok());
        messages.len() == 1 && messages[0]["to"] == "bob@example.com"
    })
    .await;
    let status = json(&place.run(&["campaign", "status", "1", "--json"]).ok());
    assert_eq!(status["enrolments"]["stopped"], 1, "{status}");
    let listed = place.run(&["suppress", "list", "--json"]).ok();
    assert_eq!((&json(&listed)["why"], &json(&listed)["source"]), (&"manual".into(), &"command".into()));
    assert!(!listed.to_lowercase().contains("ann@"), "{listed}");
    place.run(&["suppress", "add", "+14155551234"]).ok();
    let listed = lines(&place.run(&["suppress", "list", "--json"]).ok());
    let channels: Vec<&str> = listed.iter().map(|row| row["channel"].as_str().unwrap()).collect();
    assert_eq!(channels, ["email", "sms", "whatsapp"]);
    let told = place.run(&["suppress", "add", "+1 415 555 1234"]).failed(65);
    assert!(told.contains("E.164"), "{told}");
    up.stop("TERM").await;
}

#[test]
fn a_profile_is_refused_with_every_fault_and_never_shows_its_password() {
    let place = Place::new();
    let bad =
        ["profile", "create", "--name", "x", "--from-email", "no", "--timezone", "Mars", "--per-minute", "0"];
    let told = place.run(&bad).failed(65);
    for field in ["from_email", "timezone", "rate_limit_per_minute"] {
        assert!(told.contains(field), "{field}: {told}");
    }
    let url = "smtp://me:geheim@mail.example.com:587";
    let good =
        ["profile", "create", "--name", "Fast", "--smtp-url", url, "--per-second", "2.5", "--per-day", "500"];
    assert_eq!(place.run(&good).ok(), "2\n");
    let twice = place.run(&good).failed(65);
    assert!(twice.contains("already exists") && !twice.contains("geheim"), "{twice}");
    let listed = place.run(&["profile", "list"]).ok();
    assert!(listed.contains("2.5/s 500/day") && !listed.contains("geheim"), "{listed}");
    let json = lines(&place.run(&["profile", "list", "--json"]).ok());
    assert_eq!((&json[1]["name"], &json[1]["transport"]), (&"Fast".into(), &"smtp".into()));
    let weak = [
        "profile",
        "create",
        "--name",
        "y",
        "--smtp-url",
        "smtp://me:geheim@mail.example.com?tls=opportunistic",
    ];
    let weak = place.run(&weak).failed(65);
    assert!(weak.contains("--smtp-url") && !weak.contains("geheim"), "{weak}");
}

#[tokio::test]
async fn a_backup_made_beside_a_running_up_opens_with_its_key() {
    let place = Place::new();
    let up = running(&place).await;
    let key = place.run(&["key", "create", "--name", "x"]).ok();
    place.run(&["backup", "copy.db"]).ok();
    assert!(place.run(&["backup", "copy.db"]).failed(1).contains("already"));
    up.stop("TERM").await;
    std::fs::create_dir(place.path().join("restored")).unwrap();
    std::fs::copy(place.path().join("copy.db"), place.path().join("restored/sendwright.db")).unwrap();
    std::fs::copy(place.path().join("data/secret"), place.path().join("restored/secret")).unwrap();
    let command = place.command(&["up", "--bind", "127.0.0.1:0", "--data", "restored"]);
    let mut restored = Running::start(command, place.path().join("log2"));
    let address = restored.ready().await;
    assert_eq!(get(address, "/api/external/status", key.trim()).await.0, 200);
    restored.stop("TERM").await;
    let mut postgres = place.command(&["backup", "x.db"]);
    postgres.env("DATABASE_URL", "postgres://127.0.0.1:1/x");
    let told = crate::program::Ran::of(postgres.output().unwrap()).failed(1);
    assert!(told.contains("pg_dump"), "{told}");
}

#[test]
fn what_is_not_there_is_told_and_changes_nothing() {
    let place = Place::new();
    let csv = place.file("leads.csv", "email\nann@example.com\n");
    for args in [
        &["campaign", "start", "9"][..],
        &["campaign", "status", "9"],
        &["leads", "import", csv.to_str().unwrap(), "--campaign", "9"],
    ] {
        assert!(place.run(args).failed(1).contains("Campaign 9 not found"), "{args:?}");
    }
    assert!(place.run(&["messages", "cancel", "7"]).failed(1).contains("Message 7 not found"));
    assert!(place.run(&["messages", "list", "--state", "lost"]).failed(65).contains("scheduled"));
    assert!(place.run(&["campaign", "start", "spring"]).failed(65).contains("campaign list"));
    let bad = place.file("bad.csv", "email\nnobody\n");
    let file = place.file("spring.yaml", CAMPAIGN);
    place.run(&["campaign", "create", file.to_str().unwrap()]).ok();
    let told = place.run(&["leads", "import", bad.to_str().unwrap(), "--campaign", "1"]).failed(65);
    assert!(told.contains("line 2") && told.contains("no row was taken"), "{told}");
}

/// A campaign of a template for a segment goes out by one command.
#[tokio::test]
async fn a_campaign_is_triggered_by_a_command() {
    let place = Place::new();
    let mut up = Running::start(place.command(&["up", "--bind", "127.0.0.1:0"]), place.path().join("log"));
    let address = up.ready().await;
    let key = place.run(&["key", "create", "--name", "k"]).ok();
    let post = async |path: &str, body: Value| {
        let headers = [("x-api-key", key.trim())];
        let (status, answer) = call(address, "POST", path, &headers, Some(&body)).await.unwrap();
        assert_eq!(status, 201, "{answer}");
    };
    let lead = serde_json::json!({ "email": "ann@example.com", "first_name": "Ann", "tier": "premium" });
    post("/api/v1/leads", lead).await;
    let template = serde_json::json!({ "name": "t", "content": "Hi {name}", "channel": "email", "subject": "For {name}" });
    post("/api/v1/templates", template).await;
    let premium = serde_json::json!({ "attribute": "tier", "operator": "equals", "value": "premium" });
    post("/api/v1/segments", serde_json::json!({ "name": "s", "filter_criteria": premium })).await;
    let file = place.file("c.yaml", "name: Broadcast\ntemplate_id: 1\nsegment_id: 1\n");
    assert_eq!(place.run(&["campaign", "create", file.to_str().unwrap()]).ok(), "1\n");
    let leads = place.file("x.csv", "email\nann@example.com\n");
    let (campaign, leads) = (file.to_str().unwrap(), leads.to_str().unwrap());
    let refused = place.run(&["simulate", "--campaign", campaign, "--leads", leads]).failed(65);
    assert!(refused.contains("template_id"), "{refused}");
    let told = json(&place.run(&["campaign", "trigger", "1", "--json"]).ok());
    assert_eq!((&told["estimated_recipients"], &told["status"]), (&1.into(), &"RUNNING".into()));
    until("it is out", SOON, async || {
        let messages = lines(&place.run(&["messages", "list", "--state", "accepted", "--json"]).ok());
        messages.len() == 1 && messages[0]["to"] == "ann@example.com"
    })
    .await;
    let run = json(&place.run(&["runs", "status", "1", "--json"]).ok());
    assert_eq!((&run["kind"], &run["counts"]["enrolled"]), (&"expand".into(), &1.into()), "{run}");
    place.run(&["campaign", "trigger", "9"]).failed(1);
    up.stop("TERM").await;
}
