//! One WebRTC connection, with everything that the `webrtc` crate needs to have done around it.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use aftertone_call::{Describe, MediaFailure};
use aftertone_media::{
    Codec,
    rtp::RtpPacket,
    sdp::Direction,
    webrtc::{self as work_around, Payloads, ReportListener, Told},
};
use async_trait::async_trait;
use rand::RngExt;
use rtc::{
    ice::mdns::MulticastDnsMode,
    interceptor::Slot,
    media_stream::MediaStreamTrack,
    peer_connection::transport::{RTCDtlsRole, RTCIceCandidateInit, RTCIceCandidateType},
    rtp,
    rtp_transceiver::rtp_sender::{
        RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
    },
    statistics::report::RTCStatsReportEntry,
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use webrtc::{
    media_stream::{
        track_local::{TrackLocal, static_rtp::TrackLocalStaticRTP},
        track_remote::{TrackRemote, TrackRemoteEvent},
    },
    peer_connection::{
        MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
        RTCIceGatheringState, RTCIceServer, RTCPeerConnectionState, RTCSessionDescription, Registry, SettingEngineBuilder,
        StatsSelector, register_default_interceptors,
    },
    rtp_transceiver::RTCRtpTransceiverDirection,
};

use crate::{peer::Way, quality::MediaPath, station::media_addresses};

/// How long addresses are gathered before the description goes out with what is there.
const GATHERING: Duration = Duration::from_millis(500);
/// Packets that wait for the sound to start; the oldest second is enough.
const EARLY_PACKETS: usize = 256;
/// Reports that wait to be looked at; several come each second.
const WAITING_REPORTS: usize = 64;
/// Among the crate's own interceptors: any place before the end of the chain will do.
const LISTENER_SLOT: usize = 9_500;
/// How long a relay waits for something better to be found; the crate's own two seconds are heard.
const RELAY_WAITS: Duration = Duration::from_millis(500);
/// The same for an address that was only seen by others.
const REFLEXIVE_WAITS: Duration = Duration::from_millis(200);

/// What comes from the other end, decrypted, and when it came: who takes it may be late.
pub(crate) type Packets = mpsc::Receiver<(RtpPacket, Instant)>;

/// What the other end reports of what it is sent.
pub(crate) type Reports = mpsc::Receiver<Told>;

/// Why media can't be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error(transparent)]
    WebRtc(#[from] webrtc::error::Error),
    #[error(transparent)]
    Payloads(#[from] work_around::PayloadsError),
    #[error("no description was made")]
    NoDescription,
}

impl From<LinkError> for MediaFailure {
    fn from(error: LinkError) -> Self {
        Self(error.to_string())
    }
}

/// A connection, and what its callbacks told.
pub(crate) struct Link {
    connection: Arc<dyn PeerConnection>,
    track: Arc<TrackLocalStaticRTP>,
    ssrc: u32,
    codecs: Vec<RTCRtpCodecParameters>,
    gathered: watch::Receiver<bool>,
    state: watch::Receiver<RTCPeerConnectionState>,
    packets: Option<Packets>,
    reports: Option<Reports>,
    agreed: Option<Payloads>,
    /// There are TURN servers: a description without a relay is worth a word.
    expects_relay: bool,
    /// Where the other end takes connections over TCP: the crate dials only what it is given besides the description.
    passive: Vec<RTCIceCandidateInit>,
    is_direct: bool,
}

/// Runs on the connection's own task: hands on, never waits.
struct Handler {
    gathered: watch::Sender<bool>,
    state: watch::Sender<RTCPeerConnectionState>,
    packets: mpsc::Sender<(RtpPacket, Instant)>,
}

#[async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.gathered.send_replace(true);
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.state.send_replace(state);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        tokio::spawn(listen(track, self.packets.clone()));
    }
}

