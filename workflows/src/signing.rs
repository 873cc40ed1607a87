//! Signed tokens for links, and API keys: what strangers bring back to us.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const TAG: usize = 16;
const MAX_IDS: usize = 32;

/// 32 secret bytes that sign; never shown.
#[derive(Clone)]
pub struct Secret([u8; 32]);

/// A text that is no [`Secret`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret is 32 random bytes in hex or base64; `openssl rand -hex 32` makes one")]
pub struct SecretError;

impl Secret {
    /// A secret of these bytes.
    pub fn new(bytes: [u8; 32]) -> Secret {
        Secret(bytes)
    }

    /// Reads 32 bytes in hex or base64 (either alphabet, padded or not).
    ///
    /// # Errors
    /// [`SecretError`], which never holds the text.
    pub fn parse(text: &str) -> Result<Secret, SecretError> {
        let text = text.trim();
        let bytes = hex::decode(text).ok().or_else(|| {
            let alphabets = [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD];
            alphabets.iter().find_map(|alphabet| alphabet.decode(text).ok())
        });
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Secret).ok_or(SecretError)
    }

    /// The bytes, for deriving other keys.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Tells secrets apart in tokens and sealed rows, so that a new one can be used while an old one is
    /// still understood. It gives nothing away: eight bits of a hash.
    pub fn key_id(&self) -> u8 {
        self.mac(b"key id", &[])[0]
    }

    /// HMAC-SHA256 over parts that cannot run into each other, for one use.
    fn mac(&self, usage: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        // HMAC takes a key of any length: this never fails.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return [0; 32] };
        for part in [usage].iter().chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A token for `ids` that only this purpose and epoch accept: url-safe base64 of the key id, a 128-bit
/// tag, and the ids under a mask made from the tag, so that nobody reads how many of what we have.
/// Equal arguments give equal tokens. At most 32 ids.
pub fn sign(secret: &Secret, purpose: &str, epoch: &str, ids: &[i64]) -> String {
    URL_SAFE_NO_PAD.encode(token(secret, purpose, epoch, ids))
}

/// The same in hexadecimal, for places that forget the case of letters: the local part of an address.
pub fn sign_hex(secret: &Secret, purpose: &str, epoch: &str, ids: &[i64]) -> String {
    hex::encode(token(secret, purpose, epoch, ids))
}

fn token(secret: &Secret, purpose: &str, epoch: &str, ids: &[i64]) -> Vec<u8> {
    let mut body: Vec<u8> = ids.iter().take(MAX_IDS).flat_map(|id| id.to_be_bytes()).collect();
    let tag = tag(secret, purpose, epoch, &body);
    mask(secret, &tag, &mut body);
    [&[secret.key_id()], &tag[..], &body].concat()
}

/// The ids of a token that was signed with one of `secrets` for this purpose and epoch; the tag is
/// compared in constant time.
pub fn verify(secrets: &[Secret], purpose: &str, epoch: &str, token: &str) -> Option<Vec<i64>> {
    if token.len() > (1 + TAG + 8 * MAX_IDS) * 2 {
        return None;
    }
    ids_of(secrets, purpose, epoch, &URL_SAFE_NO_PAD.decode(token).ok()?)
}

/// The same for a token in hexadecimal.
pub fn verify_hex(secrets: &[Secret], purpose: &str, epoch: &str, token: &str) -> Option<Vec<i64>> {
    if token.len() > (1 + TAG + 8 * MAX_IDS) * 2 {
        return None;
    }
    ids_of(secrets, purpose, epoch, &hex::decode(token).ok()?)
}

/// [`verify`] for what was signed in any of several epochs: a restored backup begins a new one, and links that were sent
/// before are still to work.
pub fn verify_in<'a>(
    secrets: &[Secret],
    purpose: &str,
    epochs: impl IntoIterator<Item = &'a str>,
    token: &str,
) -> Option<Vec<i64>> {
    epochs.into_iter().find_map(|epoch| verify(secrets, purpose, epoch, token))
}

/// [`verify_hex`] likewise.
pub fn verify_hex_in<'a>(
    secrets: &[Secret],
    purpose: &str,
    epochs: impl IntoIterator<Item = &'a str>,
    token: &str,
) -> Option<Vec<i64>> {
    epochs.into_iter().find_map(|epoch| verify_hex(secrets, purpose, epoch, token))
}

