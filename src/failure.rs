//! How a command ends when it does not succeed: a sentence for people, a code for scripts.

use sendwright_api::Refusal;
use sendwright_workflows::spec::FieldError;
use std::io::{self, Write};
use std::process::ExitCode;

/// The exit codes, as `sendwright --help` prints them (BSD's sysexits where they fit).
pub const EXIT_CODES: &str = "\
Exit codes:
   0  done
   1  failed; stderr says why
   2  the command line does not read
  65  the input is refused; stderr names every field and rule
  69  the database or another dependency is not available
  78  the configuration is wrong; stderr names every variable";

/// Why a command did not succeed.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    lines: Vec<String>,
}

impl Failure {
    /// Any failure without a code of its own.
    pub fn new(line: impl Into<String>) -> Self {
        Self { code: 1, lines: vec![line.into()] }
    }

    /// Input that was refused, line by line.
    pub fn input(lines: Vec<String>) -> Self {
        Self { code: 65, lines }
    }

    /// A body in `file` that was refused.
    pub fn body(file: &str, errors: &[FieldError]) -> Self {
        Self::input(errors.iter().map(|error| format!("{file}: {error}")).collect())
    }

    /// A dependency that is away.
    pub fn unavailable(line: impl Into<String>) -> Self {
        Self { code: 69, lines: vec![line.into()] }
    }

    /// Configuration, line by line.
    pub fn config(lines: Vec<String>) -> Self {
        Self { code: 78, lines }
    }

    /// Why, in its first line.
    pub fn why(&self) -> &str {
        self.lines.first().map_or("", String::as_str)
    }

    /// Prints it on stderr and gives the exit code. A reader that went away (`| head`) is no failure.
    pub fn tell(self) -> ExitCode {
        for line in &self.lines {
            // A stderr that takes nothing changes nothing.
            let _ = writeln!(io::stderr(), "sendwright: {line}");
        }
        ExitCode::from(self.code)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Nobody reads any more: `| head` has seen enough.
            io::ErrorKind::BrokenPipe => Self { code: 0, lines: Vec::new() },
            _ => Self::new(error.to_string()),
        }
    }
}

impl From<sendwright_store::Error> for Failure {
    fn from(error: sendwright_store::Error) -> Self {
        use sendwright_store::Error;
        match &error {
            Error::Unavailable(cause) => Self::unavailable(format!("{error}: {cause}")),
            Error::Again(cause) | Error::Defect(cause) => Self::new(format!("{error}: {cause}")),
            _ => Self::new(error.to_string()),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match &refusal {
            Refusal::Invalid(errors) => Self::input(errors.iter().map(ToString::to_string).collect()),
            Refusal::Malformed(..) | Refusal::Duplicate(_) | Refusal::Conflict(..) => {
                Self::input(vec![refusal.to_string()])
            }
            Refusal::Unavailable | Refusal::Crossed => {
                Self::unavailable("the database is not available; nothing was done, try again")
            }
            _ => Self::new(refusal.to_string()),
        }
    }
}
