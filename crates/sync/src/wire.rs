use aftertone_model::{
    CallId, Caller, DeviceId, Direction, Fullness, GreetingKind, Language, MenuLayout, MessageId, Plan, Reason, StreamFigures,
    Subscriber, Timestamp,
};
use serde::{Deserialize, Serialize};

/// `POST /v1/sign-in`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SignIn {
    /// Who signs in, and what shows it.
    #[serde(flatten)]
    pub credentials: Credentials,
    /// How the device is listed: for people.
    pub device_name: String,
}

/// What shows who signs in.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Credentials {
    /// A name (or an extension) and a password.
    Password {
        /// The subscriber's user name or extension.
        user: String,
        /// In clear; the connection is encrypted or stays on the machine.
        password: String,
    },
    /// The one-time token of an invitation.
    Invitation {
        /// As in the link.
        invitation: String,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Password { user, .. } => f.debug_struct("Password").field("user", user).finish_non_exhaustive(),
            Self::Invitation { .. } => f.debug_struct("Invitation").finish_non_exhaustive(),
        }
    }
}

/// The answer to a sign-in.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SignedIn {
    /// The device's bearer token for the API, the doorbell and `/sip`; shown this once.
    pub token: String,
    /// The new device.
    pub device: DeviceId,
    /// Whose account.
    pub me: Me,
}

/// `GET /v1/me`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Me {
    /// The person.
    pub subscriber: Subscriber,
    /// The account's SIP domain.
    pub domain: String,
    /// Whether I may record my calls; an administrator says so.
    #[serde(default)]
    pub records_calls: bool,
}

/// Body of `PUT /v1/me`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MeBody {
    /// The language of my prompts.
    pub language: Language,
    /// How long my devices ring before the mailbox answers, in seconds, 0 to 300.
    pub ring_s: u16,
}

/// How much room a mailbox has; in the feed whenever its `fullness` changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MailboxRoom {
    /// Seconds of sound outside the trash.
    pub used_s: u64,
    /// So many are allowed; 0 is no limit. What comes beyond that is kept, but callers can leave no more.
    pub quota_s: u32,
    /// How full that is.
    pub fullness: Fullness,
}

/// `GET /v1/me/mailbox`: what is kept of my messages, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MailboxBounds {
    /// How much room there is.
    #[serde(flatten)]
    pub room: MailboxRoom,
    /// A message is expunged after so many days in the trash; 0 is never.
    pub trash_days: u32,
    /// A message goes to the trash so many days after it was heard, unless it is saved; 0 is never.
    pub heard_days: u32,
}

/// `GET /v1/me/phone-menu`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PhoneMenuView {
    /// There is a PIN: the mailbox opens from any phone.
    pub has_pin: bool,
    /// What the keys mean.
    pub layout: MenuLayout,
    /// Numbers of the outside may be called back from phones that aren't mine; an administrator says so.
    pub calls_from_foreign_phones: bool,
    /// What opens the menu on a device of mine.
    #[serde(default)]
    pub menu_number: Option<String>,
    /// What opens it on any phone, by mailbox and PIN.
    #[serde(default)]
    pub mailbox_number: Option<String>,
}

/// Body of `PUT /v1/me/phone-menu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PhoneMenuBody {
    /// What the keys mean.
    pub layout: MenuLayout,
}

/// Body of `PUT /v1/me/pin`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PinBody {
    /// 6 to 12 digits.
    pub pin: String,
}

impl std::fmt::Debug for PinBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PinBody").finish_non_exhaustive()
    }
}

/// Body of `PUT /v1/call-records/{call}/figures`: how a call sounded here that went from device to device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FiguresBody {
    /// Which record of the call.
    pub direction: Direction,
    /// What the other device has said to have had of what this one sent; null without a report.
    pub inbound: Option<StreamFigures>,
    /// What came here.
    pub outbound: Option<StreamFigures>,
    /// There and back, in milliseconds; null where it was not measured.
    pub round_trip_ms: Option<u32>,
}

