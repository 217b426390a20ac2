//! A plane with a store behind it, and phones in front of it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, Instant},
};

use aftertone_exchange::{DepositOrder, Described, LegFigures, LegId, LegMedia, MediaCommand, MediaFailure, MediaRequestId};
use aftertone_media::{
    Codec,
    codec::Encoder,
    container,
    resample::resample,
    rtcp::{self, Block},
    rtp::RtpPacket,
    sdp::{self, Direction, RtpOffer},
};
use aftertone_model::{
    CallId, CallRecord, Caller, Direction as CallDirection, EndReason, Envelope, Language, MessageId, Reason, SubscriberId,
    Timestamp,
};
use aftertone_server_store::{Disk, Lookup, NewSubscriber, SoundFormat, Spool, SpoolConfig, SqliteStore, Store};
use bytes::Bytes;
use tokio::{
    net::UdpSocket,
    sync::mpsc,
    time::{sleep_until, timeout},
};

use crate::media::{Encryption, Greetings, MediaConfig, MediaEvent, MediaPlane};

pub(super) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub(super) const FRAME: Duration = Duration::from_millis(20);

/// How long to listen: for what has to come, whatever it takes; for what should not come, a moment.
pub(super) fn patience(has_to_come: bool) -> Duration {
    if has_to_come { Duration::from_secs(10) } else { Duration::from_millis(300) }
}
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Plane {
    pub(super) media: MediaPlane,
    pub(super) store: Arc<dyn Store>,
    pub(super) mailbox: SubscriberId,
    events: mpsc::Receiver<MediaEvent>,
    seen: Vec<MediaEvent>,
    requests: u64,
    /// What callers of the next deposits hear, if it isn't the greeting of the account.
    pub(super) greeting: Option<aftertone_exchange::Sound>,
    /// What goes before that of the account.
    pub(super) spoken_name: Option<aftertone_exchange::Sound>,
    _folder: tempfile::TempDir,
}

/// What is left of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Enough,
    None,
}

impl Plane {
    /// One worker, and greetings of half a second.
    pub(super) async fn start(rtp_ports: RangeInclusive<u16>) -> Self {
        Self::start_with(rtp_ports, 1, tone_greetings(25)).await
    }

    pub(super) async fn start_with(rtp_ports: RangeInclusive<u16>, workers: usize, greetings: Greetings) -> Self {
        Self::start_on(rtp_ports, workers, greetings, Room::Enough).await
    }