/// Ends when the connection is closed.
async fn listen(track: Arc<dyn TrackRemote>, packets: mpsc::Sender<(RtpPacket, Instant)>) {
    while let Some(event) = track.poll().await {
        if let TrackRemoteEvent::OnRtpPacket(packet) = event {
            let rtp::Header { marker, payload_type, sequence_number: sequence, timestamp, ssrc, .. } = packet.header;
            let packet = RtpPacket { marker, payload_type, sequence, timestamp, ssrc, payload: packet.payload };
            // Full before the call is answered or while the machine sleeps: what is dropped would be too late anyway.
            let _dropped = packets.try_send((packet, Instant::now()));
        }
    }
}

/// Sends packets to the other end.
pub(crate) struct Voice(Arc<TrackLocalStaticRTP>);

impl Voice {
    pub(crate) async fn send(&self, packet: RtpPacket) {
        let header = rtp::Header {
            version: 2,
            marker: packet.marker,
            payload_type: packet.payload_type,
            sequence_number: packet.sequence,
            timestamp: packet.timestamp,
            ssrc: packet.ssrc,
            ..rtp::Header::default()
        };
        // An error's text holds the whole packet, and after one the connection is closing anyway.
        if self.0.write_rtp(rtp::Packet { header, payload: packet.payload }).await.is_err() {
            tracing::trace!("a packet could not be sent");
        }
    }
}

