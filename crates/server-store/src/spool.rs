mod finish;
mod monitor;
mod recover;
mod sidecar;
mod writer;

use std::{
    collections::BTreeSet,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use aftertone_model::{CallRecord, Envelope, Language, Marks, Message, MessageId};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

pub use self::monitor::SpoolMonitor;
use self::{finish::Finisher, monitor::Gauges};
use crate::{Commits, FileLayer, NewJob, StoreError};

/// How a spool works.
#[derive(Debug, Clone)]
pub struct SpoolConfig {
    /// Where the recordings in progress lie.
    pub spool_dir: PathBuf,
    /// Where finished sounds go: [`crate::SqliteStore::blobs_dir`]. On the same file system as the spool.
    pub blobs_dir: PathBuf,
    /// Threads that write; each recording belongs to one of them.
    pub writers: usize,
    /// How often what was appended is synced: at most a second.
    pub sync_every: Duration,
    /// No recording begins when less than this many bytes are free.
    pub reserve_bytes: u64,
    /// How long after a failure to make a message of a recording it is tried again.
    pub retry_every: Duration,
    /// So much of one recording may wait for a slow disk, in bytes; then appending fails.
    pub max_queued_bytes: usize,
}

impl SpoolConfig {
    /// Two threads, a sync each half second, a new try after five seconds, 64 MiB kept free, 4 MiB of queue per recording.
    #[must_use]
    pub fn new(spool_dir: PathBuf, blobs_dir: PathBuf) -> Self {
        Self {
            spool_dir,
            blobs_dir,
            writers: 2,
            sync_every: Duration::from_millis(500),
            retry_every: Duration::from_secs(5),
            reserve_bytes: 64 << 20,
            max_queued_bytes: 4 << 20,
        }
    }
}

/// What the bytes of a recording are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoundFormat {
    /// `audio/wav` or `audio/ogg`.
    pub media_type: String,
    /// The codec's SDP name, such as `PCMU`, `PCMA` or `opus`.
    pub codec: String,
}

/// What is known before the beep.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewRecording {
    /// The message to be.
    pub envelope: Envelope,
    /// The owner's log entry as it would be if the server failed during the recording.
    pub record: CallRecord,
    /// What the bytes will be.
    pub format: SoundFormat,
    /// The language that the caller heard.
    pub language: Language,
    /// Work to be done once it is a message.
    pub jobs: Vec<NewJob>,
}

/// What is known after the recording.
#[derive(Debug, Clone)]
pub struct FinishedSound {
    /// Length of the sound in milliseconds; under 1,000 it becomes no message.
    pub duration_ms: u64,
    /// At most 120 peaks.
    pub peaks: Vec<u8>,
    /// How many bytes at the start of the file are header: the hash doesn't cover them.
    pub header_bytes: u64,
    /// The owner's log entry with its end.
    pub record: CallRecord,
    /// It broke off before the caller hung up.
    pub interrupted: bool,
    /// What the caller said of it.
    pub marks: Marks,
}

/// What became of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "returned once per recording, never kept")]
pub enum Finished {
    /// It is a message, durable and in the feed.
    Message(Message),
    /// It had less than a second of sound; only the call is logged.
    TooShort,
    /// It was a message before, and its owner has expunged it.
    Expunged,
}

/// A recording that broke off, made whole by the one who knows the containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairedSound {
    /// The whole file, with a header that fits its length.
    pub bytes: Vec<u8>,
    /// How many bytes of it are header.
    pub header_bytes: u64,
    /// Length of the sound in milliseconds.
    pub duration_ms: u64,
    /// At most 120 peaks.
    pub peaks: Vec<u8>,
}

/// Makes a file whole that may end anywhere and whose header was never completed.
///
/// Called on a thread of the spool; must not panic on any bytes. `None` when nothing in it can be heard.
pub trait SoundRepair: Send + Sync + 'static {
    /// Repairs.
    fn repair(&self, format: &SoundFormat, bytes: Vec<u8>) -> Option<RepairedSound>;
}

impl<F> SoundRepair for F
where
    F: Fn(&SoundFormat, Vec<u8>) -> Option<RepairedSound> + Send + Sync + 'static,
{
    fn repair(&self, format: &SoundFormat, bytes: Vec<u8>) -> Option<RepairedSound> {
        self(format, bytes)
    }
}

/// Why a recording did not begin. The caller must not hear a beep.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The disk is full, or nearly.
    #[error("no space is left for a recording")]
    Full,
    /// The files failed.
    #[error("the spool's files failed")]
    File(#[source] io::Error),
    /// There is a recording of this id.
    #[error("the message is being recorded already")]
    Running,
    /// The spool was closed.
    #[error("the spool is closed")]
    Closed,
}

/// Why appended bytes can't become durable. The deposit should end; what was written before is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Too much waits for a slow disk.
    #[error("the disk does not keep up")]
    Overrun,
    /// An earlier write failed.
    #[error("the recording's file failed")]
    Broken,
    /// The spool was closed.
    #[error("the spool is closed")]
    Closed,
}

