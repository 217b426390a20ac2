//! WebRTC legs: `rtc`'s sans-IO connections, all of a worker behind one UDP port.
//!
//! Where UDP is blocked, the same packets come over TCP to the same port (`tcp`). A datagram finds its connection by its source address, and a source that is not known yet by the user name in its STUN
//! request, whose first half is our `ice-ufrag` (RFC 8445 section 7.2.2). We are ICE-lite: the server has a reachable
//! address and need not look for one.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    rc::Rc,
    sync::mpsc::{Receiver, sync_channel},
    time::{Duration, Instant},
};

use aftertone_exchange::LegId;
use aftertone_media::{
    Codec,
    rtcp::Block,
    rtp::RtpPacket,
    sdp::Direction,
    webrtc::{ReportListener, Told, answer_direction, offered_direction},
};
use bytes::BytesMut;
use rtc::{
    ice::tcp_type::TcpType,
    interceptor::{Registry, Slot},
    media_stream::MediaStreamTrack,
    peer_connection::{
        RTCPeerConnection, RTCPeerConnectionBuilder,
        configuration::{
            interceptor_registry::configure_rtcp_reports, media_engine::MediaEngine, setting_engine::SettingEngineBuilder,
        },
        event::RTCPeerConnectionEvent,
        message::{RTCMessage, TaggedRTCMessage},
        sdp::RTCSessionDescription,
        state::RTCPeerConnectionState,
        transport::{CandidateConfig, CandidateHostConfig, RTCDtlsRole, RTCIceCandidate, RTCIceCandidateInit},
    },
    rtp_transceiver::{
        RTCRtpSenderId, RTCRtpTransceiverDirection,
        rtp_sender::{RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind},
    },
    sansio::Protocol,
    shared::{TaggedBytesMut, TransportContext, TransportProtocol, error::Error},
};
use tokio::net::{TcpListener, UdpSocket};

use super::{
    ports::bind_udp,
    tcp::{self, Streams},
};

/// SRTP and SRTCP packets older than this many are refused as replayed (RFC 3711 section 3.3.2 asks for at least 64).
const REPLAY_WINDOW: usize = 64;
/// A connection whose deadline does not move on when it is served is served again after this time.
const LEAST_WAIT: Duration = Duration::from_millis(1);
/// More sources of one connection are not remembered: ICE needs a few, a flood needs many.
const SOURCES: usize = 16;
/// Reports that wait to be looked at, which happens with each packet.
const WAITING_REPORTS: usize = 16;
/// Among the crate's own interceptors: any place before the end of the chain will do.
const LISTENER_SLOT: usize = 9_500;
/// So many free UDP ports are tried until one is free for TCP as well.
const ATTEMPTS: usize = 16;

/// A payload type with what it means, for the media engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Audio.
    Audio { codec: Codec, payload_type: u8 },
    /// RFC 4733, with its clock rate.
    Event { payload_type: u8, clock: u32 },
}

/// What came out of a connection.
#[derive(Debug)]
pub(super) enum PeerEvent {
    /// ICE and DTLS are done: packets pass.
    Connected,
    /// Dead for good.
    Failed,
    /// The other end's packet, decrypted.
    Packet(RtpPacket),
    /// What it says of the packets that it is sent.
    Reported(Block),
}

/// One WebRTC connection.
pub(super) struct Peer {
    connection: Box<RTCPeerConnection>,
    sender: RTCRtpSenderId,
    ufrag: String,
    addresses: Vec<SocketAddr>,
    over_tcp: bool,
    connected: bool,
    reports: Receiver<Told>,
}

/// What a new connection needs to know.
pub(super) struct PeerSetup<'a> {
    /// Of what we send.
    pub(super) ssrc: u32,
    /// Where we are reachable.
    pub(super) addresses: Vec<SocketAddr>,
    /// Whether by TCP too.
    pub(super) over_tcp: bool,
    /// Best first.
    pub(super) formats: &'a [Format],
    /// Random.
    pub(super) ufrag: String,
    /// Random.
    pub(super) password: String,
}

