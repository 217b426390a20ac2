use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::FileLayer;

/// How a spool does, for those who answer for it. Holding one keeps no spool open.
#[derive(Clone)]
pub struct SpoolMonitor {
    pub(super) files: Arc<dyn FileLayer>,
    pub(super) dir: PathBuf,
    pub(super) reserve_bytes: u64,
    pub(super) gauges: Arc<Gauges>,
}

/// What the threads of a spool note while they work.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    recordings: AtomicUsize,
    left: AtomicUsize,
    last_gap_us: AtomicU64,
    worst_gap_us: AtomicU64,
}

impl Gauges {
    pub(super) fn opened(&self) {
        self.recordings.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn closed(&self) {
        self.recordings.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn left(&self, recordings: usize) {
        self.left.store(recordings, Ordering::Relaxed);
    }

    /// At least one: a scan counts them.
    pub(super) fn some_left(&self) {
        self.left.fetch_max(1, Ordering::Relaxed);
    }

    pub(super) fn synced(&self, gap: Duration) {
        let gap = u64::try_from(gap.as_micros()).unwrap_or(u64::MAX);
        self.last_gap_us.store(gap, Ordering::Relaxed);
        self.worst_gap_us.fetch_max(gap, Ordering::Relaxed);
    }
}

impl SpoolMonitor {
    /// Recordings in progress.
    #[must_use]
    pub fn recordings(&self) -> usize {
        self.gauges.recordings.load(Ordering::Relaxed)
    }

    /// Recordings that are over and could not be made messages yet; they are tried again every few seconds.
    #[must_use]
    pub fn left(&self) -> usize {
        self.gauges.left.load(Ordering::Relaxed)
    }

    /// How long the sound that waited longest had waited to be durable, when something was last synced.
    #[must_use]
    pub fn sync_gap(&self) -> Duration {
        Duration::from_micros(self.gauges.last_gap_us.load(Ordering::Relaxed))
    }

    /// The same, at its worst since the spool was opened.
    #[must_use]
    pub fn worst_sync_gap(&self) -> Duration {
        Duration::from_micros(self.gauges.worst_gap_us.load(Ordering::Relaxed))
    }

    /// Bytes that may still be written. Blocks.
    pub fn free_bytes(&self) -> io::Result<u64> {
        self.files.free_space(&self.dir)
    }

    /// Whether there is room for a recording to begin. Blocks.
    pub fn has_room(&self) -> io::Result<bool> {
        Ok(self.free_bytes()? >= self.reserve_bytes)
    }
}
