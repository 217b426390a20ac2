//! The API end to end, over real sockets.
#![expect(clippy::unwrap_used, reason = "tests")]

mod account;
mod authorisation;
mod backup;
mod document;
mod greetings;
mod hostile;
mod mailbox;
mod sockets;
mod test_call;
mod world;
