//! A submitted segment: a name, and the tree of conditions that says who is in it.

use super::FieldError;
use super::campaign::warn_of_unknown;
use super::fields::{Fields, Lines, check_text};
use crate::clock::Millis;
use crate::ids::Kind;
use crate::segment::{
    Behaviour, Column, Consent, Filter, Joint, MOST_CONDITIONS, MOST_DEPTH, MOST_TEXT, MOST_VALUES, Test,
    instant,
};
use crate::sequence::Channel;
use serde_json::Value;

const KNOWN: &[&str] =
    &["id", "name", "description", "filter_criteria", "estimated_audience_size", "created_at", "updated_at"];
const MOST_DAYS: i64 = 36_500;

/// A segment that passed every check.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentBody {
    /// What people call it.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// The tree as it was given.
    pub criteria: Value,
    /// The tree as it is understood.
    pub filter: Filter,
    /// What was odd and did no harm.
    pub warnings: Vec<FieldError>,
}

impl SegmentBody {
    /// Reads and checks a segment.
    ///
    /// # Errors
    /// Every fault at once, by its place in the tree; never an empty list.
    pub fn from_json(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        read(body, &mut errors).filter(|_| errors.is_empty()).ok_or(errors)
    }
}

/// Reads a tree alone, as a segment keeps it.
///
/// # Errors
/// As [`SegmentBody::from_json`].
pub fn filter(criteria: &Value) -> Result<Filter, Vec<FieldError>> {
    let mut reader = Reader { errors: Vec::new(), conditions: 0 };
    let read = reader.node("filter_criteria", criteria, 1);
    read.filter(|_| reader.errors.is_empty()).ok_or(reader.errors)
}

fn read(body: &Value, errors: &mut Vec<FieldError>) -> Option<SegmentBody> {
    let mut fields = Fields::open("", body, errors)?;
    let mut warnings = Vec::new();
    warn_of_unknown(&fields, KNOWN, &mut warnings);
    let name = fields.required("name", 200);
    let description = fields.text("description", 10_000, Lines::Many);
    let Some(criteria) = fields.value("filter_criteria") else {
        fields.fault("filter_criteria", "required", "is required: one condition, or a group of them");
        return None;
    };
    match filter(criteria) {
        Ok(filter) => Some(SegmentBody {
            name: name.unwrap_or_default(),
            description,
            criteria: criteria.clone(),
            filter,
            warnings,
        }),
        Err(faults) => {
            fields.errors().extend(faults);
            None
        }
    }
}

/// What is compared with, by the operator.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operand {
    Nothing,
    Any,
    Many,
    Text,
    Number,
    Instant,
    Days,
    Range,
}

const OPERATORS: [(&str, Operand); 18] = [
    ("equals", Operand::Any),
    ("not_equals", Operand::Any),
    ("in", Operand::Many),
    ("not_in", Operand::Many),
    ("contains", Operand::Text),
    ("starts_with", Operand::Text),
    ("ends_with", Operand::Text),
    ("exists", Operand::Nothing),
    ("not_exists", Operand::Nothing),
    ("greater_than", Operand::Number),
    ("greater_than_or_equal", Operand::Number),
    ("less_than", Operand::Number),
    ("less_than_or_equal", Operand::Number),
    ("before", Operand::Instant),
    ("after", Operand::Instant),
    ("within_last_days", Operand::Days),
    ("between", Operand::Range),
    ("not_contains", Operand::Text),
];
const OF_TEXTS: [Operand; 4] = [Operand::Nothing, Operand::Any, Operand::Many, Operand::Text];
const OF_INSTANTS: [Operand; 4] = [Operand::Nothing, Operand::Instant, Operand::Days, Operand::Range];
const OF_CONSENT: [Operand; 3] = [Operand::Nothing, Operand::Any, Operand::Many];

/// The operators that take one of these.
fn operators(of: &[Operand]) -> Vec<&'static str> {
    OPERATORS.iter().filter(|(_, operand)| of.contains(operand)).map(|(word, _)| *word).collect()
}

struct Reader {
    errors: Vec<FieldError>,
    conditions: usize,
}

impl Reader {
    fn fault(&mut self, path: String, code: &'static str, message: impl Into<String>) {
        self.errors.push(FieldError::new(path, code, message));
    }

