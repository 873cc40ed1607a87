//! Tables for people: aligned columns, nothing else.

use std::io::{self, Write};

/// Writes a header and rows with each column as wide as its widest cell; the last one is not padded.
pub fn write(out: &mut impl Write, header: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let wide = |text: &str| text.chars().count();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| wide(cell)).max();
    let widths: Vec<usize> =
        header.iter().enumerate().map(|(column, name)| width(column).unwrap_or(0).max(wide(name))).collect();
    let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
    for row in std::iter::once(&header).chain(rows) {
        write_row(out, row, &widths)?;
    }
    Ok(())
}

/// Writes one row under known widths.
pub fn write_row(out: &mut impl Write, row: &[String], widths: &[usize]) -> io::Result<()> {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(widths) {
        let pad = width.saturating_sub(cell.chars().count()) + 2;
        line.push_str(cell);
        line.extend(std::iter::repeat_n(' ', pad));
    }
    writeln!(out, "{}", line.trim_end())
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_have_no_tail() {
        let rows = vec![vec!["1".to_owned(), "Zoë".to_owned()], vec!["100".to_owned(), String::new()]];
        let mut out = Vec::new();
        super::write(&mut out, &["id", "name"], &rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "id   name\n1    Zoë\n100\n");
    }
}