impl Peer {
    /// A connection that we offer; the description is complete.
    pub(super) fn offer(setup: PeerSetup<'_>, now: Instant) -> Result<(Self, String), Error> {
        let (mut connection, reports) = build(&setup, now)?;
        let codecs: Vec<_> = setup.formats.iter().map(codec_parameters).collect();
        let transceiver = connection.add_transceiver_from_track(track(&setup), None)?;
        let sender = {
            let mut transceiver = connection.rtp_transceiver(transceiver).ok_or(Error::ErrRTPTransceiverNotExisted)?;
            // Otherwise only the track's own codec is offered.
            transceiver.set_codec_preferences(codecs)?;
            transceiver.sender().ok_or(Error::ErrRTPSenderNotExisted)?
        };
        let mut peer = Self::new(connection, sender, reports, setup);
        peer.add_candidates()?;
        let sdp = peer.offer_again(now)?;
        Ok((peer, sdp))
    }

    /// A connection that answers; `offer` is normalised. The description is complete.
    pub(super) fn answer(setup: PeerSetup<'_>, offer: &str, now: Instant) -> Result<(Self, String), Error> {
        let (mut connection, reports) = build(&setup, now)?;
        connection.set_remote_description(now, RTCSessionDescription::offer(offer.to_owned())?)?;
        let sender = connection.add_track(track(&setup))?;
        let mut peer = Self::new(connection, sender, reports, setup);
        peer.add_candidates()?;
        let sdp = peer.answer_offered(offer, now)?;
        Ok((peer, sdp))
    }

    fn new(connection: Box<RTCPeerConnection>, sender: RTCRtpSenderId, reports: Receiver<Told>, setup: PeerSetup<'_>) -> Self {
        let PeerSetup { addresses, over_tcp, ufrag, .. } = setup;
        Self { connection, sender, ufrag, addresses, over_tcp, connected: false, reports }
    }

    /// A new offer on the same connection.
    pub(super) fn offer_again(&mut self, now: Instant) -> Result<String, Error> {
        let offer = self.connection.create_offer(None)?;
        let sdp = offer.sdp.clone();
        self.connection.set_local_description(now, offer)?;
        Ok(self.complete(&sdp))
    }

    /// A new offer of the other end on the same connection.
    pub(super) fn answer_again(&mut self, offer: &str, now: Instant) -> Result<String, Error> {
        self.connection.set_remote_description(now, RTCSessionDescription::offer(offer.to_owned())?)?;
        self.answer_offered(offer, now)
    }

    /// The other end's answer, normalised.
    pub(super) fn apply(&mut self, answer: &str, now: Instant) -> Result<(), Error> {
        self.connection.set_remote_description(now, RTCSessionDescription::answer(answer.to_owned())?)
    }

    /// Whether packets pass.
    pub(super) fn is_connected(&self) -> bool {
        self.connected
    }

    /// Our half of the STUN user name.
    pub(super) fn ufrag(&self) -> &str {
        &self.ufrag
    }

    /// A datagram of the other end. What it says is checked inside; what can't be read is dropped.
    pub(super) fn handle_datagram(&mut self, from: Source, bytes: &[u8], now: Instant) {
        let Some(local_addr) = self.local_for(from.address) else { return };
        let transport_protocol = if from.over_tcp { TransportProtocol::TCP } else { TransportProtocol::UDP };
        let transport = TransportContext { local_addr, peer_addr: from.address, ecn: None, transport_protocol };
        if let Err(error) = self.connection.handle_read(TaggedBytesMut { now, transport, message: BytesMut::from(bytes) }) {
            tracing::trace!(%error, "a datagram is dropped");
        }
    }

