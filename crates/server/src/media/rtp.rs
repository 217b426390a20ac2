//! A plain RTP leg: its sockets, and from whom it takes packets.

use std::{
    borrow::Cow,
    io::Read,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    time::{Duration, Instant},
};

use aftertone_exchange::MediaFailure;
use aftertone_media::sdp::{Crypto, Suite};
use socket2::SockRef;
use tokio::task::JoinHandle;

use super::{ports::PortPair, reports::Reports, srtp::Srtp, worker::LARGEST_DATAGRAM};

/// A source that is silent for so long may have been moved by its NAT.
const MOVED_AFTER: Duration = Duration::from_secs(2);
/// So many packets in a row make a source that nothing else speaks for.
const BELIEVED_AFTER: u32 = 10;
/// So much can lie unread at the end of a call: a second.
const MOST_UNREAD: usize = 50;

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
    pub(super) fn new(sockets: Rc<PortPair>, reader: JoinHandle<()>, signalling: IpAddr, now: Instant) -> Self {
        let latch = Latch { signalling: Some(signalling.to_canonical()), ..Latch::default() };
        // ChaCha12, seeded by the system.
        Self { sockets, latch, secret: rand::random(), srtp: None, reports: Reports::new(now), reader }
    }

    /// Whether a valid packet from there is the other end's. Who has the key is, wherever they are.
    pub(super) fn accept(&mut self, from: SocketAddr, ssrc: u32, now: Instant) -> bool {
        let is_authentic = self.srtp.is_some();
        self.latch.accept(from, ssrc, is_authentic, now)
    }

    /// What has arrived and was not read yet, with where it came from.
    pub(super) fn unread(&self) -> Vec<(SocketAddr, Vec<u8>)> {
        // Past the runtime, which learns of packets only between tasks.
        let socket = SockRef::from(&self.sockets.rtp);
        let mut buffer = [0; LARGEST_DATAGRAM];
        let next = || {
            let from = socket.peek_sender().ok()?.as_socket()?;
            let length = (&*socket).read(&mut buffer).ok()?;
            Some((from, buffer.get(..length)?.to_vec()))
        };
        std::iter::from_fn(next).take(MOST_UNREAD).collect()
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
        match &mut self.srtp {
            Some(srtp) => srtp.rekey(ours, theirs).ok_or_else(no_cipher)?,
            None => self.srtp = Some(Srtp::new(ours, theirs).ok_or_else(no_cipher)?),
        }
        Ok(())
    }

    /// Whether what is said is encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        self.srtp.is_some()
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

/// Symmetric RTP (RFC 4961): packets go where packets come from. A source is kept and strangers are ignored, except that a
/// more likely one always takes over, and that a source may move by its NAT (same address and SSRC, another port). Where
/// packets are encrypted only who has the key gets here, and may move at will.
#[derive(Debug, Default)]
pub(super) struct Latch {
    /// Where the signalling comes from: a NAT's outside, often.
    signalling: Option<IpAddr>,
    described: Option<SocketAddr>,
    /// Who isn't believed yet.
    candidate: Option<Candidate>,
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

#[derive(Debug)]
struct Candidate {
    address: SocketAddr,
    ssrc: u32,
    packets: u32,
}

/// How likely it is that packets from an address are the other end's; the likeliest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Nothing speaks for it.
    Other,
    /// The signalling comes from that machine.
    Signalling,
    /// The description names that machine.
    Host,
    /// The description names that very address.
    Described,
}

impl Latch {
    /// The other end's description names this address (`None`: none, or the unspecified one of an old-style hold).
    pub(super) fn describe(&mut self, address: Option<SocketAddr>) {
        if address.is_some() && address != self.described {
            self.described = address;
            (self.source, self.candidate) = (None, None);
        }
    }

    fn accept(&mut self, from: SocketAddr, ssrc: u32, is_authentic: bool, now: Instant) -> bool {
        let rank = self.rank(from);
        let accepted = is_authentic
            || match &self.source {
                None => rank > Rank::Other || self.is_persistent(from, ssrc),
                Some(source) if source.address == from => true,
                Some(source) => {
                    let moved = source.address.ip() == from.ip() && source.ssrc == ssrc && now >= source.last + MOVED_AFTER;
                    moved || rank > self.rank(source.address)
                }
            };
        if accepted {
            self.candidate = None;
            self.source = Some(Source { address: from, ssrc, last: now });
        }
        accepted
    }

    /// Whether packets come from there, whatever they are.
    pub(super) fn is_source(&self, from: SocketAddr) -> bool {
        self.source.as_ref().is_some_and(|source| source.address == from)
    }

