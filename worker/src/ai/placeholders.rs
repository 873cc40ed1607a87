//! Finds what a text left to be filled in.

/// Longest placeholder, in characters; what is longer between two brackets is prose.
const LONGEST: usize = 60;

/// Lines that are a placeholder without its brackets, as in a signature.
const UNFILLED: [&str; 9] = [
    "your name",
    "your full name",
    "your first name",
    "your company",
    "your company name",
    "your title",
    "your position",
    "sender's name",
    "recipient's name",
];

/// Placeholders and markup in a text, as they stand there: `{{x}}`, `{x}`, `${x}`, `[Your Name]`, `<name>`,
/// `%NAME%`. Links, `[label](link)` and footnote numbers are none.
pub(super) fn find(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '[', '<', '%']) {
        rest = &rest[at..];
        let length = length(rest).unwrap_or_default();
        if length > 0 {
            found.push(rest[..length].to_owned());
        }
        rest = &rest[length.max(1)..];
    }
    let unfilled = |line: &&str| UNFILLED.contains(&line.to_lowercase().as_str());
    found.extend(text.lines().map(str::trim).filter(unfilled).map(str::to_owned));
    // An opening or closing pair alone is a template that did not come out.
    if found.is_empty() {
        found.extend(["{{", "}}"].iter().filter(|pair| text.contains(**pair)).map(|pair| (*pair).to_owned()));
    }
    found
}

/// The length in bytes of the placeholder a text starts with.
fn length(text: &str) -> Option<usize> {
    let open = text.chars().next()?;
    let (close, is_one): (char, fn(&str, &str) -> bool) = match open {
        '{' => ('}', braces),
        '[' => (']', brackets),
        '<' => ('>', angles),
        _ => ('%', percents),
    };
    let start = if open == '%' { 1 } else { text.len() - text.trim_start_matches(open).len() };
    let (end, _) = text[start..].char_indices().take(LONGEST).find(|&(_, c)| c == close)?;
    let (inside, after) = (&text[start..start + end], &text[start + end..]);
    let beyond = if open == '%' { &after[1..] } else { after.trim_start_matches(close) };
    is_one(inside, beyond).then_some(text.len() - beyond.len())
}

fn braces(inside: &str, _: &str) -> bool {
    inside.chars().any(char::is_alphabetic) && !inside.contains('\n')
}

fn brackets(inside: &str, after: &str) -> bool {
    let letters = inside.chars().filter(|c| c.is_alphabetic()).count();
    letters >= 2 && !after.starts_with('(') && !inside.contains("://")
}

/// Also tags: the text is plain.
fn angles(inside: &str, _: &str) -> bool {
    let name = inside.strip_prefix('/').unwrap_or(inside);
    let link = inside.contains("://") || inside.contains('@');
    name.starts_with(|c: char| c.is_alphabetic() || c == '!') && !link
}

fn percents(inside: &str, _: &str) -> bool {
    inside.len() > 1 && inside.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn every_style_is_found() {
        for text in [
            "{{first_name}}",
            "{first name}",
            "${name}",
            "[Your Name]",
            "[Company]",
            "[insert link here]",
            "<name>",
            "<first name>",
            "%FIRST_NAME%",
            "{{#if x}}",
            "<b>",
            "</b>",
            "[[name]]",
            "{{ half",
            "half }}",
        ] {
            assert!(!find(&format!("Dear {text}, hello")).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_signature_left_open_is_found_without_brackets_too() {
        assert_eq!(find("Hello,\nis Your Name on the list?\n\nBest\nYour Name"), ["Your Name"]);
    }

    #[test]
    fn prose_and_links_are_not() {
        for text in [
            "a [label](https://a.example)",
            "note [1]",
            "[ ] and [x]",
            "<https://a.example>",
            "<a@b.example>",
            "1 < 2 and 3 > 2",
            "I <3 it",
            "10% of 20%",
            "{}",
            "{1}",
            "100 %",
        ] {
            assert_eq!(find(text), [] as [&str; 0], "{text}");
        }
    }
}