    fn node(&mut self, path: &str, value: &Value, depth: usize) -> Option<Filter> {
        let Some(object) = value.as_object() else {
            self.fault(path.to_owned(), "invalid_type", "must be a condition or a group of conditions");
            return None;
        };
        let kinds: Vec<&str> = ["conditions", "attribute", "consent", "behaviour"]
            .into_iter()
            .filter(|kind| object.contains_key(*kind))
            .collect();
        match kinds[..] {
            ["conditions"] => self.group(path, value, depth),
            [kind] => {
                self.conditions += 1;
                if self.conditions == MOST_CONDITIONS + 1 {
                    let message = format!("must have at most {MOST_CONDITIONS} conditions in all");
                    self.fault("filter_criteria".into(), "too_many", message);
                }
                match kind {
                    "attribute" => self.attribute(path, value),
                    "consent" => self.consent(path, value),
                    _ => self.behaviour(path, value),
                }
            }
            _ => {
                let message = "must be a group {operator, conditions}, or a condition on one attribute, consent or \
                               behaviour, such as {attribute, operator, value}";
                self.fault(path.to_owned(), "invalid_type", message);
                None
            }
        }
    }

    fn group(&mut self, path: &str, value: &Value, depth: usize) -> Option<Filter> {
        self.refuse_unknown(path, value, &["operator", "conditions"]);
        if depth > MOST_DEPTH {
            self.fault(path.to_owned(), "too_deep", format!("groups nest at most {MOST_DEPTH} deep"));
            return None;
        }
        let word = value["operator"].as_str().unwrap_or_default();
        let joint = Joint::WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, j)| *j);
        if joint.is_none() {
            self.fault(format!("{path}.operator"), "invalid_operator", "of a group must be AND, OR or NOT");
        }
        let Some(list) = value["conditions"].as_array() else {
            self.fault(format!("{path}.conditions"), "invalid_type", "must be a list of conditions");
            return None;
        };
        if list.is_empty() {
            self.fault(format!("{path}.conditions"), "required", "must have at least one condition");
        }
        let mut conditions = Vec::with_capacity(list.len());
        for (index, inner) in list.iter().enumerate() {
            if self.conditions > MOST_CONDITIONS {
                break;
            }
            conditions.extend(self.node(&format!("{path}.conditions[{index}]"), inner, depth + 1));
        }
        Some(Filter::Group(joint?, conditions))
    }

    fn attribute(&mut self, path: &str, value: &Value) -> Option<Filter> {
        self.refuse_unknown(path, value, &["attribute", "operator", "value"]);
        let name = self.name(path, value);
        if name == Some("consent_state") {
            return self.states(path, value, Channel::Sms);
        }
        let column = name.and_then(Column::of);
        let allowed = match column {
            None => operators(&OPERATORS.map(|(_, operand)| operand)),
            Some(Column::CreatedAt) => operators(&OF_INSTANTS),
            Some(_) => operators(&OF_TEXTS),
        };
        let (word, operand) = self.operator(path, value, &allowed)?;
        let mut test = self.test(&format!("{path}.value"), &value["value"], (word, operand))?;
        match (column, &mut test) {
            (Some(Column::Email), Test::Is { texts, .. }) => texts.iter_mut().for_each(lower),
            (Some(Column::Email), Test::Contains(text) | Test::StartsWith(text) | Test::EndsWith(text)) => {
                lower(text)
            }
            (Some(Column::CreatedAt), Test::Number(..)) => {
                self.fault(
                    format!("{path}.value"),
                    "invalid_type",
                    "must be two dates or instants, as created_at is one",
                );
            }
            _ => {}
        }
        let negated = word.starts_with("not_");
        Some(Filter::Attribute { name: name?.to_owned(), test, negated })
    }

    fn name<'v>(&mut self, path: &str, value: &'v Value) -> Option<&'v str> {
        let path = format!("{path}.attribute");
        let Some(name) = value["attribute"].as_str().filter(|name| !name.trim().is_empty()) else {
            self.fault(path, "invalid_type", "must be the name of an attribute");
            return None;
        };
        if let Err((code, message)) = check_text(name, 200, Lines::One) {
            self.fault(path, code, message);
            return None;
        }
        Some(name)
    }

    fn consent(&mut self, path: &str, value: &Value) -> Option<Filter> {
        self.refuse_unknown(path, value, &["consent", "operator", "value"]);
        let channel = value["consent"].as_str().and_then(Channel::parse);
        if channel.is_none() {
            self.fault(format!("{path}.consent"), "invalid_choice", "must be sms, whatsapp or email");
        }
        self.states(path, value, channel.unwrap_or_default()).filter(|_| channel.is_some())
    }

    fn states(&mut self, path: &str, value: &Value, channel: Channel) -> Option<Filter> {
        let (word, operand) = self.operator(path, value, &operators(&OF_CONSENT))?;
        let path = format!("{path}.value");
        let given: Vec<&Value> = match operand {
            Operand::Nothing => {
                self.nothing(&path, &value["value"], word);
                vec![]
            }
            Operand::Many => self.list(&path, &value["value"])?.iter().collect(),
            _ => vec![&value["value"]],
        };
        let mut states = Vec::new();
        for value in given {
            let word = value.as_str().unwrap_or_default();
            match Consent::WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)) {
                Some((_, state)) => states.push(*state),
                None => self.fault(path.clone(), "invalid_choice", "must be OPT_IN, OPT_OUT or STOP"),
            }
        }
        Some(Filter::Consent { channel, states, negated: word.starts_with("not_") })
    }

    fn behaviour(&mut self, path: &str, value: &Value) -> Option<Filter> {
        self.refuse_unknown(path, value, &["behaviour", "operator", "within_days", "campaign"]);
        let word = value["behaviour"].as_str().unwrap_or_default();
        let what = Behaviour::WORDS.iter().find(|(known, _)| *known == word).map(|(_, what)| *what);
        if what.is_none() {
            let words = Behaviour::WORDS.map(|(word, _)| word).join(", ");
            self.fault(format!("{path}.behaviour"), "invalid_choice", format!("must be one of {words}"));
        }
        let negated = match value.get("operator") {
            None | Some(Value::Null) => false,
            Some(_) => self.operator(path, value, &["exists", "not_exists"])?.0 == "not_exists",
        };
        let within_days = match &value["within_days"] {
            Value::Null => None,
            given => Some(self.days(&format!("{path}.within_days"), given)?),
        };
        let campaign = match &value["campaign"] {
            Value::Null => None,
            face => {
                let text = face.as_str().map_or_else(|| face.to_string(), str::to_owned);
                let id = crate::ids::parse(Kind::Campaign, &text);
                if id.is_none() {
                    self.fault(format!("{path}.campaign"), "invalid_type", "must be a campaign's id");
                }
                id
            }
        };
        Some(Filter::Behaviour { what: what?, within_days, campaign, negated })
    }

    fn operator(
        &mut self,
        path: &str,
        value: &Value,
        allowed: &[&'static str],
    ) -> Option<(&'static str, Operand)> {
        let word = value["operator"].as_str().unwrap_or_default();
        let found = OPERATORS.into_iter().find(|(known, _)| *known == word && allowed.contains(known));
        if found.is_none() {
            let message = format!("must be one of {}", allowed.join(", "));
            self.fault(format!("{path}.operator"), "invalid_operator", message);
        }
        found
    }

    fn test(&mut self, path: &str, value: &Value, (word, operand): (&str, Operand)) -> Option<Test> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        Some(match operand {
            Operand::Nothing => {
                self.nothing(path, value, word);
                Test::Exists
            }
            Operand::Any => self.is(path, std::slice::from_ref(value))?,
            Operand::Many => self.list(path, value).and_then(|list| self.is(path, list))?,
            Operand::Text => {
                let text = self.text(path, value)?;
                match word {
                    "starts_with" => Test::StartsWith(text),
                    "ends_with" => Test::EndsWith(text),
                    _ => Test::Contains(text),
                }
            }
            Operand::Number => {
                let Some(number) = value.as_f64() else {
                    self.fault(
                        path.to_owned(),
                        "invalid_type",
                        "must be a number; dates take before and after",
                    );
                    return None;
                };
                match word {
                    "greater_than" => Test::Number(Excluded(number), Unbounded),
                    "greater_than_or_equal" => Test::Number(Included(number), Unbounded),
                    "less_than" => Test::Number(Unbounded, Excluded(number)),
                    _ => Test::Number(Unbounded, Included(number)),
                }
            }
            Operand::Instant => {
                let at = self.instant(path, value)?;
                match word {
                    "before" => Test::Instant(Unbounded, Excluded(at)),
                    _ => Test::Instant(Excluded(at), Unbounded),
                }
            }
            Operand::Days => Test::WithinDays(self.days(path, value)?),
            Operand::Range => self.range(path, value)?,
        })
    }

    fn nothing(&mut self, path: &str, value: &Value, word: &str) {
        if !value.is_null() {
            self.fault(path.to_owned(), "conflict", format!("is not looked at by {word}; leave it out"));
        }
    }

    fn list<'v>(&mut self, path: &str, value: &'v Value) -> Option<&'v [Value]> {
        let list = value.as_array().filter(|list| (1..=MOST_VALUES).contains(&list.len()));
        if list.is_none() {
            let message = format!("must be a list of 1 to {MOST_VALUES} values");
            self.fault(path.to_owned(), "invalid_type", message);
        }
        list.map(Vec::as_slice)
    }

    fn is(&mut self, path: &str, values: &[Value]) -> Option<Test> {
        let (mut texts, mut numbers) = (Vec::new(), Vec::new());
        for value in values {
            match value {
                Value::Bool(is) => texts.push(is.to_string()),
                Value::Number(number) => numbers.extend(number.as_f64()),
                Value::String(_) => texts.push(self.text(path, value)?),
                _ => {
                    let message = "must be a text, a number, true or false";
                    self.fault(path.to_owned(), "invalid_type", message);
                    return None;
                }
            }
        }
        Some(Test::Is { texts, numbers })
    }

    fn text(&mut self, path: &str, value: &Value) -> Option<String> {
        let Some(text) = value.as_str().filter(|text| !text.trim().is_empty()) else {
            self.fault(path.to_owned(), "invalid_type", "must be a text that says something");
            return None;
        };
        match check_text(text, MOST_TEXT, Lines::Many) {
            Ok(()) => Some(text.to_owned()),
            Err((code, message)) => {
                self.fault(path.to_owned(), code, message);
                None
            }
        }
    }

    fn instant(&mut self, path: &str, value: &Value) -> Option<Millis> {
        let at = value.as_str().and_then(|text| instant(text.trim()));
        if at.is_none() {
            let message =
                "must be a date such as 2024-01-01, which begins at midnight UTC, or an RFC 3339 instant";
            self.fault(path.to_owned(), "invalid_type", message);
        }
        at
    }

    fn days(&mut self, path: &str, value: &Value) -> Option<i64> {
        let days = value.as_i64().filter(|days| (1..=MOST_DAYS).contains(days));
        if days.is_none() {
            let message = format!("must be a whole number of days, 1 to {MOST_DAYS}");
            self.fault(path.to_owned(), "invalid_type", message);
        }
        days
    }

    /// Two numbers, or two instants, both ends included.
    fn range(&mut self, path: &str, value: &Value) -> Option<Test> {
        use std::ops::Bound::Included;
        let pair = value.as_array().map(Vec::as_slice);
        let (test, in_order) = match pair {
            Some([low, high]) if low.is_number() && high.is_number() => {
                let (low, high) = (low.as_f64()?, high.as_f64()?);
                (Test::Number(Included(low), Included(high)), low <= high)
            }
            Some([low, high]) if low.is_string() && high.is_string() => {
                let (low, high) = (self.instant(path, low)?, self.instant(path, high)?);
                (Test::Instant(Included(low), Included(high)), low <= high)
            }
            _ => {
                let message = "must be two numbers or two dates, the lower one first";
                self.fault(path.to_owned(), "invalid_type", message);
                return None;
            }
        };
        if !in_order {
            self.fault(path.to_owned(), "out_of_range", "must begin with the lower of the two");
        }
        Some(test)
    }

    fn refuse_unknown(&mut self, path: &str, value: &Value, known: &[&str]) {
        let names = value.as_object().into_iter().flat_map(|object| object.keys());
        let unknown: Vec<String> =
            names.filter(|name| !known.contains(&name.as_str())).take(5).cloned().collect();
        for name in unknown {
            let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            let message = format!("is not known here; there are {}", known.join(", "));
            self.fault(format!("{path}.{name}"), "unknown_field", message);
        }
    }
}

fn lower(text: &mut String) {
    *text = text.to_lowercase();
}
