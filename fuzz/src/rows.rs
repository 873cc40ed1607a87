//! Files of people: read in pieces as they come they are the same rows, and cells that are written down again read the same.

use crate::{Target, about, kind};
use sendwright_histories::dice::Dice;
use sendwright_workflows::rows::{Content, FileError, MOST_ROW, Row, Rows};

pub const TARGET: Target = Target {
    name: "rows",
    run,
    words: &[
        "\"",
        "\"\"",
        "\",\"",
        ",",
        ";",
        "\t",
        "|",
        "\r\n",
        "\n",
        "\r",
        "\u{feff}",
        "email,first_name\n",
        "phone_e164\n",
        "[",
        "]",
        "{",
        "}",
        "{\"email\":\"a@example.com\"}",
        ",{",
        "\\\"",
        "\\u0000",
        "\\ud800",
        "null",
        "PK\u{3}\u{4}",
        "<html>",
        "\0",
    ],
};

type Read = (Vec<Row>, Option<FileError>, bool);

fn run(input: &[u8]) -> u64 {
    let whole = read(std::iter::once(input));
    let mut dice = Dice::new(input.len() as u64);
    let pieces = read(cut(input, &mut dice).into_iter());
    assert_eq!(whole, pieces, "whole, and in pieces");
    let (rows, end, is_csv) = whole;
    for (earlier, later) in rows.iter().zip(rows.iter().skip(1)) {
        let after = if is_csv { earlier.line + 1 } else { earlier.line };
        assert!(later.line >= after, "rows out of order: {earlier:?} {later:?}");
    }
    for row in &rows {
        sound(row);
    }
    if is_csv && end.is_none() {
        written_again(&rows);
    }
    let faults = rows.iter().filter(|row| row.content.is_err()).count();
    let widths = rows.iter().filter_map(|row| cells(row)).map(<[String]>::len).max();
    let end = end.map(|end| std::mem::discriminant(&end));
    kind((is_csv, about(rows.len()), about(faults), about(widths.unwrap_or_default()), end))
}

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Read {
    let (mut reader, mut rows) = (Rows::new(), Vec::new());
    let mut end = None;
    for piece in pieces {
        if let Err(error) = reader.feed(piece, &mut rows) {
            end = Some(error);
            break;
        }
    }
    end = end.or_else(|| reader.finish(&mut rows).err());
    let is_csv = reader.format() == Some(sendwright_workflows::rows::Format::Csv);
    (rows, end, is_csv)
}

fn cut<'a>(input: &'a [u8], dice: &mut Dice) -> Vec<&'a [u8]> {
    let (mut pieces, mut rest) = (Vec::new(), input);
    while !rest.is_empty() {
        let most = if dice.comes(50) { 3 } else { 300 };
        let (piece, more) = rest.split_at(rest.len().min(1 + dice.below(most) as usize));
        pieces.push(piece);
        rest = more;
    }
    pieces
}

fn cells(row: &Row) -> Option<&[String]> {
    match &row.content {
        Ok(Content::Header(cells) | Content::Cells(cells)) => Some(cells),
        _ => None,
    }
}

fn sound(row: &Row) {
    match &row.content {
        Ok(Content::Json(text)) => {
            assert!(text.len() <= MOST_ROW && !text.trim_ascii().is_empty(), "{text:?}")
        }
        Ok(Content::Header(cells) | Content::Cells(cells)) => {
            let bytes: usize = cells.iter().map(String::len).sum();
            assert!(!cells.is_empty() && bytes <= MOST_ROW, "{} cells of {bytes} bytes", cells.len());
        }
        Err(fault) => assert!(!fault.message.is_empty(), "{fault:?}"),
    }
}

/// A file whose rows were all read, written with every cell in quotes, is the same rows.
fn written_again(rows: &[Row]) {
    let all: Vec<&[String]> = rows.iter().filter_map(cells).collect();
    let quoted = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
    let line = |cells: &&[String]| cells.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n";
    let text: String = all.iter().map(line).collect();
    if all.len() != rows.len() || all.is_empty() || text.len() > MOST_ROW {
        return;
    }
    let (again, end, _) = read(std::iter::once(text.as_bytes()));
    let same: Vec<&[String]> = again.iter().filter_map(cells).collect();
    assert_eq!((same, end), (all, None), "written again as {text:?}");
}
