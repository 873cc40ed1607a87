//! Why something was moved, held, skipped or stopped: closed codes with data (promise 6).

use crate::clock::Millis;
use serde::{Deserialize, Serialize};

/// Which limit made a message wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// The spacing of `per_second` limits.
    Second,
    /// The counter of `per_minute`.
    Minute,
    /// The counter of `per_day`, by calendar day in the profile's zone.
    Day,
}

/// Who owns the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// A sending profile.
    Profile,
    /// A campaign.
    Campaign,
}

/// What made a message later than its planned instant, beside the gates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The text was not ready.
    Writing,
    /// No connection, permit or worker was free in time.
    Capacity,
    /// An earlier attempt was refused and is repeated.
    Retry,
    /// Nothing ran: a process, a database or a network was away.
    Outage,
}

/// A reason. The list of codes is closed; [`Reason::CODES`] prints it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant's sentence names its fields")]
pub enum Reason {
    /// The recipient's quiet hours; the next permitted instant is `until`.
    QuietHours { until: Millis },
    /// The campaign starts at `until`.
    Schedule { until: Millis },
    /// A limit gave the message the instant `until`.
    RateLimit { owner: Owner, window: Window, until: Millis },
    /// Later than planned for another cause than a gate.
    Late { cause: Cause },
    /// No instant within 64 rounds or 400 days passes every gate.
    NoPermittedInstant,
    /// The message would be later than the campaign allows.
    TooLate { by: Millis },
    /// The campaign is paused, not started, archived or waiting after an edit.
    Paused,
    /// The sending profile is paused or disabled; looked at again at `until` where that is known.
    ProfilePaused { until: Option<Millis> },
    /// The account is not active.
    AccountInactive,
    /// The address opted out or is suppressed.
    Suppressed { why: String },
    /// The channel needs an opt-in that is not there.
    NoConsent,
    /// The contact was deleted.
    ContactDeleted,
    /// The contact has no address on this channel.
    NoAddress,
    /// The contact answered.
    Replied,
    /// The contact asked in words of their own to be left alone: a person decides what that means.
    AskedToStop,
    /// The person already got this text or this step.
    AlreadySent { message: i64 },
    /// The step is switched off.
    StepInactive,
    /// The campaign was edited; the text is written again.
    Edited,
    /// No model is configured and the campaign does not say `without_model: template`.
    NoModel,
    /// No transport is configured for the channel.
    NoTransport,
    /// The sending profile sends no text messages to this country; none: the number is of no country.
    DestinationNotAllowed { country: Option<String> },
    /// The model answered nothing that passes the contract, and there is no template.
    WritingFailed { detail: String },
    /// The template needs a value that the contact does not have.
    MissingVariable { name: String },
    /// The text could cost more than the account's spend cap leaves; written at `until`, when the cap begins anew.
    SpendCap {
        #[serde(default)]
        until: Option<Millis>,
    },
    /// A person must approve the text first.
    Approval,
    /// The provider refused; tried again at `until`.
    Refused { reply: u16, until: Option<Millis> },
    /// The hand-over was closed before its end; nothing was sent.
    NotStarted,
    /// A worker died while it held the message, more than once.
    Poison,
    /// The outcome of the hand-over is not known and nobody can be asked.
    Uncertain,
    /// A later step of the enrolment went out first.
    Overtaken,
    /// A person cancelled it.
    Cancelled,
    /// A backup was restored: what may have gone out since it was made is held, and never sent again by itself.
    Recovery,
}

impl Reason {
    /// Every code with its meaning, as `simulate --help` prints it.
    pub const CODES: &'static [(&'static str, &'static str)] = &[
        ("quiet_hours", "the recipient's quiet hours; moved to the next permitted instant"),
        ("schedule", "the campaign's schedule_time has not come"),
        ("rate_limit", "a limit per second, minute or day of the profile or campaign gave a later instant"),
        ("late", "later than planned: writing, capacity, retry or outage"),
        ("no_permitted_instant", "no instant within 400 days passes every gate; held"),
        ("too_late", "later than the campaign's max_lateness; skipped"),
        ("paused", "the campaign is paused or not started"),
        ("profile_paused", "the sending profile is paused or disabled"),
        ("account_inactive", "the account is not active"),
        ("suppressed", "the address opted out, bounced or was suppressed by hand"),
        ("no_consent", "the channel needs an opt-in"),
        ("contact_deleted", "the contact was deleted"),
        ("no_address", "the contact has no address on this channel"),
        ("replied", "the contact answered; the sequence stopped"),
        (
            "asked_to_stop",
            "the contact asked in their own words to be left alone; held for a person to decide",
        ),
        ("already_sent", "the person already got this step or this text"),
        ("step_inactive", "the step is switched off"),
        ("edited", "the campaign was edited; the text is written again"),
        ("no_model", "no model is configured; held"),
        ("no_transport", "no transport is configured; held"),
        (
            "destination_not_allowed",
            "the sending profile's allowed_countries are without the number's country; held",
        ),
        ("writing_failed", "the model's text did not pass the checks and there is no template; held"),
        ("missing_variable", "the template names a value the contact does not have; held"),
        (
            "spend_cap",
            "the text could cost more than the account's spend cap leaves; held, or written when the cap begins anew",
        ),
        ("approval", "waits for approval"),
        ("refused", "the provider refused"),
        ("not_started", "the hand-over was closed before its end; nothing was sent"),
        ("poison", "workers died with it twice; held"),
        ("uncertain", "the provider may have accepted it; not repeated"),
        ("overtaken", "a later step went out first"),
        ("cancelled", "cancelled by hand"),
        (
            "recovery",
            "a backup was restored: held until released; passed over where it may have gone out since",
        ),
    ];

    /// The code alone, as logs and metrics name it.
    pub fn code(&self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|v| v.get("code").and_then(|c| c.as_str()).map(str::to_owned))
            .unwrap_or_default()
    }
}
