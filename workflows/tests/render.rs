//! Templates: what is allowed renders as handlebars does, what is not is refused with its place.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use sendwright_workflows::render::{
    Finding, Kind, MAX_OUTPUT, MAX_SUBJECT, RenderError, Template, check, render,
};
use sendwright_workflows::sequence::Syntax;
use sendwright_workflows::variables::{Fields, Variables};
use serde_json::{Map, Value, json};

fn attributes(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

fn john() -> Variables {
    let attributes = attributes(json!({
        "city": "Berlin",
        "Company Size": 42,
        "tags": ["red", "green", "blue"],
        "offices": [{ "city": "Rome", "staff": ["Ada", "Bob"] }, { "city": "Oslo", "staff": ["Eve"] }],
        "vip": true,
        "nobody": "  ",
        "plan": null,
        "bomb": "{{first_name}} {{#each tags}}x{{/each}}",
        "long": vec![1; 65],
    }));
    Variables::new(&Fields {
        email: "john@acme.example",
        first_name: Some("John"),
        last_name: Some("O'Neil <Jr>"),
        company: Some("Acme & Sons"),
        title: Some("CTO"),
        attributes: Some(&attributes),
        unsubscribe_url: Some("https://mail.example/u/abc"),
        sender_name: Some("Ann"),
        campaign_name: Some("Spring"),
        step_number: Some(2),
        ..Fields::default()
    })
}

#[track_caller]
fn text(source: &str) -> String {
    render(Kind::Text, source, &john()).unwrap()
}

#[track_caller]
fn failure(source: &str) -> RenderError {
    render(Kind::Text, source, &john()).unwrap_err()
}

/// Code, line and column of everything found.
#[track_caller]
fn findings(kind: Kind, source: &str) -> Vec<(&'static str, usize, usize)> {
    check(kind, source).unwrap_err().into_iter().map(|f| (f.code, f.line, f.column)).collect()
}

#[track_caller]
fn assert_refused(source: &str, code: &str) {
    for kind in [Kind::Text, Kind::Html] {
        let found = check(kind, source).expect_err(source);
        assert!(found.iter().any(|f| f.code == code), "{source}: {found:?}");
    }
}

#[test]
fn every_documented_name_has_its_value() {
    let names = "{{first_name}}|{{last_name}}|{{name}}|{{full_name}}|{{email}}|{{company}}|{{company_name}}|\
                 {{business_name}}|{{title}}|{{job_title}}|{{sender_name}}|{{from_name}}|{{campaign_name}}|\
                 {{step_number}}|{{unsubscribe_url}}";
    assert_eq!(
        text(names),
        "John|O'Neil <Jr>|John O'Neil <Jr>|John O'Neil <Jr>|john@acme.example|Acme & Sons|Acme & Sons|\
         Acme & Sons|CTO|CTO|Ann|Ann|Spring|2|https://mail.example/u/abc"
    );
}

#[test]
fn attributes_are_reached_by_name_by_map_and_with_spaces() {
    assert_eq!(
        text("{{city}} {{attributes.city}} {{[Company Size]}} {{attributes.[Company Size]}}"),
        "Berlin Berlin 42 42"
    );
}

#[test]
fn blocks_helpers_comments_and_escapes_work() {
    assert_eq!(text("{{#if vip}}yes{{else}}no{{/if}} {{#unless vip}}no{{else}}yes{{/unless}}"), "yes yes");
    assert_eq!(text("{{#if phone}}a{{else if (eq city \"Berlin\")}}b{{else}}c{{/if}}"), "b");
    assert_eq!(
        text("{{#each tags}}{{@index}}{{this}}{{#unless @last}},{{/unless}}{{/each}}"),
        "0red,1green,2blue"
    );
    assert_eq!(
        text("{{#each tags as |tag i|}}{{i}}={{tag}} of {{@root.first_name}};{{/each}}"),
        "0=red of John;1=green of John;2=blue of John;"
    );
    assert_eq!(
        text("{{#each offices}}{{city}}:{{#each staff}}{{this}}@{{../city}} {{/each}}{{/each}}"),
        "Rome:Ada@Rome Bob@Rome Oslo:Eve@Oslo "
    );
    assert_eq!(text("{{#each offices.[0]}}{{@key}} {{/each}}"), "city staff ");
    assert_eq!(text("{{#with offices.[1]}}{{city}}{{/with}} {{offices.0.city}}"), "Oslo Rome");
    assert_eq!(
        text("{{upper city}} {{lower city}} {{capitalize \"über\"}} {{trim \" a \"}}!"),
        "BERLIN berlin Über a!"
    );
    assert_eq!(
        text("{{#if (and vip city)}}1{{/if}}{{#if (or phone nobody)}}2{{/if}}{{#if (not phone)}}3{{/if}}"),
        "13"
    );
    assert_eq!(
        text(
            "{{#if (ne city \"Rome\")}}1{{/if}}{{#if (eq phone \"x\")}}2{{/if}}{{#if (eq [Company Size] 42)}}3{{/if}}"
        ),
        "13"
    );
    assert_eq!(
        text("a{{! note }}b{{!-- {{#if}} }} --}}c \\{{first_name}} {name} ${x} }}"),
        "abc {{first_name}} {name} ${x} }}"
    );
    assert_eq!(text("{{#if vip}}\nline\n{{/if}}\nend"), "line\nend");
    assert_eq!(text("a  {{~first_name~}}  b"), "aJohnb");
}

#[test]
fn the_text_of_the_documents_renders() {
    let source = "Hi {{first_name}}, how is {{company_name}} doing in {{default industry \"your field\"}}?";
    assert_eq!(text(source), "Hi John, how is Acme & Sons doing in your field?");
}

#[test]
fn a_missing_value_is_an_error_that_names_it_and_its_place() {
    let missing =
        |variable: &str, line, column| RenderError::Missing { variable: variable.into(), line, column };
    assert_eq!(failure("Hi\n  {{phone}}"), missing("phone", 2, 3));
    assert_eq!(failure("{{upper phone}}"), missing("phone", 1, 1));
    assert_eq!(failure("{{#if vip}}\n{{industry}}{{/if}}"), missing("industry", 2, 1));
    assert_eq!(failure("{{#each absent}}x{{/each}}"), missing("absent", 1, 1));
    assert_eq!(failure("{{attributes.zip}}"), missing("attributes.zip", 1, 1));
    assert_eq!(failure("{{default phone industry}}"), missing("phone", 1, 1));
    assert!(failure("{{phone}}").to_string().contains("{{default phone \"…\"}}"));
}

#[test]
fn an_empty_value_is_a_missing_one() {
    assert!(matches!(failure("{{nobody}}"), RenderError::Missing { .. }));
    assert!(matches!(failure("{{plan}}"), RenderError::Missing { .. }));
    assert_eq!(text("{{default nobody \"there\"}} {{#if nobody}}a{{else}}b{{/if}}"), "there b");
    let nameless =
        Variables::new(&Fields { email: "a@b.example", first_name: Some(" "), ..Fields::default() });
    assert_eq!(render(Kind::Text, "Hi {{default first_name \"there\"}}", &nameless).unwrap(), "Hi there");
    assert!(nameless.get("name").is_none());
}

#[test]
fn a_value_is_never_read_as_a_template() {
    assert_eq!(text("{{bomb}}"), "{{first_name}} {{#each tags}}x{{/each}}");
    assert_eq!(text("{{upper (lower bomb)}}"), "{{FIRST_NAME}} {{#EACH TAGS}}X{{/EACH}}");
}

#[test]
fn html_is_escaped_and_nothing_else_is() {
    let source = "{{company}} {{last_name}} {{upper company}} {{default last_name \"<b>\"}}";
    assert_eq!(
        render(Kind::Html, source, &john()).unwrap(),
        "Acme &amp; Sons O&#x27;Neil &lt;Jr&gt; ACME &amp; SONS O&#x27;Neil &lt;Jr&gt;"
    );
    for kind in [Kind::Text, Kind::Subject] {
        assert_eq!(render(kind, source, &john()).unwrap(), "Acme & Sons O'Neil <Jr> ACME & SONS O'Neil <Jr>");
    }
    assert_eq!(
        render(Kind::Html, "{{#each tags}}<i>{{this}}</i>{{/each}}", &john()).unwrap(),
        "<i>red</i><i>green</i><i>blue</i>"
    );
}

#[test]
fn no_value_injects_a_header() {
    let bad = "Bob\r\nBcc: all@example.com\u{0}\u{2028}\u{85}x";
    let attributes = attributes(json!({ "note": bad }));
    let fields = Fields {
        email: "a@b.example",
        first_name: Some(bad),
        company: Some(bad),
        sender_name: Some(bad),
        attributes: Some(&attributes),
        ..Fields::default()
    };
    let subject = "{{first_name}}/{{company}}/{{sender_name}}/{{note}}/{{attributes.note}}";
    let subject = render(Kind::Subject, subject, &Variables::new(&fields)).unwrap();
    assert!(!subject.contains(|c: char| c.is_control() || c == '\u{2028}'), "{subject:?}");
    assert!(subject.starts_with("Bob  Bcc: all@example.com"));
}

#[test]
fn a_subject_is_trimmed_and_cut_between_characters() {
    assert_eq!(render(Kind::Subject, "  Hi {{first_name}} ", &john()).unwrap(), "Hi John");
    let long = "ü".repeat(600);
    let subject = render(Kind::Subject, &long, &john()).unwrap();
    assert_eq!(subject.len(), MAX_SUBJECT);
    assert!(long.starts_with(&subject));
}

#[test]
fn a_body_has_plain_line_ends() {
    assert_eq!(text("a\r\nb\rc\n\td"), "a\nb\nc\n\td");
    let attributes = attributes(json!({ "note": "1\r\n2\r3\u{7}" }));
    let variables =
        Variables::new(&Fields { email: "a@b.example", attributes: Some(&attributes), ..Fields::default() });
    assert_eq!(render(Kind::Text, "{{note}}", &variables).unwrap(), "1\n2\n3");
}

#[test]
fn what_is_not_allowed_is_refused_by_name() {
    for (source, code) in [
        ("{{#if a}}", "syntax"),
        ("{{/if}}", "syntax"),
        ("{{#if a}}{{/each}}", "syntax"),
        ("{{else}}", "syntax"),
        ("{{#if a}}{{else}}{{else}}{{/if}}", "syntax"),
        ("{{first_name", "syntax"),
        ("{{first_name}", "syntax"),
        ("{{first {{name}}", "syntax"),
        ("{{}}", "syntax"),
        ("{{~}}", "syntax"),
        ("{{!-- never closed }}", "syntax"),
        ("{{first name!}}", "syntax"),
        ("{{frobnicate first_name}}", "unknown_helper"),
        ("{{#first_name}}x{{/first_name}}", "unknown_helper"),
        ("{{lookup attributes \"x\"}}", "unknown_helper"),
        ("{{#if (lookup attributes first_name)}}{{/if}}", "unknown_helper"),
        ("{{log first_name}}", "unknown_helper"),
        ("{{len tags 1}}", "unknown_helper"),
        ("{{> other}}", "partial"),
        ("{{#> layout}}x{{/layout}}", "partial"),
        ("{{#*inline \"a\"}}{{> a}}{{/inline}}", "decorator"),
        ("{{* inline \"a\"}}", "decorator"),
        ("{{{{raw}}}} x {{{{/raw}}}}", "raw_block"),
        ("{{{company}}}", "unescaped"),
        ("{{ {company} }}", "unescaped"),
        ("{{~{company}~}}", "unescaped"),
        ("{{&company}}", "unescaped"),
        ("{{upper}}", "arguments"),
        ("{{default first_name}}", "arguments"),
        ("{{if vip}}", "arguments"),
        ("{{#eq a b}}{{/eq}}", "arguments"),
        ("{{#if a b}}{{/if}}", "arguments"),
        ("{{upper first_name x=1}}", "arguments"),
        ("{{(default first_name \"x\")}}", "arguments"),
        ("{{#if (vip)}}{{/if}}", "arguments"),
        ("{{#each [1]}}{{/each}}", "arguments"),
        ("{{this}}", "not_a_value"),
        ("{{attributes}}", "not_a_value"),
        ("{{@root.attributes}}", "not_a_value"),
        ("{{#each tags}}{{#each tags}}{{#each tags}}{{/each}}{{/each}}{{/each}}", "each_nesting"),
        ("a\u{0}b", "control_character"),
    ] {
        assert_refused(source, code);
    }
}

#[test]
fn all_faults_are_told_at_once_with_line_and_column() {
    assert_eq!(
        findings(Kind::Text, "é {{> a}}\n{{#if x}}\n  {{{b}}} {{/each}}\n{{c"),
        [("partial", 1, 3), ("syntax", 2, 1), ("unescaped", 3, 3), ("syntax", 3, 11), ("syntax", 4, 1)]
    );
    assert_eq!(
        findings(Kind::Text, "{{nope a}}\n\n  {{upper}}{{#if x}}{{also b}}{{/if}}"),
        [("unknown_helper", 1, 1), ("arguments", 3, 3), ("unknown_helper", 3, 21)]
    );
    assert_eq!(findings(Kind::Text, "a\n b {{x y!z}}")[0].1, 2);
    let crowd = "{{> a}}".repeat(100);
    assert_eq!(check(Kind::Text, &crowd).unwrap_err().len(), Finding::MOST);
}

#[test]
fn a_subject_has_one_line_and_the_error_says_where_it_breaks() {
    assert_eq!(findings(Kind::Subject, "Hi\r\nBcc: x"), [("newline_in_subject", 1, 3)]);
    assert!(check(Kind::Text, "Hi\r\nthere").is_ok());
}

#[test]
fn nesting_and_size_have_exact_limits() {
    let nested = |depth: usize| format!("{}{}", "{{#if a}}".repeat(depth), "{{/if}}".repeat(depth));
    assert!(check(Kind::Text, &nested(16)).is_ok());
    assert_eq!(findings(Kind::Text, &nested(17)), [("nesting", 1, 145)]);
    let chain = |links: usize| format!("{{{{#if a}}}}{}{{{{/if}}}}", "{{else if b}}x".repeat(links));
    assert!(check(Kind::Text, &chain(15)).is_ok());
    assert_refused(&chain(16), "nesting");
    assert!(check(Kind::Text, &nested(2).repeat(40)).is_ok());
    assert!(check(Kind::Text, &"a".repeat(256 * 1024)).is_ok());
    assert_refused(&"a".repeat(256 * 1024 + 1), "too_large");
    for tag in ["{{email}}", "\\{{", "{{!x}}"] {
        let filled =
            |tags: usize| format!("{}{}", tag.repeat(tags), "a".repeat(128 * 1024 - tags * tag.len()));
        assert!(check(Kind::Text, &filled(128)).is_ok());
        assert_refused(&filled(129), "too_many_tags");
    }
    assert_refused(&"\\".repeat(17), "backslashes");
}

#[test]
fn a_check_lists_variables_and_warns_of_what_only_an_attribute_can_be() {
    let source = "{{first_name}} {{city}} {{attributes.zip}} {{@root.email}} {{#each tags as |t|}}{{t}}{{x}}{{/each}}\
                  {{#if (eq industy \"x\")}}{{/if}}{{default phone \"-\"}}";
    let checked = check(Kind::Text, source).unwrap();
    let names: Vec<&str> = checked.variables.iter().map(String::as_str).collect();
    assert_eq!(names, ["attributes.zip", "city", "email", "first_name", "industy", "phone", "tags"]);
    let warned: Vec<usize> = checked.warnings.iter().map(|w| w.column).collect();
    assert_eq!(warned.len(), 3, "{:?}", checked.warnings);
    assert!(checked.warnings.iter().all(|w| w.code == "unknown_variable"));
}

#[test]
fn a_list_is_not_printed_where_one_value_is_meant() {
    for source in [
        "{{upper tags}}",
        "{{default tags \"x\"}}",
        "{{#if (eq tags \"x\")}}{{/if}}",
        "{{tags.red}}",
        "{{#each long}}{{/each}}",
    ] {
        assert!(matches!(failure(source), RenderError::Unfit { .. }), "{source}");
    }
}

#[test]
fn output_stops_at_its_cap() {
    let attributes = attributes(json!({ "big": "x".repeat(4000), "list": vec![0; 64] }));
    let variables =
        Variables::new(&Fields { email: "a@b.example", attributes: Some(&attributes), ..Fields::default() });
    let body = "{{@root.big}}".repeat(5);
    let source = format!("{{{{#each list}}}}{body}{{{{/each}}}}");
    assert_eq!(render(Kind::Text, &source, &variables), Err(RenderError::TooLong));
    let fits = "{{#each list}}{{@root.big}}{{@root.big}}{{@root.big}}{{@root.big}}{{/each}}";
    assert_eq!(render(Kind::Text, fits, &variables).unwrap().len(), MAX_OUTPUT - 24_576);
}

#[test]
fn a_compiled_template_is_shared_and_renders_for_many() {
    let template = Template::compile(Kind::Subject, "{{first_name}} in {{city}}").unwrap();
    let shared = template.clone();
    let thread = std::thread::spawn(move || shared.render(&john()).unwrap());
    assert_eq!(thread.join().unwrap(), template.render(&john()).unwrap());
    assert_eq!(template.checked().variables.len(), 2);
}

fn brace(kind: Kind, source: &str) -> Result<String, RenderError> {
    let attributes = json!({ "total_amount": 19.9, "order_id": 17, "vip": true, "list": [1], "odd": "{name} {{name}} <i>" });
    let fields = Fields { first_name: Some("Ada"), attributes: attributes.as_object(), ..Fields::default() };
    let template = Template::compile_in(Syntax::Brace, kind, source).map_err(RenderError::Refused)?;
    template.render(&Variables::new(&fields))
}

/// S2-22, C-12.
#[test]
fn single_braces_are_variables_and_all_else_stands_as_it_is_written() {
    for (source, expected) in [
        ("Hi {first_name}!", "Hi Ada!"),
        ("#{order_id} for ${total_amount}", "#17 for $19.9"),
        ("{vip}{vip}", "truetrue"),
        ("a & b <c> \"d\" 100% \\ #if /if", "a & b <c> \"d\" 100% \\ #if /if"),
        ("{odd}", "{name} {{name}} <i>"),
        ("", ""),
    ] {
        assert_eq!(brace(Kind::Text, source).as_deref(), Ok(expected), "{source}");
    }
    assert_eq!(brace(Kind::Html, "<p>{odd}</p>").as_deref(), Ok("<p>{name} {{name}} &lt;i&gt;</p>"));
    assert_eq!(brace(Kind::Subject, "Order {order_id}").as_deref(), Ok("Order 17"));
}

#[test]
fn a_brace_that_is_no_variable_is_refused_where_it_stands() {
    for (source, column, words) in [
        ("Hi {", 4, "not closed"),
        ("Hi {name", 4, "not closed"),
        ("Hi name}", 8, "closes nothing"),
        ("Hi {}", 4, "letters, digits"),
        ("Hi { name }", 4, "without spaces"),
        ("Hi {1a}", 4, "letters, digits"),
        ("Hi {first-name}", 4, "letters, digits"),
        ("Hi {é}", 4, "letters, digits"),
        ("Hi {{name}}", 4, "handlebars"),
        ("Hi {a{b}", 4, "not closed"),
    ] {
        let findings = Template::compile_in(Syntax::Brace, Kind::Text, source).unwrap_err();
        let first = &findings[0];
        assert_eq!((first.line, first.column, first.code), (1, column, "syntax"), "{source}: {findings:?}");
        assert!(first.message.contains(words), "{source}: {findings:?}");
    }
    let many = Template::compile_in(Syntax::Brace, Kind::Text, &"{ ".repeat(200)).unwrap_err();
    assert_eq!(many.len(), Finding::MOST);
}

#[test]
fn what_a_variable_of_single_braces_lacks_is_told_with_its_place() {
    let missing = RenderError::Missing { variable: "nobody".into(), line: 2, column: 4 };
    assert_eq!(brace(Kind::Text, "Hi\ney {nobody}"), Err(missing));
    assert!(matches!(brace(Kind::Text, "{list}"), Err(RenderError::Unfit { .. })));
    let large = "{odd}".repeat(50_000);
    assert!(brace(Kind::Text, &large).is_ok(), "as large as it may be, and read at once");
}
