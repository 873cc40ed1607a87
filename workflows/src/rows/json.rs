//! JSON, cut into its rows; what they hold is for others to read.

use super::{Content, FileError, MOST_ROW, Row};
use crate::spec::FieldError;

fn row(line: u64, text: Vec<u8>, is_long: bool) -> Row {
    let content = if is_long {
        Err(FieldError::new("row", "too_long", format!("has more than {MOST_ROW} bytes")))
    } else {
        String::from_utf8(text)
            .map(Content::Json)
            .map_err(|_| FieldError::new("row", "invalid_encoding", "is not UTF-8"))
    };
    Row { line, content }
}

/// An object a line, being read.
#[derive(Debug)]
pub(super) struct Lines {
    text: Vec<u8>,
    is_long: bool,
    line: u64,
}

impl Default for Lines {
    fn default() -> Self {
        Self { text: Vec::new(), is_long: false, line: 1 }
    }
}

impl Lines {
    /// Takes the next piece.
    pub(super) fn feed(&mut self, mut piece: &[u8], rows: &mut Vec<Row>) {
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            self.take(&piece[..end]);
            self.finish(rows);
            self.line += 1;
            piece = &piece[end + 1..];
        }
        self.take(piece);
    }

    fn take(&mut self, piece: &[u8]) {
        self.is_long |= self.text.len() + piece.len() > MOST_ROW;
        if !self.is_long {
            self.text.extend_from_slice(piece);
        }
    }

    /// Takes the end of a line.
    pub(super) fn finish(&mut self, rows: &mut Vec<Row>) {
        let text = std::mem::take(&mut self.text).trim_ascii().to_vec();
        let is_long = std::mem::take(&mut self.is_long);
        if is_long || !text.is_empty() {
            rows.push(row(self.line, text, is_long));
        }
    }
}

/// Where a list stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before its bracket.
    Start,
    /// Where a value or the end may follow.
    First,
    /// Behind a comma.
    Value,
    /// Within an object, a list or a text, so deep.
    Within(usize),
    /// Within a number or a word.
    Word,
    /// Behind a value.
    Comma,
    /// Behind its end.
    End,
}

/// A JSON list being read.
#[derive(Debug)]
pub(super) struct List {
    at: At,
    text: Vec<u8>,
    is_long: bool,
    /// Within a text; behind a backslash there.
    is_quoted: bool,
    is_escaped: bool,
    line: u64,
    began: u64,
}

impl Default for List {
    fn default() -> Self {
        Self {
            at: At::Start,
            text: Vec::new(),
            is_long: false,
            is_quoted: false,
            is_escaped: false,
            line: 1,
            began: 1,
        }
    }
}

impl List {
    /// Takes the next piece.
    pub(super) fn feed(&mut self, piece: &[u8], rows: &mut Vec<Row>) -> Result<(), FileError> {
        piece.iter().try_for_each(|byte| self.take(*byte, rows))
    }

    /// Takes the file's end.
    pub(super) fn finish(&self) -> Result<(), FileError> {
        if self.at == At::End { Ok(()) } else { Err(FileError::Cut) }
    }

    fn take(&mut self, byte: u8, rows: &mut Vec<Row>) -> Result<(), FileError> {
        match self.at {
            At::Within(depth) => self.within(depth, byte, rows),
            At::Word if !(byte.is_ascii_whitespace() || matches!(byte, b',' | b']')) => self.keep(byte),
            At::Word => {
                self.complete(rows);
                return self.between(byte);
            }
            _ => return self.between(byte),
        }
        if byte == b'\n' {
            self.line += 1;
        }
        Ok(())
    }

    fn between(&mut self, byte: u8) -> Result<(), FileError> {
        self.line += u64::from(byte == b'\n');
        if byte.is_ascii_whitespace() {
            return Ok(());
        }
        self.at = match (self.at, byte) {
            (At::Start, b'[') => At::First,
            (At::First | At::Comma, b']') => At::End,
            (At::Comma, b',') => At::Value,
            (At::First | At::Value, byte) if !matches!(byte, b',' | b']' | b'}') => {
                self.began = self.line;
                self.is_quoted = byte == b'"';
                self.keep(byte);
                match byte {
                    b'{' | b'[' => At::Within(1),
                    b'"' => At::Within(0),
                    _ => At::Word,
                }
            }
            (At::End, _) => return Err(FileError::Trailing(self.line)),
            _ => return Err(FileError::Broken(self.line)),
        };
        Ok(())
    }

    fn within(&mut self, depth: usize, byte: u8, rows: &mut Vec<Row>) {
        self.keep(byte);
        let depth = match (self.is_quoted, byte) {
            (true, _) if self.is_escaped => {
                self.is_escaped = false;
                return;
            }
            (true, b'\\') => {
                self.is_escaped = true;
                return;
            }
            (true, b'"') => {
                self.is_quoted = false;
                depth
            }
            (true, _) => return,
            (false, b'"') => {
                self.is_quoted = true;
                return;
            }
            (false, b'{' | b'[') => depth + 1,
            (false, b'}' | b']') => depth.saturating_sub(1),
            (false, _) => depth,
        };
        match depth {
            0 => self.complete(rows),
            depth => self.at = At::Within(depth),
        }
    }

    fn keep(&mut self, byte: u8) {
        match self.text.len() < MOST_ROW {
            true => self.text.push(byte),
            false => self.is_long = true,
        }
    }

    fn complete(&mut self, rows: &mut Vec<Row>) {
        let text = std::mem::take(&mut self.text);
        rows.push(row(self.began, text, std::mem::take(&mut self.is_long)));
        self.at = At::Comma;
    }
}
