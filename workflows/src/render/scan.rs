//! One linear pass over a template before the parser sees it.
//!
//! The parser recurses on blocks, parentheses and brackets, counts lines from the start for every
//! tag, and rescans runs of backslashes: left alone, a few kilobytes overflow its stack and 256 KiB
//! keep it busy for minutes. The pass reads tags exactly as the parser's grammar does (a tag holds
//! no brace, so its end is never in doubt) and refuses what would cost too much or is not allowed.

use super::output::cut;
use super::{Finding, Kind, MAX_NESTING, MAX_SOURCE};

/// Tags times bytes the parser may be given: its work grows with the product.
const MAX_PRODUCT: usize = 16 * 1024 * 1024;
const MAX_TAG: usize = 1024;
const MAX_PARENTHESES: usize = 16;
const MAX_BRACKETS: usize = 8;
const MAX_BACKSLASHES: usize = 16;
const NO_PARTIALS: &str = "partials are not allowed; write the text here";

/// All faults of form, in order of position; none means the parser is safe with it.
pub(super) fn scan(kind: Kind, source: &str) -> Vec<Finding> {
    if let Some(finding) = too_large(source) {
        return vec![finding];
    }
    let faults = characters(kind, source);
    let mut scan = Scan { source, tags: 0, open: Vec::new(), nesting: 0, faults };
    scan.tags();
    scan.faults.sort_by_key(|fault| fault.offset);
    locate(source, scan.faults)
}

/// The fault of a source that is too large to be looked at.
pub(super) fn too_large(source: &str) -> Option<Finding> {
    let message = format!("the template has {} bytes; at most {MAX_SOURCE} are allowed", source.len());
    (source.len() > MAX_SOURCE).then_some(Finding { line: 1, column: 1, code: "too_large", message })
}

/// The characters that a template of this kind must not have, the first of each sort.
pub(super) fn characters(kind: Kind, source: &str) -> Vec<Fault> {
    let is_newline = |c: char| matches!(c, '\r' | '\n');
    let mut faults = Vec::new();
    let mut fault =
        |offset, code, message: &str| faults.push(Fault { offset, code, message: message.into() });
    if kind == Kind::Subject
        && let Some(offset) = source.find(is_newline)
    {
        fault(offset, "newline_in_subject", "a subject is one line; remove the line break");
    }
    let is_stray = |c: char| c.is_control() && !is_newline(c) && c != '\t';
    if let Some(offset) = source.find(is_stray) {
        fault(offset, "control_character", "control characters are not allowed; remove it");
    }
    faults
}

/// What is wrong at one place of a source.
pub(super) struct Fault {
    pub(super) offset: usize,
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// A block that is not closed yet.
struct Open<'a> {
    name: &'a str,
    offset: usize,
    levels: usize,
    has_else: bool,
}

struct Scan<'a> {
    source: &'a str,
    tags: usize,
    open: Vec<Open<'a>>,
    nesting: usize,
    faults: Vec<Fault>,
}

impl<'a> Scan<'a> {
    fn fault(&mut self, offset: usize, code: &'static str, message: impl Into<String>) {
        if !self.is_full() {
            self.faults.push(Fault { offset, code, message: message.into() });
        }
    }

    fn is_full(&self) -> bool {
        self.faults.len() >= Finding::MOST
    }

    fn tags(&mut self) {
        let mut at = 0;
        while let Some(start) = self.next_tag(at) {
            if self.is_one_too_many(start) {
                return;
            }
            at = self.tag(start);
            if self.is_full() {
                return;
            }
        }
        while let Some(block) = self.open.pop() {
            self.unclosed(&block);
        }
    }

    fn is_one_too_many(&mut self, start: usize) -> bool {
        self.tags += 1;
        let most = MAX_PRODUCT / self.source.len().max(1);
        if self.tags > most {
            let message = format!("too many tags; a template of this length may have {most}");
            self.fault(start, "too_many_tags", message);
        }
        self.tags > most
    }

    /// Where the next tag opens. A single backslash makes `{{` literal; more leave it a tag.
    fn next_tag(&mut self, mut at: usize) -> Option<usize> {
        loop {
            let found = at + self.source[at..].find(['{', '\\'])?;
            let rest = &self.source[found..];
            if rest.starts_with("{{") {
                return Some(found);
            }
            let run = rest.len() - rest.trim_start_matches('\\').len();
            if run > MAX_BACKSLASHES {
                self.fault(found, "backslashes", format!("more than {MAX_BACKSLASHES} backslashes in a row"));
            }
            at = found + run.max(1);
            if run == 1 && rest[1..].starts_with("{{") {
                // Each costs the parser a move of the text behind it, like a tag.
                if self.is_one_too_many(found) {
                    return None;
                }
                at += if rest[1..].starts_with("{{{{") { 4 } else { 2 };
            }
        }
    }

    /// Reads the tag at `start` and says where to go on.
    fn tag(&mut self, start: usize) -> usize {
        let inside = start + 2;
        let rest = &self.source[inside..];
        let content = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        if let Some(comment) = rest.strip_prefix('!') {
            return self.comment(start, comment);
        }
        if rest.starts_with("{{") {
            self.fault(
                start,
                "raw_block",
                "raw blocks ({{{{…}}}}) are not allowed; write \\{{ for literal braces",
            );
            return self.after(inside, "}}");
        }
        if content.trim_start_matches('~').trim_start().starts_with('{') {
            self.fault(start, "unescaped", "{{{…}}} is not allowed; write {{…}}, which only HTML escapes");
            return self.after(inside, "}}");
        }
        match rest.find(['{', '}']) {
            Some(end) if rest[end..].starts_with("}}") => {
                self.content(start, &rest[..end]);
                inside + end + 2
            }
            Some(end) if rest[end..].starts_with('}') => {
                self.fault(start, "syntax", "this tag is closed by a single brace; write }}");
                inside + end + 1
            }
            Some(end) => {
                self.fault(start, "syntax", "this tag is not closed before the next brace; write }}");
                inside + end
            }
            None => {
                self.fault(start, "syntax", "this tag is not closed; write }}");
                self.source.len()
            }
        }
    }

