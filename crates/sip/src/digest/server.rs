use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Algorithm, Authorization, Challenge, ResponseInput, hex};
use crate::message::{Headers, Request};

/// Issues challenges and checks what comes back.
///
/// Nonces carry their time and a keyed hash, so unanswered challenges cost no memory; counters are kept only for
/// nonces that somebody answered rightly. A counter is good once; anything without `qop` is refused.
#[derive(Debug)]
pub struct Verifier {
    realm: String,
    algorithms: Vec<Algorithm>,
    key: [u8; 32],
    started: Option<Instant>,
    issued: u64,
    used: BTreeMap<String, Used>,
    /// Nonces up to this time whose counters are not known may have been used.
    forgotten: Option<Duration>,
}

/// How long a nonce is good for. Clients get `stale=true` afterwards and try again by themselves.
const NONCE_LIFETIME: Duration = Duration::from_secs(300);

/// How far counters may come out of order: enough for a burst over UDP.
const NC_WINDOW: u32 = 64;

/// Nonces with counters at once; beyond it the oldest is forgotten and becomes stale.
const MOST_USED: usize = 100_000;

#[derive(Debug)]
struct Used {
    issued_at: Duration,
    /// Counters at or below this are refused unless they are in the window and not in `seen`.
    highest: u32,
    seen: BTreeSet<u32>,
}

/// What a request's credentials are worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// They are right.
    Accepted {
        /// Whose.
        username: String,
    },
    /// There are none for our realm: challenge.
    Missing,
    /// They are right but for the nonce, which is too old, or its counter, which was used before: challenge with `stale`.
    Stale {
        /// Whose.
        username: String,
    },
    /// They are wrong: challenge again, and count it against the peer.
    Refused {
        /// Who it claims to be.
        username: String,
    },
}

/// Which of the two pairs of headers is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Server,
    Proxy,
}

impl Verifier {
    /// `key` comes from the system's random numbers; `algorithms` are offered in that order, the best first (RFC 8760 2.4).
    #[must_use]
    pub fn new(realm: impl Into<String>, key: [u8; 32], algorithms: Vec<Algorithm>) -> Self {
        Self { realm: realm.into(), algorithms, key, started: None, issued: 0, used: BTreeMap::new(), forgotten: None }
    }

    /// The realm that HA1s are made for.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The WWW-Authenticate headers of a 401, one per algorithm. `stale`: after [`Verdict::Stale`].
    #[must_use]
    pub fn challenge(&mut self, stale: bool, now: Instant) -> Headers {
        self.challenge_with(&self.algorithms.clone(), stale, now)
    }

    /// The same for whoever sent `request`, without what its user agent stumbles over: baresip gives up when any challenge
    /// names an algorithm that it lacks, wherever that stands, and sipp looks at the first challenge only. Who doesn't name
    /// itself is offered everything (RFC 8760 2.4).
    #[must_use]
    pub fn challenge_for(&mut self, request: &Request, stale: bool, now: Instant) -> Headers {
        let known = known_to(&request.headers);
        let offered: Vec<_> = self.algorithms.iter().copied().filter(|algorithm| known.contains(algorithm)).collect();
        if offered.is_empty() { self.challenge(stale, now) } else { self.challenge_with(&offered, stale, now) }
    }

    fn challenge_with(&mut self, algorithms: &[Algorithm], stale: bool, now: Instant) -> Headers {
        let mut headers = Headers::new();
        for algorithm in algorithms.iter().copied() {
            let nonce = self.issue(now);
            let (realm, qop) = (self.realm.clone(), vec!["auth".to_owned()]);
            headers.push("WWW-Authenticate", Challenge { realm, nonce, opaque: None, algorithm, session: false, stale, qop });
        }
        headers
    }

    /// Checks a request's Authorization (or Proxy-Authorization).
    ///
    /// `ha1` gives the stored HA1 of a user for an algorithm, in lower-case hexadecimal. The hashed `uri` is not compared
    /// with the Request-URI: proxies rewrite that, and some user agents hash the server's address; `nc` forbids replay.
    pub fn check(&mut self, request: &Request, ha1: impl Fn(&str, Algorithm) -> Option<String>, now: Instant) -> Verdict {
        let Some(given) = self.given(&request.headers) else { return Verdict::Missing };
        let username = given.username.clone();
        let Some(issued_at) = self.issued_at(&given.nonce, now) else {
            // Not ours, as after a restart: nothing is proven wrong, a fresh nonce will tell.
            return if self.is_right(&given, request, &ha1) {
                Verdict::Stale { username }
            } else {
                Verdict::Refused { username }
            };
        };
        if !self.is_right(&given, request, &ha1) {
            return Verdict::Refused { username };
        }
        if self.elapsed(now).saturating_sub(issued_at) > NONCE_LIFETIME {
            return Verdict::Stale { username };
        }
        let Some(nc) = given.nc else { return Verdict::Refused { username } };
        let is_forgotten = self.forgotten.is_some_and(|forgotten| issued_at <= forgotten);
        if is_forgotten && !self.used.contains_key(&given.nonce) {
            return Verdict::Stale { username };
        }
        self.forget_old(now);
        if self.count(&given.nonce, nc, issued_at) { Verdict::Accepted { username } } else { Verdict::Stale { username } }
    }

