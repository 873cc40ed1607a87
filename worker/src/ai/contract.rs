//! What a written text must be before it may be sent. Pure: a text and its terms in, violations out.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::{
    brief::{Brief, PHONE_CHARS, SUBJECT_CHARS, steers},
    links::{self, Found},
    placeholders, prompt,
};

/// Longest body, in bytes.
pub const BODY_BYTES: usize = 20 * 1024;
/// Raised whenever these checks change, so that a stored draft tells which ones it passed.
pub const VERSION: u32 = 1;

/// A text that keeps the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// One line, without header characters.
    pub subject: String,
    /// Plain text with `\n` line ends.
    pub body: String,
}

/// One way in which an answer breaks the contract. Shown to the model as its `Display`, and stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Violation {
    /// The answer is larger than the writer reads.
    AnswerTooLarge {
        /// The most that is read, in bytes.
        limit: usize,
    },
    /// The answer is not the JSON object that was asked for.
    NotJson,
    /// The answer ended at the limit of tokens.
    CutShort,
    /// The model or its server declined to write.
    Declined {
        /// The words by which it was known, or `filter`.
        by: String,
    },
    /// No subject.
    EmptySubject,
    /// No body.
    EmptyBody,
    /// The subject is too long.
    SubjectTooLong {
        /// Its length in characters.
        chars: usize,
    },
    /// The body is too long.
    BodyTooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The text is too long for a message to a phone.
    TextTooLong {
        /// Its length in characters.
        chars: usize,
    },
    /// A character in the subject could end or encode a header.
    SubjectCharacter {
        /// The character's code point.
        code_point: u32,
    },
    /// A character in the body steers a display instead of being read.
    BodyCharacter {
        /// The character's code point.
        code_point: u32,
    },
    /// The body starts with a mail header.
    HeaderLine {
        /// The header's name.
        name: String,
    },
    /// Something was left to be filled in, or is markup.
    Placeholder {
        /// As it stands in the text.
        found: String,
    },
    /// A link to a host that is not allowed, or of a kind that never is.
    ForbiddenLink {
        /// The host, or the link where it has none.
        to: String,
    },
    /// An e-mail address that is not allowed.
    ForbiddenAddress {
        /// The address.
        address: String,
    },
    /// A part of the rules the model was given.
    PromptLeak,
    /// Not in the script of the language asked for.
    WrongScript {
        /// The language asked for.
        language: String,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnswerTooLarge { limit } => write!(f, "the answer is larger than {limit} bytes"),
            Self::NotJson => write!(f, "the answer is not the JSON object asked for"),
            Self::CutShort => write!(f, "the answer was cut short; write a shorter one"),
            Self::Declined { by } => write!(f, "it declines to write ({by:?}); write the e-mail itself"),
            Self::EmptySubject => write!(f, "the subject is empty"),
            Self::EmptyBody => write!(f, "the body is empty"),
            Self::SubjectTooLong { chars } => {
                write!(f, "the subject has {chars} characters; at most {SUBJECT_CHARS} are allowed")
            }
            Self::BodyTooLong { bytes } => {
                write!(f, "the body has {bytes} bytes; at most {BODY_BYTES} are allowed")
            }
            Self::TextTooLong { chars } => {
                write!(f, "the text has {chars} characters; at most {PHONE_CHARS} are allowed")
            }
            Self::SubjectCharacter { code_point } => {
                write!(f, "the subject contains a line break or control character (U+{code_point:04X})")
            }
            Self::BodyCharacter { code_point } => {
                write!(f, "the body contains a control character (U+{code_point:04X})")
            }
            Self::HeaderLine { name } => write!(f, "the body starts with a header line ({name})"),
            Self::Placeholder { found } => {
                write!(
                    f,
                    "a placeholder or markup is left in it: {found:?}; write around what you do not know"
                )
            }
            Self::ForbiddenLink { to } => write!(f, "it links to {to:?}, which is not allowed"),
            Self::ForbiddenAddress { address } => write!(f, "it names {address:?}, which is not allowed"),
            Self::PromptLeak => write!(f, "it repeats its rules"),
            Self::WrongScript { language } => write!(f, "it is not written in {language:?}"),
        }
    }
}

