//! The exchange in virtual time, with real user agents as phones.

#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "tests")]

mod answers;
mod calls;
mod deposits;
mod lamp;
mod registrar;
mod senders;
mod world;
