use aftertone_model::{CallRecord, ForwardNote, Message, MessageAction, MessageId, Timestamp};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{MessageState, PartyView, Reason};

/// A message in the list: who, when, why, how long, and how it sounds from afar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct MessageRow {
    /// Names it in commands.
    #[ts(type = "string")]
    pub id: MessageId,
    /// Who left it.
    pub party: PartyView,
    /// When the call came in.
    #[ts(type = "string")]
    pub received_at: Timestamp,
    /// Length of the sound.
    pub duration_ms: u32,
    /// At most 120 peaks of equal spans, 0 (silence) to 255 (full scale).
    pub peaks: Vec<u8>,
    /// Where it stands.
    pub state: MessageState,
    /// Why the mailbox answered.
    pub reason: Reason,
    /// The caller marked it urgent.
    pub urgent: bool,
    /// The caller marked it private: it can't be forwarded.
    pub private: bool,
    /// The number that the caller left to be called back.
    pub call_back: Option<String>,
    /// How it came here, if somebody forwarded it.
    pub forwarded: Option<ForwardedView>,
    /// The recording broke off before the caller hung up.
    pub interrupted: bool,
    /// Its sound is on this device, or can be fetched now.
    pub playable: bool,
    /// A test call left it: there is nobody to call back.
    pub test: bool,
}

/// How a message came here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct ForwardedView {
    /// Who forwarded it.
    pub from: PartyView,
    /// The note; may be empty.
    pub note: String,
    /// When.
    #[ts(type = "string")]
    pub at: Timestamp,
}

/// The open message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct MessageView {
    /// What the list shows of it.
    pub row: MessageRow,
    /// What happened, in order.
    pub story: Vec<StoryLine>,
}

/// A line of the story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct StoryLine {
    /// When.
    #[ts(type = "string")]
    pub at: Timestamp,
    /// What.
    pub what: Story,
}

/// What happened to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum Story {
    /// The call came in, and the mailbox answered in the end.
    CameIn {
        /// Why the mailbox answered.
        reason: Reason,
    },
    /// The caller hung up; the message was complete.
    Recorded {
        /// Length of the sound.
        duration_ms: u32,
        /// The caller marked it urgent.
        urgent: bool,
    },
    /// The recording broke off; this much was kept.
    Interrupted {
        /// Length of the sound.
        duration_ms: u32,
    },
    /// Somebody sent it on to this mailbox.
    Forwarded {
        /// Who.
        from: PartyView,
    },
}

impl MessageRow {
    /// The row of a message.
    #[must_use]
    pub fn new(message: &Message, playable: bool) -> Self {
        let Message { envelope, duration_ms, state, peaks, media_type: _, forwarded, interrupted } = message;
        let party = PartyView::from(&envelope.caller);
        Self {
            id: envelope.id,
            party: if envelope.test { PartyView { number: String::new(), ..party } } else { party },
            received_at: envelope.received_at,
            duration_ms: u32::try_from(*duration_ms).unwrap_or(u32::MAX),
            peaks: peaks.clone(),
            state: (*state).into(),
            reason: envelope.reason.into(),
            urgent: envelope.urgent,
            private: envelope.private,
            call_back: envelope.call_back.clone(),
            forwarded: forwarded.as_ref().map(ForwardedView::from),
            interrupted: *interrupted,
            playable,
            test: envelope.test,
        }
    }
}

impl MessageView {
    /// The message with its story. `record` is the call that left it, if it is in the owner's log.
    #[must_use]
    pub fn new(message: &Message, record: Option<&CallRecord>, playable: bool) -> Self {
        let row = MessageRow::new(message, playable);
        let came_in = record.map_or(row.received_at, |record| record.started_at);
        let mut story = vec![StoryLine { at: came_in, what: Story::CameIn { reason: row.reason } }];
        if let Some(record) = record {
            let (duration_ms, urgent) = (row.duration_ms, row.urgent);
            let what = if row.interrupted { Story::Interrupted { duration_ms } } else { Story::Recorded { duration_ms, urgent } };
            story.push(StoryLine { at: record.ended_at, what });
        }
        if let Some(ForwardedView { from, at, .. }) = &row.forwarded {
            story.push(StoryLine { at: *at, what: Story::Forwarded { from: from.clone() } });
        }
        story.sort_by_key(|line| line.at);
        Self { row, story }
    }
}

impl From<&ForwardNote> for ForwardedView {
    fn from(forwarded: &ForwardNote) -> Self {
        Self { from: (&forwarded.from).into(), note: forwarded.note.clone(), at: forwarded.at }
    }
}

/// What takes an action back, in order. `before` is the state that the message had.
///
/// Empty when nothing changed, or when nothing can bring it back. A saved message becomes heard by way of new, because
/// listening alone takes nothing out of the saved ones.
#[must_use]
pub fn undoing(before: aftertone_model::MessageState, action: MessageAction) -> Vec<MessageAction> {
    use aftertone_model::MessageState as State;
    match (action, before) {
        (MessageAction::Delete, State::New | State::Heard | State::Saved) => vec![MessageAction::Restore],
        (MessageAction::Restore, State::Deleted) => vec![MessageAction::Delete],
        (MessageAction::Save | MessageAction::Heard, State::New) => vec![MessageAction::New],
        (MessageAction::Save, State::Heard) => vec![MessageAction::New, MessageAction::Heard],
        (MessageAction::New, State::Heard) => vec![MessageAction::Heard],
        (MessageAction::New, State::Saved) => vec![MessageAction::Save],
        (MessageAction::Delete, State::Deleted)
        | (MessageAction::Restore | MessageAction::Expunge, _)
        | (MessageAction::Save | MessageAction::Heard | MessageAction::New, _) => vec![],
    }
}
