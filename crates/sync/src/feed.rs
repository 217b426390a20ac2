use std::{fmt, str::FromStr};

use aftertone_model::{CallRecord, Greeting, GreetingId, Message, MessageId, Plan};
use serde::{Deserialize, Serialize};

use crate::MailboxRoom;

/// A text that is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor: {0:?}")]
pub struct InvalidCursor(String);

/// A place in a mailbox's feed, written `EPOCH.N`. A restored backup starts a new epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor {
    /// Which life of the database; random, never reused.
    pub epoch: u32,
    /// The last change that was applied; 0 is before the first.
    pub n: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.n)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let invalid = || InvalidCursor(text.chars().take(64).collect());
        let (epoch, n) = text.split_once('.').ok_or_else(invalid)?;
        Ok(Self { epoch: epoch.parse().map_err(|_| invalid())?, n: n.parse().map_err(|_| invalid())? })
    }
}

impl TryFrom<String> for Cursor {
    type Error = InvalidCursor;

    fn try_from(text: String) -> Result<Self, InvalidCursor> {
        text.parse()
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.to_string()
    }
}

/// One change of a mailbox: the whole new state of one thing, so that applying it twice is harmless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Change {
    /// Its place in the feed.
    pub n: u64,
    /// What it changed.
    #[serde(flatten)]
    pub body: ChangeBody,
}

/// What a change is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ChangeBody {
    /// A message came or changed.
    Message {
        /// The message as it is now.
        message: Box<Message>,
    },
    /// A message is gone for ever.
    Expunged {
        /// Which.
        message: MessageId,
    },
    /// A call ended, or its record changed.
    CallRecord {
        /// The record as it is now.
        record: Box<CallRecord>,
    },
    /// A greeting came or changed.
    Greeting {
        /// The greeting as it is now.
        greeting: Box<Greeting>,
    },
    /// A greeting is gone.
    GreetingRemoved {
        /// Which.
        greeting: GreetingId,
    },
    /// How calls are answered was changed.
    Plan {
        /// The version.
        version: u64,
        /// The plan as it is now.
        plan: Box<Plan>,
    },
    /// The mailbox is fuller, or less full: nobody was told of it before it filled.
    Room {
        /// How full it is now.
        room: MailboxRoom,
    },
    /// Something that this version doesn't know.
    #[serde(other)]
    Unknown,
}

/// The answer to `GET /v1/changes?since=CURSOR`. Without `since`, the feed from its beginning is the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ChangesPage {
    /// Where the device stands after this page.
    #[cfg_attr(feature = "schema", schema(value_type = String, example = "3021.17"))]
    pub cursor: Cursor,
    /// In ascending order of `n`; a thing that changed several times is in it once, as it is now.
    pub changes: Vec<Change>,
    /// More waits behind this page.
    pub more: bool,
}
