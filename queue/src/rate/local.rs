//! Calls counted in this process.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{Allowance, Rule, SLICES, Seen, judge};

/// The most keys remembered. Over it the idle ones are forgotten, and if that is not enough, those that were
/// used longest ago: a crowd of made-up keys must not eat the memory.
const MOST_KEYS: usize = 50_000;

/// Counts by key.
pub(super) struct Local {
    epoch: Instant,
    keys: Mutex<HashMap<String, Counts>>,
    most_keys: usize,
}

/// One key's windows, in the order of its rules.
#[derive(Default)]
struct Counts {
    windows: Vec<Window>,
    /// When nothing of it counts any more, in microseconds.
    idle_from: u64,
}

/// The calls of one window, by slice, oldest first.
struct Window {
    rule: Rule,
    slices: VecDeque<(u64, u32)>,
}

impl Local {
    /// `epoch` is the zero of the slice numbers.
    pub(super) fn new(epoch: Instant) -> Local {
        Local { epoch, keys: Mutex::default(), most_keys: MOST_KEYS }
    }

    /// Counts one call if every rule has room for it.
    pub(super) fn take(&self, key: &str, rules: &[Rule], now: Instant) -> Allowance {
        let now = self.micros(now);
        let mut keys = self.keys();
        if keys.len() >= self.most_keys && !keys.contains_key(key) {
            forget(&mut keys, now, self.most_keys);
        }
        if !keys.contains_key(key) {
            keys.insert(key.to_owned(), Counts::default());
        }
        match keys.get_mut(key) {
            Some(counts) => counts.take(rules, now),
            None => Allowance::UNLIMITED,
        }
    }

    /// Takes back a call that was counted at `then`.
    pub(super) fn give_back(&self, key: &str, rules: &[Rule], then: Instant) {
        let then = self.micros(then);
        if let Some(counts) = self.keys().get_mut(key) {
            for window in counts.windows.iter_mut().filter(|window| rules.contains(&window.rule)) {
                window.give_back(then);
            }
        }
    }