    pub(super) async fn start_on(rtp_ports: RangeInclusive<u16>, workers: usize, greetings: Greetings, room: Room) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), Arc::new(Disk)).await.unwrap();
        let mut config = SpoolConfig::new(store.spool_dir(), store.blobs_dir());
        if room == Room::None {
            config.reserve_bytes = u64::MAX;
        }
        let store = Arc::new(store);
        let person = NewSubscriber {
            user: "anna".parse().unwrap(),
            extension: "1001".parse().unwrap(),
            display_name: "Anna".into(),
            language: Language::En,
            ring_s: 20,
            password: None,
        };
        let mailbox = store.add_subscriber(person).await.unwrap().id;
        let repair = |_: &SoundFormat, _: Vec<u8>| None;
        let spool = Spool::open(config, Arc::new(Disk), store.clone(), Arc::new(repair)).unwrap();
        let store: Arc<dyn Store> = store;
        let config = MediaConfig {
            bind: LOOPBACK,
            rtp_ports,
            webrtc_port: 0,
            encryption: Encryption::Offer,
            public: crate::public::Public::default(),
            workers,
            spool: Arc::new(spool),
            store: Arc::clone(&store),
            greetings,
            pins: Arc::default(),
            lateness: crate::load::Lateness::default(),
        };
        let (media, events) = MediaPlane::start(config).unwrap();
        Self { media, store, mailbox, events, seen: Vec::new(), requests: 0, greeting: None, spoken_name: None, _folder: folder }
    }

    pub(super) fn request(&mut self) -> MediaRequestId {
        self.requests += 1;
        MediaRequestId(self.requests)
    }

    /// The next event that fits; the others are kept for later.
    pub(super) async fn event<T>(&mut self, mut wanted: impl FnMut(&MediaEvent) -> Option<T>) -> T {
        if let Some(at) = self.seen.iter().position(|event| wanted(event).is_some()) {
            return wanted(&self.seen.remove(at)).unwrap();
        }
        loop {
            let event = timeout(PATIENCE, self.events.recv()).await.expect("an event").expect("a running plane");
            match wanted(&event) {
                Some(found) => return found,
                None => self.seen.push(event),
            }
        }
    }

    pub(super) async fn described(&mut self, wanted: MediaRequestId) -> Result<Described, MediaFailure> {
        self.event(|event| match event {
            MediaEvent::Described { request, result } if *request == wanted => Some(result.clone()),
            _ => None,
        })
        .await
    }

    pub(super) async fn applied(&mut self, wanted: MediaRequestId) -> Result<Codec, MediaFailure> {
        self.event(|event| match event {
            MediaEvent::Applied { request, result } if *request == wanted => Some(result.clone()),
            _ => None,
        })
        .await
    }

    pub(super) async fn answer(
        &mut self,
        call: CallId,
        leg: u64,
        media: LegMedia,
        offer: String,
        prefer: &[Codec],
    ) -> Result<Described, MediaFailure> {
        let request = self.request();
        let prefer = prefer.to_vec();
        self.media.send(MediaCommand::Answer { request, call, leg: LegId(leg), media, peer: LOOPBACK.into(), offer, prefer });
        self.described(request).await
    }

    pub(super) async fn offer(
        &mut self,
        call: CallId,
        leg: u64,
        media: LegMedia,
        prefer: &[Codec],
    ) -> Result<Described, MediaFailure> {
        let request = self.request();
        let prefer = prefer.to_vec();
        self.media.send(MediaCommand::Offer { request, call, leg: LegId(leg), media, peer: LOOPBACK.into(), prefer });
        self.described(request).await
    }

    pub(super) async fn apply(&mut self, leg: u64, answer: String) -> Result<Codec, MediaFailure> {
        let request = self.request();
        self.media.send(MediaCommand::Apply { request, leg: LegId(leg), answer });
        self.applied(request).await
    }

    /// A phone on a leg that we answer.
    pub(super) async fn phone(
        &mut self,
        call: CallId,
        leg: u64,
        codecs: &[Codec],
        prefer: &[Codec],
    ) -> Result<Phone, MediaFailure> {
        let mut phone = Phone::new(codecs).await;
        let described = self.answer(call, leg, LegMedia::Rtp, phone.offer(Direction::Sendrecv), prefer).await?;
        phone.take(&described.sdp);
        Ok(phone)
    }

    pub(super) fn deposit(&self, call: CallId, leg: u64, message: MessageId) {
        let deposit = Box::new(self.order(call, message));
        self.media.send(MediaCommand::Deposit { leg: LegId(leg), deposit });
    }

    pub(super) fn order(&self, call: CallId, message: MessageId) -> DepositOrder {
        let caller = Caller { number: "030123456".into(), name: None };
        let now = Timestamp::now();
        let envelope = Envelope {
            id: message,
            call,
            mailbox: self.mailbox,
            caller: caller.clone(),
            received_at: now,
            reason: Reason::NoAnswer,
            urgent: false,
            private: false,
            call_back: None,
            test: false,
        };
        let record = CallRecord {
            call,
            owner: self.mailbox,
            direction: CallDirection::Incoming,
            party: caller,
            started_at: now,
            answered_at: None,
            ended_at: now,
            end: EndReason::Diverted,
            diverted: Some(Reason::NoAnswer),
            message: None,
            figures: None,
        };
        let (greeting, longest) = (self.greeting.clone(), Duration::from_secs(300));
        DepositOrder {
            envelope,
            record,
            language: Language::En,
            greeting,
            spoken_name: self.spoken_name.clone(),
            longest,
            menu: None,
            keys: BTreeMap::new(),
            choices: false,
        }
    }

    pub(super) fn close(&self, leg: u64) {
        self.media.send(MediaCommand::Close { leg: LegId(leg) });
    }

    pub(super) async fn deposited(&mut self, wanted: CallId) -> Option<MessageId> {
        self.event(|event| match event {
            MediaEvent::Deposited { call, message, .. } if *call == wanted => Some(*message),
            _ => None,
        })
        .await
    }

    pub(super) async fn deposit_over(&mut self, wanted: u64) {
        self.event(|event| match event {
            MediaEvent::DepositOver { leg } if *leg == LegId(wanted) => Some(()),
            _ => None,
        })
        .await;
    }

    /// What was measured of a leg.
    pub(super) async fn measured(&mut self, wanted: u64) -> Option<LegFigures> {
        self.event(|event| match event {
            MediaEvent::Measured { leg, figures } if *leg == LegId(wanted) => Some(*figures),
            _ => None,
        })
        .await
    }

    /// A message's length by the store, and its file.
    pub(super) async fn sound(&self, message: MessageId) -> (Duration, Vec<u8>) {
        let Lookup::Found(stored) = self.store.sound(self.mailbox, message).await.unwrap() else { panic!("no sound") };
        let Lookup::Found(message) = self.store.message(self.mailbox, message).await.unwrap() else { panic!("no message") };
        (Duration::from_millis(message.duration_ms), std::fs::read(stored.path).unwrap())
    }
}

