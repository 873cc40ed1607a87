//! CSV, row by row.

use super::{Content, MOST_ROW, Row};
use crate::spec::FieldError;
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

/// Most cells of one row.
const MOST_CELLS: usize = 10_000;

/// A CSV file being read.
#[derive(Debug)]
pub(super) struct Cells {
    reader: Reader,
    text: Vec<u8>,
    written: usize,
    ends: Vec<usize>,
    ended: usize,
    /// The row is too long; what comes of it is let go.
    is_long: bool,
    /// Something of the row has come.
    is_begun: bool,
    line: u64,
    lines: Lines,
    has_header: bool,
}

/// How many lines have ended; they end in LF, in CRLF or in CR.
#[derive(Debug, Default)]
struct Lines {
    ended: u64,
    after_cr: bool,
}

impl Lines {
    fn pass(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.ended += u64::from(*byte == b'\r' || *byte == b'\n' && !self.after_cr);
            self.after_cr = *byte == b'\r';
        }
    }
}

/// What separates a header's cells: whichever of comma, semicolon and tab is there most.
pub(super) fn delimiter(header: &[u8]) -> u8 {
    let count = |delimiter: u8| header.iter().filter(|b| **b == delimiter).count();
    [b'\t', b';', b','].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

impl Cells {
    /// Nothing has come yet.
    pub(super) fn new(delimiter: u8) -> Self {
        Self {
            reader: ReaderBuilder::new().delimiter(delimiter).build(),
            text: vec![0; 4 << 10],
            written: 0,
            ends: vec![0; 64],
            ended: 0,
            is_long: false,
            is_begun: false,
            line: 1,
            lines: Lines::default(),
            has_header: false,
        }
    }

    /// Takes the next piece.
    pub(super) fn feed(&mut self, mut piece: &[u8], rows: &mut Vec<Row>) {
        while !piece.is_empty() {
            if !self.is_begun {
                // Lines that are empty before a row are none of it.
                let blank = piece.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
                self.lines.pass(&piece[..blank]);
                piece = &piece[blank..];
                if piece.is_empty() {
                    return;
                }
                (self.is_begun, self.line) = (true, self.lines.ended + 1);
            }
            let (_, read) = self.step(piece, rows);
            self.lines.pass(&piece[..read]);
            piece = &piece[read..];
        }
    }

    /// Takes the file's end.
    pub(super) fn finish(&mut self, rows: &mut Vec<Row>) {
        // An empty piece is the end, to the reader.
        while self.step(&[], rows).0 != ReadRecordResult::End {}
    }

    fn step(&mut self, piece: &[u8], rows: &mut Vec<Row>) -> (ReadRecordResult, usize) {
        let (result, read, written, ended) =
            self.reader.read_record(piece, &mut self.text[self.written..], &mut self.ends[self.ended..]);
        self.written += written;
        self.ended += ended;
        match result {
            ReadRecordResult::OutputFull if self.text.len() < MOST_ROW && !self.is_long => {
                self.text.resize(self.text.len() * 2, 0);
            }
            ReadRecordResult::OutputEndsFull if self.ends.len() < MOST_CELLS && !self.is_long => {
                self.ends.resize(self.ends.len() * 2, 0);
            }
            ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                self.is_long = true;
                (self.written, self.ended) = (0, 0);
            }
            ReadRecordResult::Record => {
                let content = self.content();
                rows.push(Row { line: self.line, content });
                (self.written, self.ended, self.is_long, self.is_begun) = (0, 0, false, false);
            }
            ReadRecordResult::InputEmpty | ReadRecordResult::End => {}
        }
        (result, read)
    }

    fn content(&mut self) -> Result<Content, FieldError> {
        if self.is_long {
            let text = format!("has more than {MOST_ROW} bytes or {MOST_CELLS} cells");
            return Err(FieldError::new("row", "too_long", text));
        }
        let whole = std::str::from_utf8(&self.text[..self.written]).map_err(|_| {
            FieldError::new("row", "invalid_encoding", "is not UTF-8; save the file as CSV UTF-8")
        })?;
        if whole.contains('\0') {
            return Err(FieldError::new("row", "control_character", "holds a NUL character"));
        }
        let mut from = 0;
        let mut cells = Vec::with_capacity(self.ended);
        for &end in &self.ends[..self.ended] {
            // A cell ends within the text, but between two characters only where both cells are UTF-8.
            let cell = whole.get(from..end).ok_or_else(|| {
                FieldError::new("row", "invalid_encoding", "is not UTF-8; save the file as CSV UTF-8")
            })?;
            cells.push(cell.to_owned());
            from = end;
        }
        match std::mem::replace(&mut self.has_header, true) {
            true => Ok(Content::Cells(cells)),
            false => Ok(Content::Header(cells)),
        }
    }
}
