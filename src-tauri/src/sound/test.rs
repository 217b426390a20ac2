//! Hearing oneself: what the microphone heard last, as a call would send it.

use std::{
    collections::VecDeque,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use aftertone_audio::{FRAME_SAMPLES, Microphone, SAMPLE_RATE};

const FRAME: Duration = Duration::from_millis(10);
/// Five seconds.
const KEPT: usize = SAMPLE_RATE as usize * 5;

/// A test that runs until it is finished or dropped.
pub(super) struct MicrophoneTest {
    stop: Sender<()>,
    thread: Option<JoinHandle<VecDeque<i16>>>,
}

impl MicrophoneTest {
    pub(super) fn start(mut microphone: Microphone) -> Self {
        let (stop, stopped) = channel();
        let listen = move || {
            let mut heard = VecDeque::with_capacity(KEPT + FRAME_SAMPLES);
            let mut next = Instant::now();
            // Dropping the other end stops it too.
            while stopped.recv_timeout(next.saturating_duration_since(Instant::now())) == Err(RecvTimeoutError::Timeout) {
                next += FRAME;
                let mut frame = [0; FRAME_SAMPLES];
                if microphone.read(&mut frame) {
                    heard.extend(frame);
                    heard.drain(..heard.len().saturating_sub(KEPT));
                }
            }
            heard
        };
        // Without a thread nothing is heard, and nothing is played in the end.
        let thread = thread::Builder::new().name("microphone test".into()).spawn(listen).ok();
        Self { stop, thread }
    }

    /// What was heard last.
    pub(super) fn finish(self) -> Vec<i16> {
        drop(self.stop);
        self.thread.and_then(|thread| thread.join().ok()).map(Vec::from).unwrap_or_default()
    }
}
