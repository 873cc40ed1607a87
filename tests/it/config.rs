//! Bad configuration stops the program at once, by the variable's name and never its value.

use crate::program::{Place, Ran};

#[test]
fn every_bad_variable_is_named_at_once_and_no_value_is_shown() {
    let bad = [
        ("DATABASE_URL", "mysql://me:hunter2@host/db"),
        ("REDIS_URL", "http://hunter2"),
        ("SENDWRIGHT_BIND", "hunter2"),
        ("PORT", "hunter2"),
        ("SENDWRIGHT_METRICS_BIND", "hunter2"),
        ("SENDWRIGHT_PUBLIC_URL", "ftp://hunter2"),
        ("SMTP_URL", "hunter2"),
        ("SMTP_FROM", "hunter2"),
        ("TWILIO_ACCOUNT_SID", "hunter2"),
        ("TWILIO_AUTH_TOKEN", ""),
        ("TWILIO_FROM", "hunter2"),
        ("TWILIO_WHATSAPP_FROM", "hunter2"),
        ("TWILIO_API_BASE", "hunter2"),
        ("TWILIO_ALLOWED_COUNTRIES", "US,hunter2"),
        ("OPENAI_BASE_URL", "hunter2"),
        ("SENDWRIGHT_LANES", "hunter2"),
        ("SENDWRIGHT_CONCURRENCY", "0"),
        ("SENDWRIGHT_OPEN_HANDOVERS", "-1"),
        ("SENDWRIGHT_MODEL_CONCURRENCY", "1.5"),
        ("SENDWRIGHT_LEASE_SECONDS", "4"),
        ("SENDWRIGHT_DATABASE_CONNECTIONS", "1"),
        ("SENDWRIGHT_SECRET", "hunter2"),
        ("SENDWRIGHT_LOG_FORMAT", "hunter2"),
        ("SENDWRIGHT_LOG", "hunter2=hunter2=hunter2"),
    ];
    let place = Place::new();
    let err = Ran::of(place.command(&["doctor"]).envs(bad).output().unwrap()).failed(78);
    for (variable, _) in bad {
        assert!(
            err.lines().any(|line| line.starts_with(&format!("sendwright: {variable} "))),
            "{variable} in {err}"
        );
    }
    assert!(!err.contains("hunter2"), "{err}");
    assert!(!place.path().join("data").exists(), "nothing happens before the configuration is good");
}

#[test]
fn a_file_is_heard_below_the_environment_and_its_slips_are_told() {
    let place = Place::new();
    place.file("good.toml", "data = \"elsewhere\"\n[worker]\nlease_seconds = 120\nopen_handovers = 7\n");
    let doctor = |file: &str, extra: &[(&str, &str)]| {
        let mut command = place.command(&["doctor", "--config", file]);
        Ran::of(command.envs(extra.iter().copied()).output().unwrap())
    };
    let out = doctor("good.toml", &[("SENDWRIGHT_LEASE_SECONDS", "90")]).ok();
    assert!(out.contains("D = 7") && out.contains("after 90 s"), "{out}");
    assert!(out.contains("elsewhere can be written to"), "{out}");

    place.file(
        "slips.toml",
        "[worker]\nlease = 3\nconcurrency = \"hunter2\"\n[smtp]\nurl = \"hunter2\"\n[other]\nx = 1\n",
    );
    let err = doctor("slips.toml", &[]).failed(78);
    for told in [
        "worker.lease in slips.toml is not",
        "worker.concurrency in slips.toml must",
        "smtp.url in slips.toml must",
        "other.x in slips.toml is not",
    ] {
        assert!(err.contains(told), "{told} in {err}");
    }
    assert!(!err.contains("hunter2"), "{err}");

    place.file("broken.toml", "[smtp]\nurl = hunter2 hunter2\n");
    let err = doctor("broken.toml", &[]).failed(78);
    assert!(err.contains("broken.toml, line 2") && !err.contains("hunter2"), "{err}");
    assert!(doctor("absent.toml", &[]).failed(78).contains("absent.toml cannot be read"));
}

