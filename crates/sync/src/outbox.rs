use std::{fmt, str::FromStr};

use aftertone_model::{Message, MessageAction, MessageId, MessageState, Standing};
use serde::{Deserialize, Serialize};

use crate::{ForwardBody, ProblemCode};

/// Why a text can't be an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key has 1 to 128 visible ASCII characters")]
pub struct InvalidIdempotencyKey;

/// The name of one write, chosen by the device: the server does a write of a mailbox with the same key once.
/// Travels in the header `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Makes a key from 128 random bits: 32 hexadecimal digits.
    #[must_use]
    pub fn from_random(bits: u128) -> Self {
        Self(format!("{bits:032x}"))
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = InvalidIdempotencyKey;

    fn from_str(text: &str) -> Result<Self, InvalidIdempotencyKey> {
        let fits = (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidIdempotencyKey) }
    }
}

impl TryFrom<String> for IdempotencyKey {
    type Error = InvalidIdempotencyKey;

    fn try_from(text: String) -> Result<Self, InvalidIdempotencyKey> {
        text.parse()
    }
}

impl From<IdempotencyKey> for String {
    fn from(key: IdempotencyKey) -> Self {
        key.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A write that waits in a device's outbox. It is sent under its key until the server has answered it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Names the write, also when it is sent again.
    pub key: IdempotencyKey,
    /// The message it is about.
    pub message: MessageId,
    /// What to do to it.
    pub write: PendingWrite,
}

/// What an outbox holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PendingWrite {
    /// `POST /v1/messages/{id}/actions`.
    Action {
        /// The action.
        action: MessageAction,
    },
    /// `POST /v1/messages/{id}/forward`.
    Forward {
        /// To whom, with which note.
        forward: ForwardBody,
    },
}

/// The message as its owner must see it while `pending` waits: the writes of other messages are passed over. `None`
/// once an expunge waits.
///
/// A device doesn't know what lies under a deletion. Restoring shows the message as heard until the server's own
/// state arrives in the feed.
#[must_use]
pub fn overlay<'a>(message: &Message, pending: impl IntoIterator<Item = &'a Pending>) -> Option<Message> {
    let mut standing = Standing::stored(message.state, message.state == MessageState::Deleted);
    for waiting in pending.into_iter().filter(|waiting| waiting.message == message.envelope.id) {
        match &waiting.write {
            PendingWrite::Action { action } => standing = standing.after(*action)?,
            PendingWrite::Forward { .. } => {}
        }
    }
    Some(Message { state: standing.state(), ..message.clone() })
}

/// Why a write got no success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendFailure {
    /// No answer: the network, or a server that isn't there.
    Unreachable,
    /// An answer that refuses.
    Refused(ProblemCode),
}

/// What an outbox does with a write after an attempt to send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Answered: take it out. The effect comes with the feed.
    Done,
    /// The message is gone: take out this and every other write of the message, and the message too.
    DropMessage,
    /// Take it out, and tell the user that it could not be done.
    GiveUp,
    /// The server failed at it: leave it, with the writes of the same message that follow, and send it later. What is
    /// about other messages goes on.
    Skip,
    /// Leave it and all others, and send them later.
    Retry,
}

/// What an attempt means for the write that was sent.
#[must_use]
pub fn settle(result: Result<(), SendFailure>) -> Settled {
    let refused = match result {
        Ok(()) => return Settled::Done,
        Err(SendFailure::Unreachable) => return Settled::Retry,
        Err(SendFailure::Refused(code)) => code,
    };
    match refused {
        ProblemCode::Gone | ProblemCode::NotFound => Settled::DropMessage,
        ProblemCode::Internal => Settled::Skip,
        // The user signs in again, or the server recovers; the write waits.
        ProblemCode::Unauthorized
        | ProblemCode::WrongCredentials
        | ProblemCode::RateLimited
        | ProblemCode::StorageFull
        | ProblemCode::Unknown => Settled::Retry,
        ProblemCode::BadRequest
        | ProblemCode::CursorReset
        | ProblemCode::UnknownRecipient
        | ProblemCode::PrivateMessage
        | ProblemCode::TooLarge
        | ProblemCode::UnsupportedSound
        | ProblemCode::SoundTooLong
        | ProblemCode::Conflict
        | ProblemCode::WeakPin => Settled::GiveUp,
    }
}
