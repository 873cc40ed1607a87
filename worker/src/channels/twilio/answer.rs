//! Twilio's answers, read with tolerance: what is not known is passed over, and never makes a yes look like a no.

use crate::channels::{Outcome, Stage, Told, clean};
use reqwest::header::RETRY_AFTER;
use sendwright_workflows::receipt::Receipt;
use sendwright_workflows::webhook::retry_after;
use serde_json::Value;

/// Most bytes of an answer to one request.
const MOST: usize = 2 * 1024 * 1024;
/// Longest name or word of Twilio's that is kept.
const WORD: usize = 64;

/// An answer as far as it came.
pub(super) struct Read {
    /// The HTTP status.
    pub status: u16,
    /// Whether the body came to its end, within bounds.
    pub is_whole: bool,
    /// The body; `null` where it is no JSON.
    pub json: Value,
    retry_after: Option<i64>,
}

/// Reads an answer to its end or its bound.
pub(super) async fn read(mut response: reqwest::Response) -> Read {
    let status = response.status().as_u16();
    let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    // Seconds alone: what a date means depends on whose clock is right.
    let asked = asked.filter(|text| text.trim().parse::<u32>().is_ok());
    let retry_after = asked.and_then(|text| retry_after(text, 0));
    let mut bytes = Vec::new();
    let is_whole = loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() <= MOST => bytes.extend_from_slice(&chunk),
            ended => break matches!(ended, Ok(None)),
        }
    };
    Read { status, is_whole, json: serde_json::from_slice(&bytes).unwrap_or_default(), retry_after }
}

/// A name of Twilio's: letters, digits, and what joins them.
pub(super) fn word(value: Option<&Value>) -> Option<String> {
    let text = value?.as_str()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (!text.is_empty() && text.len() <= WORD && text.chars().all(plain)).then(|| text.to_owned())
}

/// What a message's resource, or an error's, says of it.
pub(super) fn receipt(json: &Value) -> Receipt {
    let code = |name: &str| json.get(name).and_then(Value::as_u64).and_then(|code| u32::try_from(code).ok());
    Receipt {
        id: word(json.get("sid")),
        // In an error `status` is a number, and no word.
        status: word(json.get("status")),
        code: code("error_code").or_else(|| code("code")),
        retry_after: None,
    }
}

impl Read {
    /// What it says beside yes or no.
    pub fn receipt(&self) -> Receipt {
        Receipt { retry_after: self.retry_after, ..receipt(&self.json) }
    }

    /// What it means for a message whose body was given to the wire.
    pub fn meaning(&self) -> Told {
        let receipt = self.receipt();
        let code = self.status;
        let said = match code {
            200..300 if receipt.id.is_some() => {
                Outcome::Accepted { code, reply: receipt.status.clone().unwrap_or_default() }
            }
            400..500 => Outcome::Refused {
                stage: Stage::Answer,
                code,
                reply: self.words(),
                permanent: code != 429,
                enhanced: None,
            },
            // Whoever sends us elsewhere has not done it.
            300..400 => Outcome::Failed {
                stage: Stage::Answer,
                detail: format!(
                    "it answered {code}, and redirects are not followed: check the API's address"
                ),
            },
            200..300 => Outcome::Unknown { detail: format!("its answer {code} broke off or does not read") },
            _ => {
                Outcome::Unknown { detail: format!("it answered {code} {}", self.words()).trim().to_owned() }
            }
        };
        Told { said, receipt }
    }

    /// Twilio's own sentence, without the recipient's number.
    fn words(&self) -> String {
        let text = self.json.get("message").and_then(Value::as_str).unwrap_or_default();
        clean(without_numbers(text).as_bytes())
    }
}

/// Whatever looks like a phone number becomes `…`: stored words are read by more people than numbers are.
fn without_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let length = rest[at..].bytes().take_while(u8::is_ascii_digit).count();
        let (before, digits) = (&rest[..at], &rest[at..at + length]);
        out.push_str(if length >= 7 { before.trim_end_matches('+') } else { before });
        out.push_str(if length >= 7 { "…" } else { digits });
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn meaning(status: u16, json: Value) -> Told {
        Read { status, is_whole: true, json, retry_after: None }.meaning()
    }

    #[test]
    fn fields_and_states_that_are_not_known_leave_a_yes_a_yes() {
        let sid = "SM0123456789abcdef0123456789abcdef";
        for status in [json!("queued"), json!("teleported"), json!(null), json!(7), json!({"a": 1})] {
            let told = meaning(201, json!({"sid": sid, "status": status, "more": [1, {"x": null}]}));
            assert!(matches!(told.said, Outcome::Accepted { code: 201, .. }), "{told:?}");
            assert_eq!(told.receipt.id.as_deref(), Some(sid));
        }
    }

    #[test]
    fn only_an_answer_that_names_the_message_is_a_yes() {
        for json in [json!(null), json!({}), json!({"sid": ""}), json!({"sid": 3}), json!({"sid": "a b"})] {
            assert!(matches!(meaning(201, json).said, Outcome::Unknown { .. }));
        }
    }

    #[test]
    fn a_refusal_keeps_twilios_code_and_its_words_but_no_number() {
        let text = "The 'To' number +14155551234 is not valid (error 21211)";
        let told = meaning(400, json!({"code": 21211, "message": text, "status": 400}));
        assert_eq!(told.receipt.code, Some(21211));
        assert_eq!(told.receipt.status, None);
        let Outcome::Refused { code: 400, reply, permanent: true, .. } = told.said else { panic!() };
        assert_eq!(reply, "The 'To' number … is not valid (error 21211)");
    }

    #[test]
    fn what_fails_on_the_other_side_is_known_to_nobody() {
        for status in [500, 502, 503, 504, 599, 101] {
            assert!(matches!(meaning(status, json!({"code": 20500})).said, Outcome::Unknown { .. }));
        }
        assert!(meaning(429, json!(null)).said.is_definite_no());
        assert!(meaning(308, json!(null)).said.is_definite_no());
    }
}
