//! What a recipient's answer says: its new text without the quoted rest, and its class by rules. Pure; a model may
//! know better than the rules, but never overrules an opt-out or an automatic answer.

use serde::{Deserialize, Serialize};

/// Most characters of an answer that are kept to be shown.
pub const SNIPPET: usize = 280;
/// Most characters of an answer that are looked at.
const LOOKED_AT: usize = 4_000;

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The person wants to go on.
    Positive,
    /// The person does not.
    Negative,
    /// A machine says that the person is away.
    OutOfOffice,
    /// The person wants no more messages at all.
    OptOut,
    /// Anything else that a person wrote.
    Other,
}

impl Class {
    /// Every class.
    pub const ALL: [Class; 5] =
        [Class::Positive, Class::Negative, Class::OutOfOffice, Class::OptOut, Class::Other];

    /// The word in tables, events and the model's answer.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Positive => "positive",
            Class::Negative => "negative",
            Class::OutOfOffice => "out_of_office",
            Class::OptOut => "opt_out",
            Class::Other => "other",
        }
    }

    /// Reads [`as_str`](Self::as_str).
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }

    /// `positive`, `negative` or `neutral` (S0-32).
    pub fn sentiment(self) -> &'static str {
        match self {
            Class::Positive => "positive",
            Class::Negative | Class::OptOut => "negative",
            Class::OutOfOffice | Class::Other => "neutral",
        }
    }

    /// Whether a person answered: a sequence ends then.
    pub fn is_person(self) -> bool {
        self != Class::OutOfOffice
    }
}

const AWAY: &[&str] = &[
    "out of office",
    "out of the office",
    "automatic reply",
    "auto-reply",
    "autoreply",
    "auto reply",
    "away from my desk",
    "on vacation",
    "on annual leave",
    "on parental leave",
    "abwesenheitsnotiz",
    "automatische antwort",
    "réponse automatique",
    "respuesta automática",
];
const OUT: &[&str] = &[
    "unsubscribe",
    "remove me",
    "take me off",
    "opt out",
    "opt me out",
    "opt-out",
    "stop emailing",
    "stop e-mailing",
    "stop contacting",
    "stop sending",
    "stop writing",
    "stop texting",
    "stop messaging",
    "leave me alone",
    "do not text",
    "don't text",
    "no more texts",
    "no more messages",
    "do not contact",
    "don't contact",
    "do not email",
    "don't email",
    "never contact",
    "no more emails",
    "no more e-mails",
    "delete my data",
    "abmelden",
    "austragen",
    "keine weiteren e-mails",
];
const NO: &[&str] = &[
    "not interested",
    "no interest",
    "no thanks",
    "no thank you",
    "not for us",
    "not a fit",
    "not at this time",
    "not right now",
    "we are all set",
    "we're all set",
    "i'll pass",
    "we'll pass",
    "kein interesse",
    "nein danke",
];
const YES: &[&str] = &[
    "interested",
    "sounds good",
    "sounds great",
    "sounds interesting",
    "let's talk",
    "lets talk",
    "let's chat",
    "let's schedule",
    "happy to",
    "love to",
    "tell me more",
    "send me more",
    "more information",
    "more details",
    "call me",
    "book a",
    "schedule a",
    "when are you available",
    "gerne",
];

/// Classes an answer by its subject and its own text. `automatic`: its headers say that a machine wrote it.
pub fn class(subject: &str, text: &str, automatic: bool) -> Class {
    let subject = lowered(subject);
    let text = lowered(text);
    let says = |words: &[&str], text: &str| words.iter().any(|word| text.contains(word));
    if automatic || says(AWAY, &subject) {
        return Class::OutOfOffice;
    }
    let bare = text.trim_matches(|c: char| !c.is_alphanumeric());
    if matches!(bare, "stop" | "remove" | "unsubscribe") || is_unsubscribe(&subject) || says(OUT, &text) {
        return Class::OptOut;
    }
    match (says(NO, &text), says(YES, &text), says(AWAY, &text)) {
        (true, ..) => Class::Negative,
        (false, true, _) => Class::Positive,
        (false, false, true) => Class::OutOfOffice,
        _ => Class::Other,
    }
}

