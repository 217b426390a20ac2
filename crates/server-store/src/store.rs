use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
};

use aftertone_model::{
    CallId, CallRecord, Caller, DeviceId, Envelope, Extension, Greeting, GreetingId, Language, MeasuredCall, MenuLayout, Message,
    MessageAction, MessageId, Plan, Subscriber, SubscriberId, Timestamp, Trunk, UserName, WrongPins,
};
use aftertone_sync::{ChangesPage, Cursor, Device, DeviceKind, FiguresBody, Forwarded, GreetingBody, IdempotencyKey};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Calling, HashedPassword, MailboxKeeping, PhoneMenu, Secret, StoredBinding};

/// Why the store could not read or write.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or failed.
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
    /// The disk has no space left; nothing was written.
    #[error("no space is left on the disk")]
    Full(#[source] sqlx::Error),
    /// A row says something that no version of this program writes.
    #[error("the database holds an unreadable {0}")]
    Corrupt(&'static str),
    /// The folder of the blobs failed.
    #[error("a file of the store failed")]
    File(#[from] std::io::Error),
    /// The database was written by a newer version of this program.
    #[error("the database is of version {found}, this program knows {known}")]
    TooNew {
        /// The version of the database.
        found: i64,
        /// The last version that this program knows.
        known: i64,
    },
}

impl StoreError {
    /// Whether the disk has no space left.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full(_) => true,
            Self::File(error) => matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded),
            Self::Database(_) | Self::Corrupt(_) | Self::TooNew { .. } => false,
        }
    }
}

/// SQLITE_FULL, of SQLite's result codes.
const SQLITE_FULL: &str = "13";

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let full = error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == SQLITE_FULL);
        if full { Self::Full(error) } else { Self::Database(error) }
    }
}

/// Why a subscriber was not added or changed.
#[derive(Debug, thiserror::Error)]
pub enum SubscriberError {
    /// Somebody has this user name.
    #[error("the user name is taken")]
    UserTaken,
    /// Somebody has this extension.
    #[error("the extension is taken")]
    ExtensionTaken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for SubscriberError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A person to be added.
#[derive(Debug, Clone)]
pub struct NewSubscriber {
    /// What the person signs in with.
    pub user: UserName,
    /// The person's number.
    pub extension: Extension,
    /// The name that others see.
    pub display_name: String,
    /// The language of the prompts.
    pub language: Language,
    /// How long devices ring before the mailbox answers, in seconds.
    pub ring_s: u16,
    /// The password, unless the person signs in by invitation alone; made with [`HashedPassword::new`].
    pub password: Option<HashedPassword>,
}

/// What may be changed of a person; the user name and the extension stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriberSettings {
    /// The name that others see.
    pub display_name: String,
    /// The language of the prompts.
    pub language: Language,
    /// Ring time in seconds.
    pub ring_s: u16,
}

/// A device as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDevice {
    /// The device.
    pub id: DeviceId,
    /// Whose.
    pub subscriber: SubscriberId,
    /// As it was named.
    pub name: String,
    /// What kind.
    pub kind: DeviceKind,
    /// When it was added.
    pub created_at: Timestamp,
    /// When the server last heard of it.
    pub last_seen_at: Timestamp,
}

impl StoredDevice {
    /// The device as the API lists it for `asking`.
    #[must_use]
    pub fn to_wire(&self, asking: Option<DeviceId>) -> Device {
        Device {
            id: self.id,
            name: self.name.clone(),
            kind: self.kind,
            created_at: self.created_at,
            last_seen_at: self.last_seen_at,
            current: asking == Some(self.id),
        }
    }
}

/// Our app on a desktop that has just been signed in. The token is known here and nowhere else.
#[derive(Debug, Clone)]
pub struct NewApp {
    /// The device.
    pub device: StoredDevice,
    /// Its bearer token.
    pub token: Secret,
}

/// A phone that has just been added. The password is known here and nowhere else.
#[derive(Debug, Clone)]
pub struct NewPhone {
    /// The device.
    pub device: StoredDevice,
    /// Its SIP user name for digest authentication.
    pub username: String,
    /// Its SIP password.
    pub password: Secret,
}

