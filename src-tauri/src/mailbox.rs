//! What the window shows of the mailbox and of the call log: the open windows, and what a toast can take back.

use std::collections::BTreeMap;

use aftertone_client::{CommandError, Session};
use aftertone_model::{CallId, CallRecord, Message, MessageAction, MessageId, MessageState};
use aftertone_view::{
    CallLogRow, CallLogView, Event, FolderCounts, MailboxView, MessageView, ToastAbout, ToastView, Window, undoing,
};

/// How many entries of the call log are kept at hand.
const RECORDS: u32 = 2000;

/// The copy of the stored mailbox that view models are made of.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    messages: Vec<Message>,
    records: Vec<CallRecord>,
    synced: bool,
    window: Window,
    open: Option<MessageId>,
    log: Option<(u32, u32)>,
    toasts: BTreeMap<u32, Vec<(MessageId, Vec<MessageAction>)>>,
    last_toast: u32,
}

impl Mailbox {
    /// Reads what is stored.
    pub(crate) async fn read(&mut self, session: &Session) -> Result<(), CommandError> {
        self.messages = session.messages().await?;
        self.records = session.call_records(RECORDS).await?;
        Ok(())
    }

    /// The feed's end was reached: an empty mailbox is really empty.
    pub(crate) fn caught_up(&mut self) {
        self.synced = true;
    }

    /// Opens another window.
    pub(crate) fn open_window(&mut self, window: Window) {
        self.window = window;
    }

    /// Opens a message, or closes the open one.
    pub(crate) fn open_message(&mut self, message: Option<MessageId>) {
        self.open = message;
    }

    /// Opens a window of the call log.
    pub(crate) fn open_log(&mut self, offset: u32, limit: u32) {
        self.log = Some((offset, limit));
    }

    /// A message at hand.
    pub(crate) fn message(&self, id: MessageId) -> Option<&Message> {
        self.messages.iter().find(|message| message.envelope.id == id)
    }

    /// An entry of the call log at hand.
    pub(crate) fn record(&self, call: CallId) -> Option<&CallRecord> {
        self.records.iter().find(|record| record.call == call)
    }

    /// How many messages are new.
    pub(crate) fn new_messages(&self) -> u32 {
        FolderCounts::of(self.messages.iter().map(|message| message.state)).new
    }

    /// How many messages of that number wait to be heard.
    pub(crate) fn waiting_from(&self, number: &str) -> u32 {
        let waits = |m: &&Message| m.state == MessageState::New && !number.is_empty() && m.envelope.caller.number == number;
        u32::try_from(self.messages.iter().filter(waits).count()).unwrap_or(u32::MAX)
    }

    /// Everything that is open, as it is now.
    pub(crate) fn views(&self) -> Vec<Event> {
        let mut views = vec![Event::Mailbox(MailboxView::of(&self.messages, &self.window, self.synced, |_| true))];
        views.push(Event::Message(self.open.and_then(|id| self.message(id)).map(|message| {
            let record = self.records.iter().find(|record| record.message == Some(message.envelope.id));
            MessageView::new(message, record, true)
        })));
        if let Some((offset, limit)) = self.log {
            let rows = self.records.iter().skip(offset as usize).take(limit as usize);
            let total = u32::try_from(self.records.len()).unwrap_or(u32::MAX);
            views.push(Event::CallLog(CallLogView {
                total,
                offset,
                rows: rows.map(|record| CallLogRow::new(record, record.message.and_then(|id| self.message(id)))).collect(),
            }));
        }
        views
    }

    /// A toast that tells of `action`, and remembers how to take it back.
    pub(crate) fn acted(&mut self, messages: &[MessageId], action: MessageAction) -> ToastView {
        let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        let before = |id: &MessageId| self.message(*id).map(|message| (*id, undoing(message.state, action)));
        let undo: Vec<_> = messages.iter().filter_map(before).filter(|(_, actions)| !actions.is_empty()).collect();
        let about = match action {
            MessageAction::Heard => ToastAbout::MarkedHeard { count },
            MessageAction::New => ToastAbout::MarkedNew { count },
            MessageAction::Save => ToastAbout::Saved { count },
            MessageAction::Delete => ToastAbout::Deleted { count },
            MessageAction::Restore => ToastAbout::Restored { count },
            MessageAction::Expunge => ToastAbout::Expunged { count },
        };
        let toast = self.toast(about, !undo.is_empty());
        self.toasts.insert(toast.id, undo);
        toast
    }

    /// A toast that tells that saved messages were let go, and remembers to save them again.
    pub(crate) fn let_go(&mut self, messages: &[MessageId]) -> ToastView {
        let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        let toast = self.toast(ToastAbout::MarkedHeard { count }, true);
        self.toasts.insert(toast.id, messages.iter().map(|id| (*id, vec![MessageAction::Save])).collect());
        toast
    }

    /// A toast.
    pub(crate) fn toast(&mut self, about: ToastAbout, undo: bool) -> ToastView {
        self.last_toast += 1;
        ToastView { id: self.last_toast, about, undo }
    }

    /// What takes back what a toast told of; once.
    pub(crate) fn undo(&mut self, toast: u32) -> Vec<(MessageId, Vec<MessageAction>)> {
        self.toasts.remove(&toast).unwrap_or_default()
    }
}