/// Reads a model's answer and checks it. With a subject hint in the brief, that is the subject.
///
/// # Errors
/// Every way in which the answer breaks the contract.
pub fn read(answer: &str, brief: &Brief) -> Result<Text, Vec<Violation>> {
    // What a reasoning model thought before its answer is not part of it.
    let answer = answer.rsplit("</think>").next().unwrap_or(answer).trim();
    if answer.is_empty() {
        return Err(vec![Violation::EmptyBody]);
    }
    let Some(object) = json_object(answer) else {
        let refused = refusal(answer).map(|by| Violation::Declined { by: by.to_owned() });
        return Err(vec![refused.unwrap_or(Violation::NotJson)]);
    };
    let field = |name: &str| object.get(name).and_then(serde_json::Value::as_str);
    let Some(body) = field("body") else { return Err(vec![Violation::NotJson]) };
    let subject = match &brief.subject_hint {
        Some(hint) => hint,
        None => field("subject").unwrap_or_default(),
    };
    check(subject, body, brief)
}

/// Checks a subject and a body, having removed what is only form: leading `Subject:`, outer white space.
///
/// # Errors
/// Every way in which they break the contract.
pub fn check(subject: &str, body: &str, brief: &Brief) -> Result<Text, Vec<Violation>> {
    let subject = without_subject_label(subject).to_owned();
    let body = body.replace("\r\n", "\n");
    let body = without_subject_line(&body).trim().to_owned();
    let mut violations = Vec::new();
    form(&subject, &body, brief.to_phone, &mut violations);
    let whole = format!("{subject}\n{body}");
    let placeholders: BTreeSet<_> = placeholders::find(&whole).into_iter().collect();
    violations.extend(placeholders.into_iter().take(5).map(|found| Violation::Placeholder { found }));
    violations.extend(strangers(&whole, brief));
    if leaks_prompt(&whole) {
        violations.push(Violation::PromptLeak);
    }
    if let Some(by) = refusal(&body) {
        violations.push(Violation::Declined { by: by.to_owned() });
    }
    if let Some(language) = brief.language.as_deref().filter(|language| !super::script::fits(language, &body))
    {
        violations.push(Violation::WrongScript { language: language.to_owned() });
    }
    if violations.is_empty() { Ok(Text { subject, body }) } else { Err(violations) }
}

/// Emptiness, sizes, characters and header lines.
fn form(subject: &str, body: &str, to_phone: bool, violations: &mut Vec<Violation>) {
    if subject.is_empty() && !to_phone {
        violations.push(Violation::EmptySubject);
    }
    if body.is_empty() {
        violations.push(Violation::EmptyBody);
    }
    let chars = subject.chars().count();
    if chars > SUBJECT_CHARS {
        violations.push(Violation::SubjectTooLong { chars });
    }
    if body.len() > BODY_BYTES {
        violations.push(Violation::BodyTooLong { bytes: body.len() });
    }
    let chars = body.chars().count();
    if to_phone && chars > PHONE_CHARS {
        violations.push(Violation::TextTooLong { chars });
    }
    // `=?` opens an encoded word (RFC 2047), which a client decodes into something unchecked.
    let encoded = subject.contains("=?").then_some('=');
    if let Some(c) = subject.chars().find(|&c| steers(c)).or(encoded) {
        violations.push(Violation::SubjectCharacter { code_point: u32::from(c) });
    }
    if let Some(c) = body.chars().find(|&c| steers(c) && !matches!(c, '\n' | '\t')) {
        violations.push(Violation::BodyCharacter { code_point: u32::from(c) });
    }
    if let Some(name) = header_line(body) {
        violations.push(Violation::HeaderLine { name });
    }
}

