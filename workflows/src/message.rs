//! A message's states, and which may follow which.

use crate::clock::Millis;
use serde::{Deserialize, Serialize};

/// Where one message is (DESIGN, States; SEND_PROTOCOL).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Planned; its text is not written.
    Scheduled,
    /// A worker is having the text written.
    Writing,
    /// The text is there; due at its planned instant.
    Drafted,
    /// Waits for a person: approval, or a reason to look at.
    Held,
    /// A worker has it, with a slot.
    Claimed,
    /// The intent is committed; the hand-over runs.
    Sending,
    /// The provider took it.
    Accepted,
    /// The provider says that it arrived.
    Delivered,
    /// The provider refused it for good, or it came back.
    Bounced,
    /// The recipient complained.
    Complained,
    /// Refused for good by us or the provider, without a bounce.
    Failed,
    /// Nobody knows whether it was taken.
    Uncertain,
    /// Not sent: the address is suppressed.
    Suppressed,
    /// Not sent: cancelled by hand, an edit, a deletion.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [State; 14] = [
        State::Scheduled,
        State::Writing,
        State::Drafted,
        State::Held,
        State::Claimed,
        State::Sending,
        State::Accepted,
        State::Delivered,
        State::Bounced,
        State::Complained,
        State::Failed,
        State::Uncertain,
        State::Suppressed,
        State::Cancelled,
    ];

    /// The word in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Scheduled => "scheduled",
            State::Writing => "writing",
            State::Drafted => "drafted",
            State::Held => "held",
            State::Claimed => "claimed",
            State::Sending => "sending",
            State::Accepted => "accepted",
            State::Delivered => "delivered",
            State::Bounced => "bounced",
            State::Complained => "complained",
            State::Failed => "failed",
            State::Uncertain => "uncertain",
            State::Suppressed => "suppressed",
            State::Cancelled => "cancelled",
        }
    }

    /// Reads [`as_str`](Self::as_str).
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }

    /// Whether the provider took it.
    pub fn was_accepted(self) -> bool {
        matches!(self, State::Accepted | State::Delivered | State::Bounced | State::Complained)
    }

    /// Whether nothing more happens to it by itself.
    pub fn is_settled(self) -> bool {
        self.was_accepted() || matches!(self, State::Failed | State::Suppressed | State::Cancelled)
    }

    /// Whether a person may release it to be sent (again): it waits for one.
    pub fn may_release(self) -> bool {
        matches!(self, State::Held | State::Uncertain)
    }

    /// Whether a person may cancel it: nothing is under way and nothing was taken.
    pub fn may_cancel(self) -> bool {
        matches!(self, State::Scheduled | State::Writing | State::Drafted | State::Held | State::Uncertain)
    }
}

/// The planned instant of a message that was written before its campaign has a start: the last second of the
/// year 9999. The start plans it anew.
pub const UNPLANNED: Millis = 253_402_300_799_000;

/// The Message-ID of every attempt of a message (SEND_PROTOCOL 1), without angle brackets.
pub fn message_id(message: i64, epoch: &str, domain: &str) -> String {
    format!("m-{message}.{epoch}@{domain}")
}

/// The message that a Message-ID of this epoch names, with or without angle brackets; `None` for any other.
pub fn of_message_id(id: &str, epoch: &str) -> Option<i64> {
    let id = id.trim().trim_start_matches('<').trim_end_matches('>');
    let (left, _) = id.split_once('@')?;
    let (message, of) = left.strip_prefix("m-")?.split_once('.')?;
    let plain = !message.is_empty() && message.bytes().all(|b| b.is_ascii_digit());
    (plain && of == epoch).then(|| message.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_names_its_message_in_its_own_epoch_alone() {
        let id = message_id(42, "e1", "example.com");
        assert_eq!(of_message_id(&format!("<{id}>"), "e1"), Some(42));
        assert_eq!(of_message_id(&id, "e1"), Some(42));
        for other in ["", "<m-42.e2@example.com>", "<m-+1.e1@x>", "<m-.e1@x>", "<42.e1@x>", "<m-42.e1>"] {
            assert_eq!(of_message_id(other, "e1"), None, "{other}");
        }
    }
}
