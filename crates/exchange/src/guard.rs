//! Those who try: how often somebody unknown may ask, guess names, or get a password wrong.
//!
//! A source is an address, of IPv6 its /64. Nothing here says whether a name exists: who is throttled or banned gets the same
//! answer as before, or none. An owner at another address notices nothing of somebody else's guesses.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use aftertone_sip::{ConnectionId, Flow};

/// In a row from one source for one user name; each further one doubles the pause.
const FREE_TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Names that a source asks for without ever proving to be anybody.
const MOST_NAMES: usize = 30;
/// A phone answers a challenge in this time: only then a name counts. A site whose phones all start at once is no scanner.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Wrong passwords of one source, whatever the names.
const MOST_FAILURES: u32 = 60;
const BAN: Duration = Duration::from_secs(600);

/// Requests outside of calls from a source that has proved nothing: so many at once, and so many a second.
const BURST: f64 = 100.0;
const PER_SECOND: f64 = 20.0;

/// A source that proved to be somebody's is believed for so long.
const BELIEVED: Duration = Duration::from_secs(3600);
/// More sources and accounts than these are not remembered; the longest silent are forgotten first.
const MOST_REMEMBERED: usize = 4096;

#[derive(Debug, Default)]
pub(crate) struct Guard {
    sources: BTreeMap<IpAddr, Source>,
    accounts: BTreeMap<(IpAddr, String), Account>,
}

#[derive(Debug)]
struct Source {
    /// Since when each waits for its proof.
    names: BTreeMap<String, Instant>,
    failures: u32,
    banned_until: Option<Instant>,
    /// What of it is heard all the same: calls that run, and phones that are registered.
    spared: BTreeSet<Way>,
    /// The ban was not acted on yet.
    is_news: bool,
    proved_at: Option<Instant>,
    tokens: f64,
    seen_at: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Account {
    failures: u32,
    open_at: Instant,
}

impl Guard {
    /// Whether what comes this way is looked at.
    pub(crate) fn admits(&self, flow: Flow, now: Instant) -> bool {
        let Some(source) = self.sources.get(&source_of(flow.remote.ip())) else { return true };
        source.banned_until.is_none_or(|until| until <= now) || source.spared.contains(&way_of(flow))
    }

    /// Whether this source was banned just now, and nothing of it is spared yet.
    pub(crate) fn takes_news_of_ban(&mut self, ip: IpAddr) -> bool {
        self.sources.get_mut(&source_of(ip)).is_some_and(|source| std::mem::take(&mut source.is_news))
    }

    /// These go on being heard while their source is banned.
    pub(crate) fn spare(&mut self, ip: IpAddr, flows: impl Iterator<Item = Flow>) {
        let of = source_of(ip);
        if let Some(source) = self.sources.get_mut(&of) {
            source.spared = flows.filter(|flow| source_of(flow.remote.ip()) == of).map(way_of).collect();
        }
    }

    /// Counts a request; whether the source may ask that often.
    pub(crate) fn takes(&mut self, ip: IpAddr, now: Instant) -> bool {
        let source = self.source(ip, now);
        let passed = now.saturating_duration_since(source.seen_at).as_secs_f64();
        source.tokens = (source.tokens + passed * PER_SECOND).min(BURST);
        source.seen_at = now;
        let is_believed = source.proved_at.is_some_and(|at| now.saturating_duration_since(at) < BELIEVED);
        if is_believed {
            return true;
        }
        let admitted = source.tokens >= 1.0;
        if admitted {
            source.tokens -= 1.0;
        }
        admitted
    }

    /// Somebody was asked for a proof as this name.
    pub(crate) fn challenged(&mut self, ip: IpAddr, name: &str, now: Instant) {
        let source = self.source(ip, now);
        let is_believed = source.proved_at.is_some_and(|at| now.saturating_duration_since(at) < BELIEVED);
        if is_believed {
            return;
        }
        source.names.entry(key_of(name)).or_insert(now);
        let unanswered = source.names.values().filter(|since| now.saturating_duration_since(**since) >= ANSWER_WITHIN).count();
        if unanswered > MOST_NAMES {
            source.ban(now);
        }
    }

