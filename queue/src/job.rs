//! What a hint says, and the lane it travels in.

use std::{fmt, str::FromStr};

use sendwright_workflows::sequence::Channel;
use serde::{Deserialize, Serialize};

/// "There may be work at these rows." Ids only: the row is read again by whoever takes the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Job {
    /// Enrolments of this account are due for a decision.
    Plan {
        /// The account whose enrolments are due.
        account: i64,
    },
    /// Messages of this account wait for their text.
    Write {
        /// The account whose messages wait.
        account: i64,
    },
    /// Mail is due on this sending profile.
    Mail {
        /// The sending profile.
        profile: i64,
    },
    /// SMS or WhatsApp messages are due on this sending profile.
    Sms {
        /// The sending profile.
        profile: i64,
    },
    /// Deliveries to this webhook endpoint are due.
    Deliver {
        /// The endpoint.
        endpoint: i64,
    },
    /// Events of this account wait for their number.
    Sequence {
        /// The account whose events wait.
        account: i64,
    },
    /// This import has rows left.
    Import {
        /// The import.
        import: i64,
    },
    /// This inbound message was stored and waits to be understood.
    Inbound {
        /// The stored inbound message.
        inbound: i64,
    },
    /// Callbacks of a provider were stored, this one among them, and wait to be acted on.
    Callback {
        /// The stored callback.
        callback: i64,
    },
    /// Enrolments of this campaign are to be mapped to its newest version.
    Remap {
        /// The edited campaign.
        campaign: i64,
    },
}

impl Job {
    /// Messages are due on this sending profile, which serves this channel.
    pub const fn send(channel: Channel, profile: i64) -> Job {
        match channel {
            Channel::Email => Job::Mail { profile },
            Channel::Sms | Channel::Whatsapp => Job::Sms { profile },
        }
    }

    /// The lane this job travels in.
    pub const fn lane(&self) -> Lane {
        match self {
            Job::Plan { .. } | Job::Remap { .. } => Lane::Plan,
            Job::Write { .. } => Lane::Write,
            Job::Mail { .. } => Lane::Mail,
            Job::Sms { .. } => Lane::Sms,
            Job::Deliver { .. } => Lane::Deliver,
            Job::Sequence { .. } => Lane::Sequence,
            Job::Import { .. } => Lane::Import,
            Job::Inbound { .. } | Job::Callback { .. } => Lane::Inbound,
        }
    }
}

/// One line of waiting jobs: slow work in one never holds up another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Deciding what an enrolment does next.
    Plan,
    /// Writing texts (slow: a model may be asked).
    Write,
    /// Handing mail over.
    Mail,
    /// Handing SMS and WhatsApp messages over.
    Sms,
    /// Calling webhook endpoints.
    Deliver,
    /// Numbering events.
    Sequence,
    /// Importing leads.
    Import,
    /// Understanding what came in.
    Inbound,
}

impl Lane {
    /// How many lanes there are.
    pub(crate) const COUNT: usize = 8;

    /// Every lane, in the order of the enum.
    pub const ALL: [Lane; Lane::COUNT] = [
        Lane::Plan,
        Lane::Write,
        Lane::Mail,
        Lane::Sms,
        Lane::Deliver,
        Lane::Sequence,
        Lane::Import,
        Lane::Inbound,
    ];

    /// The lane's name, as on the command line and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Lane::Plan => "plan",
            Lane::Write => "write",
            Lane::Mail => "mail",
            Lane::Sms => "sms",
            Lane::Deliver => "deliver",
            Lane::Sequence => "sequence",
            Lane::Import => "import",
            Lane::Inbound => "inbound",
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no lane's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no lane {0:?}: use one of plan, write, mail, sms, deliver, sequence, import, inbound")]
pub struct UnknownLane(pub String);

impl FromStr for Lane {
    type Err = UnknownLane;

    fn from_str(name: &str) -> Result<Self, UnknownLane> {
        Lane::ALL.into_iter().find(|lane| lane.as_str() == name).ok_or_else(|| UnknownLane(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_its_type_and_an_id_on_the_wire() {
        let wire = serde_json::to_string(&Job::Mail { profile: 7 }).unwrap();
        assert_eq!(wire, r#"{"type":"mail","profile":7}"#);
        assert_eq!(serde_json::from_str::<Job>(&wire).unwrap(), Job::Mail { profile: 7 });
    }

    #[test]
    fn every_lane_is_found_by_its_name_and_stands_at_its_own_index() {
        for (index, lane) in Lane::ALL.into_iter().enumerate() {
            assert_eq!(lane.as_str().parse(), Ok(lane));
            assert_eq!(lane as usize, index);
        }
        assert_eq!("post".parse::<Lane>(), Err(UnknownLane("post".into())));
    }

    #[test]
    fn what_goes_to_a_phone_travels_in_a_lane_of_its_own() {
        let lanes = Channel::ALL.map(|channel| Job::send(channel, 1).lane());
        assert_eq!(lanes, [Lane::Mail, Lane::Sms, Lane::Sms]);
    }

    #[test]
    fn remapping_travels_with_planning() {
        assert_eq!(Job::Remap { campaign: 1 }.lane(), Lane::Plan);
    }
}
