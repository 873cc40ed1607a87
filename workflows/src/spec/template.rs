//! A submitted template: a text that campaigns copy when they are saved.

use super::FieldError;
use super::campaign::warn_of_unknown;
use super::fields::{Fields, Lines};
use crate::render::{self, Kind, Template};
use crate::sequence::{Channel, Syntax};
use crate::sms;
use serde_json::Value;

const KNOWN: &[&str] = &[
    "id",
    "name",
    "content",
    "subject",
    "syntax",
    "channel",
    "variables",
    "is_active",
    "character_count",
    "encoding",
    "segments",
    "created_at",
    "updated_at",
];

/// A template that passed every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateBody {
    /// What people call it.
    pub name: String,
    /// The text.
    pub content: String,
    /// The subject, for e-mail.
    pub subject: Option<String>,
    /// How both are written.
    pub syntax: Syntax,
    /// What it is made for; another channel may use it, within its own limits.
    pub channel: Channel,
    /// The variables it asks for, each once.
    pub variables: Vec<String>,
    /// Whether campaigns may take it.
    pub active: bool,
    /// What was odd and did no harm.
    pub warnings: Vec<FieldError>,
}

impl TemplateBody {
    /// Reads and checks a template. `variables` that the text does not name are warned of, and dropped; without the
    /// field they are those of the text.
    ///
    /// # Errors
    /// Every fault at once, never an empty list.
    pub fn from_json(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        read(body, &mut errors).filter(|_| errors.is_empty()).ok_or(errors)
    }
}

fn read(body: &Value, errors: &mut Vec<FieldError>) -> Option<TemplateBody> {
    let mut fields = Fields::open("", body, errors)?;
    let mut warnings = Vec::new();
    warn_of_unknown(&fields, KNOWN, &mut warnings);
    let name = fields.required("name", 200).unwrap_or_default();
    let channel = fields.choice("channel", &Channel::ALL.map(|c| (c.as_str(), c))).unwrap_or(Channel::Sms);
    let syntax = fields.choice("syntax", &Syntax::ALL.map(|s| (s.as_str(), s)));
    let content = read_content(&mut fields);
    let subject = fields.text("subject", render::MAX_SUBJECT, Lines::One);
    let either =
        format!("{}{}", content.as_deref().unwrap_or_default(), subject.as_deref().unwrap_or_default());
    let syntax = syntax.unwrap_or_else(|| Syntax::of(&either));
    if let Some(content) = &content {
        check_length(&mut fields, "content", channel, content);
    }
    if subject.is_some() && channel != Channel::Email {
        fields.fault("subject", "conflict", "is for e-mail alone; say channel: email, or leave it out");
    }
    let mut used = Vec::new();
    for (name, kind, text) in [("content", Kind::Text, &content), ("subject", Kind::Subject, &subject)] {
        let Some(text) = text else { continue };
        match Template::compile_in(syntax, kind, text) {
            Ok(template) => used.extend(template.variables()),
            Err(findings) => {
                for finding in findings {
                    fields.fault(name, "invalid_template", finding.to_string());
                }
            }
        }
    }
    let mut variables: Vec<String> = Vec::new();
    for name in used {
        if !variables.contains(&name) {
            variables.push(name);
        }
    }
    let declared = read_declared(&mut fields, &variables, &mut warnings);
    Some(TemplateBody {
        name,
        content: content.unwrap_or_default(),
        subject,
        syntax,
        channel,
        variables: declared.unwrap_or(variables),
        active: fields.flag("is_active").unwrap_or(true),
        warnings,
    })
}

fn read_content(fields: &mut Fields) -> Option<String> {
    let content = fields.string("content");
    if content.is_none_or(|text| text.trim().is_empty()) {
        if content.is_some() || fields.value("content").is_none() {
            fields.fault("content", "required", "is required: the text of the message");
        }
        return None;
    }
    content.map(str::to_owned)
}

/// A fault where a text cannot be a text message by its own length, before any value is in it.
pub(super) fn check_length(fields: &mut Fields, name: &str, channel: Channel, text: &str) {
    if channel != Channel::Email && text.chars().count() > sms::MOST_CHARACTERS {
        let message = format!(
            "must have at most {} characters for {}; a longer text is for channel: email",
            sms::MOST_CHARACTERS,
            channel.as_str()
        );
        fields.fault(name, "too_long", message);
    }
}

/// The declared variables, without those that the text does not name; one that it names and they lack is a fault.
fn read_declared(
    fields: &mut Fields,
    used: &[String],
    warnings: &mut Vec<FieldError>,
) -> Option<Vec<String>> {
    let list = fields.list("variables")?;
    let mut declared: Vec<String> = Vec::new();
    for (index, value) in list.iter().enumerate() {
        let path = format!("variables[{index}]");
        let Some(name) = value.as_str() else {
            fields.fault(&path, "invalid_type", "must be the name of a variable");
            continue;
        };
        if !used.iter().any(|known| known == name) {
            let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            let message = format!("{name} is not in the text, and was dropped");
            warnings.push(FieldError::new(path, "unused_variable", message));
        } else if !declared.iter().any(|known| known == name) {
            declared.push(name.to_owned());
        }
    }
    for name in used.iter().filter(|name| !declared.contains(name)) {
        let message = format!("must name {name} too, which the text asks for");
        fields.fault("variables", "undeclared_variable", message);
    }
    Some(declared)
}
