//! The exchange, sans-IO: a registrar and a back-to-back user agent over one [`aftertone_sip::UserAgent`].
//!
//! It owns bindings, who may call whom, one leg per device, who answers first, when the mailbox takes the call and why, the
//! call log's records and the message-waiting lamp. It never touches a packet of media (see [`MediaCommand`]), never asks a
//! clock, a socket or a random number generator, and never stores anything: the server's loop feeds it and drains it. What
//! happens between the greeting and the end of a message is in `voicemail`; the message itself in `server-store`.

#![warn(missing_docs)]

mod answering;
mod busy;
mod call;
mod config;
mod connected;
mod dialplan;
mod direct;
mod directory;
mod diversion;
mod early;
mod ended;
mod exchange;
mod guard;
mod identity;
mod incoming;
mod keys;
mod measured;
mod media;
mod menu;
mod outside;
mod pages;
mod party;
mod plane;
mod registrar;
mod reopened;
mod requests;
mod ringing;
mod timers;
mod transfer;
mod trunks;

pub use config::{Direct, ExchangeConfig, InvalidNetwork, Network};
pub use dialplan::DialPlan;
pub use directory::{Directory, Person, PhoneCredentials};
pub use exchange::{Event, Exchange, MessageCounts, Output};
pub use plane::{
    DepositOrder, Described, KeyOrder, LegFigures, LegId, LegMedia, MediaCommand, MediaFailure, MediaRequestId, MenuAccess,
    MenuCaller, MenuOrder, Sound, Towards,
};
pub use registrar::SavedBinding;
pub use trunks::{ReachId, TrunkAccount, TrunkFailure, TrunkReport, TrunkState, TrunkStep, Way};

/// The header that carries our call id on every leg and to the caller.
pub const CALL_HEADER: &str = "Aftertone-Call";

/// In an INVITE of a device: a number is called back that was not dialled, but is a caller's word.
pub const CALL_BACK_HEADER: &str = "Aftertone-Call-Back";

/// In a 403: why the account doesn't make the call, a [`CallRefusal`](aftertone_model::CallRefusal).
pub const REFUSAL_HEADER: &str = "Aftertone-Refusal";

/// The user part of the mailbox's address: `sip:voicemail@DOMAIN;target=sip:1001@DOMAIN` leaves a message without ringing.
pub const MAILBOX_USER: &str = "voicemail";
