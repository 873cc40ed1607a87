//! Words that say all there is to say: STOP, START and HELP, as carriers and Twilio know them.

use unicode_normalization::UnicodeNormalization;

/// What a text message of one word asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyword {
    /// No more messages.
    Stop,
    /// Messages again.
    Start,
    /// The same, where the number was stopped; else it is an answer like any other: `YES`.
    Yes,
    /// Who is writing.
    Help,
}

const WORDS: &[(Keyword, &[&str])] = &[
    (
        Keyword::Stop,
        &[
            "STOP",
            "STOPALL",
            "STOP ALL",
            "UNSUBSCRIBE",
            "CANCEL",
            "END",
            "QUIT",
            "REVOKE",
            "OPTOUT",
            "OPT OUT",
        ],
    ),
    (Keyword::Start, &["START", "UNSTOP"]),
    (Keyword::Yes, &["YES"]),
    (Keyword::Help, &["HELP"]),
];

/// Longest text that is looked at, in bytes: keywords are short.
const LONGEST: usize = 64;

/// The keyword that a text is: the whole of it, in any case and width, between any marks. `said` is the provider's own
/// reading of it (Twilio's `OptOutType`), which wins: it knows words of other languages and of the sender's own.
pub fn keyword(text: &str, said: Option<&str>) -> Option<Keyword> {
    match said.map(str::to_ascii_uppercase).as_deref() {
        Some("STOP") => return Some(Keyword::Stop),
        Some("START") => return Some(Keyword::Start),
        Some("HELP") => return Some(Keyword::Help),
        _ => {}
    }
    let text = text.trim_matches(|c: char| !c.is_alphanumeric());
    if text.len() > LONGEST {
        return None;
    }
    let folded: String = text.nfkc().flat_map(char::to_uppercase).collect();
    let parts: Vec<&str> =
        folded.split(|c: char| c.is_whitespace() || c == '-').filter(|p| !p.is_empty()).collect();
    let text = parts.join(" ");
    WORDS.iter().find(|(_, words)| words.contains(&text.as_str())).map(|(keyword, _)| *keyword)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyword_is_the_whole_text_in_any_case_between_any_marks() {
        for text in [
            "STOP",
            " stop\n",
            "Stop.",
            "\"STOP\"",
            "stop!!!",
            "\u{200b}STOP",
            "ＳＴＯＰ",
            "(Unsubscribe)",
            "Opt-Out",
            "optout",
            "stop all",
            "QUIT",
            "end",
            "Cancel",
            "revoke",
            "STOPALL",
        ] {
            assert_eq!(keyword(text, None), Some(Keyword::Stop), "{text:?}");
        }
        for (text, is) in [
            ("Start", Keyword::Start),
            ("unstop.", Keyword::Start),
            ("Yes!", Keyword::Yes),
            ("HELP", Keyword::Help),
        ] {
            assert_eq!(keyword(text, None), Some(is), "{text:?}");
        }
        for text in [
            "",
            "...",
            "please stop",
            "stop it",
            "stopping",
            "yes please",
            "the end",
            "helpful",
            "STOP\0STOP",
            &"STOP ".repeat(40),
        ] {
            assert_eq!(keyword(text, None), None, "{text:?}");
        }
    }

    #[test]
    fn the_providers_own_reading_wins() {
        assert_eq!(keyword("ARRET", Some("STOP")), Some(Keyword::Stop));
        assert_eq!(keyword("join", Some("start")), Some(Keyword::Start));
        assert_eq!(keyword("STOP", Some("HELP")), Some(Keyword::Help));
        assert_eq!(keyword("STOP", Some("")), Some(Keyword::Stop));
    }
}
