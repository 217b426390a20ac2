//! The desktop's database: its copy of the mailbox and of the call log, the cursor, the outbox, the directory as it was
//! last seen, and the folder of the sounds that were fetched.
//!
//! One SQLite file. A page of changes and the cursor behind it are one transaction, so that after any crash the next
//! page follows. What is read has the waiting writes of the outbox already applied ([`aftertone_sync::overlay`]). It
//! never speaks to a server and decides nothing: what to send and when is `client`'s business.

#![warn(missing_docs)]

mod mailbox;
mod rows;

pub use mailbox::{Applied, Mailbox, StoreError};
