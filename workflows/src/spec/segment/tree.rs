//! The nodes of a tree: groups, and conditions on an attribute, on consent, on what became of messages.

use super::operand::{OF_CONSENT, OF_INSTANTS, OF_TEXTS, OPERATORS, Operand, operators};
use crate::consent::State;
use crate::ids::Kind;
use crate::segment::{Behaviour, Column, Filter, Joint, MOST_CONDITIONS, MOST_DEPTH, Test};
use crate::sequence::Channel;
use crate::spec::FieldError;
use crate::spec::fields::{Lines, check_text};
use serde_json::Value;

/// Reads a tree with every fault collected under its place.
#[derive(Default)]
pub(super) struct Reader {
    errors: Vec<FieldError>,
    conditions: usize,
}

impl Reader {
    /// Reads the whole tree.
    pub(super) fn read(mut self, criteria: &Value) -> Result<Filter, Vec<FieldError>> {
        let read = self.node("filter_criteria", criteria, 1);
        read.filter(|_| self.errors.is_empty()).ok_or(self.errors)
    }

    pub(super) fn fault(&mut self, path: String, code: &'static str, message: impl Into<String>) {
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
            match State::of_face(&word.to_uppercase()) {
                Some(state) => states.push(state),
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
