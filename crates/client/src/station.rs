//! A phone with its connection and its media: what the session and the test message's second phone have in common.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use aftertone_call::{
    CallPhase, CallSnapshot, Describe, Event as PhoneEvent, MediaFailure, MediaRequestId, Output, Phone, Refused, Target,
};
use aftertone_model::{CallId, Direction, Now, Timestamp};
use aftertone_net::WebSocketSender;
use aftertone_sip::{ConnectionId, Flow, Transport};
use aftertone_sync::FiguresBody;
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use crate::{
    AudioIo,
    line::{self, LineEvent},
    peer::{Peer, PeerEvent, Silenced, Way},
    quality::{CallQuality, Measured},
    recording::{CallRecording, RecordingState, Tap},
    turn::Relays,
};

/// What a phone tells beyond what the station does itself.
#[derive(Debug)]
pub(crate) enum StationEvent {
    Registered,
    NotRegistered {
        status: u16,
        retry_in: Duration,
    },
    Call(CallSnapshot),
    Quality(CallQuality),
    /// A call of the account sounded so, which its server doesn't know.
    Measured {
        call: CallId,
        figures: FiguresBody,
    },
    Recording(CallRecording),
}

/// One phone. Whoever owns it hands on what comes from its line and its media, and calls [`Station::drain`] after that.
pub(crate) struct Station {
    phone: Phone,
    audio: Arc<dyn AudioIo>,
    socket: Option<Socket>,
    peers: BTreeMap<MediaRequestId, Peer>,
    closing: JoinSet<()>,
    media: mpsc::UnboundedSender<PeerEvent>,
    relays: Relays,
    /// What calls that ended are called in the account, until their media are closed.
    ended: BTreeMap<CallId, (CallId, Direction)>,
    /// Calls that are recorded.
    recordings: BTreeMap<CallId, Tap>,
    told: Vec<StationEvent>,
}

struct Socket {
    connection: ConnectionId,
    sender: WebSocketSender,
    flow: Flow,
}

impl Station {
    /// A station without a connection; what its media tell goes to `media`, and comes back by [`Station::media`].
    pub(crate) fn new(phone: Phone, audio: Arc<dyn AudioIo>, media: mpsc::UnboundedSender<PeerEvent>, relays: Relays) -> Self {
        let (peers, closing) = (BTreeMap::new(), JoinSet::new());
        let (ended, recordings, told) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Self { phone, audio, socket: None, peers, closing, media, relays, ended, recordings, told }
    }

    pub(crate) fn phone(&self) -> &Phone {
        &self.phone
    }

    pub(crate) fn line(&mut self, event: LineEvent) {
        match event {
            LineEvent::Open { connection, sender, local, remote, secure } => {
                let connection = ConnectionId(connection);
                let transport = if secure { Transport::Wss } else { Transport::Ws };
                let flow = Flow { transport, local, remote, connection: Some(connection) };
                self.socket = Some(Socket { connection, sender, flow });
                self.phone.handle_connected(flow, now());
            }
            LineEvent::Received { connection, bytes } => {
                if let Some(socket) = self.socket.as_ref().filter(|socket| socket.connection.0 == connection) {
                    self.phone.handle_received(socket.flow, &bytes, now());
                }
            }
            LineEvent::Closed { connection, .. } => {
                self.socket = None;
                self.phone.handle_disconnected(ConnectionId(connection), now());
            }
            LineEvent::Failed { .. } => {}
        }
    }