pub(super) fn call(n: u128) -> CallId {
    CallId::from_random(n)
}

pub(super) fn message(n: u128) -> MessageId {
    MessageId::from_random(n)
}

/// Greetings that are a tone of so many packets.
pub(super) fn tone_greetings(frames: usize) -> Greetings {
    let pcm: Vec<i16> = (0..frames * 320).map(|n| ((n as f32 * 0.2).sin() * 9000.0) as i16).collect();
    let wav = Bytes::from(container::wav_pcm16(&pcm, 16_000));
    Greetings { en: wav.clone(), de: wav, ..Greetings::bundled() }
}

/// Real speech, encoded in packets of 20 ms.
pub(super) fn speech(codec: Codec) -> Vec<Bytes> {
    let wav = container::decode(include_bytes!("../../../../../assets/test-message.wav")).unwrap();
    let pcm = resample(&wav.samples, wav.rate, codec.sample_rate()).unwrap();
    let mut encoder = Encoder::new(codec).unwrap();
    pcm.chunks_exact(codec.frame()).map(|frame| encoder.encode(frame).unwrap().into()).collect()
}

/// A phone of plain RTP that hears everything.
pub(super) struct Phone {
    pub(super) socket: UdpSocket,
    pub(super) server: SocketAddr,
    pub(super) codec: Codec,
    pub(super) payload_type: u8,
    pub(super) event: Option<u8>,
    codecs: Vec<Codec>,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    version: u64,
    numbers: BTreeMap<u8, Codec>,
}

impl Phone {
    pub(super) async fn new(codecs: &[Codec]) -> Self {
        let socket = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
        Self {
            server: socket.local_addr().unwrap(),
            socket,
            codec: codecs[0],
            payload_type: codecs[0].payload_type(),
            event: None,
            codecs: codecs.to_vec(),
            ssrc: rand::random(),
            sequence: rand::random(),
            timestamp: rand::random(),
            version: 0,
            numbers: BTreeMap::new(),
        }
    }

    pub(super) fn offer(&mut self, direction: Direction) -> String {
        self.version += 1;
        let local = self.socket.local_addr().unwrap();
        RtpOffer { local, session_id: 7, version: self.version, codecs: &self.codecs, direction, secure: false, crypto: &[] }
            .to_sdp()
    }

    /// Reads the plane's answer.
    pub(super) fn take(&mut self, answer: &str) {
        let negotiated = sdp::accept_answer(&sdp::parse(answer).unwrap(), &self.codecs).unwrap();
        self.agree(&negotiated);
    }

    /// Answers the plane's offer.
    pub(super) fn answer(&mut self, offer: &str) -> String {
        let session = sdp::parse(offer).unwrap();
        let negotiated = sdp::negotiate(&session, &self.codecs).unwrap();
        self.agree(&negotiated);
        let local = self.socket.local_addr().unwrap();
        let direction = negotiated.direction;
        sdp::RtpAnswer { local, session_id: 8, version: 1, offer: &session, negotiated: &negotiated, direction, crypto: None }
            .to_sdp()
    }

