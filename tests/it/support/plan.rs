//! What is done to whom, and when, said as it is done: a test that fails shows it, and `prove/run` keeps it.

use std::fmt::Display;
use std::sync::OnceLock;
use std::time::Instant;

/// Says it, with the seconds since the first thing that was said in this process.
pub fn say(what: impl Display) {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    let seconds = BEGUN.get_or_init(Instant::now).elapsed().as_secs_f64();
    println!("plan {seconds:8.3} s  {what}");
}
