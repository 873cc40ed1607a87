//! Logs: to stderr, plain on a terminal, one JSON object a line elsewhere.

use crate::config::{Log, LogFormat};
use std::io::{self, IsTerminal, Write};
use tracing_subscriber::EnvFilter;

/// Starts logging; `quiet` is the level of a command that people run by hand (`warn`), unless they ask for more.
/// A second call changes nothing.
pub fn start(log: &Log, quiet: bool) {
    let text = log.filter.as_deref().unwrap_or(if quiet { "warn" } else { "info" });
    // The filter was read by `config`; a directive that got past it is left out.
    let filter = EnvFilter::new(text);
    let terminal = io::stderr().is_terminal();
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Stderr);
    let _ = match json {
        true => builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
        false => builder.with_ansi(terminal).with_target(false).try_init(),
    };
}

/// Stderr, for lines that nothing depends on. One that it does not take, because the disk beneath it is full or its reader
/// gone, is counted and forgotten: an error would be reported on stderr, and that would be a panic of whoever logs.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if io::stderr().lock().write_all(line).is_err() {
            metrics::counter!("sendwright_log_lines_lost_total").increment(1);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
