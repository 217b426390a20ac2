//! The stored mailbox, as the rest of the phone sees it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aftertone_model::{CallId, CallRecord, Message, MessageAction, MessageId, MessageState};
use aftertone_sync::{ChangeBody, ChangesPage, Cursor, DirectoryEntry, IdempotencyKey, Pending, PendingWrite, overlay};

/// What the stored mailbox can't do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct StoreError(String);

/// What a change did to what is stored, with what waits in the outbox already applied.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Applied {
    Arrived(Message),
    Changed(Message),
    Expunged(MessageId),
    CallRecord(CallRecord),
}

#[derive(Default)]
struct State {
    cursor: Option<Cursor>,
    messages: BTreeMap<MessageId, Message>,
    records: BTreeMap<CallId, CallRecord>,
    pending: Vec<Pending>,
    directory: Option<Vec<DirectoryEntry>>,
}

#[derive(Clone)]
pub(crate) struct Mailbox {
    sounds: PathBuf,
    state: Arc<Mutex<State>>,
}

impl Mailbox {
    pub(crate) async fn open(folder: &Path) -> Result<Self, StoreError> {
        let sounds = folder.join("sounds");
        std::fs::create_dir_all(&sounds).map_err(|e| StoreError(e.to_string()))?;
        Ok(Self { sounds, state: Arc::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn close(self) {}

    pub(crate) async fn cursor(&self) -> Result<Option<Cursor>, StoreError> {
        Ok(self.state().cursor)
    }

    pub(crate) async fn apply(&self, page: ChangesPage) -> Result<Vec<Applied>, StoreError> {
        let mut state = self.state();
        let applied = page.changes.into_iter().flat_map(|change| state.apply(change.body)).collect();
        state.cursor = Some(page.cursor);
        Ok(applied)
    }

    pub(crate) async fn replace(&self, pages: Vec<ChangesPage>) -> Result<Vec<Applied>, StoreError> {
        let before: Vec<MessageId> = self.state().messages.keys().copied().collect();
        let mut applied = Vec::new();
        let mut kept = Vec::new();
        for page in pages {
            kept.extend(page.changes.iter().filter_map(|change| match &change.body {
                ChangeBody::Message { message } => Some(message.envelope.id),
                ChangeBody::Expunged { .. } | ChangeBody::CallRecord { .. } => None,
            }));
            applied.extend(self.apply(page).await?);
        }
        let mut state = self.state();
        for gone in before.into_iter().filter(|id| !kept.contains(id)) {
            state.messages.remove(&gone);
            applied.push(Applied::Expunged(gone));
        }
        Ok(applied)
    }

    pub(crate) async fn messages(&self) -> Result<Vec<Message>, StoreError> {
        let state = self.state();
        let mut messages: Vec<Message> = state.messages.values().filter_map(|m| overlay(m, &state.pending)).collect();
        messages.sort_by_key(|message| std::cmp::Reverse(message.envelope.received_at));
        Ok(messages)
    }

    pub(crate) async fn message(&self, id: MessageId) -> Result<Option<Message>, StoreError> {
        let state = self.state();
        Ok(state.messages.get(&id).and_then(|message| overlay(message, &state.pending)))
    }

    pub(crate) async fn call_records(&self, limit: u32) -> Result<Vec<CallRecord>, StoreError> {
        let mut records: Vec<CallRecord> = self.state().records.values().cloned().collect();
        records.sort_by_key(|record| std::cmp::Reverse(record.started_at));
        records.truncate(limit as usize);
        Ok(records)
    }

    pub(crate) async fn new_messages(&self) -> Result<u64, StoreError> {
        Ok(self.messages().await?.iter().filter(|message| message.state == MessageState::New).count() as u64)
    }

    pub(crate) async fn waiting(&self) -> Result<u64, StoreError> {
        Ok(self.state().pending.len() as u64)
    }

    pub(crate) async fn enqueue(&self, message: MessageId, action: MessageAction, key: IdempotencyKey) -> Result<(), StoreError> {
        self.state().pending.push(Pending { key, message, write: PendingWrite::Action { action } });
        Ok(())
    }

    pub(crate) async fn outbox(&self) -> Result<Vec<Pending>, StoreError> {
        Ok(self.state().pending.clone())
    }

    /// Takes a write out of the outbox.
    pub(crate) async fn finish(&self, key: &IdempotencyKey) -> Result<(), StoreError> {
        self.state().pending.retain(|pending| pending.key != *key);
        Ok(())
    }

    /// Forgets a message that is gone, with all that waits for it.
    pub(crate) async fn drop_message(&self, id: MessageId) -> Result<(), StoreError> {
        let mut state = self.state();
        state.messages.remove(&id);
        state.pending.retain(|pending| pending.message != id);
        Ok(())
    }

    pub(crate) async fn directory(&self) -> Result<Option<Vec<DirectoryEntry>>, StoreError> {
        Ok(self.state().directory.clone())
    }

    pub(crate) async fn keep_directory(&self, entries: &[DirectoryEntry]) -> Result<(), StoreError> {
        self.state().directory = Some(entries.to_vec());
        Ok(())
    }

    pub(crate) fn sound_path(&self, message: &Message) -> PathBuf {
        let extension = if message.media_type == "audio/ogg" { "ogg" } else { "wav" };
        self.sounds.join(format!("{}.{extension}", message.envelope.id))
    }

    pub(crate) async fn drop_orphaned_sounds(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl State {
    fn apply(&mut self, body: ChangeBody) -> Option<Applied> {
        match body {
            ChangeBody::Message { message } => {
                let id = message.envelope.id;
                let before = self.messages.insert(id, (*message).clone()).and_then(|m| overlay(&m, &self.pending));
                let now = overlay(&message, &self.pending)?;
                match before {
                    None => Some(Applied::Arrived(now)),
                    Some(before) => (before != now).then_some(Applied::Changed(now)),
                }
            }
            ChangeBody::Expunged { message } => self.messages.remove(&message).map(|_| Applied::Expunged(message)),
            ChangeBody::CallRecord { record } => {
                let known = self.records.insert(record.call, (*record).clone());
                (known.as_ref() != Some(&*record)).then_some(Applied::CallRecord(*record))
            }
        }
    }
}
