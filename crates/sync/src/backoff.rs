use std::time::{Duration, Instant};

/// The first pause after a failure; each further one is twice as long, up to [`LONGEST_PAUSE`].
const SHORTEST_PAUSE: Duration = Duration::from_secs(2);
/// As often as the feed is asked without a doorbell.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// When to try again after a failure: from half to the whole of a pause that doubles.
#[derive(Debug)]
pub struct Backoff {
    failures: u32,
    seed: u64,
}

impl Backoff {
    /// `seed` spreads the pauses of many devices after a failure of the server.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { failures: 0, seed }
    }

    /// It failed (again): when to try next.
    pub fn failed(&mut self, now: Instant) -> Instant {
        let full = SHORTEST_PAUSE.saturating_mul(1 << self.failures.min(10)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let half = full / 2;
        now + half + half.mul_f64((self.seed >> 40) as f64 / f64::from(1 << 24))
    }

    /// It worked: the next failure is the first again.
    pub fn worked(&mut self) {
        self.failures = 0;
    }
}