    fn agree(&mut self, negotiated: &sdp::Negotiated) {
        (self.server, self.codec, self.payload_type) = (negotiated.remote, negotiated.codec, negotiated.payload_type);
        self.event = negotiated.dtmf_payload_type;
        self.numbers.insert(negotiated.payload_type, negotiated.codec);
    }

    /// Sends one packet; the clock goes on by 20 ms.
    pub(super) async fn send(&mut self, payload: Bytes) {
        let packet = self.packet(self.payload_type, payload);
        self.skip();
        self.socket.send_to(&packet.to_bytes(), self.server).await.unwrap();
    }

    /// Time passes without a packet.
    pub(super) fn skip(&mut self) {
        self.timestamp = self.timestamp.wrapping_add(self.codec.frame_ticks());
    }

    /// A packet gets lost on its way; the clock goes on by 20 ms.
    pub(super) fn lose(&mut self) {
        drop(self.packet(self.payload_type, Bytes::new()));
        self.skip();
    }

    /// Says to the port for reports how a stream arrives.
    pub(super) async fn report(&self, block: Block) {
        let report = rtcp::compound(self.ssrc, None, Some(block), "phone", Duration::ZERO);
        let to = SocketAddr::new(self.server.ip(), self.server.port() + 1);
        self.socket.send_to(&report, to).await.unwrap();
    }

    /// Sends payloads at their pace.
    pub(super) async fn speak(&mut self, payloads: &[Bytes]) {
        let start = Instant::now();
        for (n, payload) in payloads.iter().enumerate() {
            sleep_until((start + FRAME * u32::try_from(n).unwrap()).into()).await;
            self.send(payload.clone()).await;
        }
        sleep_until((start + FRAME * u32::try_from(payloads.len()).unwrap()).into()).await;
    }

    /// Presses a key for 100 ms, as RFC 4733 says.
    pub(super) async fn press(&mut self, event: u8) {
        let (number, clock) = (self.event.unwrap(), self.codec.clock_rate());
        for n in 1..=7_u32 {
            let duration = u16::try_from(clock / 50 * n.min(5)).unwrap().to_be_bytes();
            let end = if n >= 5 { 0x80 } else { 0 };
            let mut packet = self.packet(number, Bytes::from(vec![event, end | 10, duration[0], duration[1]]));
            packet.marker = n == 1;
            self.socket.send_to(&packet.to_bytes(), self.server).await.unwrap();
            tokio::time::sleep(if n < 5 { FRAME } else { Duration::from_millis(1) }).await;
        }
        (0..5).for_each(|_| self.skip());
    }

    /// Says that it is silent from now on (RFC 3389).
    pub(super) async fn rest(&mut self) {
        let packet = self.packet(13, Bytes::from_static(&[60]));
        self.socket.send_to(&packet.to_bytes(), self.server).await.unwrap();
    }

    fn packet(&mut self, payload_type: u8, payload: Bytes) -> RtpPacket {
        self.sequence = self.sequence.wrapping_add(1);
        RtpPacket { marker: false, payload_type, sequence: self.sequence, timestamp: self.timestamp, ssrc: self.ssrc, payload }
    }

    /// The next packet within `within`, with the time of its arrival.
    pub(super) async fn hear(&self, within: Duration) -> Option<(RtpPacket, Instant)> {
        let mut buffer = [0; 2048];
        let (length, from) = timeout(within, self.socket.recv_from(&mut buffer)).await.ok()?.unwrap();
        assert_eq!(from, self.server, "packets come from where the description says");
        Some((RtpPacket::parse(&buffer[..length]).unwrap(), Instant::now()))
    }

    /// Hears the greeting and the beep; the packets, and when they were over.
    pub(super) async fn hear_prompts(&self, packets: usize) -> (Vec<RtpPacket>, Instant) {
        let mut heard = Vec::new();
        let mut last = Instant::now();
        while heard.len() < packets {
            let (packet, at) = self.hear(PATIENCE).await.expect("a greeting");
            heard.push(packet);
            last = at;
        }
        (heard, last + FRAME)
    }
}
