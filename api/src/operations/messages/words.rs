//! Reasons as sentences, each with the setting that would change it.

use sendwright_workflows::clock::Millis;
use sendwright_workflows::message::State;
use sendwright_workflows::quiet_hours::local_text;
use sendwright_workflows::reason::{Cause, Owner, Reason, Window};
use sendwright_workflows::twilio_code;
use sendwright_workflows::zone::Zone;

/// A reason with its sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The code and its data.
    pub reason: Reason,
    /// For people: what it means here, and what to change.
    pub text: String,
}

/// Puts a reason into words; instants are told by the wall clock of `zone`.
pub fn told(reason: Reason, zone: Zone) -> Told {
    Told { text: sentence(&reason, zone), reason }
}

/// An instant as sentences have it: to the second, with its offset.
pub fn instant(at: Millis, zone: Zone) -> String {
    local_text(at - at.rem_euclid(1_000), zone)
}

fn sentence(reason: &Reason, zone: Zone) -> String {
    let at = |at: &Millis| instant(*at, zone);
    match reason {
        Reason::QuietHours { until } => format!(
            "the recipient's quiet hours last until {}; the campaign's quiet_hours_start and quiet_hours_end set them",
            at(until)
        ),
        Reason::Schedule { until } => {
            format!("the campaign starts at {}, its schedule_time", at(until))
        }
        Reason::RateLimit { owner, window, until } => limit(*owner, *window, &at(until)),
        Reason::Late { cause } => late(*cause).into(),
        Reason::NoPermittedInstant => {
            "no instant within 400 days passes the quiet hours; change the campaign's, then release it".into()
        }
        Reason::TooLate { .. } => "it would have been later than the campaign's max_lateness allows".into(),
        Reason::Paused => "the campaign does not run; start it with POST /campaigns/{id}/start".into(),
        Reason::ProfilePaused { until: Some(until) } => {
            format!("the sending profile is paused until {}", at(until))
        }
        Reason::ProfilePaused { until: None } => {
            "the sending profile is not active; put right what its `why` says".into()
        }
        Reason::AccountInactive => "the account is not active".into(),
        Reason::Suppressed { why } => {
            format!("nothing is sent to this address any more ({why}); the suppression list holds it")
        }
        Reason::NoConsent => "the channel needs an opt-in that is not there".into(),
        Reason::ContactDeleted => "the lead was deleted".into(),
        Reason::NoAddress => "the lead has no address on the step's channel".into(),
        Reason::Replied => "the lead answered, which ends the sequence".into(),
        Reason::AskedToStop => {
            "the lead asked in words of their own to be left alone: release it, or cancel it and suppress the lead".into()
        }
        Reason::AlreadySent { message } => format!("the lead got this text already, in message {message}"),
        Reason::StepInactive => "the step is switched off; is_active switches it on".into(),
        Reason::Edited => "the campaign was edited; the text is planned and written anew".into(),
        Reason::NoModel => "no model is configured: set OPENAI_API_KEY for the workers or the campaign's \
             without_model to template, then release it"
            .into(),
        Reason::NoTransport => {
            "no transport is configured: set SMTP_URL for the workers or smtp_url in the sending profile; a held \
             message is then released by hand, a waiting one goes by itself"
                .into()
        }
        Reason::DestinationNotAllowed { country } => {
            let country = country.as_deref().unwrap_or("no country that messages go to");
            format!(
                "the number is of {country}: add it to allowed_countries of the sending profile, and for the \
                 installation's own account to TWILIO_ALLOWED_COUNTRIES, then release it"
            )
        }
        Reason::WritingFailed { detail } => {
            format!("no text passed the checks ({detail}); change the step's prompt or template, then release it")
        }
        Reason::MissingVariable { name } => format!(
            "the template needs {{{{{name}}}}}, which the lead does not have; give the lead one, or the template a \
             default, then release it"
        ),
        Reason::Approval => "a person must approve the text: release the message to send it, or cancel it".into(),
        Reason::Refused { reply, until: Some(until) } => {
            format!("the server refused it for now ({}); it is tried again at {}", code(*reply), at(until))
        }
        Reason::Refused { reply, until: None } => format!("the server refused it for good ({})", code(*reply)),
        Reason::NotStarted => "a hand-over was closed before its end; nothing was sent in it".into(),
        Reason::Poison => {
            "workers died with it in their hands, twice; look into their logs, then release or cancel it".into()
        }
        Reason::Uncertain => "the server may have taken it, and did not say so. A text message is looked for at its \
             provider within the hour; else nobody can be asked: release it to send it again, which may double it, \
             or cancel it"
            .into(),
        Reason::Overtaken => "a later step of the sequence went out first".into(),
        Reason::SpendCap { until: Some(until) } => format!(
            "the text could cost more than the account's spend cap leaves; the cap begins anew at {}",
            at(until)
        ),
        Reason::SpendCap { until: None } => {
            "the text could cost more than the account's spend cap leaves; raise it with PUT /spending, then write the draft again or release it".into()
        }
        Reason::Cancelled => "it was cancelled, or its enrolment has ended".into(),
        Reason::Recovery => "a backup was restored, and it may have gone out since that was made; `sendwright recovery release` lets its campaign go on".into(),
    }
}

/// A reply's code, with its meaning where that is a provider's own.
fn code(reply: u16) -> String {
    match twilio_code::find(u32::from(reply)) {
        Some(known) => format!("{reply}, {}", known.meaning),
        None => reply.to_string(),
    }
}

fn limit(owner: Owner, window: Window, until: &str) -> String {
    let setting = match (owner, window) {
        (Owner::Campaign, _) => "the campaign's rate_limit_per_second",
        (Owner::Profile, Window::Second) => "the sending profile's rate_limit_per_second",
        (Owner::Profile, Window::Minute) => "the sending profile's rate_limit_per_minute",
        (Owner::Profile, Window::Day) => "the sending profile's rate_limit_per_day",
    };
    format!("{setting} gives it {until}")
}

fn late(cause: Cause) -> &'static str {
    match cause {
        Cause::Writing => "its text was not ready; the model is asked again",
        Cause::Capacity => {
            "no connection or worker was free for it in time; the sending profile's `why` and the workers' logs say \
             more"
        }
        Cause::Retry => "an earlier hand-over came to nothing, and it is tried again",
        Cause::Outage => "no worker was running; start one with `sendwright worker` or `sendwright up`",
    }
}

/// What to do about a message that cannot be cancelled in its state.
pub fn way_out(state: State) -> &'static str {
    match state {
        State::Claimed => "a worker is about to hand it over; pause the campaign, or try again in a moment",
        State::Sending => "it is being handed over; its outcome is known in a moment",
        State::Accepted | State::Delivered | State::Bounced | State::Complained => {
            "the server took it, and nothing calls it back; suppress the address to stop what follows"
        }
        State::Failed | State::Suppressed | State::Cancelled => {
            "it will not be sent; there is nothing to cancel"
        }
        _ => "try again in a moment",
    }
}
