//! Text with single braces: `{name}` is a variable, everything else stands as it is written (S2-22). It never goes
//! through handlebars, which would read `#{order_id}` as a block and escape what is not HTML.

use super::output::Capped;
use super::scan::{self, Fault};
use super::{Finding, Kind, RenderError};
use crate::variables::Variables;
use handlebars::Output;
use serde_json::Value;
use std::ops::Range;

/// A text that has passed the scan.
#[derive(Debug)]
pub(super) struct BraceText {
    source: String,
    parts: Vec<Part>,
}

/// A stretch of the source; of a variable its name.
#[derive(Debug)]
enum Part {
    Plain(Range<usize>),
    Variable(Range<usize>),
}

impl BraceText {
    /// Splits a source at its variables, `\{[A-Za-z_][A-Za-z0-9_]*\}`.
    ///
    /// # Errors
    /// Every brace that is part of no variable, and what no template of the kind may hold; at most [`Finding::MOST`].
    pub(super) fn read(kind: Kind, source: &str) -> Result<BraceText, Vec<Finding>> {
        if let Some(finding) = scan::too_large(source) {
            return Err(vec![finding]);
        }
        let mut faults = scan::characters(kind, source);
        let mut parts = Vec::new();
        let (mut at, mut plain) = (0, 0);
        while let Some(found) = source[at..].find(['{', '}']) {
            let brace = at + found;
            match variable(&source[brace..]) {
                Ok(name) => {
                    parts.push(Part::Plain(plain..brace));
                    parts.push(Part::Variable(brace + 1..brace + 1 + name.len()));
                    at = brace + name.len() + 2;
                    plain = at;
                }
                Err((length, message)) => {
                    if faults.len() >= Finding::MOST {
                        break;
                    }
                    faults.push(Fault { offset: brace, code: "syntax", message: message.into() });
                    at = brace + length;
                }
            }
        }
        if !faults.is_empty() {
            faults.sort_by_key(|fault| fault.offset);
            return Err(scan::locate(source, faults));
        }
        parts.push(Part::Plain(plain..source.len()));
        Ok(BraceText { source: source.to_owned(), parts })
    }

    /// The names of its variables, in the order of the text.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(&self.source[name.clone()]),
            Part::Plain(_) => None,
        })
    }

    /// Writes the text with its values; in HTML a value is escaped.
    pub(super) fn render(
        &self,
        kind: Kind,
        variables: &Variables,
        output: &mut Capped,
    ) -> Result<(), RenderError> {
        for part in &self.parts {
            let written = match part {
                Part::Plain(text) => output.write(&self.source[text.clone()]),
                Part::Variable(at) => {
                    let value = self.word(at, variables)?;
                    match kind {
                        Kind::Html => output.write(&handlebars::html_escape(&value)),
                        Kind::Subject | Kind::Text => output.write(&value),
                    }
                }
            };
            // Only the capped output makes an error.
            written.map_err(|_| RenderError::TooLong)?;
        }
        Ok(())
    }

    /// A variable's value as it is read.
    fn word(&self, at: &Range<usize>, variables: &Variables) -> Result<String, RenderError> {
        let name = &self.source[at.clone()];
        let position = || position(&self.source, at.start - 1);
        match variables.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(Value::Bool(is)) => Ok(is.to_string()),
            Some(Value::Array(_) | Value::Object(_)) => {
                let (line, column) = position();
                let message = format!("{name} is a list or a map, and no word");
                Err(RenderError::Unfit { message, line, column })
            }
            Some(Value::Null) | None => {
                let (line, column) = position();
                Err(RenderError::Missing { variable: name.to_owned(), line, column })
            }
        }
    }
}

/// The name of the variable that a text begins with; else how much of the text is at fault, and what to write.
fn variable(text: &str) -> Result<&str, (usize, &'static str)> {
    let Some(inside) = text.strip_prefix('{') else {
        return Err((1, "this brace closes nothing; a variable is {name}"));
    };
    if inside.starts_with('{') {
        let double = "double braces are handlebars; write {name}, or say syntax: handlebars";
        let end = inside.find("}}").map_or(text.len(), |end| end + 3);
        return Err((end, double));
    }
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    match inside.find(['{', '}']) {
        Some(end) if inside[end..].starts_with('}') => match is_name(&inside[..end]) {
            true => Ok(&inside[..end]),
            false => Err((
                end + 2,
                "a variable is {name}: letters, digits and _ without spaces; for braces that are to be read say syntax: handlebars",
            )),
        },
        _ => Err((1, "this brace is not closed; a variable is {name}")),
    }
}

/// Line and column of a place, from 1.
fn position(source: &str, offset: usize) -> (usize, usize) {
    let before = &source[..offset];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}