    /// A comment opened by `{{!` may hold tags only in its long form, `{{!-- … --}}`.
    fn comment(&mut self, start: usize, comment: &str) -> usize {
        let long = comment.trim_start_matches([' ', '\t', '\r', '\n']).strip_prefix("--");
        let (text, end) = long.map_or((comment, "}}"), |text| (text, "--}}"));
        if !text.contains(end) {
            self.fault(start, "syntax", format!("this comment is not closed; write {end}"));
            return self.source.len();
        }
        self.after(self.source.len() - text.len(), end)
    }

    /// The offset behind the next `end`, or the end of the text.
    fn after(&self, from: usize, end: &str) -> usize {
        self.source[from..].find(end).map_or(self.source.len(), |found| from + found + end.len())
    }

    fn content(&mut self, start: usize, content: &'a str) {
        let count = |c: char| content.matches(c).count();
        if content.len() > MAX_TAG || count('(') > MAX_PARENTHESES || count('[') > MAX_BRACKETS {
            let message = format!(
                "a tag has at most {MAX_TAG} bytes, {MAX_PARENTHESES} opening parentheses \
                 and {MAX_BRACKETS} opening brackets"
            );
            return self.fault(start, "nesting", message);
        }
        let content = content.trim().trim_start_matches('~').trim_end_matches('~').trim();
        let rest = content.get(1..).unwrap_or_default().trim_start();
        match content.chars().next() {
            None => {
                self.fault(start, "syntax", "this tag is empty; write {{name}}, or \\{{ for literal braces")
            }
            Some('#') => self.opening(start, rest),
            Some('/') => self.closing(start, rest),
            Some('>') => self.fault(start, "partial", NO_PARTIALS),
            Some('*') => self.fault(start, "decorator", "decorators are not allowed"),
            Some('&') => {
                self.fault(start, "unescaped", "{{&…}} is not allowed; write {{…}}, which only HTML escapes");
            }
            Some('^') => self.otherwise(start, rest),
            Some(_) => {
                // The parser needs no space behind `else`, so neither does this.
                if let Some(chain) = content.strip_prefix("else") {
                    self.otherwise(start, chain.trim_start());
                }
            }
        }
    }

    fn opening(&mut self, start: usize, content: &'a str) {
        match content.chars().next() {
            Some('>') => self.fault(start, "partial", NO_PARTIALS),
            Some('*') => self.fault(start, "decorator", "decorators and inline partials are not allowed"),
            _ => {
                let name = content.split([' ', '\t', '\r', '\n', '(', '"', '\'']).next().unwrap_or_default();
                self.open.push(Open { name, offset: start, levels: 0, has_else: false });
                self.deeper(start);
            }
        }
    }

    fn otherwise(&mut self, start: usize, chain: &str) {
        match self.open.last_mut() {
            None => self.fault(start, "syntax", "else stands outside of a block"),
            Some(block) if block.has_else => {
                self.fault(start, "syntax", "this block already has its else");
            }
            Some(block) if chain.is_empty() => block.has_else = true,
            Some(_) => self.deeper(start),
        }
    }

    /// One level more in the innermost block: a chain of `else if` nests in the parsed template.
    fn deeper(&mut self, start: usize) {
        self.nesting += 1;
        if let Some(block) = self.open.last_mut() {
            block.levels += 1;
        }
        if self.nesting == MAX_NESTING + 1 {
            let message = format!("blocks and their else-ifs nest deeper than {MAX_NESTING}");
            self.fault(start, "nesting", message);
        }
    }

    fn closing(&mut self, start: usize, name: &str) {
        let name = cut(name, 64);
        let Some(depth) = self.open.iter().rposition(|block| block.name == name) else {
            let message = match self.open.last() {
                Some(block) => format!("{{{{/{name}}}}} closes nothing; {} is open", cut(block.name, 64)),
                None => format!("{{{{/{name}}}}} closes nothing; no block is open"),
            };
            return self.fault(start, "syntax", message);
        };
        while self.open.len() > depth {
            let Some(block) = self.open.pop() else { break };
            self.nesting -= block.levels;
            if self.open.len() > depth {
                self.unclosed(&block);
            }
        }
    }

    fn unclosed(&mut self, block: &Open<'_>) {
        let message = format!("this block is not closed; write {{{{/{}}}}}", cut(block.name, 64));
        self.fault(block.offset, "syntax", message);
    }
}

/// Turns offsets, in ascending order, into lines and columns in one pass.
pub(super) fn locate(source: &str, faults: Vec<Fault>) -> Vec<Finding> {
    let (mut line, mut line_start, mut seen) = (1, 0, 0);
    let mut findings = Vec::with_capacity(faults.len());
    for Fault { offset, code, message } in faults {
        for (at, _) in source[seen..offset].match_indices('\n') {
            line += 1;
            line_start = seen + at + 1;
        }
        seen = offset;
        let column = source[line_start..offset].chars().count() + 1;
        findings.push(Finding { line, column, code, message });
    }
    findings
}
