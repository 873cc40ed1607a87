//! A file of people, read piece by piece as it comes: CSV, a JSON list, or JSON an object a line. What it is, its first
//! bytes tell. No more of it is held than one row.

mod csv;
mod json;

use crate::spec::FieldError;

/// Most bytes of one row; a longer one is refused, and passed over.
pub const MOST_ROW: usize = 1 << 20;
/// Most bytes of a CSV file's first line that are looked at to tell what separates its cells.
const MOST_HEAD: usize = 64 << 10;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Cells under a header.
    Csv,
    /// A list of objects.
    JsonList,
    /// An object a line.
    JsonLines,
}

/// A row of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its line, from 1; of one over several lines, the first.
    pub line: u64,
    /// What it holds, or why it cannot be read.
    pub content: Result<Content, FieldError>,
}

/// What a row holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The cells of a CSV file's first row.
    Header(Vec<String>),
    /// The cells of any other.
    Cells(Vec<String>),
    /// A JSON value.
    Json(String),
}

/// Why a file cannot be read on. Every row before that place stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// UTF-16, by its beginning.
    #[error("the file is UTF-16; save it as UTF-8 (in a spreadsheet: CSV UTF-8)")]
    Utf16,
    /// A spreadsheet, an archive, a page, …: no rows of text.
    #[error("the file is {0}; send CSV, a JSON list, or JSON with an object a line")]
    Other(&'static str),
    /// A JSON list is broken between its rows.
    #[error("the JSON list is broken at line {0}: a comma or a closing bracket was expected")]
    Broken(u64),
    /// A JSON list has no end.
    #[error("the JSON list has no closing bracket: the file was cut short")]
    Cut,
    /// Something follows a JSON list.
    #[error("something follows the JSON list at line {0}")]
    Trailing(u64),
}

/// The reader of one file.
#[derive(Debug)]
pub struct Rows {
    head: Vec<u8>,
    reader: Option<Reader>,
}

#[derive(Debug)]
enum Reader {
    Csv(Box<csv::Cells>),
    List(json::List),
    Lines(json::Lines),
}

impl Rows {
    /// Nothing has come yet.
    pub fn new() -> Self {
        Self { head: Vec::new(), reader: None }
    }

    /// What the file is, as soon as that is known.
    pub fn format(&self) -> Option<Format> {
        self.reader.as_ref().map(|reader| match reader {
            Reader::Csv(_) => Format::Csv,
            Reader::List(_) => Format::JsonList,
            Reader::Lines(_) => Format::JsonLines,
        })
    }

    /// Takes the next piece, and adds the rows that it completes.
    ///
    /// # Errors
    /// The file cannot be read on.
    pub fn feed(&mut self, piece: &[u8], rows: &mut Vec<Row>) -> Result<(), FileError> {
        match &mut self.reader {
            Some(reader) => reader.feed(piece, rows),
            None => {
                self.head.extend_from_slice(piece);
                self.begin(false, rows)
            }
        }
    }

    /// Takes the file's end, and adds the row that it completes.
    ///
    /// # Errors
    /// It ends where it must not, or there was nothing in it.
    pub fn finish(&mut self, rows: &mut Vec<Row>) -> Result<(), FileError> {
        if self.reader.is_none() {
            self.begin(true, rows)?;
        }
        match &mut self.reader {
            Some(reader) => reader.finish(rows),
            None => Err(FileError::Empty),
        }
    }

    fn begin(&mut self, is_whole: bool, rows: &mut Vec<Row>) -> Result<(), FileError> {
        let Some(reader) = tell(&self.head, is_whole)? else { return Ok(()) };
        let head = std::mem::take(&mut self.head);
        let reader = self.reader.insert(reader);
        reader.feed(head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head), rows)
    }
}

impl Default for Rows {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    fn feed(&mut self, piece: &[u8], rows: &mut Vec<Row>) -> Result<(), FileError> {
        match self {
            Reader::Csv(cells) => cells.feed(piece, rows),
            Reader::List(list) => return list.feed(piece, rows),
            Reader::Lines(lines) => lines.feed(piece, rows),
        }
        Ok(())
    }

    fn finish(&mut self, rows: &mut Vec<Row>) -> Result<(), FileError> {
        match self {
            Reader::Csv(cells) => cells.finish(rows),
            Reader::List(list) => return list.finish(),
            Reader::Lines(lines) => lines.finish(rows),
        }
        Ok(())
    }
}