    /// Time has come.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Err(error) = self.connection.handle_timeout(now) {
            tracing::debug!(%error, "a WebRTC connection's timer failed");
        }
    }

    /// Sends a packet, if they pass already. Its SSRC must be the one of the setup.
    pub(super) fn send(&mut self, packet: RtpPacket, now: Instant) {
        if !self.connected {
            return;
        }
        let header = rtc::rtp::Header {
            version: 2,
            marker: packet.marker,
            payload_type: packet.payload_type,
            sequence_number: packet.sequence,
            timestamp: packet.timestamp,
            ssrc: packet.ssrc,
            ..Default::default()
        };
        let Some(mut sender) = self.connection.rtp_sender(self.sender) else { return };
        // The error's text holds the packet: its kind is enough.
        if sender.write_rtp(now, rtc::rtp::Packet { header, payload: packet.payload }).is_err() {
            tracing::trace!("a WebRTC packet is not sent");
        }
    }

    /// Drains what waits to be sent and what happened; says when to call `handle_timeout`.
    pub(super) fn drain(&mut self, now: Instant, sockets: &Sockets, events: &mut Vec<PeerEvent>) -> Option<Instant> {
        while let Some(out) = self.connection.poll_write() {
            sockets.send(&out);
        }
        while let Some(event) = self.connection.poll_event() {
            if let RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) = event {
                tracing::debug!(%state, "WebRTC");
                self.connected = state == RTCPeerConnectionState::Connected
                    || (self.connected && state == RTCPeerConnectionState::Disconnected);
                if state == RTCPeerConnectionState::Connected {
                    events.push(PeerEvent::Connected);
                } else if matches!(state, RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed) {
                    events.push(PeerEvent::Failed);
                }
            }
        }
        while let Some(TaggedRTCMessage { message, .. }) = self.connection.poll_read() {
            if let RTCMessage::RtpPacket(_, packet) = message {
                events.push(PeerEvent::Packet(RtpPacket {
                    payload_type: packet.header.payload_type,
                    marker: packet.header.marker,
                    sequence: packet.header.sequence_number,
                    timestamp: packet.header.timestamp,
                    ssrc: packet.header.ssrc,
                    payload: packet.payload,
                }));
            }
        }
        events.extend(self.reports.try_iter().flatten().map(PeerEvent::Reported));
        self.connection.poll_timeout().map(|at| at.max(now + LEAST_WAIT))
    }

    /// Says goodbye (DTLS close_notify).
    pub(super) fn close(&mut self, sockets: &Sockets) {
        if let Err(error) = self.connection.close() {
            tracing::debug!(%error, "a WebRTC connection did not close");
        }
        while let Some(out) = self.connection.poll_write() {
            sockets.send(&out);
        }
    }

    fn answer_offered(&mut self, offer: &str, now: Instant) -> Result<String, Error> {
        // The answer's direction is not intersected with the offer's inside (RFC 3264 section 6.1).
        let direction = direction_of_answer(offer);
        let transceivers: Vec<_> = self.connection.get_transceivers().collect();
        for id in transceivers {
            if let Some(mut transceiver) = self.connection.rtp_transceiver(id) {
                transceiver.set_direction(direction);
            }
        }
        let answer = self.connection.create_answer(None)?;
        let sdp = answer.sdp.clone();
        self.connection.set_local_description(now, answer)?;
        Ok(self.complete(&sdp))
    }

    /// The local description with its candidates.
    fn complete(&self, made: &str) -> String {
        self.connection.local_description().map_or_else(|| made.to_owned(), |description| description.sdp)
    }

    fn add_candidates(&mut self) -> Result<(), Error> {
        let protocols = [("udp", TcpType::Unspecified), ("tcp", TcpType::Passive)];
        for (network, tcp_type) in protocols.into_iter().take(if self.over_tcp { 2 } else { 1 }) {
            for address in &self.addresses {
                let base_config = CandidateConfig {
                    network: network.to_owned(),
                    address: address.ip().to_string(),
                    port: address.port(),
                    component: 1,
                    ..Default::default()
                };
                let candidate = CandidateHostConfig { base_config, tcp_type }.new_candidate_host()?;
                self.connection.add_local_candidate(RTCIceCandidate::from(&candidate).to_json()?)?;
            }
        }
        self.connection.add_local_candidate(RTCIceCandidateInit::default())
    }

    /// The candidate that a datagram from there was sent to, as far as can be known: the one that is as local as its source.
    fn local_for(&self, from: SocketAddr) -> Option<SocketAddr> {
        let alike = |address: &&SocketAddr| address.is_ipv4() == from.is_ipv4();
        let near = |address: &&SocketAddr| address.ip().is_loopback() == from.ip().is_loopback();
        let mut candidates = self.addresses.iter().filter(alike);
        candidates.clone().find(near).or_else(|| candidates.next()).copied()
    }
}

