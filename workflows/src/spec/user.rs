//! A submitted user, a person by their number (S2-06, S2-08, S2-11), from JSON or from a row of a CSV file.

use super::fields::{Fields, Lines, check_text};
use super::{Columns, FieldError, attributes, zone};
use crate::address::Email;
use crate::clock::{Millis, parse_rfc3339};
use crate::consent::State;
use crate::phone::{self, Phone};
use crate::sequence::Channel;
use serde_json::{Map, Value};

/// The fields of a user; every other name is an attribute.
pub const USER_FIELDS: &[&str] = &["phone_e164", "consent_state", "channel", "consent_evidence"];

/// What proves that somebody said yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The words they agreed to, or said.
    pub wording: String,
    /// Where: a form, a call, a paper.
    pub source: String,
    /// When.
    pub at: Millis,
}

/// A user that passed every check.
#[derive(Debug, Clone, PartialEq)]
pub struct UserBody {
    /// The number.
    pub phone: Phone,
    /// What they said, where it is told.
    pub consent: Option<State>,
    /// The channel they said it of; SMS and WhatsApp alike where it is not told.
    pub channel: Option<Channel>,
    /// What proves it.
    pub evidence: Option<Evidence>,
    /// Everything else, as JSON; `null` takes an attribute away.
    pub attributes: Map<String, Value>,
}

impl UserBody {
    /// Reads and checks a user. Unknown fields and those of `attributes` become attributes; the former win.
    ///
    /// # Errors
    /// Every fault at once, never an empty list.
    pub fn from_json(body: &Value) -> Result<Self, Vec<FieldError>> {
        Self::checked(body, None)
    }

    /// Reads and checks a change of a user, who is known by `phone`; another number in it is a fault.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json).
    pub fn change(body: &Value, phone: &Phone) -> Result<Self, Vec<FieldError>> {
        Self::checked(body, Some(phone))
    }

    /// Reads and checks a row under `columns`; an empty cell is an absent field.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json); `columns` where the row is shorter or longer than the header.
    pub fn from_csv<'r>(
        columns: &Columns,
        row: impl IntoIterator<Item = &'r str>,
    ) -> Result<Self, Vec<FieldError>> {
        let mut object = columns.object(row)?;
        for name in ["phone_e164", "consent_state", "channel"] {
            if let Some(Value::String(text)) = object.get_mut(name) {
                *text = text.trim().to_owned();
            }
        }
        Self::from_json(&object)
    }

    fn checked(body: &Value, known: Option<&Phone>) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        read(body, known, &mut errors).filter(|_| errors.is_empty()).ok_or(errors)
    }
}

fn read(body: &Value, known: Option<&Phone>, errors: &mut Vec<FieldError>) -> Option<UserBody> {
    let mut fields = Fields::open("", body, errors)?;
    let phone = read_phone(&mut fields, known);
    let consent = read_consent(&mut fields);
    let words = [("email", Channel::Email), ("sms", Channel::Sms), ("whatsapp", Channel::Whatsapp)];
    let channel = fields.choice("channel", &words);
    let evidence = read_evidence(&mut fields);
    for (name, is_given) in [("channel", channel.is_some()), ("consent_evidence", evidence.is_some())] {
        if is_given && fields.value("consent_state").is_none() {
            fields.fault(name, "conflict", "says something of consent_state, which is not given");
        }
    }
    let attributes = attributes::read(&mut fields, USER_FIELDS, "the user");
    attributes::cap(&mut fields, &attributes);
    Some(UserBody { phone: phone?, consent, channel, evidence, attributes })
}

fn read_phone(fields: &mut Fields, known: Option<&Phone>) -> Option<Phone> {
    if fields.value("phone_e164").is_none() {
        match known {
            Some(phone) => return Some(phone.clone()),
            None => fields.fault("phone_e164", "required", "is required"),
        }
    }
    let given = fields.string("phone_e164")?;
    let Ok(phone) = Phone::parse(given) else {
        let fault =
            FieldError::new(fields.path("phone_e164"), "invalid_phone", phone::PhoneError.to_string());
        fields.errors().push(fault.instead(given, phone::EXPECTED));
        return None;
    };
    if known.is_some_and(|known| *known != phone) {
        fields.fault("phone_e164", "not_permitted", "is what the user is known by, and stays");
    }
    Some(phone)
}

fn read_consent(fields: &mut Fields) -> Option<State> {
    let given = fields.string("consent_state")?;
    let state = State::of_face(given);
    if state.is_none() {
        let fault =
            FieldError::new(fields.path("consent_state"), "invalid_consent_state", "Invalid consent state");
        fields.errors().push(fault.instead(given, "OPT_IN, OPT_OUT or STOP"));
    }
    state
}

fn read_evidence(fields: &mut Fields) -> Option<Evidence> {
    let value = fields.value("consent_evidence")?;
    let path = fields.path("consent_evidence");
    let mut own = Fields::open(&path, value, fields.errors())?;
    for name in own.names().filter(|name| !["wording", "source", "at"].contains(&name.as_str())) {
        own.fault(&name.chars().take(64).collect::<String>(), "unknown_field", "is not known");
    }
    let wording = required(&mut own, "wording", 2_000, Lines::Many);
    let source = required(&mut own, "source", 500, Lines::One);
    let at = match own.value("at") {
        None => {
            own.fault("at", "required", "is required");
            None
        }
        Some(_) => own.string("at").and_then(|text| {
            let at = parse_rfc3339(text);
            if at.is_none() {
                let message = "must be an instant with its offset, such as 2026-01-15T10:30:00Z";
                own.fault("at", "invalid_format", message);
            }
            at
        }),
    };
    Some(Evidence { wording: wording?, source: source?, at: at? })
}

