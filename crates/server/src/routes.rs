//! Which of our addresses the other side of a datagram can reach.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

use crate::public::Public;

/// Answers from the routing table, remembered.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    public: Public,
    known: HashMap<IpAddr, IpAddr>,
}

/// The table may change and the memory must not grow: beyond so many peers it starts anew.
const MAX_KNOWN: usize = 4096;

impl Routes {
    /// `public`: what peers beyond private networks reach us at.
    pub(crate) fn new(public: Public) -> Self {
        Self { public, known: HashMap::new() }
    }

    /// The local end of a flow over a socket bound to `bound`, never the unspecified address if a route exists.
    pub(crate) fn local(&mut self, bound: SocketAddr, remote: IpAddr) -> SocketAddr {
        let remote = remote.to_canonical();
        let public = self.public.get().filter(|public| public.is_ipv4() == remote.is_ipv4() && !is_private(remote));
        let address = match public {
            Some(public) => public,
            None if bound.ip().is_unspecified() => self.route_to(remote).unwrap_or(bound.ip()),
            None => bound.ip(),
        };
        SocketAddr::new(address, bound.port())
    }

    /// The routing table has changed.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
    }

    fn route_to(&mut self, remote: IpAddr) -> Option<IpAddr> {
        if let Some(known) = self.known.get(&remote) {
            return Some(*known);
        }
        let local = aftertone_net::route_to(remote)?;
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        self.known.insert(remote, local);
        Some(local)
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_link_local() || address.is_loopback(),
        IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local() || address.is_loopback(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn check(public: Option<&str>, bound: &str, remote: &str, expect: &str) {
        let mut routes = Routes::new(Public::new(public.map(|public| public.parse().unwrap())));
        assert_eq!(routes.local(bound.parse().unwrap(), remote.parse().unwrap()).to_string(), expect);
    }

    #[test]
    fn a_peer_is_told_an_address_that_it_reaches() {
        check(None, "0.0.0.0:5060", "127.0.0.1", "127.0.0.1:5060");
        check(Some("198.51.100.7"), "0.0.0.0:5060", "127.0.0.1", "127.0.0.1:5060");
        check(Some("198.51.100.7"), "0.0.0.0:5060", "203.0.113.9", "198.51.100.7:5060");
        check(Some("198.51.100.7"), "10.0.0.4:5060", "10.0.0.9", "10.0.0.4:5060");
        check(None, "10.0.0.4:5060", "203.0.113.9", "10.0.0.4:5060");
        check(None, "[::]:5060", "::1", "[::1]:5060");
    }
}
