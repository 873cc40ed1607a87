//! Webhooks by Standard Webhooks 1.0: how they are signed, and how a receiver verifies them.

mod body;
mod guard;
mod schedule;

pub use body::{About, body};
pub use guard::{UrlFault, check_host, check_url, is_public};
pub use schedule::{Schedule, retry_after};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use subtle::ConstantTimeEq;

/// The header with the event's id, the same over every attempt.
pub const ID: &str = "webhook-id";
/// The header with the attempt's instant, unix seconds.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The header with one `v1,…` for each secret that signs.
pub const SIGNATURE: &str = "webhook-signature";

const PREFIX: &str = "whsec_";
/// How far a timestamp may lie from the receiver's clock, seconds.
const TOLERANCE: i64 = 300;

/// The key between us and one endpoint, 24 to 64 bytes; never shown but once.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

/// A text that is no [`SigningSecret`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must read whsec_ and 24 to 64 bytes in base64")]
pub struct SecretError;

impl SigningSecret {
    /// A secret of random bytes.
    pub fn new(random: [u8; 32]) -> Self {
        Self(random.to_vec())
    }

    /// Reads `whsec_<base64>`.
    ///
    /// # Errors
    /// [`SecretError`], which never holds the text.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let bytes = text.strip_prefix(PREFIX).and_then(|rest| STANDARD.decode(rest).ok());
        bytes.filter(|bytes| (24..=64).contains(&bytes.len())).map(Self).ok_or(SecretError)
    }

    /// `whsec_<base64>`: for its owner, once, and for sealing.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    fn mac(&self, id: &str, seconds: i64, body: &[u8]) -> Option<Hmac<Sha256>> {
        // HMAC takes a key of any length: this never fails.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body);
        Some(mac)
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

/// The value of `webhook-signature`: `v1,<base64>` by each secret, so that the old one still verifies while a new one
/// is taken into use. `seconds` is what `webhook-timestamp` says.
pub fn sign(secrets: &[SigningSecret], id: &str, seconds: i64, body: &[u8]) -> String {
    let macs = secrets.iter().filter_map(|secret| secret.mac(id, seconds, body));
    macs.map(|mac| format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Why something that came in is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// One of the three headers is missing or does not read.
    #[error("webhook-id, webhook-timestamp or webhook-signature is missing or does not read")]
    Headers,
    /// It was signed more than five minutes ago or ahead: it may be a replay.
    #[error("the timestamp is more than five minutes off")]
    Timestamp,
    /// No signature of it is by this secret.
    #[error("no signature matches this secret")]
    Signature,
}

/// Verifies what came in, as every receiver should: the signature in constant time, the timestamp within five minutes
/// of `now` (unix seconds).
///
/// # Errors
/// Why it is not to be believed.
pub fn verify(
    secret: &SigningSecret,
    (id, timestamp, signature): (&str, &str, &str),
    body: &[u8],
    now: i64,
) -> Result<(), Unverified> {
    let seconds: i64 = timestamp.parse().map_err(|_| Unverified::Headers)?;
    if id.is_empty() {
        return Err(Unverified::Headers);
    }
    let mac = secret.mac(id, seconds, body).ok_or(Unverified::Signature)?.finalize().into_bytes();
    let given = signature.split(' ').filter_map(|part| STANDARD.decode(part.strip_prefix("v1,")?).ok());
    if !given.into_iter().any(|one| bool::from(one.ct_eq(&mac[..]))) {
        return Err(Unverified::Signature);
    }
    match (now - seconds).abs() <= TOLERANCE {
        true => Ok(()),
        false => Err(Unverified::Timestamp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn the_published_example_of_standard_webhooks_is_signed_as_published() {
        let secret = SigningSecret::parse(SECRET).unwrap();
        let signed =
            sign(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"{\"test\": 2432232314}");
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn both_secrets_verify_while_one_takes_over_from_the_other_and_a_third_never() {
        let [old, new, other] = [[1; 32], [2; 32], [3; 32]].map(SigningSecret::new);
        let signed = sign(&[new.clone(), old.clone()], "evt", 1_000, b"{}");
        for secret in [&old, &new] {
            assert_eq!(verify(secret, ("evt", "1000", &signed), b"{}", 1_000), Ok(()));
        }
        let refused = |id, at, body: &[u8], now| verify(&new, (id, at, &signed), body, now).unwrap_err();
        assert_eq!(verify(&other, ("evt", "1000", &signed), b"{}", 1_000), Err(Unverified::Signature));
        assert_eq!(refused("evt2", "1000", b"{}", 1_000), Unverified::Signature);
        assert_eq!(refused("evt", "1001", b"{}", 1_000), Unverified::Signature);
        assert_eq!(refused("evt", "1000", b"{ }", 1_000), Unverified::Signature);
        assert_eq!(refused("evt", "1000", b"{}", 1_301), Unverified::Timestamp);
        assert_eq!(refused("evt", "soon", b"{}", 1_000), Unverified::Headers);
    }

    #[test]
    fn a_secret_is_read_as_it_was_shown_and_never_printed() {
        let secret = SigningSecret::new([7; 32]);
        assert_eq!(SigningSecret::parse(&secret.reveal()), Ok(secret.clone()));
        assert_eq!(format!("{secret:?}"), "SigningSecret(…)");
        for text in ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!!!"] {
            assert_eq!(SigningSecret::parse(text), Err(SecretError), "{text}");
        }
    }
}
