//! The domain's words, as data: ids, addresses, subscribers, messages, call records and their states.
//!
//! It owns no behaviour beyond parsing and the transitions of a message's state. No input or output, no
//! clock and no random numbers: ids are made from bits that the caller brings, times are arguments.

#![warn(missing_docs)]

mod address;
mod greeting;
mod id;
mod keeping;
mod log;
mod menu;
mod message;
mod plan;
mod time;
mod trunk;

pub use address::{Caller, Extension, InvalidExtension, InvalidUserName, Language, Subscriber, UserName};
pub use greeting::{Greeting, GreetingKind, GreetingSound};
pub use id::{CallId, DeviceId, GreetingId, InvalidId, MessageId, SubscriberId};
pub use keeping::{Fullness, Keeping, OwnKeeping};
pub use log::{CallFigures, CallRecord, CallRefusal, Direction, EndReason, MeasuredCall, MediaPath, StreamFigures};
pub use menu::{MenuLayout, WrongPins};
pub use message::{Envelope, ForwardNote, Marks, Message, MessageAction, MessageState, Reason, Standing};
pub use plan::{
    Answer, AnsweringRule, CallerGroup, Callers, Dates, GreetingKey, GreetingRule, Hours, KeyTarget, OwnDay, Plan, RING_CYCLE_S,
    RingTime, Span, Temporary, Weekday, When,
};
pub use time::Now;
pub use trunk::{CallingRights, NumberFormat, Trunk};

pub use jiff::Timestamp;
