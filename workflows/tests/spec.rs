//! Every rule of submitted bodies: what is refused, where, and why.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use sendwright_workflows::campaign::{AfterUncertain, OnUncertain, WithoutModel};
use sendwright_workflows::clock::{DAY, parse_rfc3339};
use sendwright_workflows::contact;
use sendwright_workflows::spec::{CampaignBody, Columns, Demands, FieldError, LeadBody, ProfileBody};
use sendwright_workflows::zone::Zone;
use serde_json::{Value, json};

fn campaign() -> Value {
    json!({"name": "Demo", "steps": [
        {"step_number": 1, "subject": "Hello {{first_name}}", "template": "Hi {{first_name}}"},
        {"step_number": 2, "ai_prompt": "Write to {{company_name}}", "delay_days": 3},
    ]})
}

/// A body with one value put at a JSON pointer; `null` leaves the field absent for the reader.
fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match body.pointer_mut(parent).unwrap() {
        Value::Object(object) => {
            object.insert(name.to_owned(), value);
        }
        Value::Array(list) => list[name.parse::<usize>().unwrap()] = value,
        other => panic!("{other}"),
    }
    body
}

fn faults(errors: &[FieldError]) -> Vec<(&str, &str)> {
    errors.iter().map(|error| (error.field.as_str(), error.code)).collect()
}

#[track_caller]
fn refused(body: &Value, field: &str, code: &str) -> FieldError {
    let errors = CampaignBody::from_json(body).expect_err(&format!("{body}"));
    assert_eq!(faults(&errors), [(field, code)], "{body}\n{errors:?}");
    errors.into_iter().next().unwrap()
}

