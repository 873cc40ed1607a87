//! The country of a telephone number, by its calling code: what an allow list against toll fraud is made of.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

/// A country by its two letters (ISO 3166-1; `XK` for Kosovo).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

/// Most digits of a prefix in the table.
const LONGEST: usize = 6;

/// A country a line, with the calling codes that are its own; `-` stands for numbers that cost their caller more than a
/// message does (ITU-T E.164, the North American and the British numbering plans). Satellite networks and the numbers of no
/// country are not in it.
const TABLE: &str = include_str!("country/codes.txt");

static CODES: LazyLock<HashMap<&'static str, Option<Country>>> = LazyLock::new(|| {
    let mut codes = HashMap::new();
    for line in TABLE.lines() {
        let mut words = line.split(' ');
        let country = words.next().and_then(letters);
        codes.extend(words.map(|code| (code, country)));
    }
    codes
});

fn letters(text: &str) -> Option<Country> {
    let letters: [u8; 2] = text.as_bytes().try_into().ok()?;
    letters.iter().all(u8::is_ascii_uppercase).then_some(Country(letters))
}

impl Country {
    /// Reads two letters in either case; none for what has no calling code.
    pub fn parse(text: &str) -> Option<Self> {
        let country = letters(&text.to_ascii_uppercase())?;
        CODES.values().any(|known| *known == Some(country)).then_some(country)
    }

    /// The country of a number in E.164; none for premium numbers, satellites, and codes that nobody has.
    ///
    /// ```
    /// # use sendwright_workflows::country::Country;
    /// let of = |number| Country::of(number).map(|country| country.to_string());
    /// assert_eq!(of("+14155551234").as_deref(), Some("US"));
    /// assert_eq!(of("+14165551234").as_deref(), Some("CA"));
    /// assert_eq!(of("+88213300000"), None);
    /// ```
    pub fn of(number: &str) -> Option<Self> {
        let digits = number.strip_prefix('+')?;
        (1..=LONGEST.min(digits.len())).rev().find_map(|length| CODES.get(digits.get(..length)?)).copied()?
    }

    /// The two letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for Country {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("is no country with a calling code")
    }
}

impl From<Country> for String {
    fn from(country: Country) -> String {
        country.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: &str) -> String {
        Country::of(number).map(|country| country.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_longest_code_that_fits_is_the_countrys() {
        for (number, country) in [
            ("+12125551234", "US"),
            ("+18765551234", "JM"),
            ("+442071234567", "GB"),
            ("+447624123456", "IM"),
            ("+4930123456", "DE"),
            ("+79161234567", "RU"),
            ("+77011234567", "KZ"),
            ("+262639123456", "YT"),
            ("+2621234567", "RE"),
        ] {
            assert_eq!(of(number), country, "{number}");
        }
    }

    /// ATTACKS A42.
    #[test]
    fn premium_numbers_satellites_and_unknown_codes_are_of_no_country() {
        for number in
            ["+19005551234", "+447012345678", "+88213300000", "+881612345678", "+979123456789", "+9991234567"]
        {
            assert_eq!(of(number), "", "{number}");
        }
        assert_eq!(of("14155551234"), "");
    }

    #[test]
    fn every_line_of_the_table_reads_and_no_code_is_in_two() {
        let count: usize = TABLE.lines().map(|line| line.split(' ').count() - 1).sum();
        assert_eq!(count, CODES.len());
        assert!(TABLE.lines().skip(1).all(|line| letters(&line[..2]).is_some()));
        assert!(CODES.keys().all(|code| code.len() <= LONGEST && code.bytes().all(|b| b.is_ascii_digit())));
        assert_eq!(Country::parse("gb").map(|c| c.to_string()).as_deref(), Some("GB"));
        assert_eq!(Country::parse("UK"), None);
    }
}
