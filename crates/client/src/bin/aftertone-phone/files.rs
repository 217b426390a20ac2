//! Sound from and to files.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aftertone_client::{AudioIo, AudioSink, AudioSource, FRAME_SAMPLES, Frame, SAMPLE_RATE, decode_file};
use aftertone_media::container::wav_pcm16;
use aftertone_model::CallId;

use crate::lines::Failure;

/// One file to say, one to write. Clones share them, so that a call whose media start again goes on where it was.
#[derive(Clone)]
pub(crate) struct Files {
    said: Arc<[i16]>,
    at: Arc<AtomicUsize>,
    record: Option<PathBuf>,
    heard: Arc<Mutex<Vec<i16>>>,
}

impl Files {
    /// Reads what is to be said, and makes sure that what is heard can be written.
    pub(crate) fn open(play: Option<&Path>, record: Option<&Path>) -> Result<Self, Failure> {
        let said = match play {
            None => Vec::new(),
            Some(path) => {
                let unreadable = |e: &dyn std::fmt::Display| Failure::new("play", format!("{}: {e}", path.display()));
                let bytes = std::fs::read(path).map_err(|e| unreadable(&e))?;
                decode_file(&bytes).map_err(|e| unreadable(&e))?
            }
        };
        if let Some(path) = record {
            write(path, &[])?;
        }
        let (record, heard) = (record.map(Path::to_owned), Arc::default());
        Ok(Self { said: said.into(), at: Arc::default(), record, heard })
    }

    /// How long what is to be said lasts, if there is anything.
    pub(crate) fn length(&self) -> Option<Duration> {
        let samples = u32::try_from(self.said.len()).unwrap_or(u32::MAX);
        (samples > 0).then(|| Duration::from_secs_f64(f64::from(samples) / f64::from(SAMPLE_RATE)))
    }

    /// Whether all of it was said; `false` if there is nothing.
    pub(crate) fn is_said(&self) -> bool {
        !self.said.is_empty() && self.at.load(Ordering::Relaxed) >= self.said.len()
    }

    /// Writes what was heard.
    pub(crate) fn write(&self) -> Result<(), Failure> {
        match &self.record {
            Some(path) => write(path, &self.heard.lock().unwrap_or_else(PoisonError::into_inner)),
            None => Ok(()),
        }
    }
}

fn write(path: &Path, samples: &[i16]) -> Result<(), Failure> {
    std::fs::write(path, wav_pcm16(samples, SAMPLE_RATE)).map_err(|e| Failure::new("record", format!("{}: {e}", path.display())))
}

impl AudioIo for Files {
    fn call_source(&self, _call: CallId) -> Box<dyn AudioSource> {
        Box::new(self.clone())
    }

    fn call_sink(&self, _call: CallId) -> Box<dyn AudioSink> {
        Box::new(self.clone())
    }

    fn playback_sink(&self) -> Box<dyn AudioSink> {
        Box::new(self.clone())
    }
}

impl AudioSource for Files {
    fn read(&mut self, frame: &mut Frame) -> bool {
        let at = self.at.fetch_add(FRAME_SAMPLES, Ordering::Relaxed);
        let rest = self.said.get(at..).unwrap_or_default();
        frame.fill(0);
        for (out, sample) in frame.iter_mut().zip(rest) {
            *out = *sample;
        }
        !rest.is_empty()
    }
}

impl AudioSink for Files {
    fn write(&mut self, frame: &Frame) {
        if self.record.is_some() {
            self.heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(frame);
        }
    }
}