/// Body of `PUT /v1/greetings/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct GreetingBody {
    /// What it is for.
    pub kind: GreetingKind,
    /// What I call it.
    pub title: String,
    /// What is said in it; may be empty.
    pub text: String,
    /// The language that it is spoken in.
    pub language: Language,
    /// From then on it isn't played.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<Timestamp>,
}

/// `GET /v1/plan`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PlanView {
    /// Raised at each change; quoted, it is the `ETag`.
    pub version: u64,
    /// How calls are answered.
    pub plan: Plan,
}

/// What kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// Aftertone; signs in with a token.
    App,
    /// A phone that is not ours, with SIP credentials of its own.
    Phone,
}

/// An entry of `GET /v1/devices`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Device {
    /// The device.
    pub id: DeviceId,
    /// As it was named at the sign-in.
    pub name: String,
    /// What kind.
    pub kind: DeviceKind,
    /// When it signed in.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// When the server last heard of it.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub last_seen_at: Timestamp,
    /// It is the device that asks.
    pub current: bool,
}

/// An entry of `GET /v1/directory`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DirectoryEntry {
    /// The user name.
    pub user: String,
    /// The extension.
    pub extension: String,
    /// The name to show.
    pub display_name: String,
}

/// Body of `POST /v1/messages/{id}/actions`; the header `Idempotency-Key` names the write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ActionBody {
    /// What to do.
    pub action: aftertone_model::MessageAction,
}

/// Body of `POST /v1/messages/{id}/forward`; the header `Idempotency-Key` names the write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ForwardBody {
    /// User names or extensions; 1 to 50.
    pub to: Vec<String>,
    /// The note; may be empty, at most 2,000 characters.
    pub note: String,
}

/// The answer to a forward.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Forwarded {
    /// Who got it, with the message's id in their mailbox.
    pub delivered: Vec<(Caller, MessageId)>,
}

/// `GET /v1/health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Health {
    /// `ok`, or what is wrong.
    pub status: String,
    /// The server's version.
    pub version: String,
    /// Bytes that may still be written where the messages are.
    #[serde(default)]
    pub free_bytes: u64,
    /// Messages that are being left now.
    #[serde(default)]
    pub recordings: u32,
    /// Recordings that are over and could not be made messages yet; they are tried again every few seconds.
    #[serde(default)]
    pub waiting: u32,
    /// How long the sound that waited longest had waited to be durable, when something was last synced, in milliseconds.
    #[serde(default)]
    pub sync_gap_ms: u32,
    /// The same at its worst since the start.
    #[serde(default)]
    pub worst_sync_gap_ms: u32,
    /// What the last start found of recordings that an earlier run had left.
    #[serde(default)]
    pub repaired: Repaired,
}

/// What a start found of recordings that an earlier run had left; the log names them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Repaired {
    /// They broke off, and are messages now.
    pub interrupted: u32,
    /// They had been finished but not committed, and are messages now.
    pub completed: u32,
    /// They had less than a second of sound: only the call is logged.
    pub too_short: u32,
    /// Leftovers of messages that are there, or were expunged.
    pub cleared: u32,
    /// They could not be dealt with, and are where they were.
    pub failed: u32,
}

/// `GET /v1/turn`: how to use the account's TURN servers (RFC 8656).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TurnCredentials {
    /// Where they are (RFC 7065); none: the account has no such server, and the rest is empty.
    pub uris: Vec<String>,
    /// When the credentials end, in seconds since 1970, and who asked, with a colon between.
    pub username: String,
    /// Good for this user name alone.
    pub password: String,
    /// From then on no new relay is given; calls that have one keep it while they refresh it with newer credentials.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for TurnCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (uris, expires_at) = (&self.uris, self.expires_at);
        f.debug_struct("TurnCredentials").field("uris", uris).field("expires_at", &expires_at).finish_non_exhaustive()
    }
}

