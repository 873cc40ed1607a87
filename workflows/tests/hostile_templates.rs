//! No template, however made, brings the process down or keeps it busy.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use proptest::prelude::*;
use sendwright_workflows::render::{Kind, MAX_OUTPUT, MAX_SUBJECT, Template, check};
use sendwright_workflows::variables::{Fields, Variables};
use serde_json::{Map, Value, json};

const KINDS: [Kind; 3] = [Kind::Subject, Kind::Text, Kind::Html];

fn hostile_values() -> Variables {
    let list: Vec<Value> = (0..64).map(|_| json!((0..64).collect::<Vec<i32>>())).collect();
    let attributes =
        json!({ "list": list, "text": "ß\u{202e}{{x}}".repeat(400), "a": "each", "b": [], "c": 1.5 });
    let attributes: Map<String, Value> = attributes.as_object().cloned().unwrap();
    let values =
        Variables::new(&Fields { email: "a@b.example", attributes: Some(&attributes), ..Fields::default() });
    assert!(values.get("text").is_some() && values.get("list").is_some());
    values
}

/// Checks and, if that succeeds, renders on a stack as small as a worker thread's.
fn survives(source: String) -> Duration {
    let run = move || {
        let (values, start) = (hostile_values(), Instant::now());
        for kind in KINDS {
            if let Ok(template) = Template::compile(kind, &source)
                && let Ok(text) = template.render(&values)
            {
                assert!(text.len() <= if kind == Kind::Subject { MAX_SUBJECT } else { MAX_OUTPUT });
            }
        }
        start.elapsed()
    };
    std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(run).unwrap().join().unwrap()
}

fn filled(start: &str, unit: &str, end: &str) -> String {
    let times = (256 * 1024 - start.len() - end.len()) / unit.len();
    format!("{start}{}{end}", unit.repeat(times))
}

