//! DKIM signatures (RFC 6376, RFC 8463) over whole messages: relaxed/relaxed, RSA-2048 and up or Ed25519. The same
//! message, key and instant give the same signature.

use crate::clock::Millis;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use sha2::{Digest, Sha256};
use std::fmt;

/// The headers that are signed where they are there. `from` is named once more than it occurs, so that nobody adds
/// a second one.
const SIGNED: [&str; 14] = [
    "from",
    "from",
    "reply-to",
    "to",
    "subject",
    "date",
    "message-id",
    "in-reply-to",
    "references",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "list-unsubscribe",
    "list-unsubscribe-post",
];
/// Columns of a folded signature.
const COLUMNS: usize = 72;

/// Why a text is no key to sign with. Never holds the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not PEM with a private key in it.
    #[error(
        "must be a private key in PEM, as `openssl genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:2048` makes one"
    )]
    Pem,
    /// A key of another kind, or too short.
    #[error("must be an RSA key of 2048 to 4096 bits or an Ed25519 key, without a password")]
    Kind,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

/// A private key.
pub struct Key(Pair);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, …)", self.kind())
    }
}

impl Key {
    /// Reads a key in PEM: PKCS #8, or PKCS #1 for RSA.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn parse(pem: &str) -> Result<Key, KeyError> {
        let (_, rest) = pem.split_once("-----BEGIN ").ok_or(KeyError::Pem)?;
        let (label, rest) = rest.split_once("-----").ok_or(KeyError::Pem)?;
        let (body, _) = rest.split_once("-----END ").ok_or(KeyError::Pem)?;
        let body: String = body.split_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|_| KeyError::Pem)?;
        let rsa = |pair| Key(Pair::Rsa(Box::new(pair)));
        match label {
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der).map(rsa).map_err(|_| KeyError::Kind),
            "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&der).map(rsa).or_else(|_| {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der);
                pair.map(|pair| Key(Pair::Ed25519(pair))).map_err(|_| KeyError::Kind)
            }),
            _ => Err(KeyError::Pem),
        }
    }

    /// `rsa` or `ed25519`, the `k=` of its record.
    pub fn kind(&self) -> &'static str {
        match &self.0 {
            Pair::Rsa(_) => "rsa",
            Pair::Ed25519(_) => "ed25519",
        }
    }

    /// The public key as the `p=` of its record has it, base64.
    pub fn public(&self) -> String {
        match &self.0 {
            Pair::Rsa(pair) => STANDARD.encode(public_key_info(pair.public().as_ref())),
            Pair::Ed25519(pair) => STANDARD.encode(pair.public_key().as_ref()),
        }
    }

    /// The TXT record to publish at `<selector>._domainkey.<domain>`.
    pub fn record(&self) -> String {
        format!("v=DKIM1; k={}; p={}", self.kind(), self.public())
    }

    fn sign(&self, data: &[u8]) -> Option<Vec<u8>> {
        match &self.0 {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                // The randomness blinds the computation; the signature does not depend on it.
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), data, &mut signature).ok()?;
                Some(signature)
            }
            // RFC 8463, 3: what is signed is the hash.
            Pair::Ed25519(pair) => Some(pair.sign(&Sha256::digest(data)).as_ref().to_vec()),
        }
    }
}