#[test]
fn every_rule_of_a_campaign_names_its_field() {
    let long = "x".repeat(201);
    for (pointer, value, field, code) in [
        ("/name", Value::Null, "name", "required"),
        ("/name", json!("  "), "name", "required"),
        ("/name", json!(7), "name", "invalid_type"),
        ("/name", json!(long), "name", "too_long"),
        ("/name", json!("a\nb"), "name", "control_character"),
        ("/description", json!("a\u{0}b"), "description", "control_character"),
        ("/description", json!(["x"]), "description", "invalid_type"),
        ("/timezone", json!("Mars/X"), "timezone", "invalid_timezone"),
        ("/timezone", json!("+02:00"), "timezone", "invalid_timezone"),
        ("/quiet_hours_start", json!("22:00"), "quiet_hours_end", "required"),
        ("/quiet_hours_end", json!("08:00"), "quiet_hours_start", "required"),
        ("/rate_limit_per_second", json!(0), "rate_limit_per_second", "out_of_range"),
        ("/rate_limit_per_second", json!(-1), "rate_limit_per_second", "out_of_range"),
        ("/rate_limit_per_second", json!(10_001), "rate_limit_per_second", "out_of_range"),
        ("/rate_limit_per_second", json!("3"), "rate_limit_per_second", "invalid_type"),
        ("/schedule_time", json!("2024-02-30T09:00:00Z"), "schedule_time", "invalid_format"),
        ("/schedule_time", json!("10000-01-01T00:00:00Z"), "schedule_time", "invalid_format"),
        ("/schedule_time", json!(1_767_225_600), "schedule_time", "invalid_type"),
        ("/sending_profile_id", json!(0), "sending_profile_id", "reference_not_found"),
        ("/sending_profile_id", json!("abc"), "sending_profile_id", "reference_not_found"),
        ("/sending_profile_id", json!(1.5), "sending_profile_id", "invalid_type"),
        ("/sending_profile_id", json!(true), "sending_profile_id", "invalid_type"),
        ("/sending_profile", json!("mine"), "sending_profile", "invalid_type"),
        ("/requires_approval", json!("yes"), "requires_approval", "invalid_type"),
        ("/without_model", json!("send"), "without_model", "invalid_choice"),
        ("/on_uncertain", json!("Resend"), "on_uncertain", "invalid_choice"),
        ("/after_uncertain", json!("stop"), "after_uncertain", "invalid_choice"),
        ("/max_lateness_seconds", json!(0), "max_lateness_seconds", "out_of_range"),
        ("/max_lateness_seconds", json!(1e9), "max_lateness_seconds", "invalid_type"),
        ("/allowed_links", json!("example.com"), "allowed_links", "invalid_type"),
        ("/allowed_links", json!(["a.example", "https://b.example/x"]), "allowed_links[1]", "invalid_format"),
        ("/allowed_links", json!([7]), "allowed_links[0]", "invalid_format"),
        ("/steps", Value::Null, "steps", "required"),
        ("/steps", json!([]), "steps", "steps_min_1"),
        ("/steps", json!({}), "steps", "invalid_type"),
        ("/steps/0", json!("first"), "steps[0]", "invalid_type"),
        ("/steps/0/step_number", Value::Null, "steps[0].step_number", "required"),
        ("/steps/0/step_number", json!("1"), "steps[0].step_number", "invalid_type"),
        ("/steps/0/step_number", json!(1.0), "steps[0].step_number", "invalid_type"),
        ("/steps/0/step_number", json!(0), "steps[0].step_number", "steps_not_sequential"),
        ("/steps/1/step_number", json!(3), "steps[1].step_number", "steps_not_sequential"),
        ("/steps/1/step_number", json!(1), "steps[1].step_number", "steps_not_sequential"),
        ("/steps/1/step_number", json!(u64::MAX), "steps[1].step_number", "steps_not_sequential"),
        ("/steps/0/name", json!("a\u{7f}"), "steps[0].name", "control_character"),
        ("/steps/0/channel", json!("pigeon"), "steps[0].channel", "invalid_choice"),
        ("/steps/0/channel", json!("sms"), "steps[0].subject", "conflict"),
        ("/steps/0/template", json!(" "), "steps[0].ai_prompt", "required"),
        ("/steps/0/template", json!(7), "steps[0].template", "invalid_type"),
        ("/steps/0/template", json!("{{#if x}}"), "steps[0].template", "invalid_template"),
        ("/steps/0/template", json!("{{> other}}"), "steps[0].template", "invalid_template"),
        ("/steps/0/subject", json!("a\r\nBcc: x@example.com"), "steps[0].subject", "invalid_template"),
        ("/steps/0/subject", json!("x".repeat(999)), "steps[0].subject", "too_long"),
        ("/steps/1/ai_prompt", json!("{{shout company}}"), "steps[1].ai_prompt", "invalid_template"),
        ("/steps/1/delay_days", json!(366), "steps[1].delay_days", "out_of_range"),
        ("/steps/1/delay_days", json!(-1), "steps[1].delay_days", "out_of_range"),
        ("/steps/1/delay_days", json!(0.5), "steps[1].delay_days", "invalid_type"),
        ("/steps/1/delay_hours", json!(8_761), "steps[1].delay_hours", "out_of_range"),
        ("/steps/1/delay_minutes", json!(525_601), "steps[1].delay_minutes", "out_of_range"),
        ("/steps/1/delay_seconds", json!(31_536_001), "steps[1].delay_seconds", "out_of_range"),
        ("/steps/1/delay_seconds", json!(i64::MIN), "steps[1].delay_seconds", "out_of_range"),
        ("/steps/1/include_previous_emails", json!(1), "steps[1].include_previous_emails", "invalid_type"),
        ("/steps/1/is_active", json!("true"), "steps[1].is_active", "invalid_type"),
    ] {
        refused(&with(campaign(), pointer, value), field, code);
    }
    for body in [json!(null), json!([]), json!("x")] {
        refused(&body, "body", "invalid_type");
    }
}

#[test]
fn quiet_hours_are_two_different_times_of_a_day_or_none() {
    let quiet = |start: &str, end: &str| {
        with(with(campaign(), "/quiet_hours_start", json!(start)), "/quiet_hours_end", json!(end))
    };
    for good in [("22:00", "08:00"), ("00:00", "23:59"), ("12:00", "13:00")] {
        let body = CampaignBody::from_json(&quiet(good.0, good.1)).unwrap();
        let hours = body.policy.quiet_hours.unwrap();
        assert_eq!((hours.start_text().as_str(), hours.end_text().as_str()), good);
    }
    for bad in ["24:00", "8:0", "08:60", "0800", "+8:00", "08:00:00", " 8:00", "8 am", ""] {
        refused(&quiet("22:00", bad), "quiet_hours_end", "invalid_format");
        refused(&quiet(bad, "22:00"), "quiet_hours_start", "invalid_format");
    }
    refused(&quiet("09:00", "09:00"), "quiet_hours_end", "conflict");
    assert_eq!(CampaignBody::from_json(&campaign()).unwrap().policy.quiet_hours, None);
}

