//! Where rendered text goes, and how it is made fit for a message.

use std::io;

use super::{Kind, MAX_SUBJECT};

/// A buffer that refuses to grow past its cap, so that a bomb stops while it goes off.
pub(super) struct Capped {
    text: String,
    cap: usize,
}

impl Capped {
    pub(super) fn new(cap: usize) -> Capped {
        Capped { text: String::new(), cap }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

impl handlebars::Output for Capped {
    fn write(&mut self, part: &str) -> Result<(), io::Error> {
        if self.text.len() + part.len() > self.cap {
            return Err(io::Error::other("output cap"));
        }
        self.text.push_str(part);
        Ok(())
    }
}

/// Makes `text` what its kind promises: a subject is one line, a body has `\n` line ends only.
pub(super) fn tidy(kind: Kind, text: String) -> String {
    match kind {
        Kind::Subject => one_line(&text, MAX_SUBJECT),
        Kind::Text | Kind::Html if text.contains(is_stray) => lines(&text),
        Kind::Text | Kind::Html => text,
    }
}

/// One line of at most `cap` bytes: control characters and line separators become spaces, the ends
/// are trimmed.
pub(crate) fn one_line(text: &str, cap: usize) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let line: String = text.chars().map(|c| if breaks(c) { ' ' } else { c }).collect();
    cut(line.trim(), cap).trim_end().to_owned()
}

/// `text` with `\n` line ends, and without control characters other than tabs.
pub(crate) fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").chars().filter(|c| !is_stray(*c)).collect()
}

/// At most `cap` bytes of `text`, cut between characters.
pub(crate) fn cut(text: &str, cap: usize) -> &str {
    &text[..text.floor_char_boundary(cap)]
}

fn is_stray(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t'
}