/// Links and addresses the brief does not allow.
fn strangers(text: &str, brief: &Brief) -> Vec<Violation> {
    let known =
        |address: &String| brief.allowed_addresses.iter().any(|a| a.trim().eq_ignore_ascii_case(address));
    let violation = |found| match found {
        Found::Host(host) if links::host_allowed(&host, &brief.allowed_hosts) => None,
        Found::Host(to) | Found::Other(to) => Some(Violation::ForbiddenLink { to }),
        Found::Address(address) if known(&address) => None,
        Found::Address(address) => Some(Violation::ForbiddenAddress { address }),
    };
    links::find(text).into_iter().filter_map(violation).take(5).collect()
}

/// The JSON object in an answer: the whole of it, inside a code fence, or between some words.
fn json_object(answer: &str) -> Option<serde_json::Map<String, serde_json::Value>> {
    let object = |text: &str| match serde_json::from_str(text) {
        Ok(serde_json::Value::Object(object)) => Some(object),
        _ => None,
    };
    object(answer).or_else(|| object(answer.get(answer.find('{')?..=answer.rfind('}')?)?))
}

fn without_subject_label(subject: &str) -> &str {
    let mut subject = subject.trim();
    while let Some(rest) = after_label(subject, "subject") {
        subject = rest.trim();
    }
    subject
}

/// The body without the line `Subject: …` many models put before it.
fn without_subject_line(body: &str) -> &str {
    let body = body.trim_start();
    match after_label(body, "subject") {
        Some(rest) => rest.split_once('\n').map_or("", |(_, body)| body),
        None => body,
    }
}

fn after_label<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    let text = text.trim_start_matches('*');
    let (head, rest) = (text.get(..label.len())?, text.get(label.len()..)?);
    let rest = rest.trim_start_matches([' ', '\t', '*']).strip_prefix(':')?;
    head.eq_ignore_ascii_case(label).then(|| rest.trim_start_matches('*'))
}

fn header_line(body: &str) -> Option<String> {
    const NAMES: [&str; 8] =
        ["to", "cc", "bcc", "from", "reply-to", "content-type", "mime-version", "list-unsubscribe"];
    let mut lines = body.lines().map(str::trim).take(6);
    lines.find_map(|line| NAMES.into_iter().find(|name| after_label(line, name).is_some())).map(str::to_owned)
}

/// Whether the text contains the canary, or a part of a rule word for word.
fn leaks_prompt(text: &str) -> bool {
    let text = text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    let rules =
        prompt::SYSTEM.split(['\n', '.', ':']).map(|rule| rule.trim_matches([' ', '-']).to_lowercase());
    let mut telling = rules.filter(|rule| rule.len() >= 40);
    text.contains(prompt::CANARY) || telling.any(|rule| text.contains(&rule))
}

/// The words by which a text is known as a model speaking of itself instead of writing.
fn refusal(text: &str) -> Option<&'static str> {
    const PHRASES: [&str; 16] = [
        "as an ai language model",
        "as an ai model",
        "as an ai assistant",
        "as an ai,",
        "as a language model",
        "as a large language model",
        "i'm an ai",
        "i am an ai",
        "i can't assist",
        "i can't help with",
        "i cannot assist",
        "i cannot help with",
        "i cannot fulfill",
        "i can't fulfill",
        "i'm unable to assist",
        "i am unable to assist",
    ];
    // At its beginning a text may decline in more ways than an honest one contains further on.
    const OPENINGS: [&str; 12] = [
        "i can't write",
        "i cannot write",
        "i can't create",
        "i cannot create",
        "i can't provide",
        "i cannot provide",
        "i can't comply",
        "i cannot comply",
        "i'm sorry, but i can",
        "i am sorry, but i can",
        "i'm sorry, i can",
        "i won't be able to write",
    ];
    let text = text.to_lowercase().replace('\u{2019}', "'");
    let opening: String = text.chars().take(200).collect();
    let anywhere = PHRASES.into_iter().find(|phrase| text.contains(phrase));
    anywhere.or_else(|| OPENINGS.into_iter().find(|phrase| opening.contains(phrase)))
}

#[cfg(test)]
#[path = "contract_tests.rs"]
mod tests;