#[test]
fn smtp_needs_both_its_halves() {
    let place = Place::new();
    let one = |name, value| Ran::of(place.command(&["doctor"]).env(name, value).output().unwrap()).failed(78);
    assert!(one("SMTP_URL", "smtp://mail.example.com").contains("SMTP_FROM is required with SMTP_URL"));
    assert!(one("SMTP_FROM", "Anna <a@b.example>").contains("SMTP_URL is required with SMTP_FROM"));
}

#[test]
fn twilio_needs_its_account_its_token_and_a_sender() {
    let place = Place::new();
    let sid = ("TWILIO_ACCOUNT_SID", "AC0123456789abcdef0123456789abcdef");
    let told = |variables: &[(&str, &str)]| {
        Ran::of(place.command(&["doctor"]).envs(variables.iter().copied()).output().unwrap()).failed(78)
    };
    let err = told(&[sid]);
    for variable in ["TWILIO_AUTH_TOKEN is required", "TWILIO_FROM or TWILIO_WHATSAPP_FROM is required"] {
        assert!(err.contains(variable), "{err}");
    }
    assert!(told(&[("TWILIO_FROM", "+14155550100")]).contains("TWILIO_ACCOUNT_SID is required"));
}

#[test]
fn an_empty_variable_is_an_absent_one() {
    let place = Place::new();
    let empty = [("DATABASE_URL", ""), ("SMTP_URL", ""), ("PORT", ""), ("SENDWRIGHT_CONFIG", "")];
    Ran::of(place.command(&["doctor"]).envs(empty).output().unwrap()).ok();
}

#[test]
fn the_reference_names_every_variable_of_the_readme() {
    let root = env!("CARGO_MANIFEST_DIR");
    let defaults = std::fs::read_to_string(format!("{root}/src/config/defaults.toml")).unwrap();
    let readme = std::fs::read_to_string(format!("{root}/README.md")).unwrap();
    let variable = |word: &&str| {
        let known = ["SENDWRIGHT_", "SMTP_", "TWILIO_", "OPENAI_", "DATABASE_", "REDIS_"]
            .iter()
            .any(|start| word.starts_with(start));
        known && word.chars().all(|c| c.is_ascii_uppercase() || c == '_') && !word.ends_with('_')
    };
    let words = readme.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let named: Vec<&str> = words.filter(variable).collect();
    assert!(named.len() > 5, "{named:?}");
    for name in named {
        assert!(defaults.contains(name), "{name}");
    }
}

#[test]
fn the_readme_lists_every_setting_with_the_default_that_holds() {
    let root = env!("CARGO_MANIFEST_DIR");
    let defaults = std::fs::read_to_string(format!("{root}/src/config/defaults.toml")).unwrap();
    let readme = std::fs::read_to_string(format!("{root}/README.md")).unwrap();
    let mut told = std::collections::BTreeMap::new();
    for row in readme.lines() {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        if let [variable, key, _, default] = cells[..]
            && let Some(key) = key.strip_prefix('`').and_then(|key| key.strip_suffix('`'))
        {
            told.insert(key.to_owned(), (variable.to_owned(), default.to_owned()));
        }
    }
    let (mut section, mut commented) = (String::new(), String::new());
    for line in defaults.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = format!("{name}.");
        } else if let Some((name, value)) = line.split_once(" = ").filter(|(name, _)| !name.contains(' ')) {
            let key = format!("{section}{}", name.trim_start_matches('#'));
            let (variable, default) = told.remove(&key).unwrap_or_else(|| panic!("no row for {key}"));
            let word = variable.split('`').nth(1).unwrap();
            assert!(defaults.contains(word) && commented.contains(word), "{key} is not set by {word}");
            if !name.starts_with('#') {
                assert_eq!(default, format!("`{}`", value.trim_matches('"')), "{key}");
            }
            continue;
        }
        commented.push_str(line);
    }
    assert!(told.is_empty(), "rows for what is no setting: {told:?}");
}
