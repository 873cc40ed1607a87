//! A run: what was asked of a whole campaign, and how its progress is counted. Every count is of people or of
//! messages, and each person or message is in exactly one.

use crate::message::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Everybody's next text is written, and nothing is sent.
    Generate,
    /// The campaign is started, and its round goes out.
    Send,
    /// Who is in the campaign's segment is enrolled.
    Expand,
}

impl Kind {
    /// The word in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Generate => "generate",
            Kind::Send => "send",
            Kind::Expand => "expand",
        }
    }

    /// Reads [`as_str`](Self::as_str).
    pub fn parse(word: &str) -> Option<Self> {
        [Kind::Generate, Kind::Send, Kind::Expand].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Nothing of it is left to do.
    Completed,
    /// Its campaign was put away.
    Cancelled,
}

impl Ended {
    /// The word in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Ended::Completed => "completed",
            Ended::Cancelled => "cancelled",
        }
    }
}

/// How far the texts of a run are. `total` is the sum of the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generated {
    /// People taken on so far.
    pub total: i64,
    /// Whose next text was there, or was being written, before.
    pub already: i64,
    /// Texts that were written.
    pub written: i64,
    /// Messages held without a text.
    pub held: i64,
    /// People not yet planned, and texts not yet written.
    pub pending: i64,
    /// People whose sequence had no next text, or whose text is gone again (cancelled, or discarded by an edit).
    pub none: i64,
}

impl Generated {
    /// Counts from (people, of them already), who is not yet planned, and the messages by state and text.
    pub fn count(people: (i64, i64), unplanned: i64, messages: &[(String, bool, i64)]) -> Self {
        let (total, already) = people;
        let mut counts = Generated { total, already, pending: unplanned, ..Self::default() };
        for (state, has_text, n) in messages {
            match (State::parse(state), has_text) {
                (Some(State::Scheduled | State::Writing), _) => counts.pending += n,
                (_, true) => counts.written += n,
                (Some(State::Held), false) => counts.held += n,
                _ => {}
            }
        }
        let known = counts.already + counts.written + counts.held + counts.pending;
        // Read at two instants, a person may be counted on both sides for a moment.
        counts.none = (total - known).max(0);
        counts
    }
}

/// How far a round is since its run was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// People who were under way when it was asked for: `active` and `through`.
    pub total: i64,
    /// Of them, who still is.
    pub active: i64,
    /// Of them, who is through or was stopped.
    pub through: i64,
    /// Messages that were accepted since, and have not bounced.
    pub sent: i64,
    /// Messages that bounced since.
    pub bounced: i64,
    /// Messages that failed for good since.
    pub failed: i64,
    /// Messages that were cancelled or suppressed since.
    pub dropped: i64,
    /// Messages whose hand-over has an unknown end since.
    pub uncertain: i64,
    /// Messages that wait for a person, now.
    pub held: i64,
    /// Messages that are on their way, now.
    pub pending: i64,
}

impl Sent {
    /// Counts from (people, of them active now), the round's messages by state before (a JSON object) and now.
    pub fn count(people: (i64, i64), before: &str, now: &[(String, i64)]) -> Self {
        let before: Map<String, Value> = serde_json::from_str(before).unwrap_or_default();
        let at_first = |state: &str| before.get(state).and_then(Value::as_i64).unwrap_or(0);
        let at = |states: &[State]| -> i64 {
            now.iter()
                .filter(|(s, _)| State::parse(s).is_some_and(|s| states.contains(&s)))
                .map(|(_, n)| n)
                .sum()
        };
        let since = |states: &[State]| {
            let first: i64 = states.iter().map(|s| at_first(s.as_str())).sum();
            (at(states) - first).max(0)
        };
        let (total, active) = people;
        Self {
            total,
            active: active.min(total),
            through: (total - active).max(0),
            sent: since(&[State::Accepted, State::Delivered, State::Complained]),
            bounced: since(&[State::Bounced]),
            failed: since(&[State::Failed]),
            dropped: since(&[State::Cancelled, State::Suppressed]),
            uncertain: since(&[State::Uncertain]),
            held: at(&[State::Held]),
            pending: at(&[State::Scheduled, State::Writing, State::Drafted, State::Claimed, State::Sending]),
        }
    }

    /// Whether nobody is under way and nothing is on its way.
    pub fn is_through(&self) -> bool {
        self.active == 0 && self.pending == 0
    }
}

/// How far the people of a segment are enrolled. `matched` is the sum of the rest; of a live audience, in the present
/// look at its segment, but for `enrolled`, which counts them all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expanded {
    /// People found in the segment so far.
    pub matched: i64,
    /// Who was enrolled.
    pub enrolled: i64,
    /// Who was in the round already.
    pub already: i64,
    /// Whom no channel of the campaign may reach: no opt-in, or an opt-out.
    pub without_consent: i64,
    /// Of whom no channel of the campaign has an address.
    pub without_address: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_person_of_a_run_of_texts_is_counted_once() {
        let messages = [
            ("drafted".to_owned(), true, 3),
            ("held".to_owned(), true, 2),
            ("held".to_owned(), false, 1),
            ("writing".to_owned(), false, 4),
            ("cancelled".to_owned(), false, 1),
        ];
        let counts = Generated::count((20, 5), 2, &messages);
        assert_eq!((counts.written, counts.held, counts.pending, counts.none), (5, 1, 6, 3));
        let sum = counts.already + counts.written + counts.held + counts.pending + counts.none;
        assert_eq!(sum, counts.total);
    }

    #[test]
    fn what_was_settled_before_is_not_counted_again() {
        let now = [("accepted".to_owned(), 7), ("delivered".to_owned(), 5), ("drafted".to_owned(), 2)];
        let counts = Sent::count((9, 2), r#"{"accepted":10,"drafted":9}"#, &now);
        assert_eq!((counts.sent, counts.pending, counts.through), (2, 2, 7));
        assert!(!counts.is_through());
    }
}
