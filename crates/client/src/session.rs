//! The handle that everybody outside the event loop holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use aftertone_client_store::{FolderCounts, Listing, Mailbox, StoreError, Window};
use aftertone_model::{CallId, CallRecord, GreetingId, MenuLayout, Message, MessageAction, MessageId, Temporary};
use aftertone_sync::{
    Device, DirectoryEntry, Forwarded, GreetingBody, MailboxRoom, PhoneMenuView, PinBody, PlanView, ProblemCode, TestCall,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    AudioIo, Event, EventStream, Greetings, NewGreeting, OfflineReason, RemovedPart, SecretStore, Snapshot,
    greetings::{Ask, Drafts},
    playback::Taste,
};

/// What a session is started with.
pub struct SessionConfig {
    /// Where the account, the mailbox and the sounds are stored; the folder that [`crate::sign_in`] wrote to.
    pub data: PathBuf,
    /// Where the token is.
    pub secrets: Arc<dyn SecretStore>,
    /// Microphone and loudspeaker.
    pub audio: Arc<dyn AudioIo>,
    /// What the device calls itself towards the server (`User-Agent`), e.g. `Aftertone/0.1.0`.
    pub user_agent: String,
}

/// Why a session can't be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nobody is signed in.
    #[error("nobody is signed in")]
    SignedOut,
    /// Somebody is signed in, but their token is not where it was kept: signing in again goes on with what is stored.
    #[error("the account's token is gone")]
    TokenMissing,
    /// The token can't be had.
    #[error(transparent)]
    Secret(#[from] crate::SecretError),
    /// The stored mailbox can't be opened.
    #[error("the stored mailbox can't be opened: {0}")]
    Storage(String),
    /// The stored mailbox was written by a newer version of this program.
    #[error("the stored mailbox was written by a newer version")]
    TooNew,
    /// The stored server address or certificate can't be used.
    #[error(transparent)]
    Server(#[from] crate::InvalidServer),
}

/// Why something that was asked of a session was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The session is over.
    #[error("the session is over")]
    Over,
    /// It needs the network, and there is no connection.
    #[error("not connected: {detail}")]
    Offline {
        /// Why there is none.
        reason: OfflineReason,
        /// What exactly. English.
        detail: String,
    },
    /// No call with that id, or it is not in a state where this can be done.
    #[error("no such call, or it is past that")]
    NoSuchCall,
    /// The administrator does not allow it.
    #[error("the administrator does not allow it")]
    NotAllowed,
    /// Not a number or address that can be called.
    #[error("not a number or address that can be called")]
    InvalidTarget,
    /// No such message, or it is gone.
    #[error("no such message")]
    NoSuchMessage,
    /// The server refused.
    #[error("the server refused: {detail}")]
    Refused {
        /// Its stable code.
        code: ProblemCode,
        /// Its words.
        detail: String,
    },
    /// The stored mailbox failed.
    #[error("the stored mailbox failed: {0}")]
    Storage(String),
    /// The sound of a message can't be had.
    #[error("the sound can't be had: {0}")]
    NoSound(String),
}

/// What is asked about listening by phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskPhoneMenu {
    /// How it is.
    Look,
    /// To set the PIN.
    SetPin(PinBody),
    /// To take it away.
    RemovePin,
    /// What the keys mean.
    Layout(MenuLayout),
}

/// What became of a forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardOutcome {
    /// They have it.
    Delivered(Forwarded),
    /// It waits in the outbox.
    Waits,
}

/// A signed-in phone that runs. Cheap to clone; the phone runs until [`Session::shut_down`], or until the last handle
/// is dropped.
#[derive(Clone)]
pub struct Session {
    pub(crate) commands: mpsc::UnboundedSender<Command>,
    pub(crate) snapshot: watch::Receiver<Arc<Snapshot>>,
    /// What is stored is read from here and not by way of the loop, which has calls to attend to.
    pub(crate) mailbox: Mailbox,
    /// As is what was recorded and waits.
    pub(crate) drafts: Drafts,
}

impl Session {
    /// Starts the phone of the account that is signed in in `config.data`: it opens the stored mailbox, connects,
    /// registers and synchronises by itself, and comes back by itself whenever the network does. Must be called inside
    /// a tokio runtime.
    ///
    /// # Errors
    /// Where nobody is signed in, the token can't be had, or the stored mailbox can't be opened.
    pub async fn start(config: SessionConfig) -> Result<(Self, EventStream), StartError> {
        crate::run::start(config).await
    }

