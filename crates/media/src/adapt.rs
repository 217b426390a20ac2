//! An Opus encoder that follows its network: how many bits it may spend, and how much loss it provides for, by what the other
//! end reports of what it receives (RFC 3550 section 6.4).
//!
//! Loss alone does not say where it comes from. A radio link loses packets whatever is sent; a full line loses fewer of them
//! once less is sent. So a lower rate is tried, and kept only if it helps:
//!
//! ```text
//!            loss of 10 %, or 4 % with rising jitter
//!  Steady ────────────────────────────────────────────▶ Trying (a lower rate)
//!    ▲  ▲                                                 │    │
//!    │  └────────────── much less is lost: it stays ──────┘    │
//!    └── as much is lost: back to the rate of before ──────────┘
//! ```
//!
//! In a steady state without loss the rate rises again, step by step, and takes a step back where that brings loss. The loss
//! that is provided for rises at once and falls slowly.

use std::time::{Duration, Instant};

use crate::rtcp::Block;

/// With everything for the ear; what others send without protection takes more on the wire.
pub const FULL_BITRATE: u32 = 48_000;
/// Speech of all the frequencies that matter, with a little for FEC.
const LEAST_BITRATE: u32 = 16_000;
/// Provided for when nothing is known: FEC has to be there when the first packet is lost, not after the first report about
/// it. Never less later on either, for reports tell of the next hop alone, which is often a server.
pub const ASSUMED_LOSS_PERCENT: u8 = 10;
/// What is provided for, in per cent; between two steps the higher one.
const STEPS: [u8; 4] = [ASSUMED_LOSS_PERCENT, 15, 20, 30];
/// A lower step is taken when less was enough for so long.
const RELAXES_AFTER: Duration = Duration::from_secs(10);
/// From this loss on, in thousandths, a lower rate is tried.
const HEAVY: f32 = 100.0;
/// The same, where packets come more unevenly than they did: a queue is filling.
const SUSPICIOUS: f32 = 40.0;
const QUEUEING: Duration = Duration::from_millis(15);
/// How long a try lasts. What comes at its beginning was sent before, or waited behind it.
const TRY: Duration = Duration::from_secs(5);
const SETTLES: Duration = Duration::from_secs(2);
/// It helped if no more than this part of the loss is left.
const HELPED: f32 = 0.6;
/// It did not help, and isn't tried again for so long.
const TRIES_AGAIN: Duration = Duration::from_secs(60);
/// Less than this, in thousandths, is no loss to speak of.
const CLEAN: f32 = 10.0;
/// So long without loss, and the rate takes a step up: by a tenth.
const RISES_AFTER: Duration = Duration::from_secs(6);
/// More than this, in thousandths, above what was usual, and a step up brought loss: two packets of a second.
const HURT: f32 = 25.0;
/// So long at a lower rate that still loses, and a step up is tried as well.
const STUCK: Duration = Duration::from_secs(30);
/// A step up that brought loss is not taken again for so long.
const FELL_BACK: Duration = Duration::from_secs(20);

/// What an encoder is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Bits per second, of the codec's own.
    pub bitrate: u32,
    /// The loss that FEC provides for, in per cent.
    pub expected_loss: u8,
}

impl Default for Plan {
    fn default() -> Self {
        Self { bitrate: FULL_BITRATE, expected_loss: ASSUMED_LOSS_PERCENT }
    }
}

/// What an encoder is to do, as reports come.
#[derive(Debug, Clone, Default)]
pub struct Adapter {
    plan: Plan,
    rate: Rate,
    /// In thousandths, smoothed: quick to rise, slow to fall.
    loss: Option<f32>,
    /// The least unevenness of late.
    calm: Option<Duration>,
    /// Since when a lower step of protection would do.
    relaxed: Option<Instant>,
    not_lower_before: Option<Instant>,
    not_higher_before: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
enum Rate {
    Steady(Steady),
    Trying(Trying),
}

#[derive(Debug, Clone, Copy, Default)]
struct Steady {
    /// Since when nothing is lost.
    clean: Option<Instant>,
    /// Since when the rate is what it is; `None` before the first report.
    since: Option<Instant>,
    /// The rate before it rose to that, and what was lost then.
    raised: Option<(u32, f32)>,
}

#[derive(Debug, Clone, Copy)]
struct Trying {
    since: Instant,
    /// What it was before.
    bitrate: u32,
    loss: f32,
    /// What was lost since it settled: the sum and how many reports.
    lost: f32,
    reports: f32,
}

impl Default for Rate {
    fn default() -> Self {
        Self::Steady(Steady::default())
    }
}

impl Adapter {
    /// What to do now.
    #[must_use]
    pub fn plan(&self) -> Plan {
        self.plan
    }

    /// The other end's report of our stream, whose clock runs at `clock_rate` hertz. Returns the plan where it is another one.
    pub fn handle_report(&mut self, block: &Block, clock_rate: u32, now: Instant) -> Option<Plan> {
        let before = self.plan;
        let lost = f32::from(block.fraction_lost) * 1_000.0 / 256.0;
        let jitter = Duration::from_micros(u64::from(block.jitter) * 1_000_000 / u64::from(clock_rate.max(1)));
        let queueing = self.is_queueing(jitter);
        let loss = self.smooth(lost);
        self.protect(loss, now);
        self.rate = match self.rate {
            Rate::Steady(steady) => self.steady(steady, lost, loss, queueing, now),
            Rate::Trying(trying) => self.trying(trying, lost, now),
        };
        (self.plan != before).then_some(self.plan)
    }

