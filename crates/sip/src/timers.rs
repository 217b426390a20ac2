//! All running timers of a user agent in one table.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::event::{ReferralId, SessionId, SubscriptionId, WatchId};
use crate::transaction::TxId;

/// What a timer is for. Each runs at most once at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKey {
    /// A and E of RFC 3261 17.1.
    ClientRetransmit(TxId),
    /// B, D, F, K of RFC 3261 17.1, M of RFC 6026.
    ClientEnd(TxId),
    /// 100 to an INVITE, unless something else was said before (RFC 3261 17.2.1).
    Trying(TxId),
    /// G of RFC 3261 17.2.
    ServerRetransmit(TxId),
    /// H, I, J of RFC 3261 17.2, L of RFC 6026.
    ServerEnd(TxId),
    /// Our 2xx again, until ACK (RFC 3261 13.3.1.4).
    Answer(SessionId),
    /// No ACK came (RFC 3261 13.3.1.4).
    NoAck(SessionId),
    /// Our reliable provisional response again, until PRACK (RFC 3262 3).
    Progress(SessionId),
    /// No PRACK came (RFC 3262 3).
    NoPrack(SessionId),
    /// After 491 (RFC 3261 14.1).
    Glare(SessionId),
    /// It is our turn to refresh the session (RFC 4028 10).
    Refresh(SessionId),
    /// The session was not refreshed (RFC 4028 10).
    Lapse(SessionId),
    /// The session's connection went away and the peer did not come back.
    Detached(SessionId),
    /// A subscription's time is over (RFC 6665 4.2.1.4).
    Subscription(SubscriptionId),
    /// A subscription of ours has to be refreshed, or tried again.
    WatchRefresh(WatchId),
    /// The last NOTIFY of a subscription of ours never came.
    WatchGone(WatchId),
    /// A transfer took too long, of either side.
    Referral(ReferralId),
    /// Nobody takes the report of its end.
    ReferralGone(ReferralId),
}

/// Times by key and keys by time.
#[derive(Debug, Default)]
pub(crate) struct TimerTable {
    times: BTreeMap<TimerKey, Instant>,
    order: BTreeSet<(Instant, TimerKey)>,
}

impl TimerTable {
    /// Starts or moves a timer.
    pub(crate) fn set(&mut self, key: TimerKey, at: Instant) {
        self.stop(key);
        self.times.insert(key, at);
        self.order.insert((at, key));
    }

    pub(crate) fn stop(&mut self, key: TimerKey) {
        if let Some(at) = self.times.remove(&key) {
            self.order.remove(&(at, key));
        }
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes the earliest timer that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<TimerKey> {
        let (_, key) = *self.order.first().filter(|(at, _)| *at <= now)?;
        self.stop(key);
        Some(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }
}
