//! The desktop's database, on real files.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;
mod greetings;
mod listing;
mod mailbox;
mod sounds;
mod waiting;
