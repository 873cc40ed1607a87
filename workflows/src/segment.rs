//! Segments: which contacts are meant, as a tree of conditions on what is known of them, on their consent and on what
//! became of earlier messages (S2-25 to S2-27). Pure: the store makes SQL of a tree, and evaluates it there.

mod indexed;

pub use indexed::{Indexed, MOST_TEXT, instant, number};

use crate::clock::Millis;
use crate::sequence::Channel;

/// Deepest nesting of groups.
pub const MOST_DEPTH: usize = 20;
/// Most conditions of a tree.
pub const MOST_CONDITIONS: usize = 1_000;
/// Most values of one `in`.
pub const MOST_VALUES: usize = 1_000;

/// A tree of conditions.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Conditions taken together; never empty.
    Group(Joint, Vec<Filter>),
    /// What is known of a contact by this name.
    Attribute {
        /// The name, as `attributes` has it, or a field of the contact.
        name: String,
        /// What its value must be; a contact without the value fails every test.
        test: Test,
        /// Whether the test is to fail: `not_equals`, `not_in`, `not_exists`.
        negated: bool,
    },
    /// What somebody said to being written to on a channel.
    Consent {
        /// The channel.
        channel: Channel,
        /// The states, any of them; none at all for whatever was said.
        states: Vec<Consent>,
        /// Whether it is to be none of them.
        negated: bool,
    },
    /// What became of the messages of a campaign, or of any.
    Behaviour {
        /// What happened.
        what: Behaviour,
        /// Since so many days; ever, where absent.
        within_days: Option<i64>,
        /// In this campaign alone.
        campaign: Option<i64>,
        /// Whether it is not to have happened.
        negated: bool,
    },
}

/// How the conditions of a group are taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Joint {
    /// All of them hold.
    And,
    /// At least one holds.
    Or,
    /// None holds.
    Not,
}

impl Joint {
    /// Each, by its word.
    pub const WORDS: [(&'static str, Joint); 3] =
        [("AND", Joint::And), ("OR", Joint::Or), ("NOT", Joint::Not)];
}

/// What a value must be. Texts are compared by their first [`MOST_TEXT`] characters, case and all.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// It is there, and says something.
    Exists,
    /// The text is one of these, or the number is one of those.
    Is {
        /// Texts; `true` and `false` are texts here.
        texts: Vec<String>,
        /// Numbers.
        numbers: Vec<f64>,
    },
    /// The text holds this one.
    Contains(String),
    /// The text begins so.
    StartsWith(String),
    /// The text ends so.
    EndsWith(String),
    /// The number lies between these.
    Number(Bound<f64>, Bound<f64>),
    /// The instant lies between these.
    Instant(Bound<Millis>, Bound<Millis>),
    /// The instant lies in the last so many days, and not ahead.
    WithinDays(i64),
}

/// One end of a range.
pub type Bound<T> = std::ops::Bound<T>;

/// What was said to being written to; the words of `consent_states`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Consent {
    /// Yes.
    OptIn,
    /// No.
    OptOut,
    /// No, by a word on the phone.
    Stop,
}

impl Consent {
    /// Each, by its word in requests (S2-04).
    pub const WORDS: [(&'static str, Consent); 3] =
        [("OPT_IN", Consent::OptIn), ("OPT_OUT", Consent::OptOut), ("STOP", Consent::Stop)];

    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Consent::OptIn => "opt_in",
            Consent::OptOut => "opt_out",
            Consent::Stop => "stop",
        }
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Behaviour {
    /// One was handed over.
    Sent,
    /// One was opened.
    Opened,
    /// A link in one was followed.
    Clicked,
    /// One was answered.
    Replied,
}

impl Behaviour {
    /// Each, by its word.
    pub const WORDS: [(&'static str, Behaviour); 4] = [
        ("sent", Behaviour::Sent),
        ("opened", Behaviour::Opened),
        ("clicked", Behaviour::Clicked),
        ("replied", Behaviour::Replied),
    ];
}

/// Attributes that are columns of the contact and have an index of their own there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Column {
    /// `phone_e164`, or `phone`: the number in E.164.
    Phone,
    /// `email`, in lower case.
    Email,
    /// `external_id`.
    ExternalId,
    /// `created_at`, an instant.
    CreatedAt,
}

impl Column {
    /// The column that an attribute's name stands for.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "phone" | "phone_e164" => Some(Column::Phone),
            "email" => Some(Column::Email),
            "external_id" => Some(Column::ExternalId),
            "created_at" => Some(Column::CreatedAt),
            _ => None,
        }
    }
}

impl Filter {
    /// Whether this names a campaign's messages, and which campaigns.
    pub fn campaigns(&self) -> Vec<i64> {
        match self {
            Filter::Group(_, conditions) => conditions.iter().flat_map(Filter::campaigns).collect(),
            Filter::Behaviour { campaign, .. } => campaign.iter().copied().collect(),
            Filter::Attribute { .. } | Filter::Consent { .. } => Vec::new(),
        }
    }
}
