use aftertone_model::{Message, MessageId, MessageState};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{Fullness, MessageRow};

/// A view of the mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum Folder {
    /// Nobody listened yet.
    #[default]
    New,
    /// All but the trash.
    All,
    /// Kept on purpose.
    Saved,
    /// Deleted.
    Trash,
}

impl Folder {
    /// Whether a message in `state` is in it.
    #[must_use]
    pub fn holds(self, state: MessageState) -> bool {
        match self {
            Self::New => state == MessageState::New,
            Self::All => state != MessageState::Deleted,
            Self::Saved => state == MessageState::Saved,
            Self::Trash => state == MessageState::Deleted,
        }
    }
}

/// Which part of the mailbox is open.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct Window {
    /// The folder.
    pub folder: Folder,
    /// Only messages whose name, number or note holds every word of it; empty for all.
    pub query: String,
    /// Index of the first row.
    pub offset: u32,
    /// How many rows.
    pub limit: u32,
}

impl Window {
    /// Whether a message belongs to it, wherever it stands in the list. Upper and lower case are alike, and numbers match
    /// however their digits are set apart, and as they are dialled.
    #[must_use]
    pub fn matches(&self, message: &Message) -> bool {
        if !self.folder.holds(message.state) {
            return false;
        }
        let caller = &message.envelope.caller;
        let forwarded = message.forwarded.as_ref();
        let texts = [
            Some(caller.number.as_str()),
            caller.name.as_deref(),
            forwarded.map(|forwarded| forwarded.note.as_str()),
            forwarded.and_then(|forwarded| forwarded.from.name.as_deref()),
        ];
        let text = texts.into_iter().flatten().collect::<Vec<_>>().join("\n").to_lowercase();
        let query = self.query.to_lowercase();
        let between = |c: char| c.is_whitespace() || matches!(c, '-' | '/' | '(' | ')' | '.');
        let digits: String = query.chars().filter(|c| !between(*c)).collect();
        let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == '+');
        // As it is dialled, and without the zeros for that, which numbers with a plus don't have.
        let bare = Some(digits.trim_start_matches('0')).filter(|bare| bare.len() < digits.len() && bare.len() >= 4);
        let has = |part: &str| caller.number.contains(part);
        (is_number && (has(&digits) || bare.is_some_and(has))) || query.split_whitespace().all(|word| text.contains(word))
    }
}

/// How many messages are in each folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct FolderCounts {
    /// In [`Folder::New`].
    pub new: u32,
    /// In [`Folder::All`].
    pub all: u32,
    /// In [`Folder::Saved`].
    pub saved: u32,
    /// In [`Folder::Trash`].
    pub trash: u32,
}

impl FolderCounts {
    /// Counts messages by their states.
    #[must_use]
    pub fn of(states: impl IntoIterator<Item = MessageState>) -> Self {
        states.into_iter().fold(Self::default(), |counts, state| {
            let in_folder = |folder: Folder| u32::from(folder.holds(state));
            Self {
                new: counts.new + in_folder(Folder::New),
                all: counts.all + in_folder(Folder::All),
                saved: counts.saved + in_folder(Folder::Saved),
                trash: counts.trash + in_folder(Folder::Trash),
            }
        })
    }
}

/// The open window of the mailbox, the latest message first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct MailboxView {
    /// Which folder.
    pub folder: Folder,
    /// What was searched for.
    pub query: String,
    /// The folders.
    pub counts: FolderCounts,
    /// How many rows the folder has for this query.
    pub total: u32,
    /// Index of the first row.
    pub offset: u32,
    /// The rows.
    pub rows: Vec<MessageRow>,
    /// How full the mailbox is: who can do something about it is told from three quarters on.
    pub fullness: Fullness,
    /// The mailbox was fetched at least once: when it is empty, it really is.
    pub synced: bool,
    /// What is stored on this device can't be read.
    pub failed: bool,
}

impl MailboxView {
    /// The window of a mailbox that is wholly at hand. `messages` may be in any order; `playable` says whose sound is on
    /// this device or can be fetched now.
    #[must_use]
    pub fn of(messages: &[Message], window: &Window, synced: bool, playable: impl Fn(MessageId) -> bool) -> Self {
        let mut found: Vec<_> = messages.iter().filter(|message| window.matches(message)).collect();
        found.sort_by_key(|message| std::cmp::Reverse((message.envelope.received_at, message.envelope.id)));
        let rows = found.iter().skip(window.offset as usize).take(window.limit as usize);
        Self {
            folder: window.folder,
            query: window.query.clone(),
            counts: FolderCounts::of(messages.iter().map(|message| message.state)),
            total: u32::try_from(found.len()).unwrap_or(u32::MAX),
            offset: window.offset,
            rows: rows.map(|message| MessageRow::new(message, playable(message.envelope.id))).collect(),
            fullness: Fullness::Roomy,
            synced,
            failed: false,
        }
    }
}
