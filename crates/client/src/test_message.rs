//! The built-in second phone: calls the own mailbox over a connection of its own and leaves a message there.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use aftertone_call::{CallPhase, Phone, Target};
use aftertone_model::{CallId, DeviceId};
use aftertone_sip::Uri;
use aftertone_sync::Me;
use rand::RngExt;
use tokio::{
    sync::mpsc,
    time::{Instant, interval, sleep_until, timeout_at},
};

use crate::{
    AudioIo, AudioSink, AudioSource, FRAME_SAMPLES, Frame, ServerAddress, TestMessage,
    beep::BeepDetector,
    line::{Line, LineConfig, LineEvent},
    run::phone_config,
    sound,
    station::{Station, StationEvent},
    turn::Relays,
};

/// What is said: a person speaking, 8 kHz.
const SPEECH: &[u8] = include_bytes!("../../../assets/test-message.wav");

/// All in all; the speech has its share of it.
const AT_MOST: Duration = Duration::from_secs(90);
/// The beep is expected so soon after the key that skips the greeting; then the speech begins anyway.
const BEEP_WITHIN: Duration = Duration::from_secs(6);
/// So much of the greeting is heard before the key is pressed: the media flow then.
const GREETING_FRAMES: u32 = 80;
/// A moment of silence after the last word.
const TAIL_FRAMES: usize = 30;

/// Whose mailbox.
pub(crate) struct Order {
    pub(crate) server: ServerAddress,
    pub(crate) token: String,
    pub(crate) user_agent: String,
    pub(crate) me: Me,
    pub(crate) relays: Relays,
}

/// Leaves the message, and tells how it gets on.
pub(crate) async fn place(order: Order, tell: impl Fn(TestMessage) + Send) {
    tell(TestMessage::Calling);
    let state = match talk(order, &tell).await {
        Ok(call) => TestMessage::HungUp { call },
        Err(e) => TestMessage::Failed { detail: e.to_string() },
    };
    tell(state);
}

/// What the two ends of the sound and the loop know of each other.
#[derive(Default)]
struct Shared {
    heard: AtomicU32,
    /// The greeting may be cut short now: what sounds pure from here on is the beep.
    listen: AtomicBool,
    detector: Mutex<BeepDetector>,
    beeped: AtomicBool,
    speak: AtomicBool,
    spoken: AtomicBool,
}

/// Sound for the one call of the second phone.
struct Speaker {
    shared: Arc<Shared>,
    speech: Arc<[i16]>,
}

struct Speech {
    shared: Arc<Shared>,
    speech: Arc<[i16]>,
    at: usize,
}

struct Ear(Arc<Shared>);

impl AudioIo for Speaker {
    fn call_source(&self, _call: CallId) -> Box<dyn AudioSource> {
        Box::new(Speech { shared: Arc::clone(&self.shared), speech: Arc::clone(&self.speech), at: 0 })
    }

    fn call_sink(&self, _call: CallId) -> Box<dyn AudioSink> {
        Box::new(Ear(Arc::clone(&self.shared)))
    }

    fn playback_sink(&self) -> Box<dyn AudioSink> {
        Box::new(crate::Silence)
    }
}

impl AudioSource for Speech {
    fn read(&mut self, frame: &mut Frame) -> bool {
        frame.fill(0);
        if !self.shared.speak.load(Ordering::Relaxed) {
            return false;
        }
        let rest = self.speech.get(self.at..).unwrap_or_default();
        for (out, sample) in frame.iter_mut().zip(rest) {
            *out = *sample;
        }
        self.at += FRAME_SAMPLES;
        if self.at >= self.speech.len() + TAIL_FRAMES * FRAME_SAMPLES {
            self.shared.spoken.store(true, Ordering::Relaxed);
        }
        true
    }
}