#[test]
fn a_time_without_an_offset_is_refused_with_the_way_out() {
    let naive = with(campaign(), "/schedule_time", json!("2026-03-15T09:00:00"));
    let error = refused(&naive, "schedule_time", "invalid_format");
    assert!(error.message.contains("2026-03-15T09:00:00Z"), "{error}");
    let body = with(campaign(), "/schedule_time", json!("2026-03-15T09:00:00+01:00"));
    let body = CampaignBody::from_json(&body).unwrap();
    let at = parse_rfc3339("2026-03-15T08:00:00Z").unwrap();
    assert_eq!((body.schedule_time, body.policy.starts_at), (Some(at), Some(at)));
    assert_eq!(body.stale_schedule(at + DAY), None);
    assert_eq!(body.stale_schedule(at + DAY + 1).unwrap().field, "schedule_time");
}

#[test]
fn a_fault_of_a_template_is_told_by_line_and_column() {
    let body = with(campaign(), "/steps/0/template", json!("Hi,\n\n{{shout name}}"));
    let error = refused(&body, "steps[0].template", "invalid_template");
    assert!(error.message.starts_with("line 3, column 1"), "{error}");
}

#[test]
fn all_faults_come_at_once() {
    let body = json!({"name": "", "timezone": "x", "rate_limit_per_second": 0, "steps": [
        {"step_number": 2, "delay_days": -1, "subject": "{{"},
        {"step_number": 2, "template": "{{#each}}", "is_active": 3},
    ]});
    let errors = CampaignBody::from_json(&body).unwrap_err();
    let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
    for field in [
        "name",
        "timezone",
        "rate_limit_per_second",
        "steps[0].step_number",
        "steps[0].delay_days",
        "steps[0].subject",
        "steps[0].ai_prompt",
        "steps[1].template",
        "steps[1].is_active",
    ] {
        assert!(fields.contains(&field), "{field} of {fields:?}");
    }
}

#[test]
fn a_whole_campaign_comes_through_as_the_planner_reads_it() {
    let body = json!({
        "name": " Spring ", "description": "Line\nline", "external_id": "crm-7", "timezone": "EST5EDT",
        "quiet_hours_start": "22:00", "quiet_hours_end": "08:00", "rate_limit_per_second": 0.5,
        "requires_approval": true, "without_model": "template", "on_uncertain": "park", "after_uncertain": "hold",
        "max_lateness_seconds": 60, "allowed_links": ["WWW.Example.com"],
        "sending_profile": {"from_email": "Anna@EXAMPLE.com", "rate_limit_per_day": 5, "timezone": "Asia/Tokyo"},
        "steps": [{"step_number": 1, "ai_prompt": "Write", "template": "Hi", "delay_days": null, "delay_hours": 25,
                   "delay_minutes": 1, "delay_seconds": 2, "include_previous_emails": true, "is_active": false}],
    });
    let body = CampaignBody::from_json(&body).unwrap();
    assert_eq!(body.name, "Spring");
    assert_eq!(body.external_id.as_deref(), Some("crm-7"));
    let policy = &body.policy;
    assert_eq!(policy.timezone, Some("EST5EDT".parse::<Zone>().unwrap()));
    assert_eq!(policy.rate_limit_per_second, Some(0.5));
    assert_eq!((policy.requires_approval, policy.without_model), (true, WithoutModel::Template));
    assert_eq!((policy.on_uncertain, policy.after_uncertain), (OnUncertain::Park, AfterUncertain::Hold));
    assert_eq!(policy.max_lateness, Some(60_000));
    assert_eq!(policy.allowed_links, ["www.example.com"]);
    let profile = body.sending_profile.as_ref().unwrap();
    assert_eq!(profile.name, "Spring", "an inline profile without a name has its campaign's");
    assert_eq!(profile.from_email.as_ref().unwrap().as_str(), "Anna@example.com");
    assert_eq!((profile.rates.per_day, profile.rates.zone), (Some(5), "Asia/Tokyo".parse::<Zone>().unwrap()));
    let step = &body.sequence().steps[0];
    assert_eq!((step.number, step.name.as_str(), step.active), (1, "Step 1", false));
    assert_eq!((step.delay.days, step.delay.hours, step.delay.minutes, step.delay.seconds), (0, 25, 1, 2));
    assert!(step.include_previous_emails && step.wants_model());
    assert!(body.warnings.is_empty(), "{:?}", body.warnings);
}