    /// The session at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// Calls `target`: an extension, a user name, a telephone number, or a `sip:` address.
    ///
    /// # Errors
    /// Where it can't be called or the device is not connected.
    pub async fn dial(&self, target: &str) -> Result<CallId, CommandError> {
        let target = target.to_owned();
        self.ask(|reply| Command::Dial { target, is_back: false, reply }).await?
    }

    /// Calls a number back that the person has not dialled, but a caller has shown or left: the account makes no call at which
    /// somebody earns, and says so by [`CallSnapshot::refusal`](crate::CallSnapshot::refusal).
    ///
    /// # Errors
    /// Where it can't be called or the device is not connected.
    pub async fn call_back(&self, target: &str) -> Result<CallId, CommandError> {
        let target = target.to_owned();
        self.ask(|reply| Command::Dial { target, is_back: true, reply }).await?
    }

    /// Answers a ringing incoming call.
    ///
    /// # Errors
    /// Where no such call rings.
    pub async fn answer(&self, call: CallId) -> Result<(), CommandError> {
        self.ask(|reply| Command::Call { call, action: CallAction::Answer, reply }).await?
    }

    /// Declines a ringing incoming call; its caller comes to the mailbox.
    ///
    /// # Errors
    /// Where no such call rings.
    pub async fn decline(&self, call: CallId) -> Result<(), CommandError> {
        self.ask(|reply| Command::Call { call, action: CallAction::Decline, reply }).await?
    }

    /// Ends a call in whatever state it is.
    ///
    /// # Errors
    /// Where there is no such call.
    pub async fn hang_up(&self, call: CallId) -> Result<(), CommandError> {
        self.ask(|reply| Command::Call { call, action: CallAction::HangUp, reply }).await?
    }

    /// Stops or restarts sending the microphone.
    ///
    /// # Errors
    /// Where there is no such call.
    pub async fn mute(&self, call: CallId, muted: bool) -> Result<(), CommandError> {
        self.ask(|reply| Command::Call { call, action: CallAction::Mute(muted), reply }).await?
    }

    /// Records a connected call into a new file (Ogg-Opus: left what is said, right what is heard), which the other end hears
    /// by a tone, or stops that. [`Event::Recording`](crate::Event::Recording) tells how it gets on.
    ///
    /// # Errors
    /// Where no such call is connected, or the administrator does not allow it.
    pub async fn record(&self, call: CallId, file: Option<PathBuf>) -> Result<(), CommandError> {
        self.ask(|reply| Command::Call { call, action: CallAction::Record(file), reply }).await?
    }

    /// Holds a connected call, or goes on with it.
    ///
    /// # Errors
    /// Where no such call is connected.
    pub async fn hold(&self, call: CallId, held: bool) -> Result<(), CommandError> {
        self.ask(|reply| Command::Call { call, action: CallAction::Hold(held), reply }).await?
    }

    /// Sends one key (`0` to `9`, `*`, `#`, `A` to `D`) to the other party (RFC 4733).
    ///
    /// # Errors
    /// Where there is no such active call, or the key is none.
    pub async fn press(&self, call: CallId, key: char) -> Result<(), CommandError> {
        self.ask(|reply| Command::Call { call, action: CallAction::Press(key), reply }).await?
    }

    /// All stored messages, the newest first, with what waits in the outbox already applied. Those in the trash are
    /// among them.
    ///
    /// # Errors
    /// Where the stored mailbox fails.
    pub async fn messages(&self) -> Result<Vec<Message>, CommandError> {
        stored(self.mailbox.messages().await)
    }

    /// Those of some messages that are stored, in no order.
    ///
    /// # Errors
    /// Where the stored mailbox fails.
    pub async fn messages_of(&self, ids: &[MessageId]) -> Result<Vec<Message>, CommandError> {
        stored(self.mailbox.messages_of(ids).await)
    }

    /// How many messages of a caller's number nobody listened to.
    ///
    /// # Errors
    /// Where the stored mailbox fails.
    pub async fn new_from(&self, number: &str) -> Result<u64, CommandError> {
        stored(self.mailbox.new_from(number).await)
    }