    fn given(&self, headers: &Headers) -> Option<Authorization> {
        let lines = [Place::Server, Place::Proxy].into_iter().flat_map(|place| headers.all(place.header()));
        lines.filter_map(Authorization::parse).find(|given| given.realm == self.realm)
    }

    fn is_right(&self, given: &Authorization, request: &Request, ha1: &impl Fn(&str, Algorithm) -> Option<String>) -> bool {
        let known = ha1(&given.username, given.algorithm);
        // An unknown user costs as much time as a wrong password.
        let known_ha1 = known.clone().unwrap_or_else(|| hex(&self.key));
        let nc = format!("{:08x}", given.nc.unwrap_or_default());
        let input = ResponseInput {
            algorithm: given.algorithm,
            session: given.session,
            ha1: &known_ha1,
            nonce: &given.nonce,
            cnonce: &given.cnonce,
            nc: &nc,
            qop: given.qop.as_deref(),
            method: request.method.as_str(),
            uri: &given.uri,
            body: &request.body,
        };
        let matches = input.response().as_bytes().ct_eq(given.response.to_ascii_lowercase().as_bytes());
        let offered = self.algorithms.contains(&given.algorithm) && matches!(given.qop.as_deref(), Some("auth" | "auth-int"));
        bool::from(matches) && known.is_some() && offered
    }

    /// Takes note of a counter; `false` if it was used before.
    fn count(&mut self, nonce: &str, nc: u32, issued_at: Duration) -> bool {
        let used = self.used.entry(nonce.to_owned()).or_insert_with(|| Used { issued_at, highest: 0, seen: BTreeSet::new() });
        if nc == 0 || nc.saturating_add(NC_WINDOW) <= used.highest || !used.seen.insert(nc) {
            return false;
        }
        used.highest = used.highest.max(nc);
        let oldest = used.highest.saturating_sub(NC_WINDOW);
        used.seen.retain(|seen| *seen > oldest);
        true
    }

    fn forget_old(&mut self, now: Instant) {
        if self.used.len() < MOST_USED {
            return;
        }
        let elapsed = self.elapsed(now);
        self.used.retain(|_, used| elapsed.saturating_sub(used.issued_at) <= NONCE_LIFETIME);
        // Nonces begin with their time, so the first is the oldest. A tenth at once, or each request would pay for it.
        while self.used.len() > MOST_USED - MOST_USED / 10 {
            let Some((_, oldest)) = self.used.pop_first() else { return };
            self.forgotten = self.forgotten.max(Some(oldest.issued_at));
        }
    }

    fn issue(&mut self, now: Instant) -> String {
        self.started.get_or_insert(now);
        self.issued += 1;
        let mut stamp = [0; 16];
        let millis = u64::try_from(self.elapsed(now).as_millis()).unwrap_or(u64::MAX);
        stamp[..8].copy_from_slice(&millis.to_be_bytes());
        stamp[8..].copy_from_slice(&self.issued.to_be_bytes());
        format!("{}{}", hex(&stamp), self.seal(&hex(&stamp)))
    }

    /// When the nonce was issued, as time since the first one; `None` if it is not one of ours.
    fn issued_at(&self, nonce: &str, now: Instant) -> Option<Duration> {
        let (stamp, seal) = nonce.split_at_checked(32)?;
        let genuine = bool::from(self.seal(stamp).as_bytes().ct_eq(seal.as_bytes()));
        let millis = u64::from_str_radix(stamp.get(..16)?, 16).ok().filter(|_| genuine)?;
        Some(Duration::from_millis(millis)).filter(|at| *at <= self.elapsed(now))
    }

    fn seal(&self, stamp: &str) -> String {
        let inner = Sha256::new().chain_update(self.key).chain_update(stamp).finalize();
        let outer = Sha256::new().chain_update(self.key).chain_update(inner).finalize();
        hex(&outer[..16])
    }

    fn elapsed(&self, now: Instant) -> Duration {
        self.started.map_or(Duration::ZERO, |started| now.saturating_duration_since(started))
    }
}

/// What a user agent can be offered without harm.
fn known_to(headers: &Headers) -> &'static [Algorithm] {
    let user_agent = headers.get("User-Agent").unwrap_or_default();
    let is_one_of = |names: &[&str]| names.iter().any(|name| user_agent.starts_with(name));
    if is_one_of(&["baresip v0.", "baresip v1.", "baresip v2.", "sipp"]) {
        &[Algorithm::Md5]
    } else if is_one_of(&["baresip"]) {
        &[Algorithm::Sha256, Algorithm::Md5]
    } else {
        &[Algorithm::Sha256, Algorithm::Sha512_256, Algorithm::Md5]
    }
}

impl Place {
    fn header(self) -> &'static str {
        match self {
            Self::Server => "Authorization",
            Self::Proxy => "Proxy-Authorization",
        }
    }
}