    fn micros(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_micros() as u64
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<String, Counts>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room: drops what no longer counts, then, down to nine tenths, what was used longest ago.
fn forget(keys: &mut HashMap<String, Counts>, now: u64, most: usize) {
    keys.retain(|_, counts| counts.idle_from > now);
    let keep = most - most.div_ceil(10);
    if keys.len() <= keep {
        return;
    }
    let mut ages: Vec<u64> = keys.values().map(|counts| counts.idle_from).collect();
    let surplus = ages.len() - keep;
    let (_, &mut last_to_go, _) = ages.select_nth_unstable(surplus - 1);
    keys.retain(|_, counts| counts.idle_from > last_to_go);
}

impl Counts {
    fn take(&mut self, rules: &[Rule], now: u64) -> Allowance {
        self.follow(rules);
        for window in &mut self.windows {
            window.forget(now);
        }
        let used: Vec<u32> = self.windows.iter().map(Window::used).collect();
        let allowed = rules.iter().zip(&used).all(|(rule, used)| *used < rule.limit);
        if allowed {
            for window in &mut self.windows {
                window.count(now);
            }
        }
        let seen: Vec<Seen> =
            self.windows.iter().zip(used).map(|(window, used)| window.seen(used, now)).collect();
        let lasting = rules.iter().map(|rule| rule.slice_micros() * (SLICES + 1)).max().unwrap_or(0);
        self.idle_from = now + lasting;
        judge(rules, &seen, allowed)
    }

    /// Keeps one window a rule; a changed limit keeps the calls of its window.
    fn follow(&mut self, rules: &[Rule]) {
        if self.windows.iter().map(|window| window.rule).eq(rules.iter().copied()) {
            return;
        }
        let mut old = std::mem::take(&mut self.windows);
        self.windows = rules
            .iter()
            .map(|rule| match old.iter().position(|window| window.rule.window == rule.window) {
                Some(at) => Window { rule: *rule, ..old.swap_remove(at) },
                None => Window { rule: *rule, slices: VecDeque::new() },
            })
            .collect();
    }
}

impl Window {
    fn slice(&self, at: u64) -> u64 {
        at / self.rule.slice_micros()
    }

    /// Drops what no longer counts at `now`.
    fn forget(&mut self, now: u64) {
        let current = self.slice(now);
        while self.slices.front().is_some_and(|&(slice, _)| slice + SLICES < current) {
            self.slices.pop_front();
        }
    }

    fn used(&self) -> u32 {
        self.slices.iter().map(|&(_, calls)| calls).sum()
    }

    fn seen(&self, used: u32, now: u64) -> Seen {
        let edge = |slice: Option<&(u64, u32)>| slice.map_or(self.slice(now), |&(slice, _)| slice);
        Seen::new(&self.rule, used, edge(self.slices.front()), edge(self.slices.back()), now)
    }

    /// Notes a call. A caller whose `now` is a moment behind another's counts with the newest slice.
    fn count(&mut self, now: u64) {
        let current = self.slice(now);
        match self.slices.back_mut() {
            Some((slice, calls)) if *slice >= current => *calls += 1,
            _ => self.slices.push_back((current, 1)),
        }
    }

    fn give_back(&mut self, then: u64) {
        let slice_then = self.slice(then);
        if let Some((_, calls)) =
            self.slices.iter_mut().find(|(slice, calls)| *slice >= slice_then && *calls > 0)
        {
            *calls -= 1;
        }
        self.slices.retain(|&(_, calls)| calls > 0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RULES: [Rule; 2] = [Rule::per_second(10), Rule::per_hour(25)];

    fn at(local: &Local, millis: u64) -> Instant {
        local.epoch + Duration::from_millis(millis)
    }

    fn local() -> Local {
        Local::new(Instant::now())
    }

    #[test]
    fn no_window_of_a_second_ever_holds_more_than_its_limit() {
        let local = local();
        let rules = [Rule::per_second(10)];
        let mut allowed_at = Vec::new();
        for millis in (0..5_000).step_by(7) {
            if local.take("k", &rules, at(&local, millis)).allowed {
                allowed_at.push(millis);
            }
        }
        for (index, start) in allowed_at.iter().enumerate() {
            let within = allowed_at[index..].iter().filter(|&&later| later - start < 1_000).count();
            assert!(within <= 10, "{within} calls in the second from {start} ms");
        }
        assert!(
            allowed_at.len() >= 45,
            "and hardly less than the limit in the long run: {}",
            allowed_at.len()
        );
    }

    #[test]
    fn all_rules_must_pass_and_a_refused_call_counts_under_none() {
        let local = local();
        for _ in 0..10 {
            assert!(local.take("k", &RULES, at(&local, 0)).allowed);
        }
        for _ in 0..100 {
            let refused = local.take("k", &RULES, at(&local, 0));
            assert_eq!((refused.allowed, refused.limit), (false, 10));
        }
        let allowed = (0..10).filter(|_| local.take("k", &RULES, at(&local, 1_100)).allowed).count();
        assert_eq!(allowed, 10, "the refused calls took nothing from the hour");
        let later: Vec<Allowance> = (0..10).map(|_| local.take("k", &RULES, at(&local, 2_200))).collect();
        assert_eq!(later.iter().filter(|answer| answer.allowed).count(), 5);
        assert_eq!(later[9].limit, 25, "now the hour is the tightest");
    }

    #[test]
    fn a_refusal_tells_when_to_come_back_and_coming_back_then_succeeds() {
        let local = local();
        let rules = [Rule::per_hour(1)];
        assert!(local.take("k", &rules, at(&local, 0)).allowed);
        let refused = local.take("k", &rules, at(&local, 600_000));
        assert_eq!(refused.retry_after_seconds, 3_600 + 180 - 600);
        let again = at(&local, 600_000 + refused.retry_after_seconds * 1_000);
        assert!(local.take("k", &rules, again).allowed);
    }

    #[test]
    fn remaining_counts_down_to_nothing_and_keys_do_not_share() {
        let local = local();
        let rules = [Rule::per_minute(3)];
        let left: Vec<u32> = (0..3).map(|_| local.take("k", &rules, at(&local, 0)).remaining).collect();
        assert_eq!(left, [2, 1, 0]);
        assert!(!local.take("k", &rules, at(&local, 0)).allowed);
        assert!(local.take("other", &rules, at(&local, 0)).allowed);
    }

    #[test]
    fn a_call_given_back_can_be_made_again() {
        let local = local();
        let rules = [Rule::per_minute(1)];
        assert!(local.take("k", &rules, at(&local, 10)).allowed);
        local.give_back("k", &rules, at(&local, 10));
        assert!(local.take("k", &rules, at(&local, 20)).allowed);
        assert!(!local.take("k", &rules, at(&local, 30)).allowed);
    }

    #[test]
    fn a_raised_limit_keeps_what_was_counted() {
        let local = local();
        assert!(local.take("k", &[Rule::per_minute(1)], at(&local, 0)).allowed);
        assert_eq!(local.take("k", &[Rule::per_minute(3)], at(&local, 0)).remaining, 1);
    }

    #[test]
    fn a_crowd_of_keys_is_bounded_and_the_busy_ones_are_kept() {
        let local = Local { most_keys: 100, ..local() };
        let rules = [Rule::per_minute(2)];
        for millis in 0..5_000 {
            local.take(&format!("made-up-{millis}"), &rules, at(&local, millis));
            local.take("busy", &rules, at(&local, millis));
            assert!(local.keys().len() <= 100);
        }
        assert!(!local.take("busy", &rules, at(&local, 5_000)).allowed, "its count was not forgotten");
    }
}
