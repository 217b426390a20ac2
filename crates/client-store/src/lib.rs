//! The desktop's database: the mailbox, the call log and the greetings as the server last told them, the cursor, what waits in the
//! outbox, the directory, and which sounds are on this device.
//!
//! It owns the device's copy and nothing else: everything but the outbox and the settings can be fetched again. It opens
//! no connection and decides no conflict: merging and overlaying are in `sync`, the pulling is in `client`. Passwords and
//! tokens never come here; they are in the system's keyring.

#![warn(missing_docs)]

mod call_records;
mod columns;
mod greetings;
mod messages;
mod outbox;
mod schema;
mod settings;
mod sounds;
mod store;

pub use messages::{Folder, FolderCounts, Listing, Window};
pub use store::{Applied, Mailbox, StoreError};
