//! A plain RTP leg: its sockets, and from whom it takes packets.

use std::{
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use super::ports::PortPair;

/// A source that is silent for so long may have been moved by its NAT.
const MOVED_AFTER: Duration = Duration::from_secs(2);

/// The sockets of one leg. The task that reads them ends with it.
pub(super) struct RtpLeg {
    pub(super) sockets: Rc<PortPair>,
    pub(super) latch: Latch,
    reader: JoinHandle<()>,
}

impl RtpLeg {
    pub(super) fn new(sockets: Rc<PortPair>, reader: JoinHandle<()>) -> Self {
        Self { sockets, latch: Latch::default(), reader }
    }

    /// Sends to the other end, if it is known where that is; a full socket drops the packet, for it would be late.
    pub(super) fn send(&self, datagram: &[u8]) {
        if let Some(to) = self.latch.target() {
            // ICMP's answers to earlier packets come up here too; both mean nothing for this one.
            let _ = self.sockets.rtp.try_send_to(datagram, to);
        }
    }
}

impl Drop for RtpLeg {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Symmetric RTP (RFC 4961): packets go where packets come from. The first source is kept and strangers are ignored, except
/// that the address in the description outranks a guess, and that a source may move by its NAT (same address and SSRC,
/// another port).
#[derive(Debug, Default)]
pub(super) struct Latch {
    described: Option<SocketAddr>,
    source: Option<Source>,
}

#[derive(Debug)]
struct Source {
    address: SocketAddr,
    ssrc: u32,
    last: Instant,
}

impl Latch {
    /// The other end's description names this address (`None`: none, or the unspecified one of an old-style hold).
    pub(super) fn describe(&mut self, address: Option<SocketAddr>) {
        if address.is_some() && address != self.described {
            self.described = address;
            self.source = None;
        }
    }

    /// Whether a valid packet from there is the other end's.
    pub(super) fn accept(&mut self, from: SocketAddr, ssrc: u32, now: Instant) -> bool {
        let accepted = match &self.source {
            None => true,
            Some(source) if source.address == from => true,
            Some(source) => {
                let moved = source.address.ip() == from.ip() && source.ssrc == ssrc && now >= source.last + MOVED_AFTER;
                moved || Some(from) == self.described
            }
        };
        if accepted {
            self.source = Some(Source { address: from, ssrc, last: now });
        }
        accepted
    }

    /// Where to send.
    pub(super) fn target(&self) -> Option<SocketAddr> {
        self.source.as_ref().map(|source| source.address).or(self.described)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    fn stranger() -> SocketAddr {
        ([203, 0, 113, 9], 4000).into()
    }

    #[test]
    fn packets_go_where_packets_come_from() {
        let now = Instant::now();
        let mut latch = Latch::default();
        assert_eq!(latch.target(), None);
        latch.describe(Some(address(4000)));
        assert_eq!(latch.target(), Some(address(4000)));
        assert!(latch.accept(address(6000), 1, now));
        assert_eq!(latch.target(), Some(address(6000)));
    }

    #[test]
    fn strangers_are_ignored_after_the_first_source() {
        let now = Instant::now();
        let mut latch = Latch::default();
        latch.describe(Some(address(4000)));
        assert!(latch.accept(address(4000), 1, now));
        assert!(!latch.accept(stranger(), 1, now + MOVED_AFTER * 2));
        assert_eq!(latch.target(), Some(address(4000)));
    }

    #[test]
    fn the_described_address_outranks_a_guess() {
        let now = Instant::now();
        let mut latch = Latch::default();
        latch.describe(Some(address(4000)));
        assert!(latch.accept(stranger(), 1, now));
        assert!(latch.accept(address(4000), 2, now));
        assert!(!latch.accept(stranger(), 1, now));
    }

    #[test]
    fn a_nat_may_move_the_port() {
        let now = Instant::now();
        let mut latch = Latch::default();
        assert!(latch.accept(address(4000), 1, now));
        assert!(!latch.accept(address(5000), 1, now + Duration::from_millis(100)));
        assert!(!latch.accept(address(5000), 2, now + MOVED_AFTER));
        assert!(latch.accept(address(5000), 1, now + MOVED_AFTER));
    }

    #[test]
    fn a_new_description_begins_anew() {
        let now = Instant::now();
        let mut latch = Latch::default();
        latch.describe(Some(address(4000)));
        assert!(latch.accept(address(4000), 1, now));
        latch.describe(Some(address(7000)));
        assert_eq!(latch.target(), Some(address(7000)));
        assert!(latch.accept(stranger(), 9, now));
    }
}
