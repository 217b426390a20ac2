//! How fast somebody may try passwords and invitations.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// Counts failures per account and per address, and makes whoever fails wait longer and longer.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    failures: HashMap<Key, Failures>,
}

/// What failures are counted for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// The account that was named, whether it exists or not.
    Account(String),
    /// Where the try came from; of IPv6 the network (64 bits), for that is what one customer gets.
    Address(IpAddr),
}

impl Key {
    pub(crate) fn address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
            v4 @ IpAddr::V4(_) => v4,
        })
    }

    /// Failures that cost nothing yet, and the longest wait.
    fn allowance(&self) -> (u32, Duration) {
        match self {
            // Short, so that nobody can lock somebody else out for long.
            Self::Account(_) => (5, Duration::from_secs(60)),
            Self::Address(_) => (20, Duration::from_secs(900)),
        }
    }
}

#[derive(Debug)]
struct Failures {
    count: u32,
    until: Instant,
    last: Instant,
}

/// Failures are forgotten after so long without another one.
const MEMORY: Duration = Duration::from_secs(3600);
/// More keys are not kept; the stalest make room.
const MAX_KEYS: usize = 20_000;

impl Limiter {
    /// Books a try as a failure, before it is known how it ends, so that many at once are no way around; `forgive` takes
    /// it back. The error is how long to wait.
    pub(crate) fn try_now(&mut self, keys: &[Key], now: Instant) -> Result<(), Duration> {
        self.failures.retain(|_, failures| now.saturating_duration_since(failures.last) < MEMORY);
        let waiting = keys.iter().filter_map(|key| self.failures.get(key)).map(|f| f.until.saturating_duration_since(now)).max();
        if let Some(wait) = waiting.filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        for key in keys {
            self.book(key, now);
        }
        Ok(())
    }

    /// The try that was booked was a success: the account starts anew, the address gets this one try back.
    pub(crate) fn forgive(&mut self, keys: &[Key]) {
        for key in keys {
            match (key, self.failures.get_mut(key)) {
                (Key::Account(_), _) => {
                    self.failures.remove(key);
                }
                (Key::Address(_), Some(failures)) => {
                    failures.count = failures.count.saturating_sub(1);
                    failures.until = failures.last;
                }
                (Key::Address(_), None) => {}
            }
        }
    }

    fn book(&mut self, key: &Key, now: Instant) {
        if self.failures.len() >= MAX_KEYS && !self.failures.contains_key(key) {
            let stalest = self.failures.iter().min_by_key(|(_, failures)| failures.last).map(|(key, _)| key.clone());
            stalest.map(|key| self.failures.remove(&key));
        }
        let (free, longest) = key.allowance();
        let failures = self.failures.entry(key.clone()).or_insert(Failures { count: 0, until: now, last: now });
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        if let Some(over) = failures.count.checked_sub(free) {
            failures.until = now + Duration::from_secs(1 << over.min(20)).min(longest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> [Key; 1] {
        [Key::Account("ada".into())]
    }

    fn address(text: &str) -> Key {
        #[expect(clippy::unwrap_used, reason = "a test")]
        Key::address(text.parse().unwrap())
    }

    #[test]
    fn waiting_doubles_after_the_free_tries_up_to_a_minute() {
        let (mut limiter, mut now) = (Limiter::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..14 {
            while let Err(wait) = limiter.try_now(&account(), now) {
                waits.push(wait.as_secs());
                now += wait;
            }
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn success_forgives_the_account() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        for _ in 0..100 {
            assert_eq!(limiter.try_now(&account(), now), Ok(()));
            limiter.forgive(&account());
        }
    }

    #[test]
    fn one_address_is_limited_over_many_accounts() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        let tries = (0..100).filter(|n| limiter.try_now(&[Key::Account(n.to_string()), address("192.0.2.1")], now).is_ok());
        assert_eq!(tries.count(), 20);
        assert_eq!(limiter.try_now(&[Key::Account("x".into()), address("192.0.2.2")], now), Ok(()));
    }

    #[test]
    fn one_ipv6_network_counts_as_one() {
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
    }

    #[test]
    fn failures_are_forgotten_after_an_hour() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        while limiter.try_now(&account(), now).is_ok() {}
        let later = now + MEMORY;
        assert_eq!((0..5).filter(|_| limiter.try_now(&account(), later).is_ok()).count(), 5);
    }
}
