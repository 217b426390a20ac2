//! The API end to end, over real sockets.
#![expect(clippy::unwrap_used, reason = "tests")]

mod account;
mod authorisation;
mod backup;
mod document;
mod greetings;
mod mailbox;
mod sockets;
mod world;
