//! An inbound message read: who writes, what it answers, what is new in it, or what a server reports in it.
//! A hostile one costs a bounded amount of work, and is at worst not understood.

use mail_parser::{Address, HeaderValue, Message, MessageParser, MessagePart, MimeHeaders, PartType};
use sendwright_workflows::answer;

/// Most bytes that are read: what a person wrote, and what a server reports, stands at the beginning.
const READ: usize = 1 << 20;
/// Most parts and nested messages.
const MOST_PARTS: usize = 200;
const MOST_NESTED: usize = 16;
/// Most ids, recipients and addresses that are looked at.
const MOST_NAMED: usize = 50;
/// Most characters of one of them (RFC 5322, 2.1.1).
const LINE: usize = 998;

/// What of a message matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mail {
    /// Its own Message-ID.
    pub id: Option<String>,
    /// Who wrote it, by `From`.
    pub sender: Option<String>,
    /// Whom it was sent to, by every header that may say so.
    pub recipients: Vec<String>,
    /// Its subject, decoded.
    pub subject: String,
    /// What is new in its text.
    pub text: String,
    /// The Message-IDs it answers, the nearest first.
    pub answers: Vec<String>,
    /// A machine wrote it, by its own word (RFC 3834).
    pub automatic: bool,
    /// A report of a machine: a delivery status notification (RFC 3464), a complaint (RFC 5965), or one that is neither.
    pub report: Option<Report>,
}

/// What a server reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The Message-IDs of what it is about, as returned.
    pub about: Vec<String>,
    /// Whom the returned message was addressed to.
    pub addressed: Vec<String>,
    /// Where answers to the returned message go.
    pub answered: Vec<String>,
    /// The links of its `List-Unsubscribe`.
    pub unsubscribe: Vec<String>,
    /// Each recipient's fate.
    pub fates: Vec<Fate>,
    /// What a recipient says of it.
    pub feedback: Option<Feedback>,
}

/// A feedback report's own fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Feedback {
    /// `Feedback-Type`, in small letters: `abuse`, `fraud`, `not-spam`, …
    pub kind: String,
    /// The reporter's program.
    pub agent: String,
    /// `Original-Rcpt-To` and `Removal-Recipient`, where they are not blackened.
    pub recipients: Vec<String>,
}

/// One recipient's fate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fate {
    /// `Final-Recipient` and `Original-Recipient`.
    pub recipients: Vec<String>,
    /// `failed`, `delayed`, `delivered`, `relayed` or `expanded`.
    pub action: String,
    /// RFC 3463, `5.1.1`.
    pub status: String,
    /// The remote server's words.
    pub diagnostic: String,
}

/// Why a message is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// More parts than any letter has.
    #[error("it has too many parts")]
    Parts,
    /// No message at all.
    #[error("it is no message")]
    Broken,
}

/// Reads a message.
pub fn read(raw: &[u8]) -> Result<Mail, Unread> {
    let raw = &raw[..raw.len().min(READ)];
    if count(raw, b"\n--", MOST_PARTS)
        || count(raw, b"message/", MOST_NESTED)
        || count(raw, b"multipart/", MOST_NESTED)
    {
        return Err(Unread::Parts);
    }
    // What strangers write has made the parser panic: that is their letter's fault, and no worker's end.
    std::panic::catch_unwind(|| letter(raw)).unwrap_or(Err(Unread::Broken))
}

fn letter(raw: &[u8]) -> Result<Mail, Unread> {
    let message = MessageParser::default().parse(raw).ok_or(Unread::Broken)?;
    if message.headers().is_empty() {
        return Err(Unread::Broken);
    }
    let text = message.body_text(0).unwrap_or_default();
    Ok(Mail {
        id: message.message_id().map(|id| plain(id, LINE)),
        sender: addresses(message.from()).into_iter().next(),
        recipients: recipients(&message),
        subject: plain(message.subject().unwrap_or_default(), 500),
        text: answer::own_text(&text),
        answers: answers(&message),
        automatic: is_automatic(&message),
        report: report(&message),
    })
}

/// Whether `word` stands in `raw` more often than `most`, in any case.
fn count(raw: &[u8], word: &[u8], most: usize) -> bool {
    raw.windows(word.len()).filter(|found| found.eq_ignore_ascii_case(word)).nth(most).is_some()
}

fn addresses(address: Option<&Address<'_>>) -> Vec<String> {
    let all = address.into_iter().flat_map(|address| address.iter());
    all.filter_map(|one| one.address.as_deref()).map(|one| plain(one, 320)).take(MOST_NAMED).collect()
}

