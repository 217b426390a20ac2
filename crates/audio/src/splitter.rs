use std::sync::Arc;

use rtrb::{Consumer, Producer, RingBuffer};

use crate::{
    Frame,
    elastic::{ElasticReader, elastic, write},
    engine::Interest,
};

const WAITING: usize = 32;

/// Gives what was heard to all who listen, in the input's callback.
pub(crate) struct Splitter {
    arriving: Consumer<Producer<i16>>,
    listeners: Vec<Producer<i16>>,
}

impl Splitter {
    /// The splitter, and the end where listeners are put in.
    pub(crate) fn new() -> (Self, Producer<Producer<i16>>) {
        let (producer, arriving) = RingBuffer::new(WAITING);
        (Self { arriving, listeners: Vec::with_capacity(WAITING) }, producer)
    }

    fn arrive(&mut self) {
        while let Ok(listener) = self.arriving.pop() {
            self.listeners.push(listener);
        }
    }

    /// Lets go of listeners that are gone, while there is no stream.
    pub(crate) fn tidy(&mut self) {
        self.arrive();
        self.listeners.retain(|listener| !listener.is_abandoned());
    }

    pub(crate) fn take(&mut self, pcm: &[i16]) {
        self.arrive();
        self.listeners.retain_mut(|listener| {
            // A listener that doesn't read misses what doesn't fit.
            let _ = write(listener, pcm);
            !listener.is_abandoned()
        });
    }
}

/// What is said into the chosen microphone.
pub struct Microphone {
    reader: ElasticReader,
    _interest: Arc<Interest>,
}

impl Microphone {
    pub(crate) fn new(interest: Arc<Interest>) -> (Self, Producer<i16>) {
        let (producer, reader) = elastic();
        (Self { reader, _interest: interest }, producer)
    }

    /// Fills the next 10 ms, without ever waiting. Called once per 10 ms, give or take. `false` when there is nothing:
    /// no device, or it has just begun; the frame is silence then.
    pub fn read(&mut self, frame: &mut Frame) -> bool {
        self.reader.read(frame)
    }
}