fn build(setup: &PeerSetup<'_>, now: Instant) -> Result<(Box<RTCPeerConnection>, Receiver<Told>), Error> {
    let mut engine = MediaEngine::default();
    for format in setup.formats {
        engine.register_codec(codec_parameters(format), RtpCodecKind::Audio)?;
    }
    let settings = SettingEngineBuilder::new()
        .with_lite(true)
        .with_answering_dtls_role(RTCDtlsRole::Server)
        .with_multicast_dns_mode(rtc::ice::mdns::MulticastDnsMode::Disabled)
        .with_ice_credentials(setup.ufrag.clone(), setup.password.clone())
        .with_srtp_replay_protection_window(REPLAY_WINDOW)
        .with_srtcp_replay_protection_window(REPLAY_WINDOW)
        .build();
    let (told, reports) = sync_channel(WAITING_REPORTS);
    // Full only where somebody floods us: what is dropped says nothing new.
    let listener = ReportListener::new(setup.ssrc, move |report| {
        let _dropped = told.try_send(report);
    });
    let interceptors = configure_rtcp_reports(Registry::new()).with(Slot::Custom(LISTENER_SLOT), listener);
    let connection = RTCPeerConnectionBuilder::new()
        .with_media_engine(engine)
        .with_setting_engine(settings)
        .with_interceptor_registry(interceptors)
        .build(now)?;
    Ok((Box::new(connection), reports))
}

fn track(setup: &PeerSetup<'_>) -> MediaStreamTrack {
    let codec = setup.formats.first().map(|format| codec_parameters(format).rtp_codec).unwrap_or_default();
    let coding = RTCRtpCodingParameters { ssrc: Some(setup.ssrc), ..Default::default() };
    let encoding = RTCRtpEncodingParameters { rtp_coding_parameters: coding, codec, ..Default::default() };
    MediaStreamTrack::new("aftertone".into(), "audio".into(), "audio".into(), RtpCodecKind::Audio, vec![encoding])
}

fn codec_parameters(format: &Format) -> RTCRtpCodecParameters {
    // One channel is written as none: `PCMU/8000`.
    let (mime_type, clock_rate, channels, fmtp, payload_type) = match *format {
        Format::Audio { codec: Codec::Opus, payload_type } => {
            (Codec::Opus.mime_type(), 48_000, 2, Codec::Opus.fmtp(), payload_type)
        }
        Format::Audio { codec, payload_type } => (codec.mime_type(), codec.clock_rate(), 0, codec.fmtp(), payload_type),
        Format::Event { payload_type, clock } => ("audio/telephone-event", clock, 0, "0-16", payload_type),
    };
    let sdp_fmtp_line = fmtp.to_owned();
    let rtp_codec =
        RTCRtpCodec { mime_type: mime_type.to_owned(), clock_rate, channels, sdp_fmtp_line, rtcp_feedback: Vec::new() };
    RTCRtpCodecParameters { rtp_codec, payload_type }
}

/// The direction of our answer, when we would both send and receive (RFC 3264 section 6.1).
fn direction_of_answer(offer: &str) -> RTCRtpTransceiverDirection {
    match answer_direction(offered_direction(offer), Direction::Sendrecv) {
        Direction::Sendrecv => RTCRtpTransceiverDirection::Sendrecv,
        Direction::Sendonly => RTCRtpTransceiverDirection::Sendonly,
        Direction::Recvonly => RTCRtpTransceiverDirection::Recvonly,
        Direction::Inactive => RTCRtpTransceiverDirection::Inactive,
    }
}

/// The worker's sockets for WebRTC, one for each family of addresses, on the same port.
#[derive(Debug, Clone)]
pub(super) struct Sockets {
    v4: Option<Rc<UdpSocket>>,
    v6: Option<Rc<UdpSocket>>,
    listeners: Vec<Rc<TcpListener>>,
    streams: Streams,
    port: u16,
}

