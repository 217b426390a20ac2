use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use aftertone_sip::{Flow, RequestId, Uri};

use super::{keeping, moved::Place};
use crate::{Network, ReachId, TrunkAccount, TrunkFailure, TrunkReport, TrunkState, TrunkStep, Way};

/// A trunk that runs. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LineId(pub(crate) u64);

/// What a line waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waits {
    Nothing,
    Locate(ReachId),
    Reach(ReachId),
    /// To REGISTER or OPTIONS.
    Response(RequestId),
}

#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) account: TrunkAccount,
    /// Where it is, for the look-up.
    pub(crate) server: Uri,
    pub(crate) networks: Vec<Network>,
    /// The user part of our contact there, which nobody else knows.
    pub(crate) contact_user: String,
    /// Registrations keep theirs (RFC 3261 section 10.2.4).
    pub(crate) call_id: String,
    /// Ways not tried yet.
    pub(crate) ways: VecDeque<Way>,
    /// The peer's addresses.
    pub(crate) peers: Vec<IpAddr>,
    pub(crate) flow: Option<Flow>,
    pub(crate) is_up: bool,
    pub(crate) refused: bool,
    pub(crate) waits: Waits,
    /// Timers of earlier rounds mean nothing.
    pub(crate) round: u64,
    /// In a row.
    pub(crate) failures: u32,
    /// What the last try failed at.
    pub(crate) failure: Option<TrunkFailure>,
    /// What is asked for; a 423 raises it.
    pub(crate) expires: u32,
    /// Our address as the peer sees it, where a NAT stands in between (RFC 3581).
    pub(crate) seen_as: Option<SocketAddr>,
    /// How it was reached when it worked last: its calls go there.
    pub(super) place: Option<Place>,
    /// It was told so in this registration already: a NAT that gives a new port to each request is not run after.
    pub(crate) corrected: bool,
    /// The contact that is bound there.
    pub(crate) bound: Option<Uri>,
    /// RFC 3608.
    pub(crate) service_route: Vec<String>,
    /// A proxy on the way doesn't keep flows (RFC 5626 section 6: 439).
    pub(crate) lacks_outbound: bool,
    /// How often the way is kept open.
    pub(crate) keep_every: Duration,
    /// The peer says that it answers keepalives.
    pub(crate) promises_pongs: bool,
    /// How often the last keepalive was sent.
    pub(crate) pinged: u32,
    /// The peer answers keepalives: it has done it, or over a stream it has said so.
    pub(crate) owes_pongs: bool,
    /// Something came over its flow since the last keepalive.
    pub(crate) was_heard: bool,
}

impl Line {
    /// `None` if its server is no address.
    pub(crate) fn new(account: TrunkAccount, contact_user: String, call_id: String) -> Option<Self> {
        let server = server_uri(&account.trunk.server)?;
        let networks = account.trunk.peers.iter().filter_map(|peer| peer.parse().ok()).collect();
        let expires = account.trunk.expires;
        Some(Self {
            account,
            server,
            networks,
            contact_user,
            call_id,
            ways: VecDeque::new(),
            peers: Vec::new(),
            flow: None,
            is_up: false,
            refused: false,
            waits: Waits::Nothing,
            round: 0,
            failures: 0,
            failure: None,
            expires,
            seen_as: None,
            place: None,
            corrected: false,
            bound: None,
            service_route: Vec::new(),
            lacks_outbound: false,
            keep_every: keeping::EVERY,
            promises_pongs: false,
            pinged: 0,
            owes_pongs: false,
            was_heard: false,
        })
    }

    pub(crate) fn state(&self) -> TrunkState {
        match (self.is_up, self.refused, self.failures) {
            (true, ..) => TrunkState::Up,
            (false, true, _) => TrunkState::Refused,
            (false, false, 0) => TrunkState::Connecting,
            (false, false, _) => TrunkState::Unreachable,
        }
    }

    pub(crate) fn report(&self) -> TrunkReport {
        let step = match (self.is_up, self.waits) {
            (true, _) => TrunkStep::Up,
            (false, Waits::Locate(_)) => TrunkStep::Locating,
            (false, Waits::Reach(_)) => TrunkStep::Connecting,
            (false, Waits::Response(_)) => TrunkStep::Registering,
            (false, Waits::Nothing) => TrunkStep::Waiting,
        };
        TrunkReport { step, failure: self.failure, failures: self.failures }
    }

    /// Forgets the flow, and every timer that runs.
    pub(crate) fn begin(&mut self, waits: Waits) {
        self.round += 1;
        self.flow = None;
        self.is_up = false;
        // Another machine may be another program.
        self.owes_pongs = false;
        self.waits = waits;
    }

    pub(crate) fn is_of_peer(&self, ip: IpAddr) -> bool {
        self.peers.contains(&ip) || self.networks.iter().any(|network| network.contains(ip))
    }

    /// Whether this is the way that the line itself uses.
    pub(crate) fn uses(&self, flow: Flow) -> bool {
        self.flow.is_some_and(|own| match own.connection {
            Some(connection) => flow.connection == Some(connection),
            None => flow.connection.is_none() && flow.remote == own.remote,
        })
    }

    /// The host of addresses there.
    pub(crate) fn domain(&self) -> String {
        self.account.trunk.domain.clone().unwrap_or_else(|| self.server.host().to_owned())
    }

    /// An address there. Without a domain of its own the peer is meant at its port.
    pub(crate) fn address(&self, user: &str) -> Uri {
        let uri = Uri::sip(user, &self.domain());
        match (&self.account.trunk.domain, self.server.port()) {
            (None, Some(port)) => uri.with_port(port),
            (Some(_), _) | (None, None) => uri,
        }
    }
}

/// `HOST`, `HOST:PORT`, or a URI.
fn server_uri(text: &str) -> Option<Uri> {
    let text = text.trim();
    let is_uri = text.starts_with("sip:") || text.starts_with("sips:");
    let uri: Uri = if is_uri { text.parse().ok()? } else { format!("sip:{text}").parse().ok()? };
    (!uri.host().is_empty()).then_some(uri)
}
