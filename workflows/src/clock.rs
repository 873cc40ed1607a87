//! Instants and the clock that business time is read from.

/// A business instant in unix milliseconds.
pub type Millis = i64;
/// A business instant in unix microseconds: the unit of slot pointers.
pub type Micros = i64;

/// One second in [`Millis`].
pub const SECOND: Millis = 1_000;
/// One minute in [`Millis`].
pub const MINUTE: Millis = 60 * SECOND;
/// One hour in [`Millis`].
pub const HOUR: Millis = 60 * MINUTE;
/// One elapsed day in [`Millis`]. A calendar day may be shorter or longer.
pub const DAY: Millis = 24 * HOUR;

/// Business time: due instants, quiet hours, slots, events. In production it follows the database's clock,
/// in tests it is moved by hand.
pub trait Clock: Send + Sync {
    /// The present business instant, or `None` where it is not known well enough to act on
    /// (no sample of the database's clock for half a minute): nobody claims work then.
    fn now(&self) -> Option<Millis>;
}

/// RFC 3339 in UTC with milliseconds, as every dialect that wants a sub-second instant prints it (S1-27).
pub fn rfc3339(at: Millis) -> String {
    match chrono::DateTime::from_timestamp_millis(at) {
        Some(instant) => instant.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        None => at.to_string(),
    }
}

/// Reads an RFC 3339 instant; an offset is required, so that nobody's local time is guessed.
pub fn parse_rfc3339(text: &str) -> Option<Millis> {
    chrono::DateTime::parse_from_rfc3339(text).ok().map(|t| t.timestamp_millis())
}