impl Link {
    /// A connection that can reach the server of `way`, by these TURN servers if need be, and takes `codecs`, best first.
    pub(crate) async fn open(way: &Way, relays: Vec<RTCIceServer>, codecs: &[Codec]) -> Result<Self, LinkError> {
        let codecs = parameters(codecs);
        let mut engine = MediaEngine::default();
        for codec in &codecs {
            engine.register_codec(codec.clone(), RtpCodecKind::Audio)?;
        }
        let (ssrc, (report_sender, reports)) = (rand::rng().random(), mpsc::channel(WAITING_REPORTS));
        // Full only where somebody floods us: what is dropped says nothing new.
        let listener = ReportListener::new(ssrc, move |told| {
            let _dropped = report_sender.try_send(told);
        });
        let interceptors =
            register_default_interceptors(Registry::new(), &mut engine)?.with(Slot::Custom(LISTENER_SLOT), listener);
        let settings = SettingEngineBuilder::new()
            .with_multicast_dns_mode(MulticastDnsMode::Disabled)
            .with_answering_dtls_role(RTCDtlsRole::Server)
            .with_relay_acceptance_min_wait(Some(RELAY_WAITS))
            .with_srflx_acceptance_min_wait(Some(REFLEXIVE_WAITS))
            .with_prflx_acceptance_min_wait(Some(REFLEXIVE_WAITS))
            .build();
        let expects_relay = !relays.is_empty();
        let (gathered_sender, gathered) = watch::channel(false);
        let (state_sender, state) = watch::channel(RTCPeerConnectionState::New);
        let (packet_sender, packets) = mpsc::channel(EARLY_PACKETS);
        let handler = Handler { gathered: gathered_sender, state: state_sender, packets: packet_sender };
        let connection = PeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().with_ice_servers(relays).build())
            .with_media_engine(engine)
            .with_setting_engine(settings)
            .with_interceptor_registry(interceptors)
            .with_handler(Arc::new(handler))
            .with_udp_addrs(media_addresses(way.server))
            // Where connections over TCP are made from; nobody is told of it, so nobody comes.
            .with_tcp_addrs(way.local.map(|local| SocketAddr::new(local, 0).to_string()).into_iter().collect())
            .build()
            .await?;
        let track = Arc::new(TrackLocalStaticRTP::new(local_track(ssrc, &codecs)));
        Ok(Self {
            connection: Arc::new(connection),
            track,
            ssrc,
            codecs,
            gathered,
            state,
            packets: Some(packets),
            reports: Some(reports),
            agreed: None,
            expects_relay,
            passive: Vec::new(),
            is_direct: false,
        })
    }

    pub(crate) async fn describe(&mut self, describe: Describe) -> Result<String, LinkError> {
        let track = Arc::clone(&self.track) as Arc<dyn TrackLocal>;
        let description = match &describe {
            Describe::Offer => {
                let transceiver = self.connection.add_transceiver_from_track(track, None).await?;
                transceiver.set_codec_preferences(self.codecs.clone()).await?;
                self.connection.create_offer(None).await?
            }
            Describe::Answer { offer: offer_text } => {
                let offer = RTCSessionDescription::offer(work_around::normalise(offer_text))?;
                self.connection.set_remote_description(offer).await?;
                self.connection.add_track(track).await?;
                self.direct(&describe).await?;
                self.passive = passive_candidates(offer_text);
                self.is_direct = !work_around::is_ice_lite(offer_text);
                self.connection.create_answer(None).await?
            }
        };
        self.connection.set_local_description(description).await?;
        // What was gathered by then goes out; the own machine and its network are always among it.
        let _late = timeout(GATHERING, self.gathered.wait_for(|gathered| *gathered)).await.is_err();
        let sdp = self.connection.local_description().await.ok_or(LinkError::NoDescription)?.sdp;
        if self.expects_relay && !sdp.contains(" typ relay") {
            // The crate tells of no failure: a wrong secret and a server that is not reached look the same.
            tracing::warn!(
                "no TURN server gave a relay in time: is it reachable over UDP, and does it know the account's secret?"
            );
        }
        let sdp = work_around::without_tcp_candidates(&work_around::drop_duplicate_payload_types(&sdp));
        if matches!(describe, Describe::Answer { .. }) {
            self.agreed = Some(work_around::payloads(&sdp)?);
        }
        Ok(sdp)
    }

    /// The crate doesn't intersect its answer's direction with the offer's (RFC 3264 section 6.1).
    async fn direct(&self, describe: &Describe) -> Result<(), LinkError> {
        let Describe::Answer { offer } = describe else { return Ok(()) };
        let direction = work_around::answer_direction(work_around::offered_direction(offer), Direction::Sendrecv);
        let direction = match direction {
            Direction::Sendrecv => RTCRtpTransceiverDirection::Sendrecv,
            Direction::Sendonly => RTCRtpTransceiverDirection::Sendonly,
            Direction::Recvonly => RTCRtpTransceiverDirection::Recvonly,
            Direction::Inactive => RTCRtpTransceiverDirection::Inactive,
        };
        for transceiver in self.connection.get_transceivers().await {
            transceiver.set_direction(direction).await?;
        }
        Ok(())
    }

    /// Whether the other end is a device, and not the server, which alone is ICE-lite.
    pub(crate) fn is_direct(&self) -> bool {
        self.is_direct
    }

    /// Whether both ends are described.
    pub(crate) fn is_described(&self) -> bool {
        self.agreed.is_some()
    }

    /// Connects to where the other end takes connections over TCP, if it does.
    pub(crate) async fn dial_over_tcp(&mut self) {
        for candidate in std::mem::take(&mut self.passive) {
            tracing::info!("media try the server over TCP");
            if let Err(e) = self.connection.add_ice_candidate(candidate).await {
                tracing::warn!(error = %e, "a way over TCP could not be tried");
            }
        }
    }

    pub(crate) async fn apply(&mut self, answer: &str) -> Result<(), LinkError> {
        self.passive = passive_candidates(answer);
        self.is_direct = !work_around::is_ice_lite(answer);
        let answer = work_around::normalise(answer);
        self.agreed = Some(work_around::payloads(&answer)?);
        self.connection.set_remote_description(RTCSessionDescription::answer(answer)?).await?;
        Ok(())
    }

    pub(crate) fn state(&self) -> watch::Receiver<RTCPeerConnectionState> {
        self.state.clone()
    }

    /// What both ends take, once there is an answer.
    pub(crate) fn agreed(&self) -> Option<Payloads> {
        self.agreed.clone()
    }

    /// What comes from the other end; there is one who takes it.
    pub(crate) fn take_packets(&mut self) -> Option<Packets> {
        self.packets.take()
    }

    /// What the other end reports; there is one who takes it.
    pub(crate) fn take_reports(&mut self) -> Option<Reports> {
        self.reports.take()
    }

    pub(crate) fn voice(&self) -> Voice {
        Voice(Arc::clone(&self.track))
    }

    /// How the packets go now, and how long there and back takes.
    pub(crate) async fn path(&self) -> (MediaPath, Option<Duration>) {
        let report = self.connection.get_stats(Instant::now(), StatsSelector::None).await;
        let busiest = report.candidate_pairs().max_by_key(|pair| (pair.nominated, pair.packets_received));
        let Some(pair) = busiest else { return (MediaPath::Direct, None) };
        let is_relay = |id: &str| {
            // Pairs name their candidates without what the report puts before the ids of its own.
            let candidate = report.get(&format!("RTCLocalIceCandidate_{id}"));
            matches!(candidate, Some(RTCStatsReportEntry::LocalCandidate(own)) if own.candidate_type == RTCIceCandidateType::Relay)
        };
        let path = if is_relay(&pair.local_candidate_id) { MediaPath::Relayed } else { MediaPath::Direct };
        let seconds = pair.current_round_trip_time;
        (path, (seconds > 0.0).then(|| Duration::from_secs_f64(seconds)))
    }

    pub(crate) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Closes the socket. Must be called: a connection that is only dropped keeps it for ever.
    pub(crate) async fn close(self) {
        if let Err(e) = self.connection.close().await {
            tracing::debug!(error = %e, "a WebRTC connection did not close cleanly");
        }
    }
}

