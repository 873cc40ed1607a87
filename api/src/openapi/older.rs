//! The document for tools that read OpenAPI 3.0: what 3.1 says otherwise is said the older way.

use serde_json::{Map, Value, json};

/// The same document, OpenAPI 3.0.3.
pub fn rendered(document: &Value) -> Value {
    let mut shown = older(document);
    shown["openapi"] = "3.0.3".into();
    if let Some(license) = shown["info"]["license"].as_object_mut() {
        license.remove("identifier");
    }
    // Scopes are for OAuth alone there; they are in each operation's description.
    for item in shown["paths"].as_object_mut().into_iter().flatten().map(|(_, item)| item) {
        for operation in item.as_object_mut().into_iter().flatten().map(|(_, operation)| operation) {
            if operation["security"].is_array() && !super::complete::is_signed(operation) {
                operation["security"] = json!([{ "key": [] }, { "header": [] }]);
            }
        }
    }
    shown
}

fn older(value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().map(older).collect(),
        Value::Object(object) => Value::Object(schema(object)),
        plain => plain.clone(),
    }
}

/// An object that may be a schema: null is a flag there and no type, and a list of types is none.
fn schema(object: &Map<String, Value>) -> Map<String, Value> {
    let mut shown = Map::new();
    for (name, value) in object {
        match (name.as_str(), value) {
            // Examples and property names are no schemas themselves.
            ("example" | "default" | "enum", _) => drop(shown.insert(name.clone(), value.clone())),
            ("properties", Value::Object(properties)) => {
                let older = properties.iter().map(|(name, property)| (name.clone(), older(property)));
                shown.insert(name.clone(), Value::Object(older.collect()));
            }
            ("type", Value::Array(types)) => {
                let kinds: Vec<&Value> = types.iter().filter(|kind| **kind != "null").collect();
                if let [only] = kinds.as_slice() {
                    shown.insert("type".into(), (*only).clone());
                }
                if kinds.len() < types.len() {
                    shown.insert("nullable".into(), true.into());
                }
            }
            ("oneOf" | "anyOf", Value::Array(choices)) => choice(&mut shown, name, choices),
            ("propertyNames" | "const" | "examples", _) => {}
            _ => drop(shown.insert(name.clone(), older(value))),
        }
    }
    if let Some(only) = object.get("const") {
        shown.insert("enum".into(), json!([only]));
    }
    shown
}

fn choice(shown: &mut Map<String, Value>, name: &str, choices: &[Value]) {
    let is_null = |choice: &&Value| choice["type"] == "null";
    let kept: Vec<Value> = choices.iter().filter(|choice| !is_null(choice)).map(older).collect();
    let nullable = kept.len() < choices.len();
    if nullable {
        shown.insert("nullable".into(), true.into());
    }
    let word = if nullable && kept.len() == 1 { "allOf" } else { name };
    shown.insert(word.into(), Value::Array(kept));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_a_flag_in_the_older_words() {
        let text = json!({ "type": ["string", "null"], "example": { "type": ["a"] } });
        assert_eq!(older(&text), json!({ "type": "string", "nullable": true, "example": { "type": ["a"] } }));
        let row = json!({ "oneOf": [{ "type": "null" }, { "$ref": "#/x" }] });
        assert_eq!(older(&row), json!({ "nullable": true, "allOf": [{ "$ref": "#/x" }] }));
        let named = json!({ "properties": { "type": { "type": "string" } } });
        assert_eq!(older(&named), named);
    }
}
