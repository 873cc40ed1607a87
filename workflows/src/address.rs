//! E-mail addresses, by policy: what RFC 5321 and 5322 allow but no mailbox of a person needs
//! (display names, lists, literals, quoted locals, bare hosts) is refused, here and nowhere else.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use unicode_normalization::UnicodeNormalization;

/// Most bytes of an address, RFC 5321 4.5.3.1.3 less the angle brackets.
pub const MAX_ADDRESS: usize = 254;
/// Most bytes of what stands before the `@`, RFC 5321 4.5.3.1.1.
pub const MAX_LOCAL: usize = 64;
/// Most bytes of a display name.
pub const MAX_NAME: usize = 128;

/// Why a text is not an address. The texts say what to do and never repeat the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing was given.
    #[error("an e-mail address is needed")]
    Empty,
    /// CR, LF, NUL or another control character.
    #[error("an e-mail address has no control characters; remove the line break or control character")]
    Control,
    /// More than 254 bytes, or more than 64 before the `@`.
    #[error("an e-mail address has at most 254 bytes, and at most 64 before the @")]
    TooLong,
    /// `Bob <bob@example.com>`.
    #[error("give the e-mail address alone, without a name or angle brackets")]
    DisplayName,
    /// `a@example.com, b@example.com`.
    #[error("give one e-mail address, not a list")]
    List,
    /// No `@`, or more than one.
    #[error("an e-mail address has exactly one @")]
    At,
    /// What stands before the `@` is empty, quoted, begins with `-`, or has a character out of place.
    #[error(
        "what stands before the @ is not acceptable: no spaces, quotes, outer or double dots, no leading -"
    )]
    Local,
    /// `user@[127.0.0.1]`, `user@127.0.0.1`.
    #[error("the domain must be a name, not an IP address")]
    Literal,
    /// `user@localhost`.
    #[error("the domain needs a dot, as in example.com")]
    NoDot,
    /// Anything else wrong with the domain.
    #[error("the domain is not a valid host name")]
    Domain,
}

/// One acceptable address. The domain is lower-case ASCII (punycode for an IDN); the local part keeps
/// its case, in Unicode NFC.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email {
    text: String,
    at: usize,
}

impl Email {
    /// Reads one address; spaces around it are ignored.
    ///
    /// # Errors
    /// [`AddressError`], the most telling rule that is broken.
    pub fn parse(input: &str) -> Result<Email, AddressError> {
        let input = input.trim_matches(|c: char| c.is_whitespace() && !c.is_control() || c == '\t');
        if input.is_empty() {
            return Err(AddressError::Empty);
        }
        if input.chars().any(char::is_control) {
            return Err(AddressError::Control);
        }
        // Punycode may be shorter than what it stands for, but not by more than this.
        let most = if input.is_ascii() { MAX_ADDRESS } else { 4 * MAX_ADDRESS };
        if input.len() > most {
            return Err(AddressError::TooLong);
        }
        if input.contains(['<', '>']) {
            return Err(AddressError::DisplayName);
        }
        if input.contains([',', ';']) {
            return Err(AddressError::List);
        }
        let (local, domain) = input.rsplit_once('@').ok_or(AddressError::At)?;
        let local: String = local.nfc().collect();
        if local.contains('@') {
            return Err(if local.starts_with('"') { AddressError::Local } else { AddressError::At });
        }
        check_local(&local)?;
        let domain = parse_domain(domain)?;
        if local.len() + 1 + domain.len() > MAX_ADDRESS {
            return Err(AddressError::TooLong);
        }
        Ok(Email { at: local.len(), text: format!("{local}@{domain}") })
    }

    /// The whole address, as it goes on the wire.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands before the `@`.
    pub fn local(&self) -> &str {
        &self.text[..self.at]
    }

    /// The domain, lower-case ASCII.
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// Whether only a server with SMTPUTF8 (RFC 6531) can take it.
    pub fn needs_smtputf8(&self) -> bool {
        !self.text.is_ascii()
    }

    /// What makes two addresses one person's, for uniqueness and suppression: variants in case, width
    /// and composition are one, tags (`+news`) and dots are not touched.
    pub fn key(&self) -> String {
        if self.text.is_ascii() {
            return self.text.to_ascii_lowercase();
        }
        format!("{}@{}", fold(self.local()), self.domain())
    }

