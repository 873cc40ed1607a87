//! What messages failed by: a code, the group that reports put it into, and what it means in its provider's own words.

use crate::reason::Reason;
use crate::sequence::Channel;
use crate::twilio_code::{self, Remedy};
use std::borrow::Cow;

/// What a message failed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A code of Twilio's.
    Twilio(u32),
    /// An HTTP status of Twilio's, which gave no code.
    Http(u16),
    /// A reply of a mail server.
    Smtp(u16),
    /// Nobody answered, until the message was given up.
    Network,
    /// Nothing is known of it.
    Unknown,
}

impl Fault {
    /// Of a message that failed: the provider's code, where it gave one, else the last thing that happened to it.
    pub fn of(channel: Channel, provider_code: Option<i64>, reasons: &[Reason]) -> Self {
        let code = provider_code.and_then(|code| u32::try_from(code).ok());
        let refused = |reason: &&Reason| matches!(reason, Reason::Refused { until: None, .. });
        match (code, reasons.iter().rfind(refused).or(reasons.last())) {
            (Some(code), _) => Fault::Twilio(code),
            (None, Some(Reason::Refused { reply, .. })) => Self::replied(channel, *reply),
            (None, Some(Reason::Late { .. } | Reason::NotStarted)) => Fault::Network,
            (None, _) => Fault::Unknown,
        }
    }

    fn replied(channel: Channel, reply: u16) -> Self {
        match (channel, reply) {
            (_, 0) => Fault::Unknown,
            (Channel::Email, reply) => Fault::Smtp(reply),
            (_, status @ 100..600) => Fault::Http(status),
            (_, code) => Fault::Twilio(code.into()),
        }
    }

    /// The code as a number; none where there is none.
    pub fn code(self) -> Option<i64> {
        match self {
            Fault::Twilio(code) => Some(code.into()),
            Fault::Http(code) | Fault::Smtp(code) => Some(code.into()),
            Fault::Network | Fault::Unknown => None,
        }
    }

    /// The group that it is counted in.
    pub fn group(self) -> Cow<'static, str> {
        let named = match self {
            Fault::Twilio(code) => twilio(code),
            Fault::Http(429) => Some("rate_limit_exceeded"),
            Fault::Http(401 | 403) => Some("sender_refused"),
            Fault::Http(_) => None,
            Fault::Smtp(421 | 441 | 442 | 447) => Some("network_error"),
            Fault::Smtp(501 | 510 | 511 | 550 | 551 | 553) => Some("mailbox_unavailable"),
            Fault::Smtp(422 | 452 | 552) => Some("mailbox_full"),
            Fault::Smtp(530 | 534 | 535 | 538) => Some("sender_refused"),
            Fault::Smtp(554) => Some("message_refused"),
            Fault::Smtp(_) => None,
            Fault::Network => Some("network_error"),
            Fault::Unknown => Some("unknown"),
        };
        let code = self.code().unwrap_or_default();
        named.map_or_else(|| format!("error_{code}").into(), Cow::Borrowed)
    }

    /// What it means: Twilio's name for its code, the standard's for a reply.
    pub fn wording(self) -> Cow<'static, str> {
        match self {
            Fault::Twilio(code) => match twilio_code::find(code) {
                Some(known) => known.wording.into(),
                None => format!("Twilio error {code}").into(),
            },
            Fault::Http(status) => format!("Twilio answered with HTTP status {status}").into(),
            Fault::Smtp(reply) => smtp(reply),
            Fault::Network => "The server could not be reached".into(),
            Fault::Unknown => "No reason was given".into(),
        }
    }
}

fn twilio(code: u32) -> Option<&'static str> {
    Some(match (code, twilio_code::find(code)?.remedy) {
        (_, Remedy::BadNumber) => "invalid_phone_number",
        (_, Remedy::SlowDown) => "rate_limit_exceeded",
        (_, Remedy::Stopped) => "opted_out",
        (_, Remedy::Login | Remedy::SwitchOff) => "sender_refused",
        (21408, _) => "region_not_enabled",
        (21608, _) => "number_not_verified",
        (21612, _) => "no_route",
        (21617, _) => "message_too_long",
        (21656, _) => "invalid_content_variables",
        (30003, _) => "network_error",
        (30004 | 30007, _) => "message_filtered",
        (63016, _) => "outside_window",
        (63049, _) => "not_delivered_by_meta",
        _ => return None,
    })
}

/// RFC 5321, 4.2.3; RFC 4954, 6.
fn smtp(reply: u16) -> Cow<'static, str> {
    Cow::Borrowed(match reply {
        421 => "Service not available, closing transmission channel",
        450 => "Requested mail action not taken: mailbox unavailable",
        451 => "Requested action aborted: error in processing",
        452 => "Requested action not taken: insufficient system storage",
        501 => "Syntax error in parameters or arguments",
        530 => "Authentication required",
        535 => "Authentication credentials invalid",
        550 => "Requested action not taken: mailbox unavailable",
        551 => "User not local",
        552 => "Requested mail action aborted: exceeded storage allocation",
        553 => "Requested action not taken: mailbox name not allowed",
        554 => "Transaction failed",
        other => return format!("The mail server answered {other}").into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Cause;

    fn refused(reply: u16, until: Option<i64>) -> Reason {
        Reason::Refused { reply, until }
    }

    /// S2-29, S2-31: the document's groups and its wording.
    #[test]
    fn codes_are_in_the_documents_groups() {
        let fault = Fault::of(Channel::Sms, Some(21211), &[]);
        assert_eq!(
            (fault.code(), fault.group(), fault.wording()),
            (Some(21211), "invalid_phone_number".into(), "Invalid 'To' phone number".into(),)
        );
        assert_eq!(Fault::Twilio(30003).group(), "network_error");
        assert_eq!(Fault::Twilio(63018).group(), "rate_limit_exceeded");
        assert_eq!(Fault::Twilio(99_999).group(), "error_99999");
        assert_eq!(Fault::Smtp(550).group(), "mailbox_unavailable");
    }

    #[test]
    fn without_a_code_the_last_that_happened_speaks() {
        let late = Reason::Late { cause: Cause::Retry };
        assert_eq!(Fault::of(Channel::Email, None, &[refused(450, Some(1)), late]), Fault::Network);
        assert_eq!(
            Fault::of(Channel::Email, None, &[refused(450, Some(1)), refused(554, None)]),
            Fault::Smtp(554)
        );
        assert_eq!(Fault::of(Channel::Sms, None, &[refused(21614, None)]), Fault::Twilio(21614));
        assert_eq!(Fault::of(Channel::Sms, None, &[refused(500, None)]), Fault::Http(500));
        assert_eq!(Fault::of(Channel::Sms, None, &[refused(0, None)]), Fault::Unknown);
    }

    #[test]
    fn every_known_code_has_a_group_of_a_name() {
        let unnamed = |known: &&twilio_code::Known| Fault::Twilio(known.code).group().starts_with("error_");
        let unnamed: Vec<u32> = twilio_code::KNOWN.iter().filter(unnamed).map(|known| known.code).collect();
        assert_eq!(unnamed, [30008], "Twilio itself calls it unknown");
    }
}
