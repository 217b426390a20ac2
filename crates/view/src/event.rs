use aftertone_model::{GreetingId, MessageId};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    AppView, AudioDevicesView, AudioLevels, AudioNotice, CallLogView, CoachView, Code, DevicesView, DirectoryView, GreetingsView,
    MailboxView, MessageView, PhoneMenuView, PlanPart, RecorderView, RulesView, SettingsView, SimulationView, TestCallView,
};

/// What the shell tells the interface: always a whole view model, which replaces the last one of its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "type", content = "view", rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum Event {
    /// The frame and the calls.
    App(AppView),
    /// The open window of a folder.
    Mailbox(MailboxView),
    /// The open message; none when there is none, or when it is gone.
    Message(Option<MessageView>),
    /// What plays or is paused; sent at least four times a second while it plays.
    Playback(Option<PlaybackView>),
    /// How messages sound on this device.
    Player(PlayerView),
    /// The messages that [`Command::Select`](crate::Command::Select) asked for.
    Selection(SelectionView),
    /// The open window of the call log.
    CallLog(CallLogView),
    /// The people of the account.
    Directory(DirectoryView),
    /// The sound devices; sent again when one is plugged in or out.
    AudioDevices(AudioDevicesView),
    /// How loud it is; about ten times a second while a call is connected or the microphone is tested.
    AudioLevels(AudioLevels),
    /// A device that is in use went, came back, or can't be used.
    AudioNotice(AudioNotice),
    /// The devices of the account.
    Devices(DevicesView),
    /// How the mailbox is listened to by phone.
    PhoneMenu(PhoneMenuView),
    /// The greetings, and which callers hear.
    Greetings(GreetingsView),
    /// What is being recorded, or was.
    Recorder(RecorderView),
    /// What the coach says of the text of the last [`Command::Coach`](crate::Command::Coach).
    Coach(CoachView),
    /// How calls are answered.
    Rules(RulesView),
    /// What happens with the call of the last [`Command::Simulate`](crate::Command::Simulate).
    Simulation(SimulationView),
    /// What was chosen on this device.
    Settings(SettingsView),
    /// How far the test message is.
    TestMessage(TestMessageView),
    /// How far the test call is.
    TestCall(TestCallView),
    /// Something to tell once.
    Toast(ToastView),
    /// Go somewhere: a notification or the tray was clicked.
    Show(Place),
}

/// A message, a greeting or a recording that plays or is paused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct PlaybackView {
    /// Which message; none where it is something else.
    #[ts(type = "string | null")]
    pub message: Option<MessageId>,
    /// Which greeting.
    #[ts(type = "string | null")]
    pub greeting: Option<GreetingId>,
    /// The account's greeting, as callers hear it; without that, a message or a greeting it is what was recorded.
    pub account_greeting: bool,
    /// Where it is.
    pub position_ms: u32,
    /// How long it is.
    pub duration_ms: u32,
    /// It plays; else it is paused or at its end.
    pub playing: bool,
    /// Its sound is being fetched.
    pub loading: bool,
    /// In per cent of how fast it was spoken.
    pub rate_percent: u16,
    /// The name of the device it plays on.
    pub device: Option<String>,
}

impl PlaybackView {
    /// It is what was recorded, and rests.
    #[must_use]
    pub fn is_paused_recording(&self) -> bool {
        let is_recording = self.message.is_none() && self.greeting.is_none() && !self.account_greeting;
        is_recording && !self.playing && self.position_ms > 0
    }
}

/// How messages sound on this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct PlayerView {
    /// In per cent of how fast it was spoken, 75 to 200; the pitch stays.
    pub rate_percent: u16,
    /// In per cent of the recording, 0 to 200.
    pub volume_percent: u8,
    /// Long silence is left out.
    pub skip_silence: bool,
}

impl Default for PlayerView {
    fn default() -> Self {
        Self { rate_percent: 100, volume_percent: 100, skip_silence: false }
    }
}

/// The messages of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct SelectionView {
    /// Index of the first.
    pub offset: u32,
    /// The latest first, at most a thousand.
    #[ts(type = "Array<string>")]
    pub messages: Vec<MessageId>,
    /// How many the folder has.
    pub total: u32,
}

/// How far the test message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum TestMessageView {
    /// Nobody asked for one.
    Idle,
    /// The own number is being called.
    Calling,
    /// The mailbox answered; its greeting plays.
    Greeting,
    /// After the beep.
    Speaking,
    /// Hung up; the message has not come back yet.
    Waiting,
    /// It is in the list.
    Arrived {
        /// Which.
        #[ts(type = "string")]
        message: MessageId,
        /// From the hang-up until it was here.
        after_ms: u32,
    },
    /// It didn't work.
    Failed {
        /// Why.
        code: Code,
    },
}

/// Something to tell once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct ToastView {
    /// Names it in [`Command::Undo`](crate::Command::Undo); never used twice.
    pub id: u32,
    /// What.
    pub about: ToastAbout,
    /// It can be undone.
    pub undo: bool,
}

/// What a toast tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum ToastAbout {
    /// Messages went to the trash.
    Deleted {
        /// How many.
        count: u32,
    },
    /// Messages are out of the trash.
    Restored {
        /// How many.
        count: u32,
    },
    /// Messages are kept.
    Saved {
        /// How many.
        count: u32,
    },
    /// Messages are new again.
    MarkedNew {
        /// How many.
        count: u32,
    },
    /// Messages are no longer kept, or were marked as heard.
    MarkedHeard {
        /// How many.
        count: u32,
    },
    /// Messages are gone for ever.
    Expunged {
        /// How many.
        count: u32,
    },
    /// Messages were sent to others.
    Forwarded {
        /// Their names.
        to: Vec<String>,
    },
    /// Messages will be sent to others once there is a connection.
    ForwardWaits,
    /// The sound of messages was written into files.
    Exported {
        /// How many.
        count: u32,
        /// The file, or for several their folder.
        place: String,
    },
    /// A call was recorded.
    Recorded {
        /// The file.
        place: String,
    },
    /// A greeting is gone.
    GreetingRemoved {
        /// What it was called.
        title: String,
    },
    /// Something is gone from the plan.
    RemovedFromPlan {
        /// From which of its lists.
        part: PlanPart,
    },
    /// A new greeting is kept, and being sent.
    GreetingKept {
        /// What it is called.
        title: String,
        /// There is no connection: it is sent later.
        waits: bool,
    },
    /// The spoken name is gone.
    NameRemoved,
    /// The spoken name is kept, and being sent.
    NameKept {
        /// There is no connection: it is sent later.
        waits: bool,
    },
    /// Something failed after its command was answered.
    Failed {
        /// Why.
        code: Code,
    },
}

/// A place in the interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum Place {
    /// The mailbox.
    Mailbox,
    /// A message.
    Message {
        /// Which.
        #[ts(type = "string")]
        message: MessageId,
    },
    /// The dial pad and the call log, perhaps with a number to call.
    Calls {
        /// From a `tel:` or `sip:` link; it is filled in, never dialled by itself.
        number: Option<String>,
    },
    /// The greetings.
    Greetings,
    /// The settings.
    Settings,
    /// The set-up.
    SetUp,
}
