use std::time::Instant;

use crate::Timestamp;

/// The time, as an argument: nothing below the programs asks a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For timers; never jumps.
    pub mono: Instant,
    /// For people; may jump.
    pub wall: Timestamp,
}
