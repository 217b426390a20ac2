//! The API end to end, over real sockets.
#![expect(clippy::unwrap_used, reason = "tests")]

mod account;
mod document;
mod mailbox;
mod sockets;
mod world;
