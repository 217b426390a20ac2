//! The pool of RTP ports.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    sync::{Arc, Mutex, PoisonError},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

/// Room for about two seconds of packets while a worker is busy elsewhere.
const RECEIVE_BUFFER: usize = 256 * 1024;

/// Even ports, each taken by one leg at a time. They are handed out in turn, so that a port rests as long as possible
/// before strangers' late packets can reach its next leg.
#[derive(Debug, Clone)]
pub(super) struct Ports(Arc<Mutex<Pool>>);

#[derive(Debug)]
struct Pool {
    free: std::collections::VecDeque<u16>,
}

/// A port pair with its two sockets (RTP, RTCP); goes back to the pool when it is dropped.
#[derive(Debug)]
pub(super) struct PortPair {
    pub(super) rtp: UdpSocket,
    pub(super) rtcp: UdpSocket,
    port: u16,
    ports: Ports,
}

impl Ports {
    pub(super) fn new(range: RangeInclusive<u16>) -> io::Result<Self> {
        let even = |port: &u16| port.is_multiple_of(2) && *port > 0 && *port < *range.end();
        let free: std::collections::VecDeque<_> = range.clone().filter(even).collect();
        if free.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the range of RTP ports holds no pair of ports"));
        }
        Ok(Self(Arc::new(Mutex::new(Pool { free }))))
    }

    /// Binds the next free pair; ports that something else holds are passed over. `None`: there is none left.
    pub(super) fn take(&self, bind: IpAddr) -> Option<PortPair> {
        let tries = self.lock().free.len();
        for _ in 0..tries {
            let port = self.lock().free.pop_front()?;
            let bound =
                bind_udp(SocketAddr::new(bind, port)).and_then(|rtp| Ok((rtp, bind_udp(SocketAddr::new(bind, port + 1))?)));
            match bound {
                Ok((rtp, rtcp)) => return Some(PortPair { rtp, rtcp, port, ports: self.clone() }),
                Err(error) => {
                    tracing::debug!(port, %error, "an RTP port is passed over");
                    self.lock().free.push_back(port);
                }
            }
        }
        None
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PortPair {
    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for PortPair {
    fn drop(&mut self) {
        self.ports.lock().free.push_back(self.port);
    }
}

/// A UDP socket for this very family of addresses (`::` does not take IPv4's packets), to be used by the runtime of the
/// calling thread.
pub(super) fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A smaller buffer than asked for is no reason to refuse a call.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn a_pool_hands_out_even_ports_until_it_is_empty_and_takes_them_back() {
        let ports = Ports::new(29_001..=29_005).expect("a range");
        let first = ports.take(LOOPBACK).expect("a pair");
        let second = ports.take(LOOPBACK).expect("another");
        assert_eq!([first.port(), second.port()], [29_002, 29_004]);
        assert!(ports.take(LOOPBACK).is_none());
        drop(first);
        assert_eq!(ports.take(LOOPBACK).map(|pair| pair.port()), Some(29_002));
    }

    #[tokio::test]
    async fn a_port_that_something_else_holds_is_passed_over() {
        let _held = std::net::UdpSocket::bind((LOOPBACK, 29_013)).expect("a socket");
        let ports = Ports::new(29_012..=29_015).expect("a range");
        assert_eq!(ports.take(LOOPBACK).map(|pair| pair.port()), Some(29_014));
    }

    #[test]
    fn a_range_without_a_pair_is_refused() {
        assert!(Ports::new(29_001..=29_001).is_err());
        assert!(Ports::new(29_002..=29_002).is_err());
    }
}