/// What digest authentication of a phone needs (RFC 8760): H(username:realm:password) in lower-case hexadecimal.
#[derive(Clone, PartialEq, Eq)]
pub struct PhoneCredentials {
    /// The phone.
    pub device: DeviceId,
    /// Whose.
    pub subscriber: SubscriberId,
    /// The digest user name.
    pub username: String,
    /// The realm that the hashes are made for: the account's SIP domain at that time.
    pub realm: String,
    /// By MD5 (RFC 2617), for old phones.
    pub ha1_md5: String,
    /// By SHA-256 (RFC 7616).
    pub ha1_sha256: String,
    /// By SHA-512-256 (RFC 7616); empty for phones that were added before it was kept.
    pub ha1_sha512_256: String,
}

impl fmt::Debug for PhoneCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PhoneCredentials")
            .field("device", &self.device)
            .field("subscriber", &self.subscriber)
            .finish_non_exhaustive()
    }
}

/// The sound of a finished recording, already at its place among the blobs and synced there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sound {
    /// `CODEC-HEX`, with the SHA-256 of the sound without its header: equal contents are stored once.
    pub content: String,
    /// Where it lies, relative to the folder of the blobs, with `/`.
    pub file: String,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// `audio/wav` or `audio/ogg`.
    pub media_type: String,
    /// Length of the sound in milliseconds.
    pub duration_ms: u64,
    /// At most 120 peaks, 0 to 255.
    pub peaks: Vec<u8>,
}

/// Everything that becomes a message in one transaction.
#[derive(Debug, Clone)]
pub struct FinishedRecording {
    /// Who, when and why.
    pub envelope: Envelope,
    /// The sound.
    pub sound: Sound,
    /// The owner's log entry of the call; its `message` is filled in by the store.
    pub record: CallRecord,
    /// It broke off before the caller hung up.
    pub interrupted: bool,
    /// Work to be done afterwards.
    pub jobs: Vec<NewJob>,
}

/// What became of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// It is a message now.
    Added(Message),
    /// It had been committed before; nothing was changed.
    Already(Message),
    /// Its owner expunged it meanwhile; nothing was changed.
    Expunged,
}

/// What the store knows of a message id, whoever's it is. For the spool alone: people ask by mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Never committed.
    Unknown,
    /// It is a message.
    Held,
    /// It was expunged.
    Expunged,
}

/// A message of a mailbox, if it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup<T> {
    /// Here it is.
    Found(T),
    /// It was in this mailbox, and was expunged.
    Gone,
    /// It never was in this mailbox.
    NotFound,
}

impl<T> Lookup<T> {
    /// The thing, if it was found.
    #[must_use]
    pub fn found(self) -> Option<T> {
        match self {
            Self::Found(thing) => Some(thing),
            Self::Gone | Self::NotFound => None,
        }
    }
}

/// What became of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "returned once per action, never kept")]
pub enum Acted {
    /// The message as it is now. A repeated key answers so too, without doing it again.
    Message(Message),
    /// It was expunged by this action, now or when the key was first seen.
    Expunged,
    /// It had been expunged before.
    Gone,
    /// It never was in this mailbox.
    NotFound,
    /// The key was used for another write of this mailbox.
    KeyReused,
}

/// What became of a forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardOutcome {
    /// Who got it. A repeated key gives the first answer again and delivers nothing.
    Done(Forwarded),
    /// One of the recipients doesn't exist; nothing was delivered.
    UnknownRecipient,
    /// The message had been expunged before.
    Gone,
    /// It never was in this mailbox.
    NotFound,
    /// Its caller marked it private; nothing was delivered.
    Private,
    /// The key was used for another write of this mailbox.
    KeyReused,
}

