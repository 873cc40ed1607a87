//! What of a server's answer is let in.
//!
//! lettre reads a line to its end before it measures it, takes invalid UTF-8 for a broken
//! connection, needs a blank after the code and knows no code like 571. Each of these would turn
//! a definite answer into an unknown one, so every line is put right here before it is read.

use std::collections::VecDeque;
use std::io;

use crate::channels::{REPLY_CAP, clean};

/// Most bytes one answer may have.
const MOST_BYTES: usize = 64 * 1024;
/// Most lines one answer may have.
const MOST_LINES: usize = 128;

/// Collects raw bytes and gives out whole, well-formed reply lines.
#[derive(Debug, Default)]
pub struct Replies {
    partial: Vec<u8>,
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    count: usize,
    cut: bool,
}

impl Replies {
    /// A reply that is already known: what a server said before its connection was encrypted.
    pub fn preloaded(line: &str) -> Self {
        Self { lines: VecDeque::from([line.as_bytes().to_vec()]), ..Self::default() }
    }

    /// Takes what came from the socket.
    ///
    /// # Errors
    /// `InvalidData` for an answer without end. A last line without end is no error: its code
    /// has been said, so it is cut there and [`Self::is_cut`] tells that the line is spent.
    pub fn push(&mut self, raw: &[u8]) -> io::Result<()> {
        for &byte in raw {
            if self.cut {
                break;
            }
            self.bytes += 1;
            match byte {
                b'\n' => self.end_line(),
                _ if self.partial.len() < REPLY_CAP + 4 => self.partial.push(byte),
                _ => {}
            }
            if self.bytes > MOST_BYTES || self.count > MOST_LINES {
                if !is_last_line(&self.partial) {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "the server's answer has no end"));
                }
                self.end_line();
                self.cut = true;
            }
        }
        Ok(())
    }

    fn end_line(&mut self) {
        self.count += 1;
        self.lines.push_back(well_formed(&self.partial));
        self.partial.clear();
    }

    /// The next whole line, CRLF included. One at a time, so that what a server says out of turn
    /// stays here and is noticed.
    pub fn next_line(&mut self) -> Option<Vec<u8>> {
        self.lines.pop_front()
    }

    /// Starts counting anew for the answer to a new command.
    ///
    /// # Errors
    /// `InvalidData` if something of the server's is still unread, or was cut: from here on its
    /// answers could be taken for answers to something else.
    pub fn new_turn(&mut self) -> io::Result<()> {
        (self.bytes, self.count) = (0, 0);
        if self.is_silent() && !self.cut {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the server spoke out of turn"))
    }

    /// True when nothing is left unread.
    pub fn is_silent(&self) -> bool {
        self.lines.is_empty() && self.partial.is_empty()
    }

    /// True when the rest of an answer was thrown away, so that no further one can be told apart.
    pub fn is_cut(&self) -> bool {
        self.cut
    }
}

fn is_last_line(raw: &[u8]) -> bool {
    raw.len() > 3 && raw[..3].iter().all(u8::is_ascii_digit) && raw[3] == b' '
}

/// `ccc text` or `ccc-text` with CRLF. A line that does not start with a code is passed on
/// cleaned, to be refused above.
fn well_formed(raw: &[u8]) -> Vec<u8> {
    // First of all: what is in the way of a code must not come off after it was looked for.
    let line = clean(raw);
    let is_code = |code: &str| code.bytes().all(|byte| byte.is_ascii_digit());
    let Some((code, rest)) = line.split_at_checked(3).filter(|(code, _)| is_code(code)) else {
        return format!("{line}\r\n").into_bytes();
    };
    let (mut code, more) = (code.to_owned(), rest.starts_with('-'));
    let mut text = rest.strip_prefix(['-', ' ']).unwrap_or(rest).trim().to_owned();
    if code.as_bytes()[1] > b'5' {
        // RFC 5321 knows x0z to x5z, servers know more: the class is what counts.
        text = clean(format!("{text} ({code})").as_bytes());
        code.replace_range(1.., "50");
    }
    format!("{code}{}{text}\r\n", if more { '-' } else { ' ' }).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &[u8]) -> Vec<String> {
        let mut replies = Replies::default();
        replies.push(raw).unwrap();
        std::iter::from_fn(|| replies.next_line()).map(|line| String::from_utf8(line).unwrap()).collect()
    }

    #[test]
    fn every_definite_answer_becomes_one_lettre_can_read() {
        assert_eq!(read(b"250 ok\r\n"), ["250 ok\r\n"]);
        assert_eq!(read(b"250\r\n"), ["250 \r\n"]);
        assert_eq!(read(b"250 ok\n"), ["250 ok\r\n"]);
        assert_eq!(read(b"250-a\r\n250-  \r\n250 b\r\n"), ["250-a\r\n", "250-\r\n", "250 b\r\n"]);
        assert_eq!(read(b"250 accept\xe9\0\r\n"), ["250 accept\u{fffd}\r\n"]);
        assert_eq!(read(b"571 5.7.1 no\r\n"), ["550 5.7.1 no (571)\r\n"]);
        assert_eq!(read(b"\x00250 ok\r\n"), ["250 ok\r\n"]);
        assert_eq!(read(b"250ok\r\n"), ["250 ok\r\n"]);
        assert_eq!(read(b"hm\r\n"), ["hm\r\n"]);
        assert!(read(b"250 not yet").is_empty());
    }

    #[test]
    fn an_answer_without_end_is_cut_by_size() {
        let mut replies = Replies::default();
        replies.push(b"250 ").unwrap();
        replies.push(&vec![b'x'; 10 << 20]).unwrap();
        let line = replies.next_line().unwrap();
        assert!(line.starts_with(b"250 xxx") && line.len() < 600 && replies.is_cut());

        assert!(Replies::default().push(&vec![b'x'; 10 << 20]).is_err());
        assert!(Replies::default().push(&b"250-more\r\n".repeat(1 << 20)).is_err());
    }

    #[test]
    fn what_is_said_out_of_turn_is_noticed() {
        let mut replies = Replies::default();
        replies.push(b"354 go\r\n250 already accepted\r\n").unwrap();
        assert_eq!(replies.next_line().unwrap(), b"354 go\r\n");
        assert!(replies.new_turn().is_err());
    }
}
