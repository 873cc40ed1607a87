//! The captured mailbox: what would have gone out, taken apart again as a reader of mail would.

use crate::refusal::Refusal;
use crate::state::Core;
use mail_parser::{MessageParser, PartType};
use sendwright_store::mailbox::{self, Captured};
use sendwright_workflows::sequence::Channel;

/// Messages are counted up to this many.
pub const MOST_COUNTED: i64 = 100_000;

/// A captured message, read.
#[derive(Debug, Clone)]
pub struct Mail {
    /// As it was captured.
    pub captured: Captured,
    /// `email`, `sms` or `whatsapp`.
    pub channel: Channel,
    /// The author as the header has it, decoded.
    pub from: String,
    /// Every header, in its order, unfolded.
    pub headers: Vec<(String, String)>,
    /// The text part.
    pub text: Option<String>,
    /// The HTML part.
    pub html: Option<String>,
}

/// Captured messages below `before`, the newest first, and how many there are; `to` narrows to a recipient.
pub async fn list(
    core: &Core,
    account: i64,
    to: Option<&str>,
    before: i64,
    limit: i64,
) -> Result<(Vec<Mail>, i64), Refusal> {
    let mut tx = core.store.read().await?;
    let found = mailbox::list(&mut tx, account, to, before, limit).await?;
    let total = mailbox::count(&mut tx, account, to, MOST_COUNTED).await?;
    tx.rollback().await?;
    Ok((found.into_iter().map(read).collect(), total))
}

/// One captured message.
pub async fn get(core: &Core, account: i64, id: i64) -> Result<Mail, Refusal> {
    let mut tx = core.store.read().await?;
    let found = mailbox::get(&mut tx, account, id).await?;
    tx.rollback().await?;
    found.map(read).ok_or_else(|| Refusal::NotFound(format!("there is no message {id} in the mailbox")))
}

fn read(captured: Captured) -> Mail {
    let from = captured.sender.clone();
    let channel = Channel::Email;
    let mut mail = Mail { channel, from, headers: Vec::new(), text: None, html: None, captured };
    if mail.captured.recipient.starts_with('+') {
        return read_text(mail);
    }
    let Some(parsed) = MessageParser::default().parse(mail.captured.raw.as_bytes()) else { return mail };
    mail.headers = parsed
        .headers_raw()
        .map(|(name, value)| (name.to_owned(), value.split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect();
    if let Some(author) = parsed.from().and_then(|from| from.first()) {
        let address = author.address.as_deref().unwrap_or_default();
        mail.from = match author.name.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => format!("{name} <{address}>"),
            None => address.to_owned(),
        };
    }
    for part in &parsed.parts {
        match &part.body {
            PartType::Text(text) if mail.text.is_none() => mail.text = Some(text.to_string()),
            PartType::Html(html) if mail.html.is_none() => mail.html = Some(html.to_string()),
            _ => {}
        }
    }
    mail
}

/// A text message: lines of `Name: value`, an empty one, and the text.
fn read_text(mut mail: Mail) -> Mail {
    let raw = &mail.captured.raw;
    let (head, text) = raw.split_once("\n\n").unwrap_or((raw, ""));
    let headers = head.lines().filter_map(|line| line.split_once(": "));
    mail.headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let channel = mail.headers.iter().find(|(name, _)| name == "Channel").map(|(_, value)| value);
    mail.channel = channel.and_then(|word| Channel::parse(word)).unwrap_or(Channel::Sms);
    mail.text = Some(text.strip_suffix('\n').unwrap_or(text).to_owned());
    mail
}
