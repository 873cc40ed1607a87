//! Twilio's list of messages: what became of a hand-over without an answer.

use super::answer::{receipt, word};
use super::{Client, From, Sender, Trouble, on_wire};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::receipt::Receipt;
use serde_json::Value;
use url::Url;

/// Messages on a page.
const PAGE: &str = "200";
/// Most pages that are followed: this many messages to one person say that something else is wrong.
const MOST_PAGES: usize = 20;

/// A message as Twilio has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name and how far it came.
    pub receipt: Receipt,
    /// The text that went out.
    pub body: String,
    /// When Twilio made it, to the second.
    pub created_at: Millis,
}

/// Whom the messages went to, and since when.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// The recipient's number in E.164.
    pub to: &'a str,
    /// Messages that were made before are left out.
    pub since: Millis,
}

impl Client {
    /// Every message of a sender to one number, oldest first, all pages followed. The list is not narrowed by
    /// `DateSent`: a message that still waits at Twilio's has none, and would be missed.
    ///
    /// # Errors
    /// [`Trouble`]; also where there are too many pages to tell that something is *not* there.
    pub async fn list(&self, sender: &Sender, search: Search<'_>) -> Result<Vec<Listed>, Trouble> {
        let mut next = sender.access.url("/Messages");
        if let Some(url) = &mut next {
            let mut query = url.query_pairs_mut();
            query.append_pair("To", &on_wire(sender.channel, search.to));
            if let From::Number(number) = &sender.from {
                query.append_pair("From", &on_wire(sender.channel, number));
            }
            query.append_pair("PageSize", PAGE);
        }
        let (mut found, mut pages) = (Vec::new(), 0);
        while let Some(url) = next.take() {
            pages += 1;
            if pages > MOST_PAGES {
                return Err(Trouble::Unreadable);
            }
            let read = self.get(&sender.access, url).await?;
            let Some(messages) = read.json.get("messages").and_then(Value::as_array) else {
                return Err(Trouble::Unreadable);
            };
            found.extend(messages.iter().filter(|m| is_from(m, sender)).filter_map(listed));
            next = next_page(&sender.access.base, &read.json)?;
        }
        found.retain(|message: &Listed| message.created_at >= search.since);
        found.sort_by(|a, b| (a.created_at, &a.receipt.id).cmp(&(b.created_at, &b.receipt.id)));
        Ok(found)
    }
}

/// Whether it is one of this sender's own, going out.
fn is_from(message: &Value, sender: &Sender) -> bool {
    let text = |name: &str| message.get(name).and_then(Value::as_str);
    let outbound = text("direction").is_none_or(|direction| direction != "inbound");
    outbound
        && match &sender.from {
            From::Number(number) => text("from") == Some(&on_wire(sender.channel, number)),
            From::Service(sid) => text("messaging_service_sid") == Some(sid),
        }
}

fn listed(message: &Value) -> Option<Listed> {
    word(message.get("sid"))?;
    let created = message.get("date_created").and_then(Value::as_str)?;
    Some(Listed {
        receipt: receipt(message),
        body: message.get("body").and_then(Value::as_str).unwrap_or_default().to_owned(),
        created_at: instant(created)?,
    })
}

/// RFC 2822, as Twilio writes dates.
fn instant(text: &str) -> Option<Millis> {
    mail_parser::DateTime::parse_rfc822(text).map(|date| date.to_timestamp() * 1_000)
}

/// The next page, on the very same host: nothing leads our credentials elsewhere.
fn next_page(base: &str, json: &Value) -> Result<Option<Url>, Trouble> {
    let Some(uri) = json.get("next_page_uri").and_then(Value::as_str).filter(|uri| !uri.is_empty()) else {
        return Ok(None);
    };
    let base = Url::parse(base).map_err(|_| Trouble::Unreadable)?;
    let next = base.join(uri).map_err(|_| Trouble::Unreadable)?;
    match next.origin() == base.origin() {
        true => Ok(Some(next)),
        false => Err(Trouble::Unreadable),
    }
}
