use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use aftertone_model::{
    CallId, CallRecord, DeviceId, Greeting, GreetingId, MeasuredCall, MenuLayout, Message, MessageAction, MessageId, Plan,
    Subscriber, SubscriberId, Timestamp, Trunk, WrongPins,
};
use aftertone_sync::{Cursor, FiguresBody, GreetingBody, IdempotencyKey};
use async_trait::async_trait;
use sha2::{Digest, Sha256};
use sqlx::{
    Sqlite, SqliteConnection, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    Acted, Calling, Changes, Commits, Committed, Fate, FileLayer, FinishedRecording, ForwardOrder, ForwardOutcome,
    HashedPassword, Job, Lookup, MailboxCounts, NewApp, NewJob, NewPhone, NewSound, NewSubscriber, PhoneCredentials, PhoneMenu,
    PutGreeting, Rendition, Replaced, Reported, Secret, Sound, Store, StoreError, StoredAnswering, StoredBinding, StoredDevice,
    StoredPlan, StoredSound, SubscriberError, SubscriberSettings,
    backup::{self, BackedUp},
    blobs, call_records,
    columns::Columns,
    commit, devices, exchange, feed, greetings, idempotency, invitations, jobs, menus, messages, revoked, schema,
    secrets::{ServerKey, hex},
    users,
};

mod keeping;

/// How long a connection waits for another program that has the database, such as the command line next to the server.
const BUSY: Duration = Duration::from_secs(5);

/// Why the store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or the server's key.
    #[error("the folder {dir} can't be used")]
    Folder {
        /// Which.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database.
    #[error("the database can't be opened")]
    Store(#[from] StoreError),
}

/// The store in one folder: `aftertone.db`, the server's `key`, `spool/` and `blobs/`.
///
/// One connection writes; four read, each from its own snapshot.
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    files: Arc<dyn FileLayer>,
    dir: PathBuf,
    key: ServerKey,
    epoch: u32,
    nobody: OnceLock<HashedPassword>,
    /// One unlinks at a time.
    unlinking: tokio::sync::Mutex<()>,
}