    /// Whether a proof for this user name is looked at now. If not, it counts as wrong.
    pub(crate) fn may_try(&self, ip: IpAddr, user: &str, now: Instant) -> bool {
        self.accounts.get(&(source_of(ip), key_of(user))).is_none_or(|account| account.open_at <= now)
    }

    pub(crate) fn failed(&mut self, ip: IpAddr, user: &str, now: Instant) {
        if self.accounts.len() >= MOST_REMEMBERED {
            let oldest = self.accounts.iter().min_by_key(|(_, account)| account.open_at).map(|(key, _)| key.clone());
            oldest.map(|key| self.accounts.remove(&key));
        }
        let account = self.accounts.entry((source_of(ip), key_of(user))).or_insert(Account { failures: 0, open_at: now });
        account.failures += 1;
        if let Some(beyond) = account.failures.checked_sub(FREE_TRIES) {
            account.open_at = now + FIRST_PAUSE.saturating_mul(1 << beyond.min(10)).min(LONGEST_PAUSE);
        }
        let source = self.source(ip, now);
        source.failures += 1;
        let is_believed = source.proved_at.is_some_and(|at| now.saturating_duration_since(at) < BELIEVED);
        if !is_believed && source.failures > MOST_FAILURES {
            source.ban(now);
        }
    }

    pub(crate) fn proved(&mut self, ip: IpAddr, user: &str, now: Instant) {
        self.accounts.remove(&(source_of(ip), key_of(user)));
        let source = self.source(ip, now);
        source.names.clear();
        source.failures = 0;
        source.proved_at = Some(now);
    }

    fn source(&mut self, ip: IpAddr, now: Instant) -> &mut Source {
        let ip = source_of(ip);
        if self.sources.len() >= MOST_REMEMBERED && !self.sources.contains_key(&ip) {
            let oldest = self.sources.iter().min_by_key(|(_, source)| source.seen_at).map(|(ip, _)| *ip);
            oldest.map(|ip| self.sources.remove(&ip));
        }
        self.sources.entry(ip).or_insert_with(|| Source {
            names: BTreeMap::new(),
            failures: 0,
            banned_until: None,
            spared: BTreeSet::new(),
            is_news: false,
            proved_at: None,
            tokens: BURST,
            seen_at: now,
        })
    }
}

impl Source {
    fn ban(&mut self, now: Instant) {
        self.banned_until = Some(now + BAN);
        self.is_news = true;
        self.names.clear();
        self.failures = 0;
    }
}

/// The other end of a flow.
type Way = (SocketAddr, Option<ConnectionId>);

fn way_of(flow: Flow) -> Way {
    (SocketAddr::new(flow.remote.ip().to_canonical(), flow.remote.port()), flow.connection)
}

/// Longer names are remembered by their beginning and a hash: nobody fills the memory with them.
const LONGEST_KEY: usize = 64;

fn key_of(name: &str) -> String {
    if name.len() <= LONGEST_KEY {
        return name.to_ascii_lowercase();
    }
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let beginning: String = name.chars().take(LONGEST_KEY / 4).collect();
    format!("{beginning}#{:016x}", hasher.finish())
}

fn source_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_fill_no_memory_and_stay_apart() {
        let (mut guard, ip) = (Guard::default(), IpAddr::from([203, 0, 113, 9]));
        #[expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
        let now = Instant::now();
        let long = |last: char| format!("{}{last}", "é".repeat(30_000));
        for _ in 0..20 {
            guard.failed(ip, &long('a'), now);
            guard.challenged(ip, &long('b'), now);
        }
        assert!(!guard.may_try(ip, &long('a'), now));
        assert!(guard.may_try(ip, &long('b'), now), "another name");
        assert!(guard.accounts.keys().all(|(_, name)| name.len() <= LONGEST_KEY));
    }
}
