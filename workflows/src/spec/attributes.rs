//! Attributes: whatever is known of a person that has no field of its own.

use super::fields::{Fields, Lines, check_text};
use serde_json::{Map, Value};

/// Most attributes of a person.
const MOST_ATTRIBUTES: usize = 100;
/// Most bytes of one attribute, as JSON.
const MOST_BYTES: usize = 8 * 1024;
/// Most bytes of all attributes, names included.
const MOST_TOTAL: usize = 64 * 1024;
/// Most characters of an attribute's name.
const MOST_NAME: usize = 200;

/// The fields of `attributes` and every unknown field beside it, which win; a name of `own`, the body's fields, is a fault
/// within. `null` is kept.
pub(super) fn read(fields: &mut Fields, own: &[&str], whose: &str) -> Map<String, Value> {
    let mut attributes = Map::new();
    if let Some(value) = fields.value("attributes") {
        let path = fields.path("attributes");
        if let Some(names) =
            Fields::open(&path, value, fields.errors()).map(|inner| inner.names().collect::<Vec<_>>())
        {
            for name in names {
                if own.contains(&name.as_str()) {
                    let message =
                        format!("is a field of {whose} itself; put it beside `attributes`, not in it");
                    fields.fault(&format!("attributes.{name}"), "reserved_name", message);
                }
                attributes.insert(name.clone(), value[name].clone());
            }
        }
    }
    let others = fields.names().filter(|name| !own.contains(&name.as_str()) && *name != "attributes");
    for name in others {
        attributes.insert(name.clone(), fields.given(name).cloned().unwrap_or_default());
    }
    attributes
}

/// Faults of attributes that are too many or too large, or that no table can hold.
pub(super) fn cap(fields: &mut Fields, attributes: &Map<String, Value>) {
    if attributes.len() > MOST_ATTRIBUTES {
        fields.fault("attributes", "too_many", format!("must be at most {MOST_ATTRIBUTES}"));
        return;
    }
    let mut total = 0;
    for (name, value) in attributes {
        let bytes = value.to_string().len();
        total += name.len() + bytes;
        let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        if let Err((code, message)) = check_text(name, MOST_NAME, Lines::One) {
            fields.fault(&shown, code, format!("an attribute's name {message}"));
        }
        if bytes > MOST_BYTES {
            fields.fault(&shown, "too_long", format!("must have at most {MOST_BYTES} bytes as JSON"));
        }
        if holds_nul(value) {
            fields.fault(&shown, "control_character", "holds a NUL character");
        }
    }
    if total > MOST_TOTAL {
        fields.fault("attributes", "too_long", format!("must have at most {MOST_TOTAL} bytes together"));
    }
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(object) => object.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
        _ => false,
    }
}
