//! What is known of a user, as a contact keeps it and as S2 shows it: one object of attributes, of which those that a
//! contact has a field for stand there.

use sendwright_store::contacts::Details;
use sendwright_workflows::address::Email;
use sendwright_workflows::spec::column;
use serde_json::{Map, Value};

/// The e-mail address among attributes, where it is one.
pub fn email(attributes: &Map<String, Value>) -> Option<Email> {
    column("email", attributes.get("email")?).and_then(|text| Email::parse(&text).ok())
}

/// Merges attributes into details: `null` takes one away. `address`, with its hash, becomes the contact's own e-mail; without
/// it, one among the attributes stays an attribute.
pub fn merge(d: &mut Details, attributes: &Map<String, Value>, address: Option<(&Email, String)>) {
    let mut rest: Map<String, Value> = serde_json::from_str(&d.attributes).unwrap_or_default();
    for (name, value) in attributes {
        let field = match name.as_str() {
            "first_name" => Some(&mut d.first_name),
            "last_name" => Some(&mut d.last_name),
            "company" => Some(&mut d.company),
            "title" => Some(&mut d.title),
            "website" => Some(&mut d.website),
            "industry" => Some(&mut d.industry),
            "timezone" => Some(&mut d.timezone),
            "external_id" => Some(&mut d.external_id),
            _ => None,
        };
        let fits = if field.is_some() { column(name, value) } else { None };
        let is_kept = value.is_null() || fits.is_some() || (name == "email" && address.is_some());
        if let Some(field) = field {
            *field = fits;
        }
        match is_kept {
            true => rest.remove(name),
            false => rest.insert(name.clone(), value.clone()),
        };
    }
    if let Some((email, hash)) = address.filter(|(email, _)| d.email_key.as_ref() != Some(&email.key())) {
        d.email = Some(email.as_str().to_owned());
        d.email_key = Some(email.key());
        d.email_hash = Some(hash);
    }
    d.attributes = Value::Object(rest).to_string();
}

/// The attributes of a contact as S2 shows them.
pub fn attributes(d: &Details) -> Map<String, Value> {
    let mut shown: Map<String, Value> = serde_json::from_str(&d.attributes).unwrap_or_default();
    let fields = [
        ("email", &d.email),
        ("first_name", &d.first_name),
        ("last_name", &d.last_name),
        ("company", &d.company),
        ("title", &d.title),
        ("website", &d.website),
        ("industry", &d.industry),
        ("timezone", &d.timezone),
        ("external_id", &d.external_id),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            shown.insert(name.to_owned(), Value::from(value.as_str()));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn merged(d: &mut Details, attributes: Value) -> Value {
        merge(d, attributes.as_object().unwrap(), None);
        Value::Object(super::attributes(d))
    }

    #[test]
    fn attributes_are_merged_and_null_takes_one_away() {
        let mut d = Details { attributes: "{}".into(), ..Details::default() };
        let first = json!({ "city": "Austin", "company": "Example", "timezone": "nowhere", "tags": [1] });
        assert_eq!(merged(&mut d, first.clone()), first);
        assert_eq!((d.company.as_deref(), d.timezone.as_deref()), (Some("Example"), None));
        let second =
            json!({ "city": null, "timezone": "Europe/Berlin", "company": 7, "email": "a@example.com" });
        let expected =
            json!({ "tags": [1], "timezone": "Europe/Berlin", "company": 7, "email": "a@example.com" });
        assert_eq!(merged(&mut d, second), expected);
        assert_eq!((d.company.as_deref(), d.timezone.as_deref()), (None, Some("Europe/Berlin")));
        assert_eq!(d.email, None);
        let address = Email::parse("a@example.com").unwrap();
        merge(&mut d, json!({ "email": "a@example.com" }).as_object().unwrap(), Some((&address, "h".into())));
        assert_eq!((d.email_key.as_deref(), d.email_hash.as_deref()), (Some("a@example.com"), Some("h")));
        assert!(!d.attributes.contains("a@example.com"));
        assert_eq!(
            merged(&mut d, json!({ "company": null, "tags": null, "timezone": null })),
            json!({ "email": "a@example.com" })
        );
    }
}