    pub(crate) fn media(&mut self, event: PeerEvent) {
        match event {
            PeerEvent::Described { request, result } => self.phone.handle_description(request, result, now()),
            PeerEvent::Applied { media, result } => self.phone.handle_applied(media, result, now()),
            PeerEvent::Stuck { media } => self.phone.handle_media_stuck(media, now()),
            PeerEvent::Lost { media } => self.phone.handle_media_lost(media, now()),
            PeerEvent::Quality(quality) => self.told.push(StationEvent::Quality(quality)),
            PeerEvent::Measured(measured) => {
                if let Some((call, direction)) = self.ended.remove(&measured.call).filter(|_| measured.direct) {
                    let Measured { inbound, outbound, round_trip_ms, .. } = measured;
                    let figures = FiguresBody { direction, inbound, outbound: Some(outbound), round_trip_ms };
                    self.told.push(StationEvent::Measured { call, figures });
                }
            }
            PeerEvent::Recording(recording) => {
                if let RecordingState::Failed { .. } = recording.state {
                    self.stop_recording(recording.call);
                }
                self.told.push(StationEvent::Recording(recording));
            }
        }
    }

    pub(crate) fn timeout(&mut self) {
        self.phone.handle_timeout(now());
    }

    /// Does what the phone wants, until it wants nothing more. Returns what it tells, and when to call
    /// [`Station::timeout`].
    pub(crate) fn drain(&mut self) -> (Vec<StationEvent>, Option<Instant>) {
        let mut told = std::mem::take(&mut self.told);
        loop {
            match self.phone.poll_output() {
                Output::Timeout(at) => return (told, at),
                Output::Transmit { connection, bytes } => self.transmit(connection, bytes),
                Output::Event(event) => self.act(event, &mut told),
            }
        }
    }

    fn transmit(&mut self, connection: ConnectionId, bytes: Vec<u8>) {
        let Some(socket) = self.socket.as_ref().filter(|socket| socket.connection == connection) else { return };
        if let Err(e) = socket.sender.try_send(line::frame(bytes)) {
            // The transaction times out, or the line tells that it is closed.
            tracing::info!(error = %e, "a SIP message could not be sent");
        }
    }

    fn act(&mut self, event: PhoneEvent, told: &mut Vec<StationEvent>) {
        match event {
            PhoneEvent::Registered => told.push(StationEvent::Registered),
            PhoneEvent::NotRegistered { status, retry_in } => told.push(StationEvent::NotRegistered { status, retry_in }),
            PhoneEvent::Call(call) => {
                if let CallPhase::Ended(_) = call.phase {
                    self.recordings.remove(&call.id);
                    if let (Some(named), Some(_)) = (call.account_id, call.answered_at) {
                        self.ended.insert(call.id, (named, call.direction));
                    }
                }
                told.push(StationEvent::Call(call));
            }
            PhoneEvent::DescribeMedia { request, call, describe } => self.describe(request, call, describe),
            PhoneEvent::ApplyMedia { media, answer, .. } => match self.peers.get(&media) {
                Some(peer) => peer.apply(answer),
                None => {
                    let result = Err(MediaFailure("its media are closed".into()));
                    self.phone.handle_applied(media, result, now());
                }
            },
            PhoneEvent::UseMedia { media, call } => {
                if let Some(peer) = self.peers.get(&media) {
                    peer.start(Arc::clone(&self.audio), call);
                    if let Some(tap) = self.recordings.get(&call) {
                        peer.record(Some(tap.clone()));
                    }
                }
            }
            PhoneEvent::CloseMedia { media } => {
                if let Some(peer) = self.peers.remove(&media) {
                    self.closing.spawn(peer.close());
                    while self.closing.try_join_next().is_some() {}
                }
            }
        }
    }

    fn describe(&mut self, request: MediaRequestId, call: CallId, describe: Describe) {
        let known = self.phone.calls().find(|known| known.id == call);
        let silence = known.map_or_else(Silenced::default, |call| Silenced { muted: call.muted, held: call.held });
        let flow = self.socket.as_ref().map(|socket| socket.flow);
        let (server, local) = (flow.map(|flow| flow.remote.ip()), flow.map(|flow| flow.local.ip()));
        let way = Way { server, local, relays: self.relays.clone() };
        self.peers.insert(request, Peer::open(request, describe, way, silence, self.media.clone()));
    }

