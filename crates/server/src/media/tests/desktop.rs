//! A desktop: the `webrtc` crate, as our own client uses it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aftertone_media::{
    Codec,
    rtp::RtpPacket,
    sdp::Direction,
    webrtc::{self as work_around, Payloads},
};
use async_trait::async_trait;
use bytes::Bytes;
use rtc::{
    ice::mdns::MulticastDnsMode,
    media_stream::MediaStreamTrack,
    peer_connection::transport::RTCDtlsRole,
    rtp_transceiver::rtp_sender::{
        RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
    },
};
use tokio::{
    sync::{Mutex, mpsc, watch},
    time::{sleep, sleep_until, timeout},
};
use webrtc::{
    media_stream::{
        track_local::{TrackLocal, static_rtp::TrackLocalStaticRTP},
        track_remote::{TrackRemote, TrackRemoteEvent},
    },
    peer_connection::{
        MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
        RTCPeerConnectionState, RTCSessionDescription, Registry, SettingEngineBuilder, register_default_interceptors,
    },
    rtp_transceiver::RTCRtpTransceiverDirection,
};

use super::plane::{FRAME, patience};

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Desktop {
    connection: Arc<dyn PeerConnection>,
    track: Arc<TrackLocalStaticRTP>,
    formats: Vec<RTCRtpCodecParameters>,
    gathered: watch::Receiver<bool>,
    state: watch::Receiver<RTCPeerConnectionState>,
    packets: Mutex<mpsc::UnboundedReceiver<RtpPacket>>,
    pub(super) agreed: Option<Payloads>,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
}

struct Handler {
    gathered: watch::Sender<bool>,
    state: watch::Sender<RTCPeerConnectionState>,
    packets: mpsc::UnboundedSender<RtpPacket>,
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
        let packets = self.packets.clone();
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    let rtc::rtp::Header { marker, payload_type, sequence_number: sequence, timestamp, ssrc, .. } = packet.header;
                    let _ = packets.send(RtpPacket { marker, payload_type, sequence, timestamp, ssrc, payload: packet.payload });
                }
            }
        });
    }
}

