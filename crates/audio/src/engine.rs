//! Which device is open for what: the state behind [`crate::Sound`], driven by commands and by time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    time::{Duration, Instant},
};

use rtrb::Producer;

use crate::{
    AudioHost, Devices, OpenError, OpenStream, Use,
    meter::Meter,
    mixer::{Console, Mixer, Source},
    splitter::{Listeners, Splitter},
};

/// Looked for new and vanished devices so often: the system doesn't tell.
const POLL: Duration = Duration::from_secs(2);
/// A device that can't be opened is tried again after this.
const RETRY: Duration = Duration::from_secs(1);
/// A chosen device that is listed but can't be opened is tried again after this, while another does its work.
const RETURN: Duration = Duration::from_secs(10);
/// A stream that is used and asks for nothing, or gives nothing, for so long is dead, though nobody told.
const STALL: Duration = Duration::from_secs(2);
/// How often that is looked at.
const WATCH: Duration = Duration::from_secs(1);
/// A stream that fails sooner than this, a few times in a row, isn't opened again at once.
const YOUNG: Duration = Duration::from_secs(1);
const MAX_YOUNG_FAILURES: u32 = 3;
/// How long a stream may take to end.
const HANDOVER: Duration = Duration::from_millis(500);
/// A device stays open after its last use, up to two seconds longer than this: the next use begins at once, and the end of the sound isn't cut off.
const LINGER: Duration = Duration::from_secs(3);

/// What happened to the devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SoundEvent {
    /// A device was plugged in or out.
    Devices(Devices),
    /// A device is in use now; `device` is the chosen one's id, or none for the system's default. `fallback` says that
    /// another one was chosen.
    Opened {
        /// For what.
        usage: Use,
        /// Which.
        device: Option<String>,
        /// For people, as far as it is known: the default's name if it is the default.
        name: Option<String>,
        /// Because the chosen one isn't there.
        fallback: bool,
    },
    /// A device that was in use failed or vanished; another one is being looked for.
    Lost {
        /// For what.
        usage: Use,
    },
    /// No device can be opened; it is tried again and again.
    Unavailable {
        /// For what.
        usage: Use,
        /// Why.
        error: OpenError,
    },
}

/// Held by everything that wants a device to be open.
#[derive(Debug, Default)]
pub(crate) struct Interest;

/// A stream failed: which, and the how many-th.
pub(crate) type Failure = (Use, u64);
/// Tells a failure, from whatever thread it happens on.
pub(crate) type Report = Arc<dyn Fn(Failure) + Send + Sync>;

pub(crate) struct Engine {
    host: Box<dyn AudioHost>,
    devices: Devices,
    next_poll: Instant,
    microphone: Lane,
    speaker: Lane,
    ringer: Lane,
    speaker_console: Console,
    ringer_console: Console,
    listeners: Listeners,
    meters: Meters,
    report: Report,
    events: Vec<SoundEvent>,
}

/// How loud it is, by use.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meters {
    pub(crate) microphone: Arc<Meter>,
    pub(crate) speaker: Arc<Meter>,
    pub(crate) ringer: Arc<Meter>,
}

impl Engine {
    /// What `report` is told must come back as [`Self::handle_failed`].
    pub(crate) fn new(mut host: Box<dyn AudioHost>, report: Report, now: Instant) -> Self {
        let meters = Meters::default();
        let (speaker, speaker_console) = Mixer::new(Arc::clone(&meters.speaker));
        let (ringer, ringer_console) = Mixer::new(Arc::clone(&meters.ringer));
        let (splitter, listeners) = Splitter::new(Arc::clone(&meters.microphone));
        let devices = host.devices();
        Self {
            host,
            devices,
            next_poll: now + POLL,
            microphone: Lane::new(Use::Microphone, Worker::Splitter(splitter)),
            speaker: Lane::new(Use::Speaker, Worker::Mixer(Box::new(speaker))),
            ringer: Lane::new(Use::Ringer, Worker::Mixer(Box::new(ringer))),
            speaker_console,
            ringer_console,
            listeners,
            meters,
            report,
            events: Vec::new(),
        }
    }

    pub(crate) fn devices(&self) -> &Devices {
        &self.devices
    }

    pub(crate) fn meters(&self) -> Meters {
        self.meters.clone()
    }

