use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use aftertone_model::{CallId, CallRecord, Greeting, GreetingId, Message, MessageAction, MessageId, Timestamp};
use aftertone_sync::{
    ChangeBody, ChangesPage, Cursor, DirectoryEntry, IdempotencyKey, MailboxRoom, Pending, PendingWrite, PlanView,
};
use sqlx::{
    Sqlite, SqliteConnection, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    call_records,
    columns::to_json,
    greetings, messages,
    messages::{FolderCounts, Listing, Window},
    outbox, schema, settings, sounds,
};

/// Why the device's database could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite failed.
    #[error("the device's database failed")]
    Database(#[from] sqlx::Error),
    /// The folder failed.
    #[error("the device's folder failed")]
    File(#[from] io::Error),
    /// A row says something that no version of this program writes.
    #[error("the device's database holds an unreadable {0}")]
    Corrupt(&'static str),
    /// The database was written by a newer version of this program.
    #[error("the device's database is of version {found}, this program knows {known}")]
    TooNew {
        /// The version of the database.
        found: i64,
        /// The last version that this program knows.
        known: i64,
    },
    /// Names that begin with a dot are the store's own.
    #[error("a setting's name begins with a dot")]
    ReservedName,
}

/// What a change did to the device's copy, as its owner sees it: with the outbox applied. A change that told nothing new
/// isn't among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// A message that wasn't here before.
    Arrived(Message),
    /// A message looks different.
    Changed(Message),
    /// A message is gone.
    Expunged(MessageId),
    /// A call record came or changed.
    CallRecord(CallRecord),
    /// Of a call that was here it is known how it sounded.
    CallMeasured(CallRecord),
    /// A greeting came, changed or went, or how calls are answered.
    Greetings,
    /// The mailbox is fuller, or less full.
    Room(MailboxRoom),
}

/// The device's copy of one account, in one folder: `mailbox.db` and `sounds/`. Clones share it.
#[derive(Debug, Clone)]
pub struct Mailbox {
    writer: SqlitePool,
    readers: SqlitePool,
    sounds: PathBuf,
}

impl Mailbox {
    /// Opens the copy, making it if there is none.
    pub async fn open(folder: &Path) -> Result<Self, StoreError> {
        let sounds = folder.join("sounds");
        std::fs::create_dir_all(&sounds)?;
        let options = SqliteConnectOptions::new()
            .filename(folder.join("mailbox.db"))
            .journal_mode(SqliteJournalMode::Wal)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5));
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone().create_if_missing(true).synchronous(SqliteSynchronous::Full))
            .await?;
        schema::migrate(&mut *writer.acquire().await?).await?;
        let readers = SqlitePoolOptions::new().max_connections(2).connect_with(options.pragma("query_only", "on")).await?;
        Ok(Self { writer, readers, sounds })
    }

    /// Closes the files, after what is being written. Other clones fail from then on.
    pub async fn close(self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    // --- the feed

    /// Where the device stands; `None` before the first snapshot.
    pub async fn cursor(&self) -> Result<Option<Cursor>, StoreError> {
        let text = settings::get(&self.readers, settings::CURSOR).await?;
        text.map(|text| text.parse().map_err(|_| StoreError::Corrupt("cursor"))).transpose()
    }

    /// Applies a page and moves the cursor, in one transaction. At the feed's end, writes that were answered before stop
    /// being overlaid: what they did has been told by then.
    pub async fn apply(&self, page: ChangesPage) -> Result<Vec<Applied>, StoreError> {
        let mut tx = self.begin().await?;
        let applied = apply(&mut tx, &page).await?;
        tx.commit().await?;
        Ok(applied)
    }

    /// Puts a snapshot, all of its pages, in the place of what was here, in one transaction. The outbox stays.
    pub async fn replace(&self, pages: Vec<ChangesPage>) -> Result<Vec<Applied>, StoreError> {
        let mut tx = self.begin().await?;
        let (kept, records) = contents(&pages);
        let mut applied = Vec::new();
        for id in messages::ids(&mut *tx).await? {
            if !kept.contains(&id) && messages::remove(&mut tx, id).await? {
                applied.push(Applied::Expunged(id));
            }
        }
        call_records::keep_only(&mut tx, &records).await?;
        let (had_greetings, had_plan) = (greetings::clear(&mut *tx).await?, settings::remove(&mut *tx, settings::PLAN).await?);
        if had_greetings || had_plan {
            applied.push(Applied::Greetings);
        }
        if settings::remove(&mut *tx, settings::ROOM).await? {
            applied.push(Applied::Room(MailboxRoom::default()));
        }
        for page in &pages {
            applied.extend(apply(&mut tx, page).await?);
        }
        tx.commit().await?;
        Ok(applied)
    }

    // --- messages and call records, as their owner sees them

    /// Every message but those that wait to be expunged, the newest first.
    pub async fn messages(&self) -> Result<Vec<Message>, StoreError> {
        messages::all(&self.readers).await
    }

    /// One message, unless it waits to be expunged.
    pub async fn message(&self, id: MessageId) -> Result<Option<Message>, StoreError> {
        messages::get(&self.readers, id).await
    }

    /// Those of some messages that are there, in no order.
    pub async fn messages_of(&self, ids: &[MessageId]) -> Result<Vec<Message>, StoreError> {
        messages::some(&self.readers, ids).await
    }

    /// How many messages of a caller's number nobody listened to.
    pub async fn new_from(&self, number: &str) -> Result<u64, StoreError> {
        messages::new_from(&self.readers, number).await
    }

    /// A part of a folder.
    pub async fn window(&self, window: &Window) -> Result<Listing, StoreError> {
        messages::window(&mut *self.readers.begin().await?, window).await
    }

    /// How many messages are in each folder.
    pub async fn counts(&self) -> Result<FolderCounts, StoreError> {
        messages::counts(&self.readers).await
    }

    /// How many nobody listened to.
    pub async fn new_messages(&self) -> Result<u64, StoreError> {
        messages::new(&self.readers).await
    }

    /// The newest `limit` entries of the call log, the newest first.
    pub async fn call_records(&self, limit: u32) -> Result<Vec<CallRecord>, StoreError> {
        self.call_log(0, limit).await
    }

    /// A part of the call log, the newest first.
    pub async fn call_log(&self, offset: u32, limit: u32) -> Result<Vec<CallRecord>, StoreError> {
        call_records::page(&self.readers, offset, limit).await
    }

    /// How many entries the call log has.
    pub async fn calls(&self) -> Result<u64, StoreError> {
        call_records::total(&self.readers).await
    }

    /// The entry of an incoming call.
    pub async fn incoming_call(&self, call: CallId) -> Result<Option<CallRecord>, StoreError> {
        call_records::incoming(&self.readers, call).await
    }

    // --- the outbox

    /// Puts an action into the outbox: it is seen at once.
    pub async fn enqueue(&self, message: MessageId, action: MessageAction, key: IdempotencyKey) -> Result<(), StoreError> {
        self.enqueue_write(&Pending { key, message, write: PendingWrite::Action { action } }).await
    }

    /// Puts a write into the outbox. From now on the message looks as if it had been done. A key that is there already
    /// changes nothing.
    pub async fn enqueue_write(&self, pending: &Pending) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        outbox::add(&mut *tx, pending).await?;
        messages::overlay_again(&mut tx, pending.message).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Puts many actions into the outbox, in this order and in one transaction.
    pub async fn enqueue_all(&self, actions: &[(MessageId, MessageAction, IdempotencyKey)]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for (message, action, key) in actions {
            let write = PendingWrite::Action { action: *action };
            outbox::add(&mut *tx, &Pending { key: key.clone(), message: *message, write }).await?;
        }
        let pending = outbox::all(&mut *tx).await?;
        for message in actions.iter().map(|(message, ..)| *message).collect::<BTreeSet<_>>() {
            messages::overlay_with(&mut tx, message, &pending).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// What is to be sent, the oldest first.
    pub async fn outbox(&self) -> Result<Vec<Pending>, StoreError> {
        outbox::unanswered(&self.readers).await
    }

    /// How many writes wait.
    pub async fn waiting(&self) -> Result<u64, StoreError> {
        outbox::waiting(&self.readers).await
    }

    /// The server did it ([`aftertone_sync::Settled::Done`]): it isn't sent again. It stays overlaid until the feed has
    /// been pulled to its end, so that the message doesn't show its old state in between.
    pub async fn answered(&self, key: &IdempotencyKey) -> Result<(), StoreError> {
        outbox::answered(&self.writer, key).await
    }

    /// Takes a write out at once, for it will never be done ([`aftertone_sync::Settled::GiveUp`]): the message looks as
    /// if it had never been asked for.
    pub async fn finish(&self, key: &IdempotencyKey) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        if let Some(message) = outbox::remove(&mut *tx, key).await? {
            messages::overlay_again(&mut tx, message).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// The message is gone on the server ([`aftertone_sync::Settled::DropMessage`]): drops it with all its writes.
    pub async fn drop_message(&self, id: MessageId) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        outbox::remove_of(&mut *tx, id).await?;
        messages::remove(&mut tx, id).await?;
        tx.commit().await?;
        Ok(())
    }

    // --- greetings

    /// The greetings as the server last told them, in no order that means anything.
    pub async fn greetings(&self) -> Result<Vec<Greeting>, StoreError> {
        greetings::all(&self.readers).await
    }

    /// How calls are answered; `None` before the server told it.
    pub async fn plan(&self) -> Result<Option<PlanView>, StoreError> {
        let text = settings::get(&self.readers, settings::PLAN).await?;
        text.map(|text| serde_json::from_str(&text).map_err(|_| StoreError::Corrupt("plan"))).transpose()
    }

    /// Puts all greetings in the place of those that are here, and the plan.
    pub async fn keep_greetings(&self, all: &[Greeting], plan: &PlanView) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        greetings::clear(&mut *tx).await?;
        for greeting in all {
            greetings::put(&mut *tx, greeting).await?;
        }
        settings::set(&mut *tx, settings::PLAN, &to_json(plan)?).await?;
        tx.commit().await?;
        Ok(())
    }

    /// A greeting as the server answered, before the feed tells of it.
    pub async fn keep_greeting(&self, greeting: &Greeting) -> Result<(), StoreError> {
        greetings::put(&self.writer, greeting).await.map(drop)
    }

    /// The server removed a greeting.
    pub async fn forget_greeting(&self, id: GreetingId) -> Result<(), StoreError> {
        greetings::remove(&self.writer, id).await.map(drop)
    }

    /// The plan as the server answered.
    pub async fn keep_plan(&self, plan: &PlanView) -> Result<(), StoreError> {
        settings::set(&self.writer, settings::PLAN, &to_json(plan)?).await
    }

    // --- how full it is

    /// How much room the mailbox has; without a limit, where nothing was told.
    pub async fn room(&self) -> Result<MailboxRoom, StoreError> {
        let text = settings::get(&self.readers, settings::ROOM).await?;
        let room = text.map(|text| serde_json::from_str(&text).map_err(|_| StoreError::Corrupt("room"))).transpose()?;
        Ok(room.unwrap_or_default())
    }

    // --- the directory and settings

    /// The directory as it was last fetched; `None` if it never was.
    pub async fn directory(&self) -> Result<Option<Vec<DirectoryEntry>>, StoreError> {
        let text = settings::get(&self.readers, settings::DIRECTORY).await?;
        text.map(|text| serde_json::from_str(&text).map_err(|_| StoreError::Corrupt("directory"))).transpose()
    }

    /// Keeps the directory for the time without a network.
    pub async fn keep_directory(&self, entries: &[DirectoryEntry]) -> Result<(), StoreError> {
        settings::set(&self.writer, settings::DIRECTORY, &to_json(&entries)?).await
    }

    /// A setting of this device.
    pub async fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        settings::get(&self.readers, own(name)?).await
    }

    /// Keeps a setting of this device. No secrets: those belong into the system's keyring.
    pub async fn keep_setting(&self, name: &str, value: &str) -> Result<(), StoreError> {
        settings::set(&self.writer, own(name)?, value).await
    }

    // --- sounds on this device

    /// Where the sound of a message belongs; whether it is there, only the file says.
    #[must_use]
    pub fn sound_path(&self, message: &Message) -> PathBuf {
        // The server makes sounds small some time after they came: what is here already is the same sound, and stays.
        let [path, other] = sound_files(message).map(|file| self.sounds.join(file));
        if !path.exists() && other.exists() { other } else { path }
    }

    /// Messages outside the trash whose sound was never fetched, the newest first. Those that were dropped to make room
    /// are not among them.
    pub async fn missing_sounds(&self, limit: u32) -> Result<Vec<Message>, StoreError> {
        sounds::missing(&self.readers, limit).await
    }

    /// The sound of a message is in its file now. Then drops those that were used longest ago until all of them have at
    /// most `limit` bytes; this one is the last to go.
    pub async fn sound_fetched(&self, message: &Message, limit: u64, now: Timestamp) -> Result<(), StoreError> {
        let path = self.sound_path(message);
        let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
        let bytes = std::fs::metadata(&path)?.len();
        sounds::put(&self.writer, message.envelope.id, file, bytes, now).await?;
        for (id, file) in sounds::over(&self.readers, limit).await? {
            if id != message.envelope.id {
                self.remove_sound(&file)?;
                sounds::dropped(&self.writer, id).await?;
            }
        }
        Ok(())
    }

    /// The sound was played.
    pub async fn sound_used(&self, message: MessageId, now: Timestamp) -> Result<(), StoreError> {
        sounds::used(&self.writer, message, now).await
    }

    /// Bytes that the sounds have together.
    pub async fn sound_bytes(&self) -> Result<u64, StoreError> {
        sounds::bytes(&self.readers).await
    }

    /// Removes the sounds of messages that are gone.
    pub async fn drop_orphaned_sounds(&self) -> Result<(), StoreError> {
        sounds::forget_orphans(&self.writer).await?;
        let known: BTreeSet<String> = messages::ids(&self.readers).await?.iter().map(MessageId::to_string).collect();
        for entry in std::fs::read_dir(&self.sounds)? {
            let path = entry?.path();
            let of_known = path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| known.contains(stem));
            if !of_known {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn remove_sound(&self, file: &str) -> io::Result<()> {
        match std::fs::remove_file(self.sounds.join(file)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }
}

fn own(name: &str) -> Result<&str, StoreError> {
    if name.starts_with('.') { Err(StoreError::ReservedName) } else { Ok(name) }
}

/// The name of a message's sound by what kind it is, and the one that it may have had before.
fn sound_files(message: &Message) -> [String; 2] {
    let extensions = if message.media_type == "audio/ogg" { ["ogg", "wav"] } else { ["wav", "ogg"] };
    extensions.map(|extension| format!("{}.{extension}", message.envelope.id))
}

/// What a snapshot has.
fn contents(pages: &[ChangesPage]) -> (BTreeSet<MessageId>, Vec<&CallRecord>) {
    let (mut kept, mut records) = (BTreeSet::new(), Vec::new());
    for change in pages.iter().flat_map(|page| &page.changes) {
        match &change.body {
            ChangeBody::Message { message } => _ = kept.insert(message.envelope.id),
            // A thing may change between two pages.
            ChangeBody::Expunged { message } => _ = kept.remove(message),
            ChangeBody::CallRecord { record } => records.push(&**record),
            ChangeBody::Greeting { .. }
            | ChangeBody::GreetingRemoved { .. }
            | ChangeBody::Plan { .. }
            | ChangeBody::Room { .. }
            | ChangeBody::Unknown => {}
        }
    }
    (kept, records)
}

async fn apply(connection: &mut SqliteConnection, page: &ChangesPage) -> Result<Vec<Applied>, StoreError> {
    let mut applied = Vec::new();
    for change in &page.changes {
        applied.extend(apply_one(connection, &change.body).await?);
    }
    settings::set(&mut *connection, settings::CURSOR, &page.cursor.to_string()).await?;
    if !page.more {
        for id in outbox::remove_answered(&mut *connection).await?.into_iter().collect::<BTreeSet<_>>() {
            let before = messages::get(&mut *connection, id).await?;
            messages::overlay_again(connection, id).await?;
            let now = messages::get(&mut *connection, id).await?;
            if now != before {
                applied.extend(now.map(Applied::Changed));
            }
        }
    }
    Ok(applied)
}

async fn apply_one(connection: &mut SqliteConnection, change: &ChangeBody) -> Result<Option<Applied>, StoreError> {
    match change {
        ChangeBody::Message { message } => {
            let id = message.envelope.id;
            let before = messages::get(&mut *connection, id).await?;
            let pending = outbox::all(&mut *connection).await?;
            messages::put(connection, message, &pending).await?;
            let now = messages::get(&mut *connection, id).await?;
            Ok(match (before, now) {
                (_, None) => None,
                (None, Some(now)) => Some(Applied::Arrived(now)),
                (Some(before), Some(now)) => (before != now).then_some(Applied::Changed(now)),
            })
        }
        ChangeBody::Expunged { message } => {
            outbox::remove_of(&mut *connection, *message).await?;
            let was_here = messages::remove(connection, *message).await?;
            Ok(was_here.then_some(Applied::Expunged(*message)))
        }
        ChangeBody::CallRecord { record } => call_records::put(connection, record).await,
        ChangeBody::Greeting { greeting } => {
            let news = greetings::put(connection, greeting).await?;
            Ok(news.then_some(Applied::Greetings))
        }
        ChangeBody::GreetingRemoved { greeting } => {
            let was_here = greetings::remove(connection, *greeting).await?;
            Ok(was_here.then_some(Applied::Greetings))
        }
        ChangeBody::Plan { version, plan } => {
            let plan = PlanView { version: *version, plan: (**plan).clone() };
            settings::set(connection, settings::PLAN, &to_json(&plan)?).await?;
            Ok(Some(Applied::Greetings))
        }
        ChangeBody::Room { room } => {
            settings::set(connection, settings::ROOM, &to_json(room)?).await?;
            Ok(Some(Applied::Room(*room)))
        }
        ChangeBody::Unknown => Ok(None),
    }
}
