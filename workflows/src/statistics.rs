//! What a campaign has done, in numbers that add up: every message is in exactly one [`Outcome`], and what people
//! did with it is a fact beside.

use crate::message::State;
use crate::sequence::Channel;
use serde::{Deserialize, Serialize};

/// Counts of messages. `messages` is the sum of `pending`, `held`, `uncertain`, `sent`, `refused`, `failed`, `suppressed` and
/// `cancelled`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// All there are.
    pub messages: i64,
    /// Of all, those with a text.
    pub written: i64,
    /// On their way: planned, being written, drafted, or being handed over.
    pub pending: i64,
    /// Waiting for a person.
    pub held: i64,
    /// Perhaps accepted: nobody knows.
    pub uncertain: i64,
    /// Accepted by a provider, whatever became of them.
    pub sent: i64,
    /// Refused as bounced before they were ever accepted.
    pub refused: i64,
    /// Failed for good, without a bounce.
    pub failed: i64,
    /// Not sent: the address is suppressed.
    pub suppressed: i64,
    /// Not sent: cancelled by hand, by an edit, by a deletion.
    pub cancelled: i64,
    /// Of `sent`: they arrived, as the provider says or a complaint shows.
    pub delivered: i64,
    /// Bounced: all of `refused`, and of `sent` what came back.
    pub bounced: i64,
    /// Of `sent`: the recipient complained.
    pub complained: i64,
    /// Messages that a person opened.
    pub opened: i64,
    /// Messages with a link that a person followed.
    pub clicked: i64,
    /// Messages that a person answered.
    pub replied: i64,
    /// Opt-outs.
    pub opted_out: i64,
}

impl Totals {
    /// Adds `n` messages in a state; `accepted` says that a provider took them.
    pub fn add(&mut self, state: &str, accepted: bool, n: i64) {
        self.messages += n;
        // A state that this program does not know reads as held, as everywhere.
        let state = State::parse(state).unwrap_or(State::Held);
        let place = match state {
            State::Scheduled | State::Writing | State::Drafted | State::Claimed | State::Sending => {
                &mut self.pending
            }
            State::Held => &mut self.held,
            State::Uncertain => &mut self.uncertain,
            State::Accepted | State::Delivered | State::Complained => &mut self.sent,
            State::Bounced if accepted => &mut self.sent,
            State::Bounced => &mut self.refused,
            State::Failed => &mut self.failed,
            State::Suppressed => &mut self.suppressed,
            State::Cancelled => &mut self.cancelled,
        };
        *place += n;
        match state {
            State::Delivered => self.delivered += n,
            State::Bounced => self.bounced += n,
            State::Complained => {
                self.delivered += n;
                self.complained += n;
            }
            _ => {}
        }
    }

    /// Adds `n` messages, or opt-outs, to which something happened, by the event's kind.
    pub fn react(&mut self, kind: &str, n: i64) {
        match what(kind) {
            Some("opened") => self.opened += n,
            Some("clicked") => self.clicked += n,
            Some("replied") => self.replied += n,
            Some("opted_out") => self.opted_out += n,
            _ => {}
        }
    }

    /// Adds other counts.
    pub fn plus(mut self, other: &Totals) -> Totals {
        let places: [(&mut i64, i64); 17] = [
            (&mut self.messages, other.messages),
            (&mut self.written, other.written),
            (&mut self.pending, other.pending),
            (&mut self.held, other.held),
            (&mut self.uncertain, other.uncertain),
            (&mut self.sent, other.sent),
            (&mut self.refused, other.refused),
            (&mut self.failed, other.failed),
            (&mut self.suppressed, other.suppressed),
            (&mut self.cancelled, other.cancelled),
            (&mut self.delivered, other.delivered),
            (&mut self.bounced, other.bounced),
            (&mut self.complained, other.complained),
            (&mut self.opened, other.opened),
            (&mut self.clicked, other.clicked),
            (&mut self.replied, other.replied),
            (&mut self.opted_out, other.opted_out),
        ];
        places.into_iter().for_each(|(place, n)| *place += n);
        self
    }

    /// A share of what was sent, 0 to 1 to four digits; none where nothing was.
    pub fn rate(&self, part: i64) -> Option<f64> {
        (self.sent > 0).then(|| (part as f64 * 10_000.0 / self.sent as f64).round() / 10_000.0)
    }
}

/// What an event of this kind counts as, on whichever channel it happened: `opened`, `clicked`, `replied`, `bounced`,
/// `failed` or `opted_out`.
///
/// ```
/// # use sendwright_workflows::statistics::what;
/// assert_eq!(what("sms.bounced"), what("email.bounced"));
/// assert_eq!(what("reply.received"), Some("replied"));
/// assert_eq!(what("profile.paused"), None);
/// ```
pub fn what(kind: &str) -> Option<&'static str> {
    let (of, what) = kind.split_once('.')?;
    match (of, what) {
        ("reply", "received") => Some("replied"),
        ("contact", "opted_out") => Some("opted_out"),
        (channel, what) => {
            let counted = ["opened", "clicked", "bounced", "failed"].into_iter().find(|known| *known == what);
            counted.filter(|_| Channel::parse(channel).is_some())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_in_exactly_one_place() {
        let mut totals = Totals::default();
        for (n, state) in State::ALL.into_iter().enumerate() {
            for accepted in [false, true] {
                totals.add(state.as_str(), accepted, 1 << n);
            }
        }
        let t = totals;
        let sum =
            t.pending + t.held + t.uncertain + t.sent + t.refused + t.failed + t.suppressed + t.cancelled;
        assert_eq!(t.messages, sum);
        assert_eq!(t.messages, 2 * ((1 << State::ALL.len()) - 1));
    }
}
