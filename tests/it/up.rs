//! `up` and its demo, as somebody has them who has just downloaded the program.

use std::collections::HashSet;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use sqlx::{Connection, SqliteConnection};

use crate::program::{Place, Ran};
use crate::running::{Running, SOON, get, until};
use crate::support::smtp_server::{Act, At, Rule, Script, SmtpServer};

async fn count(place: &Path, sql: &'static str) -> i64 {
    let url = format!("sqlite://{}", place.join("data/sendwright.db").display());
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut database).await.unwrap()
}

fn up(place: &Place, args: &[&str], log: &str) -> Running {
    let all: Vec<&str> = ["up", "--bind", "127.0.0.1:0"].iter().chain(args).copied().collect();
    Running::start(place.command(&all), place.path().join(log))
}

#[tokio::test]
async fn the_demo_sends_every_sample_message_once_and_finds_its_data_at_the_second_start() {
    let place = Place::new();
    let mut command = place.command(&["up", "--demo", "--bind", "127.0.0.1:0"]);
    // None of these is heard: a demo mails nobody and needs nothing.
    command.envs([
        ("SMTP_URL", "smtp://127.0.0.1:1"),
        ("DATABASE_URL", "postgres://127.0.0.1:1/x"),
        ("REDIS_URL", "redis://127.0.0.1:1"),
        ("OPENAI_API_KEY", "x"),
        ("TWILIO_AUTH_TOKEN", "x"),
    ]);
    let mut first = Running::start(command, place.path().join("first"));
    let address = first.ready().await;
    let file = place.path().join("data/demo.key");
    let key = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let (status, body) = get(address, "/api/external/status", &key).await;
    assert_eq!(status, 200, "{body}");
    first.says("messages sent, each once", Duration::from_secs(60)).await;
    let told = first.log();
    assert!(told.contains(&key) && told.contains("curl") && told.contains("of 36"), "{told}");
    let (status, mailbox) = get(address, "/mailbox/messages?limit=100", "").await;
    let mailbox: Value = serde_json::from_str(&mailbox).unwrap();
    let mails = mailbox["messages"].as_array().unwrap();
    let once: HashSet<_> = mails.iter().map(|mail| (&mail["to"], &mail["subject"])).collect();
    assert_eq!((status, mails.len(), once.len()), (200, 36, 36), "{mailbox}");
    assert!(
        mails.iter().all(|mail| mail["text"].as_str().unwrap().contains(&format!("http://{address}/u/")))
    );
    let states = "SELECT COUNT(*) FROM messages WHERE state = 'accepted'";
    assert_eq!(count(place.path(), states).await, 36);
    first.stop("INT").await;

    let mut second = up(&place, &["--demo"], "second");
    second.says("36 of 36 messages were sent", SOON).await;
    let address = second.ready().await;
    assert!(second.log().contains(&key));
    assert_eq!(get(address, "/api/external/status", &key).await.0, 200);
    assert_eq!(count(place.path(), "SELECT COUNT(*) FROM campaigns").await, 1);
    second.stop("TERM").await;

    let mut real = place.command(&["up", "--bind", "127.0.0.1:0"]);
    real.envs([("SMTP_URL", "smtp://127.0.0.1:1"), ("SMTP_FROM", "a@example.com")]);
    let refused = Ran::of(real.output().unwrap()).failed(78);
    assert!(refused.contains("holds a demo") && refused.contains("--data"), "{refused}");
}

#[tokio::test]
async fn a_taken_port_and_a_held_directory_are_each_told_in_one_line() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let told = place.run(&["up", "--demo", "--bind", &address]).failed(1);
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains(&address) && told.contains("--bind"), "{told}");
    assert!(!place.path().join("data").exists(), "a refused start leaves nothing behind");

    let mut first = up(&place, &[], "log");
    let address = first.ready().await;
    let (status, page) = get(address, "/", "").await;
    assert_eq!(status, 200, "the first start makes the account that the page shows: {page}");
    for other in [&["up", "--bind", "127.0.0.1:0"][..], &["worker"], &["scheduler"], &["migrate"]] {
        let told = place.run(other).failed(1);
        assert!(told.contains("already runs the") && told.contains("--data"), "{other:?}: {told}");
    }
    first.stop("TERM").await;
}