/// A forward, asked for by the owner of a message.
#[derive(Debug, Clone)]
pub struct ForwardOrder {
    /// Whose message.
    pub mailbox: SubscriberId,
    /// Which.
    pub message: MessageId,
    /// To whom; doubles are dropped.
    pub to: Vec<SubscriberId>,
    /// The note; may be empty.
    pub note: String,
    /// What they hear in place of the message's own sound: an introduction with the message behind it.
    pub sound: Option<NewSound>,
    /// Names the write.
    pub key: IdempotencyKey,
}

/// The stored sound of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSound {
    /// Its content's name; quoted, it is a strong ETag.
    pub content: String,
    /// Length in bytes.
    pub bytes: u64,
    /// `audio/wav` or `audio/ogg`.
    pub media_type: String,
    /// The file.
    pub path: PathBuf,
}

/// Another form of a message's sound, to take its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendition {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// The codec's SDP name.
    pub codec: String,
    /// `audio/ogg`.
    pub media_type: String,
    /// How loud the sound is, in hundredths of LUFS (EBU R 128); `None` where nothing can be heard.
    pub loudness_clufs: Option<i32>,
}

/// What became of a rendition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaced {
    /// Every message of the old sound has the new one; the feeds of these mailboxes say so.
    Done(Vec<SubscriberId>),
    /// The message was expunged meanwhile, or has another sound by now: nothing was changed.
    Gone,
}

/// A sound that is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSound {
    /// The file's contents.
    pub bytes: Vec<u8>,
    /// The codec, in lower case.
    pub codec: String,
    /// Media type.
    pub media_type: String,
    /// Length in milliseconds.
    pub duration_ms: u64,
    /// At most 120 peaks, 0 to 255.
    pub peaks: Vec<u8>,
}

/// What became of a greeting that was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutGreeting {
    /// As it is now.
    Done(Greeting),
    /// The person has too many.
    TooMany,
    /// The person has a spoken name under another id.
    NameTaken,
    /// The id is somebody else's.
    Foreign,
}

/// A plan with its version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredPlan {
    /// 0 before the first.
    pub version: u64,
    /// The plan.
    pub plan: Plan,
}

/// How somebody's calls are answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredAnswering {
    /// The plan.
    pub plan: Plan,
    /// The greetings, each with the file of its sound.
    pub greetings: Vec<(Greeting, Option<PathBuf>)>,
    /// The file of the spoken name.
    pub name: Option<PathBuf>,
}

/// What the message-waiting lamp shows (RFC 3842): messages in the trash count nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MailboxCounts {
    /// New ones.
    pub new: u32,
    /// Heard and saved ones.
    pub old: u32,
    /// Urgent ones among the new.
    pub new_urgent: u32,
    /// Urgent ones among the old.
    pub old_urgent: u32,
}

/// The answer to a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// The next page.
    Page(ChangesPage),
    /// The cursor is not of this feed: the device takes a snapshot.
    Reset,
}

/// Work to be done after a commit, in the same transaction as what causes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewJob {
    /// Who does it, such as `mail` or `webhook`.
    pub kind: String,
    /// What to do, in that one's own format.
    pub payload: String,
    /// Not before.
    pub due_at: Timestamp,
}

/// A job that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The row.
    pub id: i64,
    /// Who does it.
    pub kind: String,
    /// What to do.
    pub payload: String,
    /// How often it was taken, this time included.
    pub attempts: u32,
}

/// What became of a device's figures of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reported {
    /// They are in the record.
    Noted,
    /// There is no such record.
    NotFound,
    /// The server has measured the call itself, or there was nothing to measure.
    Measured,
}

/// What the spool needs of a store: the way from a recording to a message.
#[async_trait]
pub trait Commits: Send + Sync + 'static {
    /// Makes a recording a message: blob, message, call record, their changes and the jobs, in one transaction. Once
    /// per message id.
    async fn commit_recording(&self, recording: FinishedRecording) -> Result<Committed, StoreError>;
    /// Writes one entry of a call log, or replaces it (same owner, call and direction). A `message` that is already
    /// known stays.
    async fn commit_call_record(&self, record: &CallRecord) -> Result<(), StoreError>;
    /// Writes one entry of a call log unless the log has it; true if it was written.
    async fn commit_call_record_if_absent(&self, record: &CallRecord) -> Result<bool, StoreError>;
    /// What is known of a message id.
    async fn fate(&self, message: MessageId) -> Result<Fate, StoreError>;
}