fn ids_of(secrets: &[Secret], purpose: &str, epoch: &str, bytes: &[u8]) -> Option<Vec<i64>> {
    let (key_id, rest) = bytes.split_first()?;
    let (given, masked) = rest.split_at_checked(TAG)?;
    secrets.iter().filter(|secret| secret.key_id() == *key_id).find_map(|secret| {
        let mut body = masked.to_vec();
        mask(secret, given, &mut body);
        let is_ours: bool = tag(secret, purpose, epoch, &body)[..].ct_eq(given).into();
        let (ids, odd) = body.as_chunks::<8>();
        (is_ours && odd.is_empty()).then(|| ids.iter().map(|id| i64::from_be_bytes(*id)).collect())
    })
}

fn tag(secret: &Secret, purpose: &str, epoch: &str, body: &[u8]) -> [u8; TAG] {
    let mut tag = [0; TAG];
    tag.copy_from_slice(&secret.mac(b"tag", &[purpose.as_bytes(), epoch.as_bytes(), body])[..TAG]);
    tag
}

fn mask(secret: &Secret, tag: &[u8], body: &mut [u8]) {
    for (block, counter) in body.chunks_mut(32).zip(0u8..) {
        let stream = secret.mac(b"mask", &[tag, &[counter]]);
        block.iter_mut().zip(stream).for_each(|(byte, key)| *byte ^= key);
    }
}

/// What a key's messages may reach: people, or only the mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// `sk_live_…`
    Live,
    /// `sk_test_…`
    Test,
}

impl Mode {
    fn prefix(self) -> &'static str {
        match self {
            Mode::Live => "sk_live_",
            Mode::Test => "sk_test_",
        }
    }
}

/// An API key: `sk_live_` or `sk_test_`, 256 random bits in 43 letters and digits, and a checksum of
/// six. The first eight of the 43 are kept in the clear to find the row; of the whole only a hash is.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    text: String,
    mode: Mode,
}

const PREFIX: usize = 8;
const BODY: usize = 43;
const CHECKSUM: usize = 6;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl ApiKey {
    /// The key of these random bytes.
    pub fn generate(mode: Mode, random: [u8; 32]) -> ApiKey {
        let signed = format!("{}{}", mode.prefix(), base62(random));
        let checksum = checksum(&signed);
        ApiKey { text: signed + &checksum, mode }
    }

    /// Reads a key as a caller sends it; none unless its shape and checksum are right, so that a typing
    /// error or a guess costs no look-up.
    pub fn parse(text: &str) -> Option<ApiKey> {
        let mode = [Mode::Live, Mode::Test].into_iter().find(|mode| text.starts_with(mode.prefix()))?;
        let is_shaped = text.len() == PREFIX + BODY + CHECKSUM
            && text[PREFIX..].bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_shaped {
            return None;
        }
        let (signed, given) = text.split_at(PREFIX + BODY);
        (checksum(signed) == given).then(|| ApiKey { text: text.to_owned(), mode })
    }

    /// The whole key: shown once, when it is made.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// Live or test.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What is stored and shown in lists to find the key by: `sk_live_` and eight characters.
    pub fn prefix(&self) -> &str {
        &self.text[..PREFIX + 8]
    }

    /// What is stored to know the key again: its SHA-256, in hex.
    pub fn hash(&self) -> String {
        hex::encode(Sha256::digest(self.text.as_bytes()))
    }

    /// Whether `stored` is this key's [`hash`](ApiKey::hash), in constant time.
    pub fn matches(&self, stored: &str) -> bool {
        self.hash().as_bytes().ct_eq(stored.as_bytes()).into()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({}…)", self.prefix())
    }
}

fn checksum(signed: &str) -> String {
    let mut sum = hex::encode(Sha256::digest(signed.as_bytes()));
    sum.truncate(CHECKSUM);
    sum
}

/// 256 bits as 43 digits of base 62, the last one first.
fn base62(mut number: [u8; 32]) -> String {
    let mut digits = String::with_capacity(BODY);
    for _ in 0..BODY {
        let mut rest = 0u32;
        for byte in &mut number {
            let part = rest << 8 | u32::from(*byte);
            *byte = (part / 62) as u8;
            rest = part % 62;
        }
        digits.push(char::from(DIGITS[rest as usize]));
    }
    digits
}
