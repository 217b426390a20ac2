//! How fast somebody may try passwords and invitations.
//!
//! Nothing here knows whether a name exists: every name is counted as it was typed, so that no answer and no pause tells. And
//! nobody can lock an owner out: names are counted per address, and what is counted per name alone leaves addresses aside that
//! the account was lately used from.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    time::{Duration, Instant},
};

/// Counts failures, and makes whoever fails wait longer and longer.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    failures: HashMap<Key, Failures>,
    /// Tries of anybody for a name, from addresses that it is not used from.
    strangers: HashMap<Name, Strangers>,
    /// Where an account was used from, and when.
    used: HashMap<(Network, Name), Instant>,
    /// Keyed at random, so that nobody can make two names look alike; and names take no memory, however long they are.
    names: RandomState,
}

type Name = u64;

/// An address; of IPv6 the network (64 bits), for that is what one customer gets.
type Network = IpAddr;

/// Who tries, and what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Try {
    network: Network,
    /// `None`: an invitation.
    name: Option<Name>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Named(Network, Name),
    Network(Network),
}

impl Key {
    /// Failures that cost nothing yet, and the longest wait.
    fn allowance(self) -> (u32, Duration) {
        match self {
            Self::Named(..) => (5, Duration::from_secs(300)),
            Self::Network(_) => (20, Duration::from_secs(900)),
        }
    }
}

#[derive(Debug)]
struct Failures {
    count: u32,
    until: Instant,
    last: Instant,
}

#[derive(Debug)]
struct Strangers {
    left: f64,
    last: Instant,
}

/// Failures are forgotten after so long without another one.
const MEMORY: Duration = Duration::from_secs(3600);
/// An account was lately used from an address.
const LATELY: Duration = Duration::from_secs(30 * 24 * 3600);
/// Strangers together, from however many addresses, may try a name so often at once, and then once in so long.
const STRANGERS: f64 = 50.0;
const STRANGER_EVERY: Duration = Duration::from_secs(30);
/// More keys are not kept; the stalest make room.
const MAX_KEYS: usize = 20_000;

impl Limiter {
    /// Who tries what; `name` as it was typed.
    pub(crate) fn who(&self, address: IpAddr, name: Option<&str>) -> Try {
        Try { network: network(address), name: name.map(|name| self.name(name)) }
    }

    /// The account of these names is used from here, by somebody who has shown that it is theirs.
    pub(crate) fn used(&mut self, address: IpAddr, names: &[&str], now: Instant) {
        for name in names {
            let key = (network(address), self.name(name));
            room_for(&mut self.used, &key, |at| *at);
            self.used.insert(key, now);
        }
    }

    /// Books a try as a failure, before it is known how it ends, so that many at once are no way around; `forgive` takes
    /// it back. The error is how long to wait.
    pub(crate) fn try_now(&mut self, who: Try, now: Instant) -> Result<(), Duration> {
        self.failures.retain(|_, failures| now.saturating_duration_since(failures.last) < MEMORY);
        let waits = keys(who).filter_map(|key| self.failures.get(&key)).map(|f| f.until.saturating_duration_since(now));
        if let Some(wait) = waits.max().filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        if let Some(name) = who.name
            && !self.is_used_from(who.network, name, now)
        {
            self.try_as_stranger(name, now)?;
        }
        for key in keys(who) {
            self.book(key, now);
        }
        Ok(())
    }

    /// The try that was booked was a success: the account starts anew, the address gets this one try back.
    pub(crate) fn forgive(&mut self, who: Try, now: Instant) {
        for key in keys(who) {
            match (key, self.failures.get_mut(&key)) {
                (Key::Named(network, name), _) => {
                    self.failures.remove(&key);
                    let key = (network, name);
                    room_for(&mut self.used, &key, |at| *at);
                    self.used.insert(key, now);
                }
                (Key::Network(_), Some(failures)) => {
                    failures.count = failures.count.saturating_sub(1);
                    failures.until = failures.last;
                }
                (Key::Network(_), None) => {}
            }
        }
    }

    fn is_used_from(&self, network: Network, name: Name, now: Instant) -> bool {
        self.used.get(&(network, name)).is_some_and(|at| now.saturating_duration_since(*at) < LATELY)
    }

    fn try_as_stranger(&mut self, name: Name, now: Instant) -> Result<(), Duration> {
        room_for(&mut self.strangers, &name, |strangers| strangers.last);
        let strangers = self.strangers.entry(name).or_insert(Strangers { left: STRANGERS, last: now });
        let regained = now.saturating_duration_since(strangers.last).as_secs_f64() / STRANGER_EVERY.as_secs_f64();
        strangers.left = (strangers.left + regained).min(STRANGERS);
        strangers.last = now;
        if strangers.left < 1.0 {
            return Err(STRANGER_EVERY.mul_f64(1.0 - strangers.left));
        }
        strangers.left -= 1.0;
        Ok(())
    }

