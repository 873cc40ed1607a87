//! When a refused message is tried again. Pure arithmetic: randomness is a parameter.

use crate::clock::{HOUR, MINUTE, Millis, SECOND};

/// After the nth attempt a message waits this long; the last entry repeats.
const REFUSED: [Millis; 6] = [MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR];
/// After trouble on the line the same message may go much sooner.
const TROUBLE: [Millis; 5] = [2 * SECOND, 10 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE];
/// A message that was refused for this long is given up.
pub const GIVE_UP: Millis = 48 * HOUR;

/// A sending profile whose provider takes no more for now rests this long.
pub const PROVIDER: Millis = 15 * MINUTE;

/// The waits before each look for an uncertain message at its provider.
const LOOKS: [Millis; 4] = [MINUTE, 3 * MINUTE, 10 * MINUTE, 30 * MINUTE];

/// The wait before the next look at a provider, after so many; `None` after the last.
pub fn look(looks: u32) -> Option<Millis> {
    LOOKS.get(looks as usize).copied()
}

/// The wait after attempt `attempts` (from 1) that a server refused for now. Jitter only lengthens it, by up
/// to a fifth; `random` lies in 0..1.
///
/// ```
/// # use sendwright_workflows::backoff::refused;
/// assert_eq!(refused(1, 0.0), 60_000);
/// assert_eq!(refused(2, 0.5), 330_000);
/// assert_eq!(refused(99, 0.0), refused(6, 0.0));
/// ```
pub fn refused(attempts: u32, random: f64) -> Millis {
    spread(&REFUSED, attempts, random)
}

/// The wait after attempt `attempts` (from 1) that ended in trouble on the line.
pub fn trouble(attempts: u32, random: f64) -> Millis {
    spread(&TROUBLE, attempts, random)
}

fn spread(schedule: &[Millis], attempts: u32, random: f64) -> Millis {
    let index = (attempts.max(1) as usize - 1).min(schedule.len() - 1);
    let wait = schedule[index];
    wait + (wait as f64 * 0.2 * random.clamp(0.0, 1.0)) as Millis
}