#[test]
fn a_step_without_a_name_is_refused_only_where_names_are_demanded() {
    assert_eq!(CampaignBody::from_json(&campaign()).unwrap().steps[1].name, "Step 2");
    let errors =
        CampaignBody::from_json_with(&campaign(), Demands { require_step_names: true, require_steps: true })
            .unwrap_err();
    assert_eq!(faults(&errors), [("steps[0].name", "required"), ("steps[1].name", "required")]);
}

#[test]
fn a_hundred_steps_are_the_most() {
    let steps =
        |n: u32| (1..=n).map(|number| json!({"step_number": number, "template": "x"})).collect::<Vec<_>>();
    let body = |n| with(campaign(), "/steps", json!(steps(n)));
    assert_eq!(CampaignBody::from_json(&body(100)).unwrap().steps.len(), 100);
    refused(&body(101), "steps", "too_many");
}

#[test]
fn a_profile_is_known_by_any_face_of_its_id_and_never_twice() {
    let uuid = sendwright_workflows::ids::uuid(sendwright_workflows::ids::Kind::Profile, 42);
    for face in [json!(42), json!("42"), json!(uuid)] {
        let body = CampaignBody::from_json(&with(campaign(), "/sending_profile_id", face)).unwrap();
        assert_eq!(body.sending_profile_id, Some(42));
    }
    let both = with(with(campaign(), "/sending_profile_id", json!(1)), "/sending_profile", json!({}));
    refused(&both, "sending_profile", "conflict");
}

