use std::{collections::VecDeque, time::Instant};

use super::JitterConfig;

/// Delays of the last 5 s of packets are known.
const OBSERVED: usize = 250;
/// All but this part of the packets shall be in time.
const LATE_PER_CENT: usize = 2;
/// The fastest packet is forgotten after two of these, so that clocks may drift.
const BASE_PERIOD_MS: i64 = 5_000;

/// Measures how much later than the fastest ones packets arrive.
#[derive(Debug)]
pub(super) struct DelayEstimator {
    rate: i64,
    min: i64,
    max: i64,
    epoch: Option<Instant>,
    base: Option<Base>,
    recent: VecDeque<i64>,
    target: i64,
}

/// The least transit (arrival minus timestamp) of this period and the one before.
#[derive(Debug, Clone, Copy)]
struct Base {
    since: i64,
    current: i64,
    previous: i64,
}

impl DelayEstimator {
    pub(super) fn new(rate: u32, config: JitterConfig) -> Self {
        let rate = i64::from(rate);
        let ticks = |d: std::time::Duration| rate * d.as_millis() as i64 / 1_000;
        Self {
            rate,
            min: ticks(config.min),
            max: ticks(config.max),
            epoch: None,
            base: None,
            recent: VecDeque::new(),
            target: ticks(config.start).clamp(ticks(config.min), ticks(config.max)),
        }
    }

    /// The delay aimed at, in ticks.
    pub(super) fn target(&self) -> i64 {
        self.target
    }

    /// A new stream: its timestamps have nothing to do with those before.
    pub(super) fn forget_base(&mut self) {
        self.base = None;
    }

    pub(super) fn observe(&mut self, timestamp: i64, now: Instant) {
        let arrival = self.ticks(now);
        let transit = arrival - timestamp;
        let base = self.base.get_or_insert(Base { since: arrival, current: transit, previous: transit });
        base.current = base.current.min(transit);
        if arrival - base.since > self.rate * BASE_PERIOD_MS / 1_000 {
            *base = Base { since: arrival, current: transit, previous: base.current };
        }
        let delay = transit - base.current.min(base.previous);
        if self.recent.len() == OBSERVED {
            self.recent.pop_front();
        }
        self.recent.push_back(delay);
        self.aim();
    }

    fn aim(&mut self) {
        // Too few to say how bad the network is: only longer than the start, never shorter.
        let is_known = self.recent.len() >= OBSERVED / 5;
        let mut sorted: Vec<i64> = self.recent.iter().copied().collect();
        let rank = (sorted.len() - 1) * (100 - LATE_PER_CENT) / 100;
        let (_, &mut delay, _) = sorted.select_nth_unstable(rank);
        // Half a packet more: the player asks in steps of its own.
        let wanted = (delay + self.rate / 100).clamp(self.min, self.max);
        self.target = if is_known { wanted } else { self.target.max(wanted) };
    }

    /// How long after its earliest possible arrival `timestamp` is played if that is `now`.
    pub(super) fn delay_at(&self, timestamp: i64, now: Instant) -> i64 {
        let (Some(base), Some(epoch)) = (self.base, self.epoch) else { return 0 };
        self.since(epoch, now) - timestamp - base.current.min(base.previous)
    }

    fn ticks(&mut self, now: Instant) -> i64 {
        let epoch = *self.epoch.get_or_insert(now);
        self.since(epoch, now)
    }

    fn since(&self, epoch: Instant, now: Instant) -> i64 {
        let micros = i64::try_from(now.saturating_duration_since(epoch).as_micros()).unwrap_or(i64::MAX / 1_000_000);
        (i128::from(micros) * i128::from(self.rate) / 1_000_000) as i64
    }
}
