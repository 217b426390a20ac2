//! A plain RTP leg: its sockets, and from whom it takes packets.

use std::{
    borrow::Cow,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use aftertone_exchange::MediaFailure;
use aftertone_media::sdp::{Crypto, Suite};
use tokio::task::JoinHandle;

use super::{ports::PortPair, reports::Reports, srtp::Srtp};

/// A source that is silent for so long may have been moved by its NAT.
const MOVED_AFTER: Duration = Duration::from_secs(2);

/// The sockets of one leg. The task that reads them ends with it.
pub(super) struct RtpLeg {
    pub(super) sockets: Rc<PortPair>,
    pub(super) latch: Latch,
    /// Of this leg alone; enough for a key and salt of any suite.
    secret: [u8; 46],
    srtp: Option<Srtp>,
    pub(super) reports: Reports,
    reader: JoinHandle<()>,
}

impl RtpLeg {
    pub(super) fn new(sockets: Rc<PortPair>, reader: JoinHandle<()>, now: Instant) -> Self {
        // ChaCha12, seeded by the system.
        Self { sockets, latch: Latch::default(), secret: rand::random(), srtp: None, reports: Reports::new(now), reader }
    }

    /// Our key for a line of a description.
    pub(super) fn key(&self, tag: u32, suite: Suite) -> Option<Crypto> {
        Crypto::new(tag, suite, &self.secret)
    }

    /// The other end has described itself with this key, or without any.
    pub(super) fn describe_key(&mut self, theirs: Option<Crypto>) -> Result<(), MediaFailure> {
        let Some(theirs) = theirs else {
            self.srtp = None;
            return Ok(());
        };
        let no_cipher = || MediaFailure::Failed("no cipher".into());
        let ours = self.key(theirs.tag, theirs.suite).ok_or_else(no_cipher)?;
        if !self.srtp.as_ref().is_some_and(|srtp| srtp.is(&ours, &theirs)) {
            self.srtp = Some(Srtp::new(ours, theirs).ok_or_else(no_cipher)?);
        }
        Ok(())
    }

    /// The RTP packet in a datagram: decrypted, or `None` if it is not authentic.
    pub(super) fn open<'a>(&mut self, datagram: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        match &mut self.srtp {
            Some(srtp) => srtp.decrypt(datagram).map(|packet| Cow::Owned(packet.to_vec())),
            None => Some(Cow::Borrowed(datagram)),
        }
    }

    /// Sends to the other end, if it is known where that is; a full socket drops the packet, for it would be late.
    pub(super) fn send(&mut self, datagram: &[u8]) {
        let Some(to) = self.latch.target() else { return };
        // ICMP's answers to earlier packets come up here too; both mean nothing for this one.
        let _ = match &mut self.srtp {
            Some(srtp) => match srtp.encrypt(datagram) {
                Some(encrypted) => self.sockets.rtp.try_send_to(&encrypted, to),
                None => return,
            },
            None => self.sockets.rtp.try_send_to(datagram, to),
        };
    }
}

impl RtpLeg {
    /// Sends a report to where the other end listens for reports.
    pub(super) fn send_report(&mut self, report: &[u8]) {
        let Some(to) = self.latch.report_target() else { return };
        let _ = match &mut self.srtp {
            Some(srtp) => match srtp.encrypt_report(report) {
                Some(encrypted) => self.sockets.rtcp.try_send_to(&encrypted, to),
                None => return,
            },
            None => self.sockets.rtcp.try_send_to(report, to),
        };
    }

    /// The report in a datagram, if it is the other end's.
    pub(super) fn open_report<'a>(&mut self, from: SocketAddr, datagram: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        match &mut self.srtp {
            Some(srtp) => srtp.decrypt_report(datagram).map(|report| Cow::Owned(report.to_vec())),
            None => self.latch.target().filter(|known| known.ip() == from.ip()).map(|_| Cow::Borrowed(datagram)),
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
    /// Where the description wants reports.
    pub(super) reports: Option<SocketAddr>,
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

    /// Where to send reports: the port above the one for packets (RFC 3550 section 11), unless the description says otherwise.
    fn report_target(&self) -> Option<SocketAddr> {
        let target = self.target()?;
        match (self.reports, self.described) {
            (Some(reports), Some(described)) if described == target => Some(reports),
            _ => Some(SocketAddr::new(target.ip(), target.port().checked_add(1)?)),
        }
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