/// `GET /v1/me/test-call`: how the last test call to my number gets on, or went. The server forgets it when it stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TestCall {
    /// When it was asked for.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub started_at: Timestamp,
    /// How far it is.
    pub stage: TestCallStage,
    /// The call, as soon as the exchange has told its caller: what the devices know it by.
    pub call: Option<CallId>,
    /// A device rang.
    pub rang: bool,
    /// Why no device rang, if the mailbox answered without that.
    pub quiet: Option<TestCallQuiet>,
    /// Why the mailbox answered, once it did.
    pub reason: Option<Reason>,
    /// What the caller heard before the beep; with [`TestCallStage::Speaking`] and after it.
    pub greeting: Option<TestCallGreeting>,
    /// What the caller said.
    pub spoken: Option<TestCallSound>,
    /// The message that came of it; its envelope says that it is a test.
    pub message: Option<MessageId>,
    /// What went wrong, where it ended before its time.
    pub failure: Option<TestCallFailure>,
    /// The status of SIP that the call was refused with, where it was.
    pub status: Option<u16>,
}

/// How far a test call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TestCallStage {
    /// It was sent to the exchange.
    Calling,
    /// A device rings.
    Ringing,
    /// The mailbox has answered; the greeting is heard.
    Greeting,
    /// The beep was heard; the caller speaks.
    Speaking,
    /// The caller has hung up; the message is being stored.
    HungUp,
    /// It is over, well or with a failure.
    Over,
}

/// Why no device rings for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TestCallQuiet {
    /// Do not disturb is on.
    DoNotDisturb,
    /// A rule of the plan sends it to the mailbox.
    Rule,
    /// The devices ring for no time at all.
    NoRingTime,
    /// No device is connected.
    NoDevice,
    /// They are busy, declined it or did not ring; or the call was for the mailbox itself.
    Other,
}

/// Sound as it was measured: what is heard of it, without the silence at both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TestCallSound {
    /// Its length in milliseconds.
    pub duration_ms: u32,
    /// Its level in tenths of a dB below full scale: `-200` is -20 dBFS.
    pub level: i32,
}

/// The greeting from the caller's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TestCallGreeting {
    /// As it was heard.
    pub sound: TestCallSound,
    /// It is one of mine, and not the one that comes with the server.
    pub own: bool,
    /// One of mine was to be played, but its sound is missing or can't be read: the caller heard the one that comes with the server.
    pub lost: bool,
}

/// What ends a test call before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TestCallFailure {
    /// The exchange did not take the call: `status` says why.
    Unreachable,
    /// Somebody answered it on a device, instead of letting it ring.
    Answered,
    /// The mailbox answered, but nothing was heard of it.
    Silent,
    /// The mailbox is full: the caller was told so.
    MailboxFull,
    /// The mailbox took no message, though it isn't full: the server's disk is, or it failed.
    NoRoom,
    /// The mailbox hung up while the caller spoke.
    CutOff,
    /// The message was spoken, and is not stored.
    NotStored,
    /// It took too long.
    TooLong,
    /// The server failed; its log says how.
    Failed,
}

/// RFC 9457 problem details, `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Problem {
    /// A short sentence that doesn't vary.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time, and what to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The stable code.
    pub code: ProblemCode,
}

/// The codes that somebody reacts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// The request can't be understood.
    BadRequest,
    /// No token, or one that was revoked.
    Unauthorized,
    /// Name or password or invitation is wrong.
    WrongCredentials,
    /// Too many tries; `Retry-After` says when.
    RateLimited,
    /// No such thing in this mailbox.
    NotFound,
    /// The message was expunged.
    Gone,
    /// The cursor is not of this feed: take a snapshot, keep the outbox.
    CursorReset,
    /// A forward names somebody who doesn't exist.
    UnknownRecipient,
    /// The caller marked the message private: it can't be forwarded.
    PrivateMessage,
    /// The body is larger than allowed.
    TooLarge,
    /// It is no sound file that is known, or nothing can be heard in it.
    UnsupportedSound,
    /// The sound is longer than allowed.
    SoundTooLong,
    /// It was changed elsewhere meanwhile: fetch it again.
    Conflict,
    /// A PIN of the wrong length, or one that others guess.
    WeakPin,
    /// The server can't store anything now.
    StorageFull,
    /// The server failed.
    Internal,
    /// A code that this version doesn't know.
    #[serde(other)]
    Unknown,
}
