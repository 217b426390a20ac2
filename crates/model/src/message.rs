use serde::{Deserialize, Serialize};

use crate::{CallId, Caller, MessageId, SubscriberId, Timestamp};

/// Why the mailbox answered instead of the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Nobody answered within the ring time.
    NoAnswer,
    /// Every device was busy.
    Busy,
    /// A device declined the call.
    Declined,
    /// No device was registered.
    Offline,
    /// Do not disturb.
    Dnd,
    /// The caller asked for the mailbox itself.
    Direct,
}

/// Where a message stands in its mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// Nobody listened yet; it counts for the message-waiting lamp.
    New,
    /// Its owner heard sound of it.
    Heard,
    /// Kept on purpose.
    Saved,
    /// In the trash, until it is restored or expunged.
    Deleted,
}

/// What an owner does to a message. Expunging ends it and leaves a tombstone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MessageAction {
    /// Sound of it was heard.
    Heard,
    /// Mark as new again.
    New,
    /// Keep.
    Save,
    /// Move to the trash; a new message counts as heard from then on.
    Delete,
    /// Take out of the trash.
    Restore,
    /// Remove for ever.
    Expunge,
}

/// A message's state with what lies under a deletion, so that undoing it gives back what was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Standing {
    /// New, heard or saved; never deleted.
    kept: MessageState,
    deleted: bool,
}

impl Standing {
    /// A message that was just left.
    pub const NEW: Self = Self { kept: MessageState::New, deleted: false };

    /// Rebuilds a standing from what was stored; a `kept` of deleted counts as heard.
    #[must_use]
    pub fn stored(kept: MessageState, deleted: bool) -> Self {
        let kept = if kept == MessageState::Deleted { MessageState::Heard } else { kept };
        Self { kept, deleted }
    }

    /// The state below a deletion: new, heard or saved.
    #[must_use]
    pub fn kept(self) -> MessageState {
        self.kept
    }

    /// The state that everybody sees.
    #[must_use]
    pub fn state(self) -> MessageState {
        if self.deleted { MessageState::Deleted } else { self.kept }
    }

    /// The standing after `action`, or `None` when the message is gone.
    ///
    /// Listening takes nothing out of the trash and nothing out of the saved ones.
    #[must_use]
    pub fn after(self, action: MessageAction) -> Option<Self> {
        let kept = |kept| Self { kept, ..self };
        Some(match action {
            MessageAction::Expunge => return None,
            MessageAction::Delete => Self { deleted: true, ..self },
            MessageAction::Restore => Self { deleted: false, ..self },
            MessageAction::Save => kept(MessageState::Saved),
            MessageAction::New => kept(MessageState::New),
            MessageAction::Heard if self.kept == MessageState::Saved => self,
            MessageAction::Heard => kept(MessageState::Heard),
        })
    }
}

/// What is known of a message before its sound: written before the beep, so that a crash can attribute it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Envelope {
    /// The message.
    pub id: MessageId,
    /// The call that left it.
    pub call: CallId,
    /// Whose mailbox it is in.
    pub mailbox: SubscriberId,
    /// Who left it.
    pub caller: Caller,
    /// When the call came in.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub received_at: Timestamp,
    /// Why the mailbox answered.
    pub reason: Reason,
    /// The caller marked it urgent.
    pub urgent: bool,
    /// The caller marked it private: it can't be forwarded.
    #[serde(default)]
    pub private: bool,
    /// Under what number the caller wants to be called back, where they have left one.
    #[serde(default)]
    pub call_back: Option<String>,
    /// It was left by a test call that the mailbox's owner asked for: nobody called.
    #[serde(default)]
    pub test: bool,
}

/// What a caller says of their message once it is spoken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// It is urgent.
    pub urgent: bool,
    /// Nobody else is to hear it.
    pub private: bool,
    /// The number to call back, in digits.
    pub call_back: Option<String>,
}

impl Envelope {
    /// What the caller said of it.
    #[must_use]
    pub fn marks(&self) -> Marks {
        Marks { urgent: self.urgent, private: self.private, call_back: self.call_back.clone() }
    }

    /// With what the caller says of it.
    #[must_use]
    pub fn marked(self, marks: Marks) -> Self {
        let Marks { urgent, private, call_back } = marks;
        Self { urgent, private, call_back, ..self }
    }
}

/// Who forwarded a message, and what they wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ForwardNote {
    /// Who forwarded it.
    pub from: Caller,
    /// When.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// The note; may be empty.
    pub note: String,
}

/// A message as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Message {
    /// Who, when and why.
    #[serde(flatten)]
    pub envelope: Envelope,
    /// Length of the sound in milliseconds.
    pub duration_ms: u64,
    /// Where it stands.
    pub state: MessageState,
    /// Its loudness over time: at most 120 peaks of equal spans, 0 (silence) to 255 (full scale).
    pub peaks: Vec<u8>,
    /// Media type of the stored sound: `audio/wav` or `audio/ogg`.
    pub media_type: String,
    /// How it came here, if somebody forwarded it.
    pub forwarded: Option<ForwardNote>,
    /// The recording broke off before the caller hung up (the server or the network failed).
    pub interrupted: bool,
}
