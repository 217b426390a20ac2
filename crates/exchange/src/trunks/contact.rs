//! Our address as a trunk's peer reaches it.

use std::net::SocketAddr;

use aftertone_sip::{Flow, NameAddr, Response, Uri};

use super::Line;
use crate::requests::contact_of;

/// Our contact there: with the address that the peer sees, where that is another one.
pub(crate) fn of(line: &Line, flow: Flow) -> Uri {
    contact_of(Flow { local: line.seen_as.unwrap_or(flow.local), ..flow }, &line.contact_user).uri
}

/// The same for the calls over it.
pub(crate) fn in_calls(line: &Line, flow: Flow) -> NameAddr {
    NameAddr::new(of(line, flow))
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
