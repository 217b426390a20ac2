//! What the exchange waits for. A timer that is no longer wanted stays in the queue and finds nothing to do.

use std::{collections::BTreeMap, time::Instant};

use aftertone_model::CallId;
use aftertone_sip::{ConnectionId, IncomingId, SubscriptionId};

use crate::{LegId, MediaRequestId, ReachId, trunks::LineId};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Timer {
    /// The ring time of a call is over.
    RingTime(CallId),
    /// The media plane should have answered.
    Media(MediaRequestId),
    /// A device whose connection closed should be back.
    Return(CallId, LegId, ConnectionId),
    /// A first NOTIFY is owed.
    Lamp(SubscriptionId),
    /// A trunk is to be registered at, probed or begun anew, unless its round is over.
    Line(LineId, u64),
    /// The way to a trunk shall not be forgotten by what stands in between.
    KeepAlive(LineId, u64),
    /// A trunk's peer should have answered a keepalive.
    Pong(LineId, u64),
    /// The network should have answered.
    Reach(ReachId),
    /// A trunk has had time to say that it tries.
    Attempt(CallId, LegId),
    /// A text should have been taken.
    Page(IncomingId),
}

#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeMap<(Instant, u64), Timer>,
    set: u64,
}

impl Timers {
    pub(crate) fn set(&mut self, at: Instant, timer: Timer) {
        self.set += 1;
        self.queue.insert((at, self.set), timer);
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let first = self.queue.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(first.remove())
    }
}
