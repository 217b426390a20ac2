//! Our address as a trunk's peer reaches it.

use std::net::{IpAddr, SocketAddr};

use aftertone_sip::{Flow, NameAddr, Response, Uri};

use super::{Line, LineId};
use crate::{Exchange, Towards, requests::contact_of};

impl Exchange {
    /// Where the other end of a call reaches us: over a trunk where that sees us.
    pub(crate) fn contact_in_calls(&self, line: Option<LineId>, flow: Flow) -> NameAddr {
        match line.and_then(|line| self.lines.get(&line)) {
            Some(line) => line.contact_over(flow),
            None => contact_of(flow, "call"),
        }
    }

    /// The same for the sound of a call.
    pub(crate) fn towards(&self, line: Option<LineId>, flow: Flow) -> Towards {
        let seen_as = line.and_then(|line| self.lines.get(&line)?.nat());
        Towards { ip: flow.remote.ip(), seen_as: seen_as.filter(|seen| seen.is_ipv4() == flow.local.is_ipv4()) }
    }

    /// Whether a peer of ours calls us by this address: a NAT's that stands in between.
    pub(crate) fn is_seen_as(&self, ip: IpAddr) -> bool {
        self.lines.values().any(|line| line.nat() == Some(ip))
    }
}

impl Line {
    /// Our contact there: with the address that the peer sees, where that is another one.
    pub(crate) fn contact_over(&self, flow: Flow) -> NameAddr {
        let is_own = self.flow.is_none_or(|own| own.transport == flow.transport);
        // Another transport goes through another hole in the NAT; what its port becomes there nobody has said.
        let local = match self.seen_as.filter(|seen| seen.is_ipv4() == flow.local.is_ipv4()) {
            Some(seen) if is_own => seen,
            Some(seen) => SocketAddr::new(seen.ip(), flow.local.port()),
            None => flow.local,
        };
        contact_of(Flow { local, ..flow }, &self.contact_user)
    }

    /// The address that a NAT gives us there, if there is one.
    pub(crate) fn nat(&self) -> Option<IpAddr> {
        let own = self.flow?.local.ip().to_canonical();
        self.seen_as.map(|seen| seen.ip().to_canonical()).filter(|seen| *seen != own)
    }
}

/// The contact that is bound there.
pub(super) fn of(line: &Line, flow: Flow) -> Uri {
    line.contact_over(flow).uri
}

/// What the registrar says that our contact holds for, in seconds.
pub(super) fn granted(response: &Response, contact: &Uri) -> Option<u32> {
    let contacts = response.headers.contacts();
    let ours = contacts.iter().find(|bound| bound.uri.is_equivalent(contact));
    ours.and_then(NameAddr::expires).or(response.headers.expires())
}

/// Takes our address out of the response's Via (RFC 3581); whether it is another one than we thought.
pub(super) fn learn(line: &mut Line, flow: Flow, response: &Response) -> bool {
    let Ok(via) = response.headers.top_via() else { return false };
    let believed = line.seen_as.unwrap_or(flow.local);
    let ip = via.params.get("received").and_then(|received| received.trim_matches(['[', ']']).parse().ok());
    // Over a stream the port is only that of this connection, but then the connection is what counts.
    let port = via.params.get("rport").and_then(|port| port.parse().ok()).filter(|_| !flow.transport.is_reliable());
    let seen = SocketAddr::new(ip.unwrap_or(flow.local.ip()), port.unwrap_or(flow.local.port()));
    if seen == believed {
        return false;
    }
    line.seen_as = Some(seen);
    true
}