fn required(fields: &mut Fields, name: &str, most: usize, lines: Lines) -> Option<String> {
    if fields.value(name).is_none_or(|value| value.as_str().is_some_and(|text| text.trim().is_empty())) {
        fields.fault(name, "required", "is required");
        return None;
    }
    fields.text(name, most, lines).map(|text| text.trim().to_owned())
}

/// An attribute that a contact has a field for, and that fits it: `company`, `timezone`, … Templates and quiet hours know
/// it there. One that does not fit stays an attribute, as it was given.
pub fn column(name: &str, value: &Value) -> Option<String> {
    let text = value.as_str().filter(|text| !text.trim().is_empty())?;
    let fits = |most| check_text(text, most, Lines::One).is_ok().then(|| text.to_owned());
    match name {
        "first_name" | "last_name" | "company" | "title" | "industry" | "external_id" => fits(500),
        "website" => fits(2_048),
        "timezone" => zone(text).ok().map(|zone| zone.name().to_owned()),
        "email" => Email::parse(text).ok().map(|email| email.as_str().to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults(body: &Value) -> Vec<(String, &'static str)> {
        let errors = UserBody::from_json(body).unwrap_err();
        errors.into_iter().map(|error| (error.field, error.code)).collect()
    }

    /// S2-06, S2-39.
    #[test]
    fn a_user_is_a_number_with_what_they_said_and_what_is_known_of_them() {
        let body = json!({ "phone_e164": "+14155551234", "consent_state": "OPT_IN", "attributes": { "city": "Austin" }, "tier": 3 });
        let user = UserBody::from_json(&body).unwrap();
        assert_eq!((user.phone.as_str(), user.consent), ("+14155551234", Some(State::OptIn)));
        assert_eq!(Value::Object(user.attributes), json!({ "city": "Austin", "tier": 3 }));
        let error = &UserBody::from_json(&json!({ "phone_e164": "1234567890" })).unwrap_err()[0];
        assert_eq!(error.message, "Invalid phone number format");
        assert_eq!(error.provided.as_deref(), Some("1234567890"));
        assert_eq!(error.expected, Some("E.164 format (+1234567890)"));
    }

    /// ATTACKS 4.3: every fault at once.
    #[test]
    fn every_fault_of_a_user_is_told_at_once() {
        assert_eq!(faults(&json!([])), [("body".into(), "invalid_type")]);
        let body = json!({ "phone_e164": 14155551234_i64, "consent_state": "opt_in", "channel": "fax", "attributes": [],
            "consent_evidence": { "wording": " ", "at": "yesterday", "by": "me" } });
        let expected = [
            ("phone_e164", "invalid_type"),
            ("consent_state", "invalid_consent_state"),
            ("channel", "invalid_choice"),
            ("consent_evidence.by", "unknown_field"),
            ("consent_evidence.wording", "required"),
            ("consent_evidence.source", "required"),
            ("consent_evidence.at", "invalid_format"),
            ("attributes", "invalid_type"),
        ];
        assert_eq!(faults(&body), expected.map(|(field, code)| (field.to_owned(), code)));
        let many: Map<String, Value> = (0..101).map(|n| (n.to_string(), json!(1))).collect();
        let body = json!({ "phone_e164": "+14155551234", "attributes": many });
        assert_eq!(faults(&body), [("attributes".into(), "too_many")]);
        let body = json!({ "phone_e164": "+14155551234", "attributes": { "a": "\u{0}", "phone_e164": "+1" }, "channel": "sms" });
        let expected =
            [("channel", "conflict"), ("attributes.phone_e164", "reserved_name"), ("a", "control_character")];
        assert_eq!(faults(&body), expected.map(|(field, code)| (field.to_owned(), code)));
    }

    #[test]
    fn a_change_says_nothing_of_the_number_or_the_same() {
        let phone = Phone::parse("+14155551234").unwrap();
        assert!(
            UserBody::change(&json!({ "attributes": { "city": null } }), &phone).unwrap().attributes["city"]
                .is_null()
        );
        assert!(UserBody::change(&json!({ "phone_e164": "+14155551234" }), &phone).is_ok());
        let error = UserBody::change(&json!({ "phone_e164": "+14155551235" }), &phone).unwrap_err();
        assert_eq!(error[0].code, "not_permitted");
    }

    /// S2-11.
    #[test]
    fn a_row_is_a_user_under_its_header() {
        let columns = Columns::of_users(["Phone E164", "name", "Home City", "Consent State"]).unwrap();
        let user = UserBody::from_csv(&columns, [" +14155551234 ", "Ada", "", "STOP "]).unwrap();
        assert_eq!(user.consent, Some(State::Stop));
        assert_eq!(Value::Object(user.attributes), json!({ "name": "Ada" }));
        assert!(Columns::of_users(["Phone", "x"]).is_ok());
        assert_eq!(Columns::of_users(["name"]).unwrap_err()[0].field, "phone_e164");
        assert_eq!(Columns::of_users(["phone", "phone_e164", "PhoneE164"]).unwrap_err().len(), 1);
    }

    #[test]
    fn an_attribute_has_a_field_where_it_fits_and_stays_one_where_not() {
        assert_eq!(column("company", &json!("Example")).as_deref(), Some("Example"));
        assert_eq!(column("timezone", &json!("Europe/Berlin")).as_deref(), Some("Europe/Berlin"));
        assert_eq!(column("email", &json!("a@EXAMPLE.com")).as_deref(), Some("a@example.com"));
        for (name, value) in [
            ("company", json!(7)),
            ("timezone", json!("PST-ish")),
            ("email", json!("none")),
            ("city", json!("x")),
            ("title", json!(" ")),
        ] {
            assert_eq!(column(name, &value), None, "{name}");
        }
    }
}