    /// The file with the sound of a message; it is fetched first if it is not stored.
    ///
    /// # Errors
    /// Where there is no such message, or its sound can't be had.
    pub async fn sound_file(&self, message: MessageId) -> Result<PathBuf, CommandError> {
        self.ask(|reply| Command::SoundFile { message, reply }).await?
    }

    /// Whether the sound of a message is on this device, so that it plays without the server.
    #[must_use]
    pub fn has_sound(&self, message: &Message) -> bool {
        self.mailbox.sound_path(message).is_file()
    }

    /// A part of a folder, searched if wanted, and how many there are.
    ///
    /// # Errors
    /// Where the stored mailbox fails.
    pub async fn window(&self, window: Window) -> Result<Listing, CommandError> {
        stored(self.mailbox.window(&window).await)
    }

    /// Whether the mailbox is stored here: it was synchronised to its end at least once, in this session or an earlier one.
    ///
    /// # Errors
    /// Where the stored mailbox fails.
    pub async fn is_stored(&self) -> Result<bool, CommandError> {
        Ok(stored(self.mailbox.cursor().await)?.is_some())
    }

    /// How full the mailbox is.
    ///
    /// # Errors
    /// Where the stored mailbox fails.
    pub async fn room(&self) -> Result<MailboxRoom, CommandError> {
        stored(self.mailbox.room().await)
    }

    /// How many messages each folder has.
    ///
    /// # Errors
    /// Where the stored mailbox fails.
    pub async fn counts(&self) -> Result<FolderCounts, CommandError> {
        stored(self.mailbox.counts().await)
    }

    /// One stored message, or `None`.
    ///
    /// # Errors
    /// Where the stored mailbox fails.
    pub async fn message(&self, id: MessageId) -> Result<Option<Message>, CommandError> {
        stored(self.mailbox.message(id).await)
    }

    /// The newest `limit` entries of the call log, the newest first.
    ///
    /// # Errors
    /// Where the stored mailbox fails.
    pub async fn call_records(&self, limit: u32) -> Result<Vec<CallRecord>, CommandError> {
        stored(self.mailbox.call_records(limit).await)
    }

    /// A part of the call log, the newest first, and how many entries it has.
    ///
    /// # Errors
    /// Where the stored mailbox fails.
    pub async fn call_log(&self, offset: u32, limit: u32) -> Result<(Vec<CallRecord>, u64), CommandError> {
        Ok((stored(self.mailbox.call_log(offset, limit).await)?, stored(self.mailbox.calls().await)?))
    }

    /// The call log's entry of an incoming call.
    ///
    /// # Errors
    /// Where the stored mailbox fails.
    pub async fn incoming_call(&self, call: CallId) -> Result<Option<CallRecord>, CommandError> {
        stored(self.mailbox.incoming_call(call).await)
    }

    /// Does something to a message. It is done here at once and sent to the server as soon as that is possible, also
    /// after a restart.
    ///
    /// # Errors
    /// Where there is no such message or it can't be stored.
    pub async fn act(&self, message: MessageId, action: MessageAction) -> Result<(), CommandError> {
        self.ask(|reply| Command::Act { message, action, reply }).await?
    }

    /// Does something to many messages, in this order, as one write. As with [`Session::act`] it is sent when possible; what
    /// isn't there is passed over.
    ///
    /// # Errors
    /// Where it can't be stored; nothing is done then.
    pub async fn act_many(&self, actions: &[(MessageId, MessageAction)]) -> Result<(), CommandError> {
        let ids: Vec<_> = actions.iter().map(|(id, _)| *id).collect::<BTreeSet<_>>().into_iter().collect();
        let by_id = |messages: Vec<Message>| -> BTreeMap<_, _> {
            messages.into_iter().map(|message| (message.envelope.id, message)).collect()
        };
        let before = by_id(stored(self.mailbox.messages_of(&ids).await)?);
        let there = actions.iter().filter(|(id, _)| before.contains_key(id));
        let writes: Vec<_> = there.map(|(id, action)| (*id, *action, crate::run::fresh_key())).collect();
        stored(self.mailbox.enqueue_all(&writes).await)?;
        let mut after = by_id(stored(self.mailbox.messages_of(&ids).await)?);
        let events = before.into_iter().filter_map(|(id, message)| match after.remove(&id) {
            None => Some(Event::MessageExpunged(id)),
            Some(now) => (now != message).then_some(Event::MessageChanged(now)),
        });
        self.tell(Command::Acted { events: events.collect() });
        Ok(())
    }

