//! What a template sees: an explicit list of names, and the contact's attributes.
//!
//! Nothing else is in reach of a template. A name without a value, or with an empty one, is missing:
//! printing it is an error, `{{default first_name "there"}}` and `{{#if first_name}}` are not.

use std::fmt;

use handlebars::Context;
use serde_json::{Map, Value};

use crate::render::{cut, lines, one_line};

/// Every built-in name; an attribute of the same name never replaces a value that is given.
pub const BUILT_IN: [&str; 20] = [
    "attributes",
    "business_name",
    "campaign_name",
    "company",
    "company_name",
    "email",
    "first_name",
    "from_name",
    "full_name",
    "industry",
    "job_title",
    "last_name",
    "name",
    "phone",
    "sender_name",
    "step_number",
    "this",
    "title",
    "unsubscribe_url",
    "website",
];

/// Most bytes of a one-line value; what is over is cut.
pub const MAX_LINE: usize = 256;
/// Most bytes of an address or URL; a longer one is missing, since a cut one would be wrong.
pub const MAX_URL: usize = 2_048;
/// Most bytes of an attribute's text; what is over is cut.
pub const MAX_ATTRIBUTE: usize = 4_096;
/// Most values, nested ones included, taken from the attributes; what is over is missing.
pub const MAX_VALUES: usize = 10_000;
/// Deepest nesting of lists and maps in an attribute; what is deeper is missing.
pub const MAX_DEPTH: usize = 4;

/// Where the values come from; `None` is an absent one.
#[derive(Clone, Copy, Default)]
pub struct Fields<'a> {
    /// The contact's address.
    pub email: &'a str,
    /// Given name.
    pub first_name: Option<&'a str>,
    /// Family name.
    pub last_name: Option<&'a str>,
    /// `company`, `company_name`, `business_name`.
    pub company: Option<&'a str>,
    /// `title`, `job_title`.
    pub title: Option<&'a str>,
    /// As it was given.
    pub phone: Option<&'a str>,
    /// An http(s) URL or a bare host; any other scheme is missing.
    pub website: Option<&'a str>,
    /// Line of business.
    pub industry: Option<&'a str>,
    /// The contact's own fields, reached by name and as `attributes.name`.
    pub attributes: Option<&'a Map<String, Value>>,
    /// The signed link of this message.
    pub unsubscribe_url: Option<&'a str>,
    /// `sender_name`, `from_name`: who the sending profile writes as.
    pub sender_name: Option<&'a str>,
    /// The campaign's name.
    pub campaign_name: Option<&'a str>,
    /// The step's number, from 1.
    pub step_number: Option<i64>,
}

/// The values of one message, cleaned once and used for its subject and bodies.
#[derive(Clone)]
pub struct Variables {
    context: Context,
}

impl Variables {
    /// Gathers and cleans the values. The names that describe a person (first and last name, name, company,
    /// title, phone, website, industry) are taken from an attribute of that name if the field is absent.
    pub fn new(fields: &Fields<'_>) -> Variables {
        let attributes = fields.attributes.map(clean_attributes).unwrap_or_default();
        let mut values = Map::new();
        describe_person(&mut values, fields, &attributes);
        set(&mut values, &["email"], url(fields.email));
        set(&mut values, &["unsubscribe_url"], fields.unsubscribe_url.and_then(url));
        set(&mut values, &["sender_name", "from_name"], fields.sender_name.and_then(line));
        set(&mut values, &["campaign_name"], fields.campaign_name.and_then(line));
        if let Some(number) = fields.step_number {
            values.insert("step_number".to_owned(), number.into());
        }
        for (name, value) in attributes.iter().filter(|(name, _)| !is_built_in(name)) {
            values.insert(name.clone(), value.clone());
        }
        values.insert("attributes".to_owned(), Value::Object(attributes));
        Variables { context: Context::from(Value::Object(values)) }
    }

    /// The value of a name, if there is one.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.context.data().get(name)
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }
}

