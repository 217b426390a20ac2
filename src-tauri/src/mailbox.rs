//! What the window shows of the mailbox and of the call log: the open windows, and what a toast can take back.

use std::collections::BTreeMap;

use aftertone_client::{CommandError, Listing, Session};
use aftertone_model::{CallRecord, Message, MessageAction, MessageId};
use aftertone_view::{
    CallLogRow, CallLogView, Event, Folder, FolderCounts, Fullness, MailboxView, MessageRow, MessageView, SelectionView,
    ToastAbout, ToastView, Window, undoing,
};

/// So many messages are selected at once at most: what is done to them is stored one by one.
const SELECTED: u32 = 1000;

/// The part of the stored mailbox that is on the screen. The rest stays where it is stored.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    listing: Option<Listing>,
    counts: FolderCounts,
    /// What is stored is the mailbox, if perhaps not its latest state: an empty one is really empty.
    synced: bool,
    /// It can't be read.
    failed: bool,
    fullness: Fullness,
    window: Window,
    open: Option<MessageId>,
    opened: Option<(Message, Option<CallRecord>)>,
    /// The sound of the open message is on this device.
    has_sound: bool,
    log: Option<(u32, u32)>,
    logged: Option<CallLogView>,
    toasts: BTreeMap<u32, Vec<(MessageId, Vec<MessageAction>)>>,
    last_toast: u32,
}

impl Mailbox {
    /// Reads what is on the screen.
    pub(crate) async fn read(&mut self, session: &Session) -> Result<(), CommandError> {
        let read = self.read_all(session).await;
        self.failed = read.is_err();
        read
    }

    async fn read_all(&mut self, session: &Session) -> Result<(), CommandError> {
        let counts = session.counts().await?;
        let aftertone_client::FolderCounts { new, all, saved, trash } = counts;
        self.counts = FolderCounts { new, all, saved, trash };
        self.fullness = session.room().await?.fullness.into();
        self.synced |= session.is_stored().await?;
        self.listing = Some(session.window(stored_window(&self.window)).await?);
        self.read_open(session).await?;
        self.read_log(session).await
    }

    async fn read_open(&mut self, session: &Session) -> Result<(), CommandError> {
        self.opened = None;
        let Some(id) = self.open else { return Ok(()) };
        let Some(message) = session.message(id).await? else { return Ok(()) };
        let record = session.incoming_call(message.envelope.call).await?;
        self.has_sound = session.has_sound(&message);
        self.opened = Some((message, record.filter(|record| record.message == Some(id))));
        Ok(())
    }

    async fn read_log(&mut self, session: &Session) -> Result<(), CommandError> {
        let Some((offset, limit)) = self.log else { return Ok(()) };
        let (records, total) = session.call_log(offset, limit).await?;
        let ids: Vec<_> = records.iter().filter_map(|record| record.message).collect();
        let messages: BTreeMap<_, _> =
            session.messages_of(&ids).await?.into_iter().map(|message| (message.envelope.id, message)).collect();
        let row = |record: &CallRecord| CallLogRow::new(record, record.message.and_then(|id| messages.get(&id)));
        let total = u32::try_from(total).unwrap_or(u32::MAX);
        self.logged = Some(CallLogView { total, offset, rows: records.iter().map(row).collect() });
        Ok(())
    }

    /// Opens another window.
    pub(crate) fn open_window(&mut self, window: Window) {
        self.window = window;
        self.listing = None;
    }

    /// Opens a message, or closes the open one.
    pub(crate) fn open_message(&mut self, message: Option<MessageId>) {
        self.open = message;
    }

    /// Opens a window of the call log.
    pub(crate) fn open_log(&mut self, offset: u32, limit: u32) {
        self.log = Some((offset, limit));
    }

    /// How many messages are new.
    pub(crate) fn new_messages(&self) -> u32 {
        self.counts.new
    }

    /// Messages of the open folder, for who wants to do something to all of them.
    pub(crate) async fn selection(&self, session: &Session, offset: u32, limit: u32) -> Result<SelectionView, CommandError> {
        let window = aftertone_client::Window { offset, limit: limit.min(SELECTED), ..stored_window(&self.window) };
        let listing = session.window(window).await?;
        let messages = listing.messages.iter().map(|message| message.envelope.id).collect();
        Ok(SelectionView { offset, messages, total: listing.total })
    }

    /// Everything that is open, as it was read. `reachable` is the server, which has the sounds that aren't here.
    pub(crate) fn views(&self, reachable: bool) -> Vec<Event> {
        let mut views = Vec::new();
        // A window that was never read, as before anybody is signed in, says that it is being fetched.
        let (messages, total) = self.listing.as_ref().map_or((&[][..], 0), |listing| (&listing.messages, listing.total));
        views.push(Event::Mailbox(MailboxView {
            folder: self.window.folder,
            query: self.window.query.clone(),
            counts: self.counts,
            total,
            offset: self.window.offset,
            rows: messages.iter().map(|message| MessageRow::new(message, true)).collect(),
            fullness: self.fullness,
            synced: self.synced && self.listing.is_some(),
            failed: self.failed,
        }));
        let opened =
            self.opened.as_ref().map(|(message, record)| MessageView::new(message, record.as_ref(), reachable || self.has_sound));
        views.push(Event::Message(opened));
        views.extend(self.logged.clone().map(Event::CallLog));
        views
    }

    /// A toast that tells of `action`, and remembers how to take it back. `before` is what it was done to.
    pub(crate) fn acted(&mut self, before: &[Message], action: MessageAction) -> ToastView {
        let count = u32::try_from(before.len()).unwrap_or(u32::MAX);
        let undo = before.iter().map(|message| (message.envelope.id, undoing(message.state, action)));
        let undo: Vec<_> = undo.filter(|(_, actions)| !actions.is_empty()).collect();
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

fn stored_window(window: &Window) -> aftertone_client::Window {
    let folder = match window.folder {
        Folder::New => aftertone_client::Folder::New,
        Folder::All => aftertone_client::Folder::All,
        Folder::Saved => aftertone_client::Folder::Saved,
        Folder::Trash => aftertone_client::Folder::Trash,
    };
    aftertone_client::Window { folder, query: window.query.clone(), offset: window.offset, limit: window.limit }
}
