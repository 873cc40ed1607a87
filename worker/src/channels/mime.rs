//! One e-mail as bytes: RFC 5322 headers over MIME parts that are always encoded.
//!
//! The bytes depend on the [`Letter`] alone (no clock, no randomness), so rendering the same
//! letter again gives the same bytes. They are safe on the wire: every line ends in CRLF, holds
//! no bare CR or LF and is at most 998 octets long (RFC 5321 4.5.3.1.6).

use std::time::{Duration, SystemTime};

use lettre::Message;
use lettre::address::Envelope;
use lettre::message::header::{self, ContentTransferEncoding, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, MessageBuilder, MultiPart, SinglePart};

/// Everything one e-mail is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// `Message-ID` with its angle brackets, written as it is.
    pub message_id: String,
    /// Author.
    pub from: Party,
    /// Where answers go, if not to the author.
    pub reply_to: Option<Party>,
    /// The one recipient.
    pub to: Party,
    /// Subject, any Unicode text without control characters.
    pub subject: String,
    /// The text part. Any line ending; trailing blank lines are dropped.
    pub text: String,
    /// The HTML part; with it the message is `multipart/alternative`.
    pub html: Option<String>,
    /// Message-ID this one answers, with its angle brackets.
    pub in_reply_to: Option<String>,
    /// Message-IDs of the thread, oldest first.
    pub references: Vec<String>,
    /// How to leave the list.
    pub list_unsubscribe: Option<Unsubscribe>,
    /// `Date`, unix milliseconds.
    pub date: i64,
    /// Further headers: `X-…` or one of [`ALLOWED_HEADERS`].
    pub headers: Vec<(String, String)>,
}

/// A name and an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// Display name; empty means none.
    pub name: String,
    /// `local@domain`.
    pub address: String,
}

/// `List-Unsubscribe` (RFC 2369), with `List-Unsubscribe-Post` (RFC 8058) when `one_click`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// A web address; one-click needs it to be `https://`.
    pub web: Option<String>,
    /// A `mailto:` address.
    pub mailto: Option<String>,
    /// Whether a bare POST to `web` opts out.
    pub one_click: bool,
}

/// Header names a letter may add besides `X-…`.
pub const ALLOWED_HEADERS: [&str; 5] =
    ["Auto-Submitted", "Feedback-ID", "Importance", "List-ID", "Precedence"];

/// Why a letter cannot be written. The field is named, its content never.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MimeError {
    /// CR, LF, NUL or another control character where a header would be built from it.
    #[error("{field} holds a line break or another control character: remove it")]
    ControlCharacter {
        /// The header concerned.
        field: String,
    },
    /// Not an address mail can be sent to.
    #[error("{field} is not a plain address of the form local@domain")]
    Address {
        /// The header concerned.
        field: &'static str,
    },
    /// Not `<…>` of printable ASCII.
    #[error("{field} is not a message id of the form <left@right>")]
    MessageId {
        /// The header concerned.
        field: &'static str,
    },
    /// A header name outside the allow list.
    #[error("the header {name} may not be set: use X-… or one of the allowed names")]
    HeaderNotAllowed {
        /// The name as given, cleaned.
        name: String,
    },
    /// The way to leave the list cannot be written.
    #[error("list_unsubscribe: {0}")]
    Unsubscribe(&'static str),
    /// An instant no `Date` header can hold.
    #[error("the date is before 1970 or after 9999")]
    Date,
    /// A word in a header is too long to be folded into lines of 998 octets.
    #[error("a header holds a word that is too long: shorten it")]
    LineTooLong,
    /// The builder refused for another cause.
    #[error("the message cannot be built: {0}")]
    Build(String),
}

impl Letter {
    /// The message as it goes over the wire, before dot-stuffing.
    ///
    /// # Errors
    /// [`MimeError`] names the field that cannot be written; nothing is repaired silently.
    pub fn to_bytes(&self) -> Result<Vec<u8>, MimeError> {
        let from = mailbox("From", &self.from)?;
        let to = mailbox("To", &self.to)?;
        // Given outright, so that the builder does not read the addresses back out of the headers.
        let envelope = Envelope::new(Some(from.email.clone()), vec![to.email.clone()]);
        let mut builder = Message::builder()
            .envelope(envelope.map_err(|e| MimeError::Build(e.to_string()))?)
            .date(instant(self.date)?)
            .message_id(Some(message_id("Message-ID", &self.message_id)?))
            .from(from)
            .to(to)
            .subject(header_text("Subject", &self.subject)?);
        if let Some(party) = &self.reply_to {
            builder = builder.reply_to(mailbox("Reply-To", party)?);
        }
        if let Some(id) = &self.in_reply_to {
            builder = builder.in_reply_to(message_id("In-Reply-To", id)?);
        }
        if !self.references.is_empty() {
            let ids: Result<Vec<_>, _> =
                self.references.iter().map(|id| message_id("References", id)).collect();
            builder = builder.references(ids?.join(" "));
        }
        if let Some(unsubscribe) = &self.list_unsubscribe {
            builder = unsubscribe.write(builder)?;
        }
        for (name, value) in &self.headers {
            builder = builder.raw_header(HeaderValue::new(header_name(name)?, header_text(name, value)?));
        }
        let bytes = self.parts(builder)?.formatted();
        if is_wire_safe(&bytes) { Ok(bytes) } else { Err(MimeError::LineTooLong) }
    }

