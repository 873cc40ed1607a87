//! What a provider of text messages calls back with: whether it really said so, and how far a message came.
//!
//! Twilio signs with HMAC-SHA1 over the URL it was told to call and the form's fields, sorted by name
//! (twilio.com/docs/usage/security). Its own library is asked in `tests/it/twilio_library.rs`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use std::collections::BTreeSet;
use subtle::ConstantTimeEq;
use url::Url;

/// The header that carries the signature.
pub const SIGNATURE: &str = "x-twilio-signature";

/// Whether `given` is the signature of this URL and these fields under `token`. The URL is tried with its port and
/// without, since Twilio leaves a port out for some of its calls; signatures are compared in constant time.
///
/// ```
/// # use sendwright_workflows::callback::{is_signed, signature};
/// let fields = [("Body", "Hi"), ("From", "+14155551234")];
/// let given = signature("12345", "https://example.com/webhooks/inbound", fields);
/// assert!(is_signed("12345", "https://example.com/webhooks/inbound", &fields, &given));
/// assert!(!is_signed("12346", "https://example.com/webhooks/inbound", &fields, &given));
/// ```
pub fn is_signed(token: &str, url: &str, fields: &[(&str, &str)], given: &str) -> bool {
    let mut is_ours = false;
    for url in spellings(url) {
        let own = signature(token, &url, fields.iter().copied());
        is_ours |= bool::from(own.as_bytes().ct_eq(given.trim().as_bytes()));
    }
    // Without a token anybody could sign.
    is_ours && !token.is_empty()
}

/// The signature itself, base64. A field that is given several times counts with each of its values, once.
pub fn signature<'f>(token: &str, url: &str, fields: impl IntoIterator<Item = (&'f str, &'f str)>) -> String {
    // HMAC takes a key of any length: this never fails.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(token.as_bytes()) else { return String::new() };
    mac.update(url.as_bytes());
    for (name, value) in fields.into_iter().collect::<BTreeSet<_>>() {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

/// The URL with its port, the scheme's own where it names none, and without; what follows the host stays as it is.
fn spellings(url: &str) -> Vec<String> {
    let whole = || vec![url.to_owned()];
    let (Ok(parsed), Some((scheme, rest))) = (Url::parse(url), url.split_once("://")) else { return whole() };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let named = authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    match (named, parsed.port_or_known_default()) {
        (Some((host, _)), _) => vec![url.to_owned(), format!("{scheme}://{host}{path}")],
        (None, Some(port)) => vec![url.to_owned(), format!("{scheme}://{authority}:{port}{path}")],
        (None, None) => whole(),
    }
}

/// How far a message came, as the provider's word says. A message only ever moves to a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// A word that this program does not know.
    Unknown,
    /// The provider has it: `accepted`, `scheduled`, `queued`, `sending`.
    Taken,
    /// It has left the provider: `sent`.
    Sent,
    /// The end: it arrived (`delivered`), or it did not (`undelivered`, `failed`, `canceled`).
    Ended,
    /// It arrived and was looked at: `read`.
    Read,
}

/// What a status means for its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The provider has it; nothing is known of its arrival.
    UnderWay,
    /// It arrived.
    Arrived,
    /// It will not arrive.
    Lost,
}

/// How far a status word says that a message came.
pub fn progress(word: &str) -> Progress {
    match word {
        "accepted" | "scheduled" | "queued" | "sending" => Progress::Taken,
        "sent" => Progress::Sent,
        "delivered" | "undelivered" | "failed" | "canceled" => Progress::Ended,
        "read" => Progress::Read,
        _ => Progress::Unknown,
    }
}

/// What a status word means.
pub fn meaning(word: &str) -> Meaning {
    match word {
        "delivered" | "read" => Meaning::Arrived,
        "undelivered" | "failed" | "canceled" => Meaning::Lost,
        _ => Meaning::UnderWay,
    }
}

/// Whether a message whose last word was `known` takes `word`: only ever forward, in whatever order they come. What is
/// read after all was delivered, whatever was thought before.
pub fn takes(known: Option<&str>, word: &str) -> bool {
    known.is_none_or(|known| progress(word) > progress(known))
}

/// Without the prefix that a WhatsApp address has on the wire, and whether it had it.
pub fn bare(address: &str) -> (&str, bool) {
    match address.strip_prefix("whatsapp:") {
        Some(number) => (number, true),
        None => (address, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";

    /// The example of Twilio's own documentation.
    #[test]
    fn twilios_own_example_is_signed() {
        let fields = [
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675310"),
            ("Digits", "1234"),
            ("From", "+14158675310"),
            ("To", "+18005551212"),
        ];
        let given = "GvWf1cFY/Q7PnoempGyD5oXAezc=";
        assert_eq!(signature("12345", URL, fields), given);
        let mut shuffled = fields;
        shuffled.reverse();
        assert!(is_signed("12345", URL, &shuffled, given));
        for other in ["", "GvWf1cFY/Q7PnoempGyD5oXAezc", "HvWf1cFY/Q7PnoempGyD5oXAezc="] {
            assert!(!is_signed("12345", URL, &fields, other));
        }
        assert!(!is_signed("12345", &URL.replace("bar=2", "bar=3"), &fields, given));
        assert!(!is_signed("12345", URL, &fields[1..], given));
        assert!(!is_signed("", URL, &fields, &signature("", URL, fields)));
    }

    #[test]
    fn a_port_may_be_named_or_not() {
        assert_eq!(
            spellings("https://a.example/x?y=:1"),
            ["https://a.example/x?y=:1", "https://a.example:443/x?y=:1"]
        );
        assert_eq!(spellings("http://a.example:8080"), ["http://a.example:8080", "http://a.example"]);
        assert_eq!(spellings("http://[::1]/x"), ["http://[::1]/x", "http://[::1]:80/x"]);
        assert_eq!(spellings("http://[::1]:81/x"), ["http://[::1]:81/x", "http://[::1]/x"]);
        assert_eq!(spellings("nothing"), ["nothing"]);
    }

    /// F64, A28.
    #[test]
    fn a_status_only_ever_moves_forward() {
        let words = ["queued", "sent", "delivered", "read"];
        for (n, word) in words.iter().enumerate() {
            for (m, known) in words.iter().enumerate() {
                assert_eq!(takes(Some(known), word), n > m, "{known} -> {word}");
            }
        }
        assert!(takes(None, "odd") && takes(Some("odd"), "queued") && !takes(Some("queued"), "odd"));
        assert!(!takes(Some("delivered"), "undelivered") && !takes(Some("failed"), "delivered"));
        assert_eq!(bare("whatsapp:+1"), ("+1", true));
    }
}