    /// Keeps a use's device open while somebody holds it.
    pub(crate) fn interest(&self, usage: Use) -> Arc<Interest> {
        let lane = match usage {
            Use::Microphone => &self.microphone,
            Use::Speaker => &self.speaker,
            Use::Ringer => &self.ringer,
        };
        Arc::clone(&lane.interest)
    }

    /// Something is to be heard; on a microphone it never is.
    pub(crate) fn handle_source(&mut self, usage: Use, source: Box<dyn Source>, now: Instant) {
        let console = match usage {
            Use::Microphone => return,
            Use::Speaker => &mut self.speaker_console,
            Use::Ringer => &mut self.ringer_console,
        };
        if !console.put(source) {
            tracing::warn!(?usage, "too many sounds wait for a device");
        }
        self.tend(now);
    }

    /// Somebody listens to the microphone.
    pub(crate) fn handle_listener(&mut self, ring: Producer<i16>, now: Instant) {
        if !self.listeners.put(ring) {
            tracing::warn!("too many listeners wait for a microphone");
        }
        self.tend(now);
    }

    /// Somebody hears what the loudspeaker plays, to take it out of what the microphone hears.
    pub(crate) fn handle_tap(&mut self, ring: Producer<i16>) {
        if !self.speaker_console.tap(ring) {
            tracing::warn!("too many wait for the loudspeaker's sound");
        }
    }

    /// In per cent; the microphone has none.
    pub(crate) fn handle_volume(&mut self, usage: Use, percent: u32) {
        match usage {
            Use::Microphone => {}
            Use::Speaker => self.speaker_console.set_volume(percent),
            Use::Ringer => self.ringer_console.set_volume(percent),
        }
    }

    /// Devices or defaults may have changed.
    pub(crate) fn handle_change(&mut self, now: Instant) {
        self.look(now);
        self.tend(now);
    }

    /// A device was chosen, or none: the system's default.
    pub(crate) fn handle_choice(&mut self, usage: Use, device: Option<String>, now: Instant) {
        let lane = self.lane(usage);
        if lane.chosen == device {
            return;
        }
        lane.chosen = device;
        if matches!(lane.state, State::Open(_) | State::Failing { .. }) {
            lane.state = State::Closed;
        }
        self.look(now);
        self.tend(now);
    }

    /// A stream can't go on.
    pub(crate) fn handle_failed(&mut self, (usage, generation): Failure, now: Instant) {
        let lane = self.lane(usage);
        if lane.generation != generation || !lane.lose(now) {
            return;
        }
        self.events.push(SoundEvent::Lost { usage });
        self.look(now);
        self.tend(now);
    }

    /// Time has come.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if now >= self.next_poll {
            self.look(now);
        }
        self.tend(now);
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        let lanes = [&self.microphone, &self.speaker, &self.ringer];
        lanes.into_iter().filter_map(Lane::next_timeout).fold(self.next_poll, Instant::min)
    }

    pub(crate) fn poll_events(&mut self) -> Vec<SoundEvent> {
        std::mem::take(&mut self.events)
    }

    fn lane(&mut self, usage: Use) -> &mut Lane {
        match usage {
            Use::Microphone => &mut self.microphone,
            Use::Speaker => &mut self.speaker,
            Use::Ringer => &mut self.ringer,
        }
    }

    fn look(&mut self, now: Instant) {
        self.next_poll = now + POLL;
        let devices = self.host.devices();
        if devices != self.devices {
            self.devices = devices;
            self.events.push(SoundEvent::Devices(self.devices.clone()));
        }
    }

    fn tend(&mut self, now: Instant) {
        self.speaker_console.tidy();
        self.ringer_console.tidy();
        self.listeners.tidy();
        for lane in [&mut self.microphone, &mut self.speaker, &mut self.ringer] {
            let mut around =
                Around { host: &mut *self.host, devices: &self.devices, report: &self.report, events: &mut self.events };
            lane.tend(&mut around, now);
        }
    }
}

/// What a lane needs of its engine.
struct Around<'a> {
    host: &'a mut dyn AudioHost,
    devices: &'a Devices,
    report: &'a Report,
    events: &'a mut Vec<SoundEvent>,
}

