//! The hosted account's storage: people, devices, messages, call records and the feed in SQLite; sounds as files (blobs);
//! recordings in progress (the spool).
//!
//! It owns what must survive: a commit that returned is on the disk, and a recording that began is either a message
//! after any crash, or had less than a second of sound. It never decides what a caller hears or who may do what beyond
//! "this mailbox is theirs", opens no socket, and knows no codec: repairing a broken recording is asked of the caller
//! by [`SoundRepair`]. The API is in `server`, containers are in `media`.

#![warn(missing_docs)]

mod backup;
mod blobs;
mod call_records;
mod columns;
mod commit;
mod devices;
mod disk;
mod exchange;
mod feed;
mod files;
mod greetings;
mod holds;
mod idempotency;
mod invitations;
mod jobs;
mod keeping;
mod menus;
mod messages;
mod revoked;
mod schema;
mod secrets;
mod spool;
mod sqlite;
mod store;
pub mod testing;
mod users;

pub use backup::{BackedUp, RestoreError, restore};
pub use disk::Disk;
pub use exchange::{Calling, StoredBinding};
pub use files::{FileLayer, OpenFile};
pub use holds::{Held, Withheld};
pub use keeping::{Audited, MailboxKeeping, Retained};
pub use menus::PhoneMenu;
pub use secrets::{HashedPassword, PasswordError, Secret};
pub use spool::{
    AppendError, BeginError, FinishError, Finished, FinishedSound, NewRecording, Recovered, RepairedSound, SoundFormat,
    SoundRepair, Spool, SpoolConfig, SpoolHandle, SpoolMonitor,
};
pub use sqlite::{OpenError, SqliteStore};
pub use store::{
    Acted, Changes, Commits, Committed, Fate, FinishedRecording, ForwardOrder, ForwardOutcome, Job, Lookup, MailboxCounts,
    NewApp, NewJob, NewPhone, NewSound, NewSubscriber, PhoneCredentials, PutGreeting, Rendition, Replaced, Reported, Sound,
    Store, StoreError, StoredAnswering, StoredDevice, StoredPlan, StoredSound, SubscriberError, SubscriberSettings,
};
