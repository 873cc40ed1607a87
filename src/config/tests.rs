//! Which setting wins, and what a demo does not hear.

use super::*;

fn load(variables: &[(&str, &str)], role: Role) -> Result<Config, Vec<String>> {
    let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    Config::load(&Sources { environment, file: None }, role, Overrides::default())
}

const SECRET: (&str, &str) =
    ("SENDWRIGHT_SECRET", "0000000000000000000000000000000000000000000000000000000000000001");

#[test]
fn nothing_said_is_the_reference() {
    let config = load(&[], Role::Up { demo: false }).unwrap();
    assert_eq!(config.data, Path::new("./data"));
    assert_eq!(config.database.url.reveal(), "sqlite://./data/sendwright.db");
    assert_eq!(config.http.bind, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.worker.lanes, Lane::ALL);
    assert_eq!(config.worker.lease, Duration::from_secs(60));
    assert_eq!(config.worker.smtp_timeout, Duration::from_secs(600));
    assert!(config.redis.is_none() && config.smtp.is_none() && config.model.is_none());
    let days = |kept: Option<i64>| kept.map(|kept| kept / 86_400_000);
    let keep = config.keep;
    assert_eq!(
        [keep.deliveries, keep.dead_deliveries, keep.inbound].map(days),
        [Some(30), Some(90), Some(90)]
    );
    assert_eq!([keep.hits, keep.usage, keep.imports].map(days), [Some(90), Some(400), Some(90)]);
    assert_eq!(days(keep.runs), Some(400));
}

#[test]
fn no_day_is_for_ever() {
    let config =
        load(&[("SENDWRIGHT_KEEP_HITS_DAYS", "0"), ("SENDWRIGHT_KEEP_RUNS_DAYS", "7")], Role::Command);
    let keep = config.unwrap().keep;
    assert_eq!((keep.hits, keep.runs), (None, Some(604_800_000)));
    let problems = load(&[("SENDWRIGHT_KEEP_USAGE_DAYS", "-1")], Role::Command).unwrap_err();
    assert_eq!(problems, ["SENDWRIGHT_KEEP_USAGE_DAYS must be a whole number from 0 to 36500"]);
}

#[test]
fn a_demo_hears_of_no_transport_no_model_and_no_other_database_however_wrong() {
    let variables = [
        ("DATABASE_URL", "postgres://somewhere/else"),
        ("REDIS_URL", "redis://somewhere"),
        ("SMTP_URL", "smtp://somewhere"),
        ("SMTP_FROM", "not an address"),
        ("OPENAI_API_KEY", "sk-1"),
        ("OPENAI_BASE_URL", "nonsense"),
        ("TWILIO_AUTH_TOKEN", "t"),
        ("TWILIO_ALLOWED_COUNTRIES", "FR"),
    ];
    let config = load(&variables, Role::Up { demo: true }).unwrap();
    // Where texts may go is as it is by default: they end in the mailbox all the same.
    assert_eq!(config.phones.allowed_countries.len(), 3);
    assert!(config.database.is_embedded());
    assert!(config.redis.is_none() && config.smtp.is_none() && config.model.is_none());
    assert!(load(&variables, Role::Up { demo: false }).is_err());
}

#[test]
fn a_platforms_port_is_reached_from_outside_by_api_alone_and_bind_wins_over_it() {
    let bind = |variables: &[(&str, &str)], role| load(variables, role).unwrap().http.bind.to_string();
    assert_eq!(bind(&[("PORT", "3000")], Role::Part), "0.0.0.0:3000");
    assert_eq!(bind(&[("PORT", "3000")], Role::Up { demo: false }), "127.0.0.1:3000");
    assert_eq!(bind(&[("PORT", "3000"), ("SENDWRIGHT_BIND", "[::1]:1")], Role::Part), "[::1]:1");
}

#[test]
fn postgres_needs_a_secret_in_every_role_and_no_command_does() {
    let postgres = ("DATABASE_URL", "postgres://host/db");
    for role in [Role::Part, Role::Up { demo: false }] {
        let problems = load(&[postgres], role).unwrap_err();
        assert!(problems[0].starts_with("SENDWRIGHT_SECRET is required"), "{problems:?}");
        assert!(load(&[postgres, SECRET], role).is_ok());
    }
    assert!(load(&[postgres], Role::Command).is_ok());
}

#[test]
fn a_model_is_there_by_its_key_or_its_address() {
    let model = |variables: &[(&str, &str)]| load(variables, Role::Command).unwrap().model;
    let by_key = model(&[("OPENAI_API_KEY", "sk-1")]).unwrap();
    assert_eq!(by_key.base_url.as_str(), "https://api.openai.com/v1");
    let by_address =
        model(&[("OPENAI_BASE_URL", "http://127.0.0.1:9000/v1/"), ("OPENAI_MODEL", "tiny")]).unwrap();
    assert_eq!(
        (by_address.base_url.as_str(), by_address.name.as_str()),
        ("http://127.0.0.1:9000/v1", "tiny")
    );
    assert!(by_address.api_key.is_none());
    assert!(model(&[("OPENAI_MODEL", "tiny")]).is_none());
}

#[test]
fn a_sender_is_an_address_with_or_without_a_name() {
    let from = |text| read_sender(text).map(|sender| (sender.name, sender.email.as_str().to_owned()));
    assert_eq!(from("a@b.example"), Ok((None, "a@b.example".to_owned())));
    assert_eq!(from("\"Anna B.\" <a@b.example>"), Ok((Some("Anna B.".to_owned()), "a@b.example".to_owned())));
    assert!(from("Anna").is_err() && from("An\nna <a@b.example>").is_err() && from("<>").is_err());
}

#[test]
fn nothing_that_is_printed_holds_a_secret() {
    let variables =
        [SECRET, ("OPENAI_API_KEY", "sk-hunter2"), ("DATABASE_URL", "postgres://me:hunter2@host/db")];
    let shown = format!("{:?}", load(&variables, Role::Part).unwrap());
    assert!(!shown.contains("hunter2") && !shown.contains("0001"), "{shown}");
}

#[test]
fn the_first_start_makes_one_secret_that_every_later_one_reads() {
    let data = tempfile::tempdir().unwrap();
    let text = data.path().display().to_string();
    let config = load(&[("SENDWRIGHT_DATA", &text)], Role::Up { demo: false }).unwrap();
    let first = secret::load(&config).unwrap();
    assert_eq!(first[0].as_bytes(), secret::load(&config).unwrap()[0].as_bytes());
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(data.path().join("secret")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 1, "no draft is left behind");

    let given = load(&[("SENDWRIGHT_DATA", &text), SECRET], Role::Up { demo: false }).unwrap();
    assert_ne!(secret::load(&given).unwrap()[0].as_bytes(), first[0].as_bytes());
}
