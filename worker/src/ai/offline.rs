//! The writer that needs no model.

use sha2::{Digest, Sha256};

use super::{
    Brief, Draft, Tokens, WriteError, WrittenBy,
    brief::{PHONE_CHARS, SUBJECT_CHARS, line},
    contract,
    prompt::reference,
};

const FOOTER: &str = include_str!("../../../templates/prompts/offline_footer.txt");

/// Stands in where no model is configured: the same brief gives the same text, and every text says at its
/// end that no model wrote it. It is meant for the captured mailbox; the caller keeps it from a real transport.
#[derive(Clone, Copy, Debug, Default)]
pub struct OfflineWriter;

impl OfflineWriter {
    /// Writes the stand-in.
    ///
    /// # Errors
    /// None today; the signature is that of every writer.
    pub fn write(&self, brief: &Brief) -> Result<Draft, WriteError> {
        let brief = brief.bounded();
        let text = body(&brief);
        Ok(Draft {
            subject: subject(&brief),
            prompt_hash: hex::encode(Sha256::digest(&text)),
            text,
            writer: WrittenBy::Offline,
            model: "offline".to_owned(),
            tokens: Tokens::default(),
            attempts: 1,
            contract: contract::VERSION,
            rejected: Vec::new(),
        })
    }
}

fn subject(brief: &Brief) -> String {
    let from = [brief.sender.company.as_str(), &brief.sender.name].into_iter().find(|name| !name.is_empty());
    let subject = match (&brief.subject_hint, field(brief, &["company_name", "company"]), from) {
        (Some(hint), _, _) => hint.clone(),
        (None, Some(company), Some(from)) => format!("{company} and {from}"),
        (None, Some(name), None) | (None, None, Some(name)) => format!("A note from {name}"),
        (None, None, None) => "A note".to_owned(),
    };
    line(&subject, SUBJECT_CHARS)
}

fn body(brief: &Brief) -> String {
    let greeting =
        field(brief, &["first_name", "name"]).map_or("Hello".to_owned(), |name| format!("Hello {name}"));
    let company = field(brief, &["company_name", "company"]);
    let reason = company.map_or(String::new(), |company| format!("I am writing to you at {company}. "));
    let before = match brief.previous.last() {
        Some(email) => format!("This follows my last message, \"{}\". ", email.subject),
        None => String::new(),
    };
    let task = with_values(&brief.ai_prompt, brief);
    if brief.to_phone {
        let room = PHONE_CHARS - FOOTER.chars().count();
        let text: String = format!("{greeting}: {task}").chars().take(room).collect();
        return format!("{} {}", text.trim_end(), FOOTER.trim_start_matches("--").trim());
    }
    let sender = [brief.sender.name.as_str(), brief.sender.company.as_str()];
    let signature = sender.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    let text =
        format!("{greeting},\n\n{reason}{before}The text here would be written to this task:\n\n{task}");
    [text.trim_end(), signature.as_str(), FOOTER.trim_end()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("\n\n")
}

fn field<'a>(brief: &'a Brief, names: &[&str]) -> Option<&'a str> {
    names
        .iter()
        .find_map(|name| brief.contact.get(*name))
        .map(String::as_str)
        .filter(|value| !value.is_empty())
}

/// The task with each `{{field}}` as its value or its default, read once: a value is never read again.
fn with_values(task: &str, brief: &Brief) -> String {
    let mut out = String::with_capacity(task.len());
    let mut rest = task;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let found = after.split_once("}}").and_then(|(inside, beyond)| {
            let (name, without) = reference(inside)?;
            let value = brief.contact.get(name).map(String::as_str).filter(|value| !value.is_empty());
            Some((value.or(without)?, beyond))
        });
        let (value, beyond) = found.unwrap_or(("{{", after));
        out.push_str(value);
        rest = beyond;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brief() -> Brief {
        let fields = [("first_name", "Anna"), ("company_name", "{{first_name}} GmbH\r\nBcc: x")];
        Brief {
            ai_prompt:
                "Ask {{ first_name }} of {{company_name}} about {{unknown}} as {{default title \"one\"}}."
                    .into(),
            contact: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            sender: super::super::Sender { name: "Ben".into(), company: "Acme".into() },
            ..Brief::default()
        }
    }

    #[test]
    fn every_text_says_at_its_end_that_no_model_wrote_it() {
        for brief in [brief(), Brief::default()] {
            let draft = OfflineWriter.write(&brief).unwrap();
            assert!(draft.text.ends_with(FOOTER.trim_end()), "{}", draft.text);
            assert!(draft.text.contains("without a language model"));
            assert_eq!((draft.writer, draft.model.as_str()), (WrittenBy::Offline, "offline"));
        }
    }

    #[test]
    fn the_same_brief_gives_the_same_text_with_its_values_read_once() {
        let draft = OfflineWriter.write(&brief()).unwrap();
        assert_eq!(draft, OfflineWriter.write(&brief()).unwrap());
        assert!(draft.text.starts_with("Hello Anna,\n\nI am writing to you at {{first_name}} GmbH Bcc: x. "));
        assert!(draft.text.contains("Ask Anna of {{first_name}} GmbH Bcc: x about {{unknown}} as one."));
        assert!(draft.text.contains("\n\nBen\nAcme\n\n--"));
        assert_eq!(draft.subject, "{{first_name}} GmbH Bcc: x and Acme");
    }

    #[test]
    fn the_subject_hint_is_the_subject() {
        let brief = Brief { subject_hint: Some("Quick\r\nquestion".into()), ..brief() };
        assert_eq!(OfflineWriter.write(&brief).unwrap().subject, "Quick question");
    }
}
