//! The answering machine, sans-IO: deposit sessions.
//!
//! It owns what happens between the answer and the end of a message: greeting, beep, recording, the warning before the
//! longest message ends, and what ends one. It never touches sound, files, a clock or a socket: a media worker plays and
//! records what it is told and reports what it hears; the message itself is `server-store`'s.

#![warn(missing_docs)]

mod deposit;

pub use deposit::{Deposit, DepositLimits, Ending, Event, Output, Tally};
