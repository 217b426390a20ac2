//! One queue of deadlines for everything on a worker.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

/// Deadlines, at most one for each key.
#[derive(Debug)]
pub(super) struct Timers<K> {
    queue: BTreeSet<(Instant, K)>,
    armed: BTreeMap<K, Instant>,
}

impl<K: Ord + Copy> Timers<K> {
    pub(super) fn new() -> Self {
        Self { queue: BTreeSet::new(), armed: BTreeMap::new() }
    }

    /// Sets, moves or (with `None`) clears the key's deadline.
    pub(super) fn set(&mut self, key: K, at: Option<Instant>) {
        if let Some(old) = self.armed.remove(&key) {
            self.queue.remove(&(old, key));
        }
        if let Some(at) = at {
            self.armed.insert(key, at);
            self.queue.insert((at, key));
        }
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes one key whose deadline has passed.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<K> {
        let (_, key) = *self.queue.first().filter(|(at, _)| *at <= now)?;
        self.set(key, None);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn deadlines_come_in_order_and_once() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::new();
        timers.set('b', Some(at(20)));
        timers.set('a', Some(at(30)));
        timers.set('a', Some(at(10)));
        timers.set('c', Some(at(5)));
        timers.set('c', None);
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.pop_due(at(9)), None);
        assert_eq!(timers.pop_due(at(25)), Some('a'));
        assert_eq!(timers.pop_due(at(25)), Some('b'));
        assert_eq!(timers.pop_due(at(25)), None);
        assert_eq!(timers.next(), None);
    }
}
