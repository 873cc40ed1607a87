//! Consent: what a person said of a channel, what that makes of what they said before, and the chain that shows whether
//! the ledger was touched.

use crate::clock::Millis;
use serde_json::json;
use sha2::{Digest, Sha256};

/// What was said last, and still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Yes.
    OptIn,
    /// No.
    OptOut,
    /// No, in the person's own words (STOP): no list and no update says yes again in their place.
    Stop,
}

impl State {
    const ALL: [State; 3] = [State::OptIn, State::OptOut, State::Stop];

    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            State::OptIn => "opt_in",
            State::OptOut => "opt_out",
            State::Stop => "stop",
        }
    }

    /// Reads [`as_str`](Self::as_str).
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// The word of S2: `OPT_IN`, `OPT_OUT`, `STOP`.
    pub fn face(self) -> &'static str {
        match self {
            State::OptIn => "OPT_IN",
            State::OptOut => "OPT_OUT",
            State::Stop => "STOP",
        }
    }

    /// Reads [`face`](Self::face).
    pub fn of_face(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.face() == word)
    }

    /// Whether nothing may be sent.
    pub fn forbids(self) -> bool {
        self != State::OptIn
    }
}

/// On what grounds something is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grounds {
    /// A row of a list: it says yes for whoever never said no.
    Listed,
    /// Somebody wrote it down for this one person.
    Stated,
    /// The person's own word, or what proves it.
    Proven {
        /// When they said it.
        at: Millis,
    },
}

/// What a further word comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It holds from now on.
    Holds,
    /// It was so before, or worse: nothing is written.
    Nothing,
    /// A no stands against it.
    Refused,
}

/// What becomes of `said` where something holds since an instant. A STOP is lifted by proof alone, of a yes that came
/// after it, and is not weakened to an opt-out, which a mere update could lift. What is proven is written down also where
/// it changes nothing.
///
/// ```
/// # use sendwright_workflows::consent::{Change, Grounds, State, after};
/// let stopped = Some((State::Stop, 100));
/// assert_eq!(after(None, State::OptIn, Grounds::Listed), Change::Holds);
/// assert_eq!(after(stopped, State::OptIn, Grounds::Stated), Change::Refused);
/// assert_eq!(after(stopped, State::OptIn, Grounds::Proven { at: 99 }), Change::Refused);
/// assert_eq!(after(stopped, State::OptIn, Grounds::Proven { at: 100 }), Change::Holds);
/// ```
pub fn after(before: Option<(State, Millis)>, said: State, grounds: Grounds) -> Change {
    use State::{OptIn, OptOut, Stop};
    let is_proven = |since| matches!(grounds, Grounds::Proven { at } if at >= since);
    match (before, said) {
        (Some((Stop, _)), OptOut) => Change::Nothing,
        (Some((before, _)), said) if before == said => match grounds {
            Grounds::Proven { .. } => Change::Holds,
            _ => Change::Nothing,
        },
        (Some((Stop, since)), OptIn) if !is_proven(since) => Change::Refused,
        (Some((OptOut, _)), OptIn) if grounds == Grounds::Listed => Change::Refused,
        _ => Change::Holds,
    }
}

/// A line of the ledger as its hash covers it.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// Whose ledger it is.
    pub account_id: i64,
    /// The contact, where one was known.
    pub contact_id: Option<i64>,
    /// `email`, `sms` or `whatsapp`.
    pub channel: &'a str,
    /// The salted hash of the address.
    pub address_hash: &'a str,
    /// Its place among the lines of this address on this channel, from 1.
    pub place: i64,
    /// What was said.
    pub state: &'a str,
    /// Where it was said.
    pub source: &'a str,
    /// Who wrote it down.
    pub actor: &'a str,
    /// The words it was asked or said in.
    pub wording: Option<&'a str>,
    /// A JSON object, as its text stands.
    pub evidence: &'a str,
    /// When.
    pub at: Millis,
    /// The hash of the line before; empty for the first.
    pub previous: &'a str,
}

impl Line<'_> {
    /// SHA-256, in hex, of the fields as one JSON list without spaces, in the order that they stand here.
    pub fn hash(&self) -> String {
        let text = json!([
            self.account_id,
            self.contact_id,
            self.channel,
            self.address_hash,
            self.place,
            self.state,
            self.source,
            self.actor,
            self.wording,
            self.evidence,
            self.at,
            self.previous
        ]);
        hex::encode(Sha256::digest(text.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use State::{OptIn, OptOut, Stop};

    const LATER: Grounds = Grounds::Proven { at: 9 };

    fn of(before: State, said: State, grounds: Grounds) -> Change {
        after(Some((before, 5)), said, grounds)
    }

    #[test]
    fn a_stop_is_lifted_by_proof_of_a_later_yes_alone_whatever_is_said_between() {
        for grounds in [Grounds::Listed, Grounds::Stated, Grounds::Proven { at: 4 }] {
            assert_eq!(of(Stop, OptIn, grounds), Change::Refused);
            assert_eq!(of(Stop, OptOut, grounds), Change::Nothing);
        }
        assert_eq!(of(Stop, OptOut, LATER), Change::Nothing);
        assert_eq!(of(Stop, OptIn, LATER), Change::Holds);
        assert_eq!(of(OptOut, Stop, Grounds::Listed), Change::Holds);
    }

    #[test]
    fn a_list_says_yes_only_for_whoever_never_said_no() {
        assert_eq!(after(None, OptIn, Grounds::Listed), Change::Holds);
        assert_eq!(of(OptIn, OptIn, Grounds::Listed), Change::Nothing);
        assert_eq!(of(OptOut, OptIn, Grounds::Listed), Change::Refused);
        assert_eq!(of(OptOut, OptIn, Grounds::Stated), Change::Holds);
        assert_eq!(of(OptIn, OptIn, LATER), Change::Holds);
    }

    #[test]
    fn a_hash_covers_every_field_and_the_line_before() {
        let line = Line {
            account_id: 1,
            contact_id: Some(2),
            channel: "sms",
            address_hash: "aa",
            place: 1,
            state: "opt_in",
            source: "api",
            actor: "key:1",
            wording: Some("Text me"),
            evidence: "{}",
            at: 5,
            previous: "",
        };
        // echo -n '[1,2,"sms","aa",1,"opt_in","api","key:1","Text me","{}",5,""]' | sha256sum
        assert_eq!(line.hash(), "95f080f5430471c53dabaf3f6450fc1b15adb94cbc0262eb41e5ced69a9a30ec");
        let others = [
            Line { account_id: 2, ..line },
            Line { contact_id: None, ..line },
            Line { channel: "whatsapp", ..line },
            Line { address_hash: "ab", ..line },
            Line { place: 2, ..line },
            Line { state: "stop", ..line },
            Line { source: "import", ..line },
            Line { actor: "key:2", ..line },
            Line { wording: None, ..line },
            Line { evidence: "{ }", ..line },
            Line { at: 6, ..line },
            Line { previous: "00", ..line },
        ];
        assert!(others.iter().all(|other| other.hash() != line.hash()));
    }
}
