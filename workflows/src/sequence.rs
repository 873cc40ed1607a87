//! A sequence: one version of a campaign's steps, and when each of them is due.

use crate::clock::{HOUR, MINUTE, Millis, SECOND};
use crate::quiet_hours::add_calendar_days;
use crate::zone::Zone;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// How a step reaches a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// SMTP or the mailbox.
    #[default]
    Email,
    /// A text message.
    Sms,
    /// WhatsApp.
    Whatsapp,
}

impl Channel {
    /// The word in tables, logs and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Email => "email",
            Channel::Sms => "sms",
            Channel::Whatsapp => "whatsapp",
        }
    }

    /// Every channel.
    pub const ALL: [Channel; 3] = [Channel::Email, Channel::Sms, Channel::Whatsapp];

    /// Reads [`as_str`](Self::as_str).
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.as_str() == word)
    }

    /// Whether its address is a phone number.
    pub fn is_phone(self) -> bool {
        self != Channel::Email
    }

    /// Whether a person must have opted in before anything is sent; e-mail is allowed until they opt out.
    pub fn needs_consent(self) -> bool {
        self.is_phone()
    }
}

/// One of something for each channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ByChannel<T> {
    /// For e-mail.
    pub email: T,
    /// For text messages.
    pub sms: T,
    /// For WhatsApp.
    pub whatsapp: T,
}

impl<T: Copy> ByChannel<T> {
    /// The same for every channel.
    pub const fn all(one: T) -> Self {
        Self { email: one, sms: one, whatsapp: one }
    }
}

impl<T> ByChannel<T> {
    /// Asks once for each channel.
    pub fn new(mut one: impl FnMut(Channel) -> T) -> Self {
        Self { email: one(Channel::Email), sms: one(Channel::Sms), whatsapp: one(Channel::Whatsapp) }
    }

    /// The one of a channel.
    pub fn of(&self, channel: Channel) -> &T {
        match channel {
            Channel::Email => &self.email,
            Channel::Sms => &self.sms,
            Channel::Whatsapp => &self.whatsapp,
        }
    }

    /// The same, to be changed.
    pub fn of_mut(&mut self, channel: Channel) -> &mut T {
        match channel {
            Channel::Email => &mut self.email,
            Channel::Sms => &mut self.sms,
            Channel::Whatsapp => &mut self.whatsapp,
        }
    }
}

/// What goes with a text message beside its text. In a step the values of its variables are templates, in a message they
/// are rendered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Enclosed {
    /// A content template of the provider's, `HX…`, which stands for the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_sid: Option<String>,
    /// Its variables.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub content_variables: BTreeMap<String, String>,
    /// Addresses of media.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub media_urls: Vec<String>,
}

impl Enclosed {
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// As tables keep it: nothing where nothing is.
    pub fn stored(&self) -> Option<String> {
        if self.is_empty() { None } else { serde_json::to_string(self).ok() }
    }
}

/// How a template is written (C-12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Syntax {
    /// `{{name}}`, blocks and helpers.
    #[default]
    Handlebars,
    /// `{name}` alone (S2-22): `${x}` is a dollar sign and a variable, `#{x}` a number sign and a variable.
    Brace,
}

impl Syntax {
    /// Both.
    pub const ALL: [Syntax; 2] = [Syntax::Handlebars, Syntax::Brace];

    /// The word in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Syntax::Handlebars => "handlebars",
            Syntax::Brace => "brace",
        }
    }

    /// Reads [`as_str`](Self::as_str).
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }

    /// What a text is written in whose author did not say: handlebars where it has any `{{`.
    pub fn of(text: &str) -> Self {
        if text.contains("{{") { Syntax::Handlebars } else { Syntax::Brace }
    }
}

/// The wait before a step: calendar days in the contact's zone, then elapsed time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Delay {
    /// Calendar days at the same wall-clock time.
    #[serde(default, rename = "delay_days")]
    pub days: u32,
    /// Elapsed hours.
    #[serde(default, rename = "delay_hours")]
    pub hours: u32,
    /// Elapsed minutes.
    #[serde(default, rename = "delay_minutes")]
    pub minutes: u32,
    /// Elapsed seconds.
    #[serde(default, rename = "delay_seconds")]
    pub seconds: u32,
}

impl Delay {
    /// The instant this long after `base`; saturates at `base` plus the elapsed part where the calendar ends.
    pub fn after(&self, base: Millis, zone: Zone) -> Millis {
        let day = add_calendar_days(base, self.days, zone).unwrap_or(base);
        day + i64::from(self.hours) * HOUR
            + i64::from(self.minutes) * MINUTE
            + i64::from(self.seconds) * SECOND
    }
}

/// One step of a sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The step's row, 0 where it is not stored.
    #[serde(default)]
    pub id: i64,
    /// 1, 2, 3 …
    pub number: u32,
    /// What people call it.
    pub name: String,
    /// How it is sent.
    #[serde(default)]
    pub channel: Channel,
    /// Of an e-mail; absent: the model writes it, or the campaign's name stands in.
    pub subject: Option<String>,
    /// The text itself, or the fallback of `ai_prompt`.
    pub template: Option<String>,
    /// How `subject`, `template` and what is enclosed are written; `ai_prompt` is handlebars.
    #[serde(default)]
    pub syntax: Syntax,
    /// What goes with a text message.
    #[serde(default, skip_serializing_if = "Enclosed::is_empty")]
    pub enclosed: Enclosed,
    /// What the model shall write; wins over `template`.
    pub ai_prompt: Option<String>,
    /// The wait since the predecessor's slot.
    #[serde(flatten)]
    pub delay: Delay,
    /// Thread it under the earlier messages and quote them.
    #[serde(default)]
    pub include_previous_emails: bool,
    /// A step that is switched off is skipped at its planned instant.
    #[serde(default = "yes")]
    pub active: bool,
}

fn yes() -> bool {
    true
}

impl Step {
    /// What a person would recognise as the same message: channel, subject, template and prompt.
    pub fn fingerprint(&self) -> String {
        let parts = (self.channel, &self.subject, &self.template, &self.ai_prompt);
        let mut bytes = serde_json::to_vec(&parts).unwrap_or_default();
        if !self.enclosed.is_empty() {
            bytes.extend(serde_json::to_vec(&self.enclosed).unwrap_or_default());
        }
        hex::encode(&Sha256::digest(&bytes)[..16])
    }

    /// Whether the text needs a model first.
    pub fn wants_model(&self) -> bool {
        self.ai_prompt.is_some()
    }
}

/// A version of a campaign's steps, ascending by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    /// Rises by one with every edit.
    pub version: i64,
    /// Ascending by number.
    pub steps: Vec<Step>,
}

impl Sequence {
    /// The step after the last settled one: the smallest number above it.
    pub fn after(&self, settled: u32) -> Option<&Step> {
        self.steps.iter().filter(|s| s.number > settled).min_by_key(|s| s.number)
    }

    /// Whether its steps go by more than one channel: who cannot be reached by one goes on with the others.
    pub fn is_mixed(&self) -> bool {
        self.steps.windows(2).any(|pair| pair[0].channel != pair[1].channel)
    }

    /// The channels its steps go by.
    pub fn channels(&self) -> ByChannel<bool> {
        ByChannel::new(|channel| self.steps.iter().any(|step| step.channel == channel))
    }

    /// Whether any of its steps goes to a phone.
    pub fn has_phones(&self) -> bool {
        self.steps.iter().any(|step| step.channel.is_phone())
    }

    /// The step with this number.
    pub fn step(&self, number: u32) -> Option<&Step> {
        self.steps.iter().find(|s| s.number == number)
    }
}
