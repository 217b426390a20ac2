//! SIP (RFC 3261), sans-IO: grammar, messages, transactions, dialogs, INVITE sessions, digest, subscriptions, message-summary.
//!
//! It owns everything between bytes and calls: reading and writing messages, retransmission, matching, the states of
//! sessions from either side, digest challenges as a client and the pieces for checking them as a server.
//! [`UserAgent`] is the whole of it in one object: bytes and commands go in with the time, bytes and events come out.
//!
//! It never opens a socket, reads a clock or draws random numbers (one seed is an argument), resolves no names, and
//! knows neither accounts nor routing (`exchange`, `call`) nor what a session description says (`media`).

#![warn(missing_docs)]

pub mod dialog_info;
pub mod digest;
mod event;
mod flow;
mod grammar;
mod message;
mod method;
pub mod mwi;
pub mod origin;
mod params;
mod refer;
mod timers;
mod transaction;

mod ua;
mod uri;

pub use digest::Credentials;
pub use event::{
    Body, Counts, EndedBy, Event, IncomingId, Invite, OutgoingRequest, Output, ReferEnd, ReferralId, RequestFailure, RequestId,
    ResponseParts, SessionId, SubscriptionId, SubscriptionState, Timers, UaConfig, UnsubscribedBy, UnwatchedBy, Watch, WatchId,
};
pub use flow::{ConnectionId, Flow, Transport};
pub use message::{
    CSeq, Header, Headers, InvalidHeader, MAX_MESSAGE, Message, ParseError, Request, Response, Via, parse, reason_phrase,
};
pub use method::Method;
pub use params::Params;
pub use refer::{InvalidRefer, Refer, ReferTo, Replaces};
pub use ua::UserAgent;
pub use uri::{InvalidUri, NameAddr, Scheme, Uri};
