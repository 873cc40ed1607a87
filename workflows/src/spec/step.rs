//! One submitted step.

use super::FieldError;
use super::fields::Fields;
use super::template::check_length;
use crate::render::{self, Kind};
use crate::sequence::{Channel, Delay, Step, Syntax};
use serde_json::Value;

/// Most steps of a campaign.
pub(super) const MOST_STEPS: usize = 100;
/// Most characters of a subject's template (RFC 5322, 2.1.1).
const MOST_SUBJECT: usize = 998;

const KNOWN: &[&str] = &[
    "id",
    "step_number",
    "name",
    "channel",
    "subject",
    "template",
    "syntax",
    "ai_prompt",
    "delay_days",
    "delay_hours",
    "delay_minutes",
    "delay_seconds",
    "include_previous_emails",
    "is_active",
];

/// Reads the step at `index`; its number must be `index + 1`.
pub(super) fn read(
    index: usize,
    value: &Value,
    require_name: bool,
    errors: &mut Vec<FieldError>,
    warnings: &mut Vec<FieldError>,
) -> Option<Step> {
    let before = errors.len();
    let mut fields = Fields::open(&format!("steps[{index}]"), value, errors)?;
    super::campaign::warn_of_unknown(&fields, KNOWN, warnings);
    let number = read_number(&mut fields, index);
    let name = match (require_name, blank(&fields, "name")) {
        (false, true) => Some(format!("Step {}", index + 1)),
        _ => fields.required("name", 200),
    };
    let syntax = fields.choice("syntax", &Syntax::ALL.map(|s| (s.as_str(), s))).unwrap_or_default();
    let step = Step {
        id: 0,
        number: number.unwrap_or_default(),
        name: name.unwrap_or_default(),
        channel: fields.choice("channel", &Channel::ALL.map(|c| (c.as_str(), c))).unwrap_or_default(),
        subject: read_template(&mut fields, "subject", (syntax, Kind::Subject), warnings),
        template: read_template(&mut fields, "template", (syntax, Kind::Text), warnings),
        syntax,
        ai_prompt: read_template(&mut fields, "ai_prompt", (Syntax::Handlebars, Kind::Text), warnings),
        delay: read_delay(&mut fields),
        include_previous_emails: fields.flag("include_previous_emails").unwrap_or(false),
        active: fields.flag("is_active").unwrap_or(true),
    };
    if step.channel.is_phone() {
        refuse_what_only_email_has(&mut fields);
    }
    if let Some(text) = &step.template {
        check_length(&mut fields, "template", step.channel, text);
    }
    if blank(&fields, "template") && blank(&fields, "ai_prompt") {
        fields.fault("ai_prompt", "required", "a step needs ai_prompt or template");
    }
    (errors.len() == before).then_some(step)
}

/// A text message has no subject and quotes nothing.
fn refuse_what_only_email_has(fields: &mut Fields) {
    if !blank(fields, "subject") {
        fields.fault("subject", "conflict", "only an e-mail has a subject; leave it out");
    }
    if fields.flag("include_previous_emails") == Some(true) {
        let message = "only an e-mail quotes earlier ones; leave it out";
        fields.fault("include_previous_emails", "conflict", message);
    }
}

/// Numbers run 1, 2, 3 in the order of the list: a step out of place is refused rather than sorted.
fn read_number(fields: &mut Fields, index: usize) -> Option<u32> {
    let expected = index as i64 + 1;
    if fields.value("step_number").is_none() {
        fields.fault("step_number", "required", format!("is required; here it is {expected}"));
        return None;
    }
    let number = fields.integer("step_number", i64::MIN..=i64::MAX)?;
    if number != expected {
        let message = format!("steps count 1, 2, 3 in the order of the list; here {expected} is expected");
        fields.fault("step_number", "steps_not_sequential", message);
        return None;
    }
    u32::try_from(number).ok()
}

fn read_delay(fields: &mut Fields) -> Delay {
    let mut part =
        |name, most| fields.integer(name, 0..=most).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    Delay {
        days: part("delay_days", 365),
        hours: part("delay_hours", 8_760),
        minutes: part("delay_minutes", 525_600),
        seconds: part("delay_seconds", 31_536_000),
    }
}

/// Absent, or a string without a word in it.
fn blank(fields: &Fields, name: &str) -> bool {
    fields.value(name).is_none_or(|value| value.as_str().is_some_and(|text| text.trim().is_empty()))
}

/// A text that counts as absent where it says nothing, checked as the template it is.
fn read_template(
    fields: &mut Fields,
    name: &str,
    (syntax, kind): (Syntax, Kind),
    warnings: &mut Vec<FieldError>,
) -> Option<String> {
    if blank(fields, name) {
        return None;
    }
    let source = fields.string(name)?;
    if kind == Kind::Subject && source.chars().count() > MOST_SUBJECT {
        fields.fault(name, "too_long", format!("must have at most {MOST_SUBJECT} characters"));
        return None;
    }
    match render::check_in(syntax, kind, source) {
        Ok(checked) => {
            let odd = |finding: render::Finding| {
                FieldError::new(fields.path(name), finding.code, finding.to_string())
            };
            warnings.extend(checked.warnings.into_iter().map(odd));
            Some(source.to_owned())
        }
        Err(findings) => {
            for finding in findings {
                fields.fault(name, "invalid_template", finding.to_string());
            }
            None
        }
    }
}
