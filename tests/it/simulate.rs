//! `simulate` and `preview`: what will happen, from two files.

use crate::program::{Place, Ran};
use sendwright_workflows::clock::parse_rfc3339;
use sendwright_workflows::reason::Reason;
use serde_json::{Value, json};
use std::io::Read;
use std::process::Stdio;

/// (email, step, at, local, reason codes) of every line of `--json`.
fn lines(out: &str) -> Vec<(String, u64, String, String, Vec<String>)> {
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let names: Vec<&String> = line.as_object().unwrap().keys().collect();
        assert_eq!(names.len(), 5, "{names:?}");
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        let codes =
            line["reasons"].as_array().unwrap().iter().map(|r| r["code"].as_str().unwrap().to_owned());
        (text("email"), line["step"].as_u64().unwrap(), text("at"), text("local"), codes.collect())
    };
    out.lines().map(line).collect()
}

fn simulate(place: &Place, campaign: &Value, leads: &str, from: &str) -> Ran {
    place.file("campaign.json", campaign.to_string());
    place.file("leads.csv", leads);
    place.run(&["simulate", "--campaign", "campaign.json", "--leads", "leads.csv", "--from", from, "--json"])
}

fn shown(out: &str) -> Vec<String> {
    let line = |(email, step, at, local, reasons): (String, u64, String, String, Vec<String>)| {
        format!("{email} {step} {at} {local} {}", reasons.join(","))
    };
    lines(out).into_iter().map(line).map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn calendar_days_and_quiet_hours_follow_each_leads_clock_over_the_change_to_summer_time() {
    let campaign = json!({"name": "Spring", "timezone": "Europe/Berlin",
        "quiet_hours_start": "20:00", "quiet_hours_end": "08:00",
        "steps": [{"step_number": 1, "template": "Hi"},
                  {"step_number": 2, "template": "Again", "delay_days": 1},
                  {"step_number": 3, "template": "Last", "delay_hours": 24}]});
    let leads = "email,timezone\nberlin@example.com,\ntokyo@example.com,Asia/Tokyo\n";
    let ran = simulate(&Place::new(), &campaign, leads, "2026-03-28T08:00:00Z");
    // Berlin: 09:00 at +01:00; a calendar day later 09:00 at +02:00, 23 hours on; then 24 hours elapse.
    // Tokyo: 17:00, then the same, then the same.
    let expected = [
        "berlin@example.com 1 2026-03-28T08:00:00.000Z 2026-03-28T09:00:00+01:00",
        "tokyo@example.com 1 2026-03-28T08:00:00.000Z 2026-03-28T17:00:00+09:00",
        "berlin@example.com 2 2026-03-29T07:00:00.000Z 2026-03-29T09:00:00+02:00",
        "tokyo@example.com 2 2026-03-29T08:00:00.000Z 2026-03-29T17:00:00+09:00",
        "berlin@example.com 3 2026-03-30T07:00:00.000Z 2026-03-30T09:00:00+02:00",
        "tokyo@example.com 3 2026-03-30T08:00:00.000Z 2026-03-30T17:00:00+09:00",
    ];
    assert_eq!(shown(&ran.ok()), expected);
}

#[test]
fn what_falls_into_the_night_waits_for_the_leads_morning_and_says_so() {
    let campaign = json!({"name": "Night", "quiet_hours_start": "20:00", "quiet_hours_end": "08:00",
        "steps": [{"step_number": 1, "template": "Hi"}, {"step_number": 2, "template": "Again", "delay_hours": 11}]});
    let leads = "email,timezone\nny@example.com,America/New_York\n";
    // 2026-10-31 23:00 in New York; the clocks go back in that night.
    let ran = simulate(&Place::new(), &campaign, leads, "2026-11-01T03:00:00Z");
    let expected = [
        "ny@example.com 1 2026-11-01T13:00:00.000Z 2026-11-01T08:00:00-05:00 quiet_hours",
        "ny@example.com 2 2026-11-02T13:00:00.000Z 2026-11-02T08:00:00-05:00 quiet_hours",
    ];
    // 08:00 and 11 hours are 19:00: still allowed, so the second goes out the same evening.
    let out = ran.ok();
    assert_eq!(shown(&out)[0], expected[0]);
    assert_eq!(shown(&out)[1], "ny@example.com 2 2026-11-02T00:00:00.000Z 2026-11-01T19:00:00-05:00");
    let later = json!({"name": "Night", "quiet_hours_start": "20:00", "quiet_hours_end": "08:00",
        "steps": [{"step_number": 1, "template": "Hi"}, {"step_number": 2, "template": "Again", "delay_hours": 13}]});
    assert_eq!(shown(&simulate(&Place::new(), &later, leads, "2026-11-01T03:00:00Z").ok()), expected);
}

#[test]
fn an_inline_profiles_limits_and_the_campaigns_hold_together_in_row_order() {
    let campaign = json!({"name": "Fast", "rate_limit_per_second": 4,
        "sending_profile": {"rate_limit_per_second": 2, "rate_limit_per_minute": 3},
        "steps": [{"step_number": 1, "template": "Hi"}]});
    let leads = "email\nz@example.com\ny@example.com\nx@example.com\nw@example.com\n";
    let out = simulate(&Place::new(), &campaign, leads, "2026-01-05T09:00:59Z").ok();
    // Two a second are 550 ms apart: (1 s + W) / 2. The clock minute begins anew a second later.
    let expected = [
        "z@example.com 1 2026-01-05T09:00:59.000Z 2026-01-05T09:00:59+00:00",
        "y@example.com 1 2026-01-05T09:00:59.550Z 2026-01-05T09:00:59.550+00:00 rate_limit",
        "x@example.com 1 2026-01-05T09:01:00.100Z 2026-01-05T09:01:00.100+00:00 rate_limit",
        "w@example.com 1 2026-01-05T09:01:00.650Z 2026-01-05T09:01:00.650+00:00 rate_limit",
    ];
    assert_eq!(shown(&out), expected);
}

#[test]
fn a_start_in_the_future_moves_everybody_there() {
    let campaign = json!({"name": "Later", "schedule_time": "2026-02-01T10:00:00+01:00",
        "steps": [{"step_number": 1, "template": "Hi", "delay_minutes": 5}]});
    let out = simulate(&Place::new(), &campaign, "email\na@example.com\n", "2026-01-05T09:00:00Z").ok();
    assert_eq!(shown(&out), ["a@example.com 1 2026-02-01T09:05:00.000Z 2026-02-01T09:05:00+00:00 schedule"]);
}

#[test]
fn bad_rows_are_told_by_line_and_the_first_of_an_address_counts() {
    let campaign = json!({"name": "Rows", "steps": [{"step_number": 1, "template": "Hi"}]});
    let leads = "email,timezone\nA@example.com,\nnobody,\na@EXAMPLE.com,Asia/Tokyo\nb@example.com,Mars/X\n\
                 \"c@example.com\",Asia/Tokyo,more\nd@example.com,Asia/Tokyo\n";
    let ran = simulate(&Place::new(), &campaign, leads, "2026-01-05T09:00:00Z");
    for told in [
        "leads.csv, line 3: email: ",
        "leads.csv, line 4: email: is in the file twice",
        "leads.csv, line 5: timezone: ",
        "leads.csv, line 6: row: the row has 3 cells where the header has 2",
        "4 rows were passed over, 2 leads remain",
    ] {
        assert!(ran.err.contains(told), "{told:?} in {}", ran.err);
    }
    let expected = [
        "A@example.com 1 2026-01-05T09:00:00.000Z 2026-01-05T09:00:00+00:00",
        "d@example.com 1 2026-01-05T09:00:00.000Z 2026-01-05T18:00:00+09:00",
    ];
    assert_eq!(shown(&ran.ok()), expected);
}

#[test]
fn yaml_and_json_say_the_same_and_an_unknown_profile_is_a_warning() {
    let place = Place::new();
    place.file("leads.csv", "\u{feff}E-Mail;Plan\r\na@example.com;x\r\n");
    place.file("c.yaml", "name: Y\nsending_profile_id: 9\nquiet_hours_start: 22:00\nquiet_hours_end: 08:00\nsteps:\n  - step_number: 1\n    template: Hi\n");
    let body = json!({"name": "Y", "quiet_hours_start": "22:00", "quiet_hours_end": "08:00",
                      "steps": [{"step_number": 1, "template": "Hi"}]});
    place.file("c.json", body.to_string());
    let run = |file| {
        place.run(&[
            "simulate",
            "--campaign",
            file,
            "--leads",
            "leads.csv",
            "--from",
            "2026-01-05T23:00:00Z",
            "--json",
        ])
    };
    let yaml = run("c.yaml");
    assert!(yaml.err.contains("warning: sending_profile_id is ignored"), "{}", yaml.err);
    let yaml = yaml.ok();
    assert_eq!(
        shown(&yaml),
        ["a@example.com 1 2026-01-06T08:00:00.000Z 2026-01-06T08:00:00+00:00 quiet_hours"]
    );
    assert_eq!(yaml, run("c.json").ok());
}

#[test]
fn a_refused_campaign_names_every_field_and_prints_nothing() {
    let place = Place::new();
    let campaign = json!({"name": "", "quiet_hours_start": "25:00", "steps": [{"step_number": 2, "template": "{{#if}}"}]});
    let ran = simulate(&place, &campaign, "email\na@example.com\n", "2026-01-05T09:00:00Z");
    assert_eq!(ran.out, "");
    let err = ran.failed(65);
    for field in [
        "name:",
        "quiet_hours_start:",
        "quiet_hours_end:",
        "steps[0].step_number:",
        "steps[0].template: line 1",
    ] {
        assert!(err.contains(&format!("campaign.json: {field}")), "{field} in {err}");
    }
    let ran = simulate(&place, &json!({"name": "x"}), "name\nAda\n", "2026-01-05T09:00:00Z");
    assert!(ran.failed(65).contains("steps"));
    place.file("broken.yaml", "name: [");
    let err = place.run(&["simulate", "--campaign", "broken.yaml", "--leads", "leads.csv"]).failed(65);
    assert!(err.contains("broken.yaml: ") && err.contains("line 2"), "{err}");
}

#[test]
fn days_bound_how_far_it_looks() {
    let place = Place::new();
    let steps: Vec<Value> =
        (1..=5).map(|n| json!({"step_number": n, "template": "x", "delay_days": 10})).collect();
    place.file("c.json", json!({"name": "Long", "steps": steps}).to_string());
    place.file("leads.csv", "email\na@example.com\n");
    let count = |days| {
        let from = "2026-01-05T09:00:00Z";
        let args = [
            "simulate",
            "--campaign",
            "c.json",
            "--leads",
            "leads.csv",
            "--from",
            from,
            "--json",
            "--days",
            days,
        ];
        place.run(&args).ok().lines().count()
    };
    assert_eq!((count("9"), count("10"), count("30"), count("365")), (0, 1, 3, 5));
}

#[test]
fn the_table_tells_people_when_what_and_why_and_how_many_a_day() {
    let place = Place::new();
    let steps = json!([{"step_number": 1, "template": "Hi"}, {"step_number": 2, "template": "Off", "is_active": false},
                       {"step_number": 3, "template": "Next", "delay_days": 1}]);
    place.file("c.json", json!({"name": "T", "rate_limit_per_second": 1, "steps": steps}).to_string());
    place.file("leads.csv", "email\na@example.com\nb@example.com\n");
    let ran = place.run(&[
        "simulate",
        "--campaign",
        "c.json",
        "--leads",
        "leads.csv",
        "--from",
        "2026-01-05T09:00:00Z",
    ]);
    for told in
        ["4 messages to 2 leads", "2026-01-05  2\n", "2026-01-06  2\n", "2 not sent: skip, step_inactive"]
    {
        assert!(ran.err.contains(told), "{told:?} in {}", ran.err);
    }
    let out = ran.ok();
    assert!(
        out.contains(
            "b@example.com  1     send   rate_limit (campaign, second, until 2026-01-05T09:00:01.100Z)"
        ),
        "{out}"
    );
    assert!(out.contains("a@example.com  2     skip   step_inactive"), "{out}");
}

#[test]
fn help_prints_every_reason_there_is() {
    let help = Place::new().run(&["simulate", "--help"]).ok();
    for (code, meaning) in Reason::CODES {
        assert!(help.lines().any(|line| line.trim().starts_with(code) && line.ends_with(meaning)), "{code}");
    }
}

#[test]
fn without_from_it_begins_now() {
    let place = Place::new();
    place.file("c.json", json!({"name": "N", "steps": [{"step_number": 1, "template": "Hi"}]}).to_string());
    place.file("leads.csv", "email\na@example.com\n");
    let before = sendwright_store::clock::wall_millis();
    let out = place.run(&["simulate", "--campaign", "c.json", "--leads", "leads.csv", "--json"]).ok();
    let at = parse_rfc3339(&lines(&out)[0].2).unwrap();
    assert!((before..=sendwright_store::clock::wall_millis()).contains(&at));
    let err = place.run(&[
        "simulate",
        "--campaign",
        "c.json",
        "--leads",
        "leads.csv",
        "--from",
        "2026-01-05T09:00:00",
    ]);
    assert!(err.failed(2).contains("offset"));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let place = Place::new();
    place.file("c.json", json!({"name": "N", "steps": [{"step_number": 1, "template": "Hi"}]}).to_string());
    let leads: String = (0..5_000).map(|n| format!("lead{n}@example.com\n")).collect();
    place.file("leads.csv", format!("email\n{leads}"));
    let mut command = place.command(&["simulate", "--campaign", "c.json", "--leads", "leads.csv", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut first = [0_u8; 1];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_examples_are_good_and_the_welcome_ends_within_a_minute() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let (leads, from) = (format!("{root}/leads.csv"), "2026-03-26T15:00:00Z");
    for (name, messages) in [("welcome", 36), ("trial", 48)] {
        let campaign = format!("{root}/{name}.yaml");
        let ran = Place::new().run(&[
            "simulate",
            "--campaign",
            &campaign,
            "--leads",
            &leads,
            "--from",
            from,
            "--json",
        ]);
        assert!(!ran.err.contains("passed over") && !ran.err.contains("warning"), "{}", ran.err);
        let lines = lines(&ran.ok());
        assert_eq!(lines.len(), messages, "{name}");
        if name == "welcome" {
            assert!(lines.last().unwrap().2.as_str() < "2026-03-26T15:01:00", "{:?}", lines.last());
        }
        for lead in ["ada@example.com", "lena@example.net"] {
            Place::new().run(&["preview", "--campaign", &campaign, "--lead", lead, "--leads", &leads]).ok();
        }
    }
}

#[test]
fn preview_shows_what_one_lead_would_read_and_what_is_missing() {
    let place = Place::new();
    let campaign = json!({"name": "P", "sending_profile": {"from_name": "Anna"}, "steps": [
        {"step_number": 1, "name": "One", "subject": "For {{company_name}}", "template": "Hi {{first_name}}, {{plan}}. {{from_name}}"},
        {"step_number": 2, "name": "Two", "delay_days": 2, "ai_prompt": "Write to {{first_name}}", "template": "Fallback"},
    ]});
    place.file("c.json", campaign.to_string());
    place.file(
        "leads.csv",
        "email,first_name,company,plan\nada@example.com,Ada,Harbour,team\nben@example.com,Ben,,\n",
    );
    let show = |lead| place.run(&["preview", "--campaign", "c.json", "--leads", "leads.csv", "--lead", lead]);
    let out = show("ADA@example.com").ok();
    for text in [
        "Step 1: One (at once)",
        "Subject: For Harbour",
        "Hi Ada, team. Anna",
        "Step 2: Two (after 2 d)",
        "Write to Ada",
        "Fallback",
    ] {
        assert!(out.contains(text), "{text} in {out}");
    }
    let ben = show("ben@example.com");
    assert!(ben.out.contains("Write to Ben"), "{}", ben.out);
    let err = ben.failed(65);
    assert!(err.contains("step 1, subject") && err.contains("company_name has no value"), "{err}");
    assert!(show("nobody@example.com").failed(65).contains("no good row"));
    assert!(!err.contains("warning"), "a column is no oversight: {err}");
    place.file("leads.csv", "email,first_name,company\nada@example.com,Ada,Harbour\n");
    let warned = show("ada@example.com").err;
    assert!(warned.contains("steps[0].template: plan is neither built in nor a column"), "{warned}");
    let alone = place.run(&["preview", "--campaign", "c.json", "--lead", "ada@example.com"]).err;
    assert!(alone.contains("plan is not built in"), "{alone}");
}
