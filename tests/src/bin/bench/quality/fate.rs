//! What a network does to packets, by dice that fall the same way each time.

use std::time::Duration;

/// A kind of network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Condition {
    /// As in the result.
    pub(crate) name: &'static str,
    loss: Loss,
    /// Each packet is delayed by up to so many milliseconds.
    jitter_ms: u32,
}

#[derive(Debug, Clone, Copy)]
enum Loss {
    Random(f64),
    /// Gilbert-Elliott: from good to bad and back, per packet; in the bad state all is lost.
    Bursts {
        begin: f64,
        end: f64,
    },
}

const fn random(name: &'static str, loss: f64) -> Condition {
    Condition { name, loss: Loss::Random(loss), jitter_ms: 0 }
}

/// Random loss; bursts of three packets on average that come to five per cent; jitter alone.
pub(crate) const CONDITIONS: &[Condition] = &[
    random("0", 0.0),
    random("5", 0.05),
    random("10", 0.10),
    random("20", 0.20),
    Condition { name: "burst", loss: Loss::Bursts { begin: 0.0175, end: 1.0 / 3.0 }, jitter_ms: 0 },
    Condition { name: "jitter30", loss: Loss::Random(0.0), jitter_ms: 30 },
];

/// What becomes of one packet after the other.
#[derive(Debug, Clone)]
pub(crate) struct Fate {
    condition: Condition,
    bad: bool,
    state: u64,
}

impl Fate {
    pub(crate) fn new(condition: &Condition, seed: u32) -> Self {
        Self { condition: *condition, bad: false, state: 0x9E37_79B9_7F4A_7C15 ^ (u64::from(seed + 1) << 20) }
    }

    /// The next packet's delay, or `None` if it is lost.
    pub(crate) fn next(&mut self) -> Option<Duration> {
        let (dice, late) = (self.dice(), self.dice());
        let lost = match self.condition.loss {
            Loss::Random(part) => dice < part,
            Loss::Bursts { begin, end } => {
                self.bad = if self.bad { dice >= end } else { dice < begin };
                self.bad
            }
        };
        (!lost).then(|| Duration::from_micros((late * 1_000.0 * f64::from(self.condition.jitter_ms)) as u64))
    }

    /// Between 0 and 1 (splitmix64).
    fn dice(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}
