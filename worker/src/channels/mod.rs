//! The ways a message leaves the house, and the words they share for what became of it.
//!
//! A channel never retries and never guesses: it answers with one [`Outcome`], which tells
//! "certainly not", "certainly" and "nobody can know" apart (SEND_PROTOCOL.md, rule 11). What
//! follows from it (retry, bounce, park) is decided where the outcome is recorded.

pub mod mime;
pub mod smtp;
pub mod twilio;

use std::fmt;

use lettre::Address;
use sendwright_workflows::address::Email;
use sendwright_workflows::receipt::Receipt;

/// What became of one hand-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A definite yes: the other side has taken responsibility for the message.
    Accepted {
        /// The reply code, 2xx.
        code: u16,
        /// The server's words, cleaned and capped ([`REPLY_CAP`]); often holds its queue id.
        reply: String,
    },
    /// A definite no in the server's own words.
    Refused {
        /// Where the answer came.
        stage: Stage,
        /// The reply code, 4xx or 5xx.
        code: u16,
        /// The server's words, cleaned and capped.
        reply: String,
        /// True for 5xx: asking again will not help.
        permanent: bool,
        /// The enhanced status code (RFC 3463) where the server gave one that fits the code.
        enhanced: Option<String>,
    },
    /// A definite no of our own: the gate refused, so the irrevocable byte was never written.
    NotStarted {
        /// Why the gate refused.
        reason: Refusal,
    },
    /// Nobody can know: the irrevocable byte went out and no definite answer came back.
    Unknown {
        /// What happened instead of an answer.
        detail: String,
    },
    /// A definite no before the irrevocable byte, through trouble on the line: try again.
    Failed {
        /// How far the hand-over had come.
        stage: Stage,
        /// What went wrong, without addresses or text of the message.
        detail: String,
    },
}

impl Outcome {
    /// True when the message is certainly not with the other side, so that sending it again
    /// cannot double it.
    pub fn is_definite_no(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::NotStarted { .. } | Self::Failed { .. })
    }
}

/// An outcome with what the provider said beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The outcome.
    pub said: Outcome,
    /// What else: its own name for the message, its code.
    pub receipt: Receipt,
}

impl From<Outcome> for Told {
    fn from(said: Outcome) -> Self {
        Self { said, receipt: Receipt::default() }
    }
}

/// How far a hand-over had come. The order is the order of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Before anything was said about this message.
    Prepare,
    /// SMTP `MAIL FROM`.
    Mail,
    /// SMTP `RCPT TO`.
    Rcpt,
    /// SMTP `DATA`.
    Data,
    /// While the message was being written, its last byte still held back.
    Body,
    /// After the last byte: the answer to the whole message.
    Answer,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prepare => "prepare",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::Body => "body",
            Self::Answer => "answer",
        })
    }
}

/// Why the gate before the irrevocable byte stayed shut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// More than G has passed since the intent was committed.
    #[error("{age_ms} ms after its intent, more than the {allowed_ms} ms allowed")]
    TooLate {
        /// Age of the intent by the boot-time clock, milliseconds.
        age_ms: u64,
        /// G, milliseconds.
        allowed_ms: u64,
    },
    /// The worker's lease has run out.
    #[error("the lease has run out")]
    LeaseLost,
    /// Wall time and boot time disagree since the intent: the machine slept or was set.
    #[error("the clocks disagree since the intent")]
    ClockStepped,
    /// The journal could not be written, so a crash here could not be explained later.
    #[error("the journal could not be written")]
    JournalFailed,
    /// The intent at the dot was not given: consent, state or a limit said no.
    #[error("withdrawn: {0}")]
    Withdrawn(String),
    /// No intent was given while the body waited for one ([`smtp::Timeouts::at_dot`]).
    #[error("no intent was given in time")]
    WaitedTooLong,
}

/// Longest text of a server that is kept, in bytes.
pub const REPLY_CAP: usize = 512;

/// Server text as it may be stored and logged: no control characters (so no NUL), valid UTF-8,
/// at most [`REPLY_CAP`] bytes.
pub(crate) fn clean(raw: &[u8]) -> String {
    let mut text = String::new();
    for c in String::from_utf8_lossy(raw).chars() {
        if text.len() + c.len_utf8() > REPLY_CAP {
            break;
        }
        text.push(if c.is_control() { ' ' } else { c });
    }
    text.trim().to_owned()
}

/// Reads an address that may stand in an SMTP command and in a header: `local@domain`, with no
/// quoting, blank, bracket or control character in it. Whatever a contact's address may be is one: lettre knows no
/// characters beyond the first plane.
pub fn address(text: &str) -> Option<Address> {
    let odd = |c: char| c.is_control() || c.is_whitespace() || "<>\"(),:;\\".contains(c);
    if text.len() > 254 || text.contains(odd) {
        return None;
    }
    let ours = || Email::parse(text).ok().filter(|email| email.as_str() == text);
    text.parse().ok().or_else(|| ours().map(|email| Address::new_dangerous(email.local(), email.domain())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_text_is_stripped_and_capped() {
        assert_eq!(clean(b"2.0.0 ok\0\r\n\xff queued"), "2.0.0 ok   \u{fffd} queued");
        let long = clean("ü".repeat(1000).as_bytes());
        assert!(long.len() <= REPLY_CAP && long.chars().all(|c| c == 'ü'));
    }

    #[test]
    fn an_address_never_carries_more_than_itself() {
        // Of the second one lettre says that it is none.
        for taken in ["ann@example.com", "\u{20bb7}\u{91ce}@example.com", "j\u{fc}rgen@example.com"] {
            assert_eq!(Email::parse(taken).unwrap().as_str(), taken);
            assert_eq!(address(taken).unwrap().to_string(), taken);
        }
        for hostile in
            ["a@b.com>\r\nRCPT TO:<c@d.com", "a@b.com\n", "\"a b\"@c.de", "a@b.com, c@d.com", "a", ""]
        {
            assert!(address(hostile).is_none(), "{hostile:?}");
        }
    }
}
