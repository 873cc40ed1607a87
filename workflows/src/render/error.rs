//! What can be wrong with a template, and what can go wrong with a rendering.

use std::fmt;

use handlebars::RenderErrorReason;

/// One remark on a template: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// A closed code: `too_large`, `control_character`, `newline_in_subject`, `too_many_tags`,
    /// `backslashes`, `syntax`, `nesting`, `each_nesting`, `too_much_work`, `partial`, `decorator`,
    /// `raw_block`, `unescaped`, `unknown_helper`, `arguments`, `not_a_value`; as a warning
    /// `unknown_variable`.
    pub code: &'static str,
    /// For people: what is wrong and what to write instead.
    pub message: String,
}

impl Finding {
    /// Most findings told of one template.
    pub const MOST: usize = 20;

    pub(super) fn syntax(error: &handlebars::TemplateError) -> Finding {
        let (line, column) = error.pos().unwrap_or((1, 1));
        Finding { line, column, code: "syntax", message: error.reason().to_string() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

/// Why a text could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The template asks for a value that is absent or empty.
    #[error(
        "line {line}, column {column}: {variable} has no value; \
         give the contact one, or in handlebars write {{{{default {variable} \"…\"}}}}"
    )]
    Missing {
        /// The variable as the template writes it.
        variable: String,
        /// Line in the template, from 1.
        line: usize,
        /// Column in the template, from 1.
        column: usize,
    },
    /// A value is of a kind the template cannot use there, such as a list where a word is needed.
    #[error("line {line}, column {column}: {message}")]
    Unfit {
        /// What does not fit; never the value itself.
        message: String,
        /// Line in the template, from 1.
        line: usize,
        /// Column in the template, from 1.
        column: usize,
    },
    /// The text outgrew [`MAX_OUTPUT`](super::MAX_OUTPUT).
    #[error("the text is longer than {} bytes; shorten the template or the values", super::MAX_OUTPUT)]
    TooLong,
    /// The template is not acceptable (any more).
    #[error("the template is refused: {}", first(.0))]
    Refused(Vec<Finding>),
}

impl RenderError {
    pub(super) fn of(error: &handlebars::RenderError) -> RenderError {
        let (line, column) = (error.line_no.unwrap_or(1), error.column_no.unwrap_or(1));
        match error.reason() {
            RenderErrorReason::MissingVariable(variable) => {
                let variable = variable.clone().unwrap_or_else(|| "a value".to_owned());
                RenderError::Missing { variable, line, column }
            }
            // Only the capped output makes one.
            RenderErrorReason::IOError(_) => RenderError::TooLong,
            other => RenderError::Unfit { message: other.to_string(), line, column },
        }
    }
}

fn first(findings: &[Finding]) -> String {
    findings.first().map(Finding::to_string).unwrap_or_default()
}
