//! Transactions (RFC 3261 17, RFC 6026): retransmission, absorption and matching. What a message means is not known here.

mod client;
mod server;

pub(crate) use client::{ClientOutcome, ClientTransactions, Outgoing, TransactionFailure, remote_tag};
pub(crate) use server::{AckOutcome, ServerTransaction, ServerTransactions, reply_flow};

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::{Output, Timers};
use crate::flow::Flow;
use crate::timers::TimerTable;

/// A transaction of either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TxId(pub(crate) u64);

/// What transactions act upon: timers and the queue of output.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) timers: TimerTable,
    pub(crate) out: VecDeque<Output>,
    pub(crate) times: Timers,
}

impl Wire {
    pub(crate) fn new(times: Timers) -> Self {
        Self { timers: TimerTable::default(), out: VecDeque::new(), times }
    }

    pub(crate) fn transmit(&mut self, flow: Flow, bytes: Vec<u8>) {
        self.out.push_back(Output::Transmit { flow, bytes });
    }

    /// How long everything waits: timers B, F, H, J, L, M.
    pub(crate) fn patience(&self) -> Duration {
        self.times.t1 * 64
    }
}
