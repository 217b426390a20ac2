//! The media of one description: a task that owns the WebRTC connection and moves its sound.

use std::{net::IpAddr, sync::Arc, time::Duration};

use aftertone_call::{Describe, MediaFailure, MediaRequestId};
use aftertone_media::{Codec, dtmf::Digit, playout::Playout, rtp::RtpSender, sdp::Direction, webrtc as work_around};
use aftertone_model::CallId;
use rand::RngExt;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, interval, sleep_until},
};
use webrtc::peer_connection::RTCPeerConnectionState;

use crate::{
    AudioIo, AudioSink, AudioSource, FRAME_SAMPLES,
    link::{Link, Packets, Reports, Voice},
    pace::Pace,
    quality::{self, CallQuality, Measured, MediaPath, Watch},
    recording::{CallRecording, Recorded, Tap},
    sound::{self, Outgoing},
    turn::Relays,
};

/// How long the two ends may take to find each other once both have described themselves.
const CONNECTING: Duration = Duration::from_secs(15);
/// How long UDP may take before the server is tried over TCP.
const UDP_WAITS: Duration = Duration::from_millis(500);
/// How long the way to another device may take before the caller's asks for the server's relay.
const DIRECT_WITHIN: Duration = Duration::from_secs(5);
/// The called device leaves the asking to the caller's for a while: who asks at the same time gets in each other's way.
const CALLED_WAITS: Duration = Duration::from_millis(1500);

/// What the media of a description tell.
#[derive(Debug)]
pub(crate) enum PeerEvent {
    Described {
        request: MediaRequestId,
        result: Result<String, MediaFailure>,
    },
    Applied {
        media: MediaRequestId,
        result: Result<(), MediaFailure>,
    },
    Lost {
        media: MediaRequestId,
    },
    /// The other device is not reached directly: the server has to help.
    Stuck {
        media: MediaRequestId,
    },
    /// How the last second sounded.
    Quality(CallQuality),
    /// How all of it sounded.
    Measured(Measured),
    /// A recording began or ended.
    Recording(CallRecording),
}

/// What is kept from the other end, and from here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Silenced {
    /// The microphone is off.
    pub(crate) muted: bool,
    /// Nothing is said and nothing heard.
    pub(crate) held: bool,
}

/// How media reach others.
#[derive(Clone, Default)]
pub(crate) struct Way {
    /// The account's server.
    pub(crate) server: Option<IpAddr>,
    /// The own address towards it, which connections over TCP come from.
    pub(crate) local: Option<IpAddr>,
    /// Its TURN servers.
    pub(crate) relays: Relays,
}

/// A handle. Its task always closes the connection: one that is dropped without that leaks its socket for ever.
pub(crate) struct Peer {
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<()>,
}

enum Order {
    Apply(String),
    Start { audio: Arc<dyn AudioIo>, call: CallId },
    Mute(bool),
    Hold(bool),
    Press(Digit),
    Record(Option<Tap>),
}

impl Peer {
    /// Makes a description; it comes as [`PeerEvent::Described`]. `way` is how the media reach others.
    pub(crate) fn open(
        media: MediaRequestId,
        describe: Describe,
        way: Way,
        silenced: Silenced,
        events: mpsc::UnboundedSender<PeerEvent>,
    ) -> Self {
        let (orders, waiting) = mpsc::unbounded_channel();
        let task = tokio::spawn(run(media, describe, way, silenced, waiting, events));
        Self { orders, task }
    }

    /// Applies the other end's answer; the result comes as [`PeerEvent::Applied`].
    pub(crate) fn apply(&self, answer: String) {
        self.order(Order::Apply(answer));
    }

    /// Lets sound go both ways, as soon as the two ends have found each other; microphone and loudspeaker are asked for
    /// then.
    pub(crate) fn start(&self, audio: Arc<dyn AudioIo>, call: CallId) {
        self.order(Order::Start { audio, call });
    }

    pub(crate) fn mute(&self, muted: bool) {
        self.order(Order::Mute(muted));
    }

    pub(crate) fn hold(&self, held: bool) {
        self.order(Order::Hold(held));
    }

    /// Hands the sound to a recording, or to none any more.
    pub(crate) fn record(&self, tap: Option<Tap>) {
        self.order(Order::Record(tap));
    }

    /// Sends a key; `false` if it is none.
    pub(crate) fn press(&self, key: char) -> bool {
        let Some(digit) = Digit::from_char(key.to_ascii_uppercase()) else { return false };
        self.order(Order::Press(digit));
        true
    }

    /// Closes the media; done when the socket is closed.
    pub(crate) fn close(self) -> impl Future<Output = ()> + Send + 'static {
        drop(self.orders);
        let task = self.task;
        async move {
            let _panicked = task.await;
        }
    }

    fn order(&self, order: Order) {
        // A task that is over has told why.
        let _over = self.orders.send(order);
    }
}

