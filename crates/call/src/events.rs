use std::time::{Duration, Instant};

use aftertone_model::CallId;
use aftertone_sip::ConnectionId;

use crate::CallSnapshot;

/// Joins a question about media and its answer; later it names the media that came of it. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaRequestId(pub u64);

/// What the phone wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Nothing more now; call [`crate::Phone::handle_timeout`] at that time.
    Timeout(Option<Instant>),
    /// Send these bytes over the connection, as one message.
    Transmit {
        /// Which.
        connection: ConnectionId,
        /// One SIP message.
        bytes: Vec<u8>,
    },
    /// Something happened.
    Event(Event),
}

/// What happened, or what is asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The device can be called.
    Registered,
    /// The device can't be called: the registrar refused or doesn't answer. It is tried again by itself.
    NotRegistered {
        /// The final status; 408 where no answer came.
        status: u16,
        /// When the next try comes.
        retry_in: Duration,
    },
    /// A call began, changed or ended.
    Call(CallSnapshot),
    /// A description is wanted; its answer is [`crate::Phone::handle_description`].
    DescribeMedia {
        /// Names the question, and the media that come of it.
        request: MediaRequestId,
        /// The call that they are for.
        call: CallId,
        /// An offer, or an answer to one.
        describe: Describe,
    },
    /// The other end answered the offer that `media` made; the result is [`crate::Phone::handle_applied`].
    ApplyMedia {
        /// The media that made the offer.
        media: MediaRequestId,
        /// Their call.
        call: CallId,
        /// The answer, SDP.
        answer: String,
    },
    /// These media are in use from now on: sound may go both ways. Comes once per media, and after a re-INVITE before
    /// the earlier media are closed.
    UseMedia {
        /// Which.
        media: MediaRequestId,
        /// Their call.
        call: CallId,
    },
    /// These media are over, whatever state they are in; a description that is still being made is no longer wanted.
    CloseMedia {
        /// Which.
        media: MediaRequestId,
    },
}

/// What kind of description is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Describe {
    /// An offer.
    Offer,
    /// An answer.
    Answer {
        /// To this offer, SDP.
        offer: String,
    },
}

/// Why media can't be described or applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MediaFailure(pub String);
