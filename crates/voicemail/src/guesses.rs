use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Wrong PINs that a mailbox forgives before anybody has to wait for it.
const FREE_OF_MAILBOX: u32 = 6;
/// The same of one caller, at whatever mailboxes.
const FREE_OF_CALLER: u32 = 9;
/// The same of all together who come the same way without a number: some of them mistype.
const FREE_OF_NAMELESS: u32 = 30;
/// The first wait; each further failure doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(60);
/// The longest wait for a mailbox: six guesses a day, of which a PIN of six digits bears with for centuries.
const LONGEST_OF_MAILBOX: Duration = Duration::from_secs(4 * 3600);
/// The longest wait of a caller. Numbers can be forged, and whoever has them must not be shut out for long.
const LONGEST_OF_CALLER: Duration = Duration::from_secs(900);
/// The longest wait of the nameless, who wait for each other.
const LONGEST_OF_NAMELESS: Duration = Duration::from_secs(300);
/// Failures are forgotten when none was added for so long.
const MEMORY: Duration = Duration::from_secs(24 * 3600);
/// More mailboxes and callers are not remembered; those with the fewest failures make room.
const MOST: usize = 20_000;
/// No extension and no caller's name is longer; what is longer counts as one.
const LONGEST_NAME: usize = 64;

/// Who tries PINs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guesser {
    /// Somebody who can be told from others, by a name that nobody else has.
    Known(String),
    /// One of all who come a way, of that name, and don't say who they are.
    Nameless(String),
}

/// Counts wrong PINs, and makes whoever enters them wait longer and longer: per mailbox, whoever calls, and per caller, whatever
/// mailbox.
///
/// A mailbox is counted as it was entered, whether it exists or not, so that no wait tells. Who signs in with a device or dials
/// in from one enters no PIN and is never counted: guessing locks no owner out of those. Nothing is kept over a restart.
#[derive(Debug, Default)]
pub struct Guesses {
    failures: BTreeMap<Key, Failures>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Mailbox(String),
    Caller(String),
    Nameless(String),
}

impl Key {
    fn of(mailbox: &str, caller: &Guesser) -> [Self; 2] {
        let caller = match caller {
            Guesser::Known(name) => Self::Caller(short(name)),
            Guesser::Nameless(way) => Self::Nameless(short(way)),
        };
        [Self::Mailbox(short(mailbox)), caller]
    }

    fn allowance(&self) -> (u32, Duration) {
        match self {
            Self::Mailbox(_) => (FREE_OF_MAILBOX, LONGEST_OF_MAILBOX),
            Self::Caller(_) => (FREE_OF_CALLER, LONGEST_OF_CALLER),
            Self::Nameless(_) => (FREE_OF_NAMELESS, LONGEST_OF_NAMELESS),
        }
    }
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST_NAME).collect()
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    until: Instant,
    last: Instant,
}

impl Guesses {
    /// Books a try as a failure before it is known how it ends, so that many at once are no way around; [`Self::forgive`] takes
    /// it back.
    ///
    /// # Errors
    /// How long to wait; nothing is booked then, and the PIN must not be looked at.
    pub fn try_now(&mut self, mailbox: &str, caller: &Guesser, now: Instant) -> Result<(), Duration> {
        self.failures.retain(|_, failures| now.saturating_duration_since(failures.last) < MEMORY);
        let keys = Key::of(mailbox, caller);
        let known = keys.iter().filter_map(|key| self.failures.get(key));
        let wait = known.map(|failures| failures.until.saturating_duration_since(now)).max().unwrap_or_default();
        if !wait.is_zero() {
            return Err(wait);
        }
        for key in keys {
            self.book(key, now);
        }
        Ok(())
    }

    /// The try that was booked was right: the mailbox starts anew, and the caller has one failure less.
    pub fn forgive(&mut self, mailbox: &str, caller: &Guesser) {
        for key in Key::of(mailbox, caller) {
            match &key {
                Key::Mailbox(_) => {
                    self.failures.remove(&key);
                }
                Key::Caller(_) | Key::Nameless(_) => {
                    if let Some(failures) = self.failures.get_mut(&key) {
                        failures.count = failures.count.saturating_sub(1);
                        failures.until = failures.last;
                    }
                }
            }
        }
    }

    /// The owner has set a PIN anew: whatever was tried before counts no more.
    pub fn clear(&mut self, mailbox: &str) {
        self.failures.remove(&Key::Mailbox(short(mailbox)));
    }

