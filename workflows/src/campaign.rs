//! Campaigns: their states, their settings, and what a stored or submitted one must look like.

use crate::clock::Millis;
use crate::quiet_hours::QuietHours;
use crate::rate_limit::Rates;
use crate::zone::Zone;
use serde::{Deserialize, Serialize};

/// A campaign's state (DESIGN, States).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Being written; nothing is planned.
    Draft,
    /// Starts by itself at its `schedule_time`.
    Scheduled,
    /// Enrolments move.
    Running,
    /// Nothing is handed over until it is resumed.
    Paused,
    /// Everybody is through; a new enrolment reopens it.
    Completed,
    /// A backup was restored: nothing moves until a person releases it.
    Held,
    /// Deleted softly.
    Archived,
}

/// What may be asked of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Begin, or go on after a pause.
    Start,
    /// Stop all hand-overs.
    Pause,
    /// Everybody is through.
    Complete,
    /// A new enrolment came.
    Reopen,
    /// Delete softly.
    Archive,
}

impl State {
    /// Every state.
    pub const ALL: [State; 7] = [
        State::Draft,
        State::Scheduled,
        State::Running,
        State::Paused,
        State::Completed,
        State::Held,
        State::Archived,
    ];

    /// The word in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Draft => "draft",
            State::Scheduled => "scheduled",
            State::Running => "running",
            State::Paused => "paused",
            State::Completed => "completed",
            State::Held => "held",
            State::Archived => "archived",
        }
    }

    /// Reads [`as_str`](Self::as_str).
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }

    /// The external dialect's word: active, paused, inactive (S1-49, C-20).
    pub fn external(self) -> &'static str {
        match self {
            State::Paused | State::Held => "paused",
            State::Archived => "inactive",
            _ => "active",
        }
    }

    /// The state after a change; `None` where it is refused. Repeating a change is no refusal.
    /// `later` says that the campaign's `schedule_time` has not come.
    pub fn change(self, change: Change, later: bool) -> Option<State> {
        use State::*;
        match (change, self) {
            (_, Archived) => (change == Change::Archive).then_some(Archived),
            (Change::Archive, Held) => Some(Archived),
            // What it was, and what of it may go, is a person's word: `recovery release`.
            (_, Held) => None,
            (Change::Start, Running | Completed) => Some(self),
            (Change::Start, _) => Some(if later { Scheduled } else { Running }),
            (Change::Pause, _) => Some(Paused),
            (Change::Complete, Running) => Some(Completed),
            (Change::Complete, _) => None,
            (Change::Reopen, Completed) => Some(Running),
            (Change::Reopen, _) => Some(self),
            (Change::Archive, _) => Some(Archived),
        }
    }
}

/// Who of a segment is in a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// Those who are in the segment when the campaign is triggered.
    #[default]
    Snapshot,
    /// Also those who come to be in it while the campaign runs, which it does until it is paused or put away.
    Live,
}

impl Audience {
    /// Both.
    pub const ALL: [Audience; 2] = [Audience::Snapshot, Audience::Live];

    /// The word in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Audience::Snapshot => "snapshot",
            Audience::Live => "live",
        }
    }

    /// Reads [`as_str`](Self::as_str).
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|audience| audience.as_str() == word)
    }
}

/// What to do with a step that wants a model where none is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WithoutModel {
    /// Keep the message, `no_model`.
    #[default]
    Hold,
    /// Send the step's template.
    Template,
}

/// What to do with a hand-over whose outcome is not known (SEND_PROTOCOL 12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUncertain {
    /// Ask the provider where that is possible, else park.
    #[default]
    Verify,
    /// Leave it for a person.
    Park,
    /// Send it again with the same Message-ID: may double.
    Resend,
}

/// What an uncertain message does to the rest of its enrolment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AfterUncertain {
    /// The next step counts from its slot.
    #[default]
    Continue,
    /// The enrolment waits for a person.
    Hold,
}

/// A campaign's settings, as the planner reads them and the database keeps them (one JSON column).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// The zone of contacts that have none.
    pub timezone: Option<Zone>,
    /// When nothing may go out, in the recipient's zone.
    pub quiet_hours: Option<QuietHours>,
    /// The campaign's own limit.
    pub rate_limit_per_second: Option<f64>,
    /// The first step is not due before this instant; set at the start, or by `schedule_time`.
    pub starts_at: Option<Millis>,
    /// A person approves every text.
    pub requires_approval: bool,
    /// Without a model.
    pub without_model: WithoutModel,
    /// Without an answer.
    pub on_uncertain: OnUncertain,
    /// After that.
    pub after_uncertain: AfterUncertain,
    /// A step later than this is skipped. Milliseconds.
    pub max_lateness: Option<Millis>,
    /// A backup was restored: steps planned up to this instant may have gone out since it was made, and are passed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passed_until: Option<Millis>,
    /// Hosts that a written text may link to.
    pub allowed_links: Vec<String>,
    /// The kind of business that is written to (S0-37), as it was given.
    pub business_type: Option<String>,
    /// The strategy's name, or the approach in words (S0-37), as it was given.
    pub strategy: Option<String>,
    /// Whether opens are told; empty: as the sending profile says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track_opens: Option<bool>,
    /// Whether clicks are told; empty: as the sending profile says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track_clicks: Option<bool>,
}

impl Policy {
    /// The campaign's own limit as rates.
    pub fn rates(&self) -> Rates {
        Rates { per_second: self.rate_limit_per_second, ..Rates::default() }
    }

    /// The zone a contact is reckoned in: its own ([`crate::contact::own_zone`]), else the campaign's, else the
    /// account's.
    pub fn zone(&self, contact: Option<Zone>, account: Zone) -> Zone {
        contact.or(self.timezone).unwrap_or(account)
    }
}