fn nested(open: &str, inside: &str, close: &str, depth: usize) -> String {
    format!("{}{inside}{}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn known_bombs_are_survived_within_seconds_even_unoptimised() {
    let each = |body: &str, times: usize| {
        format!("{{{{#each list}}}}{{{{#each this}}}}{}{{{{/each}}}}{{{{/each}}}}", body.repeat(times))
    };
    let bombs = [
        "(".repeat(100_000),
        format!("{{{{{}", "(".repeat(100_000)),
        format!("{{{{upper {}x{}}}}}", "(lower ".repeat(16), ")".repeat(16)),
        format!("{{{{upper {}x{}}}}}", "(lower ".repeat(30_000), ")".repeat(30_000)),
        format!("{{{{upper {}1{}}}}}", "[".repeat(100_000), "]".repeat(100_000)),
        "{{#if x}}".repeat(100_000),
        "{{#if x}}".repeat(20_000),
        nested("{{#if x}}", "", "{{/if}}", 10_000),
        nested("{{#unless x}}", "{{c}}", "{{/unless}}", 16),
        nested("{{#with @root}}", "{{c}}", "{{/with}}", 16),
        filled("{{#if x}}", "{{else if y}}", "{{/if}}"),
        filled("", "{{#*inline \"a\"}}{{> a}}{{/inline}}{{> a}}", ""),
        filled("", "{{c}}", ""),
        filled("", "{{", ""),
        filled("", "}}", ""),
        filled("", "{", ""),
        filled("", "\\", ""),
        filled("", "\\", "{{c}}"),
        filled("", &format!("{}x", "\\".repeat(16)), ""),
        filled("", "\\{{", ""),
        filled("", "\\{{{{", ""),
        filled("{{!--", "-", ""),
        filled("", "{{!--", ""),
        filled("", "{{!--}}", ""),
        filled(&"{{c}} \n".repeat(63), " ", ""),
        filled(&"{{#if c}}\n{{/if}}\n".repeat(30), "a\n", ""),
        filled("{{c", " ", "}}"),
        filled("{{upper \"", "a", "\"}}"),
        filled("{{", "../", "x}}"),
        filled("{{", "a.", "x}}"),
        filled("{{upper", " a=1", "}}"),
        filled("{{{{", "{", ""),
        "a".repeat(10 * 1024 * 1024),
        "{{#if x}}".repeat(1024 * 1024 + 1),
        each("{{this}}", 6),
        each("{{#if (eq (upper @root.text) (lower @root.text))}}{{/if}}", 1),
        each("{{upper @root.text}}", 3),
        each("{{#each @root.list}}{{/each}}", 1),
        "{{#each list}}{{@root.list}}{{/each}}".to_owned(),
        "{{#each @root}}{{this}}{{/each}}".to_owned(),
        "{{@../../../index}}{{../../c}}{{./c}}{{this.this.c}}{{@root}}".to_owned(),
    ];
    for bomb in bombs {
        let label: String = bomb.chars().take(60).collect();
        let took = survives(bomb);
        assert!(took < Duration::from_secs(20), "{label}… took {took:?}");
    }
}

#[test]
fn a_long_mail_with_many_tags_is_still_allowed() {
    let line =
        "<p style=\"margin:0\">Dear {{default first_name \"friend\"}}, this is a paragraph of text.</p>\n";
    assert!(check(Kind::Html, &line.repeat(300)).is_ok());
}

/// Pieces that a template is made of, right and wrong.
fn pieces() -> impl Strategy<Value = String> {
    let words = [
        "{{",
        "}}",
        "{{{",
        "}}}",
        "{{{{",
        "}}}}",
        "{",
        "}",
        "~",
        "#",
        "/",
        "^",
        "&",
        ">",
        "*",
        "!",
        "--",
        "(",
        ")",
        "[",
        "]",
        "\\",
        "\\\\",
        "\"",
        "'",
        "=",
        "|",
        "as |a b|",
        ".",
        "..",
        "../",
        "@",
        "@root",
        "@index",
        "this",
        "else",
        "if",
        "unless",
        "each",
        "with",
        "eq",
        "default",
        "upper",
        "lookup",
        "inline",
        "raw",
        "list",
        "text",
        "a",
        "b",
        "c",
        "1",
        "-1.5E9",
        "null",
        "true",
        " ",
        "\n",
        "\r\n",
        "é",
        "\u{0}",
        "{{#if c}}",
        "{{/if}}",
        "{{else}}",
        "{{#each list}}",
        "{{/each}}",
        "{{#each this as |x i|}}",
        "{{#with c}}",
        "{{/with}}",
        "{{c}}",
        "{{else if c}}",
        "{{~c~}}",
        "{{~else~}}",
        "{{^}}",
        "{{upper (default a \"x\")}}",
        "{{!-- x --}}",
        "{{x.[y z].0}}",
        "{{#if (or a (not b))}}",
        "\\{{c}}",
        "\\\\{{c}}",
        "{{this}}",
        "{{@root.text}}",
        "\n  ",
        "{{#unless c}}",
        "{{/unless}}",
        "{{~#if c~}}",
        "{{~/if~}}",
        "{{~else if a~}}",
        "{{~^~}}",
        "{{^if a}}",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..40)
        .prop_map(|parts| parts.concat())
}

/// Templates that are right more often than not: blocks are closed.
fn trees() -> impl Strategy<Value = String> {
    let leaves = [
        "{{c}}",
        "{{this}}",
        "text \n",
        "{{default x \"y\"}}",
        "{{@index}}",
        "{{a}}",
        "{{~c~}}",
        "\\{{",
        "{{!x}}",
    ];
    let leaf = proptest::sample::select(leaves.to_vec()).prop_map(str::to_owned);
    leaf.prop_recursive(6, 40, 5, |inner| {
        let open =
            ["if c", "unless x", "each list", "each b", "with c", "if (eq a \"each\")", "each this as |v k|"];
        let middle = ["", "{{else}}", "{{^}}", "\n{{~else~}}\n", "{{else if a}}", "{{else if x}}y{{else}}"];
        (
            proptest::sample::select(open.to_vec()),
            proptest::collection::vec(inner.clone(), 0..4),
            proptest::sample::select(middle.to_vec()),
            inner,
        )
            .prop_map(|(open, inside, middle, rest)| {
                let name = open.split(' ').next().unwrap_or_default();
                format!("{{{{#{open}}}}}{}{middle}{rest}{{{{/{name}}}}}", inside.concat())
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_refused_or_rendered_within_the_cap(source in any::<String>()) {
        survives(source);
    }

    #[test]
    fn any_pile_of_template_pieces_is_refused_or_rendered_within_the_cap(source in pieces()) {
        survives(source);
    }

    #[test]
    fn any_well_formed_template_is_refused_or_rendered_within_the_cap(source in trees()) {
        survives(source);
    }

    #[test]
    fn a_refusal_points_into_the_text(source in pieces()) {
        if let Err(found) = check(Kind::Text, &source) {
            prop_assert!(!found.is_empty());
            for finding in found {
                let line = source.split('\n').nth(finding.line - 1);
                prop_assert!(line.is_some_and(|line| finding.column <= line.chars().count() + 1), "{finding:?}");
            }
        }
    }

    #[test]
    fn a_value_comes_out_of_a_text_as_it_went_in(value in "[^\\p{C}\\s]{1,80}") {
        let variables = Variables::new(&Fields { email: "a@b.example", first_name: Some(&value), ..Fields::default() });
        let template = Template::compile(Kind::Text, "{{first_name}}").unwrap();
        prop_assert_eq!(template.render(&variables).unwrap(), value.clone());
        let html = Template::compile(Kind::Html, "{{first_name}}").unwrap().render(&variables).unwrap();
        prop_assert!(!html.contains(['<', '>', '"', '\'']));
    }
}
