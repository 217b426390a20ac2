//! Recording a greeting: three seconds to take a breath, then what the microphone hears.

use std::{
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use aftertone_audio::{FRAME_SAMPLES, Microphone, SAMPLE_RATE};

const FRAME: Duration = Duration::from_millis(10);
const COUNTDOWN_S: u8 = 3;
/// No greeting is longer.
pub(crate) const LONGEST_S: usize = 180;
/// No spoken name is longer.
pub(crate) const LONGEST_NAME_S: usize = 10;
/// How often it is told how far it is.
const TOLD_EVERY: usize = SAMPLE_RATE as usize / 5;

/// How far a recording is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It begins in so many seconds.
    Countdown(u8),
    /// So many samples.
    Recording(usize),
    /// It is as long as can be.
    Full,
}

/// A recording that goes on until it is finished or dropped.
pub(crate) struct Recorder {
    stop: Sender<()>,
    thread: Option<JoinHandle<Vec<i16>>>,
}

impl Recorder {
    pub(crate) fn start(mut microphone: Microphone, longest_s: usize, tell: impl Fn(Progress) + Send + 'static) -> Self {
        let (stop, stopped) = channel();
        let record = move || {
            let mut recorded = Vec::new();
            // The microphone is open from the first, so that it is awake when it matters.
            let begun = Instant::now();
            let begins = begun + Duration::from_secs(COUNTDOWN_S.into());
            let (mut next, mut told) = (begun, None);
            while stopped.recv_timeout(next.saturating_duration_since(Instant::now())) == Err(RecvTimeoutError::Timeout) {
                let mut frame = [0; FRAME_SAMPLES];
                let heard = microphone.read(&mut frame);
                let progress = if next < begins {
                    Progress::Countdown(u8::try_from((begins - next).as_millis().div_ceil(1000)).unwrap_or(COUNTDOWN_S))
                } else {
                    // A microphone that is late doesn't shorten what is said.
                    recorded.extend(if heard { frame } else { [0; FRAME_SAMPLES] });
                    if recorded.len() >= longest_s * SAMPLE_RATE as usize {
                        tell(Progress::Full);
                        return recorded;
                    }
                    Progress::Recording(recorded.len() / TOLD_EVERY * TOLD_EVERY)
                };
                if told.replace(progress) != Some(progress) {
                    tell(progress);
                }
                next += FRAME;
            }
            recorded
        };
        // Without a thread nothing is recorded, and that is what is shown in the end.
        let thread = thread::Builder::new().name("recorder".into()).spawn(record).ok();
        Self { stop, thread }
    }

    /// What was recorded.
    pub(crate) fn finish(self) -> Vec<i16> {
        drop(self.stop);
        self.thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}
