//! Messages that this process has in hand: from their claim to the commit of what became of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::OwnedSemaphorePermit;

/// The ids of all of them, and how often each: a claim that was lost may be under way still beside the next one.
#[derive(Debug, Default)]
pub struct InHand(Arc<Mutex<HashMap<i64, usize>>>);

impl InHand {
    /// One more, until its [`Held`] is dropped. Take it before the claim is committed: [`crate::recovery`] puts back
    /// whatever the database has as this worker's and nobody holds.
    pub fn take(&self, message: i64) -> Held {
        *lock(&self.0).entry(message).or_default() += 1;
        Held { all: self.0.clone(), message }
    }

    /// Whether this is one.
    pub fn has(&self, message: i64) -> bool {
        lock(&self.0).contains_key(&message)
    }
}

/// A message in hand. An error or a panic on its way drops it, and so nothing that is claimed stays forgotten.
#[derive(Debug)]
pub struct Held {
    all: Arc<Mutex<HashMap<i64, usize>>>,
    message: i64,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut all = lock(&self.all);
        match all.get_mut(&self.message) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(all.remove(&self.message)),
        }
    }
}

/// One of D, and the message that goes by it. Both are let go at once: when what became of it is committed.
#[derive(Debug)]
pub struct Permit {
    _open: OwnedSemaphorePermit,
    held: Option<Held>,
}

impl Permit {
    /// For a message that is still to be claimed.
    pub fn new(open: OwnedSemaphorePermit) -> Self {
        Self { _open: open, held: None }
    }

    /// From now on it is this message's.
    pub fn hold(&mut self, held: Held) {
        self.held = Some(held);
    }
}

fn lock(all: &Mutex<HashMap<i64, usize>>) -> MutexGuard<'_, HashMap<i64, usize>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_in_hand_until_the_last_who_holds_it_lets_go() {
        let in_hand = InHand::default();
        let (lost, next) = (in_hand.take(7), in_hand.take(7));
        drop(next);
        assert!(in_hand.has(7), "the claim that was lost is under way still");
        drop(lost);
        assert!(!in_hand.has(7));
    }
}