/// One use and its stream.
///
/// ```text
///  Closed ──wanted──► Open ──failed, vanished, another chosen──► Closed
///    ▲  ▲──unused for 3 s──┘                                       │ can't be opened
///    └────────────────────────── unused ── Failing ◄───────────────┘ (again every second)
/// ```
struct Lane {
    usage: Use,
    chosen: Option<String>,
    interest: Arc<Interest>,
    /// How the worker comes back from a stream that was dropped.
    home: (Sender<Worker>, Receiver<Worker>),
    generation: u64,
    young_failures: u32,
    state: State,
}

enum State {
    Closed,
    Open(Open),
    Failing { retry_at: Instant },
}

struct Open {
    _stream: OpenStream,
    device: Option<String>,
    /// The system's default when it was opened.
    default: Option<String>,
    since: Instant,
    idle_since: Option<Instant>,
    retry_chosen_at: Instant,
    /// Counts the callbacks, and what it was when it was last seen to have changed.
    beats: Arc<AtomicU64>,
    seen: (u64, Instant),
}

impl Open {
    /// Whether its callbacks have stopped. On the way it remembers how they stand.
    fn is_stalled(&mut self, now: Instant) -> bool {
        let beats = self.beats.load(Ordering::Relaxed);
        if beats != self.seen.0 {
            self.seen = (beats, now);
        }
        now.saturating_duration_since(self.seen.1) >= STALL
    }
}

/// What a stream runs.
enum Worker {
    Mixer(Box<Mixer>),
    Splitter(Splitter),
}

/// Sends the worker home when the callback that owns it is dropped, so that the next stream goes on where it stopped.
struct Lent {
    worker: Option<Worker>,
    home: Sender<Worker>,
    beats: Arc<AtomicU64>,
}

impl Lent {
    fn fill(&mut self, pcm: &mut [i16]) {
        self.beats.fetch_add(1, Ordering::Relaxed);
        match &mut self.worker {
            Some(Worker::Mixer(mixer)) => mixer.fill(pcm),
            Some(Worker::Splitter(_)) | None => pcm.fill(0),
        }
    }

    fn take(&mut self, pcm: &[i16]) {
        self.beats.fetch_add(1, Ordering::Relaxed);
        match &mut self.worker {
            Some(Worker::Splitter(splitter)) => splitter.take(pcm),
            Some(Worker::Mixer(_)) | None => {}
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(worker) = self.worker.take() {
            // Where nobody waits any more it isn't needed.
            let _ = self.home.send(worker);
        }
    }
}

impl Lane {
    fn new(usage: Use, worker: Worker) -> Self {
        let home = channel();
        // The receiver is right here.
        let _ = home.0.send(worker);
        Self { usage, chosen: None, interest: Arc::new(Interest), home, generation: 0, young_failures: 0, state: State::Closed }
    }

    fn is_wanted(&self) -> bool {
        Arc::strong_count(&self.interest) > 1
    }

