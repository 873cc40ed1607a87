//! Telephone numbers, strict: E.164 in ASCII digits and nothing else (S2-07). What a person wrote more freely is kept as it
//! was given, and is no address.

use crate::address;
use crate::zone::Zone;
use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

/// What a number looks like, for people.
pub const EXPECTED: &str = "E.164 format (+1234567890)";

/// Why a text is not a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Invalid phone number format")]
pub struct PhoneError;

/// One number: `+`, a digit from 1 to 9, and 6 to 14 digits more.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Phone(String);

impl Phone {
    /// Reads a number as it stands: no spaces, no punctuation, no digits but those of ASCII.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, PhoneError> {
        let digits = text.strip_prefix('+').ok_or(PhoneError)?;
        let is_e164 = (7..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|b| b.is_ascii_digit());
        if is_e164 { Ok(Self(text.to_owned())) } else { Err(PhoneError) }
    }

    /// The number as it goes on the wire, which is also its key in an account.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its name in tables that outlive the contact, made as that of an e-mail address is.
    pub fn hash(&self, salt: &[u8]) -> String {
        address::hash(b"phone:", &self.0, salt)
    }

    /// Enough for a log to tell two apart, too little to call: `+1415…34`.
    pub fn masked(&self) -> String {
        let (head, tail) = (self.0.len().min(5), self.0.len() - 2);
        format!("{}…{}", &self.0[..head], &self.0[tail..])
    }

    /// The zone of the number's country, where it has one alone; in North America that of its area code. Numbers are
    /// carried along when people move: an attribute of the contact's own says more.
    pub fn zone(&self) -> Option<Zone> {
        let digits = &self.0[1..];
        let lengths = if digits.starts_with('1') { 4..=4 } else { 1..=3 };
        lengths.into_iter().find_map(|length| ZONES.get(digits.get(..length)?)).copied()
    }
}

/// Masked, so that no log shows a number by accident.
impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Phone({})", self.masked())
    }
}

/// A zone a line, with the calling codes that are in it (docs/decisions/0012).
static ZONES: LazyLock<HashMap<&str, Zone>> = LazyLock::new(|| {
    let mut zones = HashMap::new();
    for line in include_str!("phone/zones.txt").lines() {
        let mut words = line.split(' ');
        if let Some(zone) = words.next().and_then(|name| name.parse().ok()) {
            zones.extend(words.map(|code| (code, zone)));
        }
    }
    zones
});

#[cfg(test)]
mod tests {
    use super::*;

    /// ATTACKS 4.3.
    #[test]
    fn a_number_is_e164_in_ascii_digits_or_none() {
        for good in ["+14155551234", "+4930123456", "+1234567", "+123456789012345"] {
            assert_eq!(Phone::parse(good).unwrap().as_str(), good);
        }
        let bad = [
            "",
            "+",
            "+1",
            "14155551234",
            "+1 (415) 555-1234",
            "+01234567",
            "+123456",
            "+1234567890123456",
            "+1415555١٢٣٤",
            "whatsapp:+14155551234",
            " +14155551234",
            "+14155551234\n",
            "++14155551234",
            "+1415555123a",
        ];
        for bad in bad {
            assert_eq!(Phone::parse(bad), Err(PhoneError), "{bad:?}");
        }
    }

    #[test]
    fn a_hash_is_of_the_number_and_the_salt_and_no_e_mails() {
        let phone = |text| Phone::parse(text).unwrap();
        let hash = phone("+14155551234").hash(b"salt");
        assert_eq!(hash.len(), 32);
        assert_eq!(hash, phone("+14155551234").hash(b"salt"));
        assert_ne!(hash, phone("+14155551235").hash(b"salt"));
        assert_ne!(hash, phone("+14155551234").hash(b"other"));
        assert_eq!(format!("{:?}", phone("+14155551234")), "Phone(+1415…34)");
    }

    #[test]
    fn a_number_has_the_zone_of_its_country_or_area_code_where_that_is_one() {
        let zone = |text| Phone::parse(text).unwrap().zone();
        assert_eq!(zone("+4930123456"), Some("Europe/Berlin".parse::<Zone>().unwrap()));
        assert_eq!(zone("+442071234567"), Some("Europe/London".parse::<Zone>().unwrap()));
        assert_eq!(zone("+14155551234"), Some("America/Los_Angeles".parse::<Zone>().unwrap()));
        assert_eq!(zone("+12125551234"), Some("America/New_York".parse::<Zone>().unwrap()));
        assert_eq!(zone("+12425551234"), Some("America/Nassau".parse::<Zone>().unwrap()));
        // Idaho has two zones, and so have Australia's and Spain's numbers.
        for many in ["+12085551234", "+61491570006", "+34600000000", "+18005551234", "+9991234567"] {
            assert_eq!(zone(many), None, "{many}");
        }
    }

    #[test]
    fn every_line_of_the_table_is_a_zone_and_no_code_is_in_two() {
        let codes: Vec<&str> =
            include_str!("phone/zones.txt").lines().flat_map(|line| line.split(' ').skip(1)).collect();
        assert!(
            include_str!("phone/zones.txt")
                .lines()
                .all(|line| crate::spec::zone(line.split(' ').next().unwrap()).is_ok())
        );
        assert_eq!(codes.len(), ZONES.len());
        assert!(codes.iter().all(|code| if code.starts_with('1') {
            code.len() == 4
        } else {
            code.len() <= 3
        }));
    }
}
