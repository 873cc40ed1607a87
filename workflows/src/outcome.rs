//! The outcome: what follows from the end of an attempt (SEND_PROTOCOL, T3, 9 to 15).

use crate::clock::Millis;
use crate::message::State;
use crate::reason::Reason;

/// What is known of one attempt's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// A 2xx after the dot, or another proof.
    Accepted,
    /// A definite no; tried again at `at`.
    Retry {
        /// The next planned instant.
        at: Millis,
        /// Why.
        reason: Reason,
    },
    /// A definite no for good.
    Failed {
        /// Why.
        reason: Reason,
        /// What it says against the address, which is suppressed then.
        against: Option<Against>,
    },
    /// Nobody knows.
    Unknown,
}

/// Why nothing more goes to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// It is bad: there is nobody, or it takes no such messages.
    Bad,
    /// Its owner has told the provider to stop.
    Stopped,
}

/// A message that died with its worker so often is held: the first death makes it a suspect, and it is claimed
/// alone from then on (SEND_PROTOCOL 15); a first death alone, or one as the only suspect, counts as one of two.
pub const POISON: i64 = 3;

/// What a worker that has just died had in hand, as (message, how often it died with one), marked: the only one, or the only
/// suspect among them, is to blame and counts twice as much.
pub fn suspects(held: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let before: Vec<_> = held.iter().copied().filter(|row| row.1 > 0).collect();
    let culprit = match (held, &before[..]) {
        ([only], _) | (_, [only]) => Some(only.0),
        _ => None,
    };
    let mark = |&(id, crashes): &(i64, i64)| (id, crashes.max(1) + i64::from(culprit == Some(id)));
    held.iter().map(mark).collect()
}

/// What else there is to know of a message whose attempt has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Had {
    /// It was uncertain, and a later step of its enrolment has been attempted since.
    pub overtaken: bool,
    /// The worker died with it.
    pub crashed: bool,
    /// How often it died with one.
    pub crashes: i64,
    /// A refusal for good of its address is a bounce: only an e-mail comes back at its hand-over.
    pub bounces: bool,
}

impl End {
    /// What the attempt's own row says of it.
    pub fn of_attempt(&self) -> &'static str {
        match self {
            End::Accepted => "accepted",
            End::Retry { reason: Reason::NotStarted, .. } => "not_started",
            End::Retry { reason: Reason::Uncertain, .. } | End::Unknown => "uncertain",
            End::Retry { .. } | End::Failed { .. } => "refused",
        }
    }

    /// Whether the step is settled by it: sent, given up, or for a person to look at.
    pub fn settles(&self) -> bool {
        !matches!(self, End::Retry { .. })
    }

    /// Whether it is a bounce.
    pub fn is_bounce(&self, bounces: bool) -> bool {
        bounces && matches!(self, End::Failed { against: Some(Against::Bad), .. })
    }

    /// The message's state after anything but an acceptance, when it is due again, and why.
    pub fn follows(&self, had: Had) -> (State, Option<Millis>, Reason) {
        match self {
            End::Retry { .. } if had.overtaken => (State::Cancelled, None, Reason::Overtaken),
            End::Retry { .. } if had.crashed && had.crashes >= POISON => (State::Held, None, Reason::Poison),
            End::Retry { at, reason } => (State::Drafted, Some(*at), reason.clone()),
            End::Failed { reason, .. } if self.is_bounce(had.bounces) => {
                (State::Bounced, None, reason.clone())
            }
            End::Failed { reason, .. } => (State::Failed, None, reason.clone()),
            End::Unknown | End::Accepted => (State::Uncertain, None, Reason::Uncertain),
        }
    }
}

/// Whether anything but an acceptance may still move a message: from its hand-over under the attempt's own fence, or, where
/// it says more than that nobody knows, from `uncertain`.
pub fn may_follow(state: State, fences_match: bool, end: &End) -> bool {
    fences_match
        && match state {
            State::Sending | State::Claimed => true,
            State::Uncertain => *end != End::Unknown,
            _ => false,
        }
}