    pub(crate) fn dial(&mut self, call: CallId, target: &Target) -> Result<(), Refused> {
        self.phone.dial(call, target, now())
    }

    pub(crate) fn call_back(&mut self, call: CallId, target: &Target) -> Result<(), Refused> {
        self.phone.call_back(call, target, now())
    }

    pub(crate) fn answer(&mut self, call: CallId) -> Result<(), Refused> {
        self.phone.answer(call)
    }

    pub(crate) fn decline(&mut self, call: CallId) -> Result<(), Refused> {
        self.phone.decline(call, now())
    }

    pub(crate) fn hang_up(&mut self, call: CallId) -> Result<(), Refused> {
        self.phone.hang_up(call, now())
    }

    pub(crate) fn mute(&mut self, call: CallId, muted: bool) -> Result<(), Refused> {
        for media in self.phone.mute(call, muted)? {
            if let Some(peer) = self.peers.get(&media) {
                peer.mute(muted);
            }
        }
        Ok(())
    }

    pub(crate) fn hold(&mut self, call: CallId, held: bool) -> Result<(), Refused> {
        for media in self.phone.hold(call, held)? {
            if let Some(peer) = self.peers.get(&media) {
                peer.hold(held);
            }
        }
        Ok(())
    }

    /// Records a connected call into a new file, or stops that. A call that is recorded already goes on so.
    pub(crate) fn record(&mut self, call: CallId, file: Option<PathBuf>) -> Result<(), Refused> {
        let Some(file) = file else {
            self.stop_recording(call);
            return Ok(());
        };
        let media = self.phone.media(call)?;
        if self.recordings.contains_key(&call) {
            return Ok(());
        }
        let (tap, written) = Tap::open(call, file, self.media.clone());
        self.closing.spawn(written);
        if let Some(peer) = self.peers.get(&media) {
            peer.record(Some(tap.clone()));
        }
        self.recordings.insert(call, tap);
        Ok(())
    }

    fn stop_recording(&mut self, call: CallId) {
        if self.recordings.remove(&call).is_none() {
            return;
        }
        if let Some(peer) = self.phone.media(call).ok().and_then(|media| self.peers.get(&media)) {
            peer.record(None);
        }
    }

    pub(crate) fn press(&mut self, call: CallId, key: char) -> Result<(), Refused> {
        let media = self.phone.media(call)?;
        let peer = self.peers.get(&media).ok_or(Refused::NoSuchCall)?;
        if peer.press(key) { Ok(()) } else { Err(Refused::NoSuchCall) }
    }

    /// Ends everything: calls, registration, media, connection. What the media tell comes by `media`.
    pub(crate) async fn close(mut self, media: &mut mpsc::UnboundedReceiver<PeerEvent>) -> Vec<StationEvent> {
        self.phone.shut_down(now());
        let (mut told, _) = self.drain();
        if let Some(socket) = self.socket.take() {
            // It is closed after what is queued.
            let _late = timeout(Duration::from_secs(1), socket.sender.close()).await;
        }
        self.recordings.clear();
        for (_, peer) in std::mem::take(&mut self.peers) {
            self.closing.spawn(peer.close());
        }
        let _late = timeout(Duration::from_secs(1), async { while self.closing.join_next().await.is_some() {} }).await;
        while let Ok(event) = media.try_recv() {
            self.media(event);
        }
        told.append(&mut self.told);
        told
    }
}

pub(crate) fn now() -> Now {
    Now { mono: Instant::now(), wall: Timestamp::now() }
}

/// Where media sockets are opened, for a server at that address: wildcards leave out the loopback interface.
pub(crate) fn media_addresses(server: Option<IpAddr>) -> Vec<String> {
    match server.map(|ip| ip.to_canonical()) {
        Some(ip) if ip.is_loopback() => vec![SocketAddr::new(ip, 0).to_string()],
        Some(_) | None => vec!["0.0.0.0:0".into(), "[::]:0".into()],
    }
}
