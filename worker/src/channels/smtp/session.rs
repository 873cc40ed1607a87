//! One authenticated connection, and the hand-over of one message on it.

use std::error::Error as _;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Quit, Rcpt, Rset};
use lettre::transport::smtp::extension::{Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use sendwright_fail::point;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::wire::{Dot, Wire};
use super::{DotGate, Timeouts};
use crate::channels::{Outcome, Stage, address, clean, mime};

/// A session idle for longer than this is asked with NOOP before it is trusted.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);

/// A connected, encrypted and authenticated line to one server. Opened by
/// [`Dialer::open`](super::Dialer::open) or handed out by a [`Pool`](super::Pool).
#[derive(Debug)]
pub struct Session {
    smtp: Smtp,
    wire: Wire,
    timeouts: Arc<Timeouts>,
    used: u32,
    idle_since: Instant,
    heard: Instant,
    /// A transaction was begun and not ended: RSET first.
    unfinished: bool,
    /// Nothing more may be said here. Set for the time of a hand-over, so that a hand-over whose
    /// future is dropped leaves a session nobody uses again.
    over: bool,
    /// The server was gone before anything of a message had been said.
    pub(super) hung_up: bool,
    /// The place this session takes in its pool.
    pub(super) place: Option<OwnedSemaphorePermit>,
}

struct Smtp(AsyncSmtpConnection);

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Smtp")
    }
}

/// Hands one message over: MAIL, RCPT, DATA, the body, the gate, the dot.
///
/// `bytes` are a whole message with CRLF line ends ([`mime::is_wire_safe`]). The outcome follows
/// SEND_PROTOCOL.md, rule 11: whatever fails before the first byte of the dot is a definite no,
/// a 4xx or 5xx is a definite no wherever it comes, a 2xx after the dot is a definite yes, and
/// everything else after the dot is unknown. Nothing is tried twice.
pub async fn hand_over(session: &mut Session, from: &str, to: &str, bytes: &[u8], gate: DotGate) -> Outcome {
    if !session.is_usable() {
        return Outcome::Failed { stage: Stage::Prepare, detail: "the session is over".into() };
    }
    session.over = true;
    let (outcome, reusable) = match session.announce(from, to, bytes).await {
        Ok(()) => session.transfer(bytes, gate).await,
        Err(refused @ Outcome::Refused { .. }) => (refused, true),
        Err(outcome) => (outcome, false),
    };
    let said_goodbye = matches!(outcome, Outcome::Refused { code: 421, .. });
    session.over = !reusable || said_goodbye || session.wire.is_spent();
    if session.over {
        session.wire.close();
    }
    session.hung_up = matches!(outcome, Outcome::Failed { stage: Stage::Prepare | Stage::Mail, .. });
    session.used += 1;
    session.idle_since = Instant::now();
    session.heard = session.idle_since;
    outcome
}

impl Session {
    pub(super) fn new(smtp: AsyncSmtpConnection, wire: Wire, timeouts: Arc<Timeouts>) -> Self {
        let now = Instant::now();
        Self {
            smtp: Smtp(smtp),
            wire,
            timeouts,
            used: 0,
            idle_since: now,
            heard: now,
            unfinished: false,
            over: false,
            hung_up: false,
            place: None,
        }
    }

    /// False once anything has gone wrong that the next message would suffer from.
    pub fn is_usable(&self) -> bool {
        !self.over && !self.wire.is_spent()
    }

