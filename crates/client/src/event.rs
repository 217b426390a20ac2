//! What a session tells, and what it looks like at one moment.

use aftertone_model::{CallId, CallRecord, DeviceId, GreetingId, Message, MessageId, Timestamp};
use aftertone_sync::{MailboxRoom, Me, ProblemCode};
use tokio::sync::mpsc;

use crate::{CallQuality, CallRecording};

/// Something happened. Each event carries the whole new state of what it is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The connection to the account came, went, or failed another way.
    Connection(Connection),
    /// A call began, changed, or ended ([`CallPhase::Ended`] is the last event of a call).
    Call(CallSnapshot),
    /// How the last second of a connected call sounded.
    Quality(CallQuality),
    /// A recording of a call began or ended.
    Recording(CallRecording),
    /// A message is in the mailbox that was not there before.
    MessageArrived {
        /// The message.
        message: Message,
        /// Whether it was left just now.
        news: News,
    },
    /// A message changed, here or on another device.
    MessageChanged(Message),
    /// A message is gone for ever.
    MessageExpunged(MessageId),
    /// The call log has a new or changed entry.
    CallRecord {
        /// The entry.
        record: CallRecord,
        /// Whether the call was just now.
        news: News,
    },
    /// A greeting came, changed or went, or how calls are answered: [`crate::Session::greetings`] has them.
    GreetingsChanged,
    /// The mailbox is fuller than it was, or less full.
    RoomChanged(MailboxRoom),
    /// A synchronisation reached the feed's end; what was stored is what the server has.
    CaughtUp,
    /// The sound of a message was stored: it can be played without the network.
    AudioCached(MessageId),
    /// The server refused for good what this device wanted to do to a message; the message is shown as the server has it.
    ActionRefused {
        /// The message.
        message: MessageId,
        /// Why.
        code: ProblemCode,
    },
    /// A message plays, rests, or ended.
    Playback(PlaybackSnapshot),
    /// How the test message gets on.
    TestMessage(TestMessage),
    /// The session is over: it was signed out here, or the server revoked the device. Nothing follows.
    SignedOut {
        /// This device asked for it.
        by_us: bool,
    },
}

/// How new something is that a synchronisation brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum News {
    /// It happened while this device was connected and had caught up: worth a notification of its own.
    Fresh,
    /// It happened while this device was not connected, or the program did not run: [`Event::CaughtUp`] follows the last
    /// of them.
    Away,
    /// It was there before this device was signed in, or was told before, without how the call had sounded.
    Known,
}

/// The events of one session, in order. Ends when the session is shut down.
#[derive(Debug)]
pub struct EventStream {
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
}

impl EventStream {
    /// Waits for the next event; `None` when the session is over.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

/// A session at one moment, without what is stored (messages and call records are asked for).
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Whose account.
    pub me: Me,
    /// This device.
    pub device: DeviceId,
    /// The connection to the account.
    pub connection: Connection,
    /// Calls that have not ended, the oldest first.
    pub calls: Vec<CallSnapshot>,
    /// What plays or rests, if anything.
    pub playback: Option<PlaybackSnapshot>,
    /// New messages in the mailbox.
    pub new_messages: u64,
    /// Actions and greetings that wait to be sent.
    pub waiting: u64,
}

/// The connection to the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// On its way for the first time, or again.
    Connecting,
    /// The device is registered: it can be called.
    Online,
    /// Not connected; the session tries again by itself. With [`OfflineReason::Credentials`] it also asks the API whether
    /// the device was revoked, and ends if it was.
    Offline {
        /// Why.
        reason: OfflineReason,
        /// What exactly, for people who look into it. English.
        detail: String,
        /// When the next try comes.
        retry_at: Option<Timestamp>,
    },
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OfflineReason {
    /// The server's name can't be resolved: no network, or a wrong name.
    Dns,
    /// The server can't be reached.
    Connect,
    /// The server's certificate is not trusted, or is not the pinned one.
    Tls,
    /// The token is no longer valid: sign in again.
    Credentials,
    /// The server answers, but not as it should.
    Server,
}

pub use aftertone_call::{CallPhase, CallSnapshot};

/// What can be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Played {
    /// A message.
    Message(MessageId),
    /// A greeting, also one that waits to be sent.
    Greeting(GreetingId),
    /// What callers hear where no greeting of one's own is played.
    AccountGreeting,
    /// Sound that was handed over.
    Recording,
}

/// Something being played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaybackSnapshot {
    /// What.
    pub played: Played,
    /// Playing, resting, or at its end.
    pub state: PlaybackState,
    /// How far, in milliseconds.
    pub position_ms: u64,
    /// How long, in milliseconds.
    pub duration_ms: u64,
    /// Loudness in percent of the recording's, 0 to 200.
    pub volume: u8,
    /// Speed in percent of how fast it was spoken, 75 to 200; the pitch stays.
    pub rate: u16,
}

/// Whether a message's sound moves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PlaybackState {
    /// The sound is being fetched, since it is not stored yet.
    Loading,
    /// Sound comes out.
    Playing,
    /// Resting at its position.
    Paused,
    /// Came to its end or was stopped; the last event of a playback.
    Ended,
    /// The sound could not be had or not be decoded; the last event of a playback.
    Failed,
    /// No device takes the sound; the last event of a playback.
    NoDevice,
}

/// How the built-in second phone gets on with its test message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestMessage {
    /// Calling the own mailbox.
    Calling,
    /// The greeting plays.
    Greeting,
    /// The beep came; speaking.
    Speaking,
    /// Hung up: the message must arrive now. `call` is its call id when the server told it.
    HungUp {
        /// Joins the call with the message that comes of it.
        call: Option<CallId>,
    },
    /// It did not work.
    Failed {
        /// What went wrong. English.
        detail: String,
    },
}
