//! How near the machine is to its limit: measured where it would hurt first, at the packets of those who speak and at the disk.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use aftertone_server_store::SpoolMonitor;

/// Media that is later than this is heard: a packet every 20 ms, and phones even out three or four of them.
const LATE: Duration = Duration::from_millis(80);
/// So often within [`WINDOW`]: a single hiccup is none.
const LATE_TIMES: u32 = 3;
const WINDOW: Duration = Duration::from_secs(1);
/// Sound is to be durable within a second.
const SYNC_GAP: Duration = Duration::from_millis(950);
/// With fewer calls it isn't they who load the machine, and turning callers away would help nobody.
const FEW_CALLS: usize = 50;
/// Once over it, new callers wait for so long a calm.
const CALM: Duration = Duration::from_secs(2);

/// The worst delay of the media workers' deadlines since somebody looked. Cheap to note.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lateness(Arc<AtomicU64>);

impl Lateness {
    /// A deadline was met so late.
    pub(crate) fn note(&self, late: Duration) {
        self.0.fetch_max(u64::try_from(late.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn take(&self) -> Duration {
        Duration::from_micros(self.0.swap(0, Ordering::Relaxed))
    }
}

/// Decides whether new callers are taken.
pub(crate) struct Gauge {
    lateness: Lateness,
    spool: SpoolMonitor,
    judge: Judge,
}

impl Gauge {
    pub(crate) fn new(lateness: Lateness, spool: SpoolMonitor) -> Self {
        Self { lateness, spool, judge: Judge::default() }
    }

    /// Whether the machine is at its limit. To be asked a few times a second.
    pub(crate) fn is_over(&mut self, calls: usize, now: Instant) -> bool {
        let late = self.lateness.take();
        if calls < FEW_CALLS {
            return false;
        }
        let gap = if self.spool.recordings() > 0 { self.spool.sync_gap() } else { Duration::ZERO };
        self.judge.judge(late, gap, now)
    }
}

#[derive(Debug, Default)]
struct Judge {
    window: Option<Instant>,
    late: u32,
    until: Option<Instant>,
}

impl Judge {
    fn judge(&mut self, late: Duration, sync_gap: Duration, now: Instant) -> bool {
        if self.window.is_none_or(|since| now.saturating_duration_since(since) >= WINDOW) {
            (self.window, self.late) = (Some(now), 0);
        }
        self.late += u32::from(late > LATE);
        if self.late >= LATE_TIMES || sync_gap > SYNC_GAP {
            if self.until.is_none_or(|until| until <= now) {
                tracing::warn!(?late, ?sync_gap, "the machine is at its limit: new callers are told to come back");
            }
            self.until = Some(now + CALM);
        }
        self.until.is_some_and(|until| until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(100);

    #[test]
    fn a_hiccup_is_no_limit_and_a_machine_that_lags_is_one_until_it_is_calm() {
        let (mut judge, mut now) = (Judge::default(), Instant::now());
        let mut ask = |judge: &mut Judge, late_ms: u64, gap_ms: u64| {
            now += TICK;
            judge.judge(Duration::from_millis(late_ms), Duration::from_millis(gap_ms), now)
        };
        assert!(!(0..100).any(|tick| ask(&mut judge, if tick % 10 == 0 { 300 } else { 5 }, 600)), "one hiccup a second");
        let mut judge = Judge::default();
        assert_eq!((0..10).map(|_| ask(&mut judge, 100, 0)).position(|over| over), Some(2));
        let calm = (0..40).map(|_| ask(&mut judge, 1, 0)).position(|over| !over);
        assert!(calm.is_some_and(|ticks| (19..=28).contains(&ticks)), "{calm:?}");
        assert!(ask(&mut judge, 0, 1_000), "the disk doesn't keep up");
    }
}