#[test]
fn a_slip_of_the_pen_is_a_warning() {
    let body = with(with(campaign(), "/quite_hours", json!("x")), "/steps/0/delay_day", json!(1));
    let body = with(body, "/steps/0/template", json!("{{favourite}}"));
    let warnings = CampaignBody::from_json(&body).unwrap().warnings;
    let mut told = faults(&warnings);
    told.sort_unstable();
    let expected = [
        ("quite_hours", "unknown_field"),
        ("steps[0].delay_day", "unknown_field"),
        ("steps[0].template", "unknown_variable"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn every_rule_of_a_sending_profile_names_its_field() {
    let good = json!({"name": "Main", "smtp_url": "smtps://me:hunter2@mail.example.com:465", "from_email": "a@b.example",
                      "from_name": "Anna", "reply_to": "c@b.example", "rate_limit_per_second": 2.5,
                      "rate_limit_per_minute": 60, "rate_limit_per_day": 1000, "timezone": "Europe/Berlin"});
    let body = ProfileBody::from_json(&good).unwrap();
    assert_eq!(
        (body.rates.per_second, body.rates.per_minute, body.rates.per_day),
        (Some(2.5), Some(60), Some(1_000))
    );
    assert!(!format!("{body:?}").contains("hunter2"));
    for (pointer, value, code) in [
        ("/name", Value::Null, "required"),
        ("/smtp_url", json!("http://hunter2"), "invalid_format"),
        ("/smtp_url", json!("smtp://"), "invalid_format"),
        ("/smtp_url", json!("smtp://me:hunter2@:25"), "invalid_format"),
        ("/smtp_url", json!("smtp://host:99999"), "invalid_format"),
        ("/smtp_url", json!("smtp://ho st"), "invalid_format"),
        ("/from_email", json!("Anna <a@b.example>"), "invalid_email"),
        ("/from_name", json!("Anna\r\nBcc: x@y.example"), "invalid_format"),
        ("/reply_to", json!("a@b"), "invalid_email"),
        ("/rate_limit_per_second", json!(1e9), "out_of_range"),
        ("/rate_limit_per_minute", json!(0), "out_of_range"),
        ("/rate_limit_per_minute", json!(1.5), "invalid_type"),
        ("/rate_limit_per_day", json!(-1), "out_of_range"),
        ("/timezone", json!("CEST+1"), "invalid_timezone"),
        ("/on_uncertain", json!("maybe"), "invalid_choice"),
    ] {
        let errors = ProfileBody::from_json(&with(good.clone(), pointer, value)).unwrap_err();
        assert_eq!(faults(&errors), [(&pointer[1..], code)]);
        assert!(!format!("{errors:?}").contains("hunter2"));
    }
    for url in ["smtp://localhost", "smtp://[::1]:2525", "smtp://u:p%40ss@host:587?tls=required"] {
        assert!(ProfileBody::from_json(&with(good.clone(), "/smtp_url", json!(url))).is_ok(), "{url}");
    }
}

#[test]
fn every_rule_of_a_lead_names_its_field() {
    let lead = json!({"email": "lead@example.com"});
    let deep = "x".repeat(8 * 1024);
    let many: serde_json::Map<String, Value> = (0..101).map(|n| (format!("a{n}"), json!(n))).collect();
    let heavy: serde_json::Map<String, Value> =
        (0..9).map(|n| (format!("a{n}"), json!("x".repeat(8_000)))).collect();
    for (pointer, value, field, code) in [
        ("/email", Value::Null, "email", "required"),
        ("/email", json!(""), "email", "invalid_email"),
        ("/email", json!("a@b"), "email", "invalid_email"),
        ("/email", json!("a@example.com\r\nBcc: b@example.com"), "email", "invalid_email"),
        ("/email", json!(["a@example.com"]), "email", "invalid_type"),
        ("/first_name", json!("A\u{0}"), "first_name", "control_character"),
        ("/last_name", json!("x".repeat(501)), "last_name", "too_long"),
        ("/company", json!({"name": "x"}), "company", "invalid_type"),
        ("/title", json!(1), "title", "invalid_type"),
        ("/phone", json!("1\n2"), "phone", "control_character"),
        ("/website", json!("x".repeat(2_049)), "website", "too_long"),
        ("/industry", json!(true), "industry", "invalid_type"),
        ("/timezone", json!("Berlin"), "timezone", "invalid_timezone"),
        ("/external_id", json!(12), "external_id", "invalid_type"),
        ("/campaign_id", json!("none"), "campaign_id", "reference_not_found"),
        ("/campaign_id", json!([1]), "campaign_id", "invalid_type"),
        ("/attributes", json!("x"), "attributes", "invalid_type"),
        ("/attributes", json!({"email": "x"}), "attributes.email", "reserved_name"),
        ("/attributes", Value::Object(many), "attributes", "too_many"),
        ("/attributes", Value::Object(heavy), "attributes", "too_long"),
        ("/notes", json!(deep), "notes", "too_long"),
        ("/notes", json!({"list": ["a\u{0}"]}), "notes", "control_character"),
    ] {
        let errors = LeadBody::from_json(&with(lead.clone(), pointer, value)).unwrap_err();
        assert_eq!(faults(&errors), [(field, code)]);
    }
    let errors = LeadBody::from_json(&json!({"email": "x", "timezone": "x", "title": 1})).unwrap_err();
    assert_eq!(errors.len(), 3, "{errors:?}");
}

#[test]
fn unknown_fields_of_a_lead_are_attributes_kept_as_they_are() {
    let lead = json!({"email": " Lead@Example.COM ", "phone": "(212) 555-0106 ext. 7", "first_name": null,
                      "timezone": "", "plan": "team", "seats": 4, "tags": ["a", {"b": 1}], "gone": null,
                      "attributes": {"plan": "solo", "since": "2024"}, "campaign_id": "7"});
    let lead = LeadBody::from_json(&lead).unwrap();
    assert_eq!(lead.email.as_str(), "Lead@example.com");
    assert_eq!(lead.phone.as_deref(), Some("(212) 555-0106 ext. 7"));
    assert_eq!((lead.first_name.as_ref(), lead.timezone, lead.campaign_id), (None, None, Some(7)));
    let expected = json!({"plan": "team", "seats": 4, "tags": ["a", {"b": 1}], "since": "2024"});
    assert_eq!(Value::Object(lead.attributes.clone()), expected);
    let contact = lead.into_contact(9);
    assert_eq!((contact.id, contact.email.as_deref()), (9, Some("Lead@example.com")));
}

#[test]
fn an_attribute_never_replaces_what_the_lead_says_of_itself() {
    use sendwright_workflows::render::{Kind, render};
    use sendwright_workflows::variables::{Fields, Variables};
    let lead = json!({"email": "a@example.com", "company": "Real", "company_name": "Other", "unsubscribe_url": "http://evil.example"});
    let contact = LeadBody::from_json(&lead).unwrap().into_contact(1);
    let fields = Fields { unsubscribe_url: Some("https://ours.example/u"), ..contact.fields() };
    let text = render(Kind::Text, "{{company_name}} {{unsubscribe_url}}", &Variables::new(&fields)).unwrap();
    assert_eq!(text, "Real https://ours.example/u");
}

#[test]
fn a_csv_is_read_by_its_header_whatever_its_case_and_spaces() {
    let columns =
        Columns::read(["\u{feff}E-Mail", " First Name", "TIMEZONE", "Plan Tier", "", "campaignId"]).unwrap();
    let row = ["ada@example.com", "Ada", "Europe/Berlin", "gold", "ignored", "3"];
    let lead = LeadBody::from_csv(&columns, row).unwrap();
    assert_eq!(lead.email.as_str(), "ada@example.com");
    assert_eq!(lead.first_name.as_deref(), Some("Ada"));
    assert_eq!((lead.timezone, lead.campaign_id), (Some("Europe/Berlin".parse::<Zone>().unwrap()), Some(3)));
    assert_eq!(Value::Object(lead.attributes), json!({"Plan_Tier": "gold"}));

    let empty = LeadBody::from_csv(&columns, ["ada@example.com", "", " ", "", "", ""]).unwrap();
    assert_eq!((empty.first_name, empty.timezone, empty.attributes.len()), (None, None, 0));
    for ragged in [&row[..5], &[row.as_slice(), &["more"]].concat()] {
        let errors = LeadBody::from_csv(&columns, ragged.iter().copied()).unwrap_err();
        assert_eq!(faults(&errors), [("row", "columns")]);
    }
    let errors = LeadBody::from_csv(&columns, ["", "a\u{1}", "x", "", "", ""]).unwrap_err();
    let expected =
        [("email", "required"), ("first_name", "control_character"), ("timezone", "invalid_timezone")];
    assert_eq!(faults(&errors), expected);
}

#[test]
fn a_header_needs_an_address_and_no_name_twice() {
    assert_eq!(faults(&Columns::read(["name"]).unwrap_err()), [("email", "columns")]);
    assert_eq!(faults(&Columns::read(["email", "plan", "plan"]).unwrap_err()), [("plan", "columns")]);
    assert_eq!(faults(&Columns::read(["email", "E-mail"]).unwrap_err()), [("email", "columns")]);
}

#[test]
fn the_zone_is_the_contacts_then_the_campaigns_then_the_accounts() {
    let mut lead = LeadBody::from_json(&json!({"email": "a@example.com", "timezone": "Asia/Tokyo"}))
        .unwrap()
        .into_contact(1);
    assert_eq!(
        contact::zone(&lead, Some("Europe/Berlin".parse::<Zone>().unwrap()), Zone::UTC),
        "Asia/Tokyo".parse::<Zone>().unwrap()
    );
    lead.timezone = None;
    assert_eq!(
        contact::zone(&lead, Some("Europe/Berlin".parse::<Zone>().unwrap()), Zone::UTC),
        "Europe/Berlin".parse::<Zone>().unwrap()
    );
    assert_eq!(
        contact::zone(&lead, None, "America/New_York".parse::<Zone>().unwrap()),
        "America/New_York".parse::<Zone>().unwrap()
    );
}
