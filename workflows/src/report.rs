//! What became of messages in the words of reports: every message has exactly one [`Status`], and every number of a report
//! is a sum of them (decision 13).

use crate::clock::{MINUTE, Millis};
use crate::message::State;
use crate::sequence::{ByChannel, Channel};

/// Where a message is, as reports say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Planned, being written, or about to be handed over.
    Pending,
    /// Waits for a person.
    Held,
    /// Perhaps taken by the provider: nobody knows.
    Uncertain,
    /// Taken by the provider, which has not said that it arrived.
    Sent,
    /// It arrived.
    Delivered,
    /// Taken by the provider, and it came back.
    Undelivered,
    /// Refused for good, or given up by the provider before it left.
    Failed,
    /// Not sent: the address is suppressed.
    Suppressed,
    /// Not sent: cancelled.
    Cancelled,
}

impl Status {
    /// Every status.
    pub const ALL: [Status; 9] = [
        Status::Pending,
        Status::Held,
        Status::Uncertain,
        Status::Sent,
        Status::Delivered,
        Status::Undelivered,
        Status::Failed,
        Status::Suppressed,
        Status::Cancelled,
    ];

    /// Of a message in a state; whether its provider took it, and the provider's last word of it.
    pub fn of(state: State, taken: bool, word: Option<&str>) -> Self {
        match state {
            State::Scheduled | State::Writing | State::Drafted | State::Claimed | State::Sending => {
                Status::Pending
            }
            State::Held => Status::Held,
            State::Uncertain => Status::Uncertain,
            State::Accepted => Status::Sent,
            State::Delivered | State::Complained => Status::Delivered,
            // It never left the provider, or never came so far.
            State::Bounced if !taken || matches!(word, Some("failed" | "canceled")) => Status::Failed,
            State::Bounced => Status::Undelivered,
            State::Failed => Status::Failed,
            State::Suppressed => Status::Suppressed,
            State::Cancelled => Status::Cancelled,
        }
    }

    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "PENDING",
            Status::Held => "HELD",
            Status::Uncertain => "UNCERTAIN",
            Status::Sent => "SENT",
            Status::Delivered => "DELIVERED",
            Status::Undelivered => "UNDELIVERED",
            Status::Failed => "FAILED",
            Status::Suppressed => "SUPPRESSED",
            Status::Cancelled => "CANCELLED",
        }
    }

    /// Reads [`as_str`](Self::as_str).
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// Counts of messages by status, and how long deliveries took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    counts: [i64; Status::ALL.len()],
    timed: i64,
    took: Millis,
}

impl Tally {
    /// Adds `n` messages.
    pub fn add(&mut self, status: Status, n: i64) {
        self.counts[status as usize] += n;
    }

    /// Adds how long `n` deliveries took together.
    pub fn time(&mut self, n: i64, took: Millis) {
        self.timed += n;
        self.took += took;
    }

    /// How many have a status.
    pub fn count(&self, status: Status) -> i64 {
        self.counts[status as usize]
    }

    /// How many have one of these.
    fn sum(&self, of: &[Status]) -> i64 {
        of.iter().map(|status| self.count(*status)).sum()
    }

    /// All of them: `delivered` + `failed` + `pending` + `unsent`.
    pub fn total(&self) -> i64 {
        self.counts.iter().sum()
    }

    /// Those that were handed over, whatever came of it.
    pub fn sent(&self) -> i64 {
        self.sum(&[Status::Sent, Status::Delivered, Status::Undelivered, Status::Failed])
    }

    /// Those that arrived.
    pub fn delivered(&self) -> i64 {
        self.count(Status::Delivered)
    }

    /// Those that are known never to arrive.
    pub fn failed(&self) -> i64 {
        self.sum(&[Status::Undelivered, Status::Failed])
    }

    /// Those of which more may be heard. Where there are none, `failed` is `sent` - `delivered`.
    pub fn pending(&self) -> i64 {
        self.sum(&[Status::Pending, Status::Held, Status::Uncertain, Status::Sent])
    }

    /// Those that never went.
    pub fn unsent(&self) -> i64 {
        self.sum(&[Status::Suppressed, Status::Cancelled])
    }

    /// Of what was handed over, what failed; none where nothing was.
    pub fn error_rate(&self) -> Option<f64> {
        percent(self.failed(), self.sent())
    }

    /// How long a delivery took on average, in minutes to one digit; none where none is known.
    pub fn average_minutes(&self) -> Option<f64> {
        (self.timed > 0).then(|| to_one_digit(self.took as f64 / self.timed as f64 / MINUTE as f64))
    }

    /// Adds other counts.
    pub fn plus(mut self, other: &Tally) -> Tally {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, n)| *count += n);
        self.time(other.timed, other.took);
        self
    }
}

/// Counts by channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Each channel's own.
    pub channels: ByChannel<Tally>,
}

impl Report {
    /// Over every channel.
    pub fn all(&self) -> Tally {
        Channel::ALL.iter().fold(Tally::default(), |sum, channel| sum.plus(self.channels.of(*channel)))
    }

    /// Of what was handed over by channels whose provider tells of deliveries, what arrived, in percent to one digit; none
    /// where nothing was. No server tells of an e-mail's arrival.
    pub fn delivery_rate(&self) -> Option<f64> {
        let told = self.channels.sms.plus(&self.channels.whatsapp);
        percent(told.delivered(), told.sent())
    }
}

fn percent(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| to_one_digit(part as f64 * 100.0 / whole as f64))
}

fn to_one_digit(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_in_one_of_the_four_numbers_of_a_report() {
        let mut tally = Tally::default();
        for (n, status) in Status::ALL.into_iter().enumerate() {
            assert_eq!(Status::parse(status.as_str()), Some(status));
            tally.add(status, 1 << n);
        }
        assert_eq!(tally.total(), (1 << Status::ALL.len()) - 1);
        assert_eq!(tally.total(), tally.delivered() + tally.failed() + tally.pending() + tally.unsent());
        let taken = tally.count(Status::Sent);
        assert_eq!(tally.sent(), tally.delivered() + tally.failed() + taken);
    }

    /// The document's own numbers (S2-29): 1,000 sent, 950 delivered; 5 of the rest wait for word.
    #[test]
    fn what_waits_for_word_has_not_failed() {
        let mut texts = Tally::default();
        for (status, n) in
            [(Status::Delivered, 950), (Status::Failed, 30), (Status::Undelivered, 15), (Status::Sent, 5)]
        {
            texts.add(status, n);
        }
        texts.time(950, 950 * 138_000);
        let report = Report { channels: ByChannel { sms: texts, ..ByChannel::default() } };
        assert_eq!((texts.sent(), texts.failed(), texts.pending()), (1_000, 45, 5));
        assert_eq!((report.delivery_rate(), texts.average_minutes()), (Some(95.0), Some(2.3)));
        texts.add(Status::Sent, -5);
        texts.add(Status::Undelivered, 5);
        assert_eq!(texts.failed(), texts.sent() - texts.delivered());
    }

    #[test]
    fn letters_have_no_delivery_rate() {
        let mut letters = Tally::default();
        letters.add(Status::Sent, 3);
        letters.add(Status::Failed, 1);
        let report = Report { channels: ByChannel { email: letters, ..ByChannel::default() } };
        assert_eq!((report.delivery_rate(), report.all().error_rate()), (None, Some(25.0)));
    }
}
