//! What the two ends say to each other: the wire types of the API, the feed's cursor, and how a device keeps its
//! copy of a mailbox: applying changes, overlaying what waits in the outbox.
//!
//! It owns no transport and no storage: `client` fetches and sends, `client-store` and `server-store` keep.

#![warn(missing_docs)]

mod backoff;
mod feed;
mod outbox;
mod pull;
mod wire;

pub use backoff::Backoff;
pub use feed::{Change, ChangeBody, ChangesPage, Cursor, InvalidCursor};
pub use outbox::{IdempotencyKey, InvalidIdempotencyKey, Pending, PendingWrite, SendFailure, Settled, overlay, settle};
pub use pull::{FetchFailure, FetchId, PullOutput, Puller};
pub use wire::{
    ActionBody, Credentials, Device, DeviceKind, DirectoryEntry, FiguresBody, ForwardBody, Forwarded, GreetingBody, Health,
    MailboxBounds, MailboxRoom, Me, MeBody, PhoneMenuBody, PhoneMenuView, PinBody, PlanView, Problem, ProblemCode, Repaired,
    SignIn, SignedIn, TestCall, TestCallFailure, TestCallGreeting, TestCallQuiet, TestCallSound, TestCallStage, TurnCredentials,
};