    /// Forwards a message to user names or extensions, with a note. Without the network it is sent as soon as that is
    /// possible, also after a restart; a refusal that comes then is told by [`crate::Event::ActionRefused`]. Safe to try
    /// again, since a retry of the same forward within the session uses the same key.
    ///
    /// # Errors
    /// Where the server refuses (an unknown recipient, for one) or it can't be stored.
    pub async fn forward(&self, message: MessageId, to: Vec<String>, note: String) -> Result<ForwardOutcome, CommandError> {
        self.ask(|reply| Command::Forward { message, to, note, reply }).await?
    }

    /// The people of the account. Needs the network, or gives what was had last.
    ///
    /// # Errors
    /// Where neither is there.
    pub async fn directory(&self) -> Result<Vec<DirectoryEntry>, CommandError> {
        self.ask(|reply| Command::Directory { reply }).await?
    }

    /// The devices of this account. Needs the network.
    ///
    /// # Errors
    /// Where there is no connection.
    pub async fn devices(&self) -> Result<Vec<Device>, CommandError> {
        self.ask(|reply| Command::Devices { reply }).await?
    }

    /// How I listen by phone, after what is asked was done. Needs the network.
    ///
    /// # Errors
    /// Where there is no connection; [`ProblemCode::WeakPin`] for a PIN that others guess.
    pub async fn phone_menu(&self, ask: AskPhoneMenu) -> Result<PhoneMenuView, CommandError> {
        self.ask(|reply| Command::PhoneMenu { ask, reply }).await?
    }

    /// Signs another device out. Needs the network.
    ///
    /// # Errors
    /// Where there is no connection or no such device.
    pub async fn revoke_device(&self, device: aftertone_model::DeviceId) -> Result<(), CommandError> {
        self.ask(|reply| Command::RevokeDevice { device, reply }).await?
    }

    /// Plays a message from its beginning (or from `from_ms`); another one that plays is stopped. Fetches the sound
    /// first if it is not stored. Once sound of it was played, the message counts as heard.
    ///
    /// # Errors
    /// Where there is no such message.
    pub async fn play(&self, message: MessageId, from_ms: u64) -> Result<(), CommandError> {
        self.ask(|reply| Command::Play { message, from_ms, reply }).await?
    }

    /// Plays a greeting, also one that waits to be sent.
    ///
    /// # Errors
    /// Where there is no such greeting, or it has no sound.
    pub async fn play_greeting(&self, greeting: GreetingId, from_ms: u64) -> Result<(), CommandError> {
        self.ask(|reply| Command::PlayGreeting { greeting, from_ms, reply }).await?
    }

    /// Plays what callers hear where no greeting of one's own is played. Needs the network.
    pub fn play_account_greeting(&self) {
        self.tell(Command::PlayAccountGreeting);
    }

    /// Plays a recording (mono, 48 kHz) from a position.
    pub fn play_recording(&self, pcm: Arc<[i16]>, from_ms: u64) {
        self.tell(Command::PlayRecording { pcm, from_ms });
    }

    /// The greetings, those that wait among them, and how calls are answered.
    ///
    /// # Errors
    /// Where the stored mailbox fails.
    pub async fn greetings(&self) -> Result<Greetings, CommandError> {
        Ok(Greetings {
            stored: stored(self.mailbox.greetings().await)?,
            plan: stored(self.mailbox.plan().await)?,
            waiting: self.drafts.all().await.map_err(|error| CommandError::Storage(error.to_string()))?,
        })
    }

    /// Keeps a new greeting with its sound; it is sent as soon as that is possible, also after a restart.
    ///
    /// # Errors
    /// Where it can't be stored.
    pub async fn add_greeting(&self, greeting: NewGreeting) -> Result<(), CommandError> {
        self.drafts.add(greeting).await.map_err(|error| CommandError::Storage(error.to_string()))?;
        self.tell(Command::GreetingAdded);
        Ok(())
    }

    /// Changes what is said of a greeting. Needs the network, unless the greeting waits to be sent itself.
    ///
    /// # Errors
    /// Where there is no connection, or the server refuses.
    pub async fn describe_greeting(&self, greeting: GreetingId, body: GreetingBody) -> Result<(), CommandError> {
        self.ask(|reply| Command::Greeting { ask: Ask::Describe(greeting, body), reply }).await?
    }