/// Why a recording isn't a message yet. It stays in the spool, and is tried again every few seconds and at the start.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// The files failed.
    #[error("the spool's files failed")]
    File(#[source] io::Error),
    /// The store failed.
    #[error("the commit failed")]
    Store(#[source] StoreError),
    /// The recording's sidecar can't be read.
    #[error("the recording's sidecar is unreadable")]
    Unreadable,
    /// The recording's sound is nowhere to be found.
    #[error("the recording's sound is missing")]
    Missing,
    /// The spool was closed before the recording was finished.
    #[error("the spool is closed")]
    Closed,
}

/// What a scan of the spool did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Recordings that broke off and are messages now.
    pub interrupted: Vec<MessageId>,
    /// Recordings that had been finished but not committed, and are messages now.
    pub completed: Vec<MessageId>,
    /// Recordings with less than a second of sound: only the call is logged.
    pub too_short: Vec<MessageId>,
    /// Leftovers of messages that are there, or were expunged.
    pub cleared: Vec<MessageId>,
    /// Recordings that could not be dealt with, and why; they were left where they are.
    pub failed: Vec<(String, String)>,
}

/// The recordings in progress. One per folder: a second one does not open.
///
/// ```text
/// begin ──> append… ──> finish ──────────────┐
///    │         │                             v
///  ID.json   ID.wav, synced        ID.done ──> blobs/xx/ID.wav ──> commit ──> ID.json, ID.done removed
///  synced    each half second                ^
///              └─ crash, or dropped ──> repair
/// ```
pub struct Spool {
    shared: Arc<Shared>,
    writers: Vec<mpsc::Sender<writer::Command>>,
    finisher: mpsc::Sender<finish::Command>,
    threads: Vec<thread::JoinHandle<()>>,
}

/// What all threads of a spool see.
struct Shared {
    config: SpoolConfig,
    files: Arc<dyn FileLayer>,
    /// Recordings that a handle or the finisher works on: a scan passes them over.
    active: Mutex<BTreeSet<MessageId>>,
    gauges: Arc<Gauges>,
    /// Next to the spool, `spool.lock`.
    _lock: Box<dyn Send + Sync>,
}

impl Shared {
    fn claim(&self, id: MessageId) -> bool {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).insert(id)
    }

    fn release(&self, id: MessageId) {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    fn is_active(&self, id: MessageId) -> bool {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.config.spool_dir.join(name)
    }
}

impl Spool {
    /// Opens the spool and starts its threads. Must be called on a tokio runtime: commits are awaited on it. An
    /// `Arc<dyn Store>` is a store as well.
    ///
    /// Call [`Spool::recover`] before anything else.
    pub fn open(
        config: SpoolConfig,
        files: Arc<dyn FileLayer>,
        store: Arc<dyn Commits>,
        repair: Arc<dyn SoundRepair>,
    ) -> io::Result<Self> {
        files.create_dir_all(&config.spool_dir)?;
        files.create_dir_all(&config.blobs_dir)?;
        let lock = files.lock(&config.spool_dir.with_extension("lock"))?;
        let shared = Arc::new(Shared { config, files, active: Mutex::default(), gauges: Arc::default(), _lock: lock });
        let (finisher, commands) = mpsc::channel();
        let runtime = tokio::runtime::Handle::current();
        let work = Finisher::new(shared.clone(), store, repair, runtime);
        let mut threads = vec![thread::Builder::new().name("spool-finish".into()).spawn(move || work.run(&commands))?];
        let mut writers = Vec::new();
        for number in 0..shared.config.writers.max(1) {
            let (sender, commands) = mpsc::channel();
            let writer = writer::Writer::new(shared.clone(), finisher.clone());
            threads.push(thread::Builder::new().name(format!("spool-write-{number}")).spawn(move || writer.run(&commands))?);
            writers.push(sender);
        }
        Ok(Self { shared, writers, finisher, threads })
    }

    /// How it does.
    #[must_use]
    pub fn monitor(&self) -> SpoolMonitor {
        let Shared { config, files, gauges, .. } = &*self.shared;
        SpoolMonitor {
            files: Arc::clone(files),
            dir: config.spool_dir.clone(),
            reserve_bytes: config.reserve_bytes,
            gauges: Arc::clone(gauges),
        }
    }

    /// Makes a message of every recording that nobody is working on. Doing it twice, or after a crash at any point of
    /// it, changes nothing more. Run at the start; the spool itself does it again after a failure.
    pub async fn recover(&self) -> Result<Recovered, FinishError> {
        let (reply, answer) = oneshot::channel();
        self.finisher.send(finish::Command::Recover { reply }).map_err(|_| FinishError::Closed)?;
        answer.await.map_err(|_| FinishError::Closed)?.map_err(FinishError::File)
    }