    fn book(&mut self, key: Key, now: Instant) {
        room_for(&mut self.failures, &key, |failures| failures.last);
        let (free, longest) = key.allowance();
        let failures = self.failures.entry(key).or_insert(Failures { count: 0, until: now, last: now });
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        if let Some(over) = failures.count.checked_sub(free) {
            failures.until = now + Duration::from_secs(1 << over.min(20)).min(longest);
        }
    }

    fn name(&self, name: &str) -> Name {
        self.names.hash_one(name.trim().to_lowercase())
    }
}

fn keys(who: Try) -> impl Iterator<Item = Key> {
    who.name.map(|name| Key::Named(who.network, name)).into_iter().chain([Key::Network(who.network)])
}

fn network(address: IpAddr) -> Network {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn room_for<K: Clone + Eq + std::hash::Hash, V>(map: &mut HashMap<K, V>, key: &K, last: impl Fn(&V) -> Instant) {
    if map.len() >= MAX_KEYS && !map.contains_key(key) {
        let stalest = map.iter().min_by_key(|(_, value)| last(value)).map(|(key, _)| key.clone());
        stalest.map(|key| map.remove(&key));
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const HOME: &str = "192.0.2.1";

    struct World {
        limiter: Limiter,
        now: Instant,
    }

    impl World {
        fn new() -> Self {
            Self { limiter: Limiter::default(), now: Instant::now() }
        }

        fn tries(&mut self, address: &str, name: &str) -> Result<(), Duration> {
            let who = self.limiter.who(address.parse().unwrap(), Some(name));
            self.limiter.try_now(who, self.now)
        }

        fn succeeds(&mut self, address: &str, name: &str) {
            let who = self.limiter.who(address.parse().unwrap(), Some(name));
            self.limiter.try_now(who, self.now).unwrap();
            self.limiter.forgive(who, self.now);
        }
    }

    #[test]
    fn waiting_doubles_after_the_free_tries() {
        let mut world = World::new();
        let mut waits = Vec::new();
        for _ in 0..14 {
            while let Err(wait) = world.tries(HOME, "ada") {
                waits.push(wait.as_secs());
                world.now += wait;
            }
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256]);
    }

    #[test]
    fn success_forgives_the_account() {
        let mut world = World::new();
        (0..100).for_each(|_| world.succeeds(HOME, "ada"));
    }

    #[test]
    fn one_address_is_limited_over_many_accounts() {
        let mut world = World::new();
        assert_eq!((0..100).filter(|n| world.tries(HOME, &n.to_string()).is_ok()).count(), 20);
        assert_eq!(world.tries("192.0.2.2", "x"), Ok(()));
    }

    /// Somebody at other addresses never stops guessing: the owner gets in where they always do.
    #[test]
    fn nobody_locks_an_owner_out() {
        let mut world = World::new();
        world.succeeds(HOME, "ada");
        for round in 0..5_000_u32 {
            world.now += Duration::from_secs(5);
            let _ = world.tries(&format!("203.0.{}.{}", round / 250 % 250, round % 250), "ada");
            if round % 500 == 0 {
                world.succeeds(HOME, "Ada");
            }
        }
        let elsewhere = world.tries("198.51.100.9", "ada");
        assert!(elsewhere.is_err_and(|wait| wait <= STRANGER_EVERY), "{elsewhere:?}: strangers share what is left");
        let phone = "198.51.100.7".parse().unwrap();
        world.limiter.used(phone, &["ada", "1001"], world.now);
        assert_eq!(world.tries("198.51.100.7", "ada"), Ok(()), "a device of hers is there");
    }

    #[test]
    fn many_addresses_together_guess_slowly() {
        let mut world = World::new();
        let tries = (0..2_000_u32).filter(|n| {
            world.now += Duration::from_secs(1);
            world.tries(&format!("203.0.{}.{}", n / 250, n % 250), "ada").is_ok()
        });
        assert!((50..=50 + 2_000 / 30 + 1).contains(&tries.count()));
    }

    /// The name, the extension and a name of nobody: what happens to one tells nothing of the others.
    #[test]
    fn names_are_counted_as_they_were_typed() {
        let mut world = World::new();
        while world.tries(HOME, "ada").is_ok() {}
        for other in ["1001", "nobody", &"x".repeat(60_000)] {
            assert_eq!(world.tries(HOME, other), Ok(()), "{:.9}", other);
        }
        assert!(world.tries(HOME, " ADA ").is_err(), "the same name to whoever reads it");
    }

    #[test]
    fn one_ipv6_network_counts_as_one() {
        let limiter = Limiter::default();
        let who = |address: &str| limiter.who(address.parse().unwrap(), None);
        assert_eq!(who("2001:db8::1"), who("2001:db8::ffff"));
        assert_ne!(who("2001:db8::1"), who("2001:db8:0:1::1"));
        assert_eq!(who("::ffff:192.0.2.1"), who("192.0.2.1"));
    }

    #[test]
    fn failures_are_forgotten_after_an_hour() {
        let mut world = World::new();
        while world.tries(HOME, "ada").is_ok() {}
        world.now += MEMORY;
        assert_eq!((0..5).filter(|_| world.tries(HOME, "ada").is_ok()).count(), 5);
    }
}
