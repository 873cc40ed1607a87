//! The intent: the last look before a hand-over (SEND_PROTOCOL, T2). What it looks at was read behind the account's barrier
//! and is true until that transaction ends.

use crate::campaign::Policy;
use crate::clock::{Micros, Millis};
use crate::message::State;
use crate::quiet_hours::W;
use crate::rate_limit::slot_millis;
use crate::reason::{Cause, Reason};
use crate::zone::Zone;

/// What stands around a claimed message.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// Why nothing may be sent to the address, if so.
    pub suppressed: Option<&'a str>,
    /// The account is not switched off.
    pub account_active: bool,
    /// The sending profile rests, until then where that is known.
    pub profile_rests: Option<Option<Millis>>,
    /// What concerns a step; a test send has none of it.
    pub step: Option<StepSight<'a>>,
}

/// What stands around a step's message.
#[derive(Debug, Clone, Copy)]
pub struct StepSight<'a> {
    /// The contact is there.
    pub contact_active: bool,
    /// The contact answered.
    pub replied: bool,
    /// The channel asks for an opt-in, and there is none.
    pub lacks_consent: bool,
    /// The enrolment is active, or through: a message that was uncertain, and was released or proven unsent, goes out
    /// even where its enrolment is through since.
    pub enrolment_open: bool,
    /// The message is of the campaign's present version.
    pub is_present: bool,
    /// The campaign runs.
    pub campaign_runs: bool,
    /// The person asked in words of their own to be left alone.
    pub asked_to_stop: bool,
    /// A person approved it.
    pub approved: bool,
    /// The campaign's settings.
    pub policy: &'a Policy,
    /// The recipient's zone.
    pub zone: Zone,
}

/// The state that a message goes back to, and why.
pub type Back = (State, Reason);

/// Whether a message is still in the hands of who claimed it: claimed before under this fence, or given its slot in this
/// very transaction and not yet written.
pub fn is_ours(state: State, stored_fence: i64, fence: i64, is_workers: bool) -> bool {
    match state {
        State::Claimed => stored_fence == fence && is_workers,
        State::Drafted => stored_fence == fence - 1,
        _ => false,
    }
}

/// What stands against a hand-over at `now`, beside its slot.
pub fn forbids(sight: &Sight<'_>, now: Millis) -> Option<Back> {
    if let Some(why) = sight.suppressed {
        return Some((State::Suppressed, Reason::Suppressed { why: why.to_owned() }));
    }
    if !sight.account_active {
        return Some((State::Held, Reason::AccountInactive));
    }
    if let Some(until) = sight.profile_rests {
        return Some((State::Drafted, Reason::ProfilePaused { until }));
    }
    sight.step.as_ref().and_then(|step| step.forbids(now))
}

impl StepSight<'_> {
    fn forbids(&self, now: Millis) -> Option<Back> {
        let ends = [
            (!self.contact_active, State::Cancelled, Reason::ContactDeleted),
            (self.replied, State::Cancelled, Reason::Replied),
            (self.lacks_consent, State::Suppressed, Reason::NoConsent),
            (!self.enrolment_open, State::Cancelled, Reason::Cancelled),
            (!self.is_present, State::Drafted, Reason::Edited),
            (!self.campaign_runs, State::Drafted, Reason::Paused),
            (self.asked_to_stop && !self.approved, State::Held, Reason::AskedToStop),
            (self.policy.requires_approval && !self.approved, State::Held, Reason::Approval),
        ];
        if let Some((_, state, reason)) = ends.into_iter().find(|end| end.0) {
            return Some((state, reason));
        }
        // The pause between slot and intent is at most W: all of [now, now + W + G] is looked at again.
        let quiet = self.policy.quiet_hours.filter(|quiet| !quiet.permits(now, self.zone))?;
        let until = quiet.next_permitted(now, self.zone).unwrap_or(now);
        Some((State::Drafted, Reason::QuietHours { until }))
    }
}

/// What stands against it by its slot: it may be used from its instant until W after it.
pub fn off_slot(slot: Micros, now: Millis) -> Option<Back> {
    let from = slot_millis(slot);
    let is_in = (from..from + W).contains(&now);
    (!is_in).then_some((State::Drafted, Reason::Late { cause: Cause::Capacity }))
}
