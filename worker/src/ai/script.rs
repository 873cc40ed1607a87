//! A coarse check of the language: the script it is written in.

/// Whether a text is written in the script of the language. True where the language is not known here, or
/// shares its script with too many others for the script to say anything.
pub(super) fn fits(language: &str, text: &str) -> bool {
    let Some(script) = script_of(language) else { return true };
    let letters = text.chars().filter(|c| c.is_alphabetic());
    let (own, all) =
        letters.fold((0_usize, 0_usize), |(own, all), c| (own + usize::from(script(c)), all + 1));
    // Names and products of another script stand in every text.
    all < 20 || own * 2 >= all
}

fn script_of(language: &str) -> Option<fn(char) -> bool> {
    let language = language.trim().to_lowercase();
    let name = language.split(['-', '_']).next().unwrap_or_default();
    Some(match name {
        "en" | "english" | "de" | "german" | "deutsch" | "fr" | "french" | "es" | "spanish" | "it"
        | "italian" | "pt" | "portuguese" | "nl" | "dutch" | "pl" | "polish" | "sv" | "swedish" | "da"
        | "danish" | "no" | "norwegian" | "fi" | "finnish" | "cs" | "czech" | "tr" | "turkish" => {
            |c| matches!(c, 'a'..='z' | 'A'..='Z' | '\u{C0}'..='\u{24F}')
        }
        "ru" | "russian" | "uk" | "ukrainian" | "bg" | "bulgarian" => |c| matches!(c, '\u{400}'..='\u{52F}'),
        "el" | "greek" => |c| matches!(c, '\u{370}'..='\u{3FF}' | '\u{1F00}'..='\u{1FFF}'),
        "he" | "hebrew" => |c| matches!(c, '\u{590}'..='\u{5FF}'),
        "ar" | "arabic" | "fa" | "persian" => |c| matches!(c, '\u{600}'..='\u{6FF}' | '\u{750}'..='\u{77F}'),
        "hi" | "hindi" => |c| matches!(c, '\u{900}'..='\u{97F}'),
        "th" | "thai" => |c| matches!(c, '\u{E00}'..='\u{E7F}'),
        "ko" | "korean" => |c| matches!(c, '\u{1100}'..='\u{11FF}' | '\u{AC00}'..='\u{D7AF}'),
        "ja" | "japanese" => |c| matches!(c, '\u{3040}'..='\u{30FF}' | '\u{4E00}'..='\u{9FFF}'),
        "zh" | "chinese" => |c| matches!(c, '\u{3400}'..='\u{9FFF}'),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_text_of_another_script_does_not_fit() {
        let (english, russian) = ("Good morning, how are you today?", "Доброе утро, как у вас дела сегодня?");
        assert!(fits("en-GB", english) && fits("Russian", russian) && fits("Klingon", russian));
        assert!(!fits("ru", english) && !fits("English", russian) && !fits("ja", english));
    }
}