async fn run(
    media: MediaRequestId,
    describe: Describe,
    mut way: Way,
    silenced: Silenced,
    orders: mpsc::UnboundedReceiver<Order>,
    events: mpsc::UnboundedSender<PeerEvent>,
) {
    let tell = |event| {
        // A session that is over wants nothing any more.
        let _over = events.send(event);
    };
    let prefer = match &describe {
        Describe::Offer => Vec::new(),
        Describe::Answer { offer } => work_around::codecs(offer),
    };
    let relays = way.relays.known().await;
    let mut link = match Link::open(&way, relays, &work_around::order_codecs(&Codec::ALL, &prefer)).await {
        Ok(link) => link,
        Err(e) => return tell(PeerEvent::Described { request: media, result: Err(e.into()) }),
    };
    let patience = match &describe {
        Describe::Offer => DIRECT_WITHIN,
        Describe::Answer { .. } => DIRECT_WITHIN + CALLED_WAITS,
    };
    let result = link.describe(describe).await;
    let described = result.is_ok();
    tell(PeerEvent::Described { request: media, result: result.map_err(MediaFailure::from) });
    if described {
        talk(media, &mut link, patience, silenced, orders, &tell).await;
    }
    link.close().await;
}

/// The life of media after they were described, until its handle is dropped.
async fn talk(
    media: MediaRequestId,
    link: &mut Link,
    patience: Duration,
    mut silenced: Silenced,
    mut orders: mpsc::UnboundedReceiver<Order>,
    tell: &impl Fn(PeerEvent),
) {
    let mut state = link.state();
    let mut wanted: Option<Wanted> = None;
    let mut tap: Option<Tap> = None;
    let mut pump: Option<Pump> = None;
    // Pressed before there was a connection to press them on.
    let mut keys = Vec::new();
    let mut dial_at = link.is_described().then(|| Instant::now() + UDP_WAITS);
    // Direct media that are stuck are told of once: if nothing comes of it, the call ends as any other.
    let (mut stuck_at, mut may_be_stuck) = (None, true);
    let mut pace = Pace::new(Instant::now());
    let mut looks = interval(quality::EVERY);
    loop {
        let connected = *state.borrow() == RTCPeerConnectionState::Connected;
        if connected && let Some(Wanted { audio, call, .. }) = wanted.take() {
            pump = start(link, audio, call, silenced).await;
            pace = Pace::new(Instant::now());
            looks.reset();
            match &mut pump {
                Some(pump) => {
                    keys.drain(..).for_each(|key| pump.press(key));
                    pump.recorded = tap.take().map(Recorded::new);
                }
                None => tell(PeerEvent::Lost { media }),
            }
        }
        let connect_by = wanted.as_ref().map(|wanted| wanted.connect_by);
        tokio::select! {
            order = orders.recv() => match order {
                None => {
                    if let Some(pump) = &pump {
                        tell(PeerEvent::Measured(pump.watch.sum_up(pump.call, link.is_direct())));
                    }
                    return;
                }
                Some(Order::Apply(answer)) => {
                    let result = link.apply(&answer).await.map_err(MediaFailure::from);
                    dial_at = result.is_ok().then(|| Instant::now() + UDP_WAITS);
                    tell(PeerEvent::Applied { media, result });
                }
                Some(Order::Start { audio, call }) => {
                    wanted = Some(Wanted { audio, call, connect_by: Instant::now() + CONNECTING });
                    stuck_at = link.is_direct().then(|| Instant::now() + patience);
                }
                Some(Order::Mute(wish)) => {
                    silenced.muted = wish;
                    if let Some(pump) = &mut pump { pump.silenced = silenced }
                }
                Some(Order::Hold(wish)) => {
                    silenced.held = wish;
                    if let Some(pump) = &mut pump { pump.silenced = silenced }
                }
                Some(Order::Press(key)) => match &mut pump {
                    Some(pump) => pump.press(key),
                    None => keys.push(key),
                },
                Some(Order::Record(wish)) => match &mut pump {
                    Some(pump) => pump.recorded = wish.map(Recorded::new),
                    None => tap = wish,
                },
            },
            () = sleep_until(pace.next()), if pump.is_some() => if let Some(pump) = &mut pump {
                pump.tick(pace.step(Instant::now())).await;
            },
            _ = looks.tick(), if pump.is_some() => if let Some(pump) = &mut pump {
                pump.adapt();
                if pump.is_time() {
                    let (path, round_trip) = link.path().await;
                    tell(PeerEvent::Quality(pump.quality(path, round_trip)));
                }
            },
            Ok(()) = state.changed() => {
                let now = *state.borrow_and_update();
                tracing::debug!(?media, state = %now, "media");
                let is_cut = matches!(now, RTCPeerConnectionState::Disconnected | RTCPeerConnectionState::Failed);
                if is_cut && pump.is_some() && link.is_direct() && std::mem::take(&mut may_be_stuck) {
                    tell(PeerEvent::Stuck { media });
                } else if now == RTCPeerConnectionState::Failed {
                    tell(PeerEvent::Lost { media });
                }
            }
            () = sleep_until(stuck_at.unwrap_or_else(Instant::now)), if stuck_at.is_some() => {
                stuck_at = None;
                if !connected && std::mem::take(&mut may_be_stuck) {
                    tracing::info!(?media, "the other device is not reached directly");
                    tell(PeerEvent::Stuck { media });
                }
            }
            () = sleep_until(dial_at.unwrap_or_else(Instant::now)), if dial_at.is_some() => {
                dial_at = None;
                if !connected {
                    link.dial_over_tcp().await;
                }
            }
            () = sleep_until(connect_by.unwrap_or_else(Instant::now)), if connect_by.is_some() => {
                wanted = None;
                tell(PeerEvent::Lost { media });
            }
        }
    }
}

