//! Which of our addresses a peer can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use aftertone_exchange::Towards;

/// The address that a description for `peer` names: what the peer sees us as, if it has said so; loopback for loopback, the
/// local one inside a private network, otherwise the public one, if there is one.
pub(super) fn reachable(bind: IpAddr, public: Option<IpAddr>, peer: Towards) -> IpAddr {
    if let Some(seen) = peer.seen_as {
        return seen;
    }
    let peer = peer.ip.to_canonical();
    let public = public.filter(|public| public.is_ipv4() == peer.is_ipv4());
    if peer.is_loopback() && (bind.is_unspecified() || bind.is_loopback()) {
        return if peer.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    }
    let local = if bind.is_unspecified() { route_to(peer).unwrap_or(bind) } else { bind };
    match public {
        Some(public) if !is_private(peer) || local.is_unspecified() => public,
        Some(_) | None => local,
    }
}

/// The wildcard or bound address for sockets that talk to `peer`: `bind`, but of the peer's family if it is unspecified.
pub(super) fn bind_for(bind: IpAddr, peer: IpAddr) -> IpAddr {
    match (bind.is_unspecified(), peer.to_canonical()) {
        (false, _) => bind,
        (true, IpAddr::V4(_)) => Ipv4Addr::UNSPECIFIED.into(),
        (true, IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// The local address of the route to a peer; nothing is sent.
pub(super) fn route_to(peer: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(SocketAddr::new(peer, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// This machine's address towards the world, if it has one.
pub(super) fn outward() -> Option<IpAddr> {
    // RFC 5737: an address of nobody; only the routing table is asked.
    route_to(Ipv4Addr::new(192, 0, 2, 1).into()).filter(|address| !address.is_loopback() && !address.is_unspecified())
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_link_local() || address.is_loopback(),
        IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local() || address.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    const PUBLIC: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn peer(text: &str) -> Towards {
        address(text).into()
    }

    #[test]
    fn a_peer_on_this_machine_is_given_loopback() {
        assert_eq!(reachable(ANY, Some(PUBLIC), peer("127.0.0.1")), address("127.0.0.1"));
        assert_eq!(reachable(ANY, Some(PUBLIC), peer("::ffff:127.0.0.1")), address("127.0.0.1"));
        assert_eq!(reachable(ANY, Some(PUBLIC), peer("::1")), address("::1"));
    }

    #[test]
    fn a_peer_in_the_world_is_given_the_public_address() {
        assert_eq!(reachable(ANY, Some(PUBLIC), peer("203.0.113.9")), PUBLIC);
        assert_eq!(reachable(address("10.0.0.4"), Some(PUBLIC), peer("203.0.113.9")), PUBLIC);
    }

    #[test]
    fn a_peer_in_a_private_network_is_given_the_local_address() {
        assert_eq!(reachable(address("10.0.0.4"), Some(PUBLIC), peer("10.0.0.9")), address("10.0.0.4"));
        assert_eq!(reachable(address("10.0.0.4"), None, peer("203.0.113.9")), address("10.0.0.4"));
    }

    #[test]
    fn a_public_address_of_the_other_family_is_not_used() {
        assert_eq!(reachable(address("2001:db8::4"), Some(PUBLIC), peer("2001:db8::9")), address("2001:db8::4"));
    }

    #[test]
    fn a_peer_that_sees_us_behind_a_nat_is_given_what_it_sees() {
        let seen_as = Some(address("203.0.113.77"));
        for ip in ["203.0.113.9", "10.0.0.9"].map(address) {
            assert_eq!(reachable(address("10.0.0.4"), Some(PUBLIC), Towards { ip, seen_as }), address("203.0.113.77"));
        }
    }
}