    /// Removes a greeting; its sound stays here until the session ends, so that [`Session::restore_greeting`] can bring it
    /// back. Needs the network, unless the greeting waits to be sent itself.
    ///
    /// # Errors
    /// Where there is no connection.
    pub async fn remove_greeting(&self, greeting: GreetingId) -> Result<(), CommandError> {
        self.ask(|reply| Command::Greeting { ask: Ask::Remove(greeting), reply }).await?
    }

    /// Brings a greeting back that this session removed. It is sent as a new one is.
    ///
    /// # Errors
    /// Where it isn't here any more.
    pub async fn restore_greeting(&self, greeting: GreetingId) -> Result<(), CommandError> {
        self.ask(|reply| Command::Greeting { ask: Ask::Restore(greeting), reply }).await?
    }

    /// Which greeting callers hear when no rule fits; none is the account's. Needs the network.
    ///
    /// # Errors
    /// Where there is no connection, or the server refuses.
    pub async fn set_standard_greeting(&self, greeting: Option<GreetingId>) -> Result<(), CommandError> {
        self.ask(|reply| Command::Greeting { ask: Ask::Standard(greeting), reply }).await?
    }

    /// A greeting above all rules, or none any more. Needs the network.
    ///
    /// # Errors
    /// Where there is no connection, or the server refuses.
    pub async fn set_temporary_greeting(&self, temporary: Option<Temporary>) -> Result<(), CommandError> {
        self.ask(|reply| Command::Greeting { ask: Ask::Temporary(temporary), reply }).await?
    }

    /// How calls are answered, in the place of the version that is named. Needs the network.
    ///
    /// # Errors
    /// Where there is no connection, where the server refuses, and where there is a later version: that is kept then.
    pub async fn set_plan(&self, plan: PlanView) -> Result<(), CommandError> {
        self.ask(|reply| Command::Greeting { ask: Ask::Plan(plan), reply }).await?
    }

    /// Puts something back into the plan as it is by now. Needs the network.
    ///
    /// # Errors
    /// Where there is no connection, or the server refuses.
    pub async fn put_back(&self, removed: RemovedPart) -> Result<(), CommandError> {
        self.ask(|reply| Command::Greeting { ask: Ask::PutBack(removed), reply }).await?
    }

    /// How long it rings when no rule says so, in seconds. Needs the network.
    ///
    /// # Errors
    /// Where there is no connection.
    pub async fn ring_time(&self) -> Result<u16, CommandError> {
        self.ask(|reply| Command::RingTime { reply }).await?
    }

    /// Sets that. Needs the network.
    ///
    /// # Errors
    /// Where there is no connection, or the server refuses.
    pub async fn set_ring_time(&self, seconds: u16) -> Result<(), CommandError> {
        self.ask(|reply| Command::Greeting { ask: Ask::RingTime(seconds), reply }).await?
    }

    /// Rests the playback.
    pub fn pause(&self) {
        self.tell(Command::Playback(PlaybackAction::Pause));
    }

    /// Moves on after a rest.
    pub fn resume(&self) {
        self.tell(Command::Playback(PlaybackAction::Resume));
    }

    /// Moves the playback to a position.
    pub fn seek(&self, position_ms: u64) {
        self.tell(Command::Playback(PlaybackAction::Seek(position_ms)));
    }

    /// How messages sound from now on: loudness in percent, 0 to 200; speed in percent, 75 to 200, at the same pitch;
    /// and whether long silence is left out.
    pub fn set_playback(&self, volume: u8, rate: u16, skip_silence: bool) {
        let taste = Taste { volume: volume.min(200), rate: rate.clamp(75, 200), skip_silence };
        self.tell(Command::Playback(PlaybackAction::Taste(taste)));
    }

    /// Ends the playback.
    pub fn stop(&self) {
        self.tell(Command::Playback(PlaybackAction::Stop));
    }

    /// Lets a built-in second phone leave a message in the own mailbox: a real call over a connection of its own.
    /// Returns at once; [`crate::Event::TestMessage`] tells how it gets on.
    pub fn place_test_message(&self) {
        self.tell(Command::PlaceTestMessage);
    }

