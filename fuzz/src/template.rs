//! Templates: what is taken renders within its bounds, to a text in which no value is markup.

use crate::{Target, about, kind};
use sendwright_workflows::render::{
    Finding, Kind, MAX_OUTPUT, MAX_SOURCE, MAX_SUBJECT, RenderError, Template,
};
use sendwright_workflows::sequence::Syntax;
use sendwright_workflows::variables::{Fields, Variables};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

pub const TARGET: Target = Target {
    name: "template",
    run,
    words: &[
        "{{",
        "}}",
        "{{{",
        "}}}",
        "{{~",
        "~}}",
        "{{#if ",
        "{{/if}}",
        "{{else}}",
        "{{else if ",
        "{{#unless ",
        "{{#each ",
        "{{/each}}",
        "{{#with ",
        "{{@index}}",
        "{{this}}",
        "{{!-- ",
        "--}}",
        "{{> ",
        "{{* ",
        "{{&",
        "{{lookup ",
        "../",
        "default ",
        "upper ",
        "lower ",
        "trim ",
        "capitalize ",
        "(eq ",
        "(and ",
        "(not ",
        ")",
        "first_name",
        "email",
        "attributes.city",
        "attributes.tags",
        " as |x|",
        "\\{{",
        "\"<b>\"",
        "{name}",
        "{first_name}",
        "{",
        "}",
        "<a href=\"",
    ],
};

/// A value that would be markup, or a template, if it were not text.
const VALUE: &str = "<i>\"{{email}}\"&\r\n</i>";

fn run(input: &[u8]) -> u64 {
    let Some((&how, source)) = input.split_first() else { return 0 };
    let purpose = [Kind::Subject, Kind::Text, Kind::Html][usize::from(how % 3)];
    let syntax = if how & 8 == 0 { Syntax::Handlebars } else { Syntax::Brace };
    let source = String::from_utf8_lossy(source);
    let template = match Template::compile_in(syntax, purpose, &source) {
        Ok(template) => template,
        Err(findings) => {
            refused(&findings);
            let codes: BTreeSet<&str> = findings.iter().map(|finding| finding.code).collect();
            return kind(("refused", codes));
        }
    };
    assert!(source.len() <= MAX_SOURCE, "{} bytes were taken", source.len());
    let ends = [Value::Null, json!(VALUE), json!([VALUE, "b"])]
        .map(|value| rendered(&template, purpose, &source, &value));
    let asked = template.variables().len();
    kind((
        "taken",
        purpose,
        syntax == Syntax::Brace,
        ends,
        about(asked),
        about(source.matches("{{#").count()),
    ))
}

fn refused(findings: &[Finding]) {
    assert!((1..=Finding::MOST).contains(&findings.len()), "{} findings", findings.len());
    for finding in findings {
        assert!(finding.line > 0 && finding.column > 0 && !finding.message.is_empty(), "{finding:?}");
    }
}

/// Renders it with this value for everything it asks for; how that ended.
fn rendered(template: &Template, purpose: Kind, source: &str, value: &Value) -> &'static str {
    let asked = template.variables();
    let names = asked.iter().filter_map(|name| name.strip_prefix("attributes.").or(Some(name)));
    let attributes: Map<String, Value> = names.map(|name| (name.to_owned(), value.clone())).collect();
    let text = value.as_str();
    let fields = Fields {
        email: "a@example.com",
        first_name: text,
        last_name: text,
        company: text,
        attributes: Some(&attributes),
        ..Fields::default()
    };
    let variables = Variables::new(&fields);
    let rendered = template.render(&variables);
    assert_eq!(rendered, template.render(&variables), "the same twice");
    match rendered {
        Ok(text) => {
            bounded(purpose, &text);
            if purpose == Kind::Html && !source.contains("<i>") {
                assert!(!text.contains("<i>"), "a value is markup in {text:?}");
            }
            if !source.contains("a@example.com") && !source.contains("email") {
                assert!(!text.contains("a@example.com"), "a value was read as a template: {text:?}");
            }
            "rendered"
        }
        Err(RenderError::Missing { .. }) => "missing",
        Err(RenderError::Unfit { .. }) => "unfit",
        Err(RenderError::TooLong) => "too long",
        Err(RenderError::Refused(findings)) => panic!("taken, and refused: {findings:?}"),
    }
}

fn bounded(purpose: Kind, text: &str) {
    assert!(text.len() <= MAX_OUTPUT, "{} bytes", text.len());
    assert!(!text.contains('\r'), "a line end of another kind in {text:?}");
    if purpose == Kind::Subject {
        assert!(text.len() <= MAX_SUBJECT && !text.chars().any(char::is_control), "no header line: {text:?}");
    }
}
