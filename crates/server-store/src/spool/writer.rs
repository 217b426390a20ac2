use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, atomic::Ordering, mpsc},
    time::Instant,
};

use aftertone_model::MessageId;
use tokio::sync::oneshot;

use super::{BeginError, FinishError, Finished, FinishedSound, Health, NewRecording, Shared, finish, sidecar::Names};
use crate::OpenFile;

pub(super) enum Command {
    Begin {
        recording: Box<NewRecording>,
        health: Arc<Health>,
        reply: oneshot::Sender<Result<(), BeginError>>,
    },
    /// `at`: when it was said.
    Append {
        id: MessageId,
        bytes: Vec<u8>,
        at: Instant,
    },
    Patch {
        id: MessageId,
        offset: u64,
        bytes: Vec<u8>,
    },
    Finish {
        id: MessageId,
        sound: Box<FinishedSound>,
        reply: oneshot::Sender<Result<Finished, FinishError>>,
    },
    Abandon {
        id: MessageId,
    },
    Discard {
        id: MessageId,
    },
    /// Everything before it is done.
    Reach {
        id: MessageId,
        reply: oneshot::Sender<PathBuf>,
    },
    Stop,
}

/// One writing thread: owns the open files of its recordings, and syncs those that grew.
pub(super) struct Writer {
    shared: Arc<Shared>,
    finisher: mpsc::Sender<finish::Command>,
    open: BTreeMap<MessageId, Recording>,
}