impl Sockets {
    /// Binds `port` (0: any) for UDP and TCP; an unspecified address means both families, as far as the machine has them.
    /// Without TCP it works where UDP does.
    pub(super) fn bind(bind: IpAddr, port: u16) -> io::Result<Self> {
        for _ in 1..if port == 0 { ATTEMPTS } else { 1 } {
            let mut sockets = Self::bind_udp(bind, port)?;
            if sockets.listen().is_ok() {
                return Ok(sockets);
            }
        }
        let mut sockets = Self::bind_udp(bind, port)?;
        if let Err(error) = sockets.listen() {
            tracing::warn!(port = sockets.port, %error, "no WebRTC over TCP: devices in networks without UDP have no sound");
        }
        Ok(sockets)
    }

    /// Takes connections at each address that has a socket.
    fn listen(&mut self) -> io::Result<()> {
        let addresses = self.all().map(|socket| socket.local_addr()).collect::<io::Result<Vec<_>>>()?;
        self.listeners = addresses.into_iter().map(|address| Ok(Rc::new(tcp::listen(address)?))).collect::<io::Result<_>>()?;
        Ok(())
    }

    fn bind_udp(bind: IpAddr, port: u16) -> io::Result<Self> {
        let with = |v4, v6, port| Self { v4, v6, listeners: Vec::new(), streams: Streams::default(), port };
        if !bind.is_unspecified() {
            let socket = bind_udp(SocketAddr::new(bind, port))?;
            let port = socket.local_addr()?.port();
            let socket = Some(Rc::new(socket));
            return Ok(if bind.is_ipv4() { with(socket, None, port) } else { with(None, socket, port) });
        }
        let v4 = bind_udp((Ipv4Addr::UNSPECIFIED, port).into())?;
        let port = v4.local_addr()?.port();
        let v6 = bind_udp((Ipv6Addr::UNSPECIFIED, port).into());
        if let Err(error) = &v6 {
            tracing::debug!(%error, "no WebRTC over IPv6");
        }
        Ok(with(Some(Rc::new(v4)), v6.ok().map(Rc::new), port))
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Where they are bound.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.all().filter_map(|socket| socket.local_addr().ok()).collect()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = Rc<UdpSocket>> {
        self.v4.iter().chain(&self.v6).cloned()
    }

    pub(super) fn listeners(&self) -> impl Iterator<Item = Rc<TcpListener>> {
        self.listeners.iter().cloned()
    }

    /// The connections over TCP.
    pub(super) fn streams(&self) -> Streams {
        self.streams.clone()
    }

    pub(super) fn take_tcp(&self) -> bool {
        !self.listeners.is_empty()
    }

    /// Sends, or drops the packet if the socket's buffer is full: it would be late.
    fn send(&self, packet: &TaggedBytesMut) {
        let (to, bytes) = (packet.transport.peer_addr, &packet.message);
        if packet.transport.transport_protocol == TransportProtocol::TCP {
            return self.streams.send(to, bytes);
        }
        let socket = if to.is_ipv4() { &self.v4 } else { &self.v6 };
        if let Some(socket) = socket {
            // ICMP's answers to earlier packets come up here too; both mean nothing for this one.
            let _ = socket.try_send_to(bytes, to);
        }
    }
}

/// Where a packet comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source {
    address: SocketAddr,
    over_tcp: bool,
}

impl Source {
    pub(super) fn udp(address: SocketAddr) -> Self {
        Self { address, over_tcp: false }
    }

    pub(super) fn tcp(address: SocketAddr) -> Self {
        Self { address, over_tcp: true }
    }
}

/// Whose datagram it is.
#[derive(Debug, Default)]
pub(super) struct Demultiplexer {
    ufrags: BTreeMap<String, LegId>,
    sources: BTreeMap<Source, LegId>,
    known: BTreeMap<LegId, BTreeSet<Source>>,
}

impl Demultiplexer {
    pub(super) fn add(&mut self, leg: LegId, ufrag: &str) {
        self.ufrags.insert(ufrag.to_owned(), leg);
        self.known.entry(leg).or_default();
    }

    pub(super) fn remove(&mut self, leg: LegId, ufrag: &str) {
        self.ufrags.remove(ufrag);
        for source in self.known.remove(&leg).unwrap_or_default() {
            self.sources.remove(&source);
        }
    }

