//! The exchange in virtual time, with real user agents as phones.

#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "tests")]

mod answering;
mod answers;
mod busy;
mod calls;
mod connected;
mod deposits;
mod direct;
mod early;
mod forwarded;
mod forwards;
mod guarded;
mod keys;
mod lamp;
mod measured;
mod menu;
mod pages;
mod registrar;
mod senders;
mod test_calls;
mod transfers;
mod trunks;
mod trunks_kept;
mod trunks_moved;
mod world;
