//! Strict JSON: what two parsers could read differently, or what no table can hold, is refused here.

use crate::refusal::Refusal;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Deepest nesting of lists and objects.
pub const MOST_DEPTH: usize = 64;
/// Most names in one object.
pub const MOST_NAMES: usize = 1_000;

/// Reads one JSON value: UTF-8, a byte order mark passed over, no name twice in an object, no NUL anywhere.
pub fn parse(bytes: &[u8]) -> Result<Value, Refusal> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Any { depth: 0 }.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| refusal(&error))
}

/// The codes that [`Any`] puts in front of its messages; anything else is the parser's own.
const CODES: [&str; 4] = ["duplicate_key", "too_deep", "too_many_keys", "control_character"];

fn refusal(error: &serde_json::Error) -> Refusal {
    let text = error.to_string();
    let place = format!("line {}, column {}", error.line(), error.column());
    let Some(code) = CODES.into_iter().find(|code| text.starts_with(code)) else {
        let what = text.split(" at line ").next().unwrap_or_default();
        return Refusal::Malformed("malformed_json", format!("the body is not JSON: {what} at {place}"));
    };
    match code {
        "duplicate_key" => {
            Refusal::Malformed(code, format!("a name is given twice in one object at {place}"))
        }
        "too_deep" => Refusal::Malformed(code, format!("more than {MOST_DEPTH} levels deep at {place}")),
        "too_many_keys" => {
            Refusal::Malformed(code, format!("an object has at most {MOST_NAMES} names; more at {place}"))
        }
        _ => Refusal::field("body", "control_character", format!("a text holds NUL at {place}")),
    }
}

struct Any {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Any {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl Any {
    fn inner<E: Error>(&self) -> Result<Any, E> {
        if self.depth == MOST_DEPTH { Err(E::custom("too_deep")) } else { Ok(Any { depth: self.depth + 1 }) }
    }
}

fn no_nul<E: Error>(text: String) -> Result<String, E> {
    if text.contains('\0') { Err(E::custom("control_character")) } else { Ok(text) }
}

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        no_nul(value).map(Value::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self.inner()?)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            let name = no_nul(name)?;
            let value = object.next_value_seed(self.inner()?)?;
            if values.insert(name, value).is_some() {
                return Err(A::Error::custom("duplicate_key"));
            }
            if values.len() > MOST_NAMES {
                return Err(A::Error::custom("too_many_keys"));
            }
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &[u8]) -> &'static str {
        parse(text).map_or_else(|refusal| refusal.code(), |_| "read")
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        let broken: [&[u8]; 12] = [
            b"",
            b"{",
            b"{}x",
            b"{'a':1}",
            b"{\"a\":NaN}",
            b"//\n{}",
            b"[1,]",
            b"\"\\ud800\"",
            b"\"\xff\"",
            b"1e309",
            b"tru",
            b"{\"a\" 1}",
        ];
        for text in broken {
            assert_eq!(code(text), "malformed_json", "{text:?}");
        }
        let told = parse(b"{\n  \"a\": 1,\n  \"b\": oops\n}").unwrap_err().to_string();
        assert!(told.contains("line 3, column"), "{told}");
    }

    #[test]
    fn what_two_parsers_read_differently_is_refused() {
        assert_eq!(code(br#"{"a":1,"a":1}"#), "duplicate_key");
        assert_eq!(code(br#"{"x":{"a":1,"\u0061":2}}"#), "duplicate_key");
        assert_eq!(code(br#"["a\u0000b"]"#), "control_character");
        assert_eq!(code(br#"{"a\u0000":1}"#), "control_character");
    }

    #[test]
    fn depth_and_width_are_bounded() {
        let nested = |levels: usize| [vec![b'['; levels], vec![b']'; levels]].concat();
        assert_eq!(code(&nested(64)), "read");
        assert_eq!(code(&nested(65)), "too_deep");
        assert_eq!(code(&nested(10_000)), "too_deep");
        let wide: Vec<String> = (0..=1_000).map(|n| format!("\"k{n}\":1")).collect();
        assert_eq!(code(format!("{{{}}}", wide.join(",")).as_bytes()), "too_many_keys");
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_and_text_is_kept_byte_exact() {
        assert_eq!(parse(b"\xef\xbb\xbf{\"a\":1}").unwrap(), serde_json::json!({"a": 1}));
        let odd = "e\u{301}\u{202e}\u{200b}\u{1f468}\u{200d}\u{1f469}";
        assert_eq!(parse(serde_json::json!([odd]).to_string().as_bytes()).unwrap(), serde_json::json!([odd]));
    }
}