    fn parts(&self, builder: MessageBuilder) -> Result<Message, MimeError> {
        let text = part(header::ContentType::TEXT_PLAIN, &self.text)?;
        let built = match &self.html {
            None => builder.singlepart(text),
            Some(html) => {
                let html = part(header::ContentType::TEXT_HTML, html)?;
                // Neither quoted-printable nor base64 can produce "=_" (RFC 2045 6.7), so a
                // fixed boundary never meets itself in a part.
                let both = MultiPart::alternative().boundary("=_alternative");
                builder.multipart(both.singlepart(text).singlepart(html))
            }
        };
        built.map_err(|e| MimeError::Build(e.to_string()))
    }
}

impl Unsubscribe {
    fn write(&self, builder: MessageBuilder) -> Result<MessageBuilder, MimeError> {
        let mut ways = Vec::new();
        for (way, schemes) in [(&self.web, &["https://", "http://"][..]), (&self.mailto, &["mailto:"][..])] {
            let Some(url) = way else { continue };
            if !schemes.iter().any(|scheme| url.starts_with(scheme))
                || url.contains(|c: char| !c.is_ascii_graphic() || "<>,".contains(c))
            {
                return Err(MimeError::Unsubscribe(
                    "needs a plain http(s):// or mailto: address, percent-encoded",
                ));
            }
            ways.push(format!("<{url}>"));
        }
        if ways.is_empty() {
            return Err(MimeError::Unsubscribe("names no address"));
        }
        let listed = HeaderName::new_from_ascii_str("List-Unsubscribe");
        let builder = builder.raw_header(HeaderValue::new(listed, ways.join(", ")));
        if !self.one_click {
            return Ok(builder);
        }
        if !self.web.as_deref().is_some_and(|url| url.starts_with("https://")) {
            return Err(MimeError::Unsubscribe("one-click needs an https:// address"));
        }
        let post = HeaderName::new_from_ascii_str("List-Unsubscribe-Post");
        Ok(builder.raw_header(HeaderValue::new(post, "List-Unsubscribe=One-Click".to_owned())))
    }
}

/// Whether bytes can go through SMTP `DATA` unchanged and without being mistaken for its end:
/// CRLF line ends only, no NUL, no line over 998 octets.
pub fn is_wire_safe(bytes: &[u8]) -> bool {
    let mut start = 0;
    for (i, &b) in bytes.iter().enumerate() {
        let fits = match b {
            0 => false,
            b'\r' => bytes.get(i + 1) == Some(&b'\n'),
            b'\n' => i > 0 && bytes[i - 1] == b'\r',
            _ => i - start < 998,
        };
        if !fits {
            return false;
        }
        if b == b'\n' {
            start = i + 1;
        }
    }
    true
}

fn mailbox(field: &'static str, party: &Party) -> Result<Mailbox, MimeError> {
    let name = header_text(field, &party.name)?;
    let email = super::address(&party.address).ok_or(MimeError::Address { field })?;
    let name = name.trim();
    Ok(Mailbox::new((!name.is_empty()).then(|| name.to_owned()), email))
}

/// Text that may stand in a header: the builder writes control characters through or panics on
/// them, so they are refused here. A tab becomes a blank.
fn header_text(field: &str, text: &str) -> Result<String, MimeError> {
    let text = text.replace('\t', " ");
    if text.contains(char::is_control) {
        return Err(MimeError::ControlCharacter { field: super::clean(field.as_bytes()) });
    }
    Ok(text)
}

fn header_name(name: &str) -> Result<HeaderName, MimeError> {
    let not_allowed = || MimeError::HeaderNotAllowed { name: super::clean(name.as_bytes()) };
    let own = name.len() > 2 && name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("X-"));
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !plain || !(own || ALLOWED_HEADERS.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))) {
        return Err(not_allowed());
    }
    HeaderName::new_from_ascii(name.to_owned()).map_err(|_| not_allowed())
}

fn message_id(field: &'static str, id: &str) -> Result<String, MimeError> {
    let inner = id.strip_prefix('<').and_then(|id| id.strip_suffix('>'));
    let plain = |c: char| c.is_ascii_graphic() && c != '<' && c != '>';
    match inner {
        Some(inner) if !inner.is_empty() && id.len() <= 900 && inner.chars().all(plain) => Ok(id.to_owned()),
        _ => Err(MimeError::MessageId { field }),
    }
}

fn instant(unix_ms: i64) -> Result<SystemTime, MimeError> {
    const YEAR_10000: u64 = 253_402_300_800_000;
    match u64::try_from(unix_ms) {
        Ok(ms) if ms < YEAR_10000 => Ok(SystemTime::UNIX_EPOCH + Duration::from_millis(ms)),
        _ => Err(MimeError::Date),
    }
}

/// A part in quoted-printable, or in base64 where most of it is outside ASCII. Never 7bit: a
/// body that is encoded cannot smuggle a line of its own onto the wire.
fn part(content_type: header::ContentType, text: &str) -> Result<SinglePart, MimeError> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let text = text.trim_end_matches('\n').replace('\n', "\r\n");
    let outside = text.bytes().filter(|b| !b.is_ascii()).count();
    let encoding = match outside * 3 > text.len() {
        true => ContentTransferEncoding::Base64,
        false => ContentTransferEncoding::QuotedPrintable,
    };
    let body = Body::new_with_encoding(text, encoding);
    let body = body.map_err(|_| MimeError::Build("a part could not be encoded".into()))?;
    Ok(SinglePart::builder().header(content_type).body(body))
}