impl SqliteStore {
    /// Opens the store, making what isn't there yet, and unlinks blobs that were given up before the last stop.
    pub async fn open(dir: &Path, files: Arc<dyn FileLayer>) -> Result<Self, OpenError> {
        let folder = |source| OpenError::Folder { dir: dir.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(folder)?;
        files.create_dir_all(&dir.join("blobs")).map_err(folder)?;
        let key = ServerKey::open_or_make(&dir.join("key")).map_err(folder)?;
        let options = connect_options(&dir.join("aftertone.db"));
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone().create_if_missing(true).synchronous(SqliteSynchronous::Full))
            .await
            .map_err(StoreError::from)?;
        let mut connection = writer.acquire().await.map_err(StoreError::from)?;
        schema::migrate(&mut connection).await?;
        let life = schema::begin_life(&mut connection).await?;
        if life.is_new {
            // Of an earlier life come back: what was taken away since stays away, and nobody knows which invitations were used.
            devices::forget(&mut connection, &revoked::all(dir).map_err(folder)?).await?;
            invitations::forget_all(&mut *connection).await?;
        }
        drop(connection);
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options.pragma("query_only", "on"))
            .await
            .map_err(StoreError::from)?;
        let dir = dir.to_owned();
        let store = Self {
            writer,
            readers,
            files,
            dir,
            key,
            epoch: life.epoch,
            nobody: OnceLock::new(),
            unlinking: tokio::sync::Mutex::default(),
        };
        store.unlink_given_up().await?;
        Ok(store)
    }

    /// Where recordings in progress belong.
    #[must_use]
    pub fn spool_dir(&self) -> PathBuf {
        self.dir.join("spool")
    }

    /// Where the sounds of messages lie.
    #[must_use]
    pub fn blobs_dir(&self) -> PathBuf {
        self.dir.join("blobs")
    }

    /// Makes a backup of everything in a new folder, consistent while servers and other programs go on: the database as it is
    /// at one moment, every sound that it knows, and the server's key. [`restore`](crate::restore) takes it.
    ///
    /// # Errors
    /// Where the folder is there and not empty, or something can't be read or written: then it isn't complete, and no
    /// restore takes it.
    pub async fn back_up(&self, to: &Path, now: Timestamp) -> Result<BackedUp, StoreError> {
        let to = to.to_owned();
        backup::make_empty(&to)?;
        let _one_at_a_time = self.unlinking.lock().await;
        let _alone = self.wait_for_unlink_lock().await?;
        let copy = to.join("aftertone.db");
        self.backup(&copy).await?;
        let sounds = backup::sounds_of(&copy).await?;
        let dir = self.dir.clone();
        let all = move || backup::copy_all(&dir, &to, &sounds, now);
        Ok(tokio::task::spawn_blocking(all).await.map_err(io::Error::other)??)
    }

    async fn wait_for_unlink_lock(&self) -> io::Result<Box<dyn Send + Sync>> {
        loop {
            match self.unlink_lock()? {
                Some(lock) => return Ok(lock),
                // A few files are being unlinked, or one is written.
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Closes the connections, after what is being written.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn stored(&self, connection: &mut SqliteConnection, content: String) -> Result<StoredSound, StoreError> {
        let row = sqlx::query("SELECT * FROM blobs WHERE content = ?").bind(&content).fetch_one(connection).await?;
        let path = self.blobs_dir().join(row.string("file")?);
        Ok(StoredSound { content, bytes: row.count("bytes")?, media_type: row.string("media_type")?, path })
    }

    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Tombstone and row are committed; the files can go. What fails is tried again later.
    async fn unlink_given_up(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.unlinking.lock().await;
        // Another program makes a backup, or writes a file that nothing points to yet.
        let Some(_alone) = self.unlink_lock()? else { return Ok(()) };
        for file in blobs::trash(&self.readers).await? {
            let (files, path) = (self.files.clone(), self.blobs_dir().join(&file));
            let unlink = move || {
                files.remove(&path)?;
                path.parent().map_or(Ok(()), |dir| if files.exists(dir)? { files.sync_dir(dir) } else { Ok(()) })
            };
            tokio::task::spawn_blocking(unlink).await.map_err(io::Error::other)??;
            blobs::unlinked(&self.writer, &file).await?;
        }
        Ok(())
    }

    /// Nobody unlinks while this is held; `None` if another program holds it.
    fn unlink_lock(&self) -> io::Result<Option<Box<dyn Send + Sync>>> {
        match self.files.lock(&self.dir.join("unlinking.lock")) {
            Ok(lock) => Ok(Some(lock)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a sound to its place among the blobs, durably, and names it.
    async fn place(&self, new: NewSound) -> Result<Sound, StoreError> {
        let NewSound { bytes, codec, media_type, duration_ms, peaks } = new;
        let name = MessageId::from_random(rand::random()).to_string();
        let extension = if media_type == "audio/ogg" { "ogg" } else { "wav" };
        let file = format!("{}/{name}.{extension}", &name[..2]);
        blobs::announce(&self.writer, &file).await?;
        let content = content_of(&codec, &bytes);
        let (files, path, length) = (Arc::clone(&self.files), self.blobs_dir().join(&file), bytes.len() as u64);
        tokio::task::spawn_blocking(move || write_blob(files.as_ref(), &path, &bytes)).await.map_err(io::Error::other)??;
        Ok(Sound { content, file, bytes: length, media_type, duration_ms, peaks })
    }

    async fn unlink_soon(&self) {
        if let Err(error) = self.unlink_given_up().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a sound that nobody holds could not be unlinked yet");
        }
    }
}

/// The name of a content. Equal bytes of different codecs are different sounds.
pub(crate) fn content_of(codec: &str, sound: &[u8]) -> String {
    format!("{}-{}", codec.to_ascii_lowercase(), hex(&Sha256::digest(sound)))
}

/// Writes a file that nothing points to yet.
fn write_blob(files: &dyn FileLayer, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(path);
    files.create_dir_all(dir)?;
    files.remove(path)?;
    let mut file = files.create(path)?;
    file.append(bytes)?;
    file.sync()?;
    drop(file);
    files.sync_dir(dir)?;
    if files.read(path)? == bytes { Ok(()) } else { Err(io::Error::other("what was written reads otherwise")) }
}

fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        // An expunged message should not be readable in free pages.
        .pragma("secure_delete", "on")
}

#[async_trait]
impl Commits for SqliteStore {
    async fn commit_recording(&self, recording: FinishedRecording) -> Result<Committed, StoreError> {
        let mut tx = self.begin().await?;
        let committed = commit::recording(&mut tx, recording).await?;
        tx.commit().await?;
        // The sound of this one may have been there already.
        self.unlink_soon().await;
        Ok(committed)
    }

    async fn commit_call_record(&self, record: &CallRecord) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        commit::call_record(&mut tx, record).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn commit_call_record_if_absent(&self, record: &CallRecord) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        if call_records::exists(&mut *tx, record).await? {
            return Ok(false);
        }
        commit::call_record(&mut tx, record).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn fate(&self, message: MessageId) -> Result<Fate, StoreError> {
        messages::fate(&mut *self.readers.acquire().await?, message).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn epoch(&self) -> u32 {
        self.epoch
    }

    async fn add_subscriber(&self, new: NewSubscriber) -> Result<Subscriber, SubscriberError> {
        let mut tx = self.begin().await?;
        let subscriber = users::add(&mut tx, new).await?;
        tx.commit().await?;
        Ok(subscriber)
    }

    async fn change_subscriber(&self, id: SubscriberId, settings: SubscriberSettings) -> Result<Option<Subscriber>, StoreError> {
        let mut tx = self.begin().await?;
        let subscriber = users::change(&mut tx, id, &settings).await?;
        tx.commit().await?;
        Ok(subscriber)
    }

    async fn set_password(&self, id: SubscriberId, password: Option<HashedPassword>) -> Result<bool, StoreError> {
        users::set_password(&self.writer, id, password.as_ref()).await
    }

    async fn subscribers(&self) -> Result<Vec<Subscriber>, StoreError> {
        users::all(&self.readers).await
    }

    async fn subscriber(&self, id: SubscriberId) -> Result<Option<Subscriber>, StoreError> {
        users::get(&self.readers, id).await
    }

    async fn find_subscriber(&self, user_or_extension: &str) -> Result<Option<Subscriber>, StoreError> {
        users::find(&self.readers, user_or_extension).await
    }

    async fn check_password(&self, user_or_extension: &str, password: &str) -> Result<Option<Subscriber>, StoreError> {
        let (subscriber, hash) = match users::find_with_password(&self.readers, user_or_extension).await? {
            Some((subscriber, Some(hash))) => (Some(subscriber), hash),
            Some((_, None)) | None => (None, self.nobody.get_or_init(HashedPassword::of_nobody).clone()),
        };
        let password = password.to_owned();
        let right = tokio::task::spawn_blocking(move || hash.verify(&password)).await.map_err(io::Error::other)?;
        Ok(subscriber.filter(|_| right))
    }

    async fn phone_menu(&self, id: SubscriberId) -> Result<PhoneMenu, StoreError> {
        menus::get(&self.readers, id).await
    }

    async fn set_menu_layout(&self, id: SubscriberId, layout: MenuLayout) -> Result<(), StoreError> {
        menus::set_layout(&self.writer, id, layout).await
    }

    async fn set_menu_dials(&self, id: SubscriberId, dials: bool) -> Result<(), StoreError> {
        menus::set_dials(&self.writer, id, dials).await
    }

    async fn menu_dials(&self) -> Result<BTreeSet<SubscriberId>, StoreError> {
        menus::dialling(&self.readers).await
    }

    async fn set_pin(&self, id: SubscriberId, pin: Option<HashedPassword>) -> Result<(), StoreError> {
        menus::set_pin(&self.writer, id, pin.as_ref()).await
    }

    async fn check_pin(&self, extension: &str, pin: &str) -> Result<Option<Subscriber>, StoreError> {
        let (subscriber, hash) = match menus::find_with_pin(&self.readers, extension).await? {
            Some((subscriber, hash)) => (Some(subscriber), hash),
            None => (None, self.nobody.get_or_init(HashedPassword::of_nobody).clone()),
        };
        let pin = pin.to_owned();
        let right = tokio::task::spawn_blocking(move || hash.verify(&pin)).await.map_err(io::Error::other)?;
        Ok(subscriber.filter(|_| right))
    }

    async fn wrong_pins(&self) -> Result<Vec<WrongPins>, StoreError> {
        menus::wrong_pins(&self.readers).await
    }

    async fn put_wrong_pins(&self, kept: Vec<WrongPins>, forgotten: Vec<String>) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        menus::put_wrong_pins(&mut tx, &kept, &forgotten).await?;
        Ok(tx.commit().await?)
    }

    async fn add_app(&self, subscriber: SubscriberId, name: &str, now: Timestamp) -> Result<NewApp, StoreError> {
        devices::add_app(&mut *self.writer.acquire().await?, subscriber, name, now).await
    }

    async fn add_phone(&self, subscriber: SubscriberId, name: &str, realm: &str, now: Timestamp) -> Result<NewPhone, StoreError> {
        devices::add_phone(&mut *self.writer.acquire().await?, &self.key, subscriber, name, realm, now).await
    }

    async fn devices(&self, subscriber: SubscriberId) -> Result<Vec<StoredDevice>, StoreError> {
        devices::of(&self.readers, subscriber).await
    }

    async fn phone_credentials(&self) -> Result<Vec<PhoneCredentials>, StoreError> {
        devices::phones(&self.readers, &self.key).await
    }

    async fn authenticate(&self, token: &str) -> Result<Option<StoredDevice>, StoreError> {
        devices::by_token(&self.readers, token).await
    }

    async fn seen(&self, device: DeviceId, now: Timestamp) -> Result<(), StoreError> {
        if devices::is_stale(&self.readers, device, now).await? {
            devices::seen(&self.writer, device, now).await?;
        }
        Ok(())
    }

    async fn seen_all(&self, devices: &[DeviceId], now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for device in devices {
            devices::seen_if_stale(&mut *tx, *device, now).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn directory_version(&self) -> Result<i64, StoreError> {
        exchange::directory_version(&self.readers).await
    }

    async fn revoke(&self, subscriber: SubscriberId, device: DeviceId) -> Result<bool, StoreError> {
        if !devices::is_of(&self.readers, subscriber, device).await? {
            return Ok(false);
        }
        let dir = self.dir.clone();
        tokio::task::spawn_blocking(move || revoked::note(&dir, device)).await.map_err(io::Error::other)??;
        devices::revoke(&self.writer, subscriber, device).await
    }

    async fn invite(&self, subscriber: SubscriberId, expires_at: Timestamp) -> Result<Secret, StoreError> {
        invitations::add(&self.writer, subscriber, expires_at).await
    }

    async fn accept_invitation(
        &self,
        token: &str,
        device_name: &str,
        now: Timestamp,
    ) -> Result<Option<(Subscriber, NewApp)>, StoreError> {
        let mut tx = self.begin().await?;
        let Some(id) = invitations::take(&mut *tx, token, now).await? else { return Ok(None) };
        let subscriber = users::get(&mut *tx, id).await?.ok_or(StoreError::Corrupt("subscriber"))?;
        let app = devices::add_app(&mut tx, id, device_name, now).await?;
        tx.commit().await?;
        Ok(Some((subscriber, app)))
    }

    async fn act(
        &self,
        mailbox: SubscriberId,
        message: MessageId,
        action: MessageAction,
        key: &IdempotencyKey,
        now: Timestamp,
    ) -> Result<Acted, StoreError> {
        let mut tx = self.begin().await?;
        let acted = commit::act(&mut tx, mailbox, message, action, key, now).await?;
        tx.commit().await?;
        if acted == Acted::Expunged {
            self.unlink_soon().await;
        }
        Ok(acted)
    }

    async fn forward(&self, mut order: ForwardOrder, now: Timestamp) -> Result<ForwardOutcome, StoreError> {
        let Some(sound) = order.sound.take() else {
            let mut tx = self.begin().await?;
            let outcome = commit::forward(&mut tx, order, None, now).await?;
            tx.commit().await?;
            return Ok(outcome);
        };
        let outcome = {
            // As with a greeting's sound.
            let _nobody_unlinks = self.unlinking.lock().await;
            let _no_other_program = self.unlink_lock()?.ok_or_else(|| io::Error::from(io::ErrorKind::WouldBlock))?;
            let sound = self.place(sound).await?;
            let mut tx = self.begin().await?;
            blobs::unlinked(&mut *tx, &sound.file).await?;
            let outcome = commit::forward(&mut tx, order, Some(&sound), now).await?;
            if !blobs::is_held(&mut *tx, &sound.file).await? {
                blobs::discard(&mut tx, &sound.file).await?;
            }
            tx.commit().await?;
            outcome
        };
        self.unlink_soon().await;
        Ok(outcome)
    }

    async fn message(&self, mailbox: SubscriberId, message: MessageId) -> Result<Lookup<Message>, StoreError> {
        let mut snapshot = self.readers.begin().await?;
        Ok(match messages::get(&mut snapshot, mailbox, message).await? {
            Lookup::Found(stored) => Lookup::Found(stored.message),
            Lookup::Gone => Lookup::Gone,
            Lookup::NotFound => Lookup::NotFound,
        })
    }

    async fn messages(
        &self,
        mailbox: SubscriberId,
        before: Option<(Timestamp, MessageId)>,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError> {
        messages::page(&self.readers, mailbox, before, limit).await
    }

    async fn counts(&self, mailbox: SubscriberId) -> Result<MailboxCounts, StoreError> {
        messages::counts(&self.readers, mailbox).await
    }

    async fn sound(&self, mailbox: SubscriberId, message: MessageId) -> Result<Lookup<StoredSound>, StoreError> {
        let mut snapshot = self.readers.begin().await?;
        let content = match messages::get(&mut snapshot, mailbox, message).await? {
            Lookup::Found(stored) => stored.content,
            Lookup::Gone => return Ok(Lookup::Gone),
            Lookup::NotFound => return Ok(Lookup::NotFound),
        };
        self.stored(&mut snapshot, content).await.map(Lookup::Found)
    }

    async fn sound_of(&self, message: MessageId) -> Result<Option<StoredSound>, StoreError> {
        let mut snapshot = self.readers.begin().await?;
        let Some(content) = messages::content(&mut *snapshot, message).await? else { return Ok(None) };
        self.stored(&mut snapshot, content).await.map(Some)
    }

    async fn replace_sound(&self, message: MessageId, of: &str, rendition: Rendition) -> Result<Replaced, StoreError> {
        let Rendition { bytes, codec, media_type, loudness_clufs } = rendition;
        let (id, content) = (message.to_string(), content_of(&codec, &bytes));
        let ending = if media_type == "audio/ogg" { "ogg" } else { "wav" };
        // Never the name of the file that it replaces: that one is of another kind, or an unlink could hit the new one.
        let file = format!("{}/{id}-{}.{ending}", &id[..2], &content[content.len() - 8..]);
        let length = bytes.len() as u64;
        let unlinking = self.unlinking.lock().await;
        let alone = self.unlink_lock()?.ok_or_else(|| io::Error::from(io::ErrorKind::WouldBlock))?;
        blobs::announce(&self.writer, &file).await?;
        let (files, path) = (Arc::clone(&self.files), self.blobs_dir().join(&file));
        tokio::task::spawn_blocking(move || write_blob(files.as_ref(), &path, &bytes)).await.map_err(io::Error::other)??;
        let sound = Sound { content, file, bytes: length, media_type, duration_ms: 0, peaks: Vec::new() };
        let mut tx = self.begin().await?;
        let replaced = commit::replace_sound(&mut tx, message, of, &sound, loudness_clufs).await?;
        tx.commit().await?;
        drop((alone, unlinking));
        self.unlink_soon().await;
        Ok(replaced)
    }

    async fn note_loudness(&self, content: &str, loudness_clufs: Option<i32>) -> Result<(), StoreError> {
        blobs::set_loudness(&self.writer, content, loudness_clufs).await
    }

    async fn note_figures(&self, measured: &MeasuredCall) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let is_logged = commit::figures(&mut tx, measured).await?;
        tx.commit().await?;
        Ok(is_logged)
    }

    async fn report_figures(&self, owner: SubscriberId, call: CallId, body: FiguresBody) -> Result<Reported, StoreError> {
        let mut tx = self.begin().await?;
        let reported = commit::reported_figures(&mut tx, owner, call, body).await?;
        tx.commit().await?;
        Ok(reported)
    }

    async fn call_records(
        &self,
        mailbox: SubscriberId,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<CallRecord>, StoreError> {
        call_records::page(&self.readers, mailbox, before, limit).await
    }

    async fn changes(&self, mailbox: SubscriberId, since: Option<Cursor>, limit: u32) -> Result<Changes, StoreError> {
        let mut snapshot = self.readers.begin().await?;
        feed::page(&mut snapshot, self.epoch, mailbox, since, limit).await
    }

    async fn put_trunk(&self, trunk: &Trunk, password: &str) -> Result<(), StoreError> {
        exchange::put_trunk(&self.writer, &self.key, trunk, password).await
    }

    async fn trunks(&self) -> Result<Vec<(Trunk, Secret)>, StoreError> {
        exchange::trunks(&self.readers, &self.key).await
    }

    async fn remove_trunk(&self, name: &str) -> Result<bool, StoreError> {
        exchange::remove_trunk(&self.writer, name).await
    }

    async fn put_calling(&self, subscriber: SubscriberId, calling: Calling) -> Result<(), StoreError> {
        exchange::put_calling(&self.writer, subscriber, calling).await
    }

    async fn calling(&self) -> Result<BTreeMap<SubscriberId, Calling>, StoreError> {
        exchange::calling(&self.readers).await
    }

    async fn put_bindings(&self, of: &[(SubscriberId, Vec<StoredBinding>)]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for (subscriber, bindings) in of {
            exchange::put_bindings(&mut tx, *subscriber, bindings).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn bindings(&self, now: Timestamp) -> Result<Vec<(SubscriberId, StoredBinding)>, StoreError> {
        exchange::bindings(&self.readers, now).await
    }

    async fn greetings(&self, owner: SubscriberId) -> Result<Vec<Greeting>, StoreError> {
        greetings::of(&self.readers, owner).await
    }

    async fn put_greeting(
        &self,
        owner: SubscriberId,
        id: GreetingId,
        body: GreetingBody,
        now: Timestamp,
    ) -> Result<PutGreeting, StoreError> {
        let mut tx = self.begin().await?;
        let put = greetings::put(&mut tx, owner, id, &body, now).await?;
        tx.commit().await?;
        Ok(put)
    }

    async fn put_greeting_sound(
        &self,
        owner: SubscriberId,
        id: GreetingId,
        sound: NewSound,
        now: Timestamp,
    ) -> Result<Option<Greeting>, StoreError> {
        let greeting = {
            // Until it is committed the file is among those to be unlinked: a crash leaves nothing behind.
            let _nobody_unlinks = self.unlinking.lock().await;
            let _no_other_program = self.unlink_lock()?.ok_or_else(|| io::Error::from(io::ErrorKind::WouldBlock))?;
            let sound = self.place(sound).await?;
            let mut tx = self.begin().await?;
            blobs::unlinked(&mut *tx, &sound.file).await?;
            let greeting = greetings::put_sound(&mut tx, owner, id, &sound, now).await?;
            if greeting.is_none() {
                blobs::discard(&mut tx, &sound.file).await?;
            }
            tx.commit().await?;
            greeting
        };
        self.unlink_soon().await;
        Ok(greeting)
    }

    async fn remove_greeting(&self, owner: SubscriberId, id: GreetingId) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let removed = greetings::remove(&mut tx, owner, id).await?;
        tx.commit().await?;
        self.unlink_soon().await;
        Ok(removed)
    }

    async fn greeting_sound(&self, owner: SubscriberId, id: GreetingId) -> Result<Option<StoredSound>, StoreError> {
        greetings::sound(&self.readers, &self.blobs_dir(), owner, id).await
    }

    async fn plan(&self, subscriber: SubscriberId) -> Result<StoredPlan, StoreError> {
        greetings::plan(&self.readers, subscriber).await
    }

    async fn put_plan(
        &self,
        subscriber: SubscriberId,
        plan: Plan,
        expected: Option<u64>,
    ) -> Result<Result<u64, u64>, StoreError> {
        let mut tx = self.begin().await?;
        let put = greetings::put_plan(&mut tx, subscriber, &plan, expected).await?;
        tx.commit().await?;
        Ok(put)
    }

    async fn answering(&self) -> Result<BTreeMap<SubscriberId, StoredAnswering>, StoreError> {
        let mut snapshot = self.readers.begin().await?;
        greetings::answering(&mut snapshot, &self.blobs_dir()).await
    }

    async fn add_job(&self, job: NewJob) -> Result<(), StoreError> {
        jobs::add(&mut *self.writer.acquire().await?, &[job]).await
    }

    async fn take_jobs(&self, kind: &str, now: Timestamp, held_until: Timestamp, limit: u32) -> Result<Vec<Job>, StoreError> {
        jobs::take(&self.writer, kind, now, held_until, limit).await
    }

    async fn retry_job(&self, id: i64, due_at: Timestamp) -> Result<(), StoreError> {
        jobs::retry(&self.writer, id, due_at).await
    }

    async fn finish_job(&self, id: i64) -> Result<(), StoreError> {
        jobs::finish(&self.writer, id).await
    }

    async fn tidy(&self, now: Timestamp, keys_before: Timestamp) -> Result<(), StoreError> {
        idempotency::forget(&self.writer, keys_before).await?;
        invitations::forget_expired(&self.writer, now).await?;
        self.unlink_given_up().await
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        backup::backup(&mut *self.writer.acquire().await?, to).await
    }
}
