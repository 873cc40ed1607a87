//! How far ahead a sender looks: a database that is far away answers later than a slot is wide.

use sendwright_workflows::clock::{Millis, SECOND};
use sendwright_workflows::quiet_hours::W;

/// What lies between a look at the clock and the instant of the intent that follows from it, as it was lately. Slots are
/// taken so much ahead that the intent comes in the middle of them.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Lead(Millis);

impl Lead {
    /// How much ahead the next look is. Milliseconds; 0 while the way is short.
    pub(super) fn millis(self) -> Millis {
        self.0
    }

    /// An intent came so much after its look.
    pub(super) fn learn(&mut self, took: Millis) {
        self.0 = (took - W / 2).clamp(0, SECOND);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sendwright_workflows::intent::off_slot;

    #[test]
    fn the_second_intent_over_a_long_way_comes_within_its_slot() {
        for way in [0, 3, 40, 99, 150, 700] {
            let mut lead = Lead::default();
            lead.learn(way);
            let slot = 1_000_000 + lead.millis();
            for jitter in [-40, 0, 40].into_iter().filter(|jitter| way + jitter >= lead.millis()) {
                let intent = 1_000_000 + way + jitter;
                assert_eq!(off_slot(slot * 1_000, intent), None, "{way} ms and {jitter}");
            }
        }
    }

    #[test]
    fn over_a_short_way_nothing_is_ahead() {
        let mut lead = Lead::default();
        lead.learn(W / 2);
        assert_eq!(lead.millis(), 0);
    }
}
