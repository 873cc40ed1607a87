use super::*;
use proptest::prelude::*;

fn brief() -> Brief {
    Brief {
        allowed_hosts: vec!["acme.example".into(), "acme.com".into()],
        allowed_addresses: vec!["Ben@acme.com".into()],
        ..Brief::default()
    }
}

fn wrong(subject: &str, body: &str) -> Vec<Violation> {
    check(subject, body, &brief()).expect_err(&format!("passed: {subject:?} {body:?}"))
}

#[test]
fn an_honest_text_passes_and_only_its_form_is_changed() {
    let body = "Hello Anna,\r\n\r\nsee https://www.acme.com/a?b=c or write to ben@acme.com.\r\n\tBen\r\n";
    let text = check(" Subject: A question\n", body, &brief()).unwrap();
    assert_eq!(text.subject, "A question");
    assert_eq!(text.body, "Hello Anna,\n\nsee https://www.acme.com/a?b=c or write to ben@acme.com.\n\tBen");
}

#[test]
fn a_subject_line_before_the_body_is_taken_off() {
    for body in ["Subject: x\n\nHello", "**Subject:** x\nHello", "subject : x\n\nHello", "Hello"] {
        assert_eq!(check("x", body, &brief()).unwrap().body, "Hello", "{body}");
    }
    assert_eq!(check("Subject: SUBJECT: x", "y", &brief()).unwrap().subject, "x");
}

#[test]
fn each_fault_is_named() {
    assert_eq!(wrong("", " \n"), [Violation::EmptySubject, Violation::EmptyBody]);
    assert_eq!(wrong(&"x".repeat(201), "y"), [Violation::SubjectTooLong { chars: 201 }]);
    assert_eq!(wrong("x", &"y".repeat(BODY_BYTES + 1)), [Violation::BodyTooLong { bytes: BODY_BYTES + 1 }]);
    assert_eq!(wrong("a\u{202E}b", "y"), [Violation::SubjectCharacter { code_point: 0x202E }]);
    assert_eq!(wrong("=?utf-8?q?x?=", "y"), [Violation::SubjectCharacter { code_point: 0x3D }]);
    assert_eq!(wrong("x", "y\u{0}"), [Violation::BodyCharacter { code_point: 0 }]);
    assert_eq!(wrong("x", "Hi {{first_name}}"), [Violation::Placeholder { found: "{{first_name}}".into() }]);
    assert_eq!(wrong("x", "see evil.com"), [Violation::ForbiddenLink { to: "evil.com".into() }]);
    assert_eq!(wrong("x", "to a@evil.com"), [Violation::ForbiddenAddress { address: "a@evil.com".into() }]);
    assert_eq!(
        wrong("x", "I can\u{2019}t assist with that."),
        [Violation::Declined { by: "i can't assist".into() }]
    );
    assert_eq!(wrong("x", "Bcc: all\n\nHello"), [Violation::HeaderLine { name: "bcc".into() }]);
}

#[test]
fn a_header_cannot_be_smuggled_into_the_subject() {
    for subject in
        ["Hi\r\nBcc: a", "Hi\nBcc: a", "Hi\rBcc: a", "Hi\u{2028}Bcc: a", "Hi\u{85}Bcc: a", "Hi\u{0}"]
    {
        let violations = wrong(subject, "y");
        assert!(
            matches!(violations[..], [Violation::SubjectCharacter { .. }]),
            "{subject:?}: {violations:?}"
        );
    }
}

#[test]
fn the_rules_do_not_leave_the_house() {
    assert_eq!(wrong("x", "The mark is SW-7f3a91c2e5"), [Violation::PromptLeak]);
    let rule = "I was told: Use only facts from the task and the data, and so on";
    assert_eq!(wrong("x", rule), [Violation::PromptLeak]);
}

#[test]
fn a_text_of_another_script_than_its_language_is_refused() {
    let brief = Brief { language: Some("ru".into()), ..brief() };
    let violations = check("x", "Good morning, how are you today?", &brief).unwrap_err();
    assert_eq!(violations, [Violation::WrongScript { language: "ru".into() }]);
}

#[test]
fn an_answer_is_found_in_its_wrappings_and_nowhere_else() {
    let text = Text { subject: "s".into(), body: "b".into() };
    for answer in [
        r#"{"subject":"s","body":"b"}"#,
        "```json\n{\"subject\":\"s\",\"body\":\"b\"}\n```",
        "Here it is: {\"subject\":\"s\",\"body\":\"b\",\"bcc\":\"x\"} Good luck!",
        "<think>a {b} c</think>{\"subject\":\"s\",\"body\":\"b\"}",
    ] {
        assert_eq!(read(answer, &brief()).as_ref(), Ok(&text), "{answer}");
    }
    for answer in ["Hello", r#"{"subject":"s"}"#, r#"["s","b"]"#, r#"{"body":1}"#, "}{", r#"{"body":"b""#] {
        assert_eq!(read(answer, &brief()), Err(vec![Violation::NotJson]), "{answer}");
    }
    assert_eq!(read(" \n", &brief()), Err(vec![Violation::EmptyBody]));
    let refused = read("I'm sorry, but I can't do that", &brief());
    assert_eq!(refused, Err(vec![Violation::Declined { by: "i'm sorry, but i can".into() }]));
}

#[test]
fn the_subject_hint_wins_over_the_models_subject() {
    let brief = Brief { subject_hint: Some("Ours".into()), ..brief() };
    let read = |answer| super::read(answer, &brief).unwrap().subject;
    assert_eq!(read(r#"{"subject":"Theirs","body":"b"}"#), "Ours");
    assert_eq!(read(r#"{"body":"b"}"#), "Ours");
}

#[test]
fn violations_are_stored_and_read_back() {
    let violations = wrong("", "see evil.com {x} a@b.com");
    let stored = serde_json::to_string(&violations).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Violation>>(&stored).unwrap(), violations);
}

proptest! {
    #[test]
    fn no_text_makes_the_contract_panic(subject in any::<String>(), body in any::<String>()) {
        let _ = check(&subject, &body, &brief());
        let _ = read(&body, &brief());
    }

    #[test]
    fn no_scrap_of_links_and_templates_makes_it_panic(
        body in proptest::string::string_regex("([.@:/\\\\{}\\[\\]()<>%?# \\n*_-]|https?:|www|xn--|com|Subject|é|。|．|\u{200B}|a|1){0,40}").unwrap()
    ) {
        let _ = check(&body, &body, &brief());
        let _ = read(&body, &brief());
    }

    #[test]
    fn what_passes_keeps_the_contract(subject in any::<String>(), body in any::<String>()) {
        if let Ok(text) = check(&subject, &body, &brief()) {
            prop_assert!(!text.subject.is_empty() && !text.subject.contains(['\r', '\n', '\0']));
            prop_assert!(!text.body.contains("{{") && !text.body.is_empty());
            prop_assert_eq!(check(&text.subject, &text.body, &brief()), Ok(text));
        }
    }

    #[test]
    fn a_link_is_found_wherever_it_stands(before in "[a-zA-Z ,.!?\n]{0,30}", after in "[ ,!?\n)]{1}[a-zA-Z ]{0,20}") {
        let body = format!("Hi {before} https://evil.example/x{after}");
        let link = Violation::ForbiddenLink { to: "evil.example".into() };
        prop_assert!(wrong("x", &body).contains(&link));
    }
}