/// The hosted account's database and blobs. Every write is durable when it returns.
///
/// Times are arguments. Whatever is read of a mailbox is read by its owner's id: a foreign message id answers
/// [`Lookup::NotFound`].
#[async_trait]
pub trait Store: Commits + MailboxKeeping {
    /// Which life of the database: the first half of every cursor.
    fn epoch(&self) -> u32;

    // --- people

    /// Adds a person with an empty mailbox.
    async fn add_subscriber(&self, new: NewSubscriber) -> Result<Subscriber, SubscriberError>;
    /// Changes a person; `None` if there is no such person.
    async fn change_subscriber(&self, id: SubscriberId, settings: SubscriberSettings) -> Result<Option<Subscriber>, StoreError>;
    /// Sets or takes away the password; false if there is no such person.
    async fn set_password(&self, id: SubscriberId, password: Option<HashedPassword>) -> Result<bool, StoreError>;
    /// Everybody, by extension.
    async fn subscribers(&self) -> Result<Vec<Subscriber>, StoreError>;
    /// The person of this id.
    async fn subscriber(&self, id: SubscriberId) -> Result<Option<Subscriber>, StoreError>;
    /// The person of this user name (in whatever case) or extension.
    async fn find_subscriber(&self, user_or_extension: &str) -> Result<Option<Subscriber>, StoreError>;
    /// The person, if the password is right. Takes the same time whether or not the person exists.
    async fn check_password(&self, user_or_extension: &str, password: &str) -> Result<Option<Subscriber>, StoreError>;

    // --- their phone menu

    /// How somebody listens by phone.
    async fn phone_menu(&self, id: SubscriberId) -> Result<PhoneMenu, StoreError>;
    /// Says what the keys mean.
    async fn set_menu_layout(&self, id: SubscriberId, layout: MenuLayout) -> Result<(), StoreError>;
    /// Says whether numbers of the outside may be called from the menu on foreign phones.
    async fn set_menu_dials(&self, id: SubscriberId, dials: bool) -> Result<(), StoreError>;
    /// Everybody who may.
    async fn menu_dials(&self) -> Result<BTreeSet<SubscriberId>, StoreError>;
    /// Sets or takes away the PIN; made with [`HashedPassword::of_pin`].
    async fn set_pin(&self, id: SubscriberId, pin: Option<HashedPassword>) -> Result<(), StoreError>;
    /// The person of this extension, if the PIN is right. Takes the same time whether or not there is one, with a PIN or without.
    async fn check_pin(&self, extension: &str, pin: &str) -> Result<Option<Subscriber>, StoreError>;
    /// The wrong PINs that are counted.
    async fn wrong_pins(&self) -> Result<Vec<WrongPins>, StoreError>;
    /// Keeps these counts in the place of earlier ones of the same, and forgets others, by [`WrongPins::who`].
    async fn put_wrong_pins(&self, kept: Vec<WrongPins>, forgotten: Vec<String>) -> Result<(), StoreError>;

    // --- their devices

    /// Signs an app in.
    async fn add_app(&self, subscriber: SubscriberId, name: &str, now: Timestamp) -> Result<NewApp, StoreError>;
    /// Adds a phone with random SIP credentials for `realm`.
    async fn add_phone(&self, subscriber: SubscriberId, name: &str, realm: &str, now: Timestamp) -> Result<NewPhone, StoreError>;
    /// A person's devices, the oldest first.
    async fn devices(&self, subscriber: SubscriberId) -> Result<Vec<StoredDevice>, StoreError>;
    /// What digest needs of every phone of the account.
    async fn phone_credentials(&self) -> Result<Vec<PhoneCredentials>, StoreError>;
    /// The app that this bearer token belongs to.
    async fn authenticate(&self, token: &str) -> Result<Option<StoredDevice>, StoreError>;
    /// The device was heard of. Cheap: nothing is written if it was seen less than a minute before.
    async fn seen(&self, device: DeviceId, now: Timestamp) -> Result<(), StoreError>;
    /// The same for many, in one transaction.
    async fn seen_all(&self, devices: &[DeviceId], now: Timestamp) -> Result<(), StoreError>;
    /// Grows with every change of people, phones, what they may call, and trunks, whichever program made it: unchanged,
    /// there is nothing to read anew.
    async fn directory_version(&self) -> Result<i64, StoreError>;
    /// Takes a person's device away; false if there is no such device of this person.
    async fn revoke(&self, subscriber: SubscriberId, device: DeviceId) -> Result<bool, StoreError>;

