use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Names one stream or WebSocket connection of this process; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionNumber(pub u64);

/// Gives out connection numbers; clones count together.
#[derive(Debug, Clone, Default)]
pub struct ConnectionNumbers(Arc<AtomicU64>);

impl ConnectionNumbers {
    /// The next one, from 1.
    #[must_use]
    pub fn next(&self) -> ConnectionNumber {
        ConnectionNumber(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}
