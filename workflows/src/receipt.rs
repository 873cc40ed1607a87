//! What a provider with an API of its own says of one message beside its yes or no.

use crate::clock::Millis;
use serde::{Deserialize, Serialize};

/// What the token in a status callback's address is signed for: it names an attempt.
pub const ATTEMPT: &str = "attempt";

/// What asks the provider to post a callback again, up to five times within its fifteen seconds, where we could not be
/// reached or did not take it: behind the `#` of the callback's address
/// (twilio.com/docs/usage/webhooks/webhooks-connection-overrides).
pub const AGAIN: &str = "rc=5&rp=ct,rt,5xx";

/// What it said. Empty for a channel that has no more than a reply, such as SMTP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Receipt {
    /// What it calls the message.
    pub id: Option<String>,
    /// How far it says the message has come, in its own word.
    pub status: Option<String>,
    /// The code of its error.
    pub code: Option<u32>,
    /// After how many milliseconds it may be asked again.
    pub retry_after: Option<Millis>,
}
