//! How a text message is cut and charged: by segments of GSM-7 (3GPP TS 23.038) or, where one character is not in that
//! alphabet, of UCS-2.

use serde::Serialize;

/// Most characters of a text message (S2; Twilio's own limit).
pub const MOST_CHARACTERS: usize = 1_600;

/// What the characters of a message are sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Encoding {
    /// Seven bits a character; some take two.
    #[serde(rename = "GSM-7")]
    Gsm7,
    /// Sixteen bits a character; what is beyond the basic plane takes two.
    #[serde(rename = "UCS-2")]
    Ucs2,
}

impl Encoding {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Encoding::Gsm7 => "GSM-7",
            Encoding::Ucs2 => "UCS-2",
        }
    }

    /// Units of a message in one piece, and of each piece of a longer one: its header takes the rest.
    fn capacity(self) -> (usize, usize) {
        match self {
            Encoding::Gsm7 => (160, 153),
            Encoding::Ucs2 => (70, 67),
        }
    }

    /// How many units a character takes.
    fn width(self, c: char) -> usize {
        match self {
            Encoding::Gsm7 if EXTENDED.contains(c) => 2,
            Encoding::Gsm7 => 1,
            Encoding::Ucs2 => c.len_utf16(),
        }
    }
}

/// The basic alphabet (6.2.1), without its escape.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
                     ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// What is written with an escape in front (6.2.1.1).
const EXTENDED: &str = "\u{c}^{}\\[~]|€";

/// How large a text message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Its characters, as people count them in a text: Unicode scalar values.
    pub characters: usize,
    /// What it is sent as.
    pub encoding: Encoding,
    /// The pieces it is cut into, each charged; none where the text is empty.
    pub segments: usize,
}

/// Measures a text. A character that takes two units is never cut in half.
pub fn size(text: &str) -> Size {
    let is_gsm = text.chars().all(|c| BASIC.contains(c) || EXTENDED.contains(c));
    let encoding = if is_gsm { Encoding::Gsm7 } else { Encoding::Ucs2 };
    let (whole, piece) = encoding.capacity();
    let (mut characters, mut units, mut segments, mut left) = (0, 0, 0, 0);
    for c in text.chars() {
        let width = encoding.width(c);
        if left < width {
            (segments, left) = (segments + 1, piece);
        }
        (characters, units, left) = (characters + 1, units + width, left - width);
    }
    if units <= whole {
        segments = usize::from(units > 0);
    }
    Size { characters, encoding, segments }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (&'static str, usize) {
        let size = size(text);
        (size.encoding.as_str(), size.segments)
    }

    #[test]
    fn a_message_is_cut_where_its_alphabet_says() {
        assert_eq!(of(""), ("GSM-7", 0));
        assert_eq!(of(&"a".repeat(160)), ("GSM-7", 1));
        assert_eq!(of(&"a".repeat(161)), ("GSM-7", 2));
        assert_eq!(of(&"a".repeat(306)), ("GSM-7", 2));
        assert_eq!(of(&"a".repeat(307)), ("GSM-7", 3));
        assert_eq!(of(&"я".repeat(70)), ("UCS-2", 1));
        assert_eq!(of(&"я".repeat(71)), ("UCS-2", 2));
        assert_eq!(of(&"я".repeat(135)), ("UCS-2", 3));
        assert_eq!(of("It’s 5"), ("UCS-2", 1));
        assert_eq!(of("Grüße, ¿qué?"), ("GSM-7", 1));
    }

    #[test]
    fn characters_of_two_units_count_twice_and_are_never_cut_in_half() {
        assert_eq!(of(&"€".repeat(80)), ("GSM-7", 1));
        assert_eq!(of(&"€".repeat(81)), ("GSM-7", 2));
        // 152 units, then a character of two: it begins the second piece, and 76 follow it there.
        let text = format!("{}{}", "a".repeat(152), "€".repeat(77));
        assert_eq!(of(&text), ("GSM-7", 3));
        assert_eq!(of(&"😀".repeat(35)), ("UCS-2", 1));
        assert_eq!(of(&"😀".repeat(36)), ("UCS-2", 2));
        assert_eq!(of(&"😀".repeat(67)), ("UCS-2", 3));
        assert_eq!(size("😀 ok").characters, 4);
    }
}