impl AudioSink for Ear {
    fn write(&mut self, frame: &Frame) {
        // Silence that the jitter buffer makes before the first packet says nothing.
        if frame.iter().any(|sample| *sample != 0) {
            self.0.heard.fetch_add(1, Ordering::Relaxed);
        }
        if !self.0.listen.load(Ordering::Relaxed) {
            return;
        }
        let mut detector = self.0.detector.lock().unwrap_or_else(PoisonError::into_inner);
        if detector.hear(frame) {
            self.0.beeped.store(true, Ordering::Relaxed);
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum TestFailure {
    #[error("the server's address can't be used")]
    Server,
    #[error("no connection: {0}")]
    Offline(String),
    #[error("the mailbox did not take the call: {0}")]
    Refused(String),
    #[error("the mailbox hung up before the message was left")]
    HungUp,
    #[error("the mailbox took the call but nothing is heard of it")]
    Silent,
    #[error("it took too long")]
    TooLong,
    #[error("the built-in speech can't be decoded")]
    Speech,
}

/// How far the talk is.
enum Step {
    Calling,
    Greeting { since: Instant },
    Beep { since: Instant },
    Speaking,
}

async fn talk(order: Order, tell: &(impl Fn(TestMessage) + Send)) -> Result<Option<CallId>, TestFailure> {
    let speech: Arc<[i16]> = sound::decode_file(SPEECH).map_err(|_| TestFailure::Speech)?.into();
    let shared = Arc::new(Shared::default());
    let (media, mut peers) = mpsc::unbounded_channel();
    let instance = DeviceId::from_random(rand::rng().random());
    let phone = Phone::new(phone_config(&order.me, instance, &order.user_agent, false));
    let mut station = Station::new(phone, Arc::new(Speaker { shared: Arc::clone(&shared), speech }), media, order.relays);
    let (events, mut line_events) = mpsc::unbounded_channel();
    let config = LineConfig {
        server: order.server,
        path: "/sip",
        protocol: Some("sip"),
        token: order.token,
        user_agent: order.user_agent,
    };
    let line = Line::open(config, events, |event| event).map_err(|_| TestFailure::Server)?;

    let mut talk = Talk { call: CallId::from_random(rand::rng().random()), account_id: None, step: Step::Calling, shared };
    let (give_up, mut look) = (Instant::now() + AT_MOST, interval(Duration::from_millis(50)));
    let mut deadline = None::<std::time::Instant>;
    let result = loop {
        let input = async {
            tokio::select! {
                Some(event) = line_events.recv() => Some(event),
                Some(event) = peers.recv() => { station.media(event); None }
                _ = look.tick() => None,
                () = sleep_until(deadline.unwrap_or_else(std::time::Instant::now).into()), if deadline.is_some() => {
                    station.timeout();
                    None
                }
            }
        };
        let Ok(input) = timeout_at(give_up, input).await else { break Err(TestFailure::TooLong) };
        if let Some(event) = input
            && let Err(e) = talk.line(event, &mut station, &order.me)
        {
            break Err(e);
        }
        let (told, next) = station.drain();
        deadline = next;
        if let Some(over) = told.into_iter().find_map(|event| talk.told(event, tell)).or_else(|| talk.step(&mut station, tell)) {
            break over;
        }
    };
    station.close(&mut peers).await;
    drop(line);
    result
}

struct Talk {
    call: CallId,
    /// What the account calls it, and the message that comes of it.
    account_id: Option<CallId>,
    step: Step,
    shared: Arc<Shared>,
}

impl Talk {
    fn line(&mut self, event: LineEvent, station: &mut Station, me: &Me) -> Result<(), TestFailure> {
        let opened = matches!(event, LineEvent::Open { connection: 1, .. });
        if let LineEvent::Failed { detail, .. } | LineEvent::Closed { detail, .. } = &event {
            return Err(TestFailure::Offline(detail.clone()));
        }
        station.line(event);
        if opened {
            let owner = Uri::sip(me.subscriber.extension.as_str(), &me.domain).to_string();
            let mailbox = Uri::sip("voicemail", &me.domain).with_param("target", Some(&owner));
            station.dial(self.call, &Target::Address(mailbox)).map_err(|e| TestFailure::Refused(e.to_string()))?;
        }
        Ok(())
    }

    fn told(&mut self, event: StationEvent, tell: &impl Fn(TestMessage)) -> Option<Result<Option<CallId>, TestFailure>> {
        let StationEvent::Call(call) = event else { return None };
        self.account_id = call.account_id;
        match call.phase {
            CallPhase::Active if matches!(self.step, Step::Calling) => {
                self.step = Step::Greeting { since: Instant::now() };
                tell(TestMessage::Greeting);
                None
            }
            CallPhase::Dialing | CallPhase::Ringing | CallPhase::Connecting | CallPhase::Active => None,
            CallPhase::Ended(_) if call.answered_at.is_some() => Some(Err(TestFailure::HungUp)),
            CallPhase::Ended(reason) => Some(Err(TestFailure::Refused(format!("{reason:?}")))),
        }
    }

    fn step(&mut self, station: &mut Station, tell: &impl Fn(TestMessage)) -> Option<Result<Option<CallId>, TestFailure>> {
        match self.step {
            Step::Calling => None,
            Step::Greeting { .. } if self.shared.heard.load(Ordering::Relaxed) >= GREETING_FRAMES => {
                if station.press(self.call, '#').is_err() {
                    return Some(Err(TestFailure::HungUp));
                }
                self.shared.listen.store(true, Ordering::Relaxed);
                self.step = Step::Beep { since: Instant::now() };
                None
            }
            Step::Greeting { since } => (since.elapsed() > Duration::from_secs(20)).then_some(Err(TestFailure::Silent)),
            Step::Beep { since } => {
                if self.shared.beeped.load(Ordering::Relaxed) || since.elapsed() > BEEP_WITHIN {
                    self.shared.speak.store(true, Ordering::Relaxed);
                    self.step = Step::Speaking;
                    tell(TestMessage::Speaking);
                }
                None
            }
            Step::Speaking => {
                let spoken = self.shared.spoken.load(Ordering::Relaxed);
                // `Station::close` hangs up.
                spoken.then_some(Ok(self.account_id))
            }
        }
    }
}
