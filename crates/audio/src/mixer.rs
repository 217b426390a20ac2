use std::sync::Arc;

use rtrb::{Consumer, Producer, RingBuffer};

use crate::{
    Frame,
    elastic::{ElasticReader, elastic, write},
    engine::Interest,
};

/// How many sources may wait for the next callback to pick them up.
const WAITING: usize = 32;

/// Something to be heard.
pub(crate) trait Source: Send {
    /// Adds the next samples to `mix`; `false` when it is over.
    fn add(&mut self, mix: &mut [i32]) -> bool;

    /// Whether its owner still wants it.
    fn is_wanted(&self) -> bool;
}

/// Adds all sources of one output, in its callback. It moves from stream to stream when a device is replaced.
pub(crate) struct Mixer {
    arriving: Consumer<Box<dyn Source>>,
    sources: Vec<Box<dyn Source>>,
    mix: Vec<i32>,
}

impl Mixer {
    /// The mixer, and the end where sources are put in.
    pub(crate) fn new() -> (Self, Producer<Box<dyn Source>>) {
        let (producer, arriving) = RingBuffer::new(WAITING);
        (Self { arriving, sources: Vec::with_capacity(WAITING), mix: Vec::new() }, producer)
    }

    fn arrive(&mut self) {
        while let Ok(source) = self.arriving.pop() {
            self.sources.push(source);
        }
    }

    /// Lets go of what nobody wants any more, while there is no stream.
    pub(crate) fn tidy(&mut self) {
        self.arrive();
        self.sources.retain(|source| source.is_wanted());
    }

    pub(crate) fn fill(&mut self, pcm: &mut [i16]) {
        self.arrive();
        self.mix.clear();
        self.mix.resize(pcm.len(), 0);
        let mix = &mut self.mix;
        self.sources.retain_mut(|source| source.add(mix));
        for (out, &sum) in pcm.iter_mut().zip(self.mix.iter()) {
            *out = sum.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
        }
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
        let source = Stream { reader, scratch: Vec::new(), _interest: Arc::clone(&interest) };
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
    scratch: Vec<i16>,
    _interest: Arc<Interest>,
}

impl Source for Stream {
    fn add(&mut self, mix: &mut [i32]) -> bool {
        self.scratch.resize(mix.len(), 0);
        if self.reader.read(&mut self.scratch) {
            mix.iter_mut().zip(&self.scratch).for_each(|(sum, &sample)| *sum += i32::from(sample));
        }
        !self.reader.is_over()
    }

    fn is_wanted(&self) -> bool {
        !self.reader.is_abandoned()
    }
}
