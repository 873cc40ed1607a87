//! The matrix of faults about starts: what is wrong is told at once and by its name, what is merely away is waited for, and a
//! migration that is cut short or done twice leaves the schema that one leaves.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};

use crate::program::{Place, Ran};
use crate::running::{SOON, until};
use crate::support::dice::{Dice, seeds};
use crate::support::plan;
use crate::support::postgres::{self, Postgres};
use crate::support::process::Process;
use crate::support::site::{Shape, Site};
use crate::support::trial::{MESSAGES, PEOPLE, account, mode, shown, unharmed};

const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
/// Every role, on a free port where it has one.
const ROLES: [&[&str]; 4] =
    [&["up", "--bind", "127.0.0.1:0"], &["api", "--bind", "127.0.0.1:0"], &["worker"], &["scheduler"]];

/// The program on a database.
fn on(place: &Place, database: &str, args: &[&str]) -> Command {
    let mut command = place.command(args);
    command.envs([("DATABASE_URL", database), ("SENDWRIGHT_SECRET", SECRET)]);
    command
}

/// Runs it to its end, which comes soon.
fn refused(mut command: Command, what: &str) -> (Option<i32>, String) {
    let begun = Instant::now();
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(5) {
            child.kill().unwrap();
            let told = child.wait_with_output().unwrap();
            panic!("{what}: it runs on after 5 s: {}", String::from_utf8_lossy(&told.stderr));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let told = child.wait_with_output().unwrap();
    // What it logs is not what it says at its end.
    let told_people = String::from_utf8(told.stderr).unwrap();
    let lines: Vec<&str> = told_people.lines().filter(|line| !line.starts_with('{')).collect();
    (told.status.code(), lines.join("\n"))
}

/// FAULTS F20: each alone, with all that is right beside it.
#[test]
fn every_setting_that_is_wrong_ends_every_role_within_seconds_by_its_name() {
    const VALUE: &str = "hunter2";
    const SMTP: (&str, &str) = ("SMTP_FROM", "ann@example.com");
    const TWILIO: [(&str, &str); 2] =
        [("TWILIO_ACCOUNT_SID", "AC0123456789abcdef0123456789abcdef"), ("TWILIO_FROM", "+14155550100")];
    let wrong: &[(&str, &str)] = &[
        ("DATABASE_URL", "mysql://me:hunter2@host/db"),
        ("DATABASE_URL", "postgres://me:hunter2@"),
        ("REDIS_URL", "http://hunter2"),
        ("SENDWRIGHT_BIND", "hunter2"),
        ("PORT", "hunter2"),
        ("PORT", "70000"),
        ("SENDWRIGHT_METRICS_BIND", "hunter2"),
        ("SENDWRIGHT_PUBLIC_URL", "https://me:hunter2@host"),
        ("SMTP_URL", "smtp://me:hunter2@host:port"),
        ("SMTP_URL", "smtp://me:hunter2@host?tls=perhaps"),
        ("SMTP_URL", "smtp://me:hunter2%zz@host?nothing=known"),
        ("TWILIO_AUTH_TOKEN", ""),
        ("TWILIO_WHATSAPP_FROM", "hunter2"),
        ("TWILIO_API_BASE", "https://me:hunter2@host"),
        ("TWILIO_ALLOWED_COUNTRIES", "US,hunter2"),
        ("OPENAI_BASE_URL", "hunter2"),
        ("OPENAI_API_KEY", "hunter2\nhunter2"),
        ("OPENAI_PRICE_IN", "hunter2"),
        ("OPENAI_PRICE_OUT", "-1"),
        ("OPENAI_TIMEOUT_SECONDS", "0"),
        ("SENDWRIGHT_LANES", "mail,hunter2"),
        ("SENDWRIGHT_CONCURRENCY", "0"),
        ("SENDWRIGHT_OPEN_HANDOVERS", "hunter2"),
        ("SENDWRIGHT_MODEL_CONCURRENCY", "1.5"),
        ("SENDWRIGHT_LEASE_SECONDS", "4"),
        ("SENDWRIGHT_DATABASE_CONNECTIONS", "1"),
        ("SENDWRIGHT_KEEP_HITS_DAYS", "hunter2"),
        ("SENDWRIGHT_KEEP_RUNS_DAYS", "99999"),
        ("SENDWRIGHT_SECRET", "hunter2"),
        ("SENDWRIGHT_SECRET", "0000000000000000000000000000000000000000000000000000000000000000"),
        ("SENDWRIGHT_DNS", "hunter2"),
        ("SENDWRIGHT_LOG_FORMAT", "hunter2"),
        ("SENDWRIGHT_LOG", "hunter2=hunter2=hunter2"),
        ("SENDWRIGHT_WEBHOOKS_ALLOW_PRIVATE", "hunter2"),
        ("SENDWRIGHT_CONFIG", "/nowhere/at/all.toml"),
        ("SENDWRIGHT_DATA", "/proc/nowhere"),
    ];
    let place = Place::new();
    for (variable, value) in wrong {
        for role in ROLES {
            let mut command = place.command(role);
            if role.len() > 1 && matches!(*variable, "PORT" | "SENDWRIGHT_BIND") {
                command = place.command(&role[..1]);
            }
            let beside: &[(&str, &str)] = match *variable {
                "SMTP_URL" => &[SMTP],
                "TWILIO_AUTH_TOKEN" => &TWILIO,
                _ => &[],
            };
            command.envs(beside.iter().copied()).env(variable, value);
            let what = format!("{variable}={value} {role:?}");
            let (code, told) = refused(command, &what);
            assert_eq!(code, Some(78), "{what}: {told}");
            // What else Twilio needs is told with it.
            assert!(told.lines().count() == 1 || variable.starts_with("TWILIO"), "{what}: {told}");
            assert!(
                told.contains(variable)
                    || (*variable == "SENDWRIGHT_CONFIG" && told.contains("configuration file")),
                "{what}: {told}"
            );
            assert!(!told.contains(VALUE), "{what}: {told}");
        }
    }
    assert!(!place.path().join("data").exists(), "nothing happens before the configuration is good");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (role, variable) in
        [("up", "SENDWRIGHT_BIND"), ("api", "SENDWRIGHT_BIND"), ("worker", "SENDWRIGHT_METRICS_BIND")]
    {
        let mut command = place.command(&[role]);
        command.env(variable, &address);
        let (code, told) = refused(command, variable);
        assert!(code == Some(1) && told.lines().count() == 1 && told.contains(variable), "{role}: {told}");
    }
    let row = unharmed("F20", "each setting wrong alone, a port in use, a directory that cannot be", 0);
    shown(
        row,
        "both",
        &format!(
            "{} settings, every role: ends in under 5 s, one line, the variable's name, never its value",
            wrong.len()
        ),
    );
}

/// FAULTS F20: what only the server can know.
#[tokio::test]
async fn a_wrong_password_user_or_database_is_told_by_the_variable_and_not_by_its_value() {
    let server = Postgres::start();
    let database = server.database();
    let mut hand = PgConnection::connect(&database).await.unwrap();
    hand.execute("CREATE ROLE locked LOGIN PASSWORD 'right'").await.unwrap();
    let (file,): (String,) = sqlx::query_as("SHOW hba_file").fetch_one(&mut hand).await.unwrap();
    let old = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("host all locked 127.0.0.1/32 scram-sha-256\n{old}")).unwrap();
    hand.execute("SELECT pg_reload_conf()").await.unwrap();
    let place = Place::new();
    Ran::of(on(&place, &database, &["migrate"]).output().unwrap()).ok();
    let with = |user: &str| database.replace("postgres@", &format!("{user}@"));
    let wrong = [with("locked:hunter2"), with("hunter2"), format!("{database}hunter2")];
    for url in &wrong {
        for role in ROLES {
            let (code, told) = refused(on(&place, url, role), "a database that refuses");
            let last = told.lines().last().unwrap_or_default();
            assert!(code == Some(78) && last.contains("DATABASE_URL"), "{code:?} {told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
    let row = unharmed("F20", "wrong password, user or database of PostgreSQL", 0);
    shown(row, "scaled", "every role ends in under 5 s with one line: the variable's name, never its value");
}

/// FAULTS F17.
#[tokio::test]
async fn a_schema_of_another_version_is_refused_in_one_line_with_what_to_do() {
    let place = Place::new();
    let (older, newer) = (postgres::database(), postgres::database());
    Ran::of(on(&place, &newer, &["migrate"]).output().unwrap()).ok();
    let newer_one = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (99999, 'add moods', TRUE, 'x', 0)";
    PgConnection::connect(&newer).await.unwrap().execute(newer_one).await.unwrap();
    let file = place.path().join("embedded.db");
    let embedded = format!("sqlite://{}", file.display());
    Ran::of(on(&place, &embedded, &["migrate"]).output().unwrap()).ok();
    Ran::of(on(&place, &embedded, &["key", "create", "--name", "x"]).output().unwrap()).ok();
    let commands: [&[&str]; 3] = [&["key", "create", "--name", "x"], &["messages", "list"], &["migrate"]];
    let check = |database: &str, args: &[&str], wanted: &str| {
        let (code, told) = refused(on(&place, database, args), "another schema");
        let last = told.lines().last().unwrap_or_default();
        assert!(code == Some(78) && last.contains(wanted), "{args:?}: {code:?} {told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    };
    for role in ROLES {
        check(&older, role, "run `sendwright migrate` first");
        check(&newer, role, "run a newer sendwright");
    }
    commands.iter().for_each(|command| check(&newer, command, "run a newer sendwright"));
    commands[..2].iter().for_each(|command| check(&older, command, "run `sendwright migrate` first"));
    let mut hand = SqliteConnection::connect(&embedded).await.unwrap();
    hand.execute("DELETE FROM _sqlx_migrations WHERE version = 130").await.unwrap();
    // `up` alone brings its own file up to date.
    ROLES[1..].iter().for_each(|role| check(&embedded, role, "run `sendwright migrate` first"));
    hand.execute(newer_one).await.unwrap();
    ROLES.iter().chain(&commands).for_each(|args| check(&embedded, args, "run a newer sendwright"));
    let row = unharmed("F17", "a program older, or newer, than the schema", 0);
    shown(row, "both", "every role and command: exit 78, one line, what to run");
}

/// The schema as a database tells of it.
async fn schema_of(database: &str) -> Vec<String> {
    let rows: Vec<(String,)> = match database.starts_with("sqlite") {
        true => {
            let mut hand = SqliteConnection::connect(database).await.unwrap();
            sqlx::query_as(
                "SELECT type || ' ' || name || ' ' || COALESCE(sql, '') FROM sqlite_master
                 UNION ALL SELECT 'version ' || version FROM _sqlx_migrations WHERE success = TRUE ORDER BY 1",
            )
            .fetch_all(&mut hand)
            .await
            .unwrap()
        }
        false => {
            let mut hand = PgConnection::connect(database).await.unwrap();
            sqlx::query_as(
                "SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' '
                        || COALESCE(column_default, '') FROM information_schema.columns WHERE table_schema = 'public'
                 UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
                 UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
                 UNION ALL SELECT 'version ' || version FROM _sqlx_migrations WHERE success ORDER BY 1",
            )
            .fetch_all(&mut hand)
            .await
            .unwrap()
        }
    };
    rows.into_iter().map(|(row,)| row).collect()
}

/// FAULTS F16.
#[tokio::test]
async fn a_migration_killed_again_and_again_and_then_done_twice_at_once_leaves_what_one_leaves() {
    for seed in seeds() {
        let (mut dice, place) = (Dice::new(seed), Place::new());
        let file = |name: &str| format!("sqlite://{}", place.path().join(name).display());
        let embedded = (file("whole.db"), file("cut.db"), &["key", "create", "--name", "x"][..]);
        let scaled = (postgres::database(), postgres::database(), &["migrate"][..]);
        for (whole, cut, command) in [embedded, scaled] {
            let start = |database: &str| {
                let mut command = on(&place, database, command);
                command.stdout(Stdio::null()).stderr(Stdio::null());
                command.spawn().unwrap()
            };
            let begun = Instant::now();
            assert!(start(&whole).wait().unwrap().success());
            let takes = begun.elapsed().as_millis() as u64;
            let mut finished = 0;
            for _ in 0..8 {
                let mut migrating = start(&cut);
                let millis = dice.below(takes.max(2));
                tokio::time::sleep(Duration::from_millis(millis)).await;
                plan::say(format_args!("a migration is killed after {millis} ms"));
                finished += u32::from(migrating.try_wait().unwrap().is_some());
                let _ = migrating.kill();
                migrating.wait().unwrap();
            }
            plan::say(format_args!("{finished} of 8 were through before"));
            let both = [start(&cut), start(&cut)];
            for mut one in both {
                assert!(one.wait().unwrap().success(), "the second waits for the first");
            }
            assert_eq!(schema_of(&cut).await, schema_of(&whole).await);
            let mode = if cut.starts_with("sqlite") { "embedded" } else { "scaled" };
            let row = unharmed("F16", "first migration killed eight times, then two at once", seed);
            shown(row, mode, "both end well, and the schema is what one undisturbed migration makes");
        }
    }
}

/// FAULTS F16: others' locks.
#[tokio::test]
async fn a_migration_waits_for_its_turn_and_for_a_table_in_use_beyond_every_limit_of_a_role() {
    const BEYOND: Duration = Duration::from_secs(6);
    let (place, database) = (Place::new(), postgres::database());
    Ran::of(on(&place, &database, &["migrate"]).output().unwrap()).ok();
    let mut hand = PgConnection::connect(&database).await.unwrap();
    hand.execute("ALTER TABLE campaigns DROP COLUMN held_from").await.unwrap();
    hand.execute("DELETE FROM _sqlx_migrations WHERE version = 140").await.unwrap();
    let mut turn = PgConnection::connect(&database).await.unwrap();
    turn.execute("SELECT pg_advisory_lock(7303, 0)").await.unwrap();
    hand.execute("BEGIN; LOCK TABLE campaigns IN ACCESS SHARE MODE").await.unwrap();
    let mut migrating = on(&place, &database, &["migrate"]).stderr(Stdio::piped()).spawn().unwrap();
    tokio::time::sleep(BEYOND).await;
    turn.close().await.unwrap();
    tokio::time::sleep(BEYOND).await;
    assert!(migrating.try_wait().unwrap().is_none(), "it waits");
    hand.execute("COMMIT").await.unwrap();
    Ran::of(migrating.wait_with_output().unwrap()).ok();
    assert!(schema_of(&database).await.iter().any(|row| row.starts_with("campaigns.held_from ")));
    let row = unharmed("F16", "another's turn, then a table in use, 6 s each", 0);
    shown(row, "scaled", "waited for, tried again, done");
}

/// FAULTS F21.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_away_at_the_start_is_waited_for_and_then_everything_is_sent() {
    for seed in seeds() {
        let shape = Shape { own_postgres: true, ..Shape::PARTS };
        let (mut dice, mut site) = (Dice::new(seed), Site::start(shape).await);
        site.processes_mut().for_each(Process::kill);
        site.redis.kill();
        site.postgres.as_mut().unwrap().kill();
        site.processes_mut().for_each(Process::spawn_again);
        let waits = |process: &Process| process.log().contains("waiting for the database");
        until("everybody waits for the database", SOON, async || site.processes().all(waits)).await;
        let status = async |path| site.try_ask("GET", path, &[], None).await.unwrap();
        assert_eq!((status("/healthz").await.0, status("/readyz").await.0), (200, 503));
        assert_eq!(status("/api/v1/campaigns").await.0, 503);
        dice.pause(2_000).await;
        site.postgres.as_mut().unwrap().start_again();
        site.processes_mut().for_each(Process::wait_until_at_work);
        let (code, ready) = site.try_ask("GET", "/readyz", &[], None).await.unwrap();
        assert!(code == 200 && ready["checks"]["queue"].as_str().unwrap().contains("degraded"), "{ready}");
        site.campaign(0..PEOPLE, json!({}), json!({})).await;
        site.smtp.wait_for(MESSAGES / 4, SOON).await;
        site.redis.start_again();
        account(&site, unharmed("F21", "PostgreSQL away at the start, Redis until the middle", seed)).await;
        let is_back = async || {
            let (_, ready) = site.try_ask("GET", "/readyz", &[], None).await.unwrap();
            ready["checks"]["queue"] == "ok"
        };
        until("Redis is back", SOON, is_back).await;
    }
}

/// FAULTS F21, embedded: somebody else holds the file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_somebody_holds_at_the_start_is_waited_for() {
    for seed in seeds() {
        let (mut dice, mut site) = (Dice::new(seed), Site::start(Shape::UP).await);
        site.front.kill();
        let path = format!("sqlite://{}", site.data(0).join("sendwright.db").display());
        let mut other = SqliteConnection::connect(&path).await.unwrap();
        other.execute("BEGIN IMMEDIATE").await.unwrap();
        site.front.spawn_again();
        until("it waits", SOON, async || site.front.log().contains("waiting for the database")).await;
        let status = async |path| site.try_ask("GET", path, &[], None).await.unwrap().0;
        assert_eq!((status("/healthz").await, status("/readyz").await), (200, 503));
        dice.pause(2_000).await;
        other.execute("ROLLBACK").await.unwrap();
        site.front.wait_until_at_work();
        site.campaign(0..PEOPLE, json!({}), json!({})).await;
        account(&site, unharmed("F21", "SQLite's file held by another at the start", seed)).await;
        assert_eq!(mode(&site), "embedded");
    }
}
