//! One SMTP conversation as the receiving server sees it, without any input or output of its own (RFC 5321).

/// Longest command line and longest message taken, in bytes.
const LONGEST_LINE: usize = 4096;
const LONGEST_MESSAGE: usize = 10 * 1024 * 1024;

/// The end of a message: the dot alone on a line (RFC 5321, 4.1.1.4).
const DOT: &[u8] = b"\r\n.\r\n";

/// The first line the server says.
pub const BANNER: &[u8] = b"220 sink ready\r\n";

/// Whether a conversation goes on.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// More input is awaited.
    Read,
    /// The connection is to be closed once the replies are written.
    Close,
}

/// The state between two pieces of input. Commands may come one by one or many in a piece (RFC 2920).
#[derive(Default)]
pub struct Session {
    pending: Vec<u8>,
    in_message: bool,
}

impl Session {
    /// Takes a piece of input, appends the replies to `replies` and hands every whole message to `accept`, before its
    /// reply is appended.
    pub fn feed(&mut self, input: &[u8], replies: &mut Vec<u8>, mut accept: impl FnMut(&[u8])) -> Next {
        // A dot may straddle two pieces; what was searched before is not searched again.
        let mut from = self.pending.len().saturating_sub(DOT.len() - 1);
        self.pending.extend_from_slice(input);
        let mut start = 0;
        loop {
            if self.in_message {
                let Some(dot) = find(&self.pending, DOT, from.max(start)) else { break };
                // The message begins with the line end of DATA, so that a dot can follow at once.
                accept(&self.pending[start + 2..dot + 2]);
                replies.extend_from_slice(b"250 2.0.0 taken\r\n");
                self.in_message = false;
                start = dot + DOT.len();
            } else {
                let Some(end) = find(&self.pending, b"\r\n", start) else { break };
                let (reply, next) = answer(&self.pending[start..end]);
                replies.extend_from_slice(reply);
                match next {
                    Command::Quit => return Next::Close,
                    Command::Data => {
                        self.in_message = true;
                        start = end;
                    }
                    Command::Other => start = end + 2,
                }
            }
            from = start;
        }
        self.pending.drain(..start);
        let longest = if self.in_message { LONGEST_MESSAGE } else { LONGEST_LINE };
        if self.pending.len() > longest { Next::Close } else { Next::Read }
    }
}

enum Command {
    Data,
    Quit,
    Other,
}

fn answer(line: &[u8]) -> (&'static [u8], Command) {
    let verb = line.get(..4).unwrap_or(line).to_ascii_uppercase();
    match verb.as_slice() {
        b"EHLO" => (b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 10485760\r\n", Command::Other),
        b"HELO" => (b"250 sink\r\n", Command::Other),
        b"MAIL" | b"RCPT" | b"RSET" | b"NOOP" => (b"250 2.1.0 ok\r\n", Command::Other),
        b"DATA" => (b"354 go on\r\n", Command::Data),
        b"QUIT" => (b"221 2.0.0 bye\r\n", Command::Quit),
        _ => (b"502 5.5.1 not known here\r\n", Command::Other),
    }
}

fn find(text: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let tail = text.get(from..)?;
    tail.windows(what.len()).position(|window| window == what).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TALK: &[u8] = b"EHLO me\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\nMessage-ID: <1@x>\r\n\r\nhi\r\n..\r\n.\r\nDATA\r\n.\r\nNOOP\r\n";

    fn talk(pieces: impl Iterator<Item = &'static [u8]>) -> (Vec<Vec<u8>>, String) {
        let (mut session, mut replies, mut messages) = (Session::default(), Vec::new(), Vec::new());
        for piece in pieces {
            assert_eq!(
                session.feed(piece, &mut replies, |message| messages.push(message.to_vec())),
                Next::Read
            );
        }
        (messages, String::from_utf8(replies).unwrap())
    }

    #[test]
    fn a_conversation_means_the_same_however_it_is_cut() {
        let whole = talk(std::iter::once(TALK));
        assert_eq!(whole.0, [b"Message-ID: <1@x>\r\n\r\nhi\r\n..\r\n".to_vec(), b"".to_vec()]);
        assert_eq!(whole.1.matches("250 2.0.0 taken").count(), 2);
        for size in 1..TALK.len() {
            assert_eq!(talk(TALK.chunks(size)), whole, "in pieces of {size}");
        }
    }

    #[test]
    fn what_never_ends_is_cut_off() {
        let mut session = Session::default();
        assert_eq!(session.feed(&[b'x'; LONGEST_LINE + 1], &mut Vec::new(), |_| ()), Next::Close);
    }

    #[test]
    fn quit_closes() {
        let mut replies = Vec::new();
        assert_eq!(Session::default().feed(b"quit\r\n", &mut replies, |_| ()), Next::Close);
        assert_eq!(replies, b"221 2.0.0 bye\r\n");
    }
}
