use std::fmt;

use aftertone_model::{CallId, DeviceId, GreetingId, MenuLayout, MessageAction, MessageId, Plan, Timestamp};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    AudioUse, CoachedText, GreetingUse, Language, NotificationsView, PlanPart, PlayerView, RecordingUse, SimulatedCall,
    ToneRegion, VoiceProcessing, Window,
};

/// What the interface asks for. The answer is `()` or a [`Code`](crate::Code); what it changes comes as an [`Event`](crate::Event).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum Command {
    /// The interface is there: send every view model. The first command of each window.
    Attach,
    /// Sign in with a name or an extension; answers when it is done.
    SignIn {
        /// As it was typed: a host name, or an https address.
        server: String,
        /// The user name or extension.
        user: String,
        /// The password.
        #[ts(type = "string")]
        password: Secret,
    },
    /// Sign in with an invitation; answers when it is done.
    SignInWithInvitation {
        /// `aftertone://invite?…`, as it was pasted.
        #[ts(type = "string")]
        link: Secret,
    },
    /// Use the app without a hosted account: with an account at a SIP provider, and the server inside the app; answers when
    /// it is done. Signed in so already, it takes the place of the one there.
    UseOnYourOwn {
        /// The provider's server: a name, an address, or a SIP URI.
        server: String,
        /// The name there.
        user: String,
        /// The password there.
        #[ts(type = "string")]
        password: Secret,
    },
    /// Sign this device out and forget what is stored here.
    SignOut,
    /// Look for the keyring again; the person unlocked it.
    RetrySecrets,
    /// Keep the account's token in a file that only this user can read.
    ChooseFileSecrets,
    /// Look for an invitation in a picture of its QR code; it then stands in [`AccountView::SignedOut`](crate::AccountView)
    /// to be accepted.
    ReadInvitation {
        /// The PNG or JPEG, in base64.
        #[ts(type = "string")]
        picture: Secret,
    },
    /// Try to connect now instead of at the next try.
    Reconnect,
    /// Change the interface's language.
    SetLanguage {
        /// To which.
        language: Language,
    },

    /// Call a number, an extension, a user name or a SIP address.
    PlaceCall {
        /// As it was typed.
        number: String,
    },
    /// Answer a ringing call.
    Answer {
        /// Which.
        #[ts(type = "string")]
        call: CallId,
    },
    /// Send the caller to the mailbox.
    Decline {
        /// Which.
        #[ts(type = "string")]
        call: CallId,
    },
    /// End a call in whatever state.
    HangUp {
        /// Which.
        #[ts(type = "string")]
        call: CallId,
    },
    /// Switch the microphone of a call.
    SetMuted {
        /// Which.
        #[ts(type = "string")]
        call: CallId,
        /// Off or on.
        muted: bool,
    },
    /// Record a call into a file of one's own, or stop that.
    SetRecording {
        /// Which.
        #[ts(type = "string")]
        call: CallId,
        /// On or off.
        on: bool,
    },
    /// Hold a call, or go on with it.
    SetHeld {
        /// Which.
        #[ts(type = "string")]
        call: CallId,
        /// Held or not.
        held: bool,
    },
    /// Press a key of the telephone in a call.
    SendDigit {
        /// Which.
        #[ts(type = "string")]
        call: CallId,
        /// 0 to 9, `*`, `#`, A to D.
        digit: char,
    },

    /// Show a window of a folder, and keep it current: [`Event::Mailbox`](crate::Event::Mailbox).
    OpenFolder {
        /// Which part.
        #[serde(flatten)]
        window: Window,
    },
    /// Show a message, and keep it current: [`Event::Message`](crate::Event::Message). None closes it.
    OpenMessage {
        /// Which.
        #[ts(type = "string | null")]
        message: Option<MessageId>,
    },
    /// Play a message, from where it was paused if it was. The first sound marks it as heard.
    Play {
        /// Which.
        #[ts(type = "string")]
        message: MessageId,
        /// Where to begin, in milliseconds.
        position_ms: Option<u32>,
    },
    /// Pause what plays.
    Pause,
    /// Go somewhere in what plays or is paused.
    Seek {
        /// Where to, in milliseconds.
        position_ms: u32,
    },
    /// How messages sound from now on, on this device: [`Event::Player`](crate::Event::Player).
    SetPlayer {
        /// The choices.
        #[serde(flatten)]
        player: PlayerView,
    },
    /// Write the sound of messages into files that the person names: [`ToastAbout::Exported`](crate::ToastAbout::Exported).
    ExportMessages {
        /// Which.
        #[ts(type = "Array<string>")]
        messages: Vec<MessageId>,
    },
    /// Tell which messages the open folder has for the query, or a part of them: [`Event::Selection`](crate::Event::Selection).
    Select {
        /// Index of the first.
        offset: u32,
        /// How many, at most a thousand.
        limit: u32,
    },
    /// Do something to messages; a toast offers to undo it.
    Act {
        /// Which.
        #[ts(type = "Array<string>")]
        messages: Vec<MessageId>,
        /// What.
        #[ts(type = "\"heard\" | \"new\" | \"save\" | \"delete\" | \"restore\" | \"expunge\"")]
        action: MessageAction,
    },
    /// Keep saved messages no longer: they become heard, by way of new ([`undoing`](crate::undoing) says why). One toast.
    Unsave {
        /// Which.
        #[ts(type = "Array<string>")]
        messages: Vec<MessageId>,
    },
    /// Take back what a toast told of.
    Undo {
        /// The toast.
        toast: u32,
    },
    /// Send messages to other mailboxes of the account.
    Forward {
        /// Which.
        #[ts(type = "Array<string>")]
        messages: Vec<MessageId>,
        /// User names or extensions.
        to: Vec<String>,
        /// May be empty, at most 2,000 characters.
        note: String,
    },
    /// Call who left a message.
    CallBack {
        /// Which.
        #[ts(type = "string")]
        message: MessageId,
    },
    /// Call the own mailbox and leave a message in it: [`Event::TestMessage`](crate::Event::TestMessage).
    LeaveTestMessage,
    /// Have the server call one's own number as somebody from outside would: [`Event::TestCall`](crate::Event::TestCall).
    StartTestCall,
    /// Hear what the caller of the last test call heard.
    PlayTestCall,
    /// Show a notification to see whether the desktop does; answers when it was shown.
    TestNotification,
    /// The set-up was gone through, or is not wanted: it does not come by itself again.
    EndSetUp,

    /// Play a greeting, from where it was paused if it was.
    PlayGreeting {
        /// Which.
        #[ts(type = "string")]
        greeting: GreetingId,
        /// Where to begin, in milliseconds.
        position_ms: Option<u32>,
    },
    /// Play what callers hear where no greeting of one's own is played, from where it was paused if it was.
    PlayAccountGreeting,
    /// Change what is said of a greeting.
    DescribeGreeting {
        /// Which.
        #[ts(type = "string")]
        greeting: GreetingId,
        /// What it is called, 1 to 200 characters.
        title: String,
        /// What is said in it.
        text: String,
        /// The language that it is spoken in.
        language: Language,
        /// From then on it isn't played.
        #[ts(type = "string | null")]
        expires_at: Option<Timestamp>,
    },
    /// Choose the greeting that callers hear when no rule fits; none is the account's.
    SetStandardGreeting {
        /// Which.
        #[ts(type = "string | null")]
        greeting: Option<GreetingId>,
    },
    /// Choose a greeting that callers hear whatever the rules say, or take it away.
    SetTemporaryGreeting {
        /// Which.
        #[ts(type = "string | null")]
        greeting: Option<GreetingId>,
        /// Until then; without it until it is taken away.
        #[ts(type = "string | null")]
        until: Option<Timestamp>,
    },
    /// Remove a greeting; a toast offers to undo it.
    RemoveGreeting {
        /// Which.
        #[ts(type = "string")]
        greeting: GreetingId,
    },
    /// Record, after a countdown: [`Event::Recorder`](crate::Event::Recorder).
    StartRecording {
        /// What for: it ends by itself once it is as long as that may be.
        #[serde(rename = "use")]
        usage: RecordingUse,
    },
    /// End the recording, or the countdown.
    StopRecording,
    /// Take a sound file in the place of a recording; answers when it was read.
    LoadRecording {
        /// Its name.
        name: String,
        /// Its bytes, in base64.
        #[ts(type = "string")]
        sound: Secret,
    },
    /// Forget what was recorded.
    DiscardRecording,
    /// Hear what was recorded.
    PlayRecording {
        /// Where to begin, in milliseconds.
        from_ms: u32,
        /// Where to end, in milliseconds.
        to_ms: u32,
    },
    /// Make a greeting of what was recorded; it is sent as soon as there is a connection.
    SaveGreeting {
        /// What it is called, 1 to 200 characters.
        title: String,
        /// What is said in it.
        text: String,
        /// The language that it is spoken in.
        language: Language,
        /// From then on it isn't played.
        #[ts(type = "string | null")]
        expires_at: Option<Timestamp>,
        /// Where it begins, in milliseconds.
        from_ms: u32,
        /// Where it ends, in milliseconds.
        to_ms: u32,
        /// What it is used for.
        #[serde(rename = "use")]
        usage: GreetingUse,
    },
    /// Make what was recorded the spoken name, in the place of one that there is; it is sent as soon as there is a connection.
    SaveName {
        /// What is said.
        text: String,
        /// The language that it is spoken in.
        language: Language,
        /// Where it begins, in milliseconds.
        from_ms: u32,
        /// Where it ends, in milliseconds.
        to_ms: u32,
    },
    /// Say what a text lacks: [`Event::Coach`](crate::Event::Coach).
    Coach {
        /// The text, and what is known beside it.
        #[serde(flatten)]
        text: CoachedText,
    },
    /// Say how calls are answered, unless that was changed elsewhere meanwhile: [`Event::Rules`](crate::Event::Rules).
    ChangePlan {
        /// The version that was changed.
        #[ts(type = "number")]
        version: u64,
        /// The whole plan.
        plan: Plan,
    },
    /// Remove something from the plan; a toast offers to undo it.
    RemoveFromPlan {
        /// The version that it is looked up in.
        #[ts(type = "number")]
        version: u64,
        /// Of which list.
        part: PlanPart,
        /// Its place there.
        index: u32,
    },
    /// Say how long it rings when no rule says so.
    SetRingTime {
        /// 0 to 300; 0 is not at all.
        seconds: u16,
    },
    /// Say what would happen with a call: [`Event::Simulation`](crate::Event::Simulation).
    Simulate {
        /// The call.
        #[serde(flatten)]
        call: SimulatedCall,
    },

    /// Show a window of the call log, and keep it current: [`Event::CallLog`](crate::Event::CallLog).
    OpenCallLog {
        /// Index of the first row.
        offset: u32,
        /// How many rows.
        limit: u32,
    },
    /// Fetch the people of the account: [`Event::Directory`](crate::Event::Directory).
    ListDirectory,
    /// Fetch the devices of the account: [`Event::Devices`](crate::Event::Devices).
    ListDevices,
    /// Sign another device of the account out.
    RevokeDevice {
        /// Which.
        #[ts(type = "string")]
        device: DeviceId,
    },
    /// Look how the mailbox is listened to by phone: [`Event::PhoneMenu`](crate::Event::PhoneMenu).
    LookAtPhoneMenu,
    /// Set the PIN that opens the mailbox from any phone: [`Event::PhoneMenu`](crate::Event::PhoneMenu).
    SetPin {
        /// 6 to 12 digits.
        #[ts(type = "string")]
        pin: Secret,
    },
    /// Take the PIN away: [`Event::PhoneMenu`](crate::Event::PhoneMenu).
    RemovePin,
    /// What the keys of the phone menu mean: [`Event::PhoneMenu`](crate::Event::PhoneMenu).
    ChooseMenuLayout {
        /// Which of the two.
        #[ts(type = "\"aftertone\" | \"asterisk\"")]
        layout: MenuLayout,
    },
    /// What notifications tell, and when: [`Event::Settings`](crate::Event::Settings).
    SetNotifications {
        /// The choices.
        notifications: NotificationsView,
    },
    /// Whether the session starts the app: [`Event::Settings`](crate::Event::Settings).
    StartWithTheSession {
        /// It does.
        on: bool,
    },
    /// Look which sound devices there are: [`Event::AudioDevices`](crate::Event::AudioDevices).
    ListAudioDevices,
    /// Choose a sound device.
    ChooseAudioDevice {
        /// What for.
        #[serde(rename = "use")]
        usage: AudioUse,
        /// Which; none follows the system.
        device: Option<String>,
    },
    /// Set how loud a use's device is; the microphone has no such knob.
    SetVolume {
        /// Whose.
        #[serde(rename = "use")]
        usage: AudioUse,
        /// 0 to 150.
        percent: u8,
    },
    /// Choose what is done to the voice; calls that go on follow.
    SetVoiceProcessing {
        /// What.
        processing: VoiceProcessing,
    },
    /// Choose whose tones are heard.
    SetToneRegion {
        /// Whose.
        region: ToneRegion,
    },
    /// Play the test sound once on a use's device.
    TestSpeaker {
        /// Whose.
        #[serde(rename = "use")]
        usage: AudioUse,
    },
    /// Listen to the microphone: [`Event::AudioLevels`](crate::Event::AudioLevels). Switched off, what was said is played,
    /// the last five seconds of it.
    TestMicrophone {
        /// On or off.
        on: bool,
    },
}

/// A text that no log may show.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text, for whoever needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