/// What a file is by its beginning; `None` while more is needed to tell.
fn tell(head: &[u8], is_whole: bool) -> Result<Option<Reader>, FileError> {
    if head.len() < 4 && !is_whole {
        return Ok(None);
    }
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return Err(FileError::Utf16);
    }
    let others: [(&[u8], &str); 4] = [
        (b"PK\x03\x04", "a spreadsheet or an archive"),
        (b"\x1f\x8b", "packed"),
        (b"%PDF", "a PDF"),
        (b"\xd0\xcf\x11\xe0", "a spreadsheet"),
    ];
    if let Some((_, what)) = others.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(FileError::Other(what));
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let Some(first) = text.iter().find(|byte| !byte.is_ascii_whitespace()) else {
        return if is_whole { Err(FileError::Empty) } else { Ok(None) };
    };
    match first {
        b'[' => return Ok(Some(Reader::List(json::List::default()))),
        b'{' => return Ok(Some(Reader::Lines(json::Lines::default()))),
        b'<' => return Err(FileError::Other("a page or XML")),
        _ => {}
    }
    // Without a mark, UTF-16 shows by a NUL in every ASCII character.
    if text.iter().take(4).filter(|byte| **byte == 0).count() >= 2 {
        return Err(FileError::Utf16);
    }
    let begin = text.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or_default();
    let end = text[begin..].iter().position(|byte| matches!(byte, b'\n' | b'\r')).map(|end| begin + end);
    if end.is_none() && !is_whole && text.len() < MOST_HEAD {
        return Ok(None);
    }
    let header = &text[begin..end.unwrap_or(text.len())];
    Ok(Some(Reader::Csv(Box::new(csv::Cells::new(csv::delimiter(header))))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that comes of a file, fed in pieces of `size`.
    fn read(file: &[u8], size: usize) -> (Vec<Row>, Result<(), FileError>) {
        let (mut rows, mut found) = (Rows::new(), Vec::new());
        for piece in file.chunks(size) {
            if let Err(error) = rows.feed(piece, &mut found) {
                return (found, Err(error));
            }
        }
        let end = rows.finish(&mut found);
        (found, end)
    }

    /// The rows of a file that reads, the same however it is cut; a row that does not read by its message.
    fn rows(file: impl AsRef<[u8]>) -> Vec<(u64, Vec<String>)> {
        let file = file.as_ref();
        let whole = read(file, file.len().max(1));
        for size in [1, 2, 3, 7] {
            assert_eq!(read(file, size), whole, "in pieces of {size}");
        }
        assert_eq!(whole.1, Ok(()));
        let shown = |row: Row| match row.content {
            Ok(Content::Header(cells) | Content::Cells(cells)) => (row.line, cells),
            Ok(Content::Json(text)) => (row.line, vec![text]),
            Err(error) => (row.line, vec![format!("{}: {}", error.field, error.message)]),
        };
        whole.0.into_iter().map(shown).collect()
    }

    fn row(line: u64, cells: &[&str]) -> (u64, Vec<String>) {
        (line, cells.iter().map(|cell| (*cell).to_owned()).collect())
    }

    fn refused(file: &[u8]) -> FileError {
        let whole = read(file, file.len().max(1)).1.unwrap_err();
        assert_eq!(read(file, 1).1, Err(whole.clone()));
        whole
    }

    /// ATTACKS 4.6: BOM, CRLF, LF, CR, quotes, ragged rows, empty lines, delimiters.
    #[test]
    fn a_row_is_told_by_its_line_however_lines_end() {
        for end in ["\n", "\r\n", "\r"] {
            let file =
                ["email,name", "", "a@example.com,\"two", "lines\"", "", "\"", "b@example.com\",B"].join(end);
            let lines: Vec<u64> = rows(file).into_iter().map(|(line, _)| line).collect();
            assert_eq!(lines, [1, 3, 6], "{end:?}");
        }
    }

    #[test]
    fn csv_is_read_whatever_its_line_ends_quotes_and_delimiters() {
        let expected = [row(1, &["a", "b"]), row(2, &["1", "2"]), row(3, &["3", "4"])];
        assert_eq!(rows("a,b\r\n1,2\r\n3,4\r\n"), expected);
        assert_eq!(rows("\u{feff}a,b\n1,2\n3,4"), expected);
        assert_eq!(rows("a;b\n1;2\n3;4\n"), expected);
        assert_eq!(rows("a\tb\n1\t2\n3\t4\n"), expected);
        let cells: Vec<_> = rows("a,b\r1,2\r3,4\r").into_iter().map(|row| row.1).collect();
        assert_eq!(cells, expected.map(|row| row.1));
        let quoted = "a,b\n\"x, \"\"y\"\"\",\"two\nlines\"\n\n3\n4,5,6\n";
        let expected = [
            row(1, &["a", "b"]),
            row(2, &["x, \"y\"", "two\nlines"]),
            row(5, &["3"]),
            row(6, &["4", "5", "6"]),
        ];
        assert_eq!(rows(quoted), expected);
        assert_eq!(rows("\n\na,b\n1,2\n"), [row(3, &["a", "b"]), row(4, &["1", "2"])]);
        assert_eq!(rows("phone"), [row(1, &["phone"])]);
    }

    /// ATTACKS 4.6: Latin-1, NUL, a cell of 10 MB.
    #[test]
    fn a_row_that_cannot_be_read_is_refused_and_the_next_one_stands() {
        let found = rows(b"a,b\n\xe9,2\nx\0,2\n3,4\n".as_slice());
        assert_eq!(found[1], row(2, &["row: is not UTF-8; save the file as CSV UTF-8"]));
        assert_eq!(found[2], row(3, &["row: holds a NUL character"]));
        assert_eq!(found[3], row(4, &["3", "4"]));
        let long = format!("a,b\n{},2\n3,4\n", "x".repeat(10 << 20));
        let (found, end) = read(long.as_bytes(), 64 << 10);
        assert_eq!(end, Ok(()));
        assert_eq!(found[1].content.as_ref().unwrap_err().code, "too_long");
        assert_eq!(found[2].content, Ok(Content::Cells(vec!["3".into(), "4".into()])));
        let many = format!("a,b\n{}\n3,4\n", ",".repeat(1_000_000));
        let (found, _) = read(many.as_bytes(), 64 << 10);
        assert_eq!(found[1].content.as_ref().unwrap_err().code, "too_long");
        assert_eq!(found[2].content, Ok(Content::Cells(vec!["3".into(), "4".into()])));
    }

    #[test]
    fn a_quote_that_never_ends_costs_its_row_and_no_more_memory_than_one() {
        let found = read(format!("a,b\n\"{}", "x,\n".repeat(1 << 20)).as_bytes(), 64 << 10).0;
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].content.as_ref().unwrap_err().code, "too_long");
    }

    #[test]
    fn json_is_a_list_or_an_object_a_line() {
        let list = " [ {\"a\": \"}],{\\\"\"},\n {\"b\": [1, {}]} , 7, \"x\" ]\n";
        let expected = [
            row(1, &["{\"a\": \"}],{\\\"\"}"]),
            row(2, &["{\"b\": [1, {}]}"]),
            row(2, &["7"]),
            row(2, &["\"x\""]),
        ];
        assert_eq!(rows(list), expected);
        assert_eq!(rows("[]"), []);
        let lines = "\u{feff}{\"a\": 1}\r\n\n{\"b\": 2}\n{broken\n{\"c\": 3}";
        let expected =
            [row(1, &["{\"a\": 1}"]), row(3, &["{\"b\": 2}"]), row(4, &["{broken"]), row(5, &["{\"c\": 3}"])];
        assert_eq!(rows(lines), expected);
        let long = format!("[{{\"a\": \"{}\"}}, {{}}]", "x".repeat(2 << 20));
        let (found, end) = read(long.as_bytes(), 64 << 10);
        assert_eq!(end, Ok(()));
        assert_eq!(found[0].content.as_ref().unwrap_err().code, "too_long");
        assert_eq!(found[1].content, Ok(Content::Json("{}".into())));
    }

    #[test]
    fn a_list_that_is_broken_or_cut_ends_where_it_is() {
        assert_eq!(refused(b"[{}\n{}]"), FileError::Broken(2));
        assert_eq!(refused(b"[{},,{}]"), FileError::Broken(1));
        assert_eq!(refused(b"[{}, {\"a\": 1"), FileError::Cut);
        assert_eq!(refused(b"[{},"), FileError::Cut);
        assert_eq!(refused(b"[{}]\n[{}]"), FileError::Trailing(2));
    }

    /// ATTACKS 4.6, A47.
    #[test]
    fn what_is_no_text_of_rows_is_refused_by_name() {
        for empty in [&b""[..], b"  \n\n", b"\xef\xbb\xbf"] {
            assert_eq!(refused(empty), FileError::Empty);
        }
        assert_eq!(refused(b"\xff\xfea\0,\0b\0"), FileError::Utf16);
        assert_eq!(refused(b"\xfe\xff\0a\0,"), FileError::Utf16);
        assert_eq!(refused(b"a\0,\0b\0\n\0"), FileError::Utf16);
        for other in [&b"PK\x03\x04...."[..], b"\x1f\x8b\x08\0", b"%PDF-1.7", b"<?xml version"] {
            assert!(matches!(refused(other), FileError::Other(_)));
        }
    }
}
