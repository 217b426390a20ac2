use std::collections::BTreeMap;

use super::{Algorithm, Authorization, Challenge, Credentials, ResponseInput};
use crate::message::{Request, Response};

/// A client's memory of challenges: answers them, and goes on using a nonce with a growing counter (RFC 7616 3.4).
#[derive(Debug, Clone)]
pub(crate) struct Authorizer {
    credentials: Credentials,
    /// By header of the answer and realm.
    known: BTreeMap<(&'static str, String), Known>,
}

#[derive(Debug, Clone)]
struct Known {
    challenge: Challenge,
    nc: u32,
}

/// What one request has been challenged with so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Challenged {
    answered: Vec<(&'static str, String)>,
    rounds: u32,
}

/// A server and some proxies may each ask, and each nonce may be stale once; more is a mistake of somebody's.
const MOST_ROUNDS: u32 = 5;

impl Authorizer {
    pub(crate) fn new(credentials: Credentials) -> Self {
        Self { credentials, known: BTreeMap::new() }
    }

    pub(crate) fn is_of(&self, credentials: &Credentials) -> bool {
        self.credentials == *credentials
    }

    /// Takes the challenges of a 401 or 407; whether trying again makes sense.
    pub(crate) fn take_challenges(&mut self, response: &Response, so_far: &mut Challenged) -> bool {
        so_far.rounds += 1;
        if so_far.rounds > MOST_ROUNDS {
            return false;
        }
        let mut worth_trying = false;
        for (asked, answered) in [("WWW-Authenticate", "Authorization"), ("Proxy-Authenticate", "Proxy-Authorization")] {
            let all: Vec<_> = response.headers.all(asked).flat_map(Challenge::parse_all).collect();
            for challenge in self.choose(all) {
                let place = (answered, challenge.realm.clone());
                let is_new = !so_far.answered.contains(&place);
                if is_new || challenge.stale {
                    worth_trying = true;
                    so_far.answered.push(place.clone());
                    self.known.insert(place, Known { challenge, nc: 0 });
                }
            }
        }
        worth_trying
    }

    /// Writes the answers to all known challenges into a request.
    pub(crate) fn authorize(&mut self, request: &mut Request, cnonce: &str) {
        request.headers.remove("Authorization");
        request.headers.remove("Proxy-Authorization");
        let uri = request.uri.to_string();
        for ((header, _), known) in &mut self.known {
            known.nc += 1;
            if let Some(answer) = answer(known, &self.credentials, request, &uri, cnonce) {
                request.headers.push(header, answer);
            }
        }
    }

    /// With a secret for its hash, and a quality of protection that is known (RFC 7616 3.3).
    fn can_answer(&self, challenge: &Challenge) -> bool {
        let is_known = challenge.qop.is_empty() || challenge.qop.iter().any(|qop| matches!(qop.as_str(), "auth" | "auth-int"));
        is_known && self.credentials.ha1(challenge.algorithm, &challenge.realm).is_some()
    }

    /// One challenge per realm: the first with a strong hash, else the first at all (RFC 8760 2.4).
    fn choose(&self, all: Vec<Challenge>) -> Vec<Challenge> {
        let mut chosen: BTreeMap<String, Challenge> = BTreeMap::new();
        for challenge in all.into_iter().filter(|challenge| self.can_answer(challenge)) {
            match chosen.get(&challenge.realm) {
                Some(better) if better.algorithm != Algorithm::Md5 || challenge.algorithm == Algorithm::Md5 => {}
                Some(_) | None => {
                    chosen.insert(challenge.realm.clone(), challenge);
                }
            }
        }
        chosen.into_values().collect()
    }
}

fn answer(known: &Known, credentials: &Credentials, request: &Request, uri: &str, cnonce: &str) -> Option<Authorization> {
    let Known { challenge, nc } = known;
    let offers = |qop: &str| challenge.qop.iter().any(|offered| offered == qop);
    let qop = ["auth", "auth-int"].into_iter().find(|qop| offers(qop));
    let ha1 = credentials.ha1(challenge.algorithm, &challenge.realm)?;
    let input = ResponseInput {
        algorithm: challenge.algorithm,
        session: challenge.session,
        ha1: &ha1,
        nonce: &challenge.nonce,
        cnonce,
        nc: &format!("{nc:08x}"),
        qop,
        method: request.method.as_str(),
        uri,
        body: &request.body,
    };
    Some(Authorization {
        username: credentials.username.clone(),
        realm: challenge.realm.clone(),
        nonce: challenge.nonce.clone(),
        uri: uri.to_owned(),
        response: input.response(),
        algorithm: challenge.algorithm,
        session: challenge.session,
        cnonce: cnonce.to_owned(),
        opaque: challenge.opaque.clone(),
        qop: qop.map(str::to_owned),
        nc: qop.map(|_| *nc),
    })
}