/// RFC 6544 section 4.5.
fn passive_candidates(description: &str) -> Vec<RTCIceCandidateInit> {
    let of_tcp = work_around::tcp_candidates(description).into_iter();
    let init = |candidate| RTCIceCandidateInit { candidate, sdp_mline_index: Some(0), ..RTCIceCandidateInit::default() };
    of_tcp.filter(|candidate| candidate.contains(" tcptype passive")).map(init).collect()
}

fn parameters(codecs: &[Codec]) -> Vec<RTCRtpCodecParameters> {
    let audio = codecs.iter().map(|codec| {
        let channels = if *codec == Codec::Opus { 2 } else { 0 };
        parameter(codec.mime_type(), codec.clock_rate(), channels, codec.fmtp(), codec.payload_type())
    });
    let keys = parameter("audio/telephone-event", work_around::DTMF_CLOCK_RATE, 0, "0-16", work_around::DTMF_PAYLOAD_TYPE);
    audio.chain([keys]).collect()
}

/// `channels: 0` leaves them out of the description, where 1 would be written.
fn parameter(mime_type: &str, clock_rate: u32, channels: u16, fmtp: &str, payload_type: u8) -> RTCRtpCodecParameters {
    let rtp_codec =
        RTCRtpCodec { mime_type: mime_type.into(), clock_rate, channels, sdp_fmtp_line: fmtp.into(), rtcp_feedback: Vec::new() };
    RTCRtpCodecParameters { rtp_codec, payload_type }
}

fn local_track(ssrc: u32, codecs: &[RTCRtpCodecParameters]) -> MediaStreamTrack {
    let codec = codecs.first().map(|codec| codec.rtp_codec.clone()).unwrap_or_default();
    let encoding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..RTCRtpCodingParameters::default() },
        codec,
        ..RTCRtpEncodingParameters::default()
    };
    MediaStreamTrack::new("aftertone".into(), "audio".into(), "audio".into(), RtpCodecKind::Audio, vec![encoding])
}
