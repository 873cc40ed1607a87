//! What can happen, one thing at a time.

use sendwright_workflows::clock::Millis;

/// What the receiver does with a hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Takes it and says so.
    Yes,
    /// Takes it, and nobody hears the answer.
    YesUnheard,
    /// Breaks off before it took anything, after the dot.
    NoUnheard,
    /// Refuses it for now.
    Later,
    /// Refuses it for good: there is nobody.
    Never,
}

/// One transition. Workers and attempts are named by their place among all that ever were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Time goes by; who is up and reaches the store beats.
    Pass(Millis),
    /// The planner's pass.
    Plan,
    /// T1 of at most so many.
    Claim(usize, usize),
    /// T2 of the earliest claimed message in a worker's hands.
    Intend(usize),
    /// The dot of a worker's earliest open hand-over, and the answer.
    Dot(usize, Answer),
    /// T3 of the earliest hand-over that has ended.
    Record(usize),
    /// A worker process is killed.
    Crash(usize),
    /// A worker does not reach the store any more, but the receiver.
    Cut(usize),
    /// It does again.
    Heal(usize),
    /// Somebody finds that a worker's beat has stood still for a lease.
    Bury(usize),
    /// A new worker process comes up.
    Start,
    /// A person opts out; it is answered.
    OptOut(usize),
    /// The campaign is paused, or resumed.
    Pause(bool),
    /// The sending profile rests, or goes on.
    Rest(bool),
    /// A person looks at a held or uncertain message and releases it.
    Release(usize),
}
