//! A submitted business (S0-21): a lead by other names.

use super::{FieldError, LeadBody};
use serde_json::{Map, Value};

/// A business's names of a lead's fields.
const NAMES: [(&str, &str); 2] = [("business_id", "external_id"), ("business_name", "company")];

/// Reads and checks a business: `business_id` is the caller's own id (a text or a number), `business_name` the
/// company; everything else is as in a lead.
///
/// # Errors
/// Every fault at once, by the names that were given.
pub fn business(value: &Value) -> Result<LeadBody, Vec<FieldError>> {
    let Some(object) = value.as_object() else { return LeadBody::from_json(value) };
    let mut lead = Map::with_capacity(object.len());
    let mut errors = Vec::new();
    for (name, value) in object {
        let field = NAMES.iter().find(|(own, _)| own == name).map_or(name.as_str(), |(_, field)| *field);
        let is_given = |other: &str| object.get(other).is_some_and(|value| !value.is_null());
        if field != name && is_given(field) && !value.is_null() {
            let text = format!("give either {name} or {field}: they are the same");
            errors.push(FieldError::new(name.as_str(), "conflict", text));
            continue;
        }
        let value = match (name.as_str(), value) {
            ("business_id", Value::Number(number)) if !number.is_f64() => Value::from(number.to_string()),
            _ => value.clone(),
        };
        // A name of ours that says nothing does not hide a lead's own field.
        if field == name || !value.is_null() {
            lead.insert(field.to_owned(), value);
        }
    }
    match LeadBody::from_json(&Value::Object(lead)) {
        Ok(lead) if errors.is_empty() => Ok(lead),
        Ok(_) => Err(errors),
        Err(faults) => {
            errors.extend(faults.into_iter().map(|fault| by_own_name(fault, object)));
            Err(errors)
        }
    }
}

fn by_own_name(fault: FieldError, object: &Map<String, Value>) -> FieldError {
    let own = NAMES.iter().find(|(own, field)| *field == fault.field && object.contains_key(*own));
    match own {
        Some((own, _)) => FieldError { field: (*own).to_owned(), ..fault },
        None => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_business_is_a_lead_by_other_names() {
        let read = business(&json!({
            "business_id": 12345, "business_name": "Smile Dental", "email": "info@smiledental.com",
            "attributes": { "rating": 4.5 }, "city": "San Francisco",
        }));
        let lead = read.unwrap();
        assert_eq!(
            (lead.external_id.as_deref(), lead.company.as_deref()),
            (Some("12345"), Some("Smile Dental"))
        );
        assert_eq!(
            (&lead.attributes["rating"], &lead.attributes["city"]),
            (&json!(4.5), &json!("San Francisco"))
        );
    }

    #[test]
    fn a_fault_is_told_by_the_name_that_was_given() {
        let faults = business(&json!({ "business_id": true, "business_name": 7, "email": "x" })).unwrap_err();
        let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
        for field in ["business_id", "business_name", "email"] {
            assert!(fields.contains(&field), "{fields:?}");
        }
        let both = business(&json!({ "business_name": "A", "company": "B", "email": "a@example.com" }));
        assert_eq!(both.unwrap_err()[0].code, "conflict");
    }
}