    /// The key's name in tables that outlive the contact: HMAC-SHA256 under `salt`, the first 128 bits
    /// in hex.
    pub fn hash(&self, salt: &[u8]) -> String {
        hash(b"email:", &self.key(), salt)
    }

    /// Enough for a log to tell two apart, too little to write to: `j…@example.com`.
    pub fn masked(&self) -> String {
        let first: String = self.text.chars().take(1).collect();
        format!("{first}…@{}", self.domain())
    }
}

/// The name of an address key in tables that outlive the contact; `kind` keeps a key of one channel apart from the same
/// text on another.
pub(crate) fn hash(kind: &[u8], key: &str, salt: &[u8]) -> String {
    // HMAC takes a key of any length: this never fails.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(salt) else { return String::new() };
    mac.update(kind);
    mac.update(key.as_bytes());
    hex::encode(&mac.finalize().into_bytes()[..16])
}

impl TryFrom<String> for Email {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Email, AddressError> {
        Email::parse(&text)
    }
}

impl From<Email> for String {
    fn from(email: Email) -> String {
        email.text
    }
}

/// Masked, so that no log shows an address by accident.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Email({})", self.masked())
    }
}

/// Why a text cannot be the name in a From or Reply-To header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing but spaces.
    #[error("the name is empty; leave it out instead")]
    Empty,
    /// More than [`MAX_NAME`] bytes.
    #[error("the name has more than 128 bytes; shorten it")]
    TooLong,
    /// Control, invisible or direction-changing characters.
    #[error("the name has a line break, control or invisible character; remove it")]
    Control,
}

/// Checks a display name and trims it; quoting is left to whoever writes the header.
///
/// # Errors
/// [`NameError`].
pub fn display_name(input: &str) -> Result<&str, NameError> {
    if input.chars().any(|c| c.is_control() || is_invisible(c)) {
        return Err(NameError::Control);
    }
    match input.trim() {
        "" => Err(NameError::Empty),
        name if name.len() > MAX_NAME => Err(NameError::TooLong),
        name => Ok(name),
    }
}

/// A dot-atom of RFC 5322 with the letters of RFC 6531, and no `-` in front: some mailers take it for
/// an option.
fn check_local(local: &str) -> Result<(), AddressError> {
    if local.len() > MAX_LOCAL {
        return Err(AddressError::TooLong);
    }
    // A full-width quote or @ must not turn into a real one wherever somebody normalises it.
    let widest: String = local.nfkc().collect();
    let is_dot_atom = |text: &str| text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext));
    if local.starts_with('-') || !is_dot_atom(local) || !is_dot_atom(&widest) {
        return Err(AddressError::Local);
    }
    Ok(())
}

fn parse_domain(domain: &str) -> Result<String, AddressError> {
    if domain.starts_with('[') {
        return Err(AddressError::Literal);
    }
    let ascii = Uts46::new()
        .to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify)
        .map_err(|_| AddressError::Domain)?;
    let (_, top) = ascii.rsplit_once('.').ok_or(AddressError::NoDot)?;
    if top.bytes().all(|b| b.is_ascii_digit()) {
        return Err(AddressError::Literal);
    }
    Ok(ascii.into_owned())
}

fn is_atext(c: char) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' => true,
        _ if c.is_ascii() => "!#$%&'*+-/=?^_`{|}~".contains(c),
        _ => !c.is_control() && !c.is_whitespace() && !is_invisible(c),
    }
}

/// Characters nobody sees or that turn the direction of text: two addresses or names that look alike
/// must not differ by them. Private and unassigned planes count as unseen.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{ffff}'
        | '\u{e0000}'..='\u{10ffff}')
}

/// Case folding by way of upper case, so that `ς` meets `σ` and `ß` meets `SS`; between two
/// normalisations, since each can undo the other.
fn fold(text: &str) -> String {
    let upper = text.nfkc().flat_map(char::to_uppercase);
    let folded: String = upper.flat_map(char::to_lowercase).collect();
    folded.nfkc().collect()
}
