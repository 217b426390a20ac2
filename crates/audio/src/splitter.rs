use std::sync::Arc;

use rtrb::{Consumer, Producer, RingBuffer};

use crate::{
    FRAME_SAMPLES, Frame,
    elastic::{ElasticReader, elastic, write},
    engine::Interest,
    meter::Meter,
    voice::VoiceProcessing,
};

const LISTENERS: usize = 16;

/// Gives what was heard to all who listen, in the input's callback.
///
/// A callback may neither allocate nor free: who doesn't listen any more goes to [`Listeners`], whose owner drops it.
pub(crate) struct Splitter {
    arriving: Consumer<Producer<i16>>,
    gone: Producer<Producer<i16>>,
    listeners: Vec<Producer<i16>>,
    meter: Arc<Meter>,
}

/// The splitter's other end, outside of the callback.
pub(crate) struct Listeners {
    arriving: Producer<Producer<i16>>,
    gone: Consumer<Producer<i16>>,
}

impl Listeners {
    /// Lets somebody listen; `false` when too many wait.
    pub(crate) fn put(&mut self, ring: Producer<i16>) -> bool {
        self.arriving.push(ring).is_ok()
    }

    /// Drops the rings of those that are gone.
    pub(crate) fn tidy(&mut self) {
        while let Ok(ring) = self.gone.pop() {
            drop(ring);
        }
    }
}

impl Splitter {
    /// The splitter, and the end where listeners are put in.
    pub(crate) fn new(meter: Arc<Meter>) -> (Self, Listeners) {
        let (producer, arriving) = RingBuffer::new(LISTENERS);
        let (gone, left) = RingBuffer::new(2 * LISTENERS);
        let splitter = Self { arriving, gone, listeners: Vec::with_capacity(LISTENERS), meter };
        (splitter, Listeners { arriving: producer, gone: left })
    }

    fn arrive(&mut self) {
        while self.listeners.len() < LISTENERS
            && let Ok(listener) = self.arriving.pop()
        {
            self.listeners.push(listener);
        }
    }

    /// Lets go of listeners that are gone, while there is no stream.
    pub(crate) fn forget_gone(&mut self) {
        self.arrive();
        self.listeners.retain(|listener| !listener.is_abandoned());
    }

    pub(crate) fn take(&mut self, pcm: &[i16]) {
        self.arrive();
        self.meter.hear(pcm);
        let mut at = 0;
        while at < self.listeners.len() {
            // A listener that doesn't read misses what doesn't fit.
            let _ = write(&mut self.listeners[at], pcm);
            if !self.listeners[at].is_abandoned() || self.gone.is_full() {
                at += 1;
            } else if let Err(rtrb::PushError::Full(listener)) = self.gone.push(self.listeners.swap_remove(at)) {
                self.listeners.push(listener);
            }
        }
    }
}

/// What is said into the chosen microphone.
pub struct Microphone {
    reader: ElasticReader,
    voice: Option<Box<VoiceProcessing>>,
    _interest: Arc<Interest>,
}

impl Microphone {
    pub(crate) fn new(interest: Arc<Interest>) -> (Self, Producer<i16>) {
        let (producer, reader) = elastic();
        (Self { reader, voice: None, _interest: interest }, producer)
    }

    /// With echo, noise and level taken care of.
    pub(crate) fn with_voice(self, voice: VoiceProcessing) -> Self {
        Self { voice: Some(Box::new(voice)), ..self }
    }

    /// Fills the next 10 ms, without ever waiting. Called once per 10 ms, give or take. `false` when there is nothing:
    /// no device, or it has just begun; the frame is silence then.
    pub fn read(&mut self, frame: &mut Frame) -> bool {
        let heard = self.reader.read(&mut frame[..FRAME_SAMPLES]);
        if let Some(voice) = &mut self.voice {
            voice.process(frame);
        }
        heard
    }
}