/// A SubjectPublicKeyInfo around an RSAPublicKey (RFC 6376, 3.6.1).
fn public_key_info(key: &[u8]) -> Vec<u8> {
    // SEQUENCE { OID 1.2.840.113549.1.1.1, NULL }
    const ALGORITHM: [u8; 15] =
        [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let bits = der(0x03, &[&[0], key].concat());
    der(0x30, &[&ALGORITHM[..], &bits].concat())
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let length = match length {
        0..0x80 => vec![length as u8],
        0x80..0x100 => vec![0x81, length as u8],
        _ => vec![0x82, (length >> 8) as u8, length as u8],
    };
    [&[tag][..], &length, content].concat()
}

/// Signs for one domain.
#[derive(Debug)]
pub struct Signer {
    key: Key,
    domain: String,
    selector: String,
}

impl Signer {
    /// A signer; `domain` and `selector` are host names in ASCII.
    pub fn new(key: Key, domain: &str, selector: &str) -> Self {
        Self { key, domain: domain.to_owned(), selector: selector.to_owned() }
    }

    /// The message with its `DKIM-Signature` in front; `None` where it has no headers or the key fails.
    pub fn sign(&self, message: &[u8], at: Millis) -> Option<Vec<u8>> {
        let end = message.windows(4).position(|found| found == b"\r\n\r\n")?;
        let headers = std::str::from_utf8(&message[..end + 2]).ok()?;
        let fields = fields(headers);
        let (mut names, mut data) = (Vec::new(), String::new());
        let mut left: Vec<&(String, String)> = fields.iter().collect();
        for name in SIGNED {
            // The last of several comes first (RFC 6376, 5.4.2); one that is not there is signed as nothing.
            match left.iter().rposition(|(found, _)| found == name) {
                Some(at) => {
                    let (name, value) = left.remove(at);
                    data.push_str(&format!("{name}:{value}\r\n"));
                }
                None if name != "from" => continue,
                None => {}
            }
            names.push(name);
        }
        let body = STANDARD.encode(Sha256::digest(relaxed_body(&message[end + 4..])));
        let head = format!(
            "DKIM-Signature: v=1; a={}-sha256; c=relaxed/relaxed; d={};\r\n\ts={}; t={};\r\n\th={};\r\n\tbh={body};\r\n\tb=",
            self.key.kind(),
            self.domain,
            self.selector,
            at.div_euclid(1_000),
            folded_list(&names),
        );
        let (name, value) = fields_of(&head);
        data.push_str(&format!("{name}:{value}"));
        let signature = STANDARD.encode(self.key.sign(data.as_bytes())?);
        let signature: Vec<&str> = signature
            .as_bytes()
            .chunks(COLUMNS)
            .filter_map(|chunk| std::str::from_utf8(chunk).ok())
            .collect();
        Some([format!("{head}{}\r\n", signature.join("\r\n\t ")).as_bytes(), message].concat())
    }
}

fn folded_list(names: &[&str]) -> String {
    names.chunks(5).map(|chunk| chunk.join(":")).collect::<Vec<_>>().join(":\r\n\t ")
}

/// The header fields, each relaxed (RFC 6376, 3.4.2).
fn fields(headers: &str) -> Vec<(String, String)> {
    let mut whole: Vec<String> = Vec::new();
    for line in headers.split_inclusive("\r\n") {
        match whole.last_mut().filter(|_| line.starts_with([' ', '\t'])) {
            Some(last) => last.push_str(line),
            None => whole.push(line.to_owned()),
        }
    }
    whole.iter().map(|field| fields_of(field)).collect()
}

fn fields_of(field: &str) -> (String, String) {
    let (name, value) = field.split_once(':').unwrap_or((field, ""));
    let words: Vec<&str> = value.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty()).collect();
    (name.trim().to_ascii_lowercase(), words.join(" "))
}

/// The body, relaxed (RFC 6376, 3.4.4).
fn relaxed_body(body: &[u8]) -> Vec<u8> {
    let mut relaxed = Vec::with_capacity(body.len());
    let mut empty = 0;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let mut out: Vec<u8> = Vec::with_capacity(line.len());
        for &byte in line.iter().filter(|byte| !matches!(byte, b'\r' | b'\n')) {
            match byte {
                b' ' | b'\t' if out.last() == Some(&b' ') => {}
                b' ' | b'\t' => out.push(b' '),
                other => out.push(other),
            }
        }
        if out.last() == Some(&b' ') {
            out.pop();
        }
        if out.is_empty() {
            empty += 1;
            continue;
        }
        (0..std::mem::take(&mut empty)).for_each(|_| relaxed.extend_from_slice(b"\r\n"));
        relaxed.extend_from_slice(&out);
        relaxed.extend_from_slice(b"\r\n");
    }
    relaxed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relaxing_is_as_the_rfc_shows_it() {
        assert_eq!(
            fields("A: X\r\nB : Y\t\r\n\tZ  \r\n"),
            [("a".into(), "X".into()), ("b".into(), "Y Z".into())]
        );
        assert_eq!(relaxed_body(b" C \r\nD \t E\r\n\r\n\r\n"), b" C\r\nD E\r\n");
        assert_eq!(relaxed_body(b"\r\n\r\n"), b"");
        assert_eq!(relaxed_body(b"a"), b"a\r\n");
        assert_eq!(relaxed_body(b"a\r\n\r\nb\r\n"), b"a\r\n\r\nb\r\n");
    }

    #[test]
    fn what_is_no_key_is_refused_by_its_fault() {
        for text in ["", "key", "-----BEGIN PRIVATE KEY-----\n*\n-----END PRIVATE KEY-----"] {
            assert_eq!(Key::parse(text).unwrap_err(), KeyError::Pem, "{text}");
        }
        let short = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
        assert_eq!(Key::parse(short).unwrap_err(), KeyError::Kind);
    }
}
