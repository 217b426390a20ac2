/// A jump by more seconds than this isn't silence but another clock.
const MAX_GAP_S: i64 = 60;

/// Where a packet stands in the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// So many ticks after the end of what was written.
    After(u32),
    /// So many ticks before it.
    Before(u32),
}

/// Maps the RTP timestamps of a call's streams to positions in one recording.
#[derive(Debug)]
pub(super) struct Timeline {
    max_gap: i64,
    stream: Option<u32>,
    /// Ticks written.
    written: u64,
    /// The timestamp at which the next tick is due, while a stream runs.
    due: u32,
}

impl Timeline {
    pub(super) fn new(rate: u32) -> Self {
        Self { max_gap: i64::from(rate) * MAX_GAP_S, stream: None, written: 0, due: 0 }
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Where a packet stands. The first packet of a stream follows at once.
    pub(super) fn place(&mut self, ssrc: u32, timestamp: u32) -> Place {
        let distance = i64::from(timestamp.wrapping_sub(self.due) as i32);
        let continues = self.stream == Some(ssrc) && distance.abs() <= self.max_gap;
        if !continues {
            self.stream = Some(ssrc);
            self.due = timestamp;
            return Place::After(0);
        }
        let ticks = distance.unsigned_abs() as u32;
        if distance >= 0 { Place::After(ticks) } else { Place::Before(ticks) }
    }

    /// `ticks` were written.
    pub(super) fn advance(&mut self, ticks: u32) {
        self.written += u64::from(ticks);
        self.due = self.due.wrapping_add(ticks);
    }
}
