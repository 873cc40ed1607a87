//! The class of an answer by the model: one word of a closed list, or nothing.

use super::model::ModelWriter;
use super::transport::Fault;
use async_openai::types::chat::{
    ChatCompletionRequestMessage, ChatCompletionRequestSystemMessage, ChatCompletionRequestUserMessage,
    ResponseFormat, ResponseFormatJsonSchema,
};
use sendwright_workflows::answer::Class;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

const TASK: &str = include_str!("../../../templates/prompts/classify.txt");
/// An answer waits no longer than this for its class: the rules know one at once.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often the model may answer something else than a class.
const TRIES: usize = 2;
/// Most characters that the model is shown.
const SHOWN: usize = 2_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    class: String,
}

impl ModelWriter {
    /// The class of an answer, or `None` where the model cannot be asked, or answers no class: then the rules'
    /// stands.
    pub async fn class(&self, subject: &str, text: &str) -> Option<Class> {
        let deadline = Instant::now() + PATIENCE;
        let shown = |text: &str| text.chars().take(SHOWN).collect::<String>();
        let data = json!({ "subject": shown(subject), "text": shown(text) }).to_string();
        let messages: [ChatCompletionRequestMessage; 2] = [
            ChatCompletionRequestSystemMessage::from(TASK).into(),
            ChatCompletionRequestUserMessage::from(data).into(),
        ];
        for _ in 0..TRIES {
            let completion = match self.ask(&messages, format, deadline).await {
                Ok(completion) => completion,
                Err(Fault::TooLarge { .. }) => continue,
                Err(fault) => {
                    tracing::info!(%fault, "an answer is classed by rules");
                    return None;
                }
            };
            let message = completion.choices.first().and_then(|choice| choice.message.as_ref());
            let class = message.and_then(|message| read(message.content.as_deref()?));
            if class.is_some() {
                return class;
            }
        }
        tracing::info!("the model gave no class; an answer is classed by rules");
        None
    }
}

/// The contract: an object with one known word and nothing else, with or without a fence around it.
fn read(answer: &str) -> Option<Class> {
    let answer = answer.trim();
    let answer = answer.strip_prefix("```json").or_else(|| answer.strip_prefix("```")).unwrap_or(answer);
    let answer = answer.strip_suffix("```").unwrap_or(answer);
    Class::parse(&serde_json::from_str::<Answer>(answer.trim()).ok()?.class)
}

fn format() -> ResponseFormat {
    let words = Class::ALL.map(Class::as_str);
    let schema = json!({ "type": "object", "additionalProperties": false, "required": ["class"],
                         "properties": { "class": { "type": "string", "enum": words } } });
    let json_schema =
        ResponseFormatJsonSchema { description: None, name: "answer".to_owned(), schema, strict: Some(true) };
    ResponseFormat::JsonSchema { json_schema }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_word_alone_is_a_class() {
        assert_eq!(read(r#"{"class": "opt_out"}"#), Some(Class::OptOut));
        assert_eq!(read("```json\n{\"class\":\"positive\"}\n```"), Some(Class::Positive));
        for other in ["", "positive", "{}", r#"{"class":"great"}"#, r#"{"class":"other","say":"x"}"#, "[]"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
