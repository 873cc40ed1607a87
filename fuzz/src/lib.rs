//! What strangers send, mutated under a seed: templates, files of people, addresses, the words of mail servers, letters that
//! come back, and the conditions of segments. Each target takes any bytes, and panics where a promise about them is broken.
//!
//! A corpus lies beside each in `fuzz/corpus`, of what people and servers really send and of what once broke something.
//! `make test` plays all of it and some seconds of mutations; `make fuzz` goes on for longer.

mod address;
mod corpus;
mod letter;
mod mutate;
mod play;
mod reply;
mod rows;
mod segment;
mod template;

pub use corpus::corpus;
pub use play::{Found, Played, play, replay};

/// Something that reads what strangers send.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and its corpus's.
    pub name: &'static str,
    /// Reads the bytes, panics where a promise is broken, and tells by a number what kind of end it came to: an input that
    /// comes to a new one is worth mutating further.
    pub run: fn(&[u8]) -> u64,
    /// Words that its readers look for.
    pub words: &'static [&'static str],
}

/// All of them.
pub const TARGETS: [Target; 6] =
    [template::TARGET, rows::TARGET, address::TARGET, reply::TARGET, letter::TARGET, segment::TARGET];

/// A number for the kind of an end, made of what tells one from another.
fn kind(of: impl std::hash::Hash) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// A count as a kind: small ones each, greater ones by their size.
fn about(count: usize) -> u32 {
    if count < 8 { count as u32 } else { 8 + count.ilog2() }
}
