//! Settings out of their layers: environment, file, compiled-in defaults; every problem is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use toml::{Table, Value};

/// Where settings come from.
#[derive(Debug, Default)]
pub struct Sources {
    /// The environment.
    pub environment: BTreeMap<String, OsString>,
    /// `--config`.
    pub file: Option<PathBuf>,
}

impl Sources {
    /// The process's environment, and the file given on the command line.
    pub fn of_process(file: Option<PathBuf>) -> Self {
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        Self { environment: environment.collect(), file }
    }
}

/// A value before it is read: its text, and what a problem with it is called.
struct Found {
    text: String,
    origin: String,
}

/// Reads settings one by one and keeps what is wrong with them. A value is never repeated in a problem.
pub struct Reader<'s> {
    sources: &'s Sources,
    file: Table,
    file_name: String,
    defaults: Table,
    asked: BTreeSet<&'static str>,
    /// Settings that are passed over, by the beginning of their key.
    deaf: &'static [&'static str],
    problems: Vec<String>,
}

impl<'s> Reader<'s> {
    /// Opens the layers; `deaf` names the settings a demo does not hear.
    pub fn open(sources: &'s Sources, deaf: &'static [&'static str]) -> Self {
        let mut problems = Vec::new();
        let defaults = include_str!("defaults.toml").parse().unwrap_or_default();
        let named =
            sources.environment.get("SENDWRIGHT_CONFIG").filter(|name| !name.is_empty()).map(PathBuf::from);
        let path = sources.file.clone().or(named);
        let file = path.as_deref().map(|path| read_file(path, &mut problems)).unwrap_or_default();
        let file_name = path.map(|path| path.display().to_string()).unwrap_or_default();
        Self { sources, file, file_name, defaults, asked: BTreeSet::new(), deaf, problems }
    }

    /// Every problem, or the value.
    pub fn finish<T>(mut self, value: T) -> Result<T, Vec<String>> {
        let known = &self.asked;
        let unknown = names(&self.file, "").into_iter().filter(|name| !known.contains(name.as_str()));
        let tell = |name| format!("{name} in {} is not a setting", self.file_name);
        let unknown: Vec<String> = unknown.map(tell).collect();
        self.problems.extend(unknown);
        if self.problems.is_empty() { Ok(value) } else { Err(self.problems) }
    }

    /// Adds a problem.
    pub fn problem(&mut self, name: &str, what: impl Display) {
        self.problems.push(format!("{name} {what}"));
    }

    /// Whether somebody says something of a setting, right or wrong: the environment or the file.
    pub fn says(&self, key: &str, variable: &str) -> bool {
        let heard = !self.deaf.iter().any(|deaf| key.starts_with(deaf));
        heard && (self.has_variable(variable) || look_up(&self.file, key).is_some())
    }

    /// Whether the environment says something.
    pub fn has_variable(&self, variable: &str) -> bool {
        self.sources.environment.get(variable).is_some_and(|value| !value.is_empty())
    }

    /// A text, by its key and its variable.
    pub fn text(&mut self, key: &'static str, variable: &str) -> Option<String> {
        self.found(key, variable).map(|found| found.text)
    }

    /// A value that its type reads; the type's error says what is wrong and must not repeat it.
    pub fn parsed<T: FromStr>(&mut self, key: &'static str, variable: &str) -> Option<T>
    where
        T::Err: Display,
    {
        self.read(key, variable, |text| {
            text.parse().map_err(|error: T::Err| format!("does not read: {error}"))
        })
    }

    /// A value by its own reader, which says what it must be.
    pub fn read<T>(
        &mut self,
        key: &'static str,
        variable: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let found = self.found(key, variable)?;
        read(&found.text).map_err(|what| self.problem(&found.origin, what)).ok()
    }

    /// A whole number within `range`; the lower end where it is wrong, which is told.
    pub fn number(&mut self, key: &'static str, variable: &str, range: RangeInclusive<u32>) -> u32 {
        let number = self.read(key, variable, |text| {
            let number = text.trim().parse().ok().filter(|n| range.contains(n));
            number.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
        });
        number.unwrap_or(*range.start())
    }

    fn found(&mut self, key: &'static str, variable: &str) -> Option<Found> {
        self.asked.insert(key);
        // What is not heard is as it is by default.
        let is_heard = !self.deaf.iter().any(|deaf| key.starts_with(deaf));
        let said = self.sources.environment.get(variable).filter(|value| is_heard && !value.is_empty());
        if let Some(value) = said {
            match value.clone().into_string() {
                Ok(text) => return Some(Found { text, origin: variable.to_owned() }),
                Err(_) => self.problem(variable, "is not UTF-8"),
            }
            return None;
        }
        let (value, origin) = match look_up(&self.file, key).filter(|_| is_heard) {
            Some(value) => (value, format!("{key} in {}", self.file_name)),
            None => (look_up(&self.defaults, key)?, key.to_owned()),
        };
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => value.to_string(),
            _ => {
                self.problem(&origin, "must be a single value");
                return None;
            }
        };
        (!text.is_empty()).then_some(Found { text, origin })
    }
}

fn read_file(path: &Path, problems: &mut Vec<String>) -> Table {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            problems.push(format!("the configuration file {} cannot be read: {error}", path.display()));
            return Table::new();
        }
    };
    text.parse().unwrap_or_else(|error: toml::de::Error| {
        // Its own message quotes the line, which may hold a password.
        let line = error.span().map(|span| text[..span.start.min(text.len())].lines().count().max(1));
        let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
        problems.push(format!("the configuration file {}{line}: {}", path.display(), error.message()));
        Table::new()
    })
}

fn look_up<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((section, name)) => table.get(section)?.as_table()?.get(name),
    }
}

/// Every name of a file, sections in front.
fn names(table: &Table, prefix: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (name, value) in table {
        match value {
            Value::Table(section) if prefix.is_empty() => all.extend(names(section, &format!("{name}."))),
            _ => all.push(format!("{prefix}{name}")),
        }
    }
    all
}
