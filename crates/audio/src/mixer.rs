use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use rtrb::{Consumer, Producer, RingBuffer};

use crate::{
    FRAME_SAMPLES, Frame,
    elastic::{ElasticReader, elastic, write},
    engine::Interest,
    meter::Meter,
    splitter::{Listeners, Splitter},
};

/// How many sources one output plays at once, and how many may wait for its next callback to pick them up.
const SOURCES: usize = 32;
/// The volume follows its knob within 10 ms, so that it doesn't click.
const VOLUME_STEP: f32 = 1.0 / FRAME_SAMPLES as f32;

/// Something to be heard.
pub(crate) trait Source: Send {
    /// Adds the next samples, at most [`FRAME_SAMPLES`], to `mix`; `false` when it is over.
    fn add(&mut self, mix: &mut [i32]) -> bool;

    /// Whether its owner still wants it.
    fn is_wanted(&self) -> bool;
}

/// Adds all sources of one output, in its callback. It moves from stream to stream when a device is replaced.
///
/// A callback may neither allocate nor free: what is over goes to the [`Console`], whose owner drops it.
pub(crate) struct Mixer {
    arriving: Consumer<Box<dyn Source>>,
    over: Producer<Box<dyn Source>>,
    sources: Vec<Box<dyn Source>>,
    mix: [i32; FRAME_SAMPLES],
    volume: Arc<AtomicU32>,
    gain: f32,
    meter: Arc<Meter>,
    /// Hear what is played, as echo cancellation must.
    taps: Splitter,
}

/// The mixer's other end, outside of the callback.
pub(crate) struct Console {
    sources: Producer<Box<dyn Source>>,
    over: Consumer<Box<dyn Source>>,
    taps: Listeners,
    volume: Arc<AtomicU32>,
}

impl Console {
    /// Puts a source in; `false` when too many wait.
    pub(crate) fn put(&mut self, source: Box<dyn Source>) -> bool {
        self.sources.push(source).is_ok()
    }

    /// Lets somebody hear what is played; `false` when too many wait.
    pub(crate) fn tap(&mut self, ring: Producer<i16>) -> bool {
        self.taps.put(ring)
    }

    /// In per cent.
    pub(crate) fn set_volume(&self, percent: u32) {
        self.volume.store(percent, Ordering::Relaxed);
    }

    /// Drops what is over.
    pub(crate) fn tidy(&mut self) {
        while let Ok(source) = self.over.pop() {
            drop(source);
        }
        self.taps.tidy();
    }
}

impl Mixer {
    /// The mixer, and the desk to it.
    pub(crate) fn new(meter: Arc<Meter>) -> (Self, Console) {
        let (sources, arriving) = RingBuffer::new(SOURCES);
        // Room for everything that can be in the mixer or on its way there.
        let (over, finished) = RingBuffer::new(2 * SOURCES);
        let volume = Arc::new(AtomicU32::new(100));
        let (taps, tappers) = Splitter::new(Arc::default());
        let mixer = Self {
            arriving,
            over,
            sources: Vec::with_capacity(SOURCES),
            mix: [0; FRAME_SAMPLES],
            volume: Arc::clone(&volume),
            gain: 1.0,
            meter,
            taps,
        };
        (mixer, Console { sources, over: finished, taps: tappers, volume })
    }

    fn arrive(&mut self) {
        while self.sources.len() < SOURCES
            && let Ok(source) = self.arriving.pop()
        {
            self.sources.push(source);
        }
    }

    /// Lets go of what nobody wants any more, while there is no stream.
    pub(crate) fn tidy(&mut self) {
        self.arrive();
        self.sources.retain(|source| source.is_wanted());
        self.taps.forget_gone();
    }

    pub(crate) fn fill(&mut self, pcm: &mut [i16]) {
        self.arrive();
        for piece in pcm.chunks_mut(FRAME_SAMPLES) {
            self.piece(piece);
        }
    }

    fn piece(&mut self, pcm: &mut [i16]) {
        let mix = &mut self.mix[..pcm.len()];
        mix.fill(0);
        let mut at = 0;
        while at < self.sources.len() {
            // Without room for it, what is over stays and adds nothing.
            if self.sources[at].add(mix) || self.over.is_full() {
                at += 1;
            } else if let Err(rtrb::PushError::Full(source)) = self.over.push(self.sources.swap_remove(at)) {
                self.sources.push(source);
            }
        }
        let wanted = self.volume.load(Ordering::Relaxed) as f32 / 100.0;
        for (out, &sum) in pcm.iter_mut().zip(mix.iter()) {
            self.gain += (wanted - self.gain).clamp(-VOLUME_STEP, VOLUME_STEP);
            let sample = if self.gain == 1.0 { sum } else { (sum as f32 * self.gain) as i32 };
            *out = sample.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
        }
        self.meter.hear(pcm);
        self.taps.take(pcm);
    }
}

/// Where a caller's frames are heard. Dropping it ends its sound, after what was written.
pub struct Speaker {
    ring: Producer<i16>,
    dropped: u64,
    _interest: Arc<Interest>,
}

impl Speaker {
    pub(crate) fn new(interest: Arc<Interest>) -> (Self, Box<dyn Source>) {
        let (ring, reader) = elastic();
        let source = Stream { reader, scratch: [0; FRAME_SAMPLES], _interest: Arc::clone(&interest) };
        (Self { ring, dropped: 0, _interest: interest }, Box::new(source))
    }

    /// Takes the next 10 ms, without ever waiting. Called once per 10 ms, give or take. `false` when it was dropped:
    /// there is no device, or it is far behind.
    pub fn write(&mut self, frame: &Frame) -> bool {
        let taken = write(&mut self.ring, frame);
        self.dropped += u64::from(!taken);
        taken
    }

    /// How many frames were dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

struct Stream {
    reader: ElasticReader,
    scratch: Frame,
    _interest: Arc<Interest>,
}

impl Source for Stream {
    fn add(&mut self, mix: &mut [i32]) -> bool {
        let scratch = &mut self.scratch[..mix.len().min(FRAME_SAMPLES)];
        if self.reader.read(scratch) {
            mix.iter_mut().zip(scratch.iter()).for_each(|(sum, &sample)| *sum += i32::from(sample));
        }
        !self.reader.is_over()
    }

    fn is_wanted(&self) -> bool {
        !self.reader.is_abandoned()
    }
}
