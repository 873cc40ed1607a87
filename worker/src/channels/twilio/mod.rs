//! SMS and WhatsApp over Twilio's Messages resource: one form POST per message, and what its answer means.
//!
//! The irrevocable byte is the first of the request's body: it is given to the connection by [`gate::body`] once the
//! last question is answered, and without it Twilio creates nothing. So a request that never got there is a definite
//! no, a 2xx that names the message is a definite yes, a 4xx is a definite no, and all else is unknown
//! (SEND_PROTOCOL.md, rule 16). Nothing is repeated here: no redirect, no retry, no second connection.

mod answer;
mod gate;
mod line;
mod list;

pub use line::{Line, Unready};
pub use list::{Listed, Search};

use super::{Outcome, Refusal, Stage, Told, clean};
use crate::http::builder;
use answer::{Read, read};
use gate::Gate;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use sendwright_workflows::sequence::Channel;
use std::fmt;
use std::time::Duration;
use url::Url;
use url::form_urlencoded::Serializer;

/// How long connecting may take, the handshake of TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an idle connection is trusted.
const IDLE: Duration = Duration::from_secs(20);
/// How long Twilio may take for an answer, all of it, where nobody says otherwise.
pub const ANSWER: Duration = Duration::from_secs(30);
/// Twilio's own address.
pub const BASE: &str = "https://api.twilio.com";

/// An account of Twilio's. `Debug` leaves the token out.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    /// Where the API is: [`BASE`], or a stand-in's address.
    pub base: String,
    /// The account's SID, `AC…`.
    pub sid: String,
    /// Its auth token.
    pub token: String,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Access({} at {})", self.sid, self.base)
    }
}

impl Access {
    /// A resource of this account.
    fn url(&self, resource: &str) -> Option<Url> {
        let base = self.base.trim_end_matches('/');
        Url::parse(&format!("{base}/2010-04-01/Accounts/{}{resource}.json", self.sid)).ok()
    }
}

/// Who sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// A number in E.164.
    Number(String),
    /// A messaging service's SID, `MG…`: Twilio chooses the number.
    Service(String),
}

impl From {
    /// A number, or a messaging service by its SID.
    pub fn parse(text: &str) -> Self {
        match text.starts_with("MG") {
            true => From::Service(text.to_owned()),
            false => From::Number(text.to_owned()),
        }
    }

    /// The number or SID as people read it.
    pub fn as_str(&self) -> &str {
        match self {
            From::Number(text) | From::Service(text) => text,
        }
    }
}

/// A sender: an account of Twilio's and one of its numbers or services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The account.
    pub access: Access,
    /// Who sends.
    pub from: From,
    /// SMS or WhatsApp.
    pub channel: Channel,
}

/// The process's own account, and who sends by it on each channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// The account.
    pub access: Access,
    /// Who sends text messages.
    pub sms: Option<From>,
    /// Who sends WhatsApp messages.
    pub whatsapp: Option<From>,
}

impl Own {
    /// The sender of a channel; `from` is a profile's own wish.
    pub fn sender(&self, channel: Channel, from: Option<From>) -> Option<Sender> {
        let from = from.or_else(|| match channel {
            Channel::Whatsapp => self.whatsapp.clone(),
            _ => self.sms.clone(),
        })?;
        Some(Sender { access: self.access.clone(), from, channel })
    }
}

/// An address as Twilio's parameters have it.
fn on_wire(channel: Channel, number: &str) -> String {
    match channel {
        Channel::Whatsapp => format!("whatsapp:{number}"),
        _ => number.to_owned(),
    }
}

/// One message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// The recipient's number in E.164.
    pub to: String,
    /// The text; with a content template Twilio has its own.
    pub body: String,
    /// Addresses of media to go with it.
    pub media: Vec<String>,
    /// A content template's SID, `HX…`, and its variables as a JSON object.
    pub content: Option<(String, String)>,
    /// Where Twilio says how far it came.
    pub status_callback: Option<Url>,
}

