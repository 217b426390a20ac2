use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    time::{Duration, Instant},
};

use aftertone_model::{Now, Timestamp, WrongPins};

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
/// in from one enters no PIN and is never counted: guessing locks no owner out of those. What [`Self::take_changes`] gives is kept
/// over a restart.
#[derive(Debug, Default)]
pub struct Guesses {
    failures: BTreeMap<Key, Failures>,
    /// Whose failures were not handed out since they changed.
    changed: BTreeSet<Key>,
}

/// What is to be kept from now on, and what not any more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuessChanges {
    /// In the place of what was kept of the same.
    pub kept: Vec<WrongPins>,
    /// [`WrongPins::who`] of those that are forgotten.
    pub forgotten: Vec<String>,
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

/// As it is kept.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = match self {
            Self::Mailbox(name) => ("mailbox", name),
            Self::Caller(name) => ("caller", name),
            Self::Nameless(way) => ("nameless", way),
        };
        write!(f, "{kind} {name}")
    }
}

impl FromStr for Key {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (kind, name) = text.split_once(' ').ok_or(())?;
        match kind {
            "mailbox" => Ok(Self::Mailbox(short(name))),
            "caller" => Ok(Self::Caller(short(name))),
            "nameless" => Ok(Self::Nameless(short(name))),
            _ => Err(()),
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
    /// What was kept of an earlier life of the server. A clock that was set meanwhile makes nobody wait longer than is usual.
    #[must_use]
    pub fn restored(kept: impl IntoIterator<Item = WrongPins>, now: Now) -> Self {
        let mut guesses = Self::default();
        for wrong in kept {
            let Ok(key) = wrong.who.parse::<Key>() else { continue };
            let (ago, left) = (between(wrong.last, now.wall), between(now.wall, wrong.until));
            let last = now.mono.checked_sub(ago).unwrap_or(now.mono);
            let until = now.mono + left.min(key.allowance().1);
            guesses.failures.insert(key, Failures { count: wrong.count, until, last });
        }
        guesses
    }

    /// What changed since this was asked last.
    pub fn take_changes(&mut self, now: Now) -> GuessChanges {
        let mut changes = GuessChanges::default();
        for key in std::mem::take(&mut self.changed) {
            match self.failures.get(&key) {
                Some(failures) => changes.kept.push(failures.kept(&key, now)),
                None => changes.forgotten.push(key.to_string()),
            }
        }
        changes
    }

    /// Books a try as a failure before it is known how it ends, so that many at once are no way around; [`Self::forgive`] takes
    /// it back.
    ///
    /// # Errors
    /// How long to wait; nothing is booked then, and the PIN must not be looked at.
    pub fn try_now(&mut self, mailbox: &str, caller: &Guesser, now: Instant) -> Result<(), Duration> {
        let over = self.failures.extract_if(.., |_, failures| now.saturating_duration_since(failures.last) >= MEMORY);
        self.changed.extend(over.map(|(key, _)| key));
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
            self.changed.insert(key.clone());
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
        let key = Key::Mailbox(short(mailbox));
        self.failures.remove(&key);
        self.changed.insert(key);
    }

    fn book(&mut self, key: Key, now: Instant) {
        if self.failures.len() >= MOST && !self.failures.contains_key(&key) {
            // Not simply the stalest: whoever waits would only have to name enough mailboxes that don't exist.
            let least =
                self.failures.iter().min_by_key(|(_, failures)| (failures.count, failures.last)).map(|(key, _)| key.clone());
            if let Some(least) = least {
                self.failures.remove(&least);
                self.changed.insert(least);
            }
        }
        self.changed.insert(key.clone());
        let (free, longest) = key.allowance();
        let failures = self.failures.entry(key).or_insert(Failures { count: 0, until: now, last: now });
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        if let Some(beyond) = failures.count.checked_sub(free) {
            failures.until = now + FIRST_WAIT.saturating_mul(1 << beyond.min(16)).min(longest);
        }
    }
}

impl Failures {
    fn kept(self, key: &Key, now: Now) -> WrongPins {
        let (ago, left) = (now.mono.saturating_duration_since(self.last), self.until.saturating_duration_since(now.mono));
        let last = now.wall.checked_sub(ago).unwrap_or(now.wall);
        let until = now.wall.checked_add(left).unwrap_or(now.wall);
        WrongPins { who: key.to_string(), count: self.count, until, last }
    }
}

/// Nothing where it is the other way round.
fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "virtual time has to begin somewhere; tests")]
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

    /// What is kept in a database: each change in the place of the one before.
    fn keep(kept: &mut BTreeMap<String, WrongPins>, guesses: &mut Guesses, now: Now) {
        let GuessChanges { kept: new, forgotten } = guesses.take_changes(now);
        for who in forgotten {
            kept.remove(&who);
        }
        kept.extend(new.into_iter().map(|wrong| (wrong.who.clone(), wrong)));
    }

    #[test]
    fn a_restart_forgives_nothing_and_makes_nobody_wait_longer() {
        let start = Now { mono: Instant::now(), wall: Timestamp::UNIX_EPOCH };
        let after = |time: Duration| Now { mono: start.mono + time, wall: start.wall + time };
        let (mut guesses, mut kept) = (Guesses::default(), BTreeMap::new());
        while guesses.try_now("1001", &known("+4930123"), start.mono).is_ok() {}
        for n in 0..9 {
            assert_eq!(guesses.try_now(&format!("2{n}"), &known("a b"), start.mono), Ok(()));
        }
        keep(&mut kept, &mut guesses, start);
        assert_eq!(guesses.take_changes(start), GuessChanges::default(), "told once");

        // The clock that never jumps begins anew.
        let then = after(Duration::from_secs(20));
        let later = Now { mono: start.mono + HOUR, wall: then.wall };
        let mut again = Guesses::restored(kept.values().cloned(), later);
        let wait = again.try_now("1001", &nameless(), later.mono).unwrap_err();
        assert_eq!(Err(wait), guesses.try_now("1001", &nameless(), then.mono), "as long as without the restart");
        assert!(again.try_now("1002", &known("a b"), later.mono).is_err(), "the caller too");
        assert_eq!(again.try_now("1002", &nameless(), later.mono), Ok(()));

        let over = later.mono + wait;
        assert_eq!(again.try_now("1001", &nameless(), over), Ok(()));
        let twice = again.try_now("1001", &nameless(), over).unwrap_err();
        assert_eq!(twice, 2 * FIRST_WAIT, "it goes on growing");

        // Set back by a year, the clock of the machine locks nobody out for a year.
        let wrong_clock = Now { mono: start.mono, wall: start.wall - 365 * 24 * HOUR };
        let mut again = Guesses::restored(kept.values().cloned(), wrong_clock);
        assert!(again.try_now("1001", &nameless(), start.mono).unwrap_err() <= LONGEST_OF_MAILBOX);
    }

    #[test]
    fn what_is_forgiven_or_over_is_kept_no_longer() {
        let start = Now { mono: Instant::now(), wall: Timestamp::UNIX_EPOCH };
        let (mut guesses, mut kept) = (Guesses::default(), BTreeMap::new());
        for (mailbox, caller) in [("1001", "+4930123"), ("1002", "+4930124"), ("1003", "+4930125")] {
            assert_eq!(guesses.try_now(mailbox, &known(caller), start.mono), Ok(()));
        }
        keep(&mut kept, &mut guesses, start);
        assert_eq!(kept.len(), 6);
        guesses.forgive("1001", &known("+4930123"));
        guesses.clear("1002");
        keep(&mut kept, &mut guesses, start);
        assert_eq!(kept.keys().filter(|who| who.starts_with("mailbox")).collect::<Vec<_>>(), ["mailbox 1003"]);
        assert_eq!(kept["caller +4930123"].count, 0);
        let next_day = Now { mono: start.mono + 24 * HOUR, wall: start.wall + 24 * HOUR };
        assert_eq!(guesses.try_now("9", &known("+4930126"), next_day.mono), Ok(()));
        keep(&mut kept, &mut guesses, next_day);
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["caller +4930126", "mailbox 9"]);
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
