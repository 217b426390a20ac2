//! Recordings of calls: what is said and heard here, each on its own channel, in a file of the person's own.
//!
//! The task that moves a call's sound hands over copies of it and waits for nothing; a thread of its own encodes and writes
//! them. What came until the last second is on the disk, so that a crash keeps it. The other end hears that it is recorded.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use aftertone_media::{codec::CodecError, container::TwoSidesWriter, tones::Tone};
use aftertone_model::CallId;
use tokio::sync::mpsc;

use crate::{FRAME_SAMPLES, Frame, SAMPLE_RATE, peer::PeerEvent};

/// So much may wait for a slow disk, in frames: five seconds. What comes beyond that is silent in the file.
const WAITING: usize = 500;

/// A recording of a call, or its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRecording {
    /// Which call.
    pub call: CallId,
    /// Where to.
    pub file: PathBuf,
    /// How it is.
    pub state: RecordingState,
}

/// How a recording is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordingState {
    /// It goes on.
    Running,
    /// The file is whole.
    Done,
    /// It could not be begun, or broke off: the file holds what came before.
    Failed {
        /// Why. English.
        detail: String,
    },
}

/// Ten milliseconds of both sides.
struct Moment {
    at: Instant,
    said: Frame,
    heard: Frame,
}

/// Where a call's sound is handed to. The recording ends when all clones are dropped.
#[derive(Debug, Clone)]
pub(crate) struct Tap(mpsc::Sender<Moment>);

impl Tap {
    /// Begins a recording in a new file; how it gets on is told. Returns what ends with it.
    pub(crate) fn open(
        call: CallId,
        file: PathBuf,
        tell: mpsc::UnboundedSender<PeerEvent>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (moments, waiting) = mpsc::channel(WAITING);
        let written = tokio::task::spawn_blocking(move || {
            let told = |state| {
                // A session that is over wants to know nothing any more.
                let _over = tell.send(PeerEvent::Recording(CallRecording { call, file: file.clone(), state }));
            };
            told(match write(&file, waiting, || told(RecordingState::Running)) {
                Ok(()) => RecordingState::Done,
                Err(error) => RecordingState::Failed { detail: error.to_string() },
            });
        });
        (Self(moments), async move {
            let _panicked = written.await;
        })
    }

    fn take(&self, at: Instant, said: &Frame, heard: &Frame) {
        if self.0.try_send(Moment { at, said: *said, heard: *heard }).is_err() {
            tracing::trace!("a moment of a recording is left out");
        }
    }
}

/// A call's part in its recording, where its sound passes.
pub(crate) struct Recorded {
    tap: Tap,
    tone: Tone,
}

impl Recorded {
    pub(crate) fn new(tap: Tap) -> Self {
        Self { tap, tone: Tone::recording(SAMPLE_RATE) }
    }

    /// What is said from now on has the tone in it that tells the other end; both are kept.
    pub(crate) fn pass(&mut self, at: Instant, said: &mut Frame, heard: &Frame) {
        let mut tone = [0; FRAME_SAMPLES];
        self.tone.fill(&mut tone);
        said.iter_mut().zip(tone).for_each(|(said, tone)| *said = said.saturating_add(tone));
        self.tap.take(at, said, heard);
    }
}

/// Why a recording broke off.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("the file can't be written: {0}")]
    File(#[from] io::Error),
    #[error("the sound can't be encoded: {0}")]
    Codec(#[from] CodecError),
}

fn write(path: &Path, mut moments: mpsc::Receiver<Moment>, begun: impl FnOnce()) -> Result<(), WriteError> {
    let mut writer = TwoSidesWriter::new(rand::random())?;
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    append(&mut file, &writer.start())?;
    begun();
    let mut start = None;
    while let Some(Moment { at, said, heard }) = moments.blocking_recv() {
        let start = *start.get_or_insert(at);
        append(&mut file, &writer.push(at.saturating_duration_since(start), &said, &heard)?)?;
    }
    append(&mut file, &writer.finish()?)?;
    Ok(())
}

/// A page is on the disk before the next one is made.
fn append(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    file.write_all(bytes)?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "tests")]

    use std::time::Duration;

    use aftertone_media::container::{Pcm, decode_two_sides};

    use super::*;

    const TICK: Duration = Duration::from_millis(10);

    async fn told(events: &mut mpsc::UnboundedReceiver<PeerEvent>) -> RecordingState {
        match events.recv().await.unwrap() {
            PeerEvent::Recording(recording) => recording.state,
            other => panic!("{other:?}"),
        }
    }

    fn loudness(pcm: &Pcm, from_ms: usize, to_ms: usize) -> f64 {
        let part = &pcm.samples[from_ms * 48..to_ms * 48];
        (part.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / part.len() as f64).sqrt()
    }

    /// Half a minute in which this side says nothing, in an instant.
    #[tokio::test]
    async fn the_other_end_hears_every_fifteen_seconds_that_it_is_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let (file, (tell, mut events)) = (folder.path().join("call.ogg"), mpsc::unbounded_channel());
        let (tap, written) = Tap::open(CallId::from_random(1), file.clone(), tell);
        assert_eq!(told(&mut events).await, RecordingState::Running);
        let (start, mut recorded) = (Instant::now(), Recorded::new(tap.clone()));
        let heard: Frame = std::array::from_fn(|n| if n % 48 < 24 { 5_000 } else { -5_000 });
        for tick in 0..3_100 {
            let mut said = [0; FRAME_SAMPLES];
            recorded.pass(start + TICK * tick, &mut said, &heard);
            // As slowly as the disk takes it.
            while tap.0.capacity() == 0 {
                tokio::task::yield_now().await;
            }
        }
        drop((tap, recorded));
        written.await;
        assert_eq!(told(&mut events).await, RecordingState::Done);
        let [said, heard] = decode_two_sides(&std::fs::read(file).unwrap()).unwrap();
        assert_eq!((said.samples.len(), heard.samples.len()), (31 * 48_000, 31 * 48_000));
        for (from, to, tone) in [(50, 450, true), (600, 14_900, false), (15_050, 15_450, true), (30_050, 30_450, true)] {
            assert_eq!(loudness(&said, from, to) > 2_000.0, tone, "{from} ms: {}", loudness(&said, from, to));
        }
        assert!(loudness(&heard, 100, 30_900) > 4_000.0);
    }

    #[tokio::test]
    async fn no_file_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let (file, (tell, mut events)) = (folder.path().join("call.ogg"), mpsc::unbounded_channel());
        std::fs::write(&file, "of yesterday").unwrap();
        let (_tap, written) = Tap::open(CallId::from_random(1), file.clone(), tell);
        written.await;
        assert!(matches!(told(&mut events).await, RecordingState::Failed { .. }));
        assert_eq!(std::fs::read(file).unwrap(), b"of yesterday");
    }
}