    /// The leg has another connection: what was known of the old one is forgotten.
    pub(super) fn replace(&mut self, leg: LegId, old_ufrag: &str) {
        self.remove(leg, old_ufrag);
        self.known.entry(leg).or_default();
    }

    /// Nothing more comes from there: its place is free for another.
    pub(super) fn forget(&mut self, from: Source) {
        if let Some(leg) = self.sources.remove(&from)
            && let Some(known) = self.known.get_mut(&leg)
        {
            known.remove(&from);
        }
    }

    pub(super) fn find(&mut self, from: Source, bytes: &[u8]) -> Option<LegId> {
        if let Some(leg) = self.sources.get(&from) {
            return Some(*leg);
        }
        let leg = *self.ufrags.get(stun_local_ufrag(bytes)?)?;
        let known = self.known.entry(leg).or_default();
        if known.len() < SOURCES {
            known.insert(from);
            self.sources.insert(from, leg);
        }
        Some(leg)
    }
}

/// The receiver's half of the user name in a STUN Binding request: RFC 8489 sections 5 and 14.3, RFC 8445 section 7.2.2.
fn stun_local_ufrag(bytes: &[u8]) -> Option<&str> {
    const HEADER: usize = 20;
    const BINDING_REQUEST: [u8; 2] = [0, 1];
    const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
    const USERNAME: u16 = 6;

    let header = bytes.get(..HEADER)?;
    if header[..2] != BINDING_REQUEST || header[4..8] != MAGIC_COOKIE {
        return None;
    }
    let mut rest = &bytes[HEADER..];
    loop {
        let kind = u16::from_be_bytes([*rest.first()?, *rest.get(1)?]);
        let length = usize::from(u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]));
        let value = rest.get(4..4 + length)?;
        if kind == USERNAME {
            return std::str::from_utf8(value).ok()?.split(':').next();
        }
        rest = rest.get(4 + length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding_request(user: &str) -> Vec<u8> {
        let mut attributes = vec![0x80, 0x22, 0, 3, b'x', b'y', b'z', 0, 0, 6, 0, u8::try_from(user.len()).unwrap_or(0)];
        attributes.extend(user.bytes());
        attributes.resize(attributes.len().next_multiple_of(4), 0);
        let mut bytes = vec![0, 1, 0, u8::try_from(attributes.len()).unwrap_or(0), 0x21, 0x12, 0xa4, 0x42];
        bytes.extend([7; 12]);
        bytes.extend(attributes);
        bytes
    }

    #[test]
    fn a_connection_is_found_by_its_ufrag_and_then_by_the_source() {
        let mut demultiplexer = Demultiplexer::default();
        let [near, far] = [4000, 4001].map(|port| Source::udp(([127, 0, 0, 1], port).into()));
        demultiplexer.add(LegId(1), "ours");
        assert_eq!(demultiplexer.find(near, &[22, 254, 253]), None);
        assert_eq!(demultiplexer.find(near, &binding_request("other:theirs")), None);
        assert_eq!(demultiplexer.find(near, &binding_request("ours:theirs")), Some(LegId(1)));
        assert_eq!(demultiplexer.find(near, &[22, 254, 253]), Some(LegId(1)));
        assert_eq!(demultiplexer.find(far, &[22, 254, 253]), None);
        let stream = Source::tcp(near.address);
        assert_eq!(demultiplexer.find(stream, &[22, 254, 253]), None, "the same port over TCP is another source");
        assert_eq!(demultiplexer.find(stream, &binding_request("ours:theirs")), Some(LegId(1)));
        demultiplexer.forget(stream);
        assert_eq!(demultiplexer.find(stream, &[22, 254, 253]), None);
        demultiplexer.remove(LegId(1), "ours");
        assert_eq!(demultiplexer.find(near, &[22, 254, 253]), None);
        assert_eq!(demultiplexer.find(near, &binding_request("ours:theirs")), None);
    }

    #[test]
    fn broken_stun_is_nobodys() {
        let whole = binding_request("ours:theirs");
        for end in 0..whole.len() - 1 {
            assert_ne!(stun_local_ufrag(&whole[..end]), Some("ours"), "cut at {end}");
        }
        assert_eq!(stun_local_ufrag(&whole), Some("ours"));
    }
}