    fn book(&mut self, key: Key, now: Instant) {
        if self.failures.len() >= MOST && !self.failures.contains_key(&key) {
            // Not simply the stalest: whoever waits would only have to name enough mailboxes that don't exist.
            let least =
                self.failures.iter().min_by_key(|(_, failures)| (failures.count, failures.last)).map(|(key, _)| key.clone());
            least.map(|key| self.failures.remove(&key));
        }
        let (free, longest) = key.allowance();
        let failures = self.failures.entry(key).or_insert(Failures { count: 0, until: now, last: now });
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        if let Some(beyond) = failures.count.checked_sub(free) {
            failures.until = now + FIRST_WAIT.saturating_mul(1 << beyond.min(16)).min(longest);
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn known(name: &str) -> Guesser {
        Guesser::Known(name.into())
    }

    fn nameless() -> Guesser {
        Guesser::Nameless("trunk 1".into())
    }

    /// Many callers try as fast as they are let for `time`; how many PINs of the mailbox were looked at.
    fn attack(guesses: &mut Guesses, callers: usize, start: Instant, time: Duration) -> u32 {
        let (mut tried, mut now) = (0, start);
        while now < start + time {
            for caller in 0..callers {
                tried += u32::from(guesses.try_now("1001", &known(&format!("+4930{caller}")), now).is_ok());
            }
            now += Duration::from_secs(1);
        }
        tried
    }

    #[test]
    fn many_callers_together_try_no_more_than_one() {
        let start = Instant::now();
        let alone = attack(&mut Guesses::default(), 1, start, 2 * HOUR);
        let together = attack(&mut Guesses::default(), 500, start, 2 * HOUR);
        assert!((6..=16).contains(&alone), "{alone}");
        assert!(together <= 14, "{together} in two hours");
        let day = attack(&mut Guesses::default(), 5, start, 24 * HOUR);
        assert!(day <= 20, "{day} in a day");
    }

    #[test]
    fn after_a_pause_of_less_than_a_day_the_wait_goes_on_growing() {
        let (mut guesses, start) = (Guesses::default(), Instant::now());
        let mut now = start;
        while guesses.try_now("1001", &nameless(), now).is_ok() {}
        for _ in 0..3 {
            now += 5 * HOUR;
            assert_eq!(guesses.try_now("1001", &nameless(), now), Ok(()));
            assert!(guesses.try_now("1001", &nameless(), now).is_err(), "one a wait");
        }
    }

    #[test]
    fn one_caller_who_tries_everybody_waits_and_nobody_else_does() {
        let (mut guesses, now) = (Guesses::default(), Instant::now());
        let tried = (0..100).filter(|n| guesses.try_now(&format!("2{n}"), &known("+4930666"), now).is_ok()).count();
        assert_eq!(tried, 9);
        assert!(guesses.try_now("299", &known("+4930777"), now).is_ok());
        assert!(guesses.try_now("299", &nameless(), now).is_ok(), "who shows no number is not taken for somebody else");
        assert!(guesses.try_now("299", &known("+4930666"), now + Duration::from_secs(901)).is_ok());
    }

    #[test]
    fn who_shows_no_number_waits_with_all_others_who_come_that_way() {
        let (mut guesses, now) = (Guesses::default(), Instant::now());
        let tried = (0..100).filter(|n| guesses.try_now(&format!("2{n}"), &nameless(), now).is_ok()).count();
        assert_eq!(tried, 30);
        assert!(guesses.try_now("299", &Guesser::Nameless("trunk 2".into()), now).is_ok());
        assert!(guesses.try_now("299", &known("trunk 1"), now).is_ok(), "nobody is nameless by calling themselves so");
        assert!(guesses.try_now("298", &nameless(), now + Duration::from_secs(301)).is_ok());
    }

    #[test]
    fn the_right_pin_makes_everything_good_again() {
        let (mut guesses, now) = (Guesses::default(), Instant::now());
        for _ in 0..50 {
            assert_eq!(guesses.try_now("1001", &known("+4930123"), now), Ok(()));
            guesses.forgive("1001", &known("+4930123"));
        }
        for _ in 0..5 {
            assert_eq!(guesses.try_now("1001", &nameless(), now), Ok(()));
        }
        guesses.forgive("1001", &nameless());
        assert_eq!((0..10).filter(|_| guesses.try_now("1001", &nameless(), now).is_ok()).count(), 6);
    }

    #[test]
    fn a_new_pin_ends_the_wait_and_a_day_does() {
        let (mut guesses, now) = (Guesses::default(), Instant::now());
        while guesses.try_now("1001", &nameless(), now).is_ok() {}
        let mut other = Guesses::default();
        while other.try_now("1001", &nameless(), now).is_ok() {}
        guesses.clear("1001");
        assert_eq!(guesses.try_now("1001", &nameless(), now), Ok(()));
        assert_eq!((0..10).filter(|_| other.try_now("1001", &nameless(), now + 24 * HOUR).is_ok()).count(), 6);
    }

    #[test]
    fn no_wait_is_forgotten_for_invented_mailboxes() {
        let (mut guesses, now) = (Guesses::default(), Instant::now());
        while guesses.try_now("1001", &nameless(), now).is_ok() {}
        for n in 0..MOST {
            guesses.book(Key::Mailbox(format!("x{n}")), now + Duration::from_secs(1));
        }
        for n in 0..50 {
            assert_eq!(guesses.try_now(&format!("y{n}"), &known(&n.to_string()), now + Duration::from_secs(1)), Ok(()));
        }
        assert!(guesses.try_now("1001", &nameless(), now + Duration::from_secs(2)).is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let (mut guesses, start) = (Guesses::default(), Instant::now());
        for n in 0..MOST {
            guesses.book(Key::Mailbox(format!("x{n}")), start);
        }
        for n in 0..500 {
            let now = start + Duration::from_millis(n);
            assert_eq!(guesses.try_now(&n.to_string(), &known(&n.to_string()), now), Ok(()));
        }
        assert_eq!(guesses.failures.len(), MOST);
        let long = "9".repeat(10_000);
        assert_eq!(guesses.try_now(&long, &known(&long), start + Duration::from_secs(60)), Ok(()));
        assert!(guesses.failures.keys().all(|key| format!("{key:?}").len() < 96));
    }
}