struct Recording {
    recording: Box<NewRecording>,
    file: Box<dyn OpenFile>,
    health: Arc<Health>,
    /// When the oldest of what is not synced was said.
    dirty_since: Option<Instant>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, finisher: mpsc::Sender<finish::Command>) -> Self {
        Self { shared, finisher, open: BTreeMap::new() }
    }

    pub(super) fn run(mut self, commands: &mpsc::Receiver<Command>) {
        let mut next_sync = Instant::now() + self.shared.config.sync_every;
        loop {
            let command = match commands.recv_timeout(next_sync.saturating_duration_since(Instant::now())) {
                Ok(Command::Stop) | Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Ok(command) => Some(command),
                Err(mpsc::RecvTimeoutError::Timeout) => None,
            };
            if let Some(command) = command {
                self.handle(command);
            }
            if Instant::now() >= next_sync {
                self.sync_all();
                next_sync = Instant::now() + self.shared.config.sync_every;
            }
        }
        self.sync_all();
    }

    fn handle(&mut self, command: Command) {
        match command {
            Command::Begin { recording, health, reply } => {
                let id = recording.envelope.id;
                let result = self.begin(recording, health);
                if result.is_err() {
                    self.shared.release(id);
                }
                // Whoever asked may be gone: the dropped handle then sends `Abandon`.
                let _ = reply.send(result);
            }
            Command::Append { id, bytes, at } => self.write(id, bytes.len(), at, |file| file.append(&bytes)),
            Command::Patch { id, offset, bytes } => {
                self.write(id, bytes.len(), Instant::now(), |file| file.write_at(offset, &bytes));
            }
            Command::Finish { id, sound, reply } => self.finish(id, sound, reply),
            Command::Abandon { id } => self.abandon(id),
            Command::Discard { id } => self.discard(id),
            Command::Reach { id, reply } => {
                if let Some(open) = self.open.get(&id) {
                    // Whoever asked may be gone.
                    let _ = reply.send(Names::new(&self.shared, id).sound(&open.recording.format));
                }
            }
            Command::Stop => {}
        }
    }

    fn begin(&mut self, recording: Box<NewRecording>, health: Arc<Health>) -> Result<(), BeginError> {
        let config = &self.shared.config;
        let free = self.shared.files.free_space(&config.spool_dir).map_err(BeginError::File)?;
        if free < config.reserve_bytes {
            return Err(BeginError::Full);
        }
        let id = recording.envelope.id;
        let file = self.make_files(&recording).map_err(|error| {
            // Nothing was promised yet. What can't be removed either is cleared by the next scan.
            let _ = Names::new(&self.shared, id).clear();
            if error.kind() == io::ErrorKind::StorageFull { BeginError::Full } else { BeginError::File(error) }
        })?;
        self.shared.gauges.opened();
        self.open.insert(id, Recording { recording, file, health, dirty_since: None });
        Ok(())
    }

    /// The sidecar and the empty sound file, both with their names durable.
    fn make_files(&self, recording: &NewRecording) -> io::Result<Box<dyn OpenFile>> {
        let files = &self.shared.files;
        let names = Names::new(&self.shared, recording.envelope.id);
        let text = serde_json::to_vec(recording).map_err(io::Error::other)?;
        let mut sidecar = files.create(&names.begun())?;
        sidecar.append(&text)?;
        sidecar.sync()?;
        let sound = files.create(&names.sound(&recording.format))?;
        files.sync_dir(&self.shared.config.spool_dir)?;
        Ok(sound)
    }

    fn write(&mut self, id: MessageId, bytes: usize, at: Instant, write: impl FnOnce(&mut dyn OpenFile) -> io::Result<()>) {
        let Some(recording) = self.open.get_mut(&id) else { return };
        recording.health.queued.fetch_sub(bytes, Ordering::Relaxed);
        if recording.health.broken.load(Ordering::Relaxed) {
            return;
        }
        match write(recording.file.as_mut()) {
            Ok(()) => recording.dirty_since = Some(recording.dirty_since.map_or(at, |since| since.min(at))),
            Err(error) => recording.fail(id, &error),
        }
    }

    fn finish(&mut self, id: MessageId, sound: Box<FinishedSound>, reply: oneshot::Sender<Result<Finished, FinishError>>) {
        let Some(mut recording) = self.close(id) else {
            let _ = reply.send(Err(FinishError::Missing));
            return;
        };
        recording.sync(id);
        let broken = recording.health.broken.load(Ordering::Relaxed);
        drop(recording.file);
        let command = finish::Command::Finish { recording: recording.recording, sound, broken, reply };
        // The finisher outlives the writers; if it failed, the next start finds the recording.
        let _ = self.finisher.send(command);
    }

    fn abandon(&mut self, id: MessageId) {
        let Some(mut recording) = self.close(id) else { return };
        recording.sync(id);
        drop(recording.file);
        let _ = self.finisher.send(finish::Command::Abandoned { id });
    }

    /// The sidecar goes first: without it nothing can make a message of the sound.
    fn discard(&mut self, id: MessageId) {
        let Some(recording) = self.close(id) else { return };
        drop(recording.file);
        let names = Names::new(&self.shared, id);
        let removed = self.shared.files.remove(&names.begun()).and_then(|()| names.clear());
        if let Err(error) = removed.and_then(|()| self.shared.files.sync_dir(&self.shared.config.spool_dir)) {
            tracing::error!(message = %id, %error, "a recording that was thrown away stays in the spool");
        }
        self.shared.release(id);
    }

    fn close(&mut self, id: MessageId) -> Option<Recording> {
        let recording = self.open.remove(&id)?;
        self.shared.gauges.closed();
        Some(recording)
    }

    fn sync_all(&mut self) {
        let mut dirty: Vec<_> = self.open.iter_mut().filter(|(_, recording)| recording.dirty_since.is_some()).collect();
        let Some(oldest) = dirty.iter().filter_map(|(_, recording)| recording.dirty_since).min() else { return };
        let mut files: Vec<_> = dirty.iter_mut().map(|(_, recording)| recording.file.as_mut() as &mut dyn OpenFile).collect();
        let results = self.shared.files.sync_all(&mut files);
        for ((id, recording), result) in dirty.into_iter().zip(results) {
            recording.dirty_since = None;
            if let Err(error) = result {
                recording.fail(*id, &error);
            }
        }
        self.shared.gauges.synced(oldest.elapsed());
    }
}

impl Recording {
    fn sync(&mut self, id: MessageId) {
        if self.dirty_since.take().is_none() {
            return;
        }
        if let Err(error) = self.file.sync() {
            self.fail(id, &error);
        }
    }

    fn fail(&self, id: MessageId, error: &io::Error) {
        tracing::error!(message = %id, %error, "a recording can't be written on");
        self.health.broken.store(true, Ordering::Relaxed);
    }
}
