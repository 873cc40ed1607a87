//! Phone numbers: E.164 and nothing else.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// One phone number, `+` and 7 to 15 digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phone(String);

/// A text that is no E.164 number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be in E.164 format, such as +14155551234")]
pub struct PhoneError;

impl Phone {
    /// Reads a number.
    ///
    /// # Errors
    /// [`PhoneError`].
    pub fn parse(text: &str) -> Result<Phone, PhoneError> {
        let digits = text.strip_prefix('+').ok_or(PhoneError)?;
        let is_number = (7..=15).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0');
        if is_number { Ok(Phone(text.to_owned())) } else { Err(PhoneError) }
    }

    /// The number.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its name in tables that outlive the contact, as an e-mail address has one.
    pub fn hash(&self, salt: &[u8]) -> String {
        // HMAC takes a key of any length: this never fails.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(salt) else { return String::new() };
        mac.update(b"phone:");
        mac.update(self.0.as_bytes());
        hex::encode(&mac.finalize().into_bytes()[..16])
    }

    /// Enough to tell two apart, too little to write to.
    pub fn masked(&self) -> String {
        let end = &self.0[self.0.len() - 2..];
        format!("{}…{end}", &self.0[..3])
    }
}
