use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use aftertone_model::{CallRecord, Message, MessageAction, MessageId, MessageState};
use aftertone_sync::{Change, ChangeBody, ChangesPage, Cursor, DirectoryEntry, IdempotencyKey, Pending, PendingWrite, overlay};
use sqlx::{
    SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::rows;

/// How long a write waits for another program that has the database.
const BUSY: Duration = Duration::from_secs(5);

/// What the stored mailbox can't do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder can't be used.
    #[error("the folder can't be used: {0}")]
    Folder(#[from] io::Error),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// What is stored is not what this version stores.
    #[error("what is stored can't be read: {0}")]
    Content(#[from] serde_json::Error),
}

/// What a change did to what is stored, with what waits in the outbox already applied.
#[derive(Debug, Clone, PartialEq)]
pub enum Applied {
    /// A message is there that was not there before.
    Arrived(Message),
    /// A message is not what it was.
    Changed(Message),
    /// A message is gone for ever.
    Expunged(MessageId),
    /// An entry of the call log is new or is not what it was.
    CallRecord(CallRecord),
}

/// The stored mailbox of one account. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Mailbox {
    sounds: PathBuf,
    pool: SqlitePool,
}

impl Mailbox {
    /// Opens the mailbox in `folder`, making what isn't there.
    ///
    /// # Errors
    /// Where the folder can't be written or holds something else.
    pub async fn open(folder: &Path) -> Result<Self, StoreError> {
        let sounds = folder.join("sounds");
        std::fs::create_dir_all(&sounds)?;
        let options = SqliteConnectOptions::new()
            .filename(folder.join("mailbox.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A crash of the machine may take the last seconds; the cursor goes back with them, and the feed brings them again.
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY);
        // One connection: what is written is seen by whoever reads next.
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
        sqlx::raw_sql(rows::SCHEMA).execute(&pool).await?;
        Ok(Self { sounds, pool })
    }

    /// Closes the database; everything is written.
    pub async fn close(self) {
        self.pool.close().await;
    }

    /// Where this copy stands in the feed; none before the first page.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn cursor(&self) -> Result<Option<Cursor>, StoreError> {
        rows::kept(&mut *self.pool.acquire().await?, "cursor").await
    }

    /// Applies a page of changes and moves the cursor behind it, both or neither.
    ///
    /// # Errors
    /// Where the database fails; nothing is changed then.
    pub async fn apply(&self, page: ChangesPage) -> Result<Vec<Applied>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let applied = apply(&mut transaction, page.changes).await?;
        rows::keep(&mut transaction, "cursor", &page.cursor).await?;
        transaction.commit().await?;
        Ok(applied)
    }

    /// Replaces everything by a snapshot, after a reset of the feed. The outbox stays.
    ///
    /// # Errors
    /// Where the database fails; nothing is changed then.
    pub async fn replace(&self, pages: Vec<ChangesPage>) -> Result<Vec<Applied>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let mut gone: BTreeSet<String> = rows::message_ids(&mut transaction).await?.into_iter().collect();
        let mut applied = Vec::new();
        for page in pages {
            for change in &page.changes {
                if let ChangeBody::Message { message } = &change.body {
                    gone.remove(&message.envelope.id.to_string());
                }
            }
            applied.extend(apply(&mut transaction, page.changes).await?);
            rows::keep(&mut transaction, "cursor", &page.cursor).await?;
        }
        for id in gone.iter().filter_map(|id| id.parse().ok()) {
            rows::remove_message(&mut transaction, id).await?;
            applied.push(Applied::Expunged(id));
        }
        transaction.commit().await?;
        Ok(applied)
    }

    /// All messages, the newest first; those in the trash are among them.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn messages(&self) -> Result<Vec<Message>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let pending = rows::outbox(&mut connection).await?;
        let messages = rows::messages(&mut connection).await?;
        Ok(messages.iter().filter_map(|message| overlay(message, &pending)).collect())
    }

    /// One message.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn message(&self, id: MessageId) -> Result<Option<Message>, StoreError> {
        shown(&mut *self.pool.acquire().await?, id).await
    }

    /// The newest `limit` entries of the call log, the newest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn call_records(&self, limit: u32) -> Result<Vec<CallRecord>, StoreError> {
        rows::call_records(&mut *self.pool.acquire().await?, limit).await
    }

    /// How many messages are new.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn new_messages(&self) -> Result<u64, StoreError> {
        Ok(self.messages().await?.iter().filter(|message| message.state == MessageState::New).count() as u64)
    }

    /// How many writes wait to be sent.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn waiting(&self) -> Result<u64, StoreError> {
        Ok(self.outbox().await?.len() as u64)
    }

    /// Puts an action into the outbox: it is seen at once.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn enqueue(&self, message: MessageId, action: MessageAction, key: IdempotencyKey) -> Result<(), StoreError> {
        let pending = Pending { key, message, write: PendingWrite::Action { action } };
        rows::put_pending(&mut *self.pool.acquire().await?, &pending).await
    }

    /// What waits to be sent, in the order in which it was done.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn outbox(&self) -> Result<Vec<Pending>, StoreError> {
        rows::outbox(&mut *self.pool.acquire().await?).await
    }

    /// Takes a write out of the outbox.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn finish(&self, key: &IdempotencyKey) -> Result<(), StoreError> {
        rows::remove_pending(&mut *self.pool.acquire().await?, key).await
    }

    /// Forgets a message that is gone, with all that waits for it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn drop_message(&self, id: MessageId) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        rows::remove_message(&mut transaction, id).await?;
        Ok(transaction.commit().await?)
    }

    /// The people of the account as they were last seen.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn directory(&self) -> Result<Option<Vec<DirectoryEntry>>, StoreError> {
        rows::kept(&mut *self.pool.acquire().await?, "directory").await
    }

    /// Keeps the people of the account.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn keep_directory(&self, entries: &[DirectoryEntry]) -> Result<(), StoreError> {
        rows::keep(&mut *self.pool.acquire().await?, "directory", &entries).await
    }

    /// Where the sound of a message is, or belongs.
    #[must_use]
    pub fn sound_path(&self, message: &Message) -> PathBuf {
        let extension = if message.media_type == "audio/ogg" { "ogg" } else { "wav" };
        self.sounds.join(format!("{}.{extension}", message.envelope.id))
    }

    /// Removes the sounds of messages that are gone.
    ///
    /// # Errors
    /// Where the folder or the database fails.
    pub async fn drop_orphaned_sounds(&self) -> Result<(), StoreError> {
        let known: BTreeSet<String> = rows::message_ids(&mut *self.pool.acquire().await?).await?.into_iter().collect();
        for entry in std::fs::read_dir(&self.sounds)? {
            let path = entry?.path();
            let of_known = path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| known.contains(stem));
            if !of_known {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

/// A message as its owner sees it while writes wait.
async fn shown(db: &mut SqliteConnection, id: MessageId) -> Result<Option<Message>, StoreError> {
    let pending = rows::outbox(&mut *db).await?;
    Ok(rows::message(db, id).await?.and_then(|message| overlay(&message, &pending)))
}

async fn apply(db: &mut SqliteConnection, changes: Vec<Change>) -> Result<Vec<Applied>, StoreError> {
    let mut applied = Vec::new();
    for change in changes {
        applied.extend(match change.body {
            ChangeBody::Message { message } => apply_message(&mut *db, &message).await?,
            ChangeBody::Expunged { message } => {
                rows::remove_message(&mut *db, message).await?.then_some(Applied::Expunged(message))
            }
            ChangeBody::CallRecord { record } => {
                let known = rows::call_record(&mut *db, record.call).await?;
                rows::put_call_record(&mut *db, &record).await?;
                (known.as_ref() != Some(&*record)).then_some(Applied::CallRecord(*record))
            }
        });
    }
    Ok(applied)
}

async fn apply_message(db: &mut SqliteConnection, message: &Message) -> Result<Option<Applied>, StoreError> {
    let id = message.envelope.id;
    let known = rows::message(&mut *db, id).await?.is_some();
    let before = shown(&mut *db, id).await?;
    rows::put_message(&mut *db, message).await?;
    let Some(now) = shown(&mut *db, id).await? else { return Ok(None) };
    Ok(if !known {
        Some(Applied::Arrived(now))
    } else if before.as_ref() == Some(&now) {
        None
    } else {
        Some(Applied::Changed(now))
    })
}