    /// Whether the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.wire.is_encrypted()
    }

    /// Hand-overs tried on this connection.
    pub fn used(&self) -> u32 {
        self.used
    }

    /// How long nothing has been sent here.
    pub fn idle(&self) -> Duration {
        self.idle_since.elapsed()
    }

    /// Whether the server is still there, to be asked *before* an intent is committed: a look at
    /// the socket, and a NOOP where the session has been idle for some seconds.
    pub async fn is_alive(&mut self) -> bool {
        if !self.is_usable() || self.wire.is_disturbed() {
            self.over = true;
            return false;
        }
        self.heard.elapsed() < TRUSTED_IDLE || self.answers().await
    }

    /// Whether the server answers a NOOP.
    pub(super) async fn answers(&mut self) -> bool {
        if !self.is_usable() {
            return false;
        }
        self.over = true;
        self.wire.patience(self.timeouts.noop);
        self.over = !self.smtp.0.test_connected().await;
        self.heard = Instant::now();
        !self.over
    }

    /// Says QUIT, waits briefly for the answer, and closes.
    pub async fn quit(mut self) {
        if self.is_usable() {
            self.wire.patience(self.timeouts.noop);
            if self.smtp.0.command(Quit).await.is_err() {
                tracing::debug!("a server did not answer QUIT");
            }
        }
    }

    /// Everything up to the 354.
    async fn announce(&mut self, from: &str, to: &str, bytes: &[u8]) -> Result<(), Outcome> {
        point("envelope");
        let from = address(from).ok_or_else(|| unfit(553, "5.1.7", "the sender is not a plain address"))?;
        let to = address(to).ok_or_else(|| unfit(553, "5.1.3", "the recipient is not a plain address"))?;
        if !mime::is_wire_safe(bytes) {
            return Err(unfit(
                554,
                "5.6.0",
                "the message holds a bare CR or LF, NUL, or a line over 998 octets",
            ));
        }
        let parameters = self.parameters(&from, &to, bytes)?;
        if self.unfinished {
            let reset = self.say(Stage::Prepare, self.timeouts.mail, 2, Rset).await;
            // A server that refuses RSET refuses this connection, not this message.
            reset.map_err(|_| Outcome::Failed { stage: Stage::Prepare, detail: "RSET is refused".into() })?;
        }
        self.unfinished = true;
        let (mail, rcpt) = (Mail::new(Some(from), parameters), Rcpt::new(to, vec![]));
        if self.wire.pipelines() {
            self.announce_at_once(mail, rcpt).await?;
        } else {
            self.say(Stage::Mail, self.timeouts.mail, 2, mail).await?;
            self.say(Stage::Rcpt, self.timeouts.rcpt, 2, rcpt).await?;
            self.say(Stage::Data, self.timeouts.data, 3, Data).await?;
        }
        // With the 354 the transaction ends one way or the other: by the dot, or with the line.
        self.unfinished = false;
        Ok(())
    }

    /// MAIL, RCPT and DATA in one piece (RFC 2920): one round trip instead of three. Every answer is heard,
    /// whatever the first ones say, so that none is taken for the answer to something later.
    async fn announce_at_once(&mut self, mail: Mail, rcpt: Rcpt) -> Result<(), Outcome> {
        let mail = self.say(Stage::Mail, self.timeouts.mail, 2, format!("{mail}{rcpt}{Data}")).await;
        if matches!(mail, Err(Outcome::Failed { .. })) {
            return mail;
        }
        let rcpt = self.hear(Stage::Rcpt, self.timeouts.rcpt, 2).await;
        let lost = matches!(rcpt, Err(Outcome::Failed { .. }));
        let data = if lost { Ok(()) } else { self.hear(Stage::Data, self.timeouts.data, 3).await };
        let refused = mail.and(rcpt);
        // A 354 after a refusal waits for a body that nobody shall have: this line is no good any more.
        if refused.is_err() && !matches!(data, Err(Outcome::Refused { .. })) {
            self.wire.close();
        }
        refused.and(data)
    }

    /// RFC 6531 and RFC 6152: what the message needs and the server may not have.
    fn parameters(&self, from: &Address, to: &Address, bytes: &[u8]) -> Result<Vec<MailParameter>, Outcome> {
        let server = self.smtp.0.server_info();
        let mut parameters = Vec::new();
        let foreign = |address: &Address| !AsRef::<str>::as_ref(address).is_ascii();
        if foreign(from) || foreign(to) {
            if !server.supports_feature(Extension::SmtpUtfEight) {
                return Err(unfit(553, "5.6.7", "the server takes no addresses outside ASCII (SMTPUTF8)"));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !bytes.is_ascii() {
            if !server.supports_feature(Extension::EightBitMime) {
                return Err(unfit(554, "5.6.3", "the server takes no bytes outside ASCII (8BITMIME)"));
            }
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        Ok(parameters)
    }

    /// One command; anything but an answer of class `wanted` ends the hand-over.
    async fn say(
        &mut self,
        stage: Stage,
        limit: Duration,
        wanted: u16,
        command: impl Display,
    ) -> Result<(), Outcome> {
        self.wire.patience(limit);
        let answer = self.smtp.0.command(command).await;
        self.judge(stage, wanted, answer)
    }

    /// The answer to a command that was sent with others before it.
    async fn hear(&mut self, stage: Stage, limit: Duration, wanted: u16) -> Result<(), Outcome> {
        if self.wire.is_spent() {
            return Err(Outcome::Failed { stage, detail: "the answer before this one had no end".into() });
        }
        self.wire.patience(limit);
        let answer = self.smtp.0.read_response().await;
        self.judge(stage, wanted, answer)
    }

    fn judge(&self, stage: Stage, wanted: u16, answer: Result<Response, SmtpError>) -> Result<(), Outcome> {
        match answer {
            Ok(response) if u16::from(response.code()) / 100 == wanted => Ok(()),
            Ok(response) => {
                let detail = format!("unexpected answer {}", response.code());
                Err(Outcome::Failed { stage, detail })
            }
            Err(e) => Err(refused(stage, &e).unwrap_or_else(|| self.failed(stage, &e))),
        }
    }

    /// The body, the gate and the dot; with the outcome, whether the session can be used again.
    async fn transfer(&mut self, bytes: &[u8], gate: DotGate) -> (Outcome, bool) {
        point("body");
        self.wire.patience(self.timeouts.block);
        self.wire.open_message(gate);
        // lettre puts a CRLF before the dot whether or not the message ends in one.
        let answer = self.smtp.0.message(bytes.strip_suffix(b"\r\n").unwrap_or(bytes)).await;
        match (answer, self.wire.close_message()) {
            (_, Dot::Refused(reason)) => (Outcome::NotStarted { reason }, false),
            (Ok(response), Dot::Out) => match u16::from(response.code()) {
                code @ 200..=299 => (Outcome::Accepted { code, reply: text_of(&response) }, true),
                code => (Outcome::Unknown { detail: format!("unexpected answer {code}") }, false),
            },
            (Err(e), Dot::Out) => match refused(Stage::Answer, &e) {
                Some(outcome) => (outcome, true),
                None => (Outcome::Unknown { detail: self.what_happened(&e) }, false),
            },
            (Err(e), _) => (self.gave_up(&e).await, false),
            (Ok(_), _) => {
                let detail = "an answer came before the message was complete".into();
                (Outcome::Failed { stage: Stage::Body, detail }, false)
            }
        }
    }

    /// The line failed in the middle of a body. A server that gives up there mostly says why.
    async fn gave_up(&mut self, error: &SmtpError) -> Outcome {
        let failed = self.failed(Stage::Body, error);
        self.wire.patience(self.timeouts.noop);
        match self.smtp.0.read_response().await {
            Err(e) => refused(Stage::Body, &e).unwrap_or(failed),
            Ok(_) => failed,
        }
    }

    fn failed(&self, stage: Stage, error: &SmtpError) -> Outcome {
        Outcome::Failed { stage, detail: self.what_happened(error) }
    }

    fn what_happened(&self, error: &SmtpError) -> String {
        if self.wire.ran_out() { "no answer in time".into() } else { clean(error.to_string().as_bytes()) }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.over {
            self.wire.close();
        }
    }
}

/// A refusal of our own, in the words a server would use (RFC 3463, RFC 6531 3.5).
fn unfit(code: u16, enhanced: &str, why: &str) -> Outcome {
    Outcome::Refused {
        stage: Stage::Prepare,
        code,
        reply: format!("{enhanced} {why}"),
        permanent: true,
        enhanced: Some(enhanced.to_owned()),
    }
}

/// The refusal in a negative reply, if the error is one.
fn refused(stage: Stage, error: &SmtpError) -> Option<Outcome> {
    let (code, reply) = reply_of(error)?;
    let enhanced = enhanced_code(code, &reply);
    Some(Outcome::Refused { stage, code, permanent: code >= 500, enhanced, reply })
}

/// Code and text of a negative reply, if the error is one.
pub(super) fn reply_of(error: &SmtpError) -> Option<(u16, String)> {
    let code = error.status()?;
    let text = error.source().map(ToString::to_string).unwrap_or_default();
    Some((u16::from(code), clean(text.as_bytes())))
}

fn text_of(response: &Response) -> String {
    clean(response.message().collect::<Vec<_>>().join(" ").as_bytes())
}

/// The enhanced status code a reply starts with (RFC 2034): `class.subject.detail`, of the
/// reply's own class.
fn enhanced_code(code: u16, reply: &str) -> Option<String> {
    let word = reply.split_whitespace().next()?;
    let mut parts = word.split('.');
    let class = parts.next()?.parse::<u16>().ok()?;
    let number = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let rest: Vec<_> = parts.collect();
    (class == code / 100 && rest.len() == 2 && rest.iter().all(|part| number(part))).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enhanced_code_counts_only_in_the_class_of_its_reply() {
        assert_eq!(enhanced_code(550, "5.1.1 no such user").as_deref(), Some("5.1.1"));
        assert_eq!(enhanced_code(452, "4.7.28 daily limit").as_deref(), Some("4.7.28"));
        for (code, reply) in
            [(550, "4.1.1 odd"), (550, "no such user"), (550, "5.1 x"), (550, ""), (550, "5.1.1.1")]
        {
            assert_eq!(enhanced_code(code, reply), None, "{reply}");
        }
    }
}