impl Desktop {
    pub(super) async fn new(codecs: &[Codec]) -> Self {
        let formats = formats(codecs);
        let mut engine = MediaEngine::default();
        for format in &formats {
            engine.register_codec(format.clone(), RtpCodecKind::Audio).unwrap();
        }
        let interceptors = register_default_interceptors(Registry::new(), &mut engine).unwrap();
        let settings = SettingEngineBuilder::new()
            .with_multicast_dns_mode(MulticastDnsMode::Disabled)
            .with_answering_dtls_role(RTCDtlsRole::Server)
            .build();
        let (gathered_sender, gathered) = watch::channel(false);
        let (state_sender, state) = watch::channel(RTCPeerConnectionState::New);
        let (packet_sender, packets) = mpsc::unbounded_channel();
        let handler = Handler { gathered: gathered_sender, state: state_sender, packets: packet_sender };
        let connection = PeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_setting_engine(settings)
            .with_interceptor_registry(interceptors)
            .with_handler(Arc::new(handler))
            .with_udp_addrs(vec!["127.0.0.1:0".to_string()])
            .build()
            .await
            .unwrap();
        let ssrc = rand::random();
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() },
            codec: formats[0].rtp_codec.clone(),
            ..Default::default()
        };
        let track = MediaStreamTrack::new("desktop".into(), "audio".into(), "audio".into(), RtpCodecKind::Audio, vec![encoding]);
        Self {
            connection: Arc::new(connection),
            track: Arc::new(TrackLocalStaticRTP::new(track)),
            formats,
            gathered,
            state,
            packets: Mutex::new(packets),
            agreed: None,
            ssrc,
            sequence: 100,
            timestamp: rand::random(),
        }
    }

    pub(super) async fn offer(&mut self) -> String {
        let track = Arc::clone(&self.track) as Arc<dyn TrackLocal>;
        let transceiver = self.connection.add_transceiver_from_track(track, None).await.unwrap();
        transceiver.set_codec_preferences(self.formats.clone()).await.unwrap();
        self.offer_again(Direction::Sendrecv).await
    }

    pub(super) async fn offer_again(&mut self, direction: Direction) -> String {
        self.direct(direction).await;
        let offer = self.connection.create_offer(None).await.unwrap();
        self.describe(offer).await
    }

    pub(super) async fn answer(&mut self, offer: &str) -> String {
        let track = Arc::clone(&self.track) as Arc<dyn TrackLocal>;
        let offer = RTCSessionDescription::offer(work_around::normalise(offer)).unwrap();
        self.connection.set_remote_description(offer).await.unwrap();
        self.connection.add_track(track).await.unwrap();
        self.direct(Direction::Sendrecv).await;
        let answer = self.connection.create_answer(None).await.unwrap();
        let sdp = self.describe(answer).await;
        self.agreed = Some(work_around::payloads(&sdp).unwrap());
        sdp
    }

    pub(super) async fn apply(&mut self, answer: &str) {
        self.agreed = Some(work_around::payloads(answer).unwrap());
        let answer = RTCSessionDescription::answer(work_around::normalise(answer)).unwrap();
        self.connection.set_remote_description(answer).await.unwrap();
    }

    async fn describe(&mut self, description: RTCSessionDescription) -> String {
        self.connection.set_local_description(description).await.unwrap();
        timeout(PATIENCE, self.gathered.wait_for(|gathered| *gathered)).await.unwrap().unwrap();
        work_around::drop_duplicate_payload_types(&self.connection.local_description().await.unwrap().sdp)
    }

    async fn direct(&self, direction: Direction) {
        let direction = match direction {
            Direction::Sendrecv => RTCRtpTransceiverDirection::Sendrecv,
            Direction::Sendonly => RTCRtpTransceiverDirection::Sendonly,
            Direction::Recvonly => RTCRtpTransceiverDirection::Recvonly,
            Direction::Inactive => RTCRtpTransceiverDirection::Inactive,
        };
        for transceiver in self.connection.get_transceivers().await {
            transceiver.set_direction(direction).await.unwrap();
        }
    }

    pub(super) async fn connected(&mut self) {
        let connected = self.state.wait_for(|state| *state == RTCPeerConnectionState::Connected);
        timeout(PATIENCE, connected).await.expect("a connection").unwrap();
    }

    pub(super) fn codec(&self) -> Codec {
        self.agreed.as_ref().unwrap().codec
    }

    pub(super) fn event(&self) -> u8 {
        self.agreed.as_ref().unwrap().dtmf_payload_type.unwrap()
    }

    /// Sends payloads at their pace.
    pub(super) async fn speak(&mut self, payloads: &[Bytes]) {
        let agreed = self.agreed.clone().unwrap();
        let start = Instant::now();
        for (n, payload) in payloads.iter().enumerate() {
            sleep_until((start + FRAME * u32::try_from(n).unwrap()).into()).await;
            self.send(agreed.payload_type, false, payload.clone()).await;
            self.timestamp = self.timestamp.wrapping_add(u32::try_from(agreed.codec.frame()).unwrap());
        }
        sleep_until((start + FRAME * u32::try_from(payloads.len()).unwrap()).into()).await;
    }

    /// Presses a key for 100 ms, counting in the audio codec's clock.
    pub(super) async fn press(&mut self, event: u8) {
        let (number, clock) = (self.event(), self.codec().clock_rate());
        for n in 1..=7_u32 {
            let duration = u16::try_from(clock / 50 * n.min(5)).unwrap().to_be_bytes();
            let end = if n >= 5 { 0x80 } else { 0 };
            self.send(number, n == 1, Bytes::from(vec![event, end | 10, duration[0], duration[1]])).await;
            sleep(if n < 5 { FRAME } else { Duration::from_millis(1) }).await;
        }
        self.timestamp = self.timestamp.wrapping_add(clock / 10);
    }

    async fn send(&mut self, payload_type: u8, marker: bool, payload: Bytes) {
        self.sequence = self.sequence.wrapping_add(1);
        let (sequence_number, timestamp, ssrc) = (self.sequence, self.timestamp, self.ssrc);
        let header =
            rtc::rtp::Header { version: 2, marker, payload_type, sequence_number, timestamp, ssrc, ..Default::default() };
        assert!(self.track.write_rtp(rtc::rtp::Packet { header, payload }).await.is_ok());
    }

    pub(super) async fn hear(&self, within: Duration) -> Option<RtpPacket> {
        timeout(within, self.packets.lock().await.recv()).await.ok()?
    }

    /// So many packets, and what comes within 300 ms after them.
    pub(super) async fn hear_all(&self, expected: usize) -> Vec<RtpPacket> {
        let mut heard = Vec::new();
        while let Some(packet) = self.hear(patience(heard.len() < expected)).await {
            heard.push(packet);
        }
        heard
    }

    pub(super) async fn close(self) {
        self.connection.close().await.unwrap();
    }
}

fn formats(codecs: &[Codec]) -> Vec<RTCRtpCodecParameters> {
    let audio = codecs.iter().map(|codec| {
        let channels = if *codec == Codec::Opus { 2 } else { 0 };
        format(codec.mime_type(), codec.clock_rate(), channels, codec.fmtp(), codec.payload_type())
    });
    let keys = format("audio/telephone-event", work_around::DTMF_CLOCK_RATE, 0, "0-16", work_around::DTMF_PAYLOAD_TYPE);
    audio.chain([keys]).collect()
}

fn format(mime_type: &str, clock_rate: u32, channels: u16, fmtp: &str, payload_type: u8) -> RTCRtpCodecParameters {
    let rtp_codec =
        RTCRtpCodec { mime_type: mime_type.into(), clock_rate, channels, sdp_fmtp_line: fmtp.into(), rtcp_feedback: Vec::new() };
    RTCRtpCodecParameters { rtp_codec, payload_type }
}