    // --- invitations

    /// Makes a one-time token that signs one device in.
    async fn invite(&self, subscriber: SubscriberId, expires_at: Timestamp) -> Result<Secret, StoreError>;
    /// Signs an app in by an invitation, which is used up by that; `None` if it is unknown, used or expired.
    async fn accept_invitation(
        &self,
        token: &str,
        device_name: &str,
        now: Timestamp,
    ) -> Result<Option<(Subscriber, NewApp)>, StoreError>;

    // --- messages and call records; how they come is in `Commits`

    /// Does an action, once per key.
    async fn act(
        &self,
        mailbox: SubscriberId,
        message: MessageId,
        action: MessageAction,
        key: &IdempotencyKey,
        now: Timestamp,
    ) -> Result<Acted, StoreError>;
    /// Forwards a message, once per key; the sound isn't copied.
    async fn forward(&self, order: ForwardOrder, now: Timestamp) -> Result<ForwardOutcome, StoreError>;
    /// One message.
    async fn message(&self, mailbox: SubscriberId, message: MessageId) -> Result<Lookup<Message>, StoreError>;
    /// Messages, the newest first, those in the trash too; `before` is the time of the last one of the page before.
    async fn messages(
        &self,
        mailbox: SubscriberId,
        before: Option<(Timestamp, MessageId)>,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError>;
    /// What the lamp shows.
    async fn counts(&self, mailbox: SubscriberId) -> Result<MailboxCounts, StoreError>;
    /// The sound of one message.
    async fn sound(&self, mailbox: SubscriberId, message: MessageId) -> Result<Lookup<StoredSound>, StoreError>;
    /// The sound of a message, whoever's it is. For jobs alone: people ask by mailbox.
    async fn sound_of(&self, message: MessageId) -> Result<Option<StoredSound>, StoreError>;
    /// Puts a rendition in the place of the sound `of` (its content's name) that it was made of. The old file goes when the
    /// new one is durable and every message of the old one has it, in one transaction.
    async fn replace_sound(&self, message: MessageId, of: &str, rendition: Rendition) -> Result<Replaced, StoreError>;
    /// Notes how loud a sound is, in hundredths of LUFS.
    async fn note_loudness(&self, content: &str, loudness_clufs: Option<i32>) -> Result<(), StoreError>;
    /// Notes how a call sounded. True if its record is there and has the figures now; otherwise it gets them with its commit.
    async fn note_figures(&self, measured: &MeasuredCall) -> Result<bool, StoreError>;
    /// Notes how a call sounded at a device, where the server knows that the sound went directly; nowhere else.
    async fn report_figures(&self, owner: SubscriberId, call: CallId, body: FiguresBody) -> Result<Reported, StoreError>;
    /// Call log entries, the newest first, those that began before `before`.
    async fn call_records(
        &self,
        mailbox: SubscriberId,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<CallRecord>, StoreError>;
    /// The feed after `since`, or from its beginning: at most `limit` changes (1 to 1,000).
    async fn changes(&self, mailbox: SubscriberId, since: Option<Cursor>, limit: u32) -> Result<Changes, StoreError>;

    // --- greetings and how calls are answered

    /// A person's greetings and spoken name.
    async fn greetings(&self, owner: SubscriberId) -> Result<Vec<Greeting>, StoreError>;
    /// Makes a greeting, or changes what is said of it; its sound stays.
    async fn put_greeting(
        &self,
        owner: SubscriberId,
        id: GreetingId,
        body: GreetingBody,
        now: Timestamp,
    ) -> Result<PutGreeting, StoreError>;
    /// Gives a greeting its sound; `None` if there is no such greeting.
    async fn put_greeting_sound(
        &self,
        owner: SubscriberId,
        id: GreetingId,
        sound: NewSound,
        now: Timestamp,
    ) -> Result<Option<Greeting>, StoreError>;
    /// Removes a greeting; whether there was one.
    async fn remove_greeting(&self, owner: SubscriberId, id: GreetingId) -> Result<bool, StoreError>;
    /// The sound of a greeting, if it has one.
    async fn greeting_sound(&self, owner: SubscriberId, id: GreetingId) -> Result<Option<StoredSound>, StoreError>;
    /// How a person's calls are answered.
    async fn plan(&self, subscriber: SubscriberId) -> Result<StoredPlan, StoreError>;
    /// Replaces a plan, if it has the expected version when one is given: the new version, or the one that it has.
    async fn put_plan(&self, subscriber: SubscriberId, plan: Plan, expected: Option<u64>)
    -> Result<Result<u64, u64>, StoreError>;
    /// How everybody's calls are answered, of whom anything is known.
    async fn answering(&self) -> Result<BTreeMap<SubscriberId, StoredAnswering>, StoreError>;

    // --- work afterwards

    // The exchange's.

    /// Adds a trunk, or replaces the one of this name, with its password.
    async fn put_trunk(&self, trunk: &Trunk, password: &str) -> Result<(), StoreError>;
    /// Every trunk with its password.
    async fn trunks(&self) -> Result<Vec<(Trunk, Secret)>, StoreError>;
    /// Removes a trunk; whether there was one.
    async fn remove_trunk(&self, name: &str) -> Result<bool, StoreError>;
    /// Says how somebody may call and be called.
    async fn put_calling(&self, subscriber: SubscriberId, calling: Calling) -> Result<(), StoreError>;
    /// Of everybody for whom something was said.
    async fn calling(&self) -> Result<BTreeMap<SubscriberId, Calling>, StoreError>;
    /// Replaces what is known of these people's phones, in one transaction.
    async fn put_bindings(&self, of: &[(SubscriberId, Vec<StoredBinding>)]) -> Result<(), StoreError>;
    /// The bindings that hold at `now`.
    async fn bindings(&self, now: Timestamp) -> Result<Vec<(SubscriberId, StoredBinding)>, StoreError>;

    /// Adds a job by itself.
    async fn add_job(&self, job: NewJob) -> Result<(), StoreError>;
    /// The job failed: it is due again then.
    async fn retry_job(&self, id: i64, due_at: Timestamp) -> Result<(), StoreError>;
    /// Takes due jobs and holds them until `held_until`: if they aren't finished by then, they are due again.
    async fn take_jobs(&self, kind: &str, now: Timestamp, held_until: Timestamp, limit: u32) -> Result<Vec<Job>, StoreError>;
    /// The job is done.
    async fn finish_job(&self, id: i64) -> Result<(), StoreError>;
    /// Forgets what is only kept for a while: idempotency keys of before `keys_before`, expired invitations; unlinks
    /// blobs that nobody holds any more. Run it daily, with keys of a month.
    async fn tidy(&self, now: Timestamp, keys_before: Timestamp) -> Result<(), StoreError>;
    /// Writes a consistent copy of the database to a file that doesn't exist yet. Blobs are not in it: copy the folder
    /// afterwards. Opened as a store, the copy begins a new epoch.
    async fn backup(&self, to: &std::path::Path) -> Result<(), StoreError>;
}

/// Somebody as the other party of a forward.
pub(crate) fn as_caller(subscriber: &Subscriber) -> Caller {
    Caller { number: subscriber.extension.as_str().to_owned(), name: Some(subscriber.display_name.clone()) }
}
