//! Subjects and bodies from templates, strictly: what is unknown is refused when the template is saved, what is
//! missing is an error when it is rendered, and a value is never read as a template. A template is handlebars, or
//! text with single braces ([`Syntax`]).
//!
//! A template is hostile text. Three fences stand one behind the other: a scan bounds in one
//! linear pass what the parser will have to do (nesting, tags, size), the walk over the parsed
//! template bounds what rendering will have to do (loops, helpers), and the output is capped while
//! it is written. So neither a saved nor a submitted template can exhaust the stack or the clock.
//!
//! Allowed are `if`, `unless`, `each`, `with`, the comparisons `eq`, `ne`, `and`, `or`, `not`, and
//! `default`, `upper`, `lower`, `capitalize`, `trim`. Partials, decorators, raw blocks, `lookup` and
//! unescaped output are not.

mod brace;
mod error;
mod helpers;
mod output;
mod scan;
mod walk;

use std::collections::BTreeSet;
use std::sync::Arc;

use handlebars::{RenderContext, Renderable};

use crate::sequence::Syntax;
use crate::variables::Variables;
use brace::BraceText;
pub use error::{Finding, RenderError};
pub(crate) use output::{cut, lines, one_line};

/// Most bytes a template may have.
pub const MAX_SOURCE: usize = 256 * 1024;
/// Most bytes a rendered body may have.
pub const MAX_OUTPUT: usize = 1024 * 1024;
/// Most bytes a rendered subject has; what is over is cut (RFC 5322, 2.1.1: 998 octets a line).
pub const MAX_SUBJECT: usize = 998;
/// Deepest nesting of blocks; every `else if` counts as one level until its block is closed.
pub const MAX_NESTING: usize = 16;
/// Deepest nesting of `each` in `each`.
pub const MAX_EACH: usize = 2;
/// Most items one `each` goes over; a longer list is an error when it is rendered.
pub const MAX_ITEMS: usize = 64;

/// What a template is for: it decides on escaping and on the tidying of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One header line: not escaped, control characters become spaces, cut at [`MAX_SUBJECT`] bytes.
    Subject,
    /// Plain text: not escaped, line ends become `\n`.
    Text,
    /// HTML: values are escaped, line ends become `\n`.
    Html,
}

/// What a check of an acceptable template tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The variables it asks for, as written, without those that only live inside a loop.
    pub variables: BTreeSet<String>,
    /// What is odd but allowed: variables that only an attribute of the contact could provide.
    pub warnings: Vec<Finding>,
}

/// A template that has passed every check, parsed once; clones share it.
#[derive(Debug, Clone)]
pub struct Template {
    kind: Kind,
    parsed: Parsed,
    checked: Arc<Checked>,
}

#[derive(Debug, Clone)]
enum Parsed {
    Handlebars(Arc<handlebars::Template>),
    Brace(Arc<BraceText>),
}

impl Template {
    /// Checks and parses `source`, which is handlebars.
    ///
    /// # Errors
    /// Everything found wrong with it, in order of position; never empty, at most
    /// [`Finding::MOST`]. Faults of form (tags, blocks, sizes) are told first, alone: only a
    /// template without them is parsed and looked at for its meaning.
    pub fn compile(kind: Kind, source: &str) -> Result<Template, Vec<Finding>> {
        let faults = scan::scan(kind, source);
        if !faults.is_empty() {
            return Err(faults);
        }
        let parsed = handlebars::Template::compile(source).map_err(|e| vec![Finding::syntax(&e)])?;
        let checked = Arc::new(walk::walk(&parsed)?);
        Ok(Template { kind, parsed: Parsed::Handlebars(Arc::new(parsed)), checked })
    }

    /// The same in a syntax of the caller's.
    ///
    /// # Errors
    /// As [`compile`](Self::compile).
    pub fn compile_in(syntax: Syntax, kind: Kind, source: &str) -> Result<Template, Vec<Finding>> {
        if syntax == Syntax::Handlebars {
            return Self::compile(kind, source);
        }
        let text = BraceText::read(kind, source)?;
        let variables = text.variables().map(str::to_owned).collect();
        let checked = Arc::new(Checked { variables, warnings: Vec::new() });
        Ok(Template { kind, parsed: Parsed::Brace(Arc::new(text)), checked })
    }

    /// What it is for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its variables and warnings.
    pub fn checked(&self) -> &Checked {
        &self.checked
    }

    /// Its variables, each once: of single braces in the order of the text, of handlebars by name.
    pub fn variables(&self) -> Vec<String> {
        match &self.parsed {
            Parsed::Handlebars(_) => self.checked.variables.iter().cloned().collect(),
            Parsed::Brace(text) => {
                let mut names: Vec<String> = Vec::new();
                for name in text.variables() {
                    if !names.iter().any(|known| known == name) {
                        names.push(name.to_owned());
                    }
                }
                names
            }
        }
    }

    /// The text for one message.
    ///
    /// # Errors
    /// [`RenderError`]; a variable without a value is one, and names it.
    pub fn render(&self, variables: &Variables) -> Result<String, RenderError> {
        let mut output = output::Capped::new(MAX_OUTPUT);
        match &self.parsed {
            Parsed::Handlebars(parsed) => {
                let mut context = RenderContext::new(None);
                parsed
                    .render(helpers::registry(self.kind), variables.context(), &mut context, &mut output)
                    .map_err(|e| RenderError::of(&e))?;
            }
            Parsed::Brace(text) => text.render(self.kind, variables, &mut output)?,
        }
        Ok(output::tidy(self.kind, output.into_text()))
    }
}

/// Checks a template as it is saved.
///
/// # Errors
/// As [`Template::compile`].
pub fn check(kind: Kind, source: &str) -> Result<Checked, Vec<Finding>> {
    check_in(Syntax::Handlebars, kind, source)
}

/// The same in a syntax of the caller's.
///
/// # Errors
/// As [`Template::compile`].
pub fn check_in(syntax: Syntax, kind: Kind, source: &str) -> Result<Checked, Vec<Finding>> {
    Template::compile_in(syntax, kind, source).map(|template| Checked::clone(&template.checked))
}

/// Checks and renders in one go; whoever renders more than once keeps a [`Template`].
///
/// # Errors
/// [`RenderError`]; [`RenderError::Refused`] if the template itself is not acceptable.
pub fn render(kind: Kind, source: &str, variables: &Variables) -> Result<String, RenderError> {
    Template::compile(kind, source).map_err(RenderError::Refused)?.render(variables)
}