/// Whether a subject is that of a `List-Unsubscribe` mail (RFC 2369, 3.2).
pub fn is_unsubscribe(subject: &str) -> bool {
    matches!(subject.trim().to_lowercase().as_str(), "unsubscribe" | "re: unsubscribe")
}

fn lowered(text: &str) -> String {
    text.chars().take(LOOKED_AT).collect::<String>().to_lowercase().replace('\u{2019}', "'")
}

/// What the person wrote, without what is quoted below it and without a signature.
pub fn own_text(text: &str) -> String {
    let mut own = Vec::new();
    let lines: Vec<&str> = text.lines().take(2_000).collect();
    for (at, line) in lines.iter().enumerate() {
        let next = lines.get(at + 1).copied().unwrap_or_default();
        if line.trim_end() == "--" || *line == "-- " || begins_quote(line.trim(), next.trim()) {
            break;
        }
        if !line.trim_start().starts_with('>') {
            own.push(line.trim_end());
        }
    }
    own.join("\n").trim().to_owned()
}

/// The line a mail program puts above what it quotes; it may run over two lines.
fn begins_quote(line: &str, next: &str) -> bool {
    let ends = |line: &str| {
        let line = line.to_lowercase();
        ["wrote:", "schrieb:", "a écrit :", "escribió:"].iter().any(|end| line.ends_with(end))
    };
    let begins = ["On ", "Am ", "Le ", "El "].iter().any(|word| line.starts_with(word));
    (begins && (ends(line) || ends(next)))
        || line.starts_with("-----Original Message-----")
        || line.starts_with("________________________________")
        || (line.starts_with("From: ") && (next.starts_with("Sent: ") || next.starts_with("Date: ")))
}

/// The beginning of an answer on one line, without control characters.
pub fn snippet(text: &str) -> String {
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || c.is_control()).collect();
    let line = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SNIPPET) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_classed_by_what_it_says() {
        for (subject, text, is) in [
            ("Re: Hi", "Sounds good, call me tomorrow.", Class::Positive),
            ("Re: Hi", "We are not interested.", Class::Negative),
            ("Re: Hi", "Please remove me from your list", Class::OptOut),
            ("Re: Hi", "STOP.", Class::OptOut),
            ("unsubscribe", "", Class::OptOut),
            ("Out of Office: Hi", "I am interested in everything when I am back", Class::OutOfOffice),
            ("Re: Hi", "I\u{2019}m on vacation until Monday.", Class::OutOfOffice),
            ("Re: Hi", "Who are you?", Class::Other),
            ("Re: Hi", "The shop does not stop at five", Class::Other),
        ] {
            assert_eq!(class(subject, text, false), is, "{subject} / {text}");
        }
        assert_eq!(class("Re: Hi", "Sounds good", true), Class::OutOfOffice);
    }

    #[test]
    fn what_is_quoted_is_not_what_the_person_wrote() {
        let text = "No thanks\n\nOn Tue, 3 Mar 2026, Ada <ada@example.com>\nwrote:\n> Interested?\n";
        assert_eq!(own_text(text), "No thanks");
        assert_eq!(own_text("Yes\n> Interested? unsubscribe here\nplease\n-- \nBob, stop@x"), "Yes\nplease");
        assert_eq!(
            own_text("Ja\n\nAm 3. März schrieb Ada:\nAm 3. M\u{e4}rz\nschrieb:"),
            "Ja\n\nAm 3. März schrieb Ada:"
        );
        let outlook = "Sure\r\n\r\nFrom: Ada\r\nSent: Tuesday\r\nTo: Bob\r\n\r\nunsubscribe";
        assert_eq!(own_text(outlook), "Sure");
    }

    #[test]
    fn a_snippet_is_one_short_line() {
        assert_eq!(snippet(" a\r\n\tb\u{0} c "), "a b c");
        assert_eq!(snippet(&"ü".repeat(400)).chars().count(), SNIPPET + 1);
    }

    #[test]
    fn every_class_is_found_by_its_word() {
        for class in Class::ALL {
            assert_eq!(Class::parse(class.as_str()), Some(class));
        }
        assert_eq!(Class::parse("maybe"), None);
    }
}