    fn next_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Closed => None,
            State::Open(open) => {
                let watch_at = open.seen.1 + WATCH;
                Some(open.idle_since.map_or(watch_at, |since| watch_at.min(since + LINGER)))
            }
            State::Failing { retry_at } => Some(*retry_at),
        }
    }

    fn tend(&mut self, around: &mut Around<'_>, now: Instant) {
        let wanted = self.is_wanted();
        if self.has_died(around.devices, wanted, now) && self.lose(now) {
            around.events.push(SoundEvent::Lost { usage: self.usage });
        }
        let returns = self.chosen_returned(around.devices, now);
        let moves = self.default_moved(around.devices);
        match &mut self.state {
            State::Open(open) if !wanted => {
                if now >= *open.idle_since.get_or_insert(now) + LINGER {
                    self.state = State::Closed;
                }
            }
            State::Open(_) if returns || moves => self.open(around, now),
            State::Open(open) => open.idle_since = None,
            State::Closed if wanted => self.open(around, now),
            State::Failing { retry_at } if wanted && now >= *retry_at => self.open(around, now),
            State::Failing { .. } if !wanted => self.state = State::Closed,
            State::Closed | State::Failing { .. } => {}
        }
        if !matches!(self.state, State::Open(_)) {
            self.tidy();
        }
    }

    /// The stream is gone; `false` when there was none.
    fn lose(&mut self, now: Instant) -> bool {
        let State::Open(open) = &self.state else { return false };
        let is_young = now.saturating_duration_since(open.since) < YOUNG;
        self.young_failures = if is_young { self.young_failures + 1 } else { 0 };
        let is_hopeless = self.young_failures > MAX_YOUNG_FAILURES;
        self.state = if is_hopeless { State::Failing { retry_at: now + RETRY } } else { State::Closed };
        true
    }

    /// Whether the open device isn't listed any more, or its stream stands still.
    fn has_died(&mut self, devices: &Devices, wanted: bool, now: Instant) -> bool {
        let State::Open(open) = &mut self.state else { return false };
        let is_listed = open.device.as_ref().is_none_or(|device| devices.has(self.usage, device));
        !is_listed || (open.is_stalled(now) && wanted)
    }

    fn chosen_returned(&self, devices: &Devices, now: Instant) -> bool {
        let State::Open(open) = &self.state else { return false };
        open.device != self.chosen && now >= open.retry_chosen_at && self.available(devices).is_some()
    }

    /// The system's default is in use, and is another one now.
    fn default_moved(&self, devices: &Devices) -> bool {
        let State::Open(open) = &self.state else { return false };
        let default = devices.default_of(self.usage).map(|device| &device.id);
        open.device.is_none() && default.is_some() && default != open.default.as_ref()
    }

    /// The chosen device, if it is there.
    fn available(&self, devices: &Devices) -> Option<String> {
        self.chosen.clone().filter(|id| devices.has(self.usage, id))
    }

    /// Opens the chosen device, else the default.
    fn open(&mut self, around: &mut Around<'_>, now: Instant) {
        let was_failing = matches!(self.state, State::Failing { .. });
        // The old stream goes first: it may be of the same device.
        self.state = State::Closed;
        let mut retry_chosen_at = now;
        let mut opened = Err(OpenError::NotThere);
        let mut device = self.available(around.devices);
        if device.is_some() {
            opened = self.stream(around, device.as_deref());
            retry_chosen_at = now + RETURN;
        }
        if opened.is_err() {
            device = None;
            opened = self.stream(around, None);
        }
        match opened {
            Ok((stream, beats)) => {
                let fallback = device != self.chosen;
                let default = around.devices.default_of(self.usage);
                let known = device.as_ref().map_or(default, |id| around.devices.find(self.usage, id));
                let name = known.map(|device| device.name.clone());
                let default = default.map(|device| device.id.clone());
                around.events.push(SoundEvent::Opened { usage: self.usage, device: device.clone(), name, fallback });
                let (since, idle_since, seen) = (now, None, (0, now));
                self.state =
                    State::Open(Open { _stream: stream, device, default, since, idle_since, retry_chosen_at, beats, seen });
            }
            Err(error) => {
                if !was_failing {
                    around.events.push(SoundEvent::Unavailable { usage: self.usage, error });
                }
                self.state = State::Failing { retry_at: now + RETRY };
            }
        }
    }

    /// A running stream, and the count of its callbacks.
    fn stream(&mut self, around: &mut Around<'_>, device: Option<&str>) -> Result<(OpenStream, Arc<AtomicU64>), OpenError> {
        let Ok(worker) = self.home.1.recv_timeout(HANDOVER) else {
            return Err(OpenError::Unusable("the stream before it hasn't ended".into()));
        };
        self.generation += 1;
        let failure = (self.usage, self.generation);
        let report = Arc::clone(around.report);
        let failed = Box::new(move || report(failure));
        let beats = Arc::new(AtomicU64::new(0));
        let is_output = matches!(worker, Worker::Mixer(_));
        let mut lent = Lent { worker: Some(worker), home: self.home.0.clone(), beats: Arc::clone(&beats) };
        let stream = if is_output {
            around.host.open_output(device, Box::new(move |pcm: &mut [i16]| lent.fill(pcm)), failed)?
        } else {
            around.host.open_input(device, Box::new(move |pcm: &[i16]| lent.take(pcm)), failed)?
        };
        Ok((stream, beats))
    }

    /// Without a stream nobody else lets go of what is over.
    fn tidy(&mut self) {
        if let Ok(mut worker) = self.home.1.try_recv() {
            match &mut worker {
                Worker::Mixer(mixer) => mixer.tidy(),
                Worker::Splitter(splitter) => splitter.forget_gone(),
            }
            // The receiver is right here.
            let _ = self.home.0.send(worker);
        }
    }
}

#[cfg(test)]
mod tests;
