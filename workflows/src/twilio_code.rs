//! Twilio's error codes and what follows from each. A code that is not here fails its message and nothing else.
//!
//! Source: <https://www.twilio.com/docs/api/errors>, one page per code (`…/errors/21211`). Twilio narrows codes from time
//! to time, so that nothing but this table rests on them.

/// What to do about a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// This message fails; neither the number nor the sender is to blame.
    Fail,
    /// The number takes no such messages: the message fails, and nothing more goes there on this channel.
    BadNumber,
    /// The recipient has said STOP to this sender: the same, and it is on the record as said.
    Stopped,
    /// The sender goes too fast: it rests, and the message goes again.
    SlowDown,
    /// The credentials are refused: the message stays, and after three of these the sender is switched off.
    Login,
    /// The sender cannot send at all, whoever gets it: it is switched off, and the message stays.
    SwitchOff,
}

/// A code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Twilio's number.
    pub code: u32,
    /// What Twilio calls it.
    pub wording: &'static str,
    /// What it means, in few words.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: Remedy,
}

const fn known(code: u32, remedy: Remedy, wording: &'static str, meaning: &'static str) -> Known {
    Known { code, wording, meaning, remedy }
}

/// Every code that something follows from, or that people meet often, ascending.
pub const KNOWN: &[Known] = &[
    known(14107, Remedy::SlowDown, "SMS send rate limit exceeded", "sent too fast"),
    known(20003, Remedy::Login, "Permission denied", "account SID or auth token is wrong"),
    known(20005, Remedy::SwitchOff, "Account not active", "the Twilio account is not active"),
    known(
        20008,
        Remedy::SwitchOff,
        "Cannot access this resource with test credentials",
        "test credentials send nothing",
    ),
    known(20404, Remedy::SwitchOff, "Not found", "account or resource not found"),
    known(20429, Remedy::SlowDown, "Too many requests", "too many requests"),
    known(21211, Remedy::BadNumber, "Invalid 'To' phone number", "not a valid phone number"),
    known(21212, Remedy::SwitchOff, "Invalid 'From' phone number", "the sender's number is not valid"),
    known(21217, Remedy::BadNumber, "Phone number does not appear to be valid", "not a valid phone number"),
    known(21265, Remedy::BadNumber, "'To' number cannot be a short code", "a short code takes no messages"),
    known(
        21408,
        Remedy::Fail,
        "Permission to send an SMS has not been enabled for the region indicated by the 'To' number",
        "the region is not enabled in the Twilio account",
    ),
    known(21603, Remedy::SwitchOff, "A 'From' phone number is required", "no sender"),
    known(
        21606,
        Remedy::SwitchOff,
        "The 'From' phone number is not a valid message-capable Twilio phone number",
        "the sender cannot send these messages",
    ),
    known(
        21608,
        Remedy::Fail,
        "The 'To' phone number is not yet verified for this account",
        "a trial account sends to verified numbers alone",
    ),
    known(
        21610,
        Remedy::Stopped,
        "Attempt to send to unsubscribed recipient",
        "the recipient has opted out of this sender",
    ),
    known(
        21611,
        Remedy::SlowDown,
        "This 'From' number has exceeded the maximum number of queued messages",
        "the sender's queue is full",
    ),
    known(
        21612,
        Remedy::Fail,
        "Message cannot be sent with the current combination of 'To' and 'From' parameters",
        "no route from this sender to this number",
    ),
    known(
        21614,
        Remedy::BadNumber,
        "'To' number is not a valid mobile number",
        "the number takes no text messages",
    ),
    known(
        21617,
        Remedy::Fail,
        "The concatenated message body exceeds the 1600 character limit",
        "the text is longer than 1,600 characters",
    ),
    known(21635, Remedy::BadNumber, "'To' number cannot be a landline", "a landline takes no text messages"),
    known(
        21656,
        Remedy::Fail,
        "The content variables parameter is invalid",
        "the content variables are not valid",
    ),
    known(21659, Remedy::SwitchOff, "'From' is not a Twilio phone number", "the sender is no Twilio number"),
    known(
        21660,
        Remedy::SwitchOff,
        "Mismatch between the 'From' number and the account",
        "the sender belongs to another Twilio account",
    ),
    known(
        21661,
        Remedy::SwitchOff,
        "'From' number is not SMS-capable",
        "the sender cannot send text messages",
    ),
    known(
        21703,
        Remedy::SwitchOff,
        "The messaging service contains no phone numbers",
        "the messaging service has no sender",
    ),
    known(21705, Remedy::SwitchOff, "The messaging service is invalid", "the messaging service is not valid"),
    known(30001, Remedy::SlowDown, "Queue overflow", "the queue is full"),
    known(30002, Remedy::SwitchOff, "Account suspended", "the Twilio account is suspended"),
    known(30003, Remedy::Fail, "Unreachable destination handset", "the handset cannot be reached"),
    known(30004, Remedy::Fail, "Message blocked", "the message is blocked"),
    known(30005, Remedy::BadNumber, "Unknown destination handset", "the number is unknown or not in service"),
    known(
        30006,
        Remedy::BadNumber,
        "Landline or unreachable carrier",
        "a landline, or a carrier that cannot be reached",
    ),
    known(30007, Remedy::Fail, "Message filtered", "filtered by the carrier"),
    known(30008, Remedy::Fail, "Unknown error", "not delivered, for an unknown reason"),
    known(
        63003,
        Remedy::BadNumber,
        "Channel could not find 'To' address",
        "the number is not on this channel",
    ),
    known(
        63007,
        Remedy::SwitchOff,
        "Twilio could not find a channel with the specified 'From' address",
        "the sender is not on this channel",
    ),
    known(
        63016,
        Remedy::Fail,
        "Failed to send freeform message because you are outside the allowed window",
        "outside WhatsApp's 24 hours without an approved template",
    ),
    known(63018, Remedy::SlowDown, "Rate limit exceeded for channel", "the channel's rate limit is reached"),
    known(63024, Remedy::BadNumber, "Invalid message recipient", "not a valid recipient on this channel"),
    known(
        63049,
        Remedy::Fail,
        "Meta chose not to deliver this WhatsApp marketing message",
        "Meta chose not to deliver it",
    ),
];

/// The entry of a code.
pub fn find(code: u32) -> Option<&'static Known> {
    KNOWN.binary_search_by_key(&code, |known| known.code).ok().map(|at| &KNOWN[at])
}

/// What follows from a refusal: by its code, else by the HTTP status that came with it.
///
/// ```
/// # use sendwright_workflows::twilio_code::{Remedy, remedy};
/// assert_eq!(remedy(Some(21610), 400), Remedy::Stopped);
/// assert_eq!(remedy(None, 429), Remedy::SlowDown);
/// assert_eq!(remedy(Some(99_999), 400), Remedy::Fail);
/// ```
pub fn remedy(code: Option<u32>, status: u16) -> Remedy {
    match (code.and_then(find), status) {
        (Some(known), _) => known.remedy,
        (None, 401) => Remedy::Login,
        (None, 429) => Remedy::SlowDown,
        (None, _) => Remedy::Fail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_once_and_is_found() {
        assert!(KNOWN.windows(2).all(|pair| pair[0].code < pair[1].code));
        assert!(KNOWN.iter().all(|known| find(known.code) == Some(known)));
        assert_eq!(find(1), None);
    }
}
