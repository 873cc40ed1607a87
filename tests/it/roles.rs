//! The roles as processes of their own, on Postgres and Redis.

use std::collections::HashSet;
use std::process::Command;
use std::time::Duration;

use crate::program::{Place, Ran};
use crate::running::{Running, SOON, get, until};
use crate::support::postgres;
use crate::support::redis::Redis;
use crate::support::smtp_server::{Script, SmtpServer};

const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A part of an installation on this database.
fn part(place: &Place, database: &str, args: &[&str]) -> Command {
    let mut command = place.command(args);
    command.envs([("DATABASE_URL", database), ("SENDWRIGHT_SECRET", SECRET)]);
    command
}

#[tokio::test]
async fn one_message_leaves_once_through_an_api_two_workers_and_a_scheduler() {
    const PEOPLE: usize = 60;
    let (database, redis) = (postgres::database(), Redis::start());
    let server = SmtpServer::start(Script::default()).await;
    let place = Place::new();
    let command = |args: &[&str]| {
        let mut command = part(&place, &database, args);
        command.envs([
            ("REDIS_URL", redis.url()),
            ("SMTP_URL", server.url()),
            ("SMTP_FROM", "Ann <ann@example.com>".to_owned()),
        ]);
        command
    };
    let run = |args: &[&str]| Ran::of(command(args).output().unwrap()).ok();
    run(&["migrate"]);
    let start = |args: &[&str], log: &str| Running::start(command(args), place.path().join(log));
    let mut api = start(&["api", "--bind", "127.0.0.1:0"], "api");
    let mut parts = vec![
        start(&["worker"], "one"),
        start(&["worker", "--lanes", "plan,mail", "--concurrency", "2"], "two"),
        start(&["scheduler"], "clock"),
    ];
    let address = api.ready().await;
    let key = run(&["key", "create", "--name", "x"]);
    assert_eq!(get(address, "/api/external/status", key.trim()).await.0, 200);
    let campaign = "name: Two\nsteps:\n- {step_number: 1, name: One, subject: One, template: Hello}\n\
                    - {step_number: 2, name: Two, delay_seconds: 1, subject: Two, template: Again}";
    let file = place.file("two.yaml", campaign);
    let rows: String = (0..PEOPLE).map(|n| format!("p{n}@example.org\n")).collect();
    let csv = place.file("leads.csv", format!("email\n{rows}"));
    let id = run(&["campaign", "create", file.to_str().unwrap()]);
    run(&["campaign", "start", id.trim()]);
    run(&["leads", "import", csv.to_str().unwrap(), "--campaign", id.trim()]);
    let received = server.wait_for(2 * PEOPLE, Duration::from_secs(60)).await;
    let distinct: HashSet<_> = received.iter().map(|mail| mail.header("Message-ID").unwrap()).collect();
    assert_eq!((received.len(), distinct.len()), (2 * PEOPLE, 2 * PEOPLE));
    until("the campaign is completed", SOON, async || {
        run(&["campaign", "status", id.trim()]).contains("is completed")
    })
    .await;
    assert_eq!(get(address, "/metrics", "").await.0, 404);
    parts.push(api);
    for part in parts {
        part.stop("TERM").await;
    }
    assert!(!place.path().join("data").exists(), "a part on Postgres keeps no directory unasked");
}

#[tokio::test]
async fn a_role_that_waits_for_its_database_still_ends_when_it_is_told_to() {
    let place = Place::new();
    let mut worker =
        Running::start(part(&place, "postgres://127.0.0.1:1/x", &["worker"]), place.path().join("worker"));
    worker.says("waiting for the database", SOON).await;
    worker.stop("TERM").await;
}