/// Without control characters, which no database column and no log takes well, and not too long.
fn plain(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

fn recipients(message: &Message<'_>) -> Vec<String> {
    let mut all = addresses(message.to());
    all.extend(addresses(message.cc()));
    for name in ["Delivered-To", "X-Original-To", "Envelope-To"] {
        let named = message.header_raw(name).map(|raw| plain(raw.trim().trim_matches(['<', '>']), LINE));
        all.extend(named);
    }
    all.truncate(MOST_NAMED);
    all
}

fn ids(value: &HeaderValue<'_>) -> Vec<String> {
    match value {
        HeaderValue::Text(one) => vec![plain(one, LINE)],
        HeaderValue::TextList(all) => all.iter().take(MOST_NAMED).map(|one| plain(one, LINE)).collect(),
        _ => Vec::new(),
    }
}

fn answers(message: &Message<'_>) -> Vec<String> {
    let mut all = ids(message.in_reply_to());
    let mut references = ids(message.references());
    references.reverse();
    all.extend(references);
    all.truncate(MOST_NAMED);
    all
}

fn is_automatic(message: &Message<'_>) -> bool {
    let word = |name: &str| message.header_raw(name).unwrap_or_default().trim().to_ascii_lowercase();
    let submitted = word("Auto-Submitted");
    (!submitted.is_empty() && submitted != "no")
        || matches!(word("Precedence").as_str(), "auto_reply" | "auto-reply")
        || ["X-Autoreply", "X-Autorespond", "X-Auto-Reply"]
            .iter()
            .any(|name| message.header_raw(*name).is_some())
}

fn is_of(part: &MessagePart<'_>, kind: &str, sub: &str) -> bool {
    part.content_type().is_some_and(|found| {
        found.ctype().eq_ignore_ascii_case(kind)
            && found.subtype().is_some_and(|found| found.eq_ignore_ascii_case(sub))
    })
}

fn report(message: &Message<'_>) -> Option<Report> {
    if !is_of(message.root_part(), "multipart", "report") {
        return None;
    }
    let of = |kind| message.parts.iter().find(|part| is_of(part, "message", kind));
    let text = |part: &MessagePart<'_>| String::from_utf8_lossy(part.contents()).into_owned();
    let fates = of("delivery-status").map(|part| fates(&text(part))).unwrap_or_default();
    let feedback = of("feedback-report").map(|part| feedback(&text(part)));
    let mut report = Report { fates, feedback, ..Report::default() };
    for part in &message.parts {
        match &part.body {
            PartType::Message(returned) => report.add(returned),
            _ if is_of(part, "text", "rfc822-headers") => {
                let Some(headers) = MessageParser::default().parse_headers(part.contents()) else { continue };
                report.add(&headers);
            }
            _ => {}
        }
    }
    Some(report)
}

impl Report {
    fn add(&mut self, returned: &Message<'_>) {
        self.about.extend(returned.message_id().map(|id| plain(id, LINE)));
        self.addressed.extend(addresses(returned.to()));
        self.answered.extend(addresses(returned.reply_to()));
        let links = returned.header_raw("List-Unsubscribe").unwrap_or_default();
        let links =
            links.split(',').map(|link| plain(link, 2_000).trim().trim_matches(['<', '>']).to_owned());
        self.unsubscribe.extend(links.filter(|link| !link.is_empty()).take(MOST_NAMED));
    }
}

/// The fields of a report's second part (RFC 5965, 3).
fn feedback(fields: &str) -> Feedback {
    let mut feedback = Feedback::default();
    for (name, value) in lines(fields).lines().filter_map(|line| line.split_once(':')) {
        let value = plain(value.trim(), 500);
        match name.trim().to_ascii_lowercase().as_str() {
            "feedback-type" => feedback.kind = value.to_ascii_lowercase(),
            "user-agent" => feedback.agent = value,
            "original-rcpt-to" | "removal-recipient" if feedback.recipients.len() < MOST_NAMED => {
                feedback.recipients.push(value.trim_matches(['<', '>']).to_owned());
            }
            _ => {}
        }
    }
    feedback
}

/// Fields without their folds, a line each.
fn lines(fields: &str) -> String {
    fields.replace("\r\n", "\n").replace("\n ", " ").replace("\n\t", " ")
}

/// The groups of fields after the first, which is about the message as a whole (RFC 3464, 2.1).
fn fates(status: &str) -> Vec<Fate> {
    let unfolded = lines(status);
    let groups = unfolded.split("\n\n").map(str::trim).filter(|group| !group.is_empty());
    let fates = groups.map(|group| {
        let mut fate = Fate::default();
        for (name, value) in group.lines().filter_map(|line| line.split_once(':')) {
            let value = plain(value.trim(), 500);
            let typed = value.split_once(';').map_or(value.as_str(), |(_, rest)| rest).trim();
            match name.trim().to_ascii_lowercase().as_str() {
                "final-recipient" | "original-recipient" => {
                    fate.recipients.push(typed.trim_matches(['<', '>']).to_owned());
                }
                "action" => fate.action = value.to_ascii_lowercase(),
                "status" => fate.status = value.split_whitespace().next().unwrap_or_default().to_owned(),
                "diagnostic-code" => fate.diagnostic = typed.to_owned(),
                _ => {}
            }
        }
        fate
    });
    fates.filter(|fate| !fate.action.is_empty()).take(MOST_NAMED).collect()
}
