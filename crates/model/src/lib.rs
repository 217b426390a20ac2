//! The domain's words, as data: ids, addresses, subscribers, messages, call records and their states.
//!
//! It owns no behaviour beyond parsing and the transitions of a message's state. No input or output, no
//! clock and no random numbers: ids are made from bits that the caller brings, times are arguments.

#![warn(missing_docs)]

mod address;
mod id;
mod log;
mod message;
mod time;
mod trunk;

pub use address::{Caller, Extension, InvalidExtension, InvalidUserName, Language, Subscriber, UserName};
pub use id::{CallId, DeviceId, InvalidId, MessageId, SubscriberId};
pub use log::{CallRecord, Direction, EndReason};
pub use message::{Envelope, ForwardNote, Message, MessageAction, MessageState, Reason, Standing};
pub use time::Now;
pub use trunk::{CallingRights, NumberFormat, Trunk};

pub use jiff::Timestamp;