    /// Whether packets come so much more unevenly than they did that something fills up on the way.
    fn is_queueing(&mut self, jitter: Duration) -> bool {
        // What is usual rises by a sixteenth each time, so that another network is judged by its own measure.
        let calm = self.calm.map_or(jitter, |calm| (calm + calm / 16 + Duration::from_micros(100)).min(jitter));
        self.calm = Some(calm);
        jitter >= calm + QUEUEING
    }

    fn smooth(&mut self, lost: f32) -> f32 {
        let before = self.loss.unwrap_or(lost);
        let loss = before + (lost - before) * if lost > before { 0.5 } else { 0.25 };
        self.loss = Some(loss);
        loss
    }

    fn protect(&mut self, loss: f32, now: Instant) {
        let enough = STEPS.into_iter().find(|step| f32::from(*step) * 10.0 >= loss).unwrap_or(STEPS[STEPS.len() - 1]);
        let waits = enough < self.plan.expected_loss && now < *self.relaxed.get_or_insert(now) + RELAXES_AFTER;
        if !waits {
            self.relaxed = None;
            self.plan.expected_loss = enough;
        }
    }

    fn steady(&mut self, mut steady: Steady, lost: f32, loss: f32, queueing: bool, now: Instant) -> Rate {
        let since = *steady.since.get_or_insert(now);
        if let Some((before, usual)) = steady.raised
            && lost > usual + HURT
            && now < since + RISES_AFTER
        {
            self.plan.bitrate = before;
            self.not_higher_before = Some(now + FELL_BACK);
            return Rate::Steady(Steady { since: Some(now), ..Steady::default() });
        }
        // One report may tell of a single mishap.
        let twice = lost > CLEAN && steady.clean.is_none();
        let is_bad = twice && (loss >= HEAVY || (loss >= SUSPICIOUS && queueing));
        if is_bad && self.plan.bitrate > LEAST_BITRATE && self.not_lower_before.is_none_or(|at| now >= at) {
            return self.lower(loss.max(lost), now);
        }
        steady.clean = if lost < CLEAN { steady.clean.or(Some(now)) } else { None };
        if self.may_rise(&steady, since, now) {
            let raised = Some((self.plan.bitrate, loss));
            self.plan.bitrate = (self.plan.bitrate + self.plan.bitrate / 10).min(FULL_BITRATE);
            return Rate::Steady(Steady { since: Some(now), raised, ..steady });
        }
        Rate::Steady(steady)
    }

    fn may_rise(&self, steady: &Steady, since: Instant, now: Instant) -> bool {
        let is_clean = steady.clean.is_some_and(|clean| now >= clean + RISES_AFTER) && now >= since + RISES_AFTER;
        // What is lost at this rate may have nothing to do with it.
        let is_stuck = now >= since + STUCK;
        let allowed = self.plan.bitrate < FULL_BITRATE && self.not_higher_before.is_none_or(|at| now >= at);
        allowed && (is_clean || is_stuck)
    }

    fn lower(&mut self, loss: f32, now: Instant) -> Rate {
        let bitrate = self.plan.bitrate;
        // What gets through is about what there is room for.
        let part = (0.9 - loss / 1_000.0).clamp(0.5, 0.8);
        self.plan.bitrate = ((bitrate as f32 * part) as u32).max(LEAST_BITRATE);
        Rate::Trying(Trying { since: now, bitrate, loss, lost: 0.0, reports: 0.0 })
    }

    fn trying(&mut self, mut trying: Trying, lost: f32, now: Instant) -> Rate {
        if now >= trying.since + SETTLES {
            (trying.lost, trying.reports) = (trying.lost + lost, trying.reports + 1.0);
        }
        if trying.reports == 0.0 || now < trying.since + TRY {
            return Rate::Trying(trying);
        }
        let left = trying.lost / trying.reports;
        if left > trying.loss * HELPED {
            self.plan.bitrate = trying.bitrate;
            self.not_lower_before = Some(now + TRIES_AGAIN);
        } else {
            // A little less than there is room for, so that the queue on the way empties.
            self.plan.bitrate = (self.plan.bitrate / 10 * 9).max(LEAST_BITRATE);
            self.loss = Some(left);
        }
        Rate::Steady(Steady { since: Some(now), ..Steady::default() })
    }
}

/// How much was sent when the other end must have had some of it: a second and a half of sound.
const SOME: u32 = 75;
/// The same where its reports never named our stream: two of them, or three seconds.
const ENOUGH: u32 = 150;

/// Whether the other end hears us, by its own reports.
#[derive(Debug, Clone, Default)]
pub struct Audience {
    /// The highest packet that it told of.
    highest: Option<u32>,
    /// Packets that were sent since it told of a new one.
    sent: u32,
    unheard: bool,
}

impl Audience {
    /// A packet was sent.
    pub fn handle_sent(&mut self) {
        self.sent = self.sent.saturating_add(1);
    }

    /// A report came; `block` is what it says of our stream, if it says anything. Who sends in one report and receives in
    /// another leaves it out of half of them.
    pub fn handle_report(&mut self, block: Option<&Block>) {
        match (block, self.highest) {
            (Some(block), known) if known != Some(block.highest) => {
                *self = Self { highest: Some(block.highest), sent: 0, unheard: false };
            }
            (Some(_), _) => self.unheard |= self.sent >= SOME,
            (None, None) => self.unheard |= self.sent >= ENOUGH,
            (None, Some(_)) => {}
        }
    }

    /// What was sent before doesn't count any more: the other end was told not to listen, or another one listens.
    pub fn begin_anew(&mut self) {
        *self = Self::default();
    }

    /// Nothing of ours arrives there.
    #[must_use]
    pub fn is_unheard(&self) -> bool {
        self.unheard
    }
}

#[cfg(test)]
mod tests;