#[tokio::test]
async fn metrics_are_on_the_main_address_on_loopback_and_apart_where_they_are_bound() {
    let place = Place::new();
    let mut open = up(&place, &[], "open");
    let address = open.ready().await;
    until("a request is counted", SOON, async || {
        get(address, "/metrics", "").await.1.contains("sendwright_http_requests_total")
    })
    .await;
    assert_eq!(get(address, "/nothing", "").await.0, 404);
    open.stop("TERM").await;

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = place.command(&["up", "--bind", "127.0.0.1:0"]);
    command.env("SENDWRIGHT_METRICS_BIND", free.to_string());
    let mut apart = Running::start(command, place.path().join("apart"));
    let address = apart.ready().await;
    assert_eq!(get(address, "/metrics", "").await.0, 404);
    assert_eq!(get(free, "/metrics", "").await.0, 200);
    assert_eq!(get(free, "/api/external/status", "").await.0, 404);
    apart.stop("TERM").await;
}

/// An `up` in the middle of handing one message over: the server has the dot and does not answer.
async fn stalled(place: &Place, server: &SmtpServer) -> (Running, std::net::SocketAddr) {
    let mut command = place.command(&["up", "--bind", "127.0.0.1:0"]);
    command.envs([("SMTP_URL", server.url()), ("SMTP_FROM", "Ann <ann@example.com>".to_owned())]);
    let mut up = Running::start(command, place.path().join("log"));
    let address = up.ready().await;
    let campaign = place
        .file("one.yaml", "name: One\nsteps: [{step_number: 1, name: One, subject: Hello, template: Hello}]");
    let leads = place.file("one.csv", "email\nbob@example.org\n");
    let id = place.run(&["campaign", "create", campaign.to_str().unwrap()]).ok();
    place.run(&["leads", "import", leads.to_str().unwrap(), "--campaign", id.trim()]).ok();
    place.run(&["campaign", "start", id.trim()]).ok();
    until("the dot is there", SOON, async || server.seen(At::Dot) == 1).await;
    (up, address)
}

#[tokio::test]
async fn the_first_signal_lets_a_hand_over_end_and_says_so_to_balancers() {
    let server =
        SmtpServer::start(Script::default().rule(Rule::at(At::Dot).act(Act::Trickle(
            b"250 2.0.0 taken, with a long breath\r\n".to_vec(),
            Duration::from_millis(100),
        ))))
        .await;
    let place = Place::new();
    let (up, address) = stalled(&place, &server).await;
    up.signal("TERM");
    until("/readyz says 503", SOON, async || get(address, "/readyz", "").await.0 == 503).await;
    assert_eq!(get(address, "/healthz", "").await.0, 200, "requests are answered while the worker drains");
    assert_eq!(up.end(SOON).await, 0);
    assert_eq!(count(place.path(), "SELECT COUNT(*) FROM messages WHERE state = 'accepted'").await, 1);
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn the_second_signal_ends_it_at_once_and_the_next_start_names_what_is_uncertain() {
    let server = SmtpServer::start(Script::default().rule(Rule::at(At::Dot).act(Act::Stall))).await;
    let place = Place::new();
    let (mut up, _) = stalled(&place, &server).await;
    up.signal("INT");
    up.says("draining", SOON).await;
    up.signal("INT");
    assert_eq!(up.end(Duration::from_secs(2)).await, 130);
    let mut again = self::up(&place, &[], "again");
    again.ready().await;
    let uncertain = "SELECT COUNT(*) FROM messages WHERE state = 'uncertain'";
    until("it is uncertain", SOON, async || count(place.path(), uncertain).await == 1).await;
    again.stop("TERM").await;
}