impl Text {
    /// The request's body.
    fn form(&self, sender: &Sender) -> String {
        let mut form = Serializer::new(String::new());
        form.append_pair("To", &on_wire(sender.channel, &self.to));
        match &sender.from {
            From::Number(number) => form.append_pair("From", &on_wire(sender.channel, number)),
            From::Service(sid) => form.append_pair("MessagingServiceSid", sid),
        };
        match &self.content {
            Some((sid, variables)) => {
                form.append_pair("ContentSid", sid).append_pair("ContentVariables", variables);
            }
            None if self.body.is_empty() => {}
            None => drop(form.append_pair("Body", &self.body)),
        }
        for url in &self.media {
            form.append_pair("MediaUrl", url);
        }
        if let Some(url) = &self.status_callback {
            form.append_pair("StatusCallback", url.as_str());
        }
        form.finish()
    }
}

/// Why an account could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// No connection, no TLS, or no answer in time.
    #[error("{0}")]
    NoAnswer(String),
    /// An answer that is no success.
    #[error("it answered {status}{}", code.map(|code| format!(" ({code})")).unwrap_or_default())]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Twilio's code.
        code: Option<u32>,
        /// When it may be asked again, milliseconds.
        retry_after: Option<i64>,
    },
    /// A success that does not read.
    #[error("its answer does not read")]
    Unreadable,
}

/// The HTTP client for Twilio. One for a process: connections are shared and kept for some seconds.
pub struct Client {
    http: reqwest::Client,
}

impl Client {
    /// A client that waits so long for an answer.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(answer: Duration) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let http = builder()?
            .http1_only()
            .connect_timeout(CONNECT)
            .read_timeout(answer)
            .timeout(answer + CONNECT)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true)
            .build()?;
        Ok(Self { http })
    }

    /// Hands one message over. `ask` is the last question: it is asked once, when the connection is ready to take the
    /// body, and its refusal leaves the body unwritten.
    pub async fn send(
        &self,
        sender: &Sender,
        text: &Text,
        ask: impl FnMut() -> Result<(), Refusal> + Send + 'static,
    ) -> Told {
        let failed = |detail: &str| Outcome::Failed { stage: Stage::Prepare, detail: detail.to_owned() };
        let Some(url) = sender.access.url("/Messages") else {
            return failed("the address of the API does not read").into();
        };
        let form = text.form(sender);
        let (length, gate) = (form.len(), Gate::default());
        let request = self
            .http
            .post(url)
            .basic_auth(&sender.access.sid, Some(&sender.access.token))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8")
            .header(CONTENT_LENGTH, length)
            .body(gate::body(gate.clone(), form, ask));
        let answer = match request.send().await {
            Ok(response) => read(response).await,
            Err(error) => return gate.broken(words(&error)).into(),
        };
        // An answer to the head alone may refuse, and has created nothing.
        match gate.is_open() || (gate.is_shut() && (400..500).contains(&answer.status)) {
            true => answer.meaning(),
            false => gate.broken("it answered before the message was written").into(),
        }
    }

    /// Asks for the account itself: whether it is reached and the credentials are taken. Answers its state, `active`.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn account(&self, access: &Access) -> Result<String, Trouble> {
        let url = access.url("").ok_or(Trouble::Unreadable)?;
        let read = self.get(access, url).await?;
        let status = read.json.get("status").and_then(|status| status.as_str());
        Ok(clean(status.unwrap_or("active").as_bytes()))
    }

    async fn get(&self, access: &Access, url: Url) -> Result<Read, Trouble> {
        let request = self.http.get(url).basic_auth(&access.sid, Some(&access.token));
        let response = request.send().await.map_err(|error| Trouble::NoAnswer(words(&error).to_owned()))?;
        let read = read(response).await;
        match read.status {
            200..300 if read.is_whole && read.json.is_object() => Ok(read),
            200..300 => Err(Trouble::Unreadable),
            status => {
                let receipt = read.receipt();
                Err(Trouble::Refused { status, code: receipt.code, retry_after: receipt.retry_after })
            }
        }
    }
}

/// What went wrong on the line, by class: the error's own text has the address of the API in it, and no more.
fn words(error: &reqwest::Error) -> &'static str {
    match error {
        error if error.is_connect() && error.is_timeout() => "no connection in time",
        error if error.is_connect() => "no connection",
        error if error.is_timeout() => "no answer in time",
        _ => "the connection broke",
    }
}