/// Names only: the values are about a person.
impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.context.data().as_object().into_iter().flat_map(Map::keys)).finish()
    }
}

/// Whether a name is one of [`BUILT_IN`].
pub fn is_built_in(name: &str) -> bool {
    BUILT_IN.contains(&name)
}

fn describe_person(values: &mut Map<String, Value>, fields: &Fields<'_>, attributes: &Map<String, Value>) {
    let or_attribute = |field: Option<&str>, names: &[&str]| {
        let own = || names.iter().find_map(|name| attributes.get(*name).and_then(Value::as_str));
        field.and_then(line).or_else(|| own().and_then(line))
    };
    let mut describe = |field, names: &[&str]| {
        let value = or_attribute(field, names);
        set(values, names, value.clone());
        value
    };
    let first = describe(fields.first_name, &["first_name"]);
    let last = describe(fields.last_name, &["last_name"]);
    describe(fields.company, &["company", "company_name", "business_name"]);
    describe(fields.title, &["title", "job_title"]);
    describe(fields.phone, &["phone"]);
    describe(fields.industry, &["industry"]);
    let full: Vec<String> = first.into_iter().chain(last).collect();
    // A contact that is known by its number most often has its name in one piece.
    let own = ["name", "full_name"].into_iter().find_map(|name| attributes.get(name)?.as_str());
    set(values, &["name", "full_name"], line(&full.join(" ")).or_else(|| own.and_then(line)));
    let website = fields.website.or_else(|| attributes.get("website").and_then(Value::as_str));
    set(values, &["website"], website.and_then(url).filter(|url| is_web(url)));
}

fn set(values: &mut Map<String, Value>, names: &[&str], value: Option<String>) {
    for name in names {
        if let Some(value) = &value {
            values.insert((*name).to_owned(), Value::String(value.clone()));
        }
    }
}

fn line(text: &str) -> Option<String> {
    Some(one_line(text, MAX_LINE)).filter(|line| !line.is_empty())
}

fn url(text: &str) -> Option<String> {
    let text = text.trim();
    let is_fit = !text.is_empty() && text.len() <= MAX_URL && !text.contains(char::is_control);
    is_fit.then(|| text.to_owned())
}

/// An http(s) URL, or no URL with a scheme at all: `javascript:` has no place in a link.
fn is_web(url: &str) -> bool {
    match url.split_once(':') {
        None => true,
        Some((scheme, rest))
            if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") =>
        {
            rest.starts_with("//")
        }
        // A host and its port, or a path behind a host.
        Some((host, rest)) => host.contains(['.', '/']) || rest.starts_with(|c: char| c.is_ascii_digit()),
    }
}

fn clean_attributes(attributes: &Map<String, Value>) -> Map<String, Value> {
    let mut left = MAX_VALUES;
    match clean_map(attributes, 0, &mut left) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

fn clean_map(map: &Map<String, Value>, depth: usize, left: &mut usize) -> Option<Value> {
    let cleaned = map.iter().filter_map(|(name, value)| Some((name.clone(), clean(value, depth + 1, left)?)));
    Some(Value::Object(cleaned.collect()))
}

/// A value fit for a template, or none if it is empty, too deep or too many.
fn clean(value: &Value, depth: usize, left: &mut usize) -> Option<Value> {
    *left = left.checked_sub(1)?;
    if depth > MAX_DEPTH {
        return None;
    }
    match value {
        Value::Null => None,
        Value::Bool(_) | Value::Number(_) => Some(value.clone()),
        Value::String(text) => {
            let text = lines(cut(text, MAX_ATTRIBUTE));
            (!text.trim().is_empty()).then_some(Value::String(text))
        }
        Value::Array(items) => {
            Some(Value::Array(items.iter().filter_map(|item| clean(item, depth + 1, left)).collect()))
        }
        Value::Object(map) => clean_map(map, depth, left),
    }
}
