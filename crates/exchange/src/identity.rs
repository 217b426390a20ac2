//! Who sent a request, and what is ours in it.

use std::time::Instant;

use aftertone_model::{DeviceId, SubscriberId};
use aftertone_sip::{
    Flow, Headers, Request, ResponseParts, Uri,
    digest::{Algorithm, Authorization, Verdict, Verifier},
};

use crate::{Directory, Exchange, ExchangeConfig, directory::PhoneCredentials};

/// Somebody who has shown who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) person: SubscriberId,
    pub(crate) device: DeviceId,
    /// By digest; otherwise by the connection.
    pub(crate) is_phone: bool,
}

/// After so many seconds somebody who asks too often may ask again.
const RETRY_AFTER: u32 = 10;

/// A request without a valid proof of its sender: to be challenged with these headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unproven(pub(crate) Headers);

impl Exchange {
    /// Who sent this: by the connection, or by digest.
    pub(crate) fn identify(&mut self, request: &Request, flow: Flow, now: Instant) -> Result<Identity, Unproven> {
        if let Some(identity) = self.connection_identity(flow) {
            return Ok(identity);
        }
        let (ip, user) = (flow.remote.ip(), digest_user(request));
        // Too many wrong ones: this one is not even looked at, which nobody can tell from a wrong one.
        if user.as_ref().is_some_and(|user| !self.guard.may_try(ip, user, now)) {
            return Err(Unproven(self.verifier.challenge_for(request, false, now)));
        }
        let found = check_digest(&mut self.verifier, &self.directory, request, now);
        match (&found, user) {
            (Digest::Right(_), user) => self.guard.proved(ip, &user.unwrap_or_default(), now),
            (Digest::Wrong, Some(user)) => self.guard.failed(ip, &user, now),
            (Digest::Wrong, None) => {
                let claimed = request.headers.from().ok().and_then(|from| from.uri.user().map(std::borrow::Cow::into_owned));
                self.guard.challenged(ip, &claimed.unwrap_or_default(), now);
            }
            (Digest::Stale, _) => {}
        }
        if self.guard.takes_news_of_ban(ip) {
            let calls = self.sessions.keys().filter_map(|session| self.ua.session_flow(*session));
            self.guard.spare(ip, calls.chain(self.bindings.flows()));
        }
        match found {
            Digest::Right(identity) => Ok(identity),
            Digest::Stale => Err(Unproven(self.verifier.challenge_for(request, true, now))),
            Digest::Wrong => Err(Unproven(self.verifier.challenge_for(request, false, now))),
        }
    }

    /// Whether limits for strangers don't apply: a device's own connection, a believed peer.
    pub(crate) fn is_exempt(&self, flow: Flow) -> bool {
        let ip = flow.remote.ip().to_canonical();
        self.is_trusted(flow)
            || self.is_trunk_peer(ip)
            || flow.connection.is_some_and(|id| matches!(self.connections.get(&id), Some(Some(_))))
    }

    /// Counts a request from outside of calls; one too many gets this answer.
    pub(crate) fn limited(&mut self, flow: Flow, now: Instant) -> Result<(), ResponseParts> {
        if self.is_exempt(flow) || self.guard.takes(flow.remote.ip(), now) {
            return Ok(());
        }
        Err(ResponseParts::new(503).with("Retry-After", RETRY_AFTER))
    }

    fn connection_identity(&self, flow: Flow) -> Option<Identity> {
        let (person, device) = self.connections.get(&flow.connection?).copied()??;
        // A revoked person may still have an open connection for a moment.
        self.directory.person(person)?;
        Some(Identity { person, device, is_phone: false })
    }

    /// Whether the person, and the phone if it is one, are still of the account.
    pub(crate) fn still_knows(&self, identity: Identity) -> bool {
        let is_known = self.directory.person(identity.person).is_some();
        is_known && (!identity.is_phone || self.directory.has_phone(identity.person, identity.device))
    }

    /// The person whose address this is; `None` for other domains and unknown names.
    pub(crate) fn person_at(&self, uri: &Uri, flow: Flow) -> Option<SubscriberId> {
        if !self.is_local(uri, flow) {
            return None;
        }
        Some(self.directory.find(&uri.user()?)?.subscriber.id)
    }

    /// A peer that is believed: by its address, or by the name that its connection has shown.
    pub(crate) fn is_trusted(&self, flow: Flow) -> bool {
        let by_name = flow.connection.is_some_and(|connection| self.believed.contains(&connection));
        by_name || self.config.trusted.iter().any(|network| network.contains(flow.remote.ip()))
    }
}

/// Whether the address is of our domain, or of one of the server's own addresses. Ports don't matter: a phone may be set up
/// with any of ours. `tel` numbers have no domain and are always ours to look up.
pub(crate) fn is_ours(config: &ExchangeConfig, uri: &Uri, flow: Flow) -> bool {
    if !uri.is_sip() {
        return *uri.scheme() == aftertone_sip::Scheme::Tel;
    }
    let host = uri.host();
    if host.eq_ignore_ascii_case(&config.domain) {
        return true;
    }
    match uri.host_ip() {
        Some(ip) => {
            let ip = ip.to_canonical();
            ip == flow.local.ip().to_canonical() || config.own_addresses.iter().any(|own| own.to_canonical() == ip)
        }
        None => host.eq_ignore_ascii_case("localhost") && flow.local.ip().to_canonical().is_loopback(),
    }
}

enum Digest {
    Right(Identity),
    Stale,
    Wrong,
}

/// Phones may share a digest user name, so every candidate is asked; without one, a lookup that finds nothing costs the same time.
fn check_digest(verifier: &mut Verifier, directory: &Directory, request: &Request, now: Instant) -> Digest {
    let Some(user) = digest_user(request) else { return Digest::Wrong };
    let mut found = Digest::Wrong;
    let mut asked = false;
    for (person, phone) in directory.credentials(&user) {
        asked = true;
        match verifier.check(request, |_, algorithm| ha1(phone, algorithm), now) {
            Verdict::Accepted { .. } => {
                return Digest::Right(Identity { person: person.subscriber.id, device: phone.device, is_phone: true });
            }
            Verdict::Stale { .. } => found = Digest::Stale,
            Verdict::Missing | Verdict::Refused { .. } => {}
        }
    }
    if !asked {
        verifier.check(request, |_, _| None, now);
    }
    found
}

fn digest_user(request: &Request) -> Option<String> {
    let headers = &request.headers;
    let mut lines = headers.all("Authorization").chain(headers.all("Proxy-Authorization"));
    lines.find_map(Authorization::parse).map(|given| given.username)
}

fn ha1(phone: &PhoneCredentials, algorithm: Algorithm) -> Option<String> {
    let known = match algorithm {
        Algorithm::Sha256 => &phone.ha1_sha256,
        Algorithm::Md5 => &phone.ha1_md5,
        Algorithm::Sha512_256 => &phone.ha1_sha512_256,
    };
    (!known.is_empty()).then(|| known.clone())
}
