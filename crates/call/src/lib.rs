//! The desktop's call control, sans-IO: one registration at the hosted account and the calls that come of it.
//!
//! It owns the registration over the account's WebSocket, the state of every call of this device and how calls end. It
//! never touches a socket, a packet or a clock: bytes come in by [`Phone::handle_received`], everything goes out by
//! [`Phone::poll_output`]. Media are asked for by [`Event::DescribeMedia`] and [`Event::ApplyMedia`] and come back as
//! [`Phone::handle_description`] and [`Phone::handle_applied`]; `client` has the WebRTC behind that. SIP's grammar,
//! transactions and dialogs are in `sip`.

#![warn(missing_docs)]

mod call;
mod events;
mod hold;
mod phone;
mod registration;
mod target;
mod wire;

pub use call::{CallPhase, CallSnapshot};
pub use events::{Describe, Event, MediaFailure, MediaRequestId, Output};
pub use phone::{Phone, PhoneConfig, Refused};
pub use target::{InvalidTarget, Target};
