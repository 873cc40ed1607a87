//! What a mail server says: lines that lettre can read come of it, the same whatever pieces it comes in, within bounds.

use crate::{Target, about, kind};
use lettre::transport::smtp::response::Response;
use sendwright_worker::channels::smtp::Replies;

pub const TARGET: Target = Target {
    name: "reply",
    run,
    words: &[
        "250 ",
        "250-",
        "250",
        "220 ",
        "354 ",
        "421 ",
        "450 4.2.0 ",
        "550 5.1.1 ",
        "571 ",
        "599-",
        "\r\n",
        "\n",
        "\r",
        "\r\n.\r\n",
        "000 ",
        "999 ",
        "2",
        "25",
        "250 ok\r\n",
        "250-PIPELINING\r\n",
        "\0",
        "\u{85}",
        "\u{1b}[31m",
    ],
};

/// Most bytes of an answer that are kept of one, by the line.
const LONGEST: usize = 1_024;

fn run(input: &[u8]) -> u64 {
    let (lines, end) = read(std::iter::once(input));
    let pieces = read(input.chunks(1 + input.len() % 7));
    assert_eq!((&lines, end), (&pieces.0, pieces.1), "whole, and in pieces");
    let mut last = None;
    for line in &lines {
        assert!(line.len() <= LONGEST && line.ends_with("\r\n"), "{line:?}");
        let text = &line[..line.len() - 2];
        assert!(!text.contains(['\r', '\n', '\0']), "more than a line: {line:?}");
        let is_last = text.as_bytes().get(..3).is_some_and(|code| code.iter().all(u8::is_ascii_digit))
            && text.as_bytes().get(3) != Some(&b'-');
        // A code of another class than SMTP has is refused above, whatever is said with it.
        if is_last && matches!(text.as_bytes()[0], b'2'..=b'5') {
            let read = line.parse::<Response>();
            assert!(read.is_ok(), "lettre does not read {line:?}: {read:?}");
            last = read.ok().map(|response| response.code().to_string());
        }
    }
    kind((about(lines.len()), last, end))
}

/// The lines, and how it ended: silent, in the midst of a line, cut, or without end.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, &'static str) {
    let mut replies = Replies::default();
    let mut end = None;
    for piece in pieces {
        if replies.push(piece).is_err() {
            end = Some("endless");
            break;
        }
    }
    let mut lines = Vec::new();
    while let Some(line) = replies.next_line() {
        match String::from_utf8(line) {
            Ok(line) => lines.push(line),
            Err(error) => panic!("no UTF-8: {error}"),
        }
    }
    let end = end.unwrap_or(match (replies.is_cut(), replies.is_silent()) {
        (true, _) => "cut",
        (false, true) => "silent",
        (false, false) => "open",
    });
    (lines, end)
}