/// Sound is to go, once there is a connection.
struct Wanted {
    audio: Arc<dyn AudioIo>,
    call: CallId,
    connect_by: Instant,
}

async fn start(link: &mut Link, audio: Arc<dyn AudioIo>, call: CallId, silenced: Silenced) -> Option<Pump> {
    let (agreed, mut packets, reports) = (link.agreed()?, link.take_packets()?, link.take_reports()?);
    // Opening a device takes its time, which must not be the event loop's.
    let opened = tokio::task::spawn_blocking(move || (audio.call_source(call), audio.call_sink(call)));
    let (source, sink) = opened.await.ok()?;
    // What came meanwhile would only be a delay.
    while packets.try_recv().is_ok() {}
    let rtp = {
        let mut rng = rand::rng();
        RtpSender::new(link.ssrc(), rng.random(), rng.random())
    };
    let sound = sound::incoming(&agreed).and_then(|incoming| Ok((incoming, Outgoing::new(&agreed, rtp)?)));
    match sound {
        Ok((incoming, outgoing)) => {
            let (front, second) = ([0; FRAME_SAMPLES], false);
            let expects = agreed.direction == Direction::Sendrecv;
            let watch = Watch::new(agreed.codec, expects, std::time::Instant::now());
            let voice = link.voice();
            let recorded = None;
            Some(Pump {
                call,
                watch,
                packets,
                reports,
                incoming,
                outgoing,
                voice,
                source,
                sink,
                silenced,
                recorded,
                front,
                second,
            })
        }
        Err(e) => {
            tracing::warn!(error = %e, "a call's sound could not be set up");
            None
        }
    }
}

/// Moves sound: what came to the sink, what the source gives to the other end.
struct Pump {
    call: CallId,
    watch: Watch,
    packets: Packets,
    reports: Reports,
    incoming: Playout,
    outgoing: Outgoing,
    voice: Voice,
    source: Box<dyn AudioSource>,
    sink: Box<dyn AudioSink>,
    silenced: Silenced,
    recorded: Option<Recorded>,
    /// The first half of the packet being filled.
    front: [i16; FRAME_SAMPLES],
    /// The next tick fills its second half.
    second: bool,
}

impl Pump {
    /// Moves the ten milliseconds that were due then, perhaps a moment ago.
    async fn tick(&mut self, due: Instant) {
        while let Ok((packet, arrived)) = self.packets.try_recv() {
            self.watch.receive(&packet, arrived);
            if let Err(e) = self.incoming.receive(packet, arrived) {
                tracing::debug!(error = %e, "a packet could not be taken");
            }
        }
        let mut heard = [0; FRAME_SAMPLES];
        self.incoming.pull(&mut heard, due.into_std());
        if self.silenced.held {
            heard.fill(0);
        }
        self.sink.write(&heard);

        let mut said = [0; FRAME_SAMPLES];
        if !self.source.read(&mut said) || self.silenced.muted || self.silenced.held {
            said.fill(0);
        }
        if let Some(recorded) = &mut self.recorded {
            recorded.pass(due.into_std(), &mut said, &heard);
        }
        self.second = !self.second;
        if self.second {
            self.front = said;
        } else {
            for packet in self.outgoing.tick(&sound::packet_of(&self.front, &said)) {
                self.voice.send(packet).await;
                self.watch.handle_sent();
            }
        }
    }

    /// Takes what the other end reported to heart.
    fn adapt(&mut self) {
        while let Ok(told) = self.reports.try_recv() {
            if let Some(plan) = self.watch.handle_report(told, std::time::Instant::now()) {
                self.outgoing.adapt(plan);
            }
        }
    }

    fn is_time(&mut self) -> bool {
        self.watch.is_time(std::time::Instant::now())
    }

    fn quality(&mut self, path: MediaPath, round_trip: Option<Duration>) -> CallQuality {
        self.watch.look(self.call, path, round_trip, self.incoming.target(), std::time::Instant::now())
    }

    fn press(&mut self, key: Digit) {
        if !self.outgoing.press(key) {
            tracing::info!("the other end takes no keys");
        }
    }
}

#[cfg(test)]
mod tests;
