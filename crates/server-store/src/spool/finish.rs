use std::{
    cell::Cell,
    io, panic,
    path::Path,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use aftertone_model::{CallRecord, MessageId};
use tokio::sync::oneshot;

use super::{
    FinishError, Finished, FinishedSound, NewRecording, Recovered, RepairedSound, Shared, SoundFormat, SoundRepair,
    sidecar::{Done, Names},
};
use crate::{Commits, Committed, Sound, StoreError, sqlite::content_of};

/// Below this a recording is no message, in milliseconds.
pub(super) const SHORTEST_MESSAGE_MS: u64 = 1_000;

pub(super) enum Command {
    Finish {
        recording: Box<NewRecording>,
        sound: Box<FinishedSound>,
        /// Not everything that was appended is in the file.
        broken: bool,
        reply: oneshot::Sender<Result<Finished, FinishError>>,
    },
    Abandoned {
        id: MessageId,
    },
    Recover {
        reply: oneshot::Sender<io::Result<Recovered>>,
    },
    Stop,
}

/// The thread that makes messages of recordings, one after the other: the database has one writer anyway.
pub(super) struct Finisher {
    pub(super) shared: Arc<Shared>,
    store: Arc<dyn Commits>,
    repair: Arc<dyn SoundRepair>,
    runtime: tokio::runtime::Handle,
    /// When to scan the spool again, where something was left: at that time, however much there is to do meanwhile.
    retry_at: Cell<Option<Instant>>,
}

impl Finisher {
    pub(super) fn new(
        shared: Arc<Shared>,
        store: Arc<dyn Commits>,
        repair: Arc<dyn SoundRepair>,
        runtime: tokio::runtime::Handle,
    ) -> Self {
        Self { shared, store, repair, runtime, retry_at: Cell::new(None) }
    }

    pub(super) fn run(self, commands: &mpsc::Receiver<Command>) {
        loop {
            let command = match self.retry_at.get() {
                Some(at) => commands.recv_timeout(at.saturating_duration_since(Instant::now())),
                None => commands.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected),
            };
            match command {
                Ok(Command::Finish { recording, sound, broken, reply }) => {
                    let id = recording.envelope.id;
                    let result = self.finish(*recording, *sound, broken);
                    self.after(id, result.as_ref().err());
                    // Nobody need wait for it.
                    let _ = reply.send(result);
                }
                Ok(Command::Abandoned { id }) => {
                    let result = self.recover_one(id);
                    self.after(id, result.as_ref().err());
                }
                Ok(Command::Recover { reply }) => {
                    let _ = reply.send(self.recover());
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Ok(Command::Stop) | Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
            self.retry();
        }
    }

    fn after(&self, id: MessageId, error: Option<&FinishError>) {
        self.shared.release(id);
        if let Some(error) = error {
            tracing::error!(message = %id, error = error as &dyn std::error::Error, "a recording stays in the spool for now");
            self.retry_later();
        }
    }

    /// Something was left in the spool.
    pub(super) fn retry_later(&self) {
        if self.retry_at.get().is_none() {
            self.retry_at.set(Some(Instant::now() + self.shared.config.retry_every));
            self.shared.gauges.some_left();
        }
    }

    fn retry(&self) {
        if self.retry_at.get().is_none_or(|at| Instant::now() < at) {
            return;
        }
        self.retry_at.set(None);
        if let Err(error) = self.recover() {
            tracing::error!(%error, "the spool can't be scanned");
            self.retry_later();
        }
    }

    fn finish(&self, mut recording: NewRecording, sound: FinishedSound, broken: bool) -> Result<Finished, FinishError> {
        let FinishedSound { duration_ms, peaks, header_bytes, record, interrupted, marks } = sound;
        recording.envelope = recording.envelope.marked(marks);
        if broken {
            return self.repair(recording, record);
        }
        let names = Names::new(&self.shared, recording.envelope.id);
        let sound = if duration_ms < SHORTEST_MESSAGE_MS {
            None
        } else {
            let bytes = self.shared.files.read(&names.sound(&recording.format)).map_err(FinishError::File)?;
            let whole = RepairedSound { bytes, header_bytes, duration_ms, peaks };
            Some(describe(&names, &recording.format, whole))
        };
        self.settle(Done { recording, record, interrupted, sound })
    }

    /// Makes an interrupted message of what is in the file, or logs the call alone if that is too little.
    pub(super) fn repair(&self, recording: NewRecording, mut record: CallRecord) -> Result<Finished, FinishError> {
        let names = Names::new(&self.shared, recording.envelope.id);
        let path = names.sound(&recording.format);
        let bytes = self.shared.files.read(&path).map_err(FinishError::File)?;
        let repair = || self.repair.repair(&recording.format, bytes);
        let repaired = panic::catch_unwind(panic::AssertUnwindSafe(repair)).map_err(|_| FinishError::Unreadable)?;
        let Some(repaired) = repaired.filter(|sound| sound.duration_ms >= SHORTEST_MESSAGE_MS) else {
            return self.settle(Done { recording, record, interrupted: true, sound: None });
        };
        // Nobody saw the end: it was not before the sound was over.
        let length = Duration::from_millis(repaired.duration_ms);
        if let Ok(over) = record.started_at.checked_add(length) {
            record.ended_at = record.ended_at.max(over);
        }
        names.write_whole(&path, &repaired.bytes).map_err(FinishError::File)?;
        let sound = Some(describe(&names, &recording.format, repaired));
        self.settle(Done { recording, record, interrupted: true, sound })
    }

    /// From here on a crash changes nothing: what is to be committed is on the disk.
    fn settle(&self, done: Done) -> Result<Finished, FinishError> {
        let names = Names::new(&self.shared, done.recording.envelope.id);
        let text = serde_json::to_vec(&done).map_err(|error| FinishError::File(io::Error::other(error)))?;
        names.write_whole(&names.done(), &text).map_err(FinishError::File)?;
        self.complete(done)
    }

    /// Moves the sound, commits, and clears the spool. Every step may have been done before.
    pub(super) fn complete(&self, done: Done) -> Result<Finished, FinishError> {
        let id = done.recording.envelope.id;
        let names = Names::new(&self.shared, id);
        let Some(sound) = done.sound.clone() else {
            // The log may have an entry that knows more, if this one is the draft of a recording that broke off.
            let commit = async {
                if done.recording.envelope.test {
                    Ok(())
                } else if done.interrupted {
                    self.store.commit_call_record_if_absent(&done.record).await.map(drop)
                } else {
                    self.store.commit_call_record(&done.record).await
                }
            };
            self.wait(commit)?;
            self.clear_short(&names, &done.recording.format).map_err(FinishError::File)?;
            return Ok(Finished::TooShort);
        };
        self.place(&names.sound(&done.recording.format), &sound.file)?;
        let finished = match self.wait(self.store.commit_recording(done.into_finished(sound)))? {
            Committed::Added(message) | Committed::Already(message) => Finished::Message(message),
            Committed::Expunged => Finished::Expunged,
        };
        if let Err(error) = names.clear() {
            // It is a message; the next scan clears the rest.
            tracing::warn!(message = %id, %error, "the spool keeps files of a message");
            self.retry_later();
        }
        Ok(finished)
    }

    /// The sound must be gone for sure before the sidecar that says it's too short.
    fn clear_short(&self, names: &Names<'_>, format: &SoundFormat) -> io::Result<()> {
        self.shared.files.remove(&names.sound(format))?;
        self.shared.files.sync_dir(&self.shared.config.spool_dir)?;
        names.clear()
    }

    /// The new name is durable before the old one is given up.
    fn place(&self, sound: &Path, file: &str) -> Result<(), FinishError> {
        let Shared { config, files, .. } = &*self.shared;
        let blob = config.blobs_dir.join(file);
        let shard = blob.parent().unwrap_or(&config.blobs_dir);
        let place = || {
            files.create_dir_all(shard)?;
            if files.exists(sound)? {
                files.rename(sound, &blob)?;
            } else if !files.exists(&blob)? {
                return Ok(false);
            }
            files.sync_dir(shard)?;
            files.sync_dir(&config.spool_dir)?;
            Ok(true)
        };
        if place().map_err(FinishError::File)? { Ok(()) } else { Err(FinishError::Missing) }
    }

    pub(super) fn store(&self) -> &dyn Commits {
        self.store.as_ref()
    }

    pub(super) fn wait<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, FinishError> {
        self.runtime.block_on(work).map_err(FinishError::Store)
    }
}

fn describe(names: &Names<'_>, format: &SoundFormat, sound: RepairedSound) -> Sound {
    let RepairedSound { bytes, header_bytes, duration_ms, mut peaks } = sound;
    let header = usize::try_from(header_bytes).unwrap_or(usize::MAX).min(bytes.len());
    let content = content_of(&format.codec, &bytes[header..]);
    peaks.truncate(120);
    let file = names.blob(format);
    Sound { content, file, bytes: bytes.len() as u64, media_type: format.media_type.clone(), duration_ms, peaks }
}
