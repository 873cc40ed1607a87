//! When each message arrived: a line a message, the instant in unix microseconds and the Message-ID.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The file of arrivals. It is whole after every [`Arrivals::flush`].
pub struct Arrivals(BufWriter<File>);

impl Arrivals {
    /// An empty file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self(BufWriter::with_capacity(1 << 16, File::create(path)?)))
    }

    /// Writes down a message that arrives now.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn record(&mut self, id: &[u8]) -> io::Result<()> {
        write!(self.0, "{} ", wall_micros())?;
        self.0.write_all(id)?;
        self.0.write_all(b"\n")
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The clock on the wall: arrivals are compared with instants in a database on the same machine.
#[allow(clippy::disallowed_methods, reason = "the receiver's own record of real time")]
fn wall_micros() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros())
}