    /// Has the server call the own number as somebody from outside would. Needs the network.
    ///
    /// # Errors
    /// Where there is no connection, or the server refuses: one is under way, or there were too many.
    pub async fn start_test_call(&self) -> Result<TestCall, CommandError> {
        self.ask(|reply| Command::TestCall { start: true, reply }).await?
    }

    /// How the last one gets on, or went. Needs the network.
    ///
    /// # Errors
    /// Where there is no connection, or none was made lately.
    pub async fn test_call(&self) -> Result<TestCall, CommandError> {
        self.ask(|reply| Command::TestCall { start: false, reply }).await?
    }

    /// What its caller heard: a WAV file. Needs the network.
    ///
    /// # Errors
    /// Where there is no connection, or nothing was heard.
    pub async fn test_call_greeting(&self) -> Result<Vec<u8>, CommandError> {
        self.ask(|reply| Command::TestCallGreeting { reply }).await?
    }

    /// Connects and synchronises now instead of at the next try: the computer woke up, the network changed, or the
    /// person asked for it.
    pub fn reconnect(&self) {
        self.tell(Command::Reconnect);
    }

    /// Signs this device out: the server forgets it, the token and everything stored of this account are removed. Works
    /// without the network too: the server then lists the device until [`crate::revoke_left`] has told it.
    ///
    /// # Errors
    /// Where the token or the stored data can't be removed.
    pub async fn sign_out(&self) -> Result<(), CommandError> {
        self.ask(|reply| Command::SignOut { reply }).await?
    }

    /// Ends calls, unregisters and stops; returns when all is closed, after three seconds at the latest.
    pub async fn shut_down(&self) {
        let _over = self.ask(|reply| Command::ShutDown { reply }).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).map_err(|_| CommandError::Over)?;
        answer.await.map_err(|_| CommandError::Over)
    }

    fn tell(&self, command: Command) {
        // A session that is over has nothing to pause; nobody waits for an answer.
        let _over = self.commands.send(command);
    }
}

fn stored<T>(result: Result<T, StoreError>) -> Result<T, CommandError> {
    result.map_err(|error| CommandError::Storage(error.to_string()))
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, CommandError>>;

pub(crate) enum Command {
    Dial {
        target: String,
        /// The person has not dialled it.
        is_back: bool,
        reply: Reply<CallId>,
    },
    Call {
        call: CallId,
        action: CallAction,
        reply: Reply<()>,
    },
    SoundFile {
        message: MessageId,
        reply: Reply<PathBuf>,
    },
    Act {
        message: MessageId,
        action: MessageAction,
        reply: Reply<()>,
    },
    /// It was put into the outbox; this is to be told.
    Acted {
        events: Vec<Event>,
    },
    Forward {
        message: MessageId,
        to: Vec<String>,
        note: String,
        reply: Reply<ForwardOutcome>,
    },
    Directory {
        reply: Reply<Vec<DirectoryEntry>>,
    },
    RingTime {
        reply: Reply<u16>,
    },
    Devices {
        reply: Reply<Vec<Device>>,
    },
    PhoneMenu {
        ask: AskPhoneMenu,
        reply: Reply<PhoneMenuView>,
    },
    RevokeDevice {
        device: aftertone_model::DeviceId,
        reply: Reply<()>,
    },
    Play {
        message: MessageId,
        from_ms: u64,
        reply: Reply<()>,
    },
    PlayGreeting {
        greeting: GreetingId,
        from_ms: u64,
        reply: Reply<()>,
    },
    PlayAccountGreeting,
    PlayRecording {
        pcm: Arc<[i16]>,
        from_ms: u64,
    },
    Greeting {
        ask: Ask,
        reply: Reply<()>,
    },
    /// One waits to be sent.
    GreetingAdded,
    Playback(PlaybackAction),
    PlaceTestMessage,
    TestCall {
        start: bool,
        reply: Reply<TestCall>,
    },
    TestCallGreeting {
        reply: Reply<Vec<u8>>,
    },
    Reconnect,
    SignOut {
        reply: Reply<()>,
    },
    ShutDown {
        reply: oneshot::Sender<()>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallAction {
    Answer,
    Decline,
    HangUp,
    Mute(bool),
    Hold(bool),
    Press(char),
    Record(Option<PathBuf>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlaybackAction {
    Pause,
    Resume,
    Seek(u64),
    Taste(Taste),
    Stop,
}
