//! The commands: what they print where, and how they end.

use crate::program::{Place, Ran};
use serde_json::Value;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_key_on_an_empty_store_makes_the_first_account_and_is_printed_alone() {
    let place = Place::new();
    let out = place.run(&["key", "create", "--name", "Website"]).ok();
    let key = out.trim_end();
    assert!(sendwright_workflows::signing::ApiKey::parse(key).is_some(), "{out:?}");
    assert_eq!(out, format!("{key}\n"));
    let accounts: Value = serde_json::from_str(&place.run(&["account", "list", "--json"]).ok()).unwrap();
    assert_eq!((&accounts["name"], &accounts["timezone"]), (&"default".into(), &"UTC".into()));
    let list = place.run(&["key", "list", "--json"]).ok();
    let listed: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(listed["user"], "owner@localhost");
    assert_eq!(listed["tier"], "standard");
    assert!(!list.contains(key) && key.starts_with(listed["prefix"].as_str().unwrap()), "{list}");
    let mode = std::fs::metadata(place.path().join("data")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn where_there_are_several_accounts_none_is_guessed() {
    let place = Place::new();
    for name in ["Acme", "Beta"] {
        place
            .run(&[
                "account",
                "create",
                name,
                "--owner",
                &format!("o@{name}.example"),
                "--timezone",
                "Europe/Berlin",
            ])
            .ok();
    }
    let err = place.run(&["key", "create", "--name", "x"]).failed(1);
    assert!(err.contains("--account") && err.contains("Acme, Beta"), "{err}");
    assert!(
        place.run(&["key", "create", "--name", "x", "--account", "Gamma"]).failed(1).contains("no account")
    );
    place
        .run(&["key", "create", "--name", "x", "--account", "Beta", "--scope", "read", "--tier", "unlimited"])
        .ok();
    let key: Value =
        serde_json::from_str(&place.run(&["key", "list", "--json", "--account", "Beta"]).ok()).unwrap();
    assert_eq!((&key["user"], &key["tier"]), (&"o@beta.example".into(), &"unlimited".into()));
    assert_eq!(key["scopes"], serde_json::json!(["read"]));
    assert_eq!(place.run(&["key", "list", "--json", "--account", "Acme"]).ok(), "");
    assert!(place.run(&["account", "create", "Acme"]).failed(65).contains("already"));
    assert!(place.run(&["account", "create", "C", "--timezone", "+01:00"]).failed(65).contains("IANA"));
}

#[test]
fn a_key_dies_with_its_user_and_by_its_prefix() {
    let place = Place::new();
    place.run(&["account", "create", "Acme"]).ok();
    place.run(&["user", "create", "Bob@Acme.example"]).ok();
    assert!(place.run(&["user", "create", "bob@acme.example"]).failed(65).contains("already"));
    let key = place.run(&["key", "create", "--name", "b", "--user", "bob@acme.example"]).ok();
    place.run(&["user", "disable", "bob@acme.example"]).ok();
    let err = place.run(&["key", "create", "--name", "c", "--user", "bob@acme.example"]).failed(1);
    assert!(err.contains("no such active user"), "{err}");
    let prefix = place.run(&["key", "list", "--json"]).ok();
    let prefix: Value = serde_json::from_str(&prefix).unwrap();
    let prefix = prefix["prefix"].as_str().unwrap();
    assert!(key.starts_with(prefix));
    place.run(&["key", "revoke", prefix]).ok();
    place.run(&["key", "revoke", "1"]).ok();
    assert!(place.run(&["key", "list"]).ok().contains("revoked"));
    assert!(place.run(&["key", "revoke", "77"]).failed(1).contains("no such key"));
    let err = place.run(&["key", "create", "--name", "c", "--tier", "golden"]).failed(65);
    assert!(err.contains("standard, unlimited"), "{err}");
}

#[test]
fn migrate_waits_for_nobody_and_is_refused_beside_a_running_role() {
    let place = Place::new();
    place.run(&["migrate"]).ok();
    place.run(&["migrate"]).ok();
    let lock = File::options().write(true).open(place.path().join("data/worker.lock")).unwrap();
    lock.lock().unwrap();
    let err = place.run(&["migrate"]).failed(1);
    assert!(err.contains("already runs the worker here"), "{err}");
    // Every other command runs beside it.
    place.run(&["account", "list"]).ok();
    drop(lock);
    place.run(&["migrate"]).ok();
}

#[test]
fn a_database_that_is_away_has_a_code_of_its_own() {
    let place = Place::new();
    let mut command = place.command(&["account", "list"]);
    let ran =
        Ran::of(command.env("DATABASE_URL", "postgres://me:hunter2@127.0.0.1:1/none").output().unwrap());
    assert!(!ran.err.contains("hunter2"), "{}", ran.err);
    assert!(ran.failed(69).contains("database is not available"));
}

#[test]
fn doctor_prints_what_a_crash_can_leave_unknown() {
    let place = Place::new();
    let mut command = place.command(&["doctor"]);
    command.env("SENDWRIGHT_OPEN_HANDOVERS", "5").env("SENDWRIGHT_KEEP_HITS_DAYS", "0");
    let out = Ran::of(command.output().unwrap()).ok();
    assert!(
        out.contains("deliveries 30 days, those given up 90 days") && out.contains("clicks for ever"),
        "{out}"
    );
    assert!(out.contains("D = 5: a crash of one worker leaves at most 5 messages uncertain"), "{out}");
    // Looking changes nothing.
    assert!(!place.path().join("data/sendwright.db").exists() && !place.path().join("data/secret").exists());
}

#[test]
fn the_command_line_is_the_one_that_was_promised() {
    let place = Place::new();
    let help = |args: &[&str]| place.run(&[args, &["--help"]].concat()).ok();
    let all = help(&[]);
    for command in [
        "up",
        "api",
        "worker",
        "scheduler",
        "migrate",
        "doctor",
        "account",
        "user",
        "key",
        "campaign",
        "leads",
        "profile",
        "messages",
        "suppress",
        "users",
        "consents",
        "preview",
        "simulate",
        "explain",
    ] {
        assert!(
            all.lines()
                .any(|line| line.trim_start().starts_with(&format!("{command} ")) || line.trim() == command),
            "{command}"
        );
    }
    for (args, flags) in [
        (&["up"][..], &["--data", "--bind", "--demo"][..]),
        (&["worker"], &["--lanes", "--concurrency"]),
        (&["doctor"], &["--send-to"]),
        (&["key", "create"], &["--name", "--tier", "--account", "--user", "--scope", "--data"]),
        (&["leads", "import"], &["--campaign", "<CSV>"]),
        (&["messages", "list"], &["--campaign", "--state", "--json"]),
        (&["simulate"], &["--campaign", "--leads", "--from", "--days", "--json"]),
        (&["preview"], &["--campaign", "--lead"]),
    ] {
        let text = help(args);
        for flag in flags {
            assert!(text.contains(flag), "{args:?} {flag}");
        }
    }
    for (noun, verbs) in [
        ("account", &["create", "list"][..]),
        ("user", &["create", "disable"]),
        ("key", &["create", "list", "revoke"]),
        ("campaign", &["create", "list", "start", "pause", "status"]),
        ("profile", &["create", "list"]),
        ("messages", &["list", "release", "cancel"]),
        ("suppress", &["add", "list"]),
        ("users", &["list", "import", "consent"]),
        ("consents", &["export", "verify"]),
    ] {
        let text = help(&[noun]);
        for verb in verbs {
            assert!(text.contains(&format!("  {verb} ")), "{noun} {verb}");
        }
    }
    assert!(all.contains("78  the configuration is wrong"));
    assert!(place.run(&["worker", "--lanes", "mail,nope"]).failed(2).contains("nope"));
    place.run(&["nonsense"]).failed(2);
}
