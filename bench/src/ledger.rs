//! What arrived, and whether any of it arrived twice.

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, Instant};

/// The count of all messages by Message-ID.
#[derive(Default)]
pub struct Ledger {
    ids: HashSet<Vec<u8>>,
    messages: u64,
    unnamed: u64,
    times: Option<(Instant, Instant)>,
}

impl Ledger {
    /// Records one message that arrived at `now`, by its [`message_id`].
    pub fn record(&mut self, id: Option<&[u8]>, now: Instant) {
        self.messages += 1;
        self.times = Some((self.times.map_or(now, |(first, _)| first), now));
        match id {
            Some(id) => drop(self.ids.insert(id.to_vec())),
            None => self.unnamed += 1,
        }
    }

    /// Messages whose Message-ID had come before.
    pub fn duplicates(&self) -> u64 {
        self.messages - self.unnamed - self.ids.len() as u64
    }

    fn spread(&self) -> Duration {
        self.times.map_or(Duration::ZERO, |(first, last)| last - first)
    }
}

/// One JSON object: `messages`, `duplicates`, `unnamed` (without a Message-ID), and `seconds` from first to last.
impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (messages, duplicates, unnamed) = (self.messages, self.duplicates(), self.unnamed);
        let seconds = self.spread().as_secs_f64();
        write!(
            f,
            r#"{{"messages":{messages},"duplicates":{duplicates},"unnamed":{unnamed},"seconds":{seconds:.3}}}"#
        )
    }
}

/// The value of the Message-ID field, looked for in the header section only (RFC 5322, 3.6.4).
pub fn message_id(message: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"message-id:";
    message
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .take_while(|line| !line.is_empty())
        .find(|line| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)))
        .map(|line| line[NAME.len()..].trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_that_comes_again_is_a_duplicate() {
        let (mut ledger, start) = (Ledger::default(), Instant::now());
        for (seconds, message) in [
            "Subject: a\r\nMessage-ID: <1@x>\r\n\r\nhi",
            "message-id:<2@x>\r\n\r\nhi",
            "Message-Id: <1@x>\r\n\r\nother text",
            "Subject: none\r\n\r\nMessage-ID: <1@x>\r\n",
        ]
        .iter()
        .enumerate()
        {
            ledger.record(message_id(message.as_bytes()), start + Duration::from_secs(seconds as u64));
        }
        assert_eq!(ledger.to_string(), r#"{"messages":4,"duplicates":1,"unnamed":1,"seconds":3.000}"#);
    }
}