    /// Begins a recording. When this returns, a crash can attribute every later sound: only then the caller may hear
    /// the beep.
    pub async fn begin(&self, recording: NewRecording) -> Result<SpoolHandle, BeginError> {
        let id = recording.envelope.id;
        if !self.shared.claim(id) {
            return Err(BeginError::Running);
        }
        let writer = &self.writers[writer_of(id, self.writers.len())];
        let health = Arc::new(Health::default());
        let (reply, answer) = oneshot::channel();
        // If this future is dropped while it waits, the handle is made and dropped all the same: see `Abandon`.
        let max_queued = self.shared.config.max_queued_bytes;
        let handle = SpoolHandle { id, writer: writer.clone(), health: health.clone(), max_queued, open: true };
        let begin = writer::Command::Begin { recording: Box::new(recording), health, reply };
        if writer.send(begin).is_err() {
            handle.defuse();
            self.shared.release(id);
            return Err(BeginError::Closed);
        }
        match answer.await.unwrap_or(Err(BeginError::Closed)) {
            Ok(()) => Ok(handle),
            Err(error) => {
                handle.defuse();
                Err(error)
            }
        }
    }

    /// Stops: open recordings are synced and left for the next start's [`Spool::recover`], finished ones are committed.
    pub async fn close(self) {
        for writer in &self.writers {
            // A thread that is gone needs no stopping.
            let _ = writer.send(writer::Command::Stop);
        }
        let Self { finisher, threads, .. } = self;
        let joined = tokio::task::spawn_blocking(move || {
            let mut threads = threads.into_iter();
            let first = threads.next();
            for writer in threads {
                let _ = writer.join();
            }
            let _ = finisher.send(finish::Command::Stop);
            first.map(thread::JoinHandle::join)
        });
        let _ = joined.await;
    }
}

/// Spreads recordings over the writers.
fn writer_of(id: MessageId, writers: usize) -> usize {
    id.to_string().bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte))) % writers
}

/// What a handle and its writer tell each other without waiting.
#[derive(Default)]
struct Health {
    queued: AtomicUsize,
    broken: AtomicBool,
}

/// A recording in progress. No method waits for the disk, except for [`SpoolHandle::finish`].
///
/// Dropped without being finished, it becomes a message that was interrupted.
pub struct SpoolHandle {
    id: MessageId,
    writer: mpsc::Sender<writer::Command>,
    health: Arc<Health>,
    max_queued: usize,
    open: bool,
}

impl SpoolHandle {
    /// The message to be.
    #[must_use]
    pub fn id(&self) -> MessageId {
        self.id
    }

    /// Appends bytes of the container. They are durable a second later at most.
    pub fn append(&self, bytes: Vec<u8>) -> Result<(), AppendError> {
        self.queue(bytes.len())?;
        self.writer.send(writer::Command::Append { id: self.id, bytes, at: Instant::now() }).map_err(|_| AppendError::Closed)
    }

    /// Overwrites bytes that were appended before, such as a length in a header.
    pub fn patch(&self, offset: u64, bytes: Vec<u8>) -> Result<(), AppendError> {
        self.queue(bytes.len())?;
        self.writer.send(writer::Command::Patch { id: self.id, offset, bytes }).map_err(|_| AppendError::Closed)
    }

    /// Ends the recording and makes it a message. The work goes on if this future is dropped.
    ///
    /// If an earlier write failed, what is on the disk is repaired and becomes an interrupted message.
    pub async fn finish(mut self, sound: FinishedSound) -> Result<Finished, FinishError> {
        self.open = false;
        let (reply, answer) = oneshot::channel();
        let command = writer::Command::Finish { id: self.id, sound: Box::new(sound), reply };
        self.writer.send(command).map_err(|_| FinishError::Closed)?;
        answer.await.unwrap_or(Err(FinishError::Closed))
    }

    /// The file, once everything that was appended before is in it. It is the recording's own: read it, and soon.
    pub fn file(&self) -> impl Future<Output = Option<PathBuf>> + Send + 'static {
        let (reply, answer) = oneshot::channel();
        let sent = self.writer.send(writer::Command::Reach { id: self.id, reply });
        async move { if sent.is_ok() { answer.await.ok() } else { None } }
    }

    /// Throws the recording away: whoever made it wants nobody to hear it, and no call is logged.
    pub fn discard(mut self) {
        self.open = false;
        // Without a writer the spool is closed, and the next start finds the recording.
        let _ = self.writer.send(writer::Command::Discard { id: self.id });
    }

    fn queue(&self, bytes: usize) -> Result<(), AppendError> {
        if self.health.broken.load(Ordering::Relaxed) {
            return Err(AppendError::Broken);
        }
        if self.health.queued.fetch_add(bytes, Ordering::Relaxed) + bytes > self.max_queued {
            // A hole would shift all that follows: from here on nothing is taken.
            self.health.broken.store(true, Ordering::Relaxed);
            return Err(AppendError::Overrun);
        }
        Ok(())
    }

    fn defuse(mut self) {
        self.open = false;
    }
}

impl Drop for SpoolHandle {
    fn drop(&mut self) {
        if self.open {
            // Without a writer the spool is closed, and the next start finds the recording.
            let _ = self.writer.send(writer::Command::Abandon { id: self.id });
        }
    }
}