    fn rank(&self, from: SocketAddr) -> Rank {
        let ip = from.ip().to_canonical();
        match self.described {
            Some(described) if described == from => Rank::Described,
            Some(described) if described.ip().to_canonical() == ip => Rank::Host,
            _ if self.signalling == Some(ip) => Rank::Signalling,
            _ => Rank::Other,
        }
    }

    /// A phone whose description names an address inside its network may come from anywhere; one guess at our port doesn't
    /// make a stranger that phone.
    fn is_persistent(&mut self, from: SocketAddr, ssrc: u32) -> bool {
        if self.described.is_some_and(|described| !is_private(described.ip())) {
            return false;
        }
        let before = self.candidate.take().filter(|known| (known.address, known.ssrc) == (from, ssrc));
        let packets = before.map_or(0, |known| known.packets) + 1;
        self.candidate = Some(Candidate { address: from, ssrc, packets });
        packets >= BELIEVED_AFTER
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

/// An address that means nothing outside its own network.
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        // 100.64.0.0/10 is a provider's own NAT (RFC 6598).
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Latch {
        fn takes(&mut self, from: SocketAddr, ssrc: u32, now: Instant) -> bool {
            self.accept(from, ssrc, false, now)
        }
    }

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
        assert!(latch.takes(address(6000), 1, now));
        assert_eq!(latch.target(), Some(address(6000)));
    }

    #[test]
    fn strangers_are_ignored_after_the_first_source() {
        let now = Instant::now();
        let mut latch = Latch::default();
        latch.describe(Some(address(4000)));
        assert!(latch.takes(address(4000), 1, now));
        assert!(!latch.takes(stranger(), 1, now + MOVED_AFTER * 2));
        assert_eq!(latch.target(), Some(address(4000)));
    }

    #[test]
    fn who_is_likelier_takes_over_and_keeps_it() {
        let now = Instant::now();
        let (inside, outside) = (SocketAddr::from(([10, 0, 0, 7], 4000)), SocketAddr::from(([198, 51, 100, 3], 6000)));
        let mut latch = Latch { signalling: Some(outside.ip()), ..Latch::default() };
        latch.describe(Some(inside));
        let taken: Vec<_> = (0..12).map(|_| latch.takes(stranger(), 1, now)).collect();
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 3, "nothing speaks against them but for a while");
        assert!(latch.takes(outside, 2, now), "where the signalling comes from");
        assert!(!latch.takes(stranger(), 1, now + MOVED_AFTER * 2));
        assert!(latch.takes(SocketAddr::new(inside.ip(), 5000), 3, now), "the described machine");
        assert!(latch.takes(inside, 3, now), "the described address");
        assert!(!latch.takes(outside, 2, now + MOVED_AFTER * 2));
        assert_eq!(latch.target(), Some(inside));
    }

    #[test]
    fn a_stranger_never_takes_the_place_of_a_public_phone() {
        let now = Instant::now();
        let mut latch = Latch::default();
        latch.describe(Some(address(4000)));
        assert!((0..100).all(|_| !latch.takes(stranger(), 1, now)), "also before its first packet");
        assert!(latch.takes(address(4000), 2, now));
    }

    #[test]
    fn strangers_in_turn_are_never_believed() {
        let now = Instant::now();
        let mut latch = Latch::default();
        latch.describe(Some(([192, 168, 1, 5], 4000).into()));
        assert!((0..100).all(|n| !latch.takes(SocketAddr::new(stranger().ip(), 4000 + n % 2), 1, now)));
    }

    #[test]
    fn who_has_the_key_may_move() {
        let now = Instant::now();
        let mut latch = Latch::default();
        latch.describe(Some(address(4000)));
        assert!(latch.accept(address(4000), 1, true, now));
        assert!(latch.accept(stranger(), 1, true, now + Duration::from_millis(20)));
        assert_eq!(latch.target(), Some(stranger()));
    }

    #[test]
    fn a_nat_may_move_the_port() {
        let now = Instant::now();
        let mut latch = Latch::default();
        latch.describe(Some(SocketAddr::new(address(0).ip(), 4500)));
        assert!(latch.takes(address(4000), 1, now));
        assert!(!latch.takes(address(5000), 1, now + Duration::from_millis(100)));
        assert!(!latch.takes(address(5000), 2, now + MOVED_AFTER));
        assert!(latch.takes(address(5000), 1, now + MOVED_AFTER));
    }

    #[test]
    fn a_new_description_begins_anew() {
        let now = Instant::now();
        let mut latch = Latch::default();
        latch.describe(Some(address(4000)));
        assert!(latch.takes(address(4000), 1, now));
        latch.describe(Some(address(7000)));
        assert_eq!(latch.target(), Some(address(7000)));
        assert!(latch.takes(address(7002), 9, now));
    }
}
